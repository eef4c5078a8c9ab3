"""What would limit a watch is found before it does, with the command that lifts it."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from limpet.backends import Choice
from limpet.cli import _doctor, _kernel_limits
from limpet.cli._doctor import Report, count_dirs, examine, run
from limpet.cli._kernel_limits import Limit, count_usage, read_limits
from limpet.config import BackendName
from limpet.errors import UnsupportedError

Chooser = Callable[[Path, BackendName], Choice]


def chosen(name: str = "inotify", **more: object) -> Chooser:
    facts: dict[str, object] = {
        "name": name,
        "reason": "the best that works here",
        "filesystem": "ext4",
        "mount_point": "/",
        "network": False,
        **more,
    }
    return lambda _path, _requested: Choice(**facts)  # type: ignore[arg-type]


DEFAULTS = {
    "inotify/max_user_watches": 1000,
    "inotify/max_user_instances": 128,
    "inotify/max_queued_events": 16384,
    "fanotify/max_user_marks": 1000,
    "fanotify/max_user_groups": 128,
    "fanotify/max_queued_events": 16384,
}


class Proc:
    """A process file system of our own making."""

    def __init__(self, path: Path) -> None:
        self.path = path
        for name, value in DEFAULTS.items():
            self.limit(name, value)
        self.process("self", capabilities=0)

    def limit(self, name: str, value: object) -> None:
        file = self.path / "sys/fs" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{value}\n")

    def process(self, name: str, *, capabilities: int = 0) -> Path:
        folder = self.path / name
        (folder / "fd").mkdir(parents=True, exist_ok=True)
        (folder / "fdinfo").mkdir(exist_ok=True)
        (folder / "status").write_text(f"Name:\tx\nCapEff:\t{capabilities:016x}\n")
        return folder

    def instance(self, process: str, descriptor: int, kind: str, marks: int) -> None:
        folder = self.process(process)
        (folder / "fd" / str(descriptor)).symlink_to(f"anon_inode:{kind}")
        word = "inotify wd:1" if kind == "inotify" else "fanotify ino:3f"
        lines = ["pos:\t0", "flags:\t00", *([f"{word} sdev:1 mask:2"] * marks), "fanotify flags:e"]
        (folder / "fdinfo" / str(descriptor)).write_text("\n".join(lines))


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path / "proc")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Ten folders, a file, and a symlink back up."""
    top = tmp_path / "tree"
    for number in range(3):
        (top / f"d{number}/x/y").mkdir(parents=True)
    (top / "f").touch()
    (top / "loop").symlink_to(top)
    return top


def codes(report: Report) -> list[str]:
    return [problem.code for problem in report.problems]


def test_no_problem(proc: Proc, tree: Path) -> None:
    """The ordinary case: no problem, and all the figures."""
    report = examine(tree, proc=proc.path, choose=chosen())
    assert codes(report) == []
    assert report.folders is not None
    assert (report.folders.count, report.folders.complete) == (10, True)
    assert report.found == "dir"
    assert report.limits["fs.inotify.max_user_watches"].value == 1000
    assert list(report.limits)[-1] == "RLIMIT_NOFILE"


def test_use_is_counted_over_all_processes_of_the_user(proc: Proc) -> None:
    """Instances by their descriptors, watches and marks by their lines."""
    proc.instance("10", 3, "inotify", 5)
    proc.instance("10", 4, "inotify", 7)
    proc.instance("11", 3, "[fanotify]", 9)
    (proc.path / "11/fd/4").symlink_to("/dev/null")
    (proc.path / "11/fd/5").symlink_to("anon_inode:inotify")  # closed meanwhile: no fdinfo
    (proc.path / "12").mkdir()  # ended meanwhile, or not to be looked into
    (proc.path / "notes").mkdir()
    usage = count_usage(proc.path, os.getuid())
    assert (usage["inotify_instances"], usage["inotify_watches"]) == (3, 12)
    assert (usage["fanotify_groups"], usage["fanotify_marks"]) == (1, 9)
    assert usage["hidden"] == 1
    assert count_usage(proc.path, os.getuid() + 1)["inotify_instances"] == 0
    limits = read_limits(proc.path)
    assert limits["fs.inotify.max_user_watches"].used == 12
    assert limits["fs.inotify.max_queued_events"].used is None
    assert limits["fs.fanotify.max_user_groups"].used == 1


@pytest.mark.parametrize(
    ("backend", "sysctl"),
    [("inotify", "fs.inotify.max_user_watches"), ("fanotify", "fs.fanotify.max_user_marks")],
)
def test_too_many_folders(backend: str, sysctl: str, proc: Proc, tree: Path) -> None:
    """The limit, what is taken, what is needed, and how to raise it now and for good."""
    group, _, name = sysctl.removeprefix("fs.").partition(".")
    proc.limit(f"{group}/{name}", 20)
    proc.instance("10", 3, "inotify" if backend == "inotify" else "[fanotify]", 11)
    report = examine(tree, proc=proc.path, choose=chosen(backend))
    assert codes(report) == ["limit"]
    problem = report.problems[0]
    assert f"{sysctl} is 20, of which 11 are in use" in problem.message
    assert "the 10 folders" in problem.message
    assert problem.commands == (
        f"sudo sysctl {sysctl}=524288",
        f"echo '{sysctl} = 524288' | sudo tee -a /etc/sysctl.d/60-limpet.conf",
    )


def test_marks_of_whole_file_systems_need_one_mark(proc: Proc, tree: Path) -> None:
    """With CAP_SYS_ADMIN, folders count for inotify only, not for fanotify."""
    proc.process("self", capabilities=1 << 21)
    proc.limit("fanotify/max_user_marks", 2)
    proc.limit("inotify/max_user_watches", 2)
    assert codes(examine(tree, proc=proc.path, choose=chosen("fanotify"))) == []
    assert codes(examine(tree, proc=proc.path, choose=chosen("inotify"))) == ["limit"]


def test_a_large_tree_asks_for_a_large_limit(proc: Proc, tree: Path) -> None:
    """Twice what is needed, as a power of two."""
    proc.limit("inotify/max_user_watches", 1_000_000)
    proc.instance("10", 3, "inotify", 999_999)
    problem = examine(tree, proc=proc.path, choose=chosen()).problems[0]
    assert problem.commands[0] == f"sudo sysctl fs.inotify.max_user_watches={1 << 21}"


def test_no_instance_left(proc: Proc, tree: Path) -> None:
    """A limit on programs, not on folders."""
    proc.limit("inotify/max_user_instances", 1)
    proc.instance("10", 3, "inotify", 0)
    report = examine(tree, proc=proc.path, choose=chosen())
    assert codes(report) == ["instances"]
    assert report.problems[0].commands[0] == "sudo sysctl fs.inotify.max_user_instances=1024"


def test_a_short_queue(proc: Proc, tree: Path) -> None:
    """Lower than the kernel's default."""
    proc.limit("fanotify/max_queued_events", 16)
    assert codes(examine(tree, proc=proc.path, choose=chosen("fanotify"))) == ["queue"]
    assert codes(examine(tree, proc=proc.path, choose=chosen("inotify"))) == []


def test_few_descriptors(proc: Proc, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit on open files of one process."""
    few = Limit(name="RLIMIT_NOFILE", value=70, used=10)
    monkeypatch.setattr(_kernel_limits, "_descriptors", lambda _proc: iter([few]))
    report = examine(tree, proc=proc.path, choose=chosen())
    assert codes(report) == ["descriptors"]
    assert report.problems[0].commands == ("ulimit -n 4096",)


def test_a_file_system_without_notifications(proc: Proc, tree: Path) -> None:
    """It is polled; the remedy is in the message, as no command does it."""
    choose = chosen("poll", filesystem="nfs4", mount_point="/mnt/a\nb", network=True)
    report = examine(tree, proc=proc.path, choose=choose)
    assert codes(report) == ["network"]
    assert r"nfs4, mounted at /mnt/a\nb, does not report" in report.problems[0].message


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
@pytest.mark.parametrize("place", ["/proc", "/proc/self/status", "/sys"])
def test_files_that_the_kernel_makes_are_no_network(place: str, proc: Proc) -> None:
    """They are polled too, but nobody else has them."""
    if not os.path.ismount("/proc") or not os.path.exists(place):
        pytest.skip(f"no {place} here")
    report = examine(Path(place), proc=proc.path)
    assert "virtual" in codes(report)
    assert "network" not in codes(report)
    (problem,) = [one for one in report.problems if one.code == "virtual"]
    assert "the kernel makes" in problem.message
    assert "other hosts" not in problem.message


@pytest.mark.parametrize(
    ("reason", "commands"),
    [
        ("no fanotify: Operation not permitted", ()),
        ("no watchfiles: pip install 'limpet[watchfiles]'", ("pip install 'limpet[watchfiles]'",)),
    ],
)
def test_nothing_gives_hints(
    reason: str, commands: tuple[str, ...], proc: Proc, tree: Path
) -> None:
    """Polling because there is nothing better; if something could be installed, how."""
    report = examine(tree, proc=proc.path, choose=chosen("poll", reason=reason))
    assert codes(report) == ["polling"]
    assert report.problems[0].commands == commands
    asked = examine(tree, requested="poll", proc=proc.path, choose=chosen("poll"))
    assert codes(asked) == []


def test_a_backend_that_does_not_work_here(proc: Proc, tree: Path) -> None:
    """Asked for by name: why not is the answer."""

    def refuse(_path: Path, requested: BackendName) -> Choice:
        message = f"backend {requested!r} does not work here"
        raise UnsupportedError(message)

    report = examine(tree, requested="fanotify", proc=proc.path, choose=refuse)
    assert codes(report) == ["unsupported"]
    assert report.choice is None


@pytest.fixture
def unreadable(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that refuses to be listed, also for one who may list everything."""
    listing, locked = os.scandir, os.fspath(tree / "d1")

    def refusing(path: str) -> object:
        if os.fspath(path) == locked:
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return listing(path)

    monkeypatch.setattr(os, "scandir", refusing)
    return tree / "d1"


def test_folders_that_cannot_be_read(proc: Proc, tree: Path, unreadable: Path) -> None:
    """How many, and one of them."""
    report = examine(tree, proc=proc.path, choose=chosen())
    assert codes(report) == ["permission"]
    assert report.problems[0].message.startswith(f"1 folders cannot be read, such as {unreadable}")


@pytest.mark.parametrize("kind", ["may not pass", "may not even stat"])
def test_a_folder_on_the_way_that_is_closed(
    kind: str, proc: Proc, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The topmost one that is closed is named, once."""
    closed = tree / "d1"
    real_access, real_stat = os.access, os.stat

    def access(path: Path, mode: int) -> bool:
        return not Path(path).is_relative_to(closed) and real_access(path, mode)

    def refusing_stat(path: Path, **more: bool) -> os.stat_result:
        if isinstance(path, Path) and path.is_relative_to(closed):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real_stat(path, **more)

    monkeypatch.setattr(os, "access", access)
    if kind == "may not even stat":
        monkeypatch.setattr(os, "stat", refusing_stat)
    report = examine(closed / "x/y/z", proc=proc.path, choose=chosen())
    assert codes(report) == ["permission"]
    assert report.problems[0].message.startswith(f"{closed} cannot be entered")


def test_a_file_that_is_a_mount_of_its_own(proc: Proc, tree: Path) -> None:
    """Container runtimes do this; an editor outside then replaces another file."""
    file = tree / "f"
    report = examine(file, proc=proc.path, choose=chosen(mount_point=str(file)))
    assert (report.found, codes(report)) == ("file", ["file-mount"])
    assert codes(examine(file, proc=proc.path, choose=chosen())) == []


def test_what_is_there(proc: Proc, tree: Path) -> None:
    """Nothing is no problem: a watch waits for it."""
    os.mkfifo(tree / "fifo")
    for path, stands in ((tree / "no/such", "nothing"), (tree / "fifo", "other")):
        report = examine(path, proc=proc.path, choose=chosen())
        assert (report.found, report.folders, codes(report)) == (stands, None, [])


def test_counting_is_cut_short(tree: Path) -> None:
    """By number or by time; the count is then marked as a lower bound."""
    cut = count_dirs(tree, most=4)
    assert (cut.count, cut.complete) == (4, False)
    assert not count_dirs(tree, seconds=0).complete


def test_a_system_without_proc(tmp_path: Path, tree: Path) -> None:
    """The limits of the process are all that is known."""
    report = examine(tree, proc=tmp_path / "none", choose=chosen("watchfiles"))
    assert list(report.limits) == ["RLIMIT_NOFILE"]
    assert report.limits["RLIMIT_NOFILE"].used is None
    assert codes(report) == []


def test_a_system_without_limits(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report shows that, and the exit code is still 0."""
    monkeypatch.setitem(sys.modules, "resource", None)
    report = examine(tree, proc=tmp_path / "none", choose=chosen("watchfiles"))
    assert report.limits == {}
    monkeypatch.setattr(_doctor, "examine", lambda *_, **__: report)
    assert run(str(tree), requested="auto", as_json=False) == 0
    assert f"limits       not known on {sys.platform}\n" in capsys.readouterr().out


def test_the_text(
    proc: Proc, tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Everything found, each command on a line of its own to be copied."""
    proc.limit("inotify/max_user_watches", 5)
    report = examine(tree, proc=proc.path, choose=chosen())
    monkeypatch.setattr(_doctor, "examine", lambda *_, **__: report)
    assert run(str(tree), requested="auto", as_json=False) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:6] == [
        f"path         {tree}",
        "found        a folder",
        "backend      inotify (the best that works here)",
        "file system  ext4, mounted at /",
        "evidence     inode numbers are kept; birth times are kept; case counts in names",
        "folders      10",
    ]
    assert "fs.inotify.max_user_watches             5           0" in lines
    assert any(line.startswith("problem (limit): fs.inotify.max_user_watches") for line in lines)
    assert "    sudo sysctl fs.inotify.max_user_watches=524288" in lines


def test_the_json(
    proc: Proc, tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same as one object."""
    proc.limit("inotify/max_user_watches", 5)
    report = examine(tree, proc=proc.path, choose=chosen())
    monkeypatch.setattr(_doctor, "examine", lambda *_, **__: report)
    assert run(str(tree), requested="auto", as_json=True) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["path"] == str(tree)
    assert found["backend"]["name"] == "inotify"
    assert found["backend"]["mount_point"] == "/"
    assert found["folders"] == {"count": 10, "complete": True, "unreadable": 0}
    assert found["limits"][0] == {"name": "fs.inotify.max_user_watches", "value": 5, "used": 0}
    assert found["problems"][0]["code"] == "limit"


def test_a_report_without_a_backend_or_a_file_system(
    proc: Proc, tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is not known is left out."""
    bare = examine(
        tree / "f", proc=proc.path, choose=chosen("watchfiles", filesystem="", mount_point="")
    )
    monkeypatch.setattr(_doctor, "examine", lambda *_, **__: bare)
    assert run(str(tree), requested="auto", as_json=False) == 0
    assert "file system" not in capsys.readouterr().out
    assert run(str(tree), requested="auto", as_json=True) == 0
    assert "mount_point" not in json.loads(capsys.readouterr().out)["backend"]


def test_it_runs_here(tree: Path) -> None:
    """Against this system's own tables, whatever they hold."""
    report = examine(tree)
    assert report.choice is not None
    assert report.folders is not None
