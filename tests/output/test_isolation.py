"""One poisonous operation has a result of its own; its neighbours are done all the same."""

from __future__ import annotations

import asyncio
import datetime as dt
import decimal
import errno
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path, PurePath
from typing import Any

import anyio
import pytest

import limpet
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
    OutputLimits,
    OverwriteFile,
    Refused,
    Rotation,
    open_output,
)
from tests.output.system_calls import SystemCalls
from tests.output.test_faults import CALLS
from tests.resources import Resources

KINDS: list[type[Any]] = [
    CreateFile,
    OverwriteFile,
    AppendToFile,
    DeleteFile,
    DeleteDir,
    MakeDir,
    MoveFile,
]


class Odd:
    """Has a ``repr`` that fails, as a value in the middle of its making may."""

    def __repr__(self) -> str:
        raise ZeroDivisionError


class Shouting(str):
    """A text of a class of its own."""

    __slots__ = ()


VALUES: list[Any] = [
    None,
    True,
    0,
    1,
    -1,
    1 << 70,
    1.5,
    float("nan"),
    float("inf"),
    decimal.Decimal(1),
    2j,
    "",
    "x",
    "\0",
    "\ud800",
    "é" * 300,
    "../x",
    "hex",
    "idna",
    "undefined",
    "utf-16",
    "no\0codec",
    Shouting("x"),
    b"",
    b"x",
    bytearray(b"x"),
    memoryview(b"x"),
    [],
    [b"x"],
    ["x"],
    [None],
    (),
    {},
    {1},
    frozenset(),
    object(),
    object,
    ...,
    print,
    PurePath("x"),
    PurePath("x/y"),
    io.BytesIO(b"x"),
    io.StringIO("x"),
    iter([b"x"]),
    range(3),
    dt.datetime(2400, 1, 1, tzinfo=dt.UTC),
    Rotation(max_bytes=1),
    OutputLimits(),
    RuntimeError("x"),
]


def base(kind: type[Any]) -> dict[str, Any]:
    given: dict[str, Any] = {"name": "poison"}
    if kind in {CreateFile, OverwriteFile, AppendToFile}:
        given["content"] = "x"
    if kind is MoveFile:
        given["target"] = "poison2"
    return given


def with_neighbours(out: Output, poison: Operation) -> list[Any]:
    """Return the results of a batch: an append, the poison, an append, a new file."""
    return out.perform_all(
        [
            AppendToFile(name="log", content="one\n"),
            poison,
            AppendToFile(name="log", content="two\n"),
            OverwriteFile(name="other", content="whole"),
        ]
    )


def check_neighbours(root: Path, answers: list[Any]) -> None:
    assert [isinstance(answers[n], Done) for n in (0, 2, 3)] == [True] * 3, answers
    assert isinstance(answers[1], Done | Refused)
    assert (root / "log").read_text() == "one\ntwo\n"
    assert (root / "other").read_text() == "whole"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_values_of_every_type_for_each_argument(root: Path, kind: type[Any]) -> None:
    """O1: a UsageError where the operation is made, or an operation that harms no neighbour."""
    refused = 0
    with Output(root, durability="file") as out:
        for field in fields(kind):
            for value in VALUES:
                try:
                    poison = kind(**{**base(kind), field.name: value})
                except limpet.UsageError as error:
                    refused += field.name in str(error)
                    continue
                check_neighbours(root, with_neighbours(out, poison))
                out.delete("log")
    assert refused > 20


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_values_that_passed_no_check(root: Path, kind: type[Any]) -> None:
    """An operation may come from a pickle, or be half made: its result is its own all the same."""
    with Output(root) as out:
        for field in fields(kind):
            for value in [*VALUES, Odd()]:
                poison = kind(**base(kind))
                object.__setattr__(poison, field.name, value)
                answers = out.perform_all(
                    [
                        AppendToFile(name="log", content="one\n"),
                        poison,
                        AppendToFile(name="log", content="two\n"),
                    ]
                )
                assert [isinstance(answers[n], Done) for n in (0, 2)] == [True] * 2
                assert (root / "log").read_text() == "one\ntwo\n"
                out.delete("log")


RAISED: list[Callable[[], BaseException]] = [
    lambda: MemoryError(),
    lambda: RecursionError("maximum recursion depth exceeded"),
    lambda: OverflowError("int too big"),
    lambda: UnicodeEncodeError("utf-8", "x", 0, 1, "no"),
    lambda: UnicodeError("label too long"),
    lambda: KeyError("x"),
    lambda: AttributeError("x"),
    lambda: StopIteration(),
    lambda: OSError("no errno"),
    lambda: OSError(1 << 20, "an errno that nobody knows"),
]


@pytest.mark.parametrize("make", RAISED, ids=[str(n) for n in range(len(RAISED))])
def test_whatever_one_operation_raises(root: Path, make: Callable[[], BaseException]) -> None:
    """It becomes the result of that operation, with its cause; no descriptor is left."""

    class Raising(SystemCalls):
        def stat_at(self, dir_fd: int, name: str) -> os.stat_result:
            if name == "poison":
                raise make()
            return super().stat_at(dir_fd, name)

    with Output(root, calls=Raising()) as out:
        before = Resources()
        for kind in KINDS:
            if kind in {CreateFile, MakeDir}:
                continue  # they find out by creating
            answers = with_neighbours(out, kind(**base(kind)))
            check_neighbours(root, answers)
            assert isinstance(answers[1], Refused)
            if answers[1].code == "internal":
                assert type(answers[1].error().__cause__) is type(make())
            out.delete("log")
        assert before.left() == []


@pytest.mark.parametrize("nth", range(1, 40))
def test_every_errno_at_each_call_of_one_operation(root: Path, nth: int) -> None:
    """A call that fails in one operation is no other's; what is shared concerns all that share."""

    class Failing(SystemCalls):
        """Fails the nth call after the poison's name was met, whatever it is."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number
            self.left = 0

        def __getattribute__(self, name: str) -> Any:
            found = super().__getattribute__(name)
            if name not in CALLS:
                return found

            def call(*arguments: Any, **more: Any) -> Any:
                if "poison" in arguments and not self.left:
                    self.left = nth + 1
                if self.left > 1:
                    self.left -= 1
                    if self.left == 1:
                        if name == "close":
                            found(*arguments)
                        raise OSError(self.number, os.strerror(self.number))
                return found(*arguments, **more)

            return call

    (root / "poison").write_text("old")
    for number in sorted(errno.errorcode):
        with Output(root, calls=Failing(number), clean=False) as out:
            answers = with_neighbours(out, OverwriteFile(name="poison", content="new"))
        assert isinstance(answers[0], Done)
        text = (root / "poison").read_text()
        assert text == ("new" if isinstance(answers[1], Done) else "old"), (nth, number, answers)
        # The call may be one of a later neighbour, or of the end of the batch.
        records = (root / "log").read_text()
        assert records in {"one\ntwo\n", "one\n"}
        two = answers[2]
        if not isinstance(two, Done) and two.code != "durability":
            assert records == "one\n"
        (root / "log").unlink()
        (root / "poison").write_text("old")
        (root / "other").unlink(missing_ok=True)
        for left in root.glob(".limpet-*"):
            left.unlink()


@pytest.mark.parametrize("wrong", ["log", None, 5, b"x", CreateFile, [], ...], ids=repr)
def test_what_is_no_operation_is_refused_before_anything_is_done(root: Path, wrong: Any) -> None:
    good = AppendToFile(name="log", content="x")
    with Output(root) as out:
        with pytest.raises(limpet.UsageError, match="an operation must be"):
            out.perform_all([good, wrong])
        with pytest.raises(limpet.UsageError, match="an operation must be"):
            out.perform(wrong)
    assert list(root.iterdir()) == []

    async def main() -> None:
        async with open_output(root) as out:
            for method in (out.perform, out.submit):
                with pytest.raises(limpet.UsageError, match="an operation must be"):
                    await method(wrong)
            assert (await out.perform(good)).ok

    asyncio.run(main())


def test_a_hundred_tasks_and_one_poison(root: Path) -> None:
    """O1: ninety-nine are done and say so; the one says what is wrong with it."""

    def stream() -> Iterator[bytes]:
        yield b"some"
        raise ConnectionResetError

    poisons: list[Callable[[Any], Any]] = [
        lambda out: out.overwrite("p", stream()),
        lambda out: out.overwrite("p", [b"a", "b"]),
        lambda out: out.create("p", "é", encoding="ascii"),
        lambda out: out.create("p", "x" * 99, encoding="idna"),
        lambda out: out.append("p\0", "x"),
    ]

    async def main(poison: Callable[[Any], Any]) -> None:
        async with open_output(root) as out:

            async def one(n: int) -> object:
                try:
                    return (await (poison(out) if n == 50 else out.append("log", f"{n}\n"))).ok
                except limpet.OutputError as error:
                    return error

            results = await asyncio.gather(*(one(n) for n in range(100)))
        assert [n for n, result in enumerate(results) if result is not True] == [50]
        assert isinstance(results[50], limpet.OutputError)

    for poison in poisons:
        asyncio.run(main(poison))
        assert len((root / "log").read_text().split()) == 99
        (root / "log").unlink()
        assert list(root.iterdir()) == []


def test_a_watch_that_fails_takes_no_result_away(root: Path) -> None:
    """What receives own writes may be broken; the writes are done and say so."""
    from limpet import _own_write_registry as registry

    class Broken:
        keeps = None

        def note(self, *_: object) -> None:
            raise ZeroDivisionError

        def wake(self) -> None:
            """Never reached."""

    broken: Any = Broken()
    registry.subscribe(broken)
    try:
        with Output(root) as out:
            assert out.perform(CreateFile(name="f", content="x")).ok
    finally:
        registry.unsubscribe(broken)
    assert not registry.open_writes


@pytest.mark.anyio
@pytest.mark.parametrize("kind", [asyncio.CancelledError, GeneratorExit, SystemExit, BaseException])
async def test_a_stream_that_raises_anything_fails_its_own_operation_alone(
    tmp_path: Path, kind: type[BaseException]
) -> None:
    """What is raised in a thread of limpet's is no cancellation of the tasks that wait."""

    def broken() -> Iterator[bytes]:
        yield b"a"
        raise kind

    async with limpet.open_output(tmp_path) as out:
        results: list[Any] = [None] * 7

        async def create(number: int) -> None:
            content: Any = broken() if number == 3 else f"{number}"
            try:
                results[number] = await out.create(f"f{number}", content)
            except limpet.errors.OutputError as error:
                results[number] = error

        async with anyio.create_task_group() as group:
            for number in range(7):
                group.start_soon(create, number)
    assert getattr(results.pop(3), "code", "") == "content"
    assert all(result.ok for result in results)
    assert sorted(os.listdir(tmp_path)) == ["f0", "f1", "f2", "f4", "f5", "f6"]


def test_a_stream_that_uses_its_own_output_is_refused(tmp_path: Path) -> None:
    """It would wait for itself for ever."""
    with limpet.Output(tmp_path) as out:

        def nested() -> Iterator[bytes]:
            yield b"a"
            out.create("inner", "x")

        with pytest.raises(limpet.errors.OutputError, match="uses the same output"):
            out.create("outer", nested())
        assert out.create("other", "y").ok
    assert os.listdir(tmp_path) == ["other"]
