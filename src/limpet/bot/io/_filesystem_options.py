"""The properties of ``FileSystem``: options of limpet's watch and output, by their YAML names."""

from __future__ import annotations

import dataclasses
from typing import Any, Final, TypeVar, cast, get_args

from limpet._option_fields import info_of
from limpet.bot.io._named_component import NamedComponent
from limpet.bot.settings._setting import Setting
from limpet.bot.settings._validators import (
    Value,
    choice,
    encoding,
    error_handler,
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
from limpet.config import BackendName, ContentOptions, OwnPolicy, SettleUntil, WatchOptions
from limpet.following import FollowOptions
from limpet.output import OutputLimits

T = TypeVar("T")

_CONTENT = record(
    ContentOptions,
    mode=choice("r", "rb"),
    encoding=encoding(),
    errors=error_handler(),
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


def _watch_option(name: str, value: Value[T], *, of: type = WatchOptions) -> Setting[T]:
    """Return the setting of a watch's option, with the default and help of its field."""
    _, default, info = info_of(of, name)
    return Setting(value, default, f"{info.help[0].upper()}{info.help[1:]}.")


def _follow_option(name: str, value: Value[T]) -> Setting[T]:
    """Return the setting of a follower's option."""
    return _watch_option(name, value, of=FollowOptions)


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

    recursive = _watch_option("recursive", flag())
    existing = _watch_option("existing", flag())
    state = _watch_option("state", maybe(path()))
    settle = _watch_option("settle", number())
    settle_max = _watch_option("settle_max", maybe(number()))
    settle_until = _watch_option("settle_until", cast("Any", choice(*get_args(SettleUntil))))
    settle_dir = _watch_option("settle_dir", number())
    must_exist = _watch_option("must_exist", flag())
    metadata = _watch_option("metadata", flag())
    transient = _watch_option("transient", flag())
    follow_symlinks = _watch_option("follow_symlinks", flag())
    own = _watch_option("own", cast("Any", choice(*get_args(OwnPolicy))))
    content = Setting(
        maybe(_CONTENT), None, "Put a file's content into its events.", plain=_as_mapping
    )
    include = _watch_option("include", _GLOBS)
    exclude = _watch_option("exclude", _GLOBS)
    ignore_file = _watch_option("ignore_file", maybe(text()))
    default_ignores = _watch_option("default_ignores", flag())
    backend = _watch_option("backend", cast("Any", choice(*get_args(BackendName))))
    filesystem_mark = _watch_option("filesystem_mark", flag())
    poll_interval = _watch_option("poll_interval", number(least=0.001))
    rescan_interval = _watch_option("rescan_interval", maybe(number(least=0.001)))

    rotated = _follow_option("rotated", maybe(text()))
    linger = _follow_option("linger", number())
    max_line = _follow_option("max_line", whole(least=16))

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
    "recursive", "existing", "state", "settle", "settle_max", "settle_until", "settle_dir",
    "must_exist", "metadata", "transient",
    "follow_symlinks", "own", "content", "include", "exclude", "ignore_file", "default_ignores",
    "backend", "filesystem_mark", "poll_interval", "rescan_interval",
)  # fmt: skip
"""Properties that are the keyword argument of ``watch_dir`` of the same name."""

FOLLOW_OPTIONS: Final = ("rotated", "linger", "max_line")
"""Properties that are the keyword argument of ``follow`` of the same name; of lines alone."""

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
