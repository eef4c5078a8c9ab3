"""A place between two lines of a file, in a form that can be found again after a restart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

from limpet._fingerprint import HEAD, WINDOW, digest
from limpet.errors import UsageError

_MARK: Final = "limpet-position-1"
Print = tuple[int, str]
"""Number of bytes, and their digest."""


def make_print(data: bytes) -> Print:
    """Return size and digest of the bytes."""
    return len(data), digest(data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A place between two lines of one file: store it as text, and start from it again.

    ``Position.parse`` is the inverse of ``str(position)``. A program that stores it in the same
    transaction as what it made of the lines processes each line exactly once.
    """

    generation: int
    """Number of the file among those that were found at the path."""
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
    """As detected at the beginning of the file."""
    skipping: bool = False
    """The offset lies within a line that is too long and whose rest is left out."""

    def __str__(self) -> str:
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
        """Return the position that ``str`` made this text of.

        Raises:
            UsageError: The text is not a position.
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
            message = f"not a position: {text!r}; pass what str(position) returned"
            raise UsageError(message) from error
        return made

    def is_same_file(self, other: Position, beginning: bytes | None) -> bool:
        """Return whether another position, perhaps of a later run, is in the same file.

        Args:
            other: The other position.
            beginning: The first bytes of its file. Without them the numbers must agree, as those
                of a file do that a checkpoint had.
        """
        if self.inode != other.inode:
            return False
        if len({self.inode_generation, other.inode_generation} - {None}) > 1:
            return False
        if beginning is None:
            return self.generation == other.generation
        return make_print(beginning[: self.head[0]]) == self.head

    def fits(
        self,
        device_inode: tuple[int, int],
        inode_generation: int | None,
        size: int,
        read: Callable[[int, int], bytes],
    ) -> bool:
        """Return whether a file is the one of this position, or a copy of it that may have grown.

        The device number is not evidence: logical volumes and network mounts get a new one.

        Args:
            device_inode: The file's device and inode number.
            inode_generation: The inode's generation, if known.
            size: The file's size.
            read: Returns ``size`` bytes of the file from an offset: ``read(size, offset)``.
        """
        if size < self.offset:
            return False
        same = device_inode[1] == self.inode
        certain = same and None not in {inode_generation, self.inode_generation}
        if certain and inode_generation != self.inode_generation:
            # Another file got the inode number; it may still be a copy of this one.
            same = certain = False
        if not self.offset and not certain:
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
