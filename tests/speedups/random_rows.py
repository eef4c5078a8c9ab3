"""Makes what the fast path compares, pairs and emits, and runs both forms over it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from limpet.watching.emit._file_events import FIXED, Makers
from limpet.watching.emit._path_cache import join_name
from limpet.watching.emit._path_recipe import find_recipe
from limpet.watching.index._entry_record import pack_fields
from limpet.watching.index._rows import Block
from tests.speedups.forms import ordered

NAMES = ("a", "b", "c", "d.txt", "ä", "\udcff", "名" * 50)
MODES = (0o100644, 0o100600, 0o040755, 0o120777, 0o010644)
CHANGES: tuple[frozenset[str], ...] = (
    frozenset({"content"}),
    frozenset({"mode", "owner"}),
    frozenset(),
)
FIXED_WITH_RECIPE = (*FIXED[:8], find_recipe(), join_name)
FIXED_WITHOUT = (*FIXED[:8], (), join_name)


class NamedMaker:
    """Recognised by its name."""

    def __init__(self, name: object) -> None:
        self.name = name

    def field(self, source: tuple[Any, ...], name: str) -> object:
        return source, name


def changed(changes: frozenset[str]) -> Any:
    return NamedMaker(sorted(changes))


KINDS = ("file", "dir", "symlink", "other")
MAKERS = Makers(
    NamedMaker("plain"),
    NamedMaker("written"),
    {kind: NamedMaker(kind) for kind in KINDS},  # type: ignore[misc]
    changed,  # type: ignore[arg-type]
)


def record(random: Random) -> bytes:
    mode = random.choice(MODES if random.random() < 0.3 else MODES[:1])
    inode = random.choice((1, 2, 3, (1 << 64) - 1))
    return pack_fields(
        inode, random.choice((0, 7)), 5, 1, 0, 0, mode, random.randrange(2), 3,
        random.randrange(2), random.randrange(2), random.randrange(8),
    )  # fmt: skip


def before(random: Random) -> Any:
    what = random.random()
    if what < 0.03:
        return MAKERS  # a directory node: neither a number nor bytes
    return (
        random.choice((1, 2, 3, (1 << 64) - 1)) << 2 | random.randrange(4)
        if (what < 0.2)
        else record(random)
    )


def names_found(random: Random) -> tuple[dict[str, int], list[bytes | None], dict[str, Any], bool]:
    """Return hints, what is on disk of the names that stay, the index, and whether that counts."""
    chosen = random.sample(NAMES, random.randrange(len(NAMES) + 1))
    names = {name: random.getrandbits(13) & random.getrandbits(13) for name in chosen}
    entries = {name: before(random) for name in NAMES if random.random() < 0.6}
    believes = random.random() < 0.5
    found: list[bytes | None] = []
    for name, bits in names.items():
        if believes and bits & (8 | 2048) and not bits & (4 | 4096):
            continue
        same = entries.get(name)
        what = random.random()
        if what < 0.2:
            found.append(None)
        elif what < 0.5 and isinstance(same, bytes):
            found.append(same)
        else:
            found.append(record(random))
    return names, found, entries, believes


def compare(bits: int, old: Any, new: bytes) -> Any:
    """Decide by what is handed in, and now and then for the full path."""
    number = (bits + new[0] + new[41] + (old if isinstance(old, int) else old[62])) % 9
    return None if number == 8 else CHANGES[number % 3]


def besides(start: Block, start_row: Any, end: Block, end_row: Any) -> Any:
    return CHANGES[(start.first + end.first + start_row[1] + end_row[1]) % 3]


def check_rows(random: Random, python: dict[str, Callable[..., Any]], part: Any) -> None:
    """Compare both forms over some directories, from the hints to the events."""
    rows_of: list[tuple[Any, list[Any], dict[str, Any]]] = []
    for number in range(random.randrange(1, 4)):
        names, found, entries, believes = names_found(random)
        exact = random.random() < 0.5
        stay = python["names_that_stay"](names)
        assert ordered(part.names_that_stay(names)) == ordered(stay)
        args = (names, found, entries, believes, exact, compare)
        expected = python["find_rows"](*args)
        assert ordered(part.find_rows(*args)) == ordered(expected)
        if expected is not None:
            rows_of.append(((number, exact), expected[0], entries))
    origins: dict[Any, Any] = {}
    for (number, _), _, _ in rows_of:
        for name in NAMES:
            if random.random() < 0.6:
                other = random.choice(rows_of)[0][0]
                origins[number, name] = other, random.choice(NAMES)
    results = []
    for form in (None, part):
        out: list[Any] = []
        blocks = make_blocks(rows_of)
        tie = python["tie"] if form is None else form.tie
        pairs, gone, come = tie(blocks, origins)
        count = sum(len(block.rows) for block in blocks)
        emit = python["emit_rows"] if form is None else form.emit_rows
        cut = min(count, 3)
        fixed = FIXED_WITH_RECIPE if count % 2 else FIXED_WITHOUT
        seq = 7
        for begin, end in ((0, cut), (cut, count)):
            seq = emit(out, blocks, pairs, begin, end, seq, 1.5, "live", MAKERS, besides, fixed)
        entries_now = [block.entries for block in blocks]
        results.append((ordered((pairs, gone, come, seq, entries_now)), [parts(e) for e in out]))
    assert results[0] == results[1]


def make_blocks(rows_of: list[tuple[Any, list[Any], dict[str, Any]]]) -> list[Block]:
    blocks, first = [], 0
    for (number, exact), rows, entries in rows_of:
        path = Path("/base") if number == 0 else Path("/base/ä b") / str(number)
        prefix = "" if number == 0 else f"ä b/{number}/"
        blocks.append(Block(first, rows, number, {**entries}, prefix, path, f"{path}/", exact))
        first += len(rows)
    return blocks


def parts(event: Any) -> Any:
    """Return all that an event is made of."""
    path = event.path
    return (
        type(event), event._maker.name, ordered(event._source), path, str(path), path.parts,
        path.name, type(path), hash(path), path / "x", path.parent,
    )  # fmt: skip
