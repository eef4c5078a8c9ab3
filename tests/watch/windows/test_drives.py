"""Which drives of Windows are polled: its answers are written out, so it runs everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from limpet.backends import _select, choose
from limpet.backends._drives import mount_of

FIXED, REMOTE, NO_ROOT = 3, 4, 1


class Answers:
    """What Windows says on a machine with C:, a share mapped to Z:, and a disk in a directory."""

    def volume_of(self, path: str) -> str:
        assert not path.startswith("\\\\?\\")
        if path.startswith("\\\\"):
            parts = path.split("\\")
            return "\\".join(parts[:4]) + "\\" if parts[2] != "away" else ""
        if path.lower().startswith("c:\\mnt\\disk"):
            return "C:\\mnt\\disk\\"
        return path[:3].upper() if path[1:3] == ":\\" and path[0] in "cCzZ" else ""

    def drive_type(self, root: str) -> int:
        return {"C": FIXED, "Z": REMOTE}.get(root[0], NO_ROOT)

    def filesystem(self, root: str) -> str:
        return {"C:\\": "NTFS", "C:\\mnt\\disk\\": "exFAT"}.get(root, "")


@pytest.mark.parametrize(
    ("path", "point", "filesystem", "polled"),
    [
        ("C:\\inbox\\new", "C:\\", "NTFS", False),
        ("c:/inbox", "C:\\", "NTFS", False),
        ("\\\\?\\C:\\inbox", "C:\\", "NTFS", False),
        ("C:\\mnt\\disk\\a", "C:\\mnt\\disk\\", "exFAT", False),
        ("Z:\\inbox", "Z:\\", "network drive", True),
        ("\\\\nas\\share\\inbox", "\\\\nas\\share\\", "network drive", True),
        ("\\\\?\\UNC\\nas\\share\\inbox", "\\\\nas\\share\\", "network drive", True),
        ("\\\\away\\share\\inbox", "\\\\away\\share\\inbox", "network drive", True),
        ("\\\\wsl.localhost\\Debian\\home", "\\\\wsl.localhost\\Debian\\", "network drive", True),
    ],
)
def test_what_holds_a_path(path: str, point: str, filesystem: str, polled: bool) -> None:
    mount = mount_of(path, Answers())
    assert mount is not None
    assert (mount.point, mount.filesystem, mount.needs_polling) == (point, filesystem, polled)
    assert not mount.is_virtual


def test_of_a_drive_that_is_not_there_nothing_is_known() -> None:
    assert mount_of("Q:\\inbox", Answers()) is None


@pytest.mark.parametrize(
    ("path", "name"), [("C:\\inbox", "windows"), ("Z:\\inbox", "poll"), ("\\\\nas\\s\\x", "poll")]
)
def test_the_choice_on_windows(monkeypatch: pytest.MonkeyPatch, path: str, name: str) -> None:
    """``windows`` first; over a network polling, unless it is asked for by its name."""
    monkeypatch.setattr(_select, "_mount_of", lambda path: mount_of(path, Answers()))
    monkeypatch.setattr(_select, "_BEST_FIRST", ("windows", "watchfiles"))
    monkeypatch.setattr(_select, "_unusable", lambda _: "")
    choice = choose(Path(path))
    assert (choice.name, choice.network) == (name, name == "poll")
    assert ("network drive" in choice.reason) == choice.network
    asked = choose(Path(path), "windows")
    assert (asked.name, asked.network) == ("windows", choice.network)


def test_without_it_watchfiles_is_the_second_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_select, "_mount_of", lambda path: mount_of(path, Answers()))
    monkeypatch.setattr(_select, "_BEST_FIRST", ("windows", "watchfiles"))
    missing = {"windows": "no threads in a sub-interpreter", "watchfiles": ""}
    monkeypatch.setattr(_select, "_unusable", missing.__getitem__)
    assert choose(Path("C:\\inbox")).name == "watchfiles"
