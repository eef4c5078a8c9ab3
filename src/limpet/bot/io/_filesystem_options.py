"""The properties of ``FileSystem``: options of limpet's watch and output, by their YAML names."""

from __future__ import annotations

import dataclasses
from typing import Any, Final, cast

from limpet.bot.io._named_component import NamedComponent
from limpet.bot.settings._setting import Setting
from limpet.bot.settings._validators import (
    choice,
    fitting,
    flag,
    listed,
    maybe,
    number,
    path,
    record,
    text,
    whole,
)
from limpet.config import ContentOptions
from limpet.output import OutputLimits

__all__ = ["OUTPUT_OPTIONS", "WATCH_OPTIONS", "FileSystemOptions"]

_CONTENT = record(
    ContentOptions,
    mode=choice("r", "rb"),
    encoding=text(),
    errors=text(),
    max_bytes=whole(),
    appended=flag(),
)
_LIMITS = record(
    OutputLimits,
    max_write_bytes=maybe(whole(least=1)),
    max_total_bytes=maybe(whole(least=1)),
    max_files=maybe(whole(least=1)),
    recount=number(),
    max_in_flight=whole(least=1),
    when_full=choice("wait", "refuse"),
)


def _as_mapping(value: Any) -> object:  # noqa: ANN401 - one of the dataclasses above, or None
    return None if value is None else dataclasses.asdict(value)


def _words(values: tuple[str, ...]) -> tuple[str, ...]:
    return values


_GLOBS = fitting(listed(text()), _words)


class FileSystemOptions(NamedComponent):
    """All properties with their defaults; ``FileSystem`` describes how they work together."""

    input_path = Setting(
        maybe(path()), None, "File or folder to watch; without one the input idles."
    )
    input_path_type = Setting(
        cast("Any", choice("file", "dir")), "dir", "Whether input_path is a file or a folder (dir)."
    )
    input_mode = Setting(
        cast("Any", choice("events", "lines")),
        "events",
        "events: changes of it; lines: lines that are added to the file.",
    )
    output_path = Setting(
        maybe(path()), None, "Folder to write into; without one nothing is written."
    )

    recursive = Setting(flag(), True, "Watch subfolders, too.")
    existing = Setting(flag(), False, "First report everything that already exists.")
    state = Setting(
        maybe(path()), None, "File with the checkpoint: the next start reports what changed since."
    )
    settle = Setting(
        number(),
        0.0,
        "Hold an event until the file is closed, or quiet for this many seconds.",
    )
    settle_max = Setting(maybe(number()), None, "Most seconds to hold an event.")
    metadata = Setting(flag(), False, "Report changes of mode and owner, too.")
    transient = Setting(flag(), False, "Report files that existed only between two scans.")
    follow_symlinks = Setting(flag(), False, "Follow links to folders in the tree.")
    own = Setting(
        cast("Any", choice("drop", "mark", "keep")),
        "drop",
        "What to do with events of limpet's own writes.",
    )
    content = Setting(
        maybe(_CONTENT), None, "Put the file's content into its events.", plain=_as_mapping
    )
    include = Setting(_GLOBS, (), "Only files that match one of these globs.")
    exclude = Setting(_GLOBS, (), "Leave out paths that match one of these globs.")
    ignore_file = Setting(maybe(text()), None, "Name of ignore files in gitignore syntax.")
    default_ignores = Setting(flag(), True, "Leave out partial downloads and swap files.")
    backend = Setting(
        cast("Any", choice("auto", "fanotify", "inotify", "watchfiles", "poll")),
        "auto",
        "Backend that provides the hints.",
    )
    filesystem_mark = Setting(flag(), False, "With fanotify, mark whole file systems.")
    poll_interval = Setting(number(least=0.001), 1.0, "Seconds between scans without hints.")
    rescan_interval = Setting(
        maybe(number(least=0.001)),
        None,
        "Seconds between scans of everything, beside hints.",
    )

    output_create = Setting(flag(), True, "Create the output folder if it is missing.")
    output_durability = Setting(
        cast("Any", choice("none", "file", "full")),
        "none",
        "What must survive a crash of the system.",
    )
    output_portable = Setting(flag(), False, "Refuse names that are invalid on any system.")
    output_limits = Setting(maybe(_LIMITS), None, "Limits on what is written.", plain=_as_mapping)
    output_moved = Setting(
        cast("Any", choice("reopen", "refuse", "stay")),
        "reopen",
        "What to do when the folder was moved.",
    )
    output_cross_mounts = Setting(flag(), False, "Write to file systems mounted below the folder.")
    output_lock_timeout = Setting(number(), 10.0, "Seconds an append waits for a lock.")
    output_timeout = Setting(
        number(least=0.001), 60.0, "Seconds one output may take before it counts as failed."
    )
    max_waiting = Setting(
        whole(least=1), 1000, "Events that may wait in mewbot's own, unbounded queue."
    )


WATCH_OPTIONS: Final[tuple[str, ...]] = (
    "recursive", "existing", "state", "settle", "settle_max", "metadata", "transient",
    "follow_symlinks", "own", "content", "include", "exclude", "ignore_file", "default_ignores",
    "backend", "filesystem_mark", "poll_interval", "rescan_interval",
)  # fmt: skip
"""Properties that are the keyword argument of ``watch_dir`` of the same name."""

OUTPUT_OPTIONS: Final[dict[str, str]] = {
    "output_create": "create",
    "output_durability": "durability",
    "output_portable": "portable",
    "output_limits": "limits",
    "output_moved": "moved",
    "output_cross_mounts": "cross_mounts",
    "output_lock_timeout": "lock_timeout",
}
"""Property -> the keyword argument of ``open_output``."""
