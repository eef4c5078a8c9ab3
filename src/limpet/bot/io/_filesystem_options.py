"""The properties of ``FileSystem``: options of limpet's watch and output, by their YAML names."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from limpet._option_fields import info_of
from limpet._option_models import ContentSetting, OptionsOf
from limpet._setting_types import (
    Count,
    FilePath,
    OneOrMore,
    PositiveCount,
    PositiveSeconds,
    Seconds,
    Text,
)
from limpet.bot.io._named_component import NamedComponent
from limpet.bot.settings._setting import Setting
from limpet.config import BackendName, OwnPolicy, SettleUntil, WatchOptions
from limpet.following import FollowOptions
from limpet.output import OutputLimits


def _watch_option(name: str, *, of: type = WatchOptions) -> Any:  # noqa: ANN401 - as Setting
    """Return the setting of a watch's option, with the default and help of its field."""
    _, default, info = info_of(of, name)
    bounds = {} if info.least is None else {"ge": info.least}
    return Setting(default, description=f"{info.help[0].upper()}{info.help[1:]}.", **bounds)


def _follow_option(name: str) -> Any:  # noqa: ANN401 - as Setting
    """Return the setting of a follower's option."""
    return _watch_option(name, of=FollowOptions)


class FileSystemOptions(NamedComponent):
    """All properties with their defaults; ``FileSystem`` describes how they work together."""

    input_path: FilePath | None = Setting(
        None, description="File or folder to watch; without one the input idles."
    )
    input_path_type: Literal["file", "dir"] = Setting(
        "dir", description="Whether input_path is a file or a folder (dir)."
    )
    input_mode: Literal["events", "lines"] = Setting(
        "events", description="events: changes of it; lines: lines that are added to the file."
    )
    output_path: FilePath | None = Setting(
        None, description="Folder to write into; without one nothing is written."
    )

    recursive: bool = _watch_option("recursive")
    existing: bool = _watch_option("existing")
    state: FilePath | None = _watch_option("state")
    settle: Seconds = _watch_option("settle")
    settle_max: Seconds | None = _watch_option("settle_max")
    settle_until: SettleUntil = _watch_option("settle_until")
    settle_dir: Seconds = _watch_option("settle_dir")
    must_exist: bool = _watch_option("must_exist")
    metadata: bool = _watch_option("metadata")
    transient: bool = _watch_option("transient")
    follow_symlinks: bool = _watch_option("follow_symlinks")
    own: OwnPolicy = _watch_option("own")
    who: bool = _watch_option("who")
    content: ContentSetting | None = Setting(
        None, description="Put a file's content into its events."
    )
    include: OneOrMore[Text] = _watch_option("include")
    exclude: OneOrMore[Text] = _watch_option("exclude")
    ignore_file: Text | None = _watch_option("ignore_file")
    default_ignores: bool = _watch_option("default_ignores")
    backend: BackendName = _watch_option("backend")
    filesystem_mark: bool = _watch_option("filesystem_mark")
    gather: Seconds = _watch_option("gather")
    poll_interval: PositiveSeconds = _watch_option("poll_interval")
    rescan_interval: PositiveSeconds | None = _watch_option("rescan_interval")

    rotated: Text | None = _follow_option("rotated")
    linger: Seconds = _follow_option("linger")
    max_line: Count = _follow_option("max_line")

    output_create: bool = Setting(True, description="Create the output folder if it is missing.")
    output_durability: Literal["none", "file", "full"] = Setting(
        "none", description="What must survive a crash of the system."
    )
    output_portable: bool = Setting(
        False, description="Refuse names that are invalid on any system."
    )
    output_limits: Annotated[OutputLimits, OptionsOf(OutputLimits)] | None = Setting(
        None, description="Limits on what is written."
    )
    output_moved: Literal["reopen", "refuse", "stay"] = Setting(
        "reopen", description="What to do when the folder was moved."
    )
    output_cross_mounts: bool = Setting(
        False, description="Write to file systems mounted below the folder."
    )
    output_lock_timeout: Seconds = Setting(10.0, description="Seconds an append waits for a lock.")
    output_timeout: PositiveSeconds = Setting(
        60.0, description="Seconds one output may take before it counts as failed."
    )
    max_waiting: PositiveCount = Setting(
        1000, description="Events that may wait in mewbot's own, unbounded queue."
    )


WATCH_OPTIONS: Final[tuple[str, ...]] = (
    "recursive", "existing", "state", "settle", "settle_max", "settle_until", "settle_dir",
    "must_exist", "metadata", "transient",
    "follow_symlinks", "own", "who", "content", "include", "exclude", "ignore_file",
    "default_ignores", "backend", "filesystem_mark", "gather", "poll_interval", "rescan_interval",
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
