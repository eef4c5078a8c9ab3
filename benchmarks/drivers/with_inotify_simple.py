"""inotify-simple: its ``INotify``; the walk and the new folders it leaves to the program."""

import os

from inotify_simple import INotify, flags  # type: ignore[import-untyped]  # it has no types

from benchmarks.drivers._line import Line

WANTED = (
    flags.CREATE | flags.MODIFY | flags.CLOSE_WRITE | flags.DELETE | flags.MOVED_FROM
    | flags.MOVED_TO | flags.ONLYDIR | flags.EXCL_UNLINK
)  # fmt: skip
GATHER_MS = 5

line = Line()
line.begin()
inotify = INotify()
folders: dict[int, str] = {}


def add(top: str) -> None:
    """Watch a folder and all below it."""
    for folder, _, _ in os.walk(top):
        folders[inotify.add_watch(folder, WANTED)] = folder


add(line.folder)
line.ready()
while True:
    for event in inotify.read(read_delay=0 if line.options.latency else GATHER_MS):
        path = os.path.join(folders.get(event.wd, ""), event.name)
        if event.mask & flags.ISDIR and event.mask & (flags.CREATE | flags.MOVED_TO):
            add(path)
        line.tell(path)
