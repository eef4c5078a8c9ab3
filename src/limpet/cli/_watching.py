"""What the command line needs of a watch, so that it runs over the real one as over a fake."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import Field
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self

from limpet.events import Event

__all__ = ["Stats", "Watching"]


class Stats(Protocol):
    """A watch's figures: a dataclass, of which the backend's name is known to be there."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def backend(self) -> str:
        """Which backend gives the hints."""
        ...


class Watching(Protocol):
    """What the command line needs of a watch: `limpet.Watch` has it, and so have fakes."""

    @property
    def location(self) -> Path:
        """The place that is watched."""
        ...

    async def __aenter__(self) -> Self:
        """Start; every later change is seen."""
        ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> bool | None:
        """Stop and free everything."""
        ...

    def __aiter__(self) -> AsyncIterator[Event]:
        """Iterate over events, one by one."""
        ...

    def batches(self) -> AsyncIterator[list[Event]]:
        """Iterate over events, all that one look found at a time."""
        ...

    def stats(self) -> Stats:
        """Give the figures as they are now."""
        ...
