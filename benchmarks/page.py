"""What the page of a program costs it, at 10,000 things that happen a second.

``python -m benchmarks.page [ROUNDS]`` prints a table. Each form is a process of its own that notes
10,000 events a second for some seconds; they take turns within a round. The CPU is that of the
program, all threads: with a server, its thread is among them. The client reads as fast as it can,
in another process, whose CPU is not counted.
"""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from limpet.events import FileCreated, FileStat
from limpet.status import Happenings, Status
from limpet.web import StatusServer
from tests.web.fakes import FakeProgram

RATE: Final = 10_000
SECONDS: Final = 5.0
STEP_S: Final = 0.01
FORMS: Final = ("no server", "server", "server, one page", "server, four pages")
STAT: Final = FileStat(
    size=3, mtime=0.0, ctime=0.0, birthtime=None, mode=0o100644, uid=0, gid=0, inode=7, device=8,
    kind="file",
)  # fmt: skip


class Program(FakeProgram):
    """A program with one of everything, whose events are counted."""

    def status(self) -> Status:
        """Return a snapshot with the present total."""
        self.change(events=self.happenings.count)
        return super().status()


async def note(happenings: Happenings) -> tuple[float, float]:
    """Note events at the rate; return the CPU it took, and the longest that the loop was away."""
    begun, cpu, done, longest = time.monotonic(), time.process_time(), 0, 0.0
    while (passed := time.monotonic() - begun) < SECONDS:
        while done < passed * RATE:
            done += 1
            event = FileCreated(
                location=Path("/srv/in"), time=0.0, seq=done, path=Path(f"/srv/in/{done}.csv"),
                kind="file", stat=STAT,
            )  # fmt: skip
            happenings.add("event", event, "inbox")
        before = time.monotonic()
        await asyncio.sleep(STEP_S)
        longest = max(longest, time.monotonic() - before - STEP_S)
    return time.process_time() - cpu, longest


def read(port: int) -> None:
    """Read the stream until the server ends."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        head = f"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"
        sock.sendall(head.encode())
        while sock.recv(1 << 20):
            pass


async def run(form: str) -> None:
    """Run one form, and print its figures."""
    program = Program()
    if form == FORMS[0]:
        found = await note(program.happenings)
    else:
        clients = []
        async with StatusServer(program, "127.0.0.1:0") as server:
            for _ in range({FORMS[1]: 0, FORMS[2]: 1, FORMS[3]: 4}[form]):
                command = [sys.executable, "-m", "benchmarks.page", "read", str(server.port)]
                clients.append(subprocess.Popen(command))  # noqa: ASYNC220 - before it is measured
            await asyncio.sleep(1.5)  # they have connected
            found = await note(program.happenings)
        for one in clients:
            one.wait()
    print(*found)


def main() -> None:
    """Run the rounds, or one form or client of them."""
    if sys.argv[1:2] == ["read"]:
        read(int(sys.argv[2]))
        return
    if sys.argv[1:2] == ["run"]:
        asyncio.run(run(sys.argv[2]))
        return
    rounds = int(sys.argv[1]) if sys.argv[1:] else 5
    found: dict[str, list[tuple[float, float]]] = {form: [] for form in FORMS}
    for number in range(rounds):
        for form in (*FORMS[number % len(FORMS) :], *FORMS[: number % len(FORMS)]):
            command = [sys.executable, "-m", "benchmarks.page", "run", form]
            with tempfile.TemporaryDirectory() as folder:
                environment = {**os.environ, "XDG_STATE_HOME": folder}
                done = subprocess.run(
                    command, capture_output=True, text=True, check=True, env=environment
                )
            cpu, longest = map(float, done.stdout.split())
            found[form].append((cpu, longest))
    print(f"{RATE} a second for {SECONDS:.0f} s, median of {rounds} rounds")
    print(f"{'':20} {'CPU of a core':>14} {'more':>8} {'loop away':>10}")
    for form in FORMS:
        cpu = statistics.median(one / SECONDS for one, _ in found[form])
        pairs = zip(found[form], found[FORMS[0]], strict=True)
        more = statistics.median((one[0] - other[0]) / SECONDS for one, other in pairs)
        longest = statistics.median(one for _, one in found[form]) * 1000
        print(f"{form:20} {cpu:13.1%} {more:8.1%} {longest:7.1f} ms")


if __name__ == "__main__":
    main()
