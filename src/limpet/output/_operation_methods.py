"""The operations of an output as methods; the same for its synchronous and its async form."""

from __future__ import annotations

from typing import Generic, TypeVar, Unpack

from limpet.output._content import Content, Record
from limpet.output._keywords import (
    Appending,
    Creating,
    Deleting,
    MakingDir,
    Moving,
    Overwriting,
)
from limpet.output._operations import (
    AppendToFile,
    CreateFile,
    DeleteDir,
    DeleteFile,
    MakeDir,
    MoveFile,
    Name,
    Operation,
    OverwriteFile,
)

_R_co = TypeVar("_R_co", covariant=True)


class OperationMethods(Generic[_R_co]):
    """One method for each operation; it returns ``Done``, or what is awaited for it."""

    def _perform_or_raise(self, operation: Operation) -> _R_co:
        """Perform an operation, and raise the matching exception if it is refused."""
        raise NotImplementedError  # each form of an output has its own

    def create(self, name: Name, content: Content, **options: Unpack[Creating]) -> _R_co:
        """Create a new file; ``CreateFile`` explains the options.

        Raises:
            OutputError: It was not created; ``ExistsError`` if the name is taken.
        """
        return self._perform_or_raise(CreateFile(name=name, content=content, **options))

    def overwrite(self, name: Name, content: Content, **options: Unpack[Overwriting]) -> _R_co:
        """Replace the content of a file, all or nothing; ``OverwriteFile`` explains the options.

        Raises:
            OutputError: The file has its old content.
        """
        return self._perform_or_raise(OverwriteFile(name=name, content=content, **options))

    def append(self, name: Name, content: Record, **options: Unpack[Appending]) -> _R_co:
        """Append one record to a file; ``AppendToFile`` explains the options.

        Raises:
            OutputError: Nothing of the record is in the file, unless the message says how much.
        """
        return self._perform_or_raise(AppendToFile(name=name, content=content, **options))

    def delete(self, name: Name, **options: Unpack[Deleting]) -> _R_co:
        """Remove a file; ``DeleteFile`` explains the options.

        Raises:
            OutputError: It stays; ``MissingError`` if there is none.
        """
        return self._perform_or_raise(DeleteFile(name=name, **options))

    def delete_dir(self, name: Name, **options: Unpack[Deleting]) -> _R_co:
        """Remove an empty directory; ``DeleteDir`` explains the options.

        Raises:
            OutputError: It stays.
        """
        return self._perform_or_raise(DeleteDir(name=name, **options))

    def make_dir(self, name: Name, **options: Unpack[MakingDir]) -> _R_co:
        """Create a directory; ``MakeDir`` explains the options.

        Raises:
            OutputError: It was not created.
        """
        return self._perform_or_raise(MakeDir(name=name, **options))

    def move(self, name: Name, target: Name, **options: Unpack[Moving]) -> _R_co:
        """Rename a file or directory; ``MoveFile`` explains the options.

        Raises:
            OutputError: Both names are as they were.
        """
        return self._perform_or_raise(MoveFile(name=name, target=target, **options))
