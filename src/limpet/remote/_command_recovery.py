"""Completes a command that was interrupted by a crash: its effect is there once, or is refused."""

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
from limpet.remote._command_codec import CommandRefused
from limpet.remote._command_journal import CommandRecord


def resume(record: CommandRecord, operation: Operation, output: Output) -> Result:
    """Complete an operation that was started, and return its result.

    Raises:
        CommandRefused: Another program wrote meanwhile.
    """
    match operation:
        case AppendToFile():
            return _append(record, operation, output)
        case CreateFile():
            if _holds(output, operation):
                overwrite = OverwriteFile(name=operation.name, content=operation.data())
                return _result_of(operation, output.perform(overwrite), existed=False)
            return output.perform(operation)
        case OverwriteFile():
            return output.perform(operation)
        case DeleteFile() | DeleteDir():
            return output.perform(dataclasses.replace(operation, missing_ok=True))
        case MakeDir():
            return output.perform(dataclasses.replace(operation, exist_ok=True))
        case MoveFile():
            return _move(operation, output)


def _append(record: CommandRecord, operation: AppendToFile, output: Output) -> Result:
    data, before = operation.data(), record.pre_size or 0
    try:
        tail = output.tail(operation.name, len(data))
    except OutputError:
        return output.perform(operation)
    size = 0 if tail is None else tail.size
    written = size - before
    if tail is None or written == 0:
        return output.perform(operation)
    if written < 0 or written > len(data):
        text = (
            f"{operation.name!s} had {before:,} bytes before the append of {len(data):,}, and now "
            f"has {size:,}: another program wrote, and whether it was appended is unknown"
        )
        raise CommandRefused(text, code="conflict")
    if tail.data[-written:] != data[:written]:
        text = f"{operation.name!s} does not end in the bytes of the append: another program wrote"
        raise CommandRefused(text, code="conflict")
    rest = dataclasses.replace(operation, content=data[written:])
    return _result_of(operation, output.perform(rest), size=len(data), existed=bool(before))


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
    """Return whether the file has this content already."""
    data = operation.data()
    try:
        tail = output.tail(operation.name, len(data))
    except OutputError:
        return False
    return tail is not None and tail.size == len(data) and tail.data == data


def _result_of(
    operation: Operation, result: Result, *, size: int | None = None, existed: bool
) -> Result:
    if not isinstance(result, Done):
        return result
    size = result.bytes if size is None else size
    return dataclasses.replace(result, operation=operation, bytes=size, existed=existed)
