"""Programs that reload: over the drop-ins each change makes them reload once.

With their own libraries some of these changes are missed, and whatever follows them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.compat.clients import CLIENTS, Client, Running, running
from tests.waiting import until_sync

GIT = shutil.which("git")


def git(folder: Path, *words: str) -> None:
    assert GIT is not None
    known = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run([GIT, *known, "-C", str(folder), *words], check=True, capture_output=True)


def edit(at: Running, number: int) -> None:
    at.file("first").write_text(at.step(number))


def save_atomically(at: Running, number: int) -> None:
    new = at.src / ".first.tmp"
    new.write_text(at.step(number))
    os.replace(new, at.file("first"))


def make_a_package(at: Running, number: int) -> None:
    """With one file: a machine that pauses between two would make two changes of it."""
    folder = at.src / "pkg" / "sub"
    folder.mkdir(parents=True)
    at.file("m", folder).write_text(at.step(number))


def make_the_folder_again(at: Running, number: int) -> None:
    shutil.rmtree(at.src)
    at.src.mkdir()
    at.file("first").write_text(at.step(number))


def swap_the_folder(at: Running, number: int) -> None:
    """With one that has two branches; the next step is on the other."""
    new = at.folder.parent / "new"
    new.mkdir()
    at.file("first", new).write_text(at.step(number))
    if GIT is not None:
        git(new, "init", "--initial-branch=main")
        git(new, "add", ".")
        git(new, "commit", "-m", "main")
        git(new, "checkout", "-b", "other")
        for name in ("first", "second", "third"):
            at.file(name, new).write_text(at.step(number + 1) + f"# {name}\n")
        git(new, "add", ".")
        git(new, "commit", "-m", "other")
        git(new, "checkout", "main")
    at.src.rename(at.folder.parent / "old")
    new.rename(at.src)


def switch_the_branch(at: Running, number: int) -> None:
    if GIT is None:
        edit(at, number)
    else:
        git(at.src, "checkout", "other")


CHANGES = [
    edit, save_atomically, make_a_package, make_the_folder_again, swap_the_folder,
    switch_the_branch, edit,
]  # fmt: skip


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.words[0])
def test_each_change_is_one_reload(client: Client, tmp_path: Path) -> None:
    """However it is made; nothing is missed after the folder was deleted or swapped."""
    if shutil.which(client.words[0], path=os.path.dirname(sys.executable)) is None:
        pytest.skip(f"{client.words[0]} is not installed")
    with running(client, tmp_path / "at") as at:
        at.wait_until_ready()
        number = 1

        def is_awake() -> bool:
            nonlocal number
            number += 1
            edit(at, number)
            try:
                at.wait_for(number, patience=2)
            except AssertionError:  # it did not watch yet
                return False
            return True

        until_sync(is_awake)
        first = number + 1
        for number, change in enumerate(CHANGES, first):
            at.wait_until_ready()
            change(at, number)
            at.wait_for(number)
        # One that found nothing came between two steps of a change, on a machine that paused there.
        loads = [one for one in at.loads() if one >= first]
        assert loads == list(range(first, first + len(CHANGES))), at.said()
