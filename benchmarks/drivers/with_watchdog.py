"""watchdog: an ``Observer``, asked for what the others report and not for opening and closing."""

import threading

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirModifiedEvent,
    DirMovedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from benchmarks.drivers._line import Line

line = Line()


class Handler(FileSystemEventHandler):
    """Hands each event's path on."""

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Called in watchdog's thread."""
        line.tell(event.src_path)


WANTED: list[type[FileSystemEvent]] = [
    DirCreatedEvent,
    DirDeletedEvent,
    DirModifiedEvent,
    DirMovedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
]

line.begin()
observer = Observer()
observer.schedule(Handler(), line.folder, recursive=True, event_filter=WANTED)
observer.start()
line.ready()
threading.Event().wait()
