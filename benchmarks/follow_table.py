"""``python -m benchmarks.follow_table``: the fault cases, beside ``tail -F`` and pygtail.

Each row of ``tests/following/fault_table.py`` is played to each of them in its own directory. What
they returned is compared with what must have come; the counts go into guarantees.md.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks._watchers import ROOT
from limpet.following import Appended
from limpet.following._follow_engine import FollowEngine
from limpet.following._follow_keywords import make_options
from limpet.following._follow_thread import FollowThread
from tests.following.fault_table import ROWS, Field, Row

PAGE = ROOT / "docs/explanation/guarantees.md"
BEGIN, END = "<!-- side by side: begin -->", "<!-- side by side: end -->"
QUIET_S = 0.35
"""How long ``tail`` must have said nothing to be taken for caught up; it polls ten times meanwhile
where it polls at all."""


class WithLimpet:
    """Through its thread and its own watch."""

    def __init__(self, directory: Path) -> None:
        self.state = directory / "state"
        self.lines: list[str] = []
        self.thread: FollowThread | None = None

    def start(self, path: Path, **options: Any) -> None:  # noqa: ANN401 (as the rows have them)
        """See `Subject`."""
        if "start" not in options:
            options |= {"state": self.state, "fallback": "beginning"}
        self.thread = FollowThread(FollowEngine([path], make_options(options)))
        self.thread.start()

    def examine(self) -> None:
        """See `Subject`."""
        thread = self._running()
        for _ in range(2):
            done = threading.Event()
            thread.fence(done.set)
            done.wait(10)
            self._take()

    def wait(self, seconds: float) -> None:
        """See `Subject`."""
        end = time.monotonic() + seconds + 1
        while time.monotonic() < end:
            self._take()
            time.sleep(0.02)

    def stop(self) -> None:
        """See `Subject`."""
        self._running().close()

    def _take(self) -> None:
        thread = self._running()
        while True:
            event = thread.pop()
            if isinstance(event, Appended):
                self.lines += event.lines
                event.commit()
            elif event is None:
                if not thread.stats().backlog:
                    return
                time.sleep(0.001)

    def _running(self) -> FollowThread:
        if self.thread is None:
            message = "it was not started"
            raise RuntimeError(message)
        return self.thread


class WithTail:
    """GNU ``tail -F``, polling as often as it can where it polls."""

    def __init__(self, directory: Path) -> None:
        self.out = directory / "out"
        self.out.touch()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, path: Path, **options: Any) -> None:  # noqa: ANN401 (as the rows have them)
        """See `Subject`."""
        first = "0" if options.get("start") == "end" else "+1"
        with self.out.open("ab") as out:
            self.process = subprocess.Popen(
                ["tail", "-n", first, "-F", "-s", "0.03", "--max-unchanged-stats=1", str(path)],
                stdout=out,
                stderr=subprocess.DEVNULL,
            )
        self._rest()

    def examine(self) -> None:
        """See `Subject`."""
        self._rest()

    def wait(self, seconds: float) -> None:
        """See `Subject`."""
        time.sleep(seconds)
        self._rest()

    def stop(self) -> None:
        """See `Subject`."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait()

    @property
    def lines(self) -> list[str]:
        """See `Subject`."""
        return split(self.out.read_bytes())

    def _rest(self) -> None:
        size, since = -1, time.monotonic()
        while time.monotonic() - since < QUIET_S:
            now = self.out.stat().st_size
            if now != size:
                size, since = now, time.monotonic()
            time.sleep(0.02)


PYGTAIL = """
import sys
from pygtail import Pygtail
path, offset, end, out = sys.argv[1:]
for line in Pygtail(path, offset_file=offset, full_lines=True, read_from_end=end == "end"):
    with open(out, "ab") as file:
        file.write(line.encode("utf-8", "surrogateescape"))
"""


class WithPygtail:
    """pygtail with ``full_lines``, as a program that is run now and then."""

    def __init__(self, directory: Path) -> None:
        self.offset, self.out = directory / "offset", directory / "out"
        self.out.touch()
        self.path: Path | None = None
        self.end = ""

    def start(self, path: Path, **options: Any) -> None:  # noqa: ANN401 (as the rows have them)
        """See `Subject`."""
        self.path = path
        self.end = options.get("start", "")
        self.examine()

    def examine(self) -> None:
        """See `Subject`."""
        argv = [str(self.path), str(self.offset), self.end, str(self.out)]
        with suppress(subprocess.TimeoutExpired):  # it waits for the writer of a FIFO, for ever
            subprocess.run(
                [sys.executable, "-c", PYGTAIL, *argv],
                stderr=subprocess.DEVNULL,
                timeout=2,
                check=False,
            )

    def wait(self, seconds: float) -> None:
        """See `Subject`."""
        time.sleep(seconds)
        self.examine()

    def stop(self) -> None:
        """It has stopped after each look."""

    @property
    def lines(self) -> list[str]:
        """See `Subject`."""
        return split(self.out.read_bytes())


def split(data: bytes) -> list[str]:
    """Cut at newlines; a last line without one counts too."""
    lines = data.decode("utf-8", "replace").split("\n")
    return lines if lines[-1] else lines[:-1]


def verdict(expected: list[str], got: list[str]) -> str:
    """Say in a word what was wrong with what came."""
    if got == expected:
        return "ok"
    wanted, came = Counter(expected), Counter(got)
    lost = wanted - came
    twice = {line for line in came if came[line] > max(1, wanted[line])}
    other = [line for line in came if line not in wanted]
    words = [
        *(["lost"] if lost else []),
        *(["repeated"] if twice else []),
        *(["garbled"] if other else []),
    ]
    return " and ".join(words) or "out of order"


SUBJECTS: dict[str, Callable[[Path], Any]] = {
    "limpet": WithLimpet,
    "`tail -F`": WithTail,
    "pygtail": WithPygtail,
}


def play(row: Row, make: Callable[[Path], Any]) -> str:
    """Play one row to one of them."""
    with tempfile.TemporaryDirectory() as directory:
        logs = Path(directory) / "logs"
        logs.mkdir()
        subject = make(Path(directory))
        try:
            expected = row.play(Field(logs, subject, row.options))
            subject.examine()
        finally:
            subject.stop()
        return verdict([line for group in expected for line in group], subject.lines)


def version(argv: list[str]) -> str:
    """Return the last word of what a program prints about itself."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()[0].rpartition(" ")[2] if done.stdout else "?"


def main() -> None:
    """Play all rows to all of them, print the table, and put it into the page."""
    from importlib.metadata import version as installed

    lines = [
        f"| F | what is done | {' | '.join(SUBJECTS)} |",
        f"| --- | --- | {' | '.join('---' for _ in SUBJECTS)} |",
    ]
    counts = dict.fromkeys(SUBJECTS, 0)
    fair = 0
    for row in sorted(ROWS, key=lambda row: row.number):
        results = {name: play(row, make) for name, make in SUBJECTS.items()}
        for name, result in results.items():
            counts[name] += result == "ok"
        fair += not row.restarts
        if row.restarts and results["`tail -F`"] != "ok":
            results["`tail -F`"] = "(does not claim to)"
        print(row.number, row.title, results, flush=True)
        lines.append(f"| {row.number} | {row.title} | {' | '.join(results.values())} |".rstrip())
    said = ", ".join(f"{name} {count}" for name, count in counts.items())
    tail = version(["tail", "--version"])
    head = (
        f"Of {len(ROWS)} plays of these cases, each came out exactly: {said}.\n"
        f"{len(ROWS) - fair} of them stop the follower and start it again, which `tail` does not "
        "claim to survive.\n"
        f"GNU tail {tail}, pygtail {installed('pygtail')} with `full_lines`; `make follow-table` "
        "plays them again.\n"
    )
    text = "\n".join([BEGIN, head, *lines, END])
    page = PAGE.read_text(encoding="utf-8")
    page = re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: text, page, flags=re.DOTALL)
    PAGE.write_text(page, encoding="utf-8")
    print(said)


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
