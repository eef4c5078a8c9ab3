"""A program that is shown: with one of everything, and whatever a test changes."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from limpet.errors import UsageError
from limpet.status import (
    AgentStatus,
    BehaviourStatus,
    DeadLettersStatus,
    DeadLetterStatus,
    FollowStatus,
    Happenings,
    Histogram,
    HubStatus,
    InboxStatus,
    JournalStatus,
    OutputStatus,
    Problem,
    SpoolStatus,
    Status,
    WatchStatus,
)

HOSTILE = (
    "<script>alert(1)</script>.txt",
    "<img src=x onerror=alert(2)>",
    '"><svg onload=alert(3)>',
    "\u202egnp.exe",
    "line\nfeed\ttab\x1b[31mred\x00nul\x7f",
    "Übergrößenträger Müller & Söhne.csv",
    "zero\u200bwidth\u2066isolate\u2069",
    "lone\udcff\udc80bytes",
    "javascript:alert(4)",
    "{{constructor.constructor('alert(5)')()}}",
    "n" * 4090,
)
"""Names of files that somebody else has chosen."""

ERROR = "ValueError: \"total\" is not a number: '12,5o' in row 31"
TRACEBACK = (
    "Traceback (most recent call last):\n"
    '  File "steps/import_csv.py", line 41, in act\n'
    "    total = parse_total(row[3])\n"
    '  File "steps/import_csv.py", line 17, in parse_total\n'
    "    raise ValueError(text) from None\n" + ERROR
)


def letter(ident: str, about: str, behaviour: str = "import invoices") -> DeadLetterStatus:
    return DeadLetterStatus(
        id=ident,
        time="2026-11-29T20:41:07.120+00:00",
        behaviour=behaviour,
        step="ImportCsv",
        attempts=3,
        about=about,
        error=ERROR,
    )


def full_status(now: float | None = None) -> Status:
    """Return a snapshot in which everything is filled in."""
    now = time.time() if now is None else now
    return Status(
        program="run",
        name="invoices",
        instance="9f31c2",
        pid=4711,
        host="atlas",
        limpet="0.1.0",
        started=now - 11_640,
        time=now,
        health="degraded",
        problems=(
            Problem(
                where="/srv/scans/archive",
                reason="cannot be marked: fs.inotify.max_user_watches is used up; it is scanned "
                "every 2 s",
            ),
            Problem(
                where="mirror",
                reason="the output is read-only: the disk has no space left",
                is_failure=True,
            ),
        ),
        state_dir="/var/lib/limpet/invoices",
        events=48_213,
        events_per_minute=184.0,
        last_event=now - 2,
        queued=3,
        counters={"events": 48_213, "done": 48_399, "ignored": 12, "retries": 31, "reloads": 1},
        watches=(
            WatchStatus(
                name="inbox",
                place="/srv/in",
                backend="fanotify",
                entries=1_204,
                marks=1,
                held=2,
                scans=48_930,
                events=40_102,
                events_per_minute=171.0,
                last_event=now - 2,
            ),
            WatchStatus(
                name="scans",
                place="/srv/scans",
                backend="inotify",
                entries=88_310,
                marks=8_192,
                polled=310,
                scans=9_230,
                rescans=1,
                events=8_111,
                events_per_minute=13.0,
                last_event=now - 41,
                degraded={"/srv/scans/archive": "fs.inotify.max_user_watches is used up"},
            ),
        ),
        follows=(
            FollowStatus(
                name="access.log",
                place="/var/log/nginx/access.log",
                files=2,
                lag_bytes=18_432,
                lag_s=0.4,
                lines=912_031,
                lines_per_minute=2_140.0,
                bytes_read=241_993_108,
                last_line=now - 0.4,
                gaps=1,
                gap_bytes=4_096,
            ),
        ),
        outputs=(
            OutputStatus(
                name="archive",
                root="/srv/archive",
                operations={"create": 31_007, "append": 14_223, "replace": 2_758},
                refusals={"exists": 12, "bad-name": 2},
                bytes_written=8_112_339_004,
                last_operation=now - 3,
            ),
            OutputStatus(
                name="mirror",
                root="/mnt/mirror",
                operations={"create": 411},
                refusals={"no-space": 37},
                bytes_written=1_500_000,
                last_operation=now - 1_800,
            ),
        ),
        behaviours=(
            BehaviourStatus(
                name="import invoices",
                queue_depth=4,
                active=2,
                done=31_007,
                skipped=122,
                retried=31,
                failed=3,
                slowest_s=12.4,
                oldest_s=1.8,
            ),
            BehaviourStatus(name="file scans", done=16_981, skipped=400, slowest_s=0.9),
            BehaviourStatus(
                name="mirror to NAS",
                queue_depth=37,
                done=411,
                retried=180,
                oldest_s=1_790.0,
                failure="waits for the output mirror: no space left",
            ),
        ),
        inboxes=(
            InboxStatus(
                place="/srv/in/orders",
                waiting=2,
                active=1,
                retrying=1,
                done=904,
                retried=5,
                failed=1,
                oldest_s=75.0,
                last_done=now - 12,
            ),
        ),
        dead_letters=DeadLettersStatus(
            waiting=3,
            written=3,
            newest=(
                letter("a3f1c09b77d2e815", "/srv/in/2026-11/rechnung-10443.csv"),
                letter("b7720c51f0a9d3e4", "/srv/in/2026-11/rechnung-10439.csv"),
                letter("c01d88e2b6f75a30", "/srv/in/Übergrößenträger Müller & Söhne.csv"),
            ),
        ),
        journal=JournalStatus(replayed=4),
        spool=SpoolStatus(
            waiting=118, waiting_bytes=52_400, kept=9_004, sent=8_886, blocked=("scans",)
        ),
        hub=HubStatus(
            url="nats://hub.example:4222",
            state="connected",
            lag=12,
            lag_s=0.8,
            clock_offset_s=-0.012,
        ),
        agents=(
            AgentStatus(
                host="paris", state="running", since=now - 90_000, last_seen=now - 1, waiting=0,
                commands_done=220,
            ),
            AgentStatus(
                host="oslo", state="silent", since=now - 500_000, last_seen=now - 640, waiting=31,
                trouble="has not reported for 10 minutes", commands_done=18, commands_refused=2,
            ),
        ),
        age_delivered=Histogram(
            bounds=(0.01, 0.1, 1.0, 10.0), counts=(41_000, 6_900, 300, 10, 3), total=2_100.5
        ),
        age_done=Histogram(
            bounds=(0.01, 0.1, 1.0, 10.0), counts=(20_000, 25_000, 2_700, 280, 8), total=9_310.0
        ),
    )  # fmt: skip


@dataclass
class Changed:
    """Something with a path that is no event of limpet's, as a bot may make it."""

    path: object


class FakeProgram:
    """A ``StatusSource`` that a test changes as it likes, in the loop in which it is served."""

    def __init__(self, status: Status | None = None) -> None:
        self.base = status or full_status()
        self.moves = True
        """Whether the times of the snapshot go on."""
        self._happenings = Happenings()
        self.retried: list[list[str]] = []
        self.discarded: list[list[str]] = []
        self.letters: dict[str, dict[str, Any]] = {
            one.id: story(one) for one in (self.base.dead_letters or DeadLettersStatus()).newest
        }
        self.blocks: asyncio.Event | None = None
        """What a retry waits for."""

    @property
    def happenings(self) -> Happenings:
        return self._happenings

    def status(self) -> Status:
        if not self.moves:
            return self.base
        late = time.time() - self.base.time
        last = self.base.last_event
        return dataclasses.replace(
            self.base, time=self.base.time + late, last_event=last and last + late
        )

    def change(self, **fields: Any) -> None:
        self.base = dataclasses.replace(self.base, **fields)

    async def dead_letter(self, ident: str) -> dict[str, Any] | None:
        return self.letters.get(ident)

    async def retry(self, idents: list[str]) -> dict[str, int]:
        self._check(idents)
        if self.blocks is not None:
            await self.blocks.wait()
        self.retried.append(idents)
        self._end(idents)
        return {"done": len(idents)}

    async def discard(self, idents: list[str]) -> int:
        self._check(idents)
        self.discarded.append(idents)
        self._end(idents)
        return len(idents)

    def _check(self, idents: list[str]) -> None:
        missing = [one for one in idents if one not in self.letters]
        if missing:
            message = f"there is no dead letter {missing[0]!r}"
            raise UsageError(message)

    def _end(self, idents: list[str]) -> None:
        dead = self.base.dead_letters
        assert dead is not None
        for one in idents:
            about = self.letters.pop(one)["event"]["path"]
            self._happenings.add("done", PurePosixPath(about), "import invoices", "retried")
        left = tuple(one for one in dead.newest if one.id not in idents)
        self.change(
            dead_letters=dataclasses.replace(dead, newest=left, waiting=dead.waiting - len(idents))
        )

    def fill(self) -> None:
        """Make the last minutes as they may have been."""
        add = self._happenings.add
        for number in range(10_436, 10_450):
            path = PurePosixPath(f"/srv/in/2026-11/rechnung-{number}.csv")
            add("event", Changed(path), "inbox")
            if number in {10_439, 10_443}:
                for left in (1, 2):
                    add("retry", Changed(path), "import invoices", f"try {left} of 3: {ERROR}")
                add("failed", Changed(path), "import invoices", ERROR)
            else:
                add("done", Changed(path), "import invoices", "0.04 s")
        add("refused", PurePosixPath("/mnt/mirror/rechnung-10448.csv"), "mirror", "no-space")
        add("problem", "the output mirror has no space left", "mirror")
        add("line", '203.0.113.9 "GET /orders/881 HTTP/1.1" 200', "access.log")
        add(
            "skipped",
            Changed(PurePosixPath("/srv/scans/thumbs.db")),
            "file scans",
            "no trigger matched",
        )


def story(one: DeadLetterStatus) -> dict[str, Any]:
    """Return a dead letter as it is stored."""
    return {
        "v": 1,
        "id": one.id,
        "at": one.time,
        "behaviour": one.behaviour,
        "step": one.step,
        "attempts": one.attempts,
        "error": {"type": "ValueError", "message": one.error, "traceback": TRACEBACK},
        "event": {"type": "file_created", "path": one.about, "stat": {"size": 18_004}},
    }
