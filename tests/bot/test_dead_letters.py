"""Dead letters of a running bot: their story, and what is done with them while it runs."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from limpet.bot import Runner, RunOptions
from limpet.bot.runner._dead_letters import DeadLetters
from limpet.bot.runner._replay import ReplayReport
from limpet.errors import UsageError
from tests.bot.factories import created
from tests.bot.test_replay import REPLAYED, letter_of
from tests.bot.test_runner import FAST, MemoryIO, TextEvent, behaviour, dead_letters, done
from tests.bot.test_service import Program, limpet
from tests.waiting import until


def live(
    folder: Path, *bot: Any, use: Callable[[Runner], Awaitable[Any]], **options: Any
) -> ReplayReport:
    """Run a bot while ``use`` goes on, and return what that does."""

    async def main() -> Any:
        given: dict[str, Any] = {"state_dir": folder, **FAST, **options}
        async with Runner(list(bot), RunOptions(**given)) as runner:
            return await use(runner)

    found: ReplayReport = asyncio.run(main())
    return found


def raising(error: BaseException) -> Callable[[Any], None]:
    def fail(_: Any) -> None:
        raise error

    return fail


# -- the record ------------------------------------------------------------------------------------


class HostileError(OSError):
    """Has no text, and no representation."""

    def __str__(self) -> str:
        message = "no text"
        raise RuntimeError(message)

    __repr__ = __str__


def test_a_record_keeps_the_whole_story(tmp_path: Path) -> None:
    """The traceback of the last failure, and each try with its time, step and error."""
    failures = iter([OSError("first"), TimeoutError("second"), ValueError("third")])

    def fail(_: Any) -> None:
        raise next(failures)

    done(MemoryIO(TextEvent("a")), behaviour(fail, name="b"), state_dir=tmp_path, attempts=3)
    (wire,) = dead_letters(tmp_path)
    assert wire["error"]["traceback"].startswith("Traceback (most recent call last)")
    assert wire["error"]["traceback"].endswith("ValueError: third")
    assert "in fail" in wire["error"]["traceback"]
    assert "first" not in wire["error"]["traceback"]  # each try stands by itself
    (one,) = DeadLetters(tmp_path).read()
    tries = [(each.type, each.message) for each in one.tries]
    assert tries == [("OSError", "first"), ("TimeoutError", "second"), ("ValueError", "third")]
    assert {each.step for each in one.tries} == {one.step}
    assert [each.at for each in one.tries] == sorted(each.at for each in one.tries)
    assert one.tries[-1].at <= one.at


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (OSError("x" * 100_000), "xxx"),
        (OSError("\ud800\x1b[31m"), "\\ud800\x1b[31m"),
        (HostileError(), ""),
    ],
    ids=["long", "no text", "hostile"],
)
def test_whatever_an_exception_is_its_record_is_bounded_and_readable(
    tmp_path: Path, error: OSError, end: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It may contain a whole file, text that is not UTF-8, or fail itself."""
    caplog.set_level(logging.CRITICAL)  # no worker of pytest can send such text
    bot = behaviour(raising(error), name="b")
    done(MemoryIO(TextEvent("a")), bot, state_dir=tmp_path, attempts=50)
    assert (tmp_path / "dead-letters.jsonl").stat().st_size < 60_000
    (one,) = DeadLetters(tmp_path).read()
    assert len(one.traceback) <= 8000
    assert one.traceback.endswith(end)
    assert len(one.tries) == 20  # the newest
    assert one.attempts == 50


def test_the_tries_of_an_output_are_in_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the step that requested it was tried once."""
    io = MemoryIO(TextEvent("a"))

    async def output(_: Any) -> bool:
        message = "the far end is down"
        raise ConnectionError(message)

    monkeypatch.setattr(io.output, "output", output)
    done(io, behaviour(lambda event: event.text, name="b"), state_dir=tmp_path, attempts=3)
    (one,) = DeadLetters(tmp_path).read()
    assert one.attempts == len(one.tries) == 3
    assert {each.step for each in one.tries} == {"ReplyOutput by CollectingOutput"}
    assert "the far end is down" in one.traceback


def test_a_record_of_an_earlier_version_is_read_and_processed(tmp_path: Path) -> None:
    """It has no traceback and no tries; what somebody wrote in their place harms nothing."""
    for text, tries in (("a", None), ("b", "broken"), ("c", [1, {"at": 5}])):
        letter_of(tmp_path, TextEvent(text))
        path = tmp_path / "dead-letters.jsonl"
        *lines, last = path.read_text().splitlines()
        wire = json.loads(last)
        del wire["tries"], wire["error"]["traceback"]
        wire |= {} if tries is None else {"tries": tries}
        path.write_text("\n".join([*lines, json.dumps(wire)]) + "\n")
    found = DeadLetters(tmp_path).read()
    assert [len(one.tries) for one in found] == [0, 0, 1]
    assert {one.traceback for one in found} == {""}
    got: list[str] = []
    bot = behaviour(lambda event: got.append(event.text), name="b")
    report = live(tmp_path, bot, use=lambda runner: runner.retry())
    assert (sorted(got), report.done, report.left) == (["a", "b", "c"], 3, 0)


# -- retried while the bot runs --------------------------------------------------------------------


def test_a_dead_letter_is_retried_while_the_bot_runs(tmp_path: Path) -> None:
    """At its step, by the running behaviour; that which fails again keeps its id and its story."""
    calls: list[str] = []
    broken = {"a", "b"}

    def second(event: Any) -> None:
        calls.append(event.text)
        if event.text in broken:
            message = "broken"
            raise OSError(message)

    async def use(runner: Runner) -> None:
        await until(lambda: runner.stats.failed == 2)
        before = await runner.dead_letters()
        assert [one.event().text for one in before] == ["a", "b"]  # type: ignore[attr-defined]
        broken.remove("b")
        calls.clear()
        report = await runner.retry()
        assert (report.done, report.failed, report.left) == (1, 1, 1)
        (one,) = await runner.dead_letters()
        assert one.ident == before[0].ident
        assert len(one.tries) == 2
        assert sorted(calls) == ["a", "b"]
        assert len(dead_letters(tmp_path)) == 1  # tidy
        broken.clear()
        report = await runner.retry([one.ident])
        assert (report.done, report.left) == (1, 0)
        assert await runner.dead_letters() == []
        assert os.listdir(tmp_path) == ["lock"]

    first: list[str] = []
    bot = behaviour(lambda event: first.append(event.text), second, name="b")
    live(tmp_path, MemoryIO(TextEvent("a"), TextEvent("b")), bot, use=use, attempts=1)
    assert first == ["a", "b"]


def test_an_unknown_id_is_refused_and_nothing_is_done(tmp_path: Path) -> None:
    """Also beside a known one; and a text is no sequence of ids."""
    ident = letter_of(tmp_path, TextEvent("a"))
    got: list[str] = []

    async def use(runner: Runner) -> None:
        with pytest.raises(UsageError, match="no dead letter 'unknown'"):
            await runner.retry([ident, "unknown"])
        with pytest.raises(UsageError, match="sequence of ids"):
            await runner.retry(ident)
        with pytest.raises(UsageError, match="sequence of ids"):
            await runner.discard(ident)
        assert await runner.discard(["unknown"]) == 0
        assert len(await runner.dead_letters()) == 1

    live(tmp_path, behaviour(lambda event: got.append(event.text), name="b"), use=use)
    assert got == []


class Gate:
    """An action that waits, for tests of what happens meanwhile."""

    def __init__(self) -> None:
        self.reached: list[str] = []
        self.open = asyncio.Event()

    async def __call__(self, event: Any) -> None:
        self.reached.append(event.text)
        await self.open.wait()


def test_one_that_is_being_retried_is_not_retried_twice_nor_discarded(tmp_path: Path) -> None:
    """It is left to the first call, whose caller may go away meanwhile."""
    one = letter_of(tmp_path, TextEvent("a"))
    letter_of(tmp_path, TextEvent("b"), behaviour="name:c")
    gate = Gate()

    async def use(runner: Runner) -> None:
        first = asyncio.create_task(runner.retry([one]))
        await until(lambda: gate.reached)
        first.cancel()
        assert await runner.discard([one]) == 0
        second = asyncio.create_task(runner.retry())
        await until(lambda: len(gate.reached) == 2)
        gate.open.set()
        report = await second
        assert (report.done, report.busy) == (1, 1)

        async def is_empty() -> bool:
            return await runner.dead_letters() == []

        await until(is_empty)

    live(tmp_path, behaviour(gate, name="b"), behaviour(gate, name="c"), use=use)
    assert gate.reached == ["a", "b"]


def test_many_calls_at_once_process_each_once(tmp_path: Path) -> None:
    """Also one that reads the file while the end of another's is not written yet."""
    for number in range(30):
        letter_of(tmp_path, TextEvent(str(number)))
    got: list[str] = []

    async def use(runner: Runner) -> None:
        reports = await asyncio.gather(*(runner.retry() for _ in range(20)))
        assert sum(report.done for report in reports) == 30
        assert await runner.dead_letters() == []

    bot = behaviour(lambda event: got.append(event.text), name="b", concurrency=4)
    live(tmp_path, bot, use=use, behaviour_queue=3)
    assert sorted(got, key=int) == [str(number) for number in range(30)]


def test_one_whose_end_the_disk_refuses_is_not_processed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in the file then, and done all the same; once the disk takes it, it is gone."""
    for text in "ab":
        letter_of(tmp_path, TextEvent(text))
    got: list[str] = []
    full = [True]
    add = DeadLetters.add

    def refusing(self: DeadLetters, lines: Any) -> None:
        if full[0]:
            raise OSError(errno.ENOSPC, "no space left on device", str(self.path))
        add(self, lines)

    monkeypatch.setattr(DeadLetters, "add", refusing)

    async def use(runner: Runner) -> None:
        first = await runner.retry()
        assert (first.done, first.left) == (2, 0)
        again = await runner.retry()
        assert (again.done, again.busy) == (0, 2)
        full[0] = False
        assert (await runner.retry()).left == 0
        assert await runner.dead_letters() == []

    live(tmp_path, behaviour(lambda event: got.append(event.text), name="b"), use=use)
    assert got == ["a", "b"]


def test_a_behaviour_that_hangs_holds_up_the_dead_letters_of_no_other(tmp_path: Path) -> None:
    """Though its queue stays full."""
    for text in "abcd":
        letter_of(tmp_path, TextEvent(text), behaviour="name:slow")
    letter_of(tmp_path, TextEvent("e"))
    gate = Gate()
    got: list[str] = []

    async def use(runner: Runner) -> None:
        retrying = asyncio.create_task(runner.retry())
        await until(lambda: got == ["e"])
        gate.open.set()
        assert (await retrying).done == 5

    quick = behaviour(lambda event: got.append(event.text), name="b")
    live(tmp_path, behaviour(gate, name="slow"), quick, use=use, behaviour_queue=1)


@pytest.mark.parametrize("how", ["stop", "stop at once", "cancel"])
def test_a_bot_that_stops_meanwhile_leaves_them_in_place(tmp_path: Path, how: str) -> None:
    """With how far each has come; nothing goes to the journal, and a later call is refused."""
    for text in "abc":
        letter_of(tmp_path, TextEvent(text))
    calls: list[str] = []
    gate = Gate()

    async def main() -> None:
        bot = behaviour(lambda event: calls.append(event.text), gate, name="b")
        options = RunOptions(state_dir=tmp_path, drain=0.1, behaviour_queue=1)
        runner = Runner([bot], options)
        running = asyncio.create_task(runner.run())
        retrying = asyncio.create_task(runner.retry())  # waits for the start
        await until(lambda: gate.reached)
        if how == "cancel":
            running.cancel()
        else:
            runner.stop()
            if how == "stop at once":
                runner.stop()
        report = await retrying
        await asyncio.wait({running})
        assert (report.done, report.not_reached, report.left) == (0, 3, 3)
        with pytest.raises(UsageError, match="nothing was retried: the bot is stopping"):
            await runner.retry()
        assert len(await runner.dead_letters()) == 3

    asyncio.run(main())
    assert not (tmp_path / "journal.jsonl").exists()
    assert len(DeadLetters(tmp_path).read()) == 3
    gate = Gate()
    gate.open.set()
    bot = behaviour(lambda event: calls.append(event.text), gate, name="b")
    assert live(tmp_path, bot, use=lambda runner: runner.retry()).done == 3
    assert sorted(calls) == ["a", "b", "c"]  # the first step of none was repeated


@pytest.mark.parametrize("stays", [True, False], ids=["stays", "goes"])
def test_a_reload_meanwhile_neither_loses_nor_doubles_them(tmp_path: Path, *, stays: bool) -> None:
    """The new behaviour goes on with them; if there is none, they stay dead letters, each once."""
    idents = [letter_of(tmp_path, TextEvent(text)) for text in "abcd"]
    gate, got = Gate(), []

    async def use(runner: Runner) -> None:
        retrying = asyncio.create_task(runner.retry())
        await until(lambda: gate.reached)
        new = behaviour(lambda event: got.append(event.text), name="b" if stays else "other")
        await runner.reload([new])
        report = await retrying
        if stays:
            assert (report.done, report.left) == (4, 0)
            assert await runner.dead_letters() == []
        else:
            assert (report.done, report.unreadable) == (0, 4)
            assert [one.ident for one in await runner.dead_letters()] == idents

    live(tmp_path, behaviour(gate, name="b"), use=use, drain=0.05, behaviour_queue=2)
    assert sorted(got) == (["a", "b", "c", "d"] if stays else [])


def test_discarded_ones_are_gone_and_no_other(tmp_path: Path) -> None:
    """The number of those that there were is returned."""
    idents = [letter_of(tmp_path, TextEvent(text)) for text in "abc"]

    async def use(runner: Runner) -> None:
        assert await runner.discard([idents[0], idents[2], "unknown"]) == 2
        assert [one.ident for one in await runner.dead_letters()] == [idents[1]]
        assert await runner.discard([]) == 0

    live(tmp_path, behaviour(lambda _: None, name="b"), use=use)
    assert [one["id"] for one in dead_letters(tmp_path)] == [idents[1]]


def test_without_a_state_directory_there_are_none() -> None:
    """To retry them is a mistake of the caller's."""

    async def main() -> None:
        async with Runner([behaviour(lambda _: None, name="b")], RunOptions()) as runner:
            assert await runner.dead_letters() == []
            with pytest.raises(UsageError, match="no state directory"):
                await runner.retry()
            with pytest.raises(UsageError, match="no state directory"):
                await runner.discard(["a"])

    asyncio.run(main())


def test_a_dry_run_retries_and_discards_nothing(tmp_path: Path) -> None:
    """It reports what would be done."""
    ident = letter_of(tmp_path, TextEvent("a"))

    async def use(runner: Runner) -> ReplayReport:
        assert await runner.discard([ident]) == 0
        return await runner.retry()

    report = live(tmp_path, behaviour(lambda _: None, name="b"), use=use, dry_run=True)
    assert (report.done, report.not_reached) == (0, 1)
    assert len(dead_letters(tmp_path)) == 1


# -- on the command line ---------------------------------------------------------------------------


def test_the_command_line_lists_shows_retries_and_discards(tmp_path: Path) -> None:
    """The same as ``replay`` while the bot is stopped; reading works while it runs."""
    (tmp_path / "bot.yaml").write_text(REPLAYED)
    state = tmp_path / "state"
    state.mkdir()
    hostile = "x\x1b[31m\n\udcff"
    idents = [
        letter_of(state, created(name, location=str(tmp_path)), behaviour="b")
        for name in (hostile, "b", "c")
    ]

    def run(*words: str) -> tuple[int, str, str]:
        out = limpet(tmp_path, "dead-letters", words[0], "bot.yaml", *words[1:])
        return out.returncode, out.stdout, out.stderr

    where = ("--state-dir", "state")
    code, out, _ = run("list", *where)
    assert code == 0
    assert [line.split("\t")[0] for line in out.splitlines()] == idents
    assert "\x1b" not in out
    code, out, _ = run("list", idents[1], "--json", *where)
    (one,) = map(json.loads, out.splitlines())
    assert (code, one["id"], one["error"]["message"]) == (0, idents[1], "it failed")
    code, out, _ = run("show", *where)
    assert code == 0
    assert out.count("dead letter ") == 3
    assert "\x1b" not in out
    assert "x\\x1b[31m\\n\\xff" in out
    assert "is not there any more" in out
    assert "OSError: it failed" in out
    code, out, _ = run("show", idents[0], "--json", *where)
    assert json.loads(out)["event"]
    with Program(tmp_path, "run", "bot.yaml", *where) as program:
        program.until(lambda: "running: " in program.output)
        assert len(run("list", *where)[1].splitlines()) == 3
        assert run("show", idents[2], *where)[0] == 0
        for words in (("retry", *where), ("discard", idents[0], *where)):
            code, _, error = run(*words)
            assert code == 2
            assert "--listen" in error
            assert "or stop it first" in error
    assert run("discard", idents[0], *where)[:2] == (0, "1 discarded\n")
    assert run("discard", idents[0], *where)[:2] == (1, "0 discarded\n")
    code, out, error = run("retry", idents[1], *where)
    assert (code, out) == (1, "1 done, 1 left: 1 not asked for\n"), error
    assert (tmp_path / "out" / "log").read_text() == "b\n"
    assert run("retry", *where)[:2] == (0, "1 done, 0 left\n")
    assert run("list", *where) == (0, "", "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lst", "bot.yaml"], "expected one of list, show, retry, discard, not 'lst'"),
        (["list"], "expected list|show|retry|discard BOT.yaml"),
        (["discard", "bot.yaml"], "expected the ids"),
        (["retry", "bot.yaml", "--json"], "--json is for list and show"),
        (["show", "bot.yaml", "nope"], "no dead letter 'nope'"),
        (["list", "no.yaml"], "no.yaml does not exist"),
    ],
)
def test_a_wrong_call_is_refused(tmp_path: Path, words: list[str], message: str) -> None:
    """With exit code 2, and what is right."""
    (tmp_path / "bot.yaml").write_text(REPLAYED)
    found = limpet(tmp_path, "dead-letters", *words)
    assert (found.returncode, found.stdout) == (2, "")
    assert message in found.stderr
