"""The way of an event that fails, and each way in which an event can leave a bot."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from limpet._file_stat import identity_of
from limpet.bot import MoveProcessedFileAction, Runner, RunOptions, StillThereCondition
from limpet.bot._delivery import Delivery
from limpet.bot.events._event_codec import encode
from limpet.bot.io._limpet_input import LimpetInput
from limpet.bot.runner import _json_lines
from limpet.bot.runner._dead_letters import DeadLetters, dead_letter_line
from limpet.bot.runner._replay import FileGoneError, Replay, where_it_lies
from limpet.bot.runner._work_journal import Unfinished, WorkJournal
from tests.bot.factories import created, put, stat
from tests.bot.test_runner import FAST, MemoryIO, TextEvent, behaviour, dead_letters, done, text_of
from tests.bot.test_service import Program, limpet
from tests.waiting import until

INBOX_ARGV = ["--state-dir", "state", "--backoff", "0.01"]


def listed(folder: Path) -> list[list[str]]:
    out = limpet(folder, "replay", "inbox.yaml", "--list", *INBOX_ARGV)
    assert out.returncode == 0, out.stderr
    return [line.split("\t") for line in out.stdout.splitlines()]


def test_the_whole_way_of_a_file_that_fails(tmp_path: Path) -> None:
    """Three tries, ``failed``, read why, mend, replay, ``done``: as the how-to page has it.

    The program runs for the file where it lies, which a repair may have replaced.
    """
    assert limpet(tmp_path, "new", "inbox").returncode == 0
    file = tmp_path / "inbox.yaml"
    script = 'echo ran >> tries; test -e good && cat "$1" >> out'
    command = json.dumps(["sh", "-c", script, "sh", "{{ path }}"])
    text = (
        file.read_text().replace("[cksum, '{{ path }}']", command).replace("settle: 2", "settle: 0")
    )
    file.write_text(text.replace("concurrency: 2", "concurrency: 1"))
    (tmp_path / "inbox" / "sub").mkdir(parents=True)
    (tmp_path / "failed" / "sub").mkdir(parents=True)
    put(tmp_path / "failed" / "sub" / "order.csv", "an earlier failure")
    put(tmp_path / "inbox" / "sub" / "order.csv", "1,2\n")
    moved = tmp_path / "failed" / "sub" / "order.1.csv"
    with Program(tmp_path, "run", "inbox.yaml", *INBOX_ARGV) as program:
        program.until(moved.exists)
        program.until(lambda: listed(tmp_path) and listed(tmp_path)[0][5] == str(moved))
        program.signal("SIGTERM")
        assert program.end() == 0, program.output
    assert (tmp_path / "tries").read_text().count("ran") == 3
    assert "another try" not in program.output
    note = moved.with_name("order.1.csv.error.txt")
    assert "exited with status 1" in note.read_text()

    ((ident, moment, name, step, tries, path, error),) = listed(tmp_path)
    assert len(ident) == 16
    assert moment.startswith("20")
    assert (name, tries, path) == ("process", "3 tries", str(moved))
    assert step == "action 1 (limpet.bot.RunCommandAction)"
    assert "exited with status 1" in error

    again = limpet(tmp_path, "replay", "inbox.yaml", *INBOX_ARGV)
    assert (again.returncode, again.stdout) == (1, "0 done, 1 left: 1 failed again\n"), again.stderr
    assert moved.exists()
    assert note.exists()
    assert listed(tmp_path)[0][0] == ident

    put(moved, "repaired\n")  # another file, at the same path
    (tmp_path / "good").touch()
    again = limpet(tmp_path, "replay", "inbox.yaml", *INBOX_ARGV)
    assert (again.returncode, again.stdout) == (0, "1 done, 0 left\n"), again.stderr
    assert (tmp_path / "out").read_text() == "repaired\n"
    assert (tmp_path / "done" / "sub" / "order.csv").read_text() == "repaired\n"
    assert not moved.exists()
    assert not note.exists()
    assert os.listdir(tmp_path / "state") == ["lock"]


def file_event(folder: Path, name: str = "a", **more: Any) -> Any:
    path = folder / "in" / name
    path.parent.mkdir(exist_ok=True)
    return created(name, location=str(path.parent), **more)


def letter_of(folder: Path, event: Any, *, behaviour: str = "name:b", **more: Any) -> str:
    """Store a dead letter, and return its id."""
    error = OSError("it failed")
    line = dead_letter_line(
        event, behaviour=behaviour, name="b", step="action 1", attempts=3, error=error, **more
    )
    DeadLetters(folder).add([line])
    return str(json.loads(line)["id"])


def replayed(folder: Path, *bot: Any, only: tuple[str, ...] = (), **options: Any) -> Any:
    replay = Replay(folder, only=only, dry=options.get("dry_run", False))
    options = {"state_dir": folder, "until_done": True, **FAST, **options}
    asyncio.run(Runner(list(bot), RunOptions(**options), replay=replay).run())
    return replay.report


def test_what_no_trigger_and_no_condition_passes_stays_a_dead_letter(tmp_path: Path) -> None:
    """Skipped is not done: it has its own number, and the dead letter stays."""
    letter_of(tmp_path, file_event(tmp_path))
    bot = behaviour(lambda _: None, name="b")
    bot.add(StillThereCondition())
    report = replayed(tmp_path, bot)
    assert (report.done, report.skipped, report.left) == (0, 1, 1)
    assert len(dead_letters(tmp_path)) == 1


def test_done_and_skipped_and_failed_have_counters_of_their_own() -> None:
    """The same words as in the report of a replay."""
    bot = behaviour(lambda event: 1 / (event.path.name != "bad"), name="b")
    bot.add(StillThereCondition())
    events = [created("gone"), created("usr", location="/"), created("bad", location="/")]
    bot.conditions[0].allows = lambda event: event.path.name != "gone"
    stats = done(MemoryIO(*events), bot)
    assert (stats.skipped, stats.done, stats.failed) == (1, 1, 1)


def test_a_replay_goes_on_at_the_step_of_the_dead_letter(tmp_path: Path) -> None:
    """What was done before it is not done again, and its state is there."""
    calls: list[str] = []
    broken = [True]

    def second(event: Any) -> None:
        calls.append("second")
        if broken[0]:
            message = "broken"
            raise OSError(message)

    def bot() -> Any:
        return behaviour(lambda _: calls.append("first"), second, name="b")

    done(MemoryIO(TextEvent("a")), bot(), state_dir=tmp_path, attempts=1)
    (before,) = dead_letters(tmp_path)
    report = replayed(tmp_path, bot(), attempts=1)
    assert (report.failed, report.left) == (1, 1)
    (after,) = dead_letters(tmp_path)
    assert after["id"] == before["id"]
    broken[0] = False
    report = replayed(tmp_path, bot())
    assert (report.done, report.left) == (1, 0)
    assert calls == ["first", "second", "second", "second"]
    assert not (tmp_path / "dead-letters.jsonl").exists()


def test_a_replay_that_is_stopped_notes_how_far_each_has_come(tmp_path: Path) -> None:
    """Nothing moves to the journal, and the next replay does not repeat a step."""
    calls: list[str] = []

    async def main(*, hang: bool) -> Any:
        async def wait(event: Any) -> None:
            if hang:
                runner.stop()
                runner.stop()
                await asyncio.Event().wait()

        bot = behaviour(lambda event: calls.append(event.text), wait, name="b")
        replay = Replay(tmp_path)
        options = RunOptions(state_dir=tmp_path, until_done=True)
        runner = Runner([bot], options, replay=replay)
        await runner.run()
        return replay.report

    for text in ("a", "b"):
        letter_of(tmp_path, TextEvent(text))
    report = asyncio.run(main(hang=True))
    assert (report.done, report.not_reached, report.left) == (0, 2, 2)
    assert not (tmp_path / "journal.jsonl").exists()
    assert len(dead_letters(tmp_path)) == 2
    report = asyncio.run(main(hang=False))
    assert (report.done, report.left) == (2, 0)
    assert calls == ["a", "b"]


REPLAYED = """\
kind: IOConfig
implementation: limpet.bot.FileSystem
uuid: io
properties: {output_path: out}
---
kind: Behaviour
implementation: limpet.bot.Behaviour
uuid: b
properties: {name: b}
triggers:
  - {kind: Trigger, implementation: limpet.bot.AllEventsTrigger, uuid: t, properties: {}}
conditions: []
actions:
  - kind: Action
    implementation: limpet.bot.AppendToFileAction
    uuid: a
    properties: {name: log, content: "{{ name }}"}
  - kind: Action
    implementation: limpet.bot.RunCommandAction
    uuid: c
    properties: {command: [sh, -c, "while test -e hang; do sleep 0.01; done"]}
"""


def test_killed_in_the_middle_a_replay_loses_and_doubles_no_dead_letter(tmp_path: Path) -> None:
    """What was done is done, once; what was not, or was not asked for, is there, once."""
    (tmp_path / "bot.yaml").write_text(REPLAYED)
    (tmp_path / "hang").touch()
    state = tmp_path / "state"
    state.mkdir()
    idents = [letter_of(state, created(name), behaviour="b") for name in "abc"]
    argv = ["replay", "bot.yaml", "--state-dir", "state"]
    log = tmp_path / "out" / "log"
    with Program(tmp_path, *argv, *idents[:2]) as program:
        program.until(log.exists)
        (tmp_path / "hang").unlink()
        program.until(lambda: log.read_text() == "a\nb\n" or '"done"' in text(state))
        program.process.send_signal(signal.SIGKILL)
        program.end()
    left = {one.ident for one in DeadLetters(state).read()}
    assert idents[2] in left
    replay = limpet(tmp_path, *argv)
    assert (replay.returncode, replay.stdout) == (0, f"{len(left)} done, 0 left\n"), replay.stderr
    assert {"a", "b", "c"} == set(log.read_text().split())
    assert log.read_text().count("c") == 1
    assert limpet(tmp_path, *argv).stdout == "0 done, 0 left\n"


def text(state: Path) -> str:
    return (state / "dead-letters.jsonl").read_text()


def test_a_file_is_looked_for_where_it_may_lie(tmp_path: Path) -> None:
    """Where it was moved, where it was put back, and, for a dead letter that does not know, in
    the directory for failures."""
    event, moved = file_event(tmp_path), tmp_path / "failed" / "a"
    moved.parent.mkdir()
    bot = behaviour(MoveProcessedFileAction(), name="b")
    assert where_it_lies(event, bot).path == event.path  # type: ignore[attr-defined]
    with pytest.raises(FileGoneError, match="neither at"):
        where_it_lies(event.at(moved), bot)
    put(moved)
    put(moved.with_name("a.1"))
    assert where_it_lies(event.at(moved), bot).path == moved  # type: ignore[attr-defined]
    device, inode = identity_of(os.lstat(moved.with_name("a.1")))

    status = dataclasses.replace(stat(), inode=inode, device=device)
    unknowing = file_event(tmp_path, stat=status)
    assert where_it_lies(unknowing, bot).path == moved.with_name("a.1")  # type: ignore[attr-defined]
    put(event.path)
    assert where_it_lies(event.at(Path("/no")), bot).path == event.path  # type: ignore[attr-defined]
    assert where_it_lies(unknowing, bot).path == event.path  # type: ignore[attr-defined]
    assert where_it_lies(TextEvent("x"), bot) == TextEvent("x")


def test_what_an_earlier_version_left_of_a_killed_replay_is_taken_too(tmp_path: Path) -> None:
    """It had them in a file of their own, and those that were not asked for in both."""
    letter_of(tmp_path, TextEvent("a"))
    (tmp_path / "dead-letters.jsonl").rename(tmp_path / "dead-letters.replaying.jsonl")
    both = (tmp_path / "dead-letters.replaying.jsonl").read_text()
    letter_of(tmp_path, TextEvent("b"))
    with (tmp_path / "dead-letters.jsonl").open("a") as file:
        file.write(both)
    got: list[str] = []
    report = replayed(tmp_path, behaviour(lambda event: got.append(event.text), name="b"))
    assert (sorted(got), report.done) == (["a", "b"], 2)
    assert os.listdir(tmp_path) == ["lock"]


def test_a_dead_letter_is_dropped_by_its_id_and_no_other(tmp_path: Path) -> None:
    """Exit code 1 if there is none of an id; 2 without ids, or while a bot runs."""
    (tmp_path / "bot.yaml").write_text(REPLAYED)
    state = tmp_path / "state"
    state.mkdir()
    idents = [letter_of(state, TextEvent(name)) for name in "abc"]
    argv = ["replay", "bot.yaml", "--state-dir", "state", "--drop"]
    assert limpet(tmp_path, *argv).returncode == 2
    done = limpet(tmp_path, *argv, idents[0], idents[2])
    assert (done.returncode, done.stdout) == (0, "2 dropped\n"), done.stderr
    assert [one["id"] for one in dead_letters(state)] == [idents[1]]
    done = limpet(tmp_path, *argv, idents[1], idents[0])
    assert (done.returncode, done.stdout) == (1, "1 dropped\n"), done.stderr
    assert os.listdir(state) == ["lock"]
    with Program(tmp_path, "run", "bot.yaml", "--state-dir", "state") as program:
        program.until(lambda: "running: " in program.output)
        assert "another bot runs" in limpet(tmp_path, *argv, "x").stderr


# -- lost, kept, redelivered -----------------------------------------------------------------------


class Redelivering(LimpetInput):
    """Delivers what is not acknowledged at the next start."""

    label = "redelivering"

    def __init__(self) -> None:
        super().__init__()
        self.acknowledged: list[str] = []

    @staticmethod
    def produces_inputs() -> set[type[TextEvent]]:  # type: ignore[override]
        return {TextEvent}

    async def run(self) -> None:
        queue: Any = self.queue
        for name in "ab":
            await queue.put(Delivery(TextEvent(name), self))
        await asyncio.Event().wait()

    def quiesce(self) -> None:
        pass

    def acknowledge(self, delivery: Delivery) -> None:
        self.acknowledged.append(text_of(delivery.event))

    def will_redeliver(self, delivery: Delivery) -> bool:
        return True


def test_what_a_source_delivers_again_is_not_acknowledged_at_a_stop(tmp_path: Path) -> None:
    """It is not in the journal, so its source must not forget it: a cursor would pass it."""

    async def main() -> None:
        io = MemoryIO()
        io.input = Redelivering()  # type: ignore[assignment]

        async def work(event: Any) -> None:
            if event.text == "b":
                await asyncio.Event().wait()

        runner = Runner([io, behaviour(work, name="b")], RunOptions(state_dir=tmp_path, drain=0))
        task = asyncio.create_task(runner.run())
        await until(lambda: runner.stats.acted == 2)
        runner.stop()
        await task
        assert io.input.acknowledged == ["a"]  # type: ignore[attr-defined]
        assert not (tmp_path / "journal.jsonl").exists()

    asyncio.run(main())


def test_all_tasks_may_be_cancelled_in_the_middle_of_a_stop(tmp_path: Path) -> None:
    """As ``asyncio.run`` does when its main coroutine returns; what is left is stored first."""

    async def main() -> None:
        async def deaf(event: Any) -> None:
            while True:
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    if runner.state == "stopped":
                        raise

        bot = behaviour(deaf, name="b")
        io = MemoryIO(*map(TextEvent, "abcd"))
        runner = Runner([io, bot], RunOptions(state_dir=tmp_path, drain=60))
        task = asyncio.create_task(runner.run())
        await until(lambda: runner.stats.acted == 1)
        runner.stop()
        await until(lambda: runner.state == "draining")
        for _ in range(3):
            for one in asyncio.all_tasks() - {asyncio.current_task()}:
                one.cancel()
            await asyncio.sleep(0)
        await asyncio.wait({task})
        assert runner.stats.lost == 0
        runner.state = "stopped"

    asyncio.run(main())
    kept = (tmp_path / "journal.jsonl").read_text().splitlines()
    assert sorted(json.loads(one)["event"]["v"]["text"] for one in kept) == list("abcd")


class FullDisk:
    """Takes nothing while ``is_full``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_full = True
        for module, name in (
            ("limpet.bot.runner._dead_letters", "append_lines"),
            ("limpet.bot.runner._work_journal", "write_atomic"),
        ):
            real = getattr(sys.modules[module], name)
            monkeypatch.setattr(sys.modules[module], name, self._guarded(real))

    def _guarded(self, real: Any) -> Any:
        def write(*args: Any, **options: Any) -> None:
            if self.is_full:
                raise OSError(28, "No space left on device")
            real(*args, **options)

        return write


def stopped_with_work(folder: Path, *events: Any) -> Any:
    async def main() -> Any:
        async def hang(event: Any) -> None:
            await asyncio.Event().wait()

        bot = behaviour(hang, name="b")
        runner = Runner([MemoryIO(*events), bot], RunOptions(state_dir=folder, drain=0))
        task = asyncio.create_task(runner.run())
        await until(lambda: runner.stats.events == len(events))
        runner.stop()
        return await task

    return asyncio.run(main())


def test_what_the_disk_does_not_take_at_a_stop_is_lost_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The word, the number, the reason, and each event whole."""
    FullDisk(monkeypatch)
    stats = stopped_with_work(tmp_path, *(TextEvent(f"text {number}") for number in range(30)))
    assert (stats.lost, stats.kept) == (30, 0)
    assert "30 events were not processed and are lost: cannot write" in caplog.text
    assert all(f'"text {number}"' in caplog.text for number in range(30))


def test_an_event_without_a_form_in_json_is_lost_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever makes it so; the others are kept."""

    class Recursive(list[Any]):
        pass

    loop = Recursive()
    loop.append(loop)
    poison: list[dict[str, Any]] = [
        {"x": object()},
        {"x": loop},
        {"\udcff": float("nan"), "n": 10**5000},
    ]
    stats = stopped_with_work(
        tmp_path, TextEvent("a"), *(TextEvent("bad", one) for one in poison), TextEvent("b")
    )
    assert (stats.lost, stats.kept) == (2, 3)
    assert "2 events were not processed and are lost" in caplog.text
    got: list[str] = []
    done(MemoryIO(), behaviour(lambda event: got.append(event.text), name="b"), state_dir=tmp_path)
    assert got == ["a", "bad", "b"]


def test_a_dead_letter_waits_for_a_disk_that_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is written with the next one, or at the end; else it is lost, and the log has it."""
    disk = FullDisk(monkeypatch)

    def fail(event: Any) -> None:
        disk.is_full = event.text in {"a", "d"}
        raise OSError(event.text)

    stats = done(
        MemoryIO(*map(TextEvent, "abcd")), behaviour(fail, name="b"),
        state_dir=tmp_path, attempts=1,
    )  # fmt: skip
    assert [one["error"]["message"] for one in dead_letters(tmp_path)] == ["a", "b", "c"]
    assert (stats.failed, stats.lost) == (4, 1)
    (line,) = [r.getMessage() for r in caplog.records if r.getMessage().startswith("lost: ")]
    assert '"message": "d"' in line


def test_a_run_that_loses_events_says_so_in_its_exit_code(tmp_path: Path) -> None:
    """Not 0: who watches the service must know."""
    (tmp_path / "bot.yaml").write_text(REPLAYED)
    (tmp_path / "hang").touch()
    state = tmp_path / "state"
    state.mkdir()
    WorkJournal(state).store([Unfinished(None, "x", "b", created("a"), None)])
    argv = ["run", "bot.yaml", "--state-dir", "state", "--drain", "0"]
    with Program(tmp_path, *argv) as program:
        program.until((tmp_path / "out" / "log").exists)
        (state / "journal.jsonl").unlink()
        (state / "journal.jsonl").mkdir()  # what cannot be replaced, also by root
        program.signal("SIGTERM")
        assert program.end() == 1, program.output
    assert "1 events were not processed and are lost: cannot write" in program.output


# -- damaged files ---------------------------------------------------------------------------------


def test_a_line_ends_at_a_line_feed_and_nowhere_else(tmp_path: Path) -> None:
    """Texts have other characters that count as ends of lines in Python."""
    text = "one\u2028two\x85three\x0c\x1cfour\r\nfive\udcff"
    stopped_with_work(tmp_path, TextEvent(text))
    got: list[str] = []

    def fail(event: Any) -> None:
        got.append(event.text)
        raise OSError

    done(MemoryIO(), behaviour(fail, name="b"), state_dir=tmp_path, attempts=1)
    (found,) = DeadLetters(tmp_path).read()
    assert [text, text] == [*got, found.event().text]  # type: ignore[attr-defined]


def entry(**more: Any) -> Any:
    return {"v": 1, "id": "x", "behaviour": "name:b", "event": encode(TextEvent("x"))} | more


DEAD = {"name": "b", "id": "name:b"}


def damaged() -> list[bytes]:
    """Return lines that are neither entries nor dead letters, of every kind that we know."""
    deep = b'{"v": 1, "id": "deep", "behaviour": "name:b", "event": ' + b"[" * 90_000
    wires: list[Any] = [
        1, "done", None, [], ["done"], {}, {"done": 5}, {"done": [1]}, {"id": 5, "v": 1},
        entry(id=None), entry(id=""), entry(v="1"), entry(id=["x"]),
    ]  # fmt: skip
    return [
        b"\xff\xfe\x00", b'{"v": 1, "id": "to', b"{", b"nul\0", deep, b"9" * 5000,
        *(json.dumps(one).encode() for one in wires),
    ]  # fmt: skip


def unreadable() -> list[Any]:
    """Return entries that this bot cannot read; another one may."""
    faults: list[dict[str, Any]] = [
                {"v": 2}, {"behaviour": 5}, {"behaviour": None}, {"event": None}, {"event": "text"},
                {"event": {"$": "object", "c": "no.such:Class", "v": {}}},
                {"event": {"$": "object", "c": 5, "v": {}}}, {"event": {"$": "object"}},
                {"event": {"$": "datetime", "v": 5}}, {"event": {"$": "set", "v": [[]]}},
                {"event": {"$": "bytes", "v": "*"}}, {"event": {"$": "event", "v": {"wire": 5}}},
                {"event": {"$": "host-path", "v": []}}, {"event": {"$": ["list"], "v": 5}},
                {"event": {"$": "int", "v": "g"}}, {"event": {"$": "enum", "c": "os:x", "v": 1}},
                {"progress": 5}, {"progress": {"step": "1"}}, {"progress": {"step": 1}},
                {"progress": {"step": 1, "actions": [5], "state": {}}},
                {"progress": {"step": 1, "actions": [], "state": []}},
    ]  # fmt: skip
    return [entry(id=f"u{number}", **one) for number, one in enumerate(faults)]


def test_a_damaged_line_of_the_journal_stops_no_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is set aside with its reason; what another bot may read stays; the others are done."""
    good = [json.dumps(entry(id="a")).encode(), json.dumps(entry(id="b")).encode()]
    strange = [json.dumps(one).encode() for one in unreadable()]
    journal = tmp_path / "journal.jsonl"
    journal.write_bytes(b"\n".join([good[0], *damaged(), *strange, good[1]]))
    got: list[str] = []
    bot = behaviour(lambda event: got.append(event.text), name="b")
    stats = done(MemoryIO(), bot, state_dir=tmp_path)
    assert (got, stats.replayed) == (["x", "x"], 2)
    aside = [
        json.loads(line)
        for line in (tmp_path / "journal.damaged.jsonl").read_bytes().split(b"\n")
        if line
    ]
    assert len(aside) == len(damaged())
    assert all(one["why"] for one in aside)
    kept = {json.loads(line)["id"] for line in journal.read_bytes().split(b"\n") if line}
    assert kept == {one["id"] for one in unreadable()}
    assert caplog.text.count("is set aside") == len(damaged())
    done(MemoryIO(), bot, state_dir=tmp_path)
    assert (tmp_path / "journal.damaged.jsonl").read_bytes().count(b"\n") == len(damaged())


def test_a_damaged_dead_letter_stops_no_replay(tmp_path: Path) -> None:
    """It is set aside with its reason; one that cannot be read stays; the others are done."""
    first = letter_of(tmp_path, TextEvent("a"))
    path = tmp_path / "dead-letters.jsonl"
    strange = [one | {"behaviour": DEAD, "error": {"message": ""}} for one in unreadable()]
    strange = [
        one
        for one in strange
        if one["event"] != entry()["event"] or one["v"] == 2 or "progress" in one
    ]
    wrong = [b"5", b"{", *(json.dumps(one).encode() for one in (
        {"v": 1, "id": "x"}, {"v": 1, "id": "x", "behaviour": 5, "error": {"message": ""}},
        {"v": 1, "id": "x", "behaviour": DEAD, "error": 5},
        {"v": 1, "id": 5, "behaviour": DEAD, "error": {"message": ""}},
        {"v": 1, "id": "x", "behaviour": DEAD, "error": {"message": ""}, "attempts": []},
    ))]  # fmt: skip
    with path.open("ab") as file:
        file.write(b"\n".join([*wrong, *damaged()[:2], *(json.dumps(o).encode() for o in strange)]))
    got: list[str] = []
    report = replayed(tmp_path, behaviour(lambda event: got.append(event.text), name="b"))
    assert got == ["a"]
    assert (report.done, report.unreadable, report.left) == (1, len(strange), len(strange))
    assert first not in path.read_text()
    aside = (tmp_path / "dead-letters.damaged.jsonl").read_text().splitlines()
    assert len(aside) == len(wrong) + 2
    assert {one["id"] for one in dead_letters(tmp_path)} == {one["id"] for one in strange}


def test_what_cannot_be_set_aside_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk, for example: it is not dropped."""

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_json_lines, "append_lines", full)
    journal = tmp_path / "journal.jsonl"
    journal.write_bytes(b"torn\n" + json.dumps(entry()).encode())
    done(MemoryIO(), behaviour(lambda _: None, name="b"), state_dir=tmp_path)
    assert journal.read_bytes() == b"torn\n"


def test_a_torn_last_line_swallows_nothing_that_comes_after_it(tmp_path: Path) -> None:
    """A crash has left the beginning of a line; the next one begins a line of its own."""
    path = tmp_path / "dead-letters.jsonl"
    path.write_bytes(b'{"v": 1, "id": "to')
    ident = letter_of(tmp_path, TextEvent("a"))
    assert [one.ident for one in DeadLetters(tmp_path).read()] == [ident]


@pytest.mark.parametrize("seed", range(30))
def test_fuzz_no_damage_stops_a_start_or_a_replay(tmp_path: Path, seed: int) -> None:
    """Bytes of both files are changed, cut out and doubled at random."""
    import random

    rng = random.Random(seed)
    stopped_with_work(tmp_path, *(TextEvent(f"{n}", {"n": [n, None]}) for n in range(4)))
    letter_of(tmp_path, file_event(tmp_path))
    letter_of(tmp_path, TextEvent("b"))
    for name in ("journal.jsonl", "dead-letters.jsonl"):
        data = bytearray((tmp_path / name).read_bytes())
        for _ in range(rng.choice((1, 3, 20))):
            at = rng.randrange(len(data))
            match rng.randrange(3):
                case 0:
                    data[at] = rng.randrange(256)
                case 1:
                    del data[at : at + rng.randrange(30)]
                case _:
                    data[at:at] = data[at : at + rng.randrange(30)]
        (tmp_path / name).write_bytes(data)
    replayed(tmp_path, behaviour(lambda _: None, name="b"))
    done(MemoryIO(), behaviour(lambda _: None, name="b"), state_dir=tmp_path)
