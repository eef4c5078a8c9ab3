"""The configuration file of an agent."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from limpet.config import ContentOptions, WatchOptions
from limpet.following import FollowOptions, follow
from limpet.remote._agent import AgentOptions, OutputSpec
from limpet.remote._agent_follow import FollowSpec
from limpet.remote._agent_watch import WatchSpec
from limpet.remote._command_codec import OPERATIONS
from limpet.remote._config_tables import (
    Table,
    each,
    flag,
    number,
    one_of,
    options_of,
    path,
    read_yaml,
    size,
    slug,
    text,
    whole,
)
from limpet.remote._connection_config import HUB_TABLE, HubAddress
from limpet.watch import watch_dir, watch_file

_SET_BY_AGENT: Final = frozenset({"existing", "own", "state", "content", "settle_dir"})
"""Options of a watch that its entry in the file does not pass on.

``settle_dir`` because each start of an agent finds what is there by ``existing`` and compares it
with its snapshots, which do not have which folders were finished: it would report them again.
"""

_SET_BY_FOLLOW: Final = frozenset(
    """
    start state commit on_corrupt durability mode settle max_bytes until
    delimiter keep_cr follow_symlinks
    """.split()
)
"""The same of a follower: an agent keeps its checkpoint and sends lines until it is stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """The content of an agent's file."""

    options: AgentOptions
    hub: HubAddress


def _watch(found: dict[str, Any]) -> WatchSpec:
    spec = {key: found.pop(key) for key in ("name", "path", "existing", "content") if key in found}
    kind = found.pop("type", "dir")
    (watch_dir if kind == "dir" else watch_file)(spec["path"], **found)  # checks the options
    return WatchSpec(**spec, kind=kind, options=found)


def _follow(found: dict[str, Any]) -> FollowSpec:
    name, place = found.pop("name"), found.pop("path")
    follow(place, **found)  # checks the options
    return FollowSpec(name=name, path=place, options=found)


def _output(found: dict[str, Any]) -> OutputSpec:
    name, place, allow = found.pop("name"), found.pop("path"), found.pop("allow", None)
    allowed = None if allow is None else frozenset(allow)
    return OutputSpec(name=name, path=place, allow=allowed, options=found)


def _agent(found: dict[str, Any]) -> AgentConfig:
    spool = found.pop("spool")
    if "retain" in spool:
        spool["retain_s"] = spool.pop("retain")
    options = AgentOptions(
        host=found["host"],
        spool=spool.pop("path"),
        spool_options=spool,
        watches=found.get("watch", ()),
        follows=found.get("follow", ()),
        outputs=found.get("output", ()),
        prefix=found.get("prefix", "limpet"),
    )
    return AgentConfig(hub=found["hub"], options=options)


_CONTENT: Final = Table(
    options_of(ContentOptions, [one.name for one in fields(ContentOptions)]),
    make=lambda found: ContentOptions(**found),
)
_WATCH: Final = Table(
    {
        "name": slug,
        "path": path,
        "type": one_of("dir", "file"),
        "existing": flag,
        "content": _CONTENT,
        **options_of(
            WatchOptions,
            [one.name for one in fields(WatchOptions) if one.name not in _SET_BY_AGENT],
        ),
    },
    required=frozenset({"name", "path"}),
    make=_watch,
)
_FOLLOW: Final = Table(
    {
        "name": slug,
        "path": path,
        "start": one_of("end", "beginning", "last", "checkpoint"),
        "keep_cr": flag,
        **options_of(
            FollowOptions,
            [one.name for one in fields(FollowOptions) if one.name not in _SET_BY_FOLLOW],
        ),
    },
    required=frozenset({"name", "path"}),
    make=_follow,
)
_OUTPUT: Final = Table(
    {
        "name": slug,
        "path": path,
        "allow": each(one_of(*OPERATIONS)),
        "create": flag,
        "durability": one_of("none", "file", "full"),
        "portable": flag,
    },
    required=frozenset({"name", "path"}),
    make=_output,
)
_SPOOL: Final = Table(
    {
        "path": path,
        "max_bytes": size,
        "max_events": whole(1),
        "when_full": one_of("block", "collapse"),
        "durability": one_of("normal", "full"),
        "retain": number(),
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
    make=_agent,
)


def load_agent(file: str | Path) -> AgentConfig:
    """Read an agent's configuration; relative paths in it are relative to the file.

    Raises:
        ConfigError: It has mistakes; all of them are listed, with their positions.
        MissingExtraError: PyYAML is not installed.
    """
    found: AgentConfig = read_yaml(file, _AGENT, "agent")
    return found
