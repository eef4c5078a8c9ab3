"""Several rotations between two passes: files come in the order in which they were written."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

import limpet
from limpet.following._file_io import Entry
from limpet.following._rotated_files import Delivered, RotatedFiles, age_by_name
from tests.following.driver import Driven, SteppedFileIO, append, write


@pytest.fixture
def p(tmp_path: Path) -> Path:
    return tmp_path / "app.log"


def shift(p: Path) -> None:
    """Rename each rotated file to the next number, as logrotate and RotatingFileHandler do."""
    names = sorted(p.parent.glob("app.log.*"), key=lambda one: int(one.suffix[1:]), reverse=True)
    for name in names:
        name.rename(name.with_suffix(f".{int(name.suffix[1:]) + 1}"))
    if p.exists():
        p.rename(f"{p}.1")


class Shifting(SteppedFileIO):
    """Rotated files get their next numbers before each listing, which misses one of them."""

    def __init__(self, p: Path, missing: str, listings: int) -> None:
        super().__init__()
        self.p, self.missing, self.listings = p, missing, listings

    def entries(self, path: str) -> list[Entry]:
        if self.listings and not self.p.exists():
            self.listings -= 1
            shift(self.p)
            found = super().entries(path)
            return [
                one
                for one in found
                if not one.name.startswith("app.log.")
                or (self.p.parent / one.name).read_text() != self.missing
            ]
        return super().entries(path)


@pytest.mark.parametrize("listings", [1, 2, 3])
def test_a_file_that_listings_miss_while_names_are_shifted(p: Path, listings: int) -> None:
    """A younger one that they have waits for a listing that had all."""
    write(p, "1\n")
    driven = Driven(p, rotated="app.log.*", io=Shifting(p, "2\n", listings))
    driven.catch_up()
    for number in (2, 3):
        shift(p)
        write(p, f"{number}\n")
    shift(p)
    for _ in range(listings + 2):  # a pass makes one listing
        driven.catch_up()
    assert driven.lines() == ["1", "2", "3"]
    driven.close()


def test_what_is_delivered_is_known_while_names_are_shifted() -> None:
    """A file that was missed by any number of listings would be delivered again; not for ever."""
    rotated = RotatedFiles("/logs/app.log.*")
    rotated.is_complete = True

    def list_it(now: float, name: str) -> bool:
        rotated.compare_listing({name: 8}, now, settled=False)
        rotated.forget_missing({8}, now)
        return 7 in rotated.known

    for start in (1.0, 100.0):
        rotated.remember(Delivered(7, None, 2, 2, 1, "", 1))
        assert all(list_it(start + number / 10, f"app.log.{number}") for number in range(200))
        assert list_it(start + 21, "app.log.1")
        if start == 1.0:
            assert not list_it(start + 21.1, "app.log.1")  # twice the same: it is gone
        else:
            assert not list_it(start + 31, "app.log.2")


def test_a_directory_that_is_away_for_a_moment() -> None:
    """Its listings have no name: what is delivered stays known."""
    rotated = RotatedFiles("/logs/app.log.*")
    rotated.is_complete = True
    rotated.remember(Delivered(7, None, 2, 2, 1, "", 1))
    for number in range(20):
        rotated.compare_listing({}, 1.0 + number, settled=False)
        rotated.forget_missing(set(), 1.0 + number)
    assert 7 in rotated.known
    rotated.compare_listing({}, 21.0, settled=True)
    rotated.forget_missing(set(), 21.0)
    assert rotated.known == {}


def test_names_that_are_shifted_all_the_time(p: Path) -> None:
    """No file waits for ever."""
    write(p, "1\n")
    io = Shifting(p, "2\n", 1 << 30)
    driven = Driven(p, rotated="app.log.*", io=io)
    driven.catch_up()
    shift(p)
    write(p, "2\n")
    shift(p)
    write(p, "3\n")
    shift(p)
    driven.catch_up()
    assert driven.lines() == ["1"]
    driven.wait(1.1)
    assert driven.lines() == ["1", "3"]
    io.listings = 0
    driven.catch_up()
    assert driven.lines() == ["1", "3", "2"]
    driven.close()


@pytest.mark.parametrize("opened", [False, True])
def test_equal_times(p: Path, opened: bool) -> None:
    """The clock of a file system ticks in steps: the numbers of the names tell, too.

    Args:
        opened: One of the files was opened at the path before it was rotated.
    """
    write(p, "1\n")
    driven = Driven(p, rotated="app.log.*")
    driven.catch_up()
    for number in range(2, 14):
        shift(p)
        write(p, f"{number}\n")
        os.utime(p, ns=(10**18, 10**18))
        if opened and number == 5:
            driven.examine()
    driven.catch_up()
    assert driven.lines() == [str(number) for number in range(1, 14)]
    driven.close()


def test_dates_in_names() -> None:
    """The later date is the younger file, the higher number the older one."""
    dated = [f"/a/log-{date}" for date in ("20261128", "20261129", "20261130", "20270101")]
    assert sorted(dated, key=age_by_name) == dated
    dated = [f"/a/app.log.{date}" for date in ("2026-11-28_09", "2026-11-28_10", "2026-12-01_01")]
    assert sorted(dated, key=age_by_name) == dated
    numbered = [f"/a/app.log.{number}" for number in (112, 11, 10, 9, 1)]
    assert sorted(numbered, key=age_by_name) == numbered
    numbered = ["/2026-11-28/app.2.log", "/2026-11-28/app.1.log"]
    assert sorted(numbered, key=age_by_name) == numbered


def test_a_started_file_does_not_wait(p: Path) -> None:
    """Only files of which nothing is read wait while names are shifted."""
    write(p, "1\n")
    driven = Driven(p, rotated="app.log.*", io=Shifting(p, "never", 1 << 30))
    driven.catch_up()
    append(p, "more\n")
    shift(p)
    driven.catch_up()
    assert driven.lines() == ["1", "more"]
    driven.close()


WRITER = """
import logging.handlers, sys
handler = logging.handlers.RotatingFileHandler(sys.argv[1], maxBytes=400, backupCount=200)
log = logging.getLogger("app")
log.addHandler(handler)
log.setLevel("INFO")
for number in range(720):
    log.info("%05d a line of some length", number)
"""


@pytest.mark.parametrize("run", range(3))
def test_a_handler_that_rotates_each_millisecond(p: Path, run: int) -> None:
    """50 rotations of another process while its log is followed: every line once, in order."""
    with limpet.follow(p, rotated="app.log.*", start="beginning").sync() as follower:
        writer = subprocess.Popen([sys.executable, "-c", WRITER, p])
        lines = [str(line.text)[:5] for line in islice(follower, 720)]
        assert writer.wait() == 0
    assert lines == [f"{number:05}" for number in range(720)]
