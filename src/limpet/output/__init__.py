"""Safe output: write into one folder and nowhere else."""

from __future__ import annotations

from limpet.output._answers import Done, RefusalCode, Refused, Result, RootState
from limpet.output._bounds import OutputLimits, Rotation
from limpet.output._config import OutputOptions
from limpet.output._names import safe_name
from limpet.output._ops import (
    AppendToFile,
    CreateFile,
    DeleteDir,
    DeleteFile,
    Durability,
    MakeDir,
    MoveFile,
    Operation,
    OverwriteFile,
)
from limpet.output._output import Output
from limpet.output._session import AsyncOutput, Ticket, open_output

__all__ = [
    "AppendToFile",
    "AsyncOutput",
    "CreateFile",
    "DeleteDir",
    "DeleteFile",
    "Done",
    "Durability",
    "MakeDir",
    "MoveFile",
    "Operation",
    "Output",
    "OutputLimits",
    "OutputOptions",
    "OverwriteFile",
    "RefusalCode",
    "Refused",
    "Result",
    "RootState",
    "Rotation",
    "Ticket",
    "open_output",
    "safe_name",
]
