"""Safe output: write into one folder and nowhere else."""

from __future__ import annotations

from limpet.output._async_output import AsyncOutput, Ticket, open_output
from limpet.output._config import OutputOptions
from limpet.output._limits import OutputLimits, Rotation
from limpet.output._name_validation import safe_name
from limpet.output._operations import (
    AppendToFile,
    CreateFile,
    DeleteDir,
    DeleteFile,
    Durability,
    MakeDir,
    MoveFile,
    Operation,
    OverwriteFile,
    verb_of,
)
from limpet.output._output import Output
from limpet.output._output_stats import OutputStats, added
from limpet.output._rename_free import rename_to_free_path
from limpet.output._results import Done, RefusalCode, Refused, Result, RootState

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
    "OutputStats",
    "OverwriteFile",
    "RefusalCode",
    "Refused",
    "Result",
    "RootState",
    "Rotation",
    "Ticket",
    "added",
    "open_output",
    "rename_to_free_path",
    "safe_name",
    "verb_of",
]
