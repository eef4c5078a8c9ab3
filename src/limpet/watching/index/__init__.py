"""What the watch takes to be on disk: the index, its records, and the system calls they need."""

__all__: list[str] = []
