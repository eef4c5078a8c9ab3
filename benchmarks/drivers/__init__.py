"""One small program for each watcher: all speak the line protocol of ``_line.py``."""
