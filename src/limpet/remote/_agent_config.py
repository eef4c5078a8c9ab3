"""The configuration file of an agent."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, model_validator

from limpet._option_models import ContentSetting, model_of
from limpet._setting_types import OneOf, OneOrMore, PositiveCount, Seconds, Size, Text
from limpet.config import WatchOptions
from limpet.errors import UsageError
from limpet.following import FollowOptions, follow
from limpet.remote._agent_follow import FollowSpec
from limpet.remote._agent_options import AgentOptions, OutputSpec
from limpet.remote._agent_watch import WatchSpec
from limpet.remote._command_codec import OPERATIONS
from limpet.remote._config_file import ConfigPath, FileModel, Prefix, Slug, read_model, schema_of
from limpet.remote._connection_config import HubAddress
from limpet.remote._spool import Spool
from limpet.remote._subjects import repeated
from limpet.remote.transport._addresses import addresses_of
from limpet.watching import watch_dir, watch_file

_SET_BY_AGENT: Final = frozenset({"own", "state", "settle_dir"})
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


_SPOOL: Final[dict[str, Any]] = {
    name: one.default for name, one in inspect.signature(Spool).parameters.items()
}
"""The defaults of a spool."""

_WatchOptions: Any = model_of(
    WatchOptions,
    tuple(one.name for one in fields(WatchOptions) if one.name not in _SET_BY_AGENT),
)
_FollowOptions: Any = model_of(
    FollowOptions,
    tuple(one.name for one in fields(FollowOptions) if one.name not in _SET_BY_FOLLOW),
)


def _options(entry: BaseModel, own: frozenset[str]) -> dict[str, Any]:
    """Return what an entry of the file sets, without the keys that are its own."""
    return {name: getattr(entry, name) for name in sorted(entry.model_fields_set - own)}


class WatchEntry(_WatchOptions):  # type: ignore[misc]  # its fields are those of the dataclass
    """A folder or file that the agent watches; its options are those of ``watch_dir``."""

    own_keys: ClassVar = frozenset({"name", "path", "type", "existing", "content"})

    name: Slug = Field(description="Name of the watch: part of the subject of its events.")
    path: ConfigPath = Field(description="Folder or file; it need not exist yet.")
    type: Literal["dir", "file"] = Field("dir", description="Which of the two it is.")
    existing: bool = Field(
        default=False, description="At the very first start, also report what is there."
    )
    content: ContentSetting | None = Field(
        None, description="Put a file's content into its events."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        _ = self.spec  # made now, with the check of its options
        return self

    @cached_property
    def spec(self) -> WatchSpec:
        """The watch.

        Raises:
            UsageError: Its options do not go together.
        """
        options = _options(self, self.own_keys)
        (watch_dir if self.type == "dir" else watch_file)(self.path, **options)
        return WatchSpec(
            name=self.name,
            path=self.path,
            kind=self.type,
            existing=self.existing,
            content=self.content,
            options=options,
        )


class FollowEntry(_FollowOptions):  # type: ignore[misc]  # its fields are those of the dataclass
    """A file that the agent follows; its options are those of ``follow``."""

    own_keys: ClassVar = frozenset({"name", "path"})

    name: Slug = Field(description="Name of the follower: part of the subject of its events.")
    path: ConfigPath = Field(description="File, or glob of files.")
    start: Literal["end", "beginning", "last", "checkpoint"] = Field(
        "end", description="Where a file without a checkpoint is begun."
    )
    keep_cr: bool = Field(
        default=False, description="Leave a carriage return at the end of a line."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        _ = self.spec  # made now, with the check of its options
        return self

    @cached_property
    def spec(self) -> FollowSpec:
        """The follower.

        Raises:
            UsageError: Its options do not go together.
        """
        options = _options(self, self.own_keys)
        follow(self.path, **options)
        return FollowSpec(name=self.name, path=self.path, options=options)


class OutputEntry(FileModel):
    """A folder that bots of other hosts may write into; its options are those of ``Output``."""

    own_keys: ClassVar = frozenset({"name", "path", "allow"})

    name: Slug = Field(description="Name of the output: part of the subject of its commands.")
    path: ConfigPath = Field(description="The folder; nothing is written outside of it.")
    allow: list[Annotated[str, OneOf(OPERATIONS)]] | None = Field(
        None, description="Operations that are allowed; without it all."
    )
    create: bool = Field(default=True, description="Create the folder if it is missing.")
    durability: Literal["none", "file", "full"] = Field(
        "none", description="What must survive a crash of the system."
    )
    portable: bool = Field(
        default=False, description="Refuse names that are invalid on any system."
    )

    @cached_property
    def spec(self) -> OutputSpec:
        """The output."""
        allow = None if self.allow is None else frozenset(self.allow)
        options = _options(self, self.own_keys)
        return OutputSpec(name=self.name, path=self.path, allow=allow, options=options)


class _Hub(FileModel):
    url: OneOrMore[Text] = Field(
        description="nats://host:port or tls://host:port; of a cluster those of all servers."
    )
    user: Text | None = Field(None, description="User; with a password alone, the host's name.")
    password: Text | None = Field(None, description="Password; better in a file of its own.")
    password_file: ConfigPath | None = Field(None, description="File with the password.")
    ca: ConfigPath | None = Field(None, description="Certificate of the authority.")
    cert: ConfigPath | None = Field(None, description="Certificate of this host.")
    key: ConfigPath | None = Field(None, description="Its key.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        addresses_of(self.url)
        _ = self.address  # read now: the password is in a file of its own
        return self

    @cached_property
    def address(self) -> HubAddress:
        """The address; the file with the password is read.

        Raises:
            ConfigError: It cannot be read.
        """
        return HubAddress.read({name: getattr(self, name) for name in self.model_fields_set})


class _Spool(FileModel):
    path: ConfigPath = Field(description="File in which events wait for the hub.")
    max_bytes: Size = Field(_SPOOL["max_bytes"], description="Most bytes that wait.")
    max_events: PositiveCount = Field(_SPOOL["max_events"], description="Most events that wait.")
    when_full: Literal["block", "collapse"] = Field(
        "block", description="Wait for room, or keep the newest event of each path."
    )
    durability: Literal["normal", "full"] = Field(
        "normal", description="What must survive a crash of the system."
    )
    retain: Seconds = Field(
        _SPOOL["retain_s"], description="Seconds for which events that were sent are kept."
    )

    def options(self) -> dict[str, Any]:
        """Return what is set, by the names of ``Spool``."""
        found = _options(self, frozenset({"path", "retain"}))
        return found | ({"retain_s": self.retain} if "retain" in self.model_fields_set else {})


def _each_named_once(entries: list[Any]) -> list[Any]:
    if twice := repeated(one.name for one in entries):
        message = f"two are named {twice[0]!r}: give each its own name"
        raise UsageError(message)
    return entries


_NAMED: Final = AfterValidator(_each_named_once)


class AgentFile(FileModel):
    """The file of an agent."""

    host: Slug = Field(description="Name of this host on the hub.")
    prefix: Prefix = Field("limpet", description="Prefix of the fleet's subjects.")
    hub: _Hub = Field(description="The hub and how to connect to it.")
    spool: _Spool = Field(description="Where events wait while the hub is away.")
    watch: Annotated[list[WatchEntry], _NAMED] = Field(
        [], description="Folders and files that are watched."
    )
    follow: Annotated[list[FollowEntry], _NAMED] = Field(
        [], description="Files whose new lines are sent."
    )
    output: Annotated[list[OutputEntry], _NAMED] = Field(
        [], description="Folders that others may write into."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Refuse a watch and a follower of one name: their events would have one subject."""
        _each_named_once([*self.watch, *self.follow])
        return self


def agent_schema() -> dict[str, Any]:
    """Return the JSON Schema of an agent's file."""
    return schema_of(AgentFile, "agent")


def load_agent(file: str | Path) -> AgentConfig:
    """Read an agent's configuration; relative paths in it are relative to the file.

    Raises:
        ConfigError: It has mistakes; all of them are listed, with their positions.
        MissingExtraError: ruamel.yaml is not installed.
    """
    found = read_model(file, AgentFile, "agent")
    options = AgentOptions(
        host=found.host,
        spool=found.spool.path,
        spool_options=found.spool.options(),
        watches=tuple(one.spec for one in found.watch),
        follows=tuple(one.spec for one in found.follow),
        outputs=tuple(one.spec for one in found.output),
        prefix=found.prefix,
    )
    return AgentConfig(hub=found.hub.address, options=options)
