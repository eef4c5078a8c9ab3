"""What all parts of one watch share: its options, the disk, its sources of hints, its events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from limpet.backends import Capabilities, HintRouter, PendingHints, PollSource, TreeSource
    from limpet.config import WatchOptions
    from limpet.watching.emit._debounce import Debouncer
    from limpet.watching.emit._degradation import Degradation
    from limpet.watching.emit._event_factory import EventFactory
    from limpet.watching.emit._own_writes import OwnWrites
    from limpet.watching.index._fs import FileSystemCalls


@dataclass(slots=True, kw_only=True, eq=False)
class WatchServices:
    """The services of one watch, made before its parts and shared by them."""

    location: Path
    """Absolute."""
    options: WatchOptions
    disk: FileSystemCalls
    emit: EventFactory
    debouncer: Debouncer
    own_writes: OwnWrites
    degradation: Degradation
    router: HintRouter
    """Where directories are marked; shared by the watches of one event loop."""
    hints: PendingHints
    """Where the hints of this watch are added."""
    capabilities: Capabilities
    """Capabilities of the backend that was chosen."""
    order: tuple[str, ...]
    """Sources that mark directories, best first; empty marks nothing."""
    in_group: bool = False
    """What goes here may come in another place of one consumer."""
    left_out: frozenset[tuple[str, str]] = frozenset()
    """Directory (relative) and name of what another watch reports."""
    poll: PollSource
    """The directories that nothing reports."""
    tree_source: TreeSource | None
    """The source that reports the whole tree, if the backend is one."""
    network: bool
    """The location is on a mount that may go away for a moment."""
