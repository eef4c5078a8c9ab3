"""Where somebody has read to, in a form that finds its place again after a restart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from limpet._fingerprint import HEAD, WINDOW, digest
from limpet.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Position", "Print", "make_print"]

_MARK: Final = "limpet-position-1"
Print = tuple[int, str]
"""How many bytes, and their digest."""


def make_print(data: bytes) -> Print:
    """Give what stands for these bytes."""
    return len(data), digest(data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A place between two lines of one file: keep it as text, and start from it again.

    ``str(position)`` and ``Position.parse`` are each other's inverse. Whoever stores it together
    with what he made of the lines has each of them exactly once.
    """

    generation: int
    """Number of the file among those that have stood at the path."""
    offset: int
    """Bytes from the beginning of the file."""
    device: int
    inode: int
    inode_generation: int | None
    head: Print
    """Size and digest of the first bytes of the file, at most 1024."""
    tail: Print
    """Size and digest of the bytes before the offset, at most 256."""
    encoding: str | None = None
    """As found out at the beginning of the file."""
    skipping: bool = False
    """It lies within a line that is too long, the rest of which is left out."""

    def __str__(self) -> str:
        """Give it as one printable word."""
        inode_generation = "-" if self.inode_generation is None else self.inode_generation
        return "/".join(
            (
                _MARK,
                f"{self.generation}",
                f"{self.offset}{'s' if self.skipping else ''}",
                f"{self.device}.{self.inode}.{inode_generation}",
                f"{self.head[0]}.{self.head[1]}",
                f"{self.tail[0]}.{self.tail[1]}",
                self.encoding or "-",
            )
        )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what ``str`` gave.

        Raises:
            UsageError: It is no position.
        """
        try:
            mark, generation, offset, file, head, tail, encoding = text.split("/")
            if mark != _MARK:
                raise ValueError(mark)
            device, inode, inode_generation = file.split(".")
            made = cls(
                generation=int(generation),
                offset=int(offset.removesuffix("s")),
                device=int(device),
                inode=int(inode),
                inode_generation=None if inode_generation == "-" else int(inode_generation),
                head=_parse_print(head, HEAD),
                tail=_parse_print(tail, WINDOW),
                encoding=None if encoding == "-" else encoding,
                skipping=offset.endswith("s"),
            )
        except ValueError as error:
            message = f"not a position: {text!r}; give what str(position) gave"
            raise UsageError(message) from error
        return made

    def fits(
        self,
        device_inode: tuple[int, int],
        inode_generation: int | None,
        size: int,
        read: Callable[[int, int], bytes],
    ) -> bool:
        """Tell whether a file is this one, or a copy of it that may have grown.

        The device's number is no evidence: logical volumes and network mounts are numbered anew.

        Args:
            device_inode: Of the file.
            inode_generation: Of the file, if known.
            size: Of the file.
            read: Gives so many bytes of it from an offset.
        """
        same = device_inode[1] == self.inode
        if size < self.offset:
            return False
        if same and None not in {inode_generation, self.inode_generation}:
            if inode_generation != self.inode_generation:
                return False
        elif not self.offset:
            return same
        return all(
            make_print(read(size, at)) == (size, known)
            for (size, known), at in (
                (self.head, 0),
                (self.tail, self.offset - self.tail[0]),
            )
        )


def _parse_print(text: str, most: int) -> Print:
    size, _, known = text.partition(".")
    if not 0 <= int(size) <= most:
        raise ValueError(size)
    return int(size), known
