"""The configuration file of an agent."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from limpet.config import ContentOptions
from limpet.errors import LimpetError
from limpet.following import follow
from limpet.remote._agent import AgentOptions, OutputSpec
from limpet.remote._agent_follow import FollowSpec
from limpet.remote._agent_watch import WatchSpec
from limpet.remote._command_codec import OPERATIONS
from limpet.remote._config_tables import (
    ConfigError,
    Table,
    each,
    flag,
    number,
    one_of,
    read_yaml,
    size,
    slug,
    text,
)
from limpet.remote._connection_config import HUB_TABLE, HubAddress
from limpet.watch import watch_dir

__all__ = ["AgentConfig", "load_agent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """What a file says."""

    options: AgentOptions
    hub: HubAddress


_CONTENT: Final = Table(
    {"mode": one_of("r", "rb"), "encoding": text, "errors": text, "max_bytes": size}
)
_WATCH: Final = Table(
    {
        "name": slug,
        "path": text,
        "type": one_of("dir", "file"),
        "existing": flag,
        "content": _CONTENT,
        "recursive": flag,
        "settle": number,
        "include": each(text),
        "exclude": each(text),
        "ignore_file": text,
        "default_ignores": flag,
        "follow_symlinks": flag,
        "metadata": flag,
        "backend": one_of("auto", "fanotify", "inotify", "watchfiles", "poll"),
        "poll_interval": number,
        "rescan_interval": number,
    },
    required=frozenset({"name", "path"}),
)
_FOLLOW: Final = Table(
    {
        "name": slug,
        "path": text,
        "start": one_of("end", "beginning", "checkpoint"),
        "fallback": one_of("end", "beginning"),
        "rotated": text,
        "encoding": text,
        "errors": text,
        "max_line": size,
        "linger": number,
        "order": one_of("prompt", "strict"),
        "backend": one_of("auto", "fanotify", "inotify", "watchfiles", "poll"),
        "poll_interval": number,
    },
    required=frozenset({"name", "path"}),
)
_OUTPUT: Final = Table(
    {
        "name": slug,
        "path": text,
        "allow": each(one_of(*OPERATIONS)),
        "create": flag,
        "durability": one_of("none", "file", "full"),
        "portable": flag,
    },
    required=frozenset({"name", "path"}),
)
_SPOOL: Final = Table(
    {
        "path": text,
        "max_bytes": size,
        "max_events": number,
        "when_full": one_of("block", "collapse"),
        "durability": one_of("normal", "full"),
        "retain": number,
    },
    required=frozenset({"path"}),
)
_AGENT: Final = Table(
    {
        "host": slug,
        "prefix": text,
        "hub": HUB_TABLE,
        "spool": _SPOOL,
        "watch": each(_WATCH),
        "follow": each(_FOLLOW),
        "output": each(_OUTPUT),
    },
    required=frozenset({"host", "hub", "spool"}),
)


def load_agent(path: str | Path) -> AgentConfig:
    """Read an agent's configuration; relative paths in it are relative to the file.

    Raises:
        ConfigError: It has mistakes; each is told with its line.
        MissingExtraError: PyYAML is not installed.
    """
    found = read_yaml(path, _AGENT, "agent")
    base = Path(path).resolve().parent
    spool = found["spool"]
    try:
        options = AgentOptions(
            host=found["host"],
            spool=str(base / spool["path"]),
            watches=[_watch(item, base) for item in found.get("watch", [])],
            follows=[_follow(item, base) for item in found.get("follow", [])],
            outputs=[_output(item, base) for item in found.get("output", [])],
            prefix=found.get("prefix", "limpet"),
            max_bytes=spool.get("max_bytes", 512 << 20),
            max_events=int(spool.get("max_events", 2_000_000)),
            when_full=spool.get("when_full", "block"),
            durability=spool.get("durability", "normal"),
            retain_s=float(spool.get("retain", 300.0)),
        )
    except LimpetError as error:
        message = f"{path}: {error}"
        raise ConfigError(message) from error
    return AgentConfig(options=options, hub=HubAddress.read(found["hub"], base))


def _watch(item: dict[str, Any], base: Path) -> WatchSpec:
    kind = item.get("type", "dir")
    own = {"name", "path", "type", "existing", "content"}
    options = {key: value for key, value in item.items() if key not in own}
    for key in ("include", "exclude"):
        if key in options:
            options[key] = tuple(options[key])
    path = str(base / item["path"])
    if kind == "dir":
        watch_dir(path, **options)  # checks the options
    content = item.get("content")
    return WatchSpec(
        name=item["name"],
        path=path,
        kind=kind,
        options=options,
        content=None if content is None else ContentOptions(**content),
        existing=item.get("existing", False),
    )


def _follow(item: dict[str, Any], base: Path) -> FollowSpec:
    options = {key: value for key, value in item.items() if key not in {"name", "path"}}
    path = os.path.join(base, item["path"])
    follow(path, **options)  # checks the options
    return FollowSpec(name=item["name"], path=path, options=options)


def _output(item: dict[str, Any], base: Path) -> OutputSpec:
    allow = item.get("allow")
    return OutputSpec(
        name=item["name"],
        path=os.path.join(base, item["path"]),
        allow=None if allow is None else frozenset(allow),
        options={k: v for k, v in item.items() if k not in {"name", "path", "allow"}},
    )
