"""The same bot in mewbot's own runner and in limpet's, side by side: ``make bench-bots``."""
