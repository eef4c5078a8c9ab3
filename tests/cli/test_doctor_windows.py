"""``limpet doctor`` on Windows: what the system says is written out, so it runs everywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from limpet.backends import Choice, _watched_tree
from limpet.cli import _doctor, _windows_limits
from limpet.cli._doctor import Report, examine, run
from limpet.cli._windows_limits import WindowsFacts, in_the_cloud, sync_roots

OFFLINE, RECALL_ON_OPEN, RECALL_ON_DATA_ACCESS, ARCHIVE = 0x1000, 0x40000, 0x400000, 0x20


def report_of(path: Path, facts: WindowsFacts, **choice: Any) -> Report:
    """Return the report about a path, with these answers."""
    chosen = {
        "name": "windows",
        "reason": "the best that works here",
        "filesystem": "NTFS",
        "mount_point": "C:\\",
        "network": False,
        **choice,
    }
    return examine(path, choose=lambda *_: Choice(**chosen), ask=lambda _: facts)


def text_of(
    report: Report, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    monkeypatch.setattr(_doctor, "examine", lambda *_, **__: report)
    code = run("x", requested="auto", as_json=False)
    return code, capsys.readouterr().out


def test_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The buffer is the limit of a watch; that long paths are off is no problem."""
    report = report_of(tmp_path, WindowsFacts(long_paths=False))
    assert report.problems == []
    assert set(report.limits) == {"buffer"}
    code, text = text_of(report, monkeypatch, capsys)
    assert code == 0
    assert "backend      windows (the best that works here)\n" in text
    assert "file system  NTFS, mounted at C:\\" in text
    assert "long paths   off for programs in general" in text
    assert "limpet takes them either way" in text
    assert "buffer      262144           -\n" in text
    report = report_of(tmp_path, WindowsFacts(long_paths=True))
    assert "long paths   on" in text_of(report, monkeypatch, capsys)[1]
    report = report_of(tmp_path, WindowsFacts())
    assert "long paths" not in text_of(report, monkeypatch, capsys)[1]


def test_the_report_as_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = report_of(tmp_path, WindowsFacts(long_paths=False))
    monkeypatch.setattr(_doctor, "examine", lambda *_, **__: report)
    assert run("x", requested="auto", as_json=True) == 0
    wire = json.loads(capsys.readouterr().out)
    assert wire["long_paths"] is False
    assert wire["limits"] == [{"name": "buffer", "value": 262144, "used": None}]


def test_a_network_drive(tmp_path: Path) -> None:
    """It is polled; a watch by ``windows``, if asked for, has the smaller buffer."""
    drive = {"filesystem": "network drive", "mount_point": "Z:\\", "network": True}
    report = report_of(tmp_path, WindowsFacts(), name="poll", **drive)
    assert [problem.code for problem in report.problems] == ["network"]
    assert "network drive, mounted at Z:\\" in report.problems[0].message
    assert report.limits == {}
    report = report_of(tmp_path, WindowsFacts(), name="windows", **drive)
    assert report.limits["buffer"].value == 65536


def test_the_buffers_are_those_that_are_asked_for() -> None:
    assert _windows_limits.BUFFER == _watched_tree.BUFFER
    assert _windows_limits.NETWORK_BUFFER == _watched_tree.NETWORK_BUFFER


@pytest.mark.parametrize(
    ("path", "roots", "attributes", "is_cloud"),
    [
        ("C:\\Users\\me\\OneDrive\\in", ("C:\\Users\\me\\OneDrive",), ARCHIVE, True),
        ("c:\\users\\ME\\onedrive", ("C:\\Users\\me\\OneDrive",), 0, True),
        ("C:\\Users\\me\\OneDrive - Firm\\in", ("C:\\Users\\me\\OneDrive",), 0, False),
        ("C:\\inbox", ("C:\\Users\\me\\OneDrive",), ARCHIVE, False),
        ("C:\\inbox", (), OFFLINE, True),
        ("C:\\inbox", (), RECALL_ON_OPEN | ARCHIVE, True),
        ("C:\\inbox", (), RECALL_ON_DATA_ACCESS, True),
        ("C:\\inbox", (), ARCHIVE, False),
    ],
)
def test_which_files_may_be_in_the_cloud(
    path: str, roots: tuple[str, ...], attributes: int, is_cloud: bool
) -> None:
    facts = WindowsFacts(sync_roots=roots, attributes=attributes)
    assert bool(in_the_cloud(path, facts)) == is_cloud


def test_files_in_the_cloud_are_a_problem(tmp_path: Path) -> None:
    report = report_of(tmp_path, WindowsFacts(attributes=RECALL_ON_DATA_ACCESS))
    (problem,) = report.problems
    assert problem.code == "cloud"
    assert "its content is fetched when it is read" in problem.message


def test_where_onedrive_leaves_its_folders() -> None:
    environ = {
        "OneDrive": "C:\\Users\\me\\OneDrive - Firm",
        "OneDriveCommercial": "C:\\Users\\me\\OneDrive - Firm",
        "OneDriveConsumer": "C:\\Users\\me\\OneDrive",
        "PATH": "C:\\",
    }
    assert sync_roots(environ) == ("C:\\Users\\me\\OneDrive - Firm", "C:\\Users\\me\\OneDrive")
    assert sync_roots({"OneDrive": ""}) == ()
