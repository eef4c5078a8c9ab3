"""What runs, in a browser: a page, its stream of events, and what a program may ask over HTTP."""

__all__: list[str] = []
