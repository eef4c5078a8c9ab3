"""The keyword arguments of an output's methods: the fields of the operation each of them makes."""

from __future__ import annotations

from typing import Literal, TypedDict

from limpet.output._limits import Rotation
from limpet.output._operations import Durability


class Creating(TypedDict, total=False):
    """As ``CreateFile`` explains them."""

    durability: Durability | None
    encoding: str
    newline: Literal["", "\n", "\r\n"]
    parents: bool
    mode: int | None


class Overwriting(Creating, total=False):
    """As ``OverwriteFile`` explains them."""

    replace_link: bool
    replace_read_only: bool


class Appending(Creating, total=False):
    """As ``AppendToFile`` explains them."""

    create: bool
    newline_guard: bool
    lock: bool
    rotation: Rotation | None


class Deleting(TypedDict, total=False):
    """As ``DeleteFile`` and ``DeleteDir`` explain them."""

    durability: Durability | None
    missing_ok: bool


class MakingDir(TypedDict, total=False):
    """As ``MakeDir`` explains them."""

    durability: Durability | None
    exist_ok: bool
    parents: bool


class Moving(TypedDict, total=False):
    """As ``MoveFile`` explains them."""

    durability: Durability | None
    overwrite: bool
    replace_read_only: bool
    parents: bool
