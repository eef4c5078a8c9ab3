"""A stream that blocks holds up the task that writes to it, and no other."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import anyio
import pytest

from limpet.cli._writer import Writer, reader_gone, stream_sink
from tests.cli.fakes import stream, written

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def pipe() -> Iterator[tuple[int, io.TextIOWrapper]]:
    """A reading descriptor and a text stream that writes to it."""
    reading, writing = os.pipe()
    text = open(writing, "w", encoding="utf-8")
    yield reading, text
    for close in (text.close, lambda: os.close(reading)):
        with suppress(OSError):
            close()


async def test_all_is_written_in_order() -> None:
    """What several tasks write comes whole, each in its own order; nothing written is nothing."""
    text = stream()
    writer = Writer(stream_sink(text), name="test")

    async def write(word: bytes) -> None:
        for number in range(50):
            await writer.write(b"%s%d\n" % (word, number))

    await writer.write(b"")
    async with anyio.create_task_group() as group:
        group.start_soon(write, b"a")
        group.start_soon(write, b"b")
    assert writer.close(patience=10)
    lines = written(text).splitlines()
    for word in (b"a", b"b"):
        assert [x for x in lines if x[:1] == word] == [b"%s%d" % (word, n) for n in range(50)]


async def test_a_blocked_stream_does_not_block_the_loop(
    pipe: tuple[int, io.TextIOWrapper],
) -> None:
    """Other tasks run on, the writer can be cancelled, and the end does not wait for the reader."""
    reading, text = pipe
    writer = Writer(stream_sink(text), name="test")
    big = b"x" * (1 << 20)
    with anyio.move_on_after(0.05) as scope:
        await writer.write(big)
    assert scope.cancelled_caught
    assert not writer.close(patience=0.01)
    got = 0
    while got < len(big):
        got += len(await anyio.to_thread.run_sync(os.read, reading, 1 << 20))
    assert await anyio.to_thread.run_sync(lambda: writer.close(patience=10))


async def test_a_closed_pipe_is_reported(pipe: tuple[int, io.TextIOWrapper]) -> None:
    """A write fails, and so does the next."""
    reading, text = pipe
    os.close(reading)
    writer = Writer(stream_sink(text), name="test")
    for _ in range(2):
        with pytest.raises(BrokenPipeError):
            await writer.write(b"x")
    writer.close(patience=10)


async def test_a_missing_stream_is_reported() -> None:
    """A program may be started without a standard output."""
    writer = Writer(stream_sink(None), name="test")
    with pytest.raises(OSError, match="closed"):
        await writer.write(b"x")
    writer.close(patience=10)


async def test_a_descriptor_left_non_blocking_is_waited_for(
    pipe: tuple[int, io.TextIOWrapper],
) -> None:
    """A parent may share a pipe it has set non-blocking: all bytes arrive all the same."""
    reading, text = pipe
    os.set_blocking(text.fileno(), False)
    writer = Writer(stream_sink(text), name="test")
    big = os.urandom(1 << 19)
    got = bytearray()

    async def read() -> None:
        while len(got) < len(big):
            got.extend(await anyio.to_thread.run_sync(os.read, reading, 1 << 16))

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await writer.write(big)
    assert bytes(got) == big
    writer.close(patience=10)


def test_a_write_may_end_after_the_loop() -> None:
    """A write that ends when the loop is closed harms nothing."""
    release = threading.Event()
    done: list[bytes] = []

    def sink(data: bytes) -> None:
        release.wait(10)
        done.append(data)

    writer = Writer(sink, name="test")

    async def give_up() -> None:
        with anyio.move_on_after(0.01):
            await writer.write(b"late")

    anyio.run(give_up, backend="asyncio")
    release.set()
    assert writer.close(patience=10)
    assert done == [b"late"]


async def test_a_reader_that_leaves_is_noticed(pipe: tuple[int, io.TextIOWrapper]) -> None:
    """Without anything being written."""
    reading, text = pipe
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(reader_gone, text)
            await anyio.lowlevel.checkpoint()
            os.close(reading)


@pytest.mark.parametrize("kind", ["none", "memory", "file", "both ends"])
async def test_streams_without_a_reader_of_their_own(kind: str, tmp_path: Path) -> None:
    """Only a pipe whose reader is another is known to lose it; else it waits."""
    os.mkfifo(tmp_path / "fifo")
    both = os.open(tmp_path / "fifo", os.O_RDWR)
    os.write(both, b"something to read")
    with (
        open(both, "r+b", buffering=0) as fifo,
        io.TextIOWrapper(fifo, write_through=True) as two_way,
        (tmp_path / "f").open("w", encoding="utf-8") as file,
    ):
        streams: dict[str, TextIO | None] = {
            "none": None,
            "memory": stream(),
            "file": file,
            "both ends": two_way,
        }
        with anyio.move_on_after(0.05) as scope:
            await reader_gone(streams[kind])
    assert scope.cancelled_caught
