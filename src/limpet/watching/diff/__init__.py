"""What differs between the index and the disk: scan, compare, pair renames, put events in order."""

__all__: list[str] = []
