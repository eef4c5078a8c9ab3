"""The synchronous form: the same promises, without an event loop."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import limpet
from tests.intake.test_inbox import names, open_inbox, put

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path


def open_sync(place: Path, **options: Any) -> limpet.SyncInbox:
    return open_inbox(place, **options).sync()


def test_done_and_failed_as_in_the_other_form(place: Path) -> None:
    """The loop starts by itself; an exception ends the job and not the loop."""
    put(place / "in" / "good", "ж")
    put(place / "in" / "bad")
    seen = []
    for job in open_sync(place, attempts=2):
        with job:
            seen.append((job.path.name, job.attempt, job.text(), len(job.data())))
            if job.path.name == "bad":
                raise ValueError
        if len(seen) == 3:
            break
    assert sorted(seen) == [("bad", 1, "text", 4), ("bad", 2, "text", 4), ("good", 1, "ж", 2)]
    assert (names(place / "done"), names(place / "in")) == (["good"], [])
    assert names(place / "failed") == ["bad", "bad.error.txt"]


def test_ctrl_c_leaves_the_job_where_it_is(place: Path) -> None:
    """The try is not counted."""
    put(place / "in" / "f")
    with open_sync(place, attempts=1) as box:
        with pytest.raises(KeyboardInterrupt), next(box):
            raise KeyboardInterrupt
        assert "f" in names(place / "in")
        with next(box) as job:
            assert job.attempt == 1
    assert names(place / "done") == ["f"]


def test_threads_may_end_jobs_and_no_more_are_open_than_concurrency(place: Path) -> None:
    """The loop waits for them."""
    for number in range(12):
        put(place / "in" / str(number))
    most = threading.Semaphore(2)

    def work(job: limpet.SyncJob) -> None:
        with job:
            assert most.acquire(blocking=False)
            job.text()
            most.release()

    with open_sync(place, concurrency=2) as box, ThreadPoolExecutor(4) as pool:
        for number, job in enumerate(box):
            pool.submit(work, job)
            if number == 11:
                break
    assert len(names(place / "done")) == 12


def test_next_waits_no_longer_than_asked(place: Path) -> None:
    """``None``, and the inbox goes on; closed from another thread it ends the loop."""
    box = open_sync(place)
    with box:
        assert box.next(timeout=0.01) is None
        put(place / "in" / "f")
        job = box.next(timeout=30)
        assert job is not None
        with job:
            pass
        ended = threading.Event()

        def close() -> None:
            while not ended.wait(0.01):
                box.close()

        closer = threading.Thread(target=close)
        closer.start()
        assert list(box) == []
        ended.set()
        closer.join()
    with pytest.raises(RuntimeError, match="closed"):
        box.next()


def test_a_job_that_is_dropped_comes_again(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither lost nor counted."""
    put(place / "in" / "f")
    with open_sync(place, concurrency=1) as box:
        job = box.next()
        del job
        gc.collect()
        again = box.next()
        assert again is not None
        assert again.attempt == 1
        with again:
            pass
    assert "was not processed" in caplog.text
