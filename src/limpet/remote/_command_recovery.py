"""Finds out how far a command came before the agent died, and brings it to its end."""

from __future__ import annotations

import dataclasses

from limpet.errors import OutputError
from limpet.output import (
    AppendToFile,
    CreateFile,
    DeleteDir,
    DeleteFile,
    Done,
    MakeDir,
    MoveFile,
    Operation,
    Output,
    OverwriteFile,
    Refused,
    Result,
)
from limpet.remote._command_journal import Intent

__all__ = ["redo"]


def redo(intent: Intent, operation: Operation, output: Output) -> Result | bytes:
    """Do again what was begun, so that its effect is there once.

    Returns:
        The answer, or what stands in the way: somebody else wrote meanwhile.
    """
    match operation:
        case AppendToFile():
            return _append(intent, operation, output)
        case CreateFile():
            if _holds(output, operation):
                overwrite = OverwriteFile(name=operation.name, content=operation.data())
                return _as(operation, output.perform(overwrite), existed=False)
            return output.perform(operation)
        case OverwriteFile():
            return output.perform(operation)
        case DeleteFile() | DeleteDir():
            return output.perform(dataclasses.replace(operation, missing_ok=True))
        case MakeDir():
            return output.perform(dataclasses.replace(operation, exist_ok=True))
        case MoveFile():
            return _move(operation, output)


def _append(intent: Intent, operation: AppendToFile, output: Output) -> Result | bytes:
    data, before = operation.data(), intent.pre_size or 0
    try:
        tail = output.tail(operation.name, len(data))
    except OutputError:
        return output.perform(operation)
    size = 0 if tail is None else tail.size
    written = size - before
    if tail is None or written == 0:
        return output.perform(operation)
    if written < 0 or written > len(data):
        return (
            f"{operation.name!s} had {before:,} bytes before the append of {len(data):,} and has "
            f"{size:,} now: somebody else wrote, and whether it was appended cannot be told"
        ).encode()
    if tail.data[-written:] != data[:written]:
        return (
            f"{operation.name!s} ends in other bytes than the append was to write: somebody else "
            "wrote"
        ).encode()
    rest = dataclasses.replace(operation, content=data[written:])
    return _as(operation, output.perform(rest), size=len(data), existed=bool(before))


def _move(operation: MoveFile, output: Output) -> Result:
    result = output.perform(operation)
    if isinstance(result, Refused) and result.code == "missing":
        try:
            moved = output.tail(operation.target, 0) is not None
        except OutputError as error:
            moved = error.code == "is-directory"
        if moved:
            path = output.path / str(operation.target)
            return Done(operation=operation, path=path, bytes=0, stat=None, existed=False)
    return result


def _holds(output: Output, operation: CreateFile) -> bool:
    """Whether the file holds this content already."""
    data = operation.data()
    try:
        tail = output.tail(operation.name, len(data))
    except OutputError:
        return False
    return tail is not None and tail.size == len(data) and tail.data == data


def _as(operation: Operation, result: Result, *, size: int | None = None, existed: bool) -> Result:
    """Give an answer as that of the operation that was asked for."""
    if not isinstance(result, Done):
        return result
    return dataclasses.replace(
        result,
        operation=operation,
        bytes=result.bytes if size is None else size,
        existed=existed,
    )
