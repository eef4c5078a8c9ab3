"""What only mewbot's own runner needs, and the check that mewbot is installed.

mewbot 0.0.3 hands bare events from queue to behaviours, ends the bot at the first exception, and
reports neither what was processed nor that it stops. limpet's own runner uses nothing of this.
"""

__all__: list[str] = []
