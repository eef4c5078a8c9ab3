"""An inbox over a real watch: each file becomes a job, and each job ends in one place."""

from __future__ import annotations

import asyncio
import errno
import gc
import inspect
import json
import logging
import os
import threading
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

import limpet
from limpet.intake._job_record import JobRecord, key_of
from limpet.output import rename_to_free_path
from tests.capabilities import IS_ROOT
from tests.waiting import PATIENCE, until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


only_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path


def open_inbox(place: Path, **options: Any) -> limpet.Inbox:
    """Return the inbox of a test: nothing waits longer than it must."""
    given = {"done": place / "done", "failed": place / "failed", "settle": 0.05, "backoff": 0.01}
    return limpet.inbox(place / "in", **{**given, **options})


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []


def put(path: Path, text: str = "text") -> None:
    """Write a file as most programs do: complete once it has its name."""
    aside = path.parent.parent / f"{path.name}.new"
    aside.write_text(text)
    aside.replace(path)


async def first(jobs: AsyncIterator[limpet.Job]) -> limpet.Job:
    with anyio.fail_after(PATIENCE):
        return await anext(jobs)


async def test_it_works_by_itself_and_takes_what_is_there_first(place: Path) -> None:
    """The oldest first, then what comes; each is moved to done, and nothing else is left."""
    for number, name in enumerate(["c", "a", "b"]):
        put(place / "in" / name, name.upper())
        os.utime(place / "in" / name, (1000 + number, 1000 + number))
    seen = []
    with anyio.fail_after(PATIENCE):
        async for job in open_inbox(place):
            async with job:
                assert job.attempt == 1
                assert await job.data() == (await job.text()).encode()
                seen.append((job.path, await job.text()))
            if len(seen) == 3:
                put(place / "in" / "late", "LATE")
            if len(seen) == 4:
                break
    assert seen == [(place / "in" / name, name.upper()) for name in ["c", "a", "b", "late"]]
    assert names(place / "done") == ["a", "b", "c", "late"]
    assert names(place / "in") == []
    assert not (place / "failed").exists()


async def test_a_failure_is_tried_again_and_then_noted(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The exception ends no loop; the note has the time, the tries and the traceback."""
    put(place / "in" / "bad.csv")
    attempts = []
    async with open_inbox(place, attempts=2) as box:
        async for job in box:
            async with job:
                attempts.append(job.attempt)
                raise ValueError("no such column")
            if len(attempts) == 2:
                break
    assert attempts == [1, 2]
    assert names(place / "failed") == ["bad.csv", "bad.csv.error.txt"]
    note = (place / "failed" / "bad.csv.error.txt").read_text()
    assert "tries: 2 of 2" in note
    assert "ValueError: no such column" in note
    assert "Traceback" in note
    assert (names(place / "in"), names(place / "done")) == ([], [])
    assert "try 1 of 2" in caplog.text


async def test_a_job_that_succeeds_later_is_done(place: Path) -> None:
    """Two failures leave no trace."""
    put(place / "in" / "f")
    async with open_inbox(place) as box:
        async for job in box:
            async with job:
                if job.attempt < 3:
                    raise OSError
            if job.attempt == 3:
                break
    assert (names(place / "done"), names(place / "in")) == (["f"], [])
    assert not (place / "failed").exists()


@pytest.mark.parametrize("how", ["scope", "base"])
async def test_a_cancelled_job_stays_and_the_try_is_not_counted(place: Path, how: str) -> None:
    """It comes again as the same try: what ended the block says nothing of the job."""
    put(place / "in" / "f")
    async with open_inbox(place, attempts=1) as box:
        job = await first(aiter(box))
        if how == "scope":
            with anyio.move_on_after(0.01):
                async with job:
                    await anyio.sleep_forever()
        else:
            with pytest.raises(GeneratorExit):
                async with job:
                    raise GeneratorExit
        again = await first(aiter(box))
        assert (again.path, again.attempt) == (job.path, 1)
        async with again:
            pass
    assert names(place / "done") == ["f"]


@only_asyncio
async def test_a_task_of_asyncio_that_is_cancelled_gives_its_job_back(place: Path) -> None:
    """By ``Task.cancel``, which passes every shield of anyio."""
    put(place / "in" / "f")
    async with open_inbox(place, attempts=1) as box:
        begun = asyncio.Event()

        async def work() -> None:
            async for job in box:
                async with job:
                    begun.set()
                    await asyncio.Event().wait()

        for _ in range(3):
            task = asyncio.create_task(work())
            await begun.wait()
            begun.clear()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        job = await first(aiter(box))
        assert job.attempt == 1
        async with job:
            pass


@only_asyncio
async def test_a_cancellation_at_the_end_of_a_block_does_not_undo_it(place: Path) -> None:
    """The body was left normally: the job is done, though the task is cancelled before it waits."""
    put(place / "in" / "f")
    async with open_inbox(place) as box:
        job = await first(aiter(box))

        async def work() -> None:
            async with job:
                current = asyncio.current_task()
                assert current is not None
                current.cancel()

        task = asyncio.create_task(work())
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: names(place / "done") == ["f"])
        await until(lambda: not names(place / "in"))


async def test_no_more_jobs_are_open_than_concurrency(place: Path) -> None:
    """The iterator waits; several tasks may iterate, and each job goes to one of them."""
    for number in range(12):
        put(place / "in" / str(number))
    open_jobs, most, seen = 0, 0, []
    async with open_inbox(place, concurrency=3) as box, anyio.create_task_group() as tasks:

        def three_were_open() -> bool:
            return most >= 3

        async def work() -> None:
            nonlocal open_jobs, most
            async for job in box:
                async with job:
                    open_jobs += 1
                    most = max(most, open_jobs)
                    seen.append(job.path.name)
                    await until(three_were_open)
                    open_jobs -= 1

        for _ in range(5):
            tasks.start_soon(work)
        await until(lambda: len(names(place / "done")) == 12)
        tasks.cancel_scope.cancel()
    assert most == 3
    assert sorted(seen) == sorted(map(str, range(12)))


async def test_jobs_handed_to_tasks_hold_the_iterator_back(place: Path) -> None:
    """The other usual form: one loop, a task for each job."""
    for number in range(9):
        put(place / "in" / str(number))
    open_jobs, most = 0, 0

    async def work(job: limpet.Job) -> None:
        nonlocal open_jobs, most
        async with job:
            open_jobs += 1
            most = max(most, open_jobs)
            await until(lambda: most >= 2)
            open_jobs -= 1

    async with open_inbox(place, concurrency=2) as box, anyio.create_task_group() as tasks:
        count = 0
        async for job in box:
            tasks.start_soon(work, job)
            count += 1
            if count == 9:
                break
    assert most == 2
    assert len(names(place / "done")) == 9


async def test_a_job_that_is_never_entered_comes_again(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is neither lost nor counted, and the log says what to do."""
    put(place / "in" / "f")
    async with open_inbox(place, concurrency=1) as box:
        job = await first(aiter(box))
        del job
        gc.collect()
        again = await first(aiter(box))
        assert again.attempt == 1
        async with again:
            pass
    assert "end each job by 'async with job:'" in caplog.text
    assert names(place / "done") == ["f"]


async def test_jobs_that_are_kept_and_never_entered_are_reported(
    place: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An iterator that waits for them for ever says so."""
    monkeypatch.setattr("limpet.intake._inbox.STALLED_S", 0.01)
    put(place / "in" / "f")
    async with open_inbox(place, concurrency=1) as box, anyio.create_task_group() as tasks:
        job = await first(aiter(box))
        tasks.start_soon(first, aiter(box))
        await until(lambda: "1 of 1 jobs were taken" in caplog.text)
        tasks.cancel_scope.cancel()
    with pytest.raises(RuntimeError, match="has ended"):
        async with job:
            pass
    assert names(place / "in") == ["f"]


async def test_a_job_outlives_its_inbox(place: Path) -> None:
    """What was begun when the inbox is closed ends as usual."""
    put(place / "in" / "f")
    async with open_inbox(place) as box:
        job = await first(aiter(box))
        await job.__aenter__()
    await job.__aexit__(None, None, None)
    assert names(place / "done") == ["f"]


async def test_names_that_are_taken_get_numbers(place: Path) -> None:
    """In both folders, and a note stays beside its file."""
    for folder in ("done", "failed"):
        (place / folder).mkdir()
        (place / folder / "a.txt").write_text("old")
    for text in ("1", "2"):
        for outcome in (None, ValueError()):
            put(place / "in" / "a.txt", text)
            async with open_inbox(place, attempts=1) as box:
                async with await first(aiter(box)):
                    if outcome is not None:
                        raise outcome
    assert [path.read_text() for path in sorted((place / "done").iterdir())] == ["1", "2", "old"]
    assert names(place / "failed") == [
        *("a.1.txt", "a.1.txt.error.txt", "a.2.txt", "a.2.txt.error.txt", "a.txt"),
    ]


@pytest.mark.parametrize("how", ["replaced", "rewritten", "fails"])
async def test_what_comes_to_the_path_meanwhile_is_a_job_of_its_own(place: Path, how: str) -> None:
    """It is not moved with what was processed, and begins at the first try."""
    put(place / "in" / "f", "one")
    texts = []
    async with open_inbox(place, attempts=2) as box:
        async for job in box:
            async with job:
                texts.append((await job.text(), job.attempt))
                if len(texts) == 1:
                    if how == "replaced":
                        put(place / "in" / "f", "two")
                    else:
                        (place / "in" / "f").write_text("two")
                    if how == "fails":
                        raise ValueError
            if len(texts) == 2:
                break
    assert texts == [("one", 1), ("two", 1)]
    assert (place / "done" / "f").read_text() == "two"
    assert names(place / "done") == ["f"]


@pytest.mark.parametrize("fails", [False, True])
async def test_a_job_that_writes_to_its_own_file_waits_before_it_comes_again(
    place: Path, caplog: pytest.LogCaptureFixture, *, fails: bool
) -> None:
    """Other jobs come meanwhile, and a warning says why this one has no end."""
    put(place / "in" / "f")
    async with open_inbox(place, backoff=1000, backoff_max=1000) as box:
        async with await first(aiter(box)) as job:
            job.path.write_text("changed")
            if fails:
                raise ValueError
        assert "let it write to another one" in caplog.text
        put(place / "in" / "g")
        async with await first(aiter(box)) as job:
            assert job.path.name == "g"
    assert names(place / "done") == ["g"]
    assert (place / "in" / "f").read_text() == "changed"


async def test_folders_in_the_inbox_that_it_is_emptied_into_are_no_jobs(place: Path) -> None:
    """Not with all folders below, and not where each folder is a job."""
    put(place / "in" / "f")
    inside = {"done": place / "in" / "done[1]", "failed": place / "in" / "failed"}
    async with open_inbox(place, recursive=True, attempts=1, **inside) as box:
        async with await first(aiter(box)):
            pass
        put(place / "in" / "g")
        async with await first(aiter(box)):
            raise ValueError
        put(place / "in" / "h")
        job = await first(aiter(box))
        assert job.path.name == "h"
        async with job:
            pass
    (place / "in" / "folder").mkdir()
    async with open_inbox(place, unit="dir", **inside) as box:
        job = await first(aiter(box))
        assert job.path.name == "folder"
        async with job:
            pass
    assert names(place / "in" / "done[1]") == ["f", "folder", "h"]
    assert names(place / "in" / "failed") == ["g", "g.error.txt"]


async def test_a_whole_folder_is_a_job_once_it_is_complete(place: Path) -> None:
    """With all in it; single files beside it stay."""
    put(place / "in" / "single")
    (place / "in" / "early" / "sub").mkdir(parents=True)
    seen = []
    async with open_inbox(place, unit="dir", attempts=2) as box:
        async for job in box:
            async with job:
                seen.append((job.path.name, job.attempt, names(job.path)))
                if job.path.name == "late" and job.attempt == 1:
                    raise ValueError
                with pytest.raises(IsADirectoryError):
                    await job.data()
            if len(seen) == 1:
                (place / "in" / "late").mkdir()
                for number in range(3):
                    (place / "in" / "late" / str(number)).write_text("x")
                    await anyio.sleep(0.01)
            if len(seen) == 3:
                break
    files = ["0", "1", "2"]
    assert seen == [("early", 1, ["sub"]), ("late", 1, files), ("late", 2, files)]
    assert names(place / "done") == ["early", "late"]
    assert names(place / "in") == ["single"]


async def test_the_inbox_may_be_missing_and_come_and_go(place: Path) -> None:
    """It waits for the folder, also for one that is deleted while a job is open."""
    (place / "in").rmdir()
    seen = []
    async with open_inbox(place) as box, anyio.create_task_group() as tasks:

        async def work() -> None:
            async for job in box:
                async with job:
                    seen.append(job.path.name)
                    if job.path.name == "lost":
                        job.path.unlink()
                        job.path.parent.rmdir()

        tasks.start_soon(work)
        for name in ("first", "lost", "last"):
            (place / "in").mkdir(exist_ok=True)
            put(place / "in" / name)
            await until(partial(seen.__contains__, name))
            await until(lambda: not names(place / "in"))
        tasks.cancel_scope.cancel()
    assert names(place / "done") == ["first", "last"]


HOSTILE = [
    b"new\nline", b"back\\slash", b"tab\t", b"\xff\xfe.bin", b"-rf", b" ", b"n" * 255, b"*?[",
    "ж".encode(), b"a.tar.gz", b"trailing.",
]  # fmt: skip


@only_asyncio
@pytest.mark.skipif(os.name != "posix", reason="no such names can be made here")
async def test_hostile_names_are_jobs_like_any_other(place: Path) -> None:
    """Done, failed with a note, and numbered where they are taken."""
    folder = os.fsencode(place / "in")
    for outcome in (None, ValueError(), None):
        for name in HOSTILE:
            with open(folder + b"/" + name, "wb"):
                pass
        async with open_inbox(place, attempts=1) as box:
            left = len(HOSTILE)
            async for job in box:
                async with job:
                    if outcome is not None:
                        raise outcome
                left -= 1
                if not left:
                    break
    assert names(place / "in") == []
    assert len(names(place / "done")) == len(names(place / "failed")) == 2 * len(HOSTILE)
    assert set(HOSTILE) <= set(os.listdir(os.fsencode(place / "done")))


@only_asyncio
async def test_links_and_fifos_are_no_jobs(place: Path) -> None:
    """Nothing is read, moved or deleted through a link, and no reader waits for a FIFO."""
    secret = place / "secret"
    secret.write_text("s")
    (place / "in" / "link").symlink_to(secret)
    (place / "in" / "folder").symlink_to(place)
    os.mkfifo(place / "in" / "fifo")
    put(place / "in" / "f")
    async with open_inbox(place) as box:
        async with await first(aiter(box)) as job:
            assert job.path.name == "f"
            job.path.unlink()
            job.path.symlink_to(secret)
            with pytest.raises(OSError, match=r"link|symbolic"):
                await job.data()
        await anyio.sleep(0.1)
    assert names(place / "in") == ["f", "fifo", "folder", "link"]
    assert secret.read_text() == "s"


@only_asyncio
async def test_a_folder_that_becomes_a_link_leads_nowhere(place: Path) -> None:
    """Also between two tries of a file in it: what is behind the link is neither read nor moved."""
    (place / "in" / "sub").mkdir()
    (place / "in" / "sub" / "f").write_text("text")
    (place / "secret").mkdir()
    (place / "secret" / "f").write_text("s")
    async with open_inbox(place, recursive=True, backoff=0.1) as box:
        async with await first(aiter(box)):
            (place / "in" / "sub").rename(place / "aside")
            (place / "in" / "sub").symlink_to(place / "secret")
        put(place / "in" / "last")
        job = await first(aiter(box))
        assert job.path.name == "last"
        async with job:
            pass
    assert (place / "secret" / "f").read_text() == "s"
    assert names(place / "done") == ["last"]


@only_asyncio
async def test_a_file_that_vanishes_is_no_failure(place: Path) -> None:
    """Whether its job moved it away itself, or somebody took it back."""
    put(place / "in" / "f")
    async with open_inbox(place) as box:
        for outcome in (None, ValueError()):
            put(place / "in" / "f")
            async with await first(aiter(box)) as job:
                job.path.unlink()
                if outcome is not None:
                    raise outcome
        await until(lambda: not names(place / "in"))
    assert not (place / "done").exists() or not names(place / "done")
    assert not (place / "failed").exists() or not names(place / "failed")


@only_asyncio
async def test_done_none_deletes(place: Path) -> None:
    """Of a folder, all that is in it."""
    put(place / "in" / "f")
    async with open_inbox(place, done=None) as box:
        async with await first(aiter(box)):
            pass
    (place / "in" / "d" / "e").mkdir(parents=True)
    async with open_inbox(place, done=None, unit="dir") as box:
        async with await first(aiter(box)):
            pass
    assert names(place) == ["in"]
    assert names(place / "in") == []


@only_asyncio
async def test_a_done_folder_that_takes_nothing_holds_nothing_up(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The others go on; the job is not processed again, only moved once that works."""
    (place / "done").write_text("not a folder")
    put(place / "in" / "a")
    seen = []
    async with open_inbox(place) as box, anyio.create_task_group() as tasks:

        async def work() -> None:
            async for job in box:
                async with job:
                    seen.append(job.path.name)

        tasks.start_soon(work)
        await until(lambda: "cannot put away 'a'" in caplog.text)
        put(place / "in" / "b")
        await until(lambda: "cannot put away 'b'" in caplog.text)
        (place / "done").unlink()
        await until(lambda: names(place / "done") == ["a", "b"])
        tasks.cancel_scope.cancel()
    assert seen == ["a", "b"]


@only_asyncio
async def test_what_was_done_but_not_moved_is_moved_by_the_next_start(place: Path) -> None:
    """Without being processed again."""
    (place / "done").write_text("not a folder")
    put(place / "in" / "a")
    async with open_inbox(place) as box:
        async with await first(aiter(box)):
            pass
    (place / "done").unlink()
    put(place / "in" / "b")
    async with open_inbox(place) as box:
        assert (await first(aiter(box))).path.name == "b"
        await until(lambda: names(place / "done") == ["a"])


@only_asyncio
@pytest.mark.parametrize("unit", ["file", "dir"])
async def test_on_another_file_system_jobs_are_copied_and_then_deleted(
    place: Path, unit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Complete at once there, with mode and links as they are; a full disk leaves no part."""
    real, full = rename_to_free_path, [True]

    def rename(source: str, target: str) -> None:
        if Path(source).parent != Path(target).parent:
            raise OSError(errno.EXDEV, "another file system")
        if full:
            full.pop()
            raise OSError(errno.ENOSPC, "no space")
        real(source, target)

    monkeypatch.setattr("limpet.intake._put_away.rename_to_free_path", rename)
    if unit == "file":
        put(place / "in" / "f")
    else:
        (place / "in" / "f" / "sub").mkdir(parents=True)
        (place / "in" / "f" / "sub" / "x").write_text("text")
        (place / "in" / "f" / "link").symlink_to("/nowhere")
    (place / "in" / "f").chmod(0o700)
    seen = []
    async with open_inbox(place, unit=unit) as box, anyio.create_task_group() as tasks:

        async def work() -> None:
            async for job in box:
                async with job:
                    seen.append(job.attempt)

        tasks.start_soon(work)
        await until(lambda: not names(place / "in"))
        tasks.cancel_scope.cancel()
    assert (seen, full) == ([1], [])
    assert names(place / "done") == ["f"]
    assert (place / "done" / "f").stat().st_mode & 0o777 == 0o700
    if unit == "file":
        assert (place / "done" / "f").read_text() == "text"
    else:
        assert (place / "done" / "f" / "sub" / "x").read_text() == "text"
        assert os.readlink(place / "done" / "f" / "link") == "/nowhere"


@only_asyncio
async def test_a_disk_that_takes_no_record_forgets_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tries are counted in memory then, and the note has the error."""

    def refuse(_: JobRecord) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(JobRecord, "save", refuse)
    put(place / "in" / "f")
    attempts = []
    async with open_inbox(place, attempts=2) as box:
        async for job in box:
            async with job:
                attempts.append(job.attempt)
                raise ValueError(job.attempt)
            if len(attempts) == 2:
                break
    assert attempts == [1, 2]
    assert "ValueError: 2" in (place / "failed" / "f.error.txt").read_text()


@only_asyncio
async def test_records_of_others_lead_nowhere(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A planted record names no path outside; a planted link is not followed."""
    (place / "secret").write_text("s")
    records = place / "in" / ".limpet-inbox"
    records.mkdir()
    for name in ("../secret", "sub/../../secret", "/etc/passwd", ""):
        file = records / f"{key_of(name)}.job"
        file.write_text(json.dumps({"name": name, "attempts": 9, "outcome": "done"}))
    (records / f"{key_of('gone')}.job").touch()
    (records / f"{key_of('f')}.job").write_bytes(b"{" * 100_000)
    put(place / "in" / "f")
    async with open_inbox(place) as box, await first(aiter(box)) as job:
        assert (job.path.name, job.attempt) == ("f", 1)
    assert (place / "secret").exists()
    assert len(names(records)) == 4  # those that are not its own; the empty one is gone
    for file in records.iterdir():
        file.unlink()
    records.rmdir()
    (place / "elsewhere").mkdir()
    records.symlink_to(place / "elsewhere")
    put(place / "in" / "g")
    async with open_inbox(place) as box, anyio.create_task_group() as tasks:
        tasks.start_soon(first, aiter(box))
        await until(lambda: "cannot begin 'g'" in caplog.text)
        assert names(place / "elsewhere") == []
        records.unlink()
        await until(records.is_dir)
        tasks.cancel_scope.cancel()


@only_asyncio
async def test_tries_and_pauses_survive_a_restart(place: Path) -> None:
    """A new start goes on counting, and waits for what is left of the pause."""
    put(place / "in" / "f")
    for attempt in (1, 2, 3):
        async with open_inbox(place, backoff=0.02) as box:
            async with await first(aiter(box)) as job:
                assert job.attempt == attempt
                raise ValueError
    assert names(place / "failed") == ["f", "f.error.txt"]
    assert names(place / "in") == []


@only_asyncio
@pytest.mark.skipif(IS_ROOT or os.name != "posix", reason="permissions stop nobody here")
async def test_an_inbox_that_cannot_be_written_is_reported(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No job begins that could not be put away; it does once that works."""
    put(place / "in" / "f")
    (place / "in").chmod(0o555)
    async with open_inbox(place) as box, anyio.create_task_group() as tasks:

        async def let_it() -> None:
            await until(lambda: "cannot begin 'f'" in caplog.text)
            (place / "in").chmod(0o755)

        tasks.start_soon(let_it)
        async with await first(aiter(box)):
            pass
    assert names(place / "done") == ["f"]


@only_asyncio
async def test_after_the_block_nothing_is_left(place: Path) -> None:
    """No thread, no descriptor, no lock; also after a loop that was left in the middle."""
    before = threading.active_count()
    for number in range(3):
        put(place / "in" / str(number))
    box = open_inbox(place)
    async with box:
        await first(aiter(box))
    async for job in box:
        async with job:
            break
    gc.collect()
    async with box:
        job = await first(aiter(box))
        assert job.attempt == 1
        async with job:
            pass
        with pytest.raises(RuntimeError, match="running already"):
            await box.aopen()
        with pytest.raises(RuntimeError, match="once"):
            async with job:
                pass
    with pytest.raises(RuntimeError, match="not running"):
        await anext(box)
    # anyio keeps idle threads of asyncio for ten seconds; the watch and the inbox have none.
    await until(
        lambda: not [one for one in threading.enumerate() if one.name.startswith("limpet inbox")]
    )
    assert threading.active_count() <= before + 4


@only_asyncio
async def test_wrong_calls_are_refused_by_name(place: Path) -> None:
    """Nothing is started."""
    with pytest.raises(limpet.UsageError, match="done must be another folder"):
        open_inbox(place, done=place / "in")
    with pytest.raises(limpet.UsageError, match="attempts must be at least 1"):
        open_inbox(place, attempts=0)
    with pytest.raises(limpet.UsageError, match="did you mean 'attempts'"):
        open_inbox(place, attemps=1)
    with pytest.raises(limpet.UsageError, match="settle must be more than 0 with unit='dir'"):
        open_inbox(place, unit="dir", settle=0)
    with pytest.raises(limpet.UsageError, match="unit must be one of file, dir"):
        open_inbox(place, unit="both")
    with pytest.raises(limpet.UsageError, match="failed must not be empty"):
        open_inbox(place, failed="")
    (place / "link").symlink_to(place / "in")
    with pytest.raises(limpet.UsageError, match="failed must be another folder"):
        await open_inbox(place, failed=place / "link").aopen()
    (place / "in").rmdir()
    (place / "in").write_text("a file")
    with pytest.raises(limpet.UsageError, match="is not a folder"):
        await open_inbox(place).aopen()


@only_asyncio
async def test_help_shows_every_option() -> None:
    """With its default, as the issue spells them."""
    shown = inspect.signature(limpet.inbox)
    assert list(shown.parameters)[:5] == ["path", "done", "failed", "attempts", "backoff"]
    defaults = {name: one.default for name, one in shown.parameters.items()}
    assert (defaults["attempts"], defaults["settle"], defaults["concurrency"]) == (3, 2, 4)
    assert defaults["unit"] == "file"
    assert "concurrency: Jobs that may be open at a time." in (limpet.inbox.__doc__ or "")
    assert logging.getLogger("limpet.inbox").level == logging.NOTSET


async def test_the_figures_of_an_inbox(tmp_path: Path) -> None:
    """What waits, is open, is to be tried again, is done and has failed."""
    (tmp_path / "in").mkdir()
    for name in ("bad", "good"):
        (tmp_path / "in" / name).write_text(name)
    box = limpet.inbox(
        tmp_path / "in", done=tmp_path / "done", failed=tmp_path / "failed", attempts=2,
        settle=0, backoff=0.01, backoff_max=0.01, concurrency=1,
    )  # fmt: skip
    with pytest.raises(RuntimeError, match="not running"):
        box.stats()
    ended = 0
    async with box:
        async for job in box:
            stats = box.stats()
            assert (stats.active, stats.done + stats.retried + stats.failed) == (1, ended)
            assert stats.oldest is not None
            try:
                async with job:
                    assert await job.text() != "bad"
            except AssertionError:
                pass
            ended += 1
            if ended == 3:
                break
        stats = box.stats()
        assert (stats.done, stats.retried, stats.failed, stats.active) == (1, 1, 1, 0)
        assert (stats.waiting, stats.retrying, stats.oldest) == (0, 0, None)
        assert stats.last_done is not None
        assert box.watch_stats().backend
    assert (tmp_path / "failed" / "bad").exists()
