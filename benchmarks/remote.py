"""``python -m benchmarks.remote``: events and commands over a hub; ``performance/remote.md``.

Every round runs each kind of work on each nats-server that is installed, one after the other, each
with a server and a store of its own. Processor time is of the client's process and of the server's.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path

import limpet
from benchmarks._report import table
from benchmarks._watchers import ROOT
from limpet.output import Output
from limpet.remote import (
    EventReader,
    RemoteOutput,
    Spool,
    Subjects,
    Transport,
    connect,
    read_events,
)
from limpet.remote._command_executor import CommandExecutor, CommandOutput
from limpet.remote._command_journal import CommandJournal
from limpet.remote._envelope import encode, notice
from limpet.remote._spool import NewRow
from limpet.remote._spool_sender import SpoolSender
from limpet.remote._stream_setup import HubLayout, init_nats
from limpet.remote.transport import Message
from tests.remote.conftest import SERVERS, Server

Figures = dict[str, float]
TICK = os.sysconf("SC_CLK_TCK")


def cpu_of(pid: int) -> float:
    """Return the processor seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def wire_row(spool: Spool, seq: int) -> NewRow:
    """Return an event as an agent makes it: about 580 bytes."""
    wire = notice("file.created", watch="in", time_us=time.time_ns() // 1000)
    wire |= {"scope": "inside", "path": f"/srv/in/{seq:08}.csv", "rel": f"{seq:08}.csv"}
    wire |= {"stat": {"size": 1, "mtime_us": 1, "ino": "12345", "dev": "1"}, "entry": "file"}
    data = encode(wire, session=spool.session, seq=seq, host="web01", watch="in", flavour="posix")
    return NewRow(seq, "limpet.v1.ev.web01.in.file.created", data)


def fill(spool: Spool, count: int) -> None:
    """Store events, 64 in a transaction."""
    for start in range(0, count, 64):
        with spool.transaction():
            seq = spool.next_seq()
            spool.add([wire_row(spool, seq + n) for n in range(min(64, count - start))])


class Bench:
    """One server, and the figures measured with it."""

    def __init__(self, version: str, folder: Path, count: int) -> None:
        """Create a server and its store."""
        self.server = Server(SERVERS[version], folder / "hub")
        self.folder, self.count = folder, count
        self.found: dict[str, Figures] = {}

    async def connect(self, name: str) -> Transport:
        """Connect."""
        return await connect(self.server.url, name=name)

    async def timed(self, what: str, count: int, work: Callable[[], Awaitable[object]]) -> None:
        """Run ``work``, and store its rate and cost."""
        process = self.server.process
        pid = process.pid if process is not None else os.getpid()
        ours, theirs, begun = time.process_time(), cpu_of(pid), time.perf_counter()
        await work()
        took = time.perf_counter() - begun
        self.found[what] = {
            "rate": count / took,
            "client": (time.process_time() - ours) / count * 1e6,
            "server": (cpu_of(pid) - theirs) / count * 1e6,
        }

    async def run(self) -> None:
        """Measure all."""
        self.server.start()
        admin = await connect(self.server.url, name="admin")
        await init_nats(admin, HubLayout(["web01", "nas"]), max_bytes=2 << 30)
        await admin.close()
        await self.spooled()
        await self.reading()
        await self.commands()
        await self.publish()
        self.server.kill()

    async def publish(self) -> None:
        """Publish messages without a spool, one by one and in windows."""
        transport = await self.connect("web01")
        for window, count in ((1, self.count // 10), (16, self.count), (256, self.count)):
            subject = "limpet.v1.ev.web01.bench.file.created"
            messages = [Message(subject, b"x" * 292, f"w{window}.{n}") for n in range(count)]

            async def work(messages: list[Message] = messages, window: int = window) -> None:
                for start in range(0, len(messages), window):
                    await transport.publish(messages[start : start + window])

            await self.timed(f"publish, {window} at a time", count, work)
        await transport.close()

    async def spooled(self) -> None:
        """Store events in a spool, then send them to the hub, as an agent does."""
        spool = Spool(self.folder / "spool")

        async def store() -> None:
            await asyncio.to_thread(fill, spool, self.count)

        await self.timed("into the spool", self.count, store)
        transport = await self.connect("web01")
        sender = SpoolSender(spool, transport)

        async def send() -> None:
            task = asyncio.create_task(sender.run())
            await sender.drained()
            task.cancel()

        await self.timed("from the spool to the hub", self.count, send)
        await transport.close()
        spool.close()

    async def reading(self) -> None:
        """Read the same events, with a checkpoint and in work mode."""
        bot = await self.connect("bot")

        async def in_order() -> None:
            reader = EventReader(
                bot, bot="b", hosts=["web01"], store=self.folder / "c", start="all",
                commit_every=1.0,
            )  # fmt: skip
            seen = 0
            async with reader:
                async for event in reader:
                    seen += event.type == "file.created"
                    if seen == self.count:
                        break

        await self.timed("read with a checkpoint", self.count, in_order)
        done = asyncio.Event()
        left = self.count

        async def handler(_: object) -> None:
            nonlocal left
            left -= 1
            if not left:
                done.set()

        async def work() -> None:
            task = asyncio.create_task(
                read_events(bot, bot="w", hosts=["web01"], handler=handler, batch=256)
            )
            await done.wait()
            task.cancel()

        await self.timed("read in work mode", self.count, work)
        await bot.close()

    async def commands(self) -> None:
        """Append on another host, from the command to its answer."""
        (self.folder / "out").mkdir()
        spool = Spool(self.folder / "journal")
        transport, bot = await self.connect("nas"), await self.connect("bot")
        times: list[float] = []
        count = max(100, self.count // 100)
        with Output(self.folder / "out") as output:
            executor = CommandExecutor(
                transport,
                CommandJournal(spool),
                {"o": CommandOutput(output)},
                host="nas",
                subjects=Subjects(),
            )
            task = asyncio.create_task(executor.run())

            async def send_all() -> None:
                async with RemoteOutput(bot, bot="b", host="nas", output="o") as out:
                    for number in range(count):
                        begun = time.perf_counter()
                        append = limpet.AppendToFile(name="log", content=f"{number}\n")
                        (await out.perform(append)).check()
                        times.append(time.perf_counter() - begun)

            await self.timed("a command and its answer", count, send_all)
            task.cancel()
        times.sort()
        for name, at in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
            self.found["a command and its answer"][name] = times[int(len(times) * at)] * 1e3
        await transport.close()
        await bot.close()
        spool.close()


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    found: dict[str, dict[str, list[Figures]]] = defaultdict(lambda: defaultdict(list))
    for round_ in range(given.rounds):
        for version in SERVERS:
            folder = Path(tempfile.mkdtemp(prefix="limpet-bench-"))
            bench = Bench(version, folder, given.count)
            asyncio.run(bench.run())
            shutil.rmtree(folder, ignore_errors=True)
            for what, figures in bench.found.items():
                found[version][what].append(figures)
            print(f"round {round_ + 1}, nats-server {version}: done", flush=True)
    page = (ROOT / "benchmarks" / "remote.md").read_text(encoding="utf-8")
    rows = []
    for version, works in found.items():
        for what, rounds in works.items():
            middle = {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}
            rows.append(
                [what, version, f"{middle['rate']:,.0f}", f"{middle['client']:,.0f}",
                 f"{middle['server']:,.0f}"]
            )  # fmt: skip
    answers = [
        [
            version,
            *(f"{statistics.median(r[p] for r in works[what]):.1f}" for p in ("p50", "p95", "p99")),
        ]
        for version, works in found.items()
        for what in ("a command and its answer",)
    ]
    text = page.format(
        rounds=given.rounds,
        count=f"{given.count:,}",
        machine=f"{os.cpu_count()} processors, Python {platform.python_version()}",
        work=table([["work", "server", "a second", "client, µs each", "server, µs each"], *rows]),
        answers=table([["server", "p50", "p95", "p99"], *answers]),
    )
    (ROOT / "docs/explanation/performance/remote.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
