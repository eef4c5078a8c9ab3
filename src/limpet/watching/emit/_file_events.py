"""Makes the events of files that the fast path found, many at a time.

Also in ``_speedups.c``. An event is made here as ``EventFactory`` makes it, without a call for each
of its parts: most of what happens to files is created, written, renamed and deleted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from limpet import events as ev
from limpet._compiled import compiled_if_built
from limpet._lazy_fields import Lazy, Maker
from limpet.backends import WRITE
from limpet.watching.emit._path_cache import join_name
from limpet.watching.emit._path_recipe import RECIPE
from limpet.watching.index._entry_record import kind_of, only_renamed

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet

    from limpet.events import Change, Event, Kind, Origin
    from limpet.watching.index._rows import Block, Row

_new = object.__new__
_MAKER: Final = cast("Any", Lazy)._maker  # noqa: SLF001 (its slots, which frozen closes)
_SOURCE: Final = cast("Any", Lazy)._source  # noqa: SLF001
_PATH: Final = cast("Any", ev.EntryEvent).path
_set_maker, _set_source, set_path = _MAKER.__set__, _SOURCE.__set__, _PATH.__set__

FIXED: Final = (
    ev.FileCreated, ev.FileUpdated, ev.FileRenamed, ev.FileDeleted, ev.DirDeleted, _MAKER, _SOURCE,
    _PATH, RECIPE, join_name,
)  # fmt: skip
"""What the compiled form makes events of."""


class Makers(NamedTuple):
    """The makers of one watch's events of files."""

    plain: Maker
    """Of created and renamed files."""
    written: Maker
    """Of files whose content changed."""
    gone: dict[Kind, Maker]
    """Of what was deleted, by its kind."""
    changed: Callable[[AbstractSet[Change]], Maker]
    """Returns that of files of which something else changed."""


@compiled_if_built
def emit_rows(
    out: list[Event],
    blocks: list[Block],
    pairs: dict[int, int],
    begin: int,
    end: int,
    seq: int,
    time: float,
    origin: Origin,
    makers: Makers,
    besides: Callable[[Block, Row, Block, Row], AbstractSet[Change]],
    fixed: tuple[Any, ...],
) -> int:
    """Record what was found in the index, and make its events.

    Args:
        out: Where the events are added.
        blocks: What was found in all directories.
        pairs: The number of a row that is one end of a rename -> that of the other end.
        begin: The first row to emit.
        end: The row before which to stop.
        seq: Number of the last event.
        time: Of all these events.
        origin: The same.
        makers: What works out their other fields.
        besides: Return what changed of a renamed file besides its name, by block and row of the old
            name and of the new one; called where it is not plain that nothing did.
        fixed: ``FIXED``.

    Returns:
        The number of the last event.
    """
    del fixed  # for the compiled form
    for block in blocks:
        first, rows, _, entries, prefix, path, _, _ = block
        if first >= end or first + len(rows) <= begin:
            continue
        start = max(begin - first, 0)
        for number, row in enumerate(rows[start : end - first], first + start):
            name, _, old, now, changes = row
            source = prefix + name, now, old, ""
            kind: type[ev.EntryEvent]
            maker: Maker
            if pairs and number in pairs:
                other = pairs[number]
                if other < number:
                    continue  # emitted with its other end
                far = next(one for one in reversed(blocks) if one.first <= other)
                far_row = far.rows[other - far.first]
                ends = (block, row, far, far_row) if now is None else (far, far_row, block, row)
                seq = _emit_renamed(out, *ends, seq, time, origin, makers, besides)
                continue
            if now is None:
                if old is None:
                    continue
                del entries[name]
                gone = kind_of(old)
                # Where directories are not entered, one is an entry like any other.
                kind = ev.DirDeleted if gone == "dir" else ev.FileDeleted
                maker = makers.gone[gone]
            else:
                entries[name] = now
                if old is None:
                    kind, maker = ev.FileCreated, makers.plain
                elif changes is True:
                    kind, maker = ev.FileUpdated, makers.written
                elif changes:
                    kind, maker = ev.FileUpdated, makers.changed(changes)
                else:
                    continue
            seq += 1
            event = _new(kind)
            _set_maker(event, maker)
            _set_source(event, (seq, time, origin, False, *source))
            set_path(event, join_name(path, name))
            out.append(event)
    return seq


def _emit_renamed(
    out: list[Event],
    start: Block,
    start_row: Row,
    end: Block,
    end_row: Row,
    seq: int,
    time: float,
    origin: Origin,
    makers: Makers,
    besides: Callable[[Block, Row, Block, Row], AbstractSet[Change]],
) -> int:
    """Record and emit a rename, and what else changed of the file."""
    old, now = start_row[2], end_row[3]
    if old is None or now is None:
        return seq
    name = end_row[0]
    del start.entries[start_row[0]]
    end.entries[name] = now
    path, relative = join_name(end.path, name), end.prefix + name
    seq += 1
    event: Event = _new(ev.FileRenamed)
    _set_maker(event, makers.plain)
    source = start.prefix + start_row[0]
    _set_source(event, (seq, time, origin, False, relative, now, old, source))
    set_path(event, path)
    out.append(event)
    written = bool((start_row[1] | end_row[1]) & WRITE)
    if only_renamed(old, now, written=written, exact=end.exact):
        return seq
    changes = besides(start, start_row, end, end_row)
    if not changes:
        return seq
    seq += 1
    event = _new(ev.FileUpdated)
    _set_maker(event, makers.changed(changes))
    _set_source(event, (seq, time, origin, False, relative, now, old, ""))
    set_path(event, path)
    out.append(event)
    return seq
