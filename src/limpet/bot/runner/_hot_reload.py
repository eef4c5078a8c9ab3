"""Decide which components of a changed file go on running."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

from mewbot.core import IOConfigInterface

from limpet.bot._components import Components
from limpet.bot.io._filesystem import FileSystem


def adopt(old: Components, new: Components) -> Components:
    """Return the new components, with those of the old that go on in place of their new ones.

    A ``FileSystem`` with the same uuid goes on with the new values: a path that it keeps is watched
    without a gap. Another IOConfig with the same uuid, class and properties goes on, too.
    """
    known = {_uuid(one): one for one in old.io_configs if _uuid(one)}
    io_configs = [_chosen(known.get(_uuid(one)), one) for one in new.io_configs]
    return dataclasses.replace(new, io_configs=tuple(io_configs))


def _chosen(old: IOConfigInterface | None, new: IOConfigInterface) -> IOConfigInterface:
    if old is None or type(old) is not type(new):
        return new
    if isinstance(old, FileSystem) and isinstance(new, FileSystem):
        old.become(new)
        return old
    one, two = _properties(old), _properties(new)
    return old if one is not None and one == two else new


def _uuid(one: Any) -> str:  # noqa: ANN401 - any component
    return str(getattr(one, "uuid", ""))


def _properties(one: Any) -> object:  # noqa: ANN401 - any component
    with contextlib.suppress(Exception):
        return one.serialise()["properties"]
    return None
