"""``limpet doctor``: how a path would be watched, what limits that, and the remedies."""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

from limpet._compiled import WHY_NOT, form
from limpet._printable import escape
from limpet._wire import Json, dump_line, put_path
from limpet.backends import Choice, FileSystemTraits, choose, traits_of
from limpet.cli._color import REPORT_RULES, painted
from limpet.cli._event_text import encoding_of
from limpet.cli._kernel_limits import Limit, read_limits
from limpet.cli._stdout import failures_of_stdout
from limpet.cli._windows_limits import (
    WindowsFacts,
    ask_windows,
    in_the_cloud,
    limits_of,
    notes,
)
from limpet.cli._writer import stream_sink
from limpet.config import BackendName
from limpet.errors import UnsupportedError

MOST_DIRS: Final = 500_000
MOST_SECONDS: Final = 5.0
"""Where counting directories stops: somebody is waiting for the report."""

QUEUE_DEFAULT: Final = 16_384
"""``max_queued_events`` as the kernel sets it (inotify(7), fanotify(7))."""

SYSCTL_FILE: Final = "/etc/sysctl.d/60-limpet.conf"
"""Read at every start of the system, after the distribution's own files (sysctl.d(5))."""

SPARE_DESCRIPTORS: Final = 64
"""What a watch and the program around it may need at once."""

_MARKS: Final = {
    "fanotify": ("fs.fanotify.max_user_marks", "fs.fanotify.max_user_groups"),
    "inotify": ("fs.inotify.max_user_watches", "fs.inotify.max_user_instances"),
}
"""Backend -> the limit on directories, and the limit on programs."""

_IS_LINUX: Final[bool] = sys.platform == "linux"
_CAP_SYS_ADMIN: Final = 21
"""Bit in ``CapEff``, capabilities(7): with it, file systems are marked instead of directories."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A reason why a watch would see less, or later, than it could."""

    code: str
    """Stable; a heading in ``docs/troubleshooting.md`` where a watch has a reason of that name."""
    message: str
    commands: tuple[str, ...] = ()
    """The commands that remove it, in this order; may be empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DirCount:
    """The number of directories of a tree, the top included."""

    count: int
    complete: bool
    """False if counting was cut short: there are more."""
    unreadable: int = 0
    example: Path | None = None
    """One that could not be read."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was found out about one path."""

    path: Path
    found: Literal["file", "dir", "other", "nothing", "unknown"]
    choice: Choice | None
    """``None`` if the backend that was asked for does not work here."""
    limits: dict[str, Limit]
    folders: DirCount | None
    """``None`` if the path is not a directory."""
    problems: list[Problem]
    windows: WindowsFacts | None = None
    """``None`` on other systems."""


def run(path: str, *, requested: BackendName, as_json: bool) -> int:
    """Examine the path, print the report, and return the exit code: 1 if there is a problem."""
    report = examine(Path(os.path.abspath(path)), requested=requested)
    if as_json:
        output = dump_line(_as_json(report))
    else:
        text = painted(sys.stdout, "\n".join(_as_text(report)) + "\n", REPORT_RULES)
        output = text.encode(encoding_of(sys.stdout), "backslashreplace")
    with failures_of_stdout():
        stream_sink(sys.stdout)(output)
    return 1 if report.problems else 0


def examine(
    path: Path,
    *,
    requested: BackendName = "auto",
    proc: Path = Path("/proc"),
    choose: Callable[[Path, BackendName], Choice] = choose,
    ask: Callable[[Path], WindowsFacts | None] = ask_windows,
) -> Report:
    """Report how ``path`` would be watched, without watching it."""
    found = _kind_of(path)
    windows = ask(path)
    # On Windows "/proc" is a directory of the current drive, whoever made that.
    limits = {} if windows is not None else read_limits(proc)
    folders = count_dirs(path) if found == "dir" else None
    problems: list[Problem] = []
    choice = None
    try:
        choice = choose(path, requested)
    except UnsupportedError as error:
        problems.append(Problem(code=error.code, message=str(error)))
    else:
        problems.extend(_about_backend(path, choice, requested))
        whole = _may_mark_filesystems(proc) and choice.name == "fanotify"
        needed = 1 if folders is None or whole else folders.count
        problems.extend(_about_limits(choice.name, limits, needed))
        if choice.name == "windows":
            limits = limits_of(network=choice.network)
    problems.extend(_about_system())
    problems.extend(_about_cloud(path, windows))
    problems.extend(list(_about_reading(path, folders)) or _about_access(path))
    return Report(path, found, choice, limits, folders, problems, windows)


def count_dirs(top: Path, *, most: int = MOST_DIRS, seconds: float = MOST_SECONDS) -> DirCount:
    """Count the directories of a tree, following no symlink, up to a number and for a time."""
    waiting, count, unreadable, example = [os.fspath(top)], 0, 0, None
    deadline = time.monotonic() + seconds
    while waiting and count < most and time.monotonic() < deadline:
        folder = waiting.pop()
        count += 1
        try:
            with os.scandir(folder) as entries:
                waiting.extend(
                    entry.path for entry in entries if entry.is_dir(follow_symlinks=False)
                )
        except OSError:
            unreadable += 1
            example = example or Path(folder)
    return DirCount(count=count, complete=not waiting, unreadable=unreadable, example=example)


def _kind_of(path: Path) -> Literal["file", "dir", "other", "nothing", "unknown"]:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return "nothing" if error.errno in {errno.ENOENT, errno.ENOTDIR} else "unknown"
    if stat.S_ISDIR(mode):
        return "dir"
    return "file" if stat.S_ISREG(mode) else "other"


def _about_access(path: Path) -> Iterator[Problem]:
    """Report why the system gives no answer about the path, which is not that nothing is there."""
    try:
        os.stat(path)
    except OSError as error:
        if error.errno not in {errno.ENOENT, errno.ENOTDIR}:
            dead = error.errno in {errno.ENOTCONN, errno.ESTALE, errno.EIO, errno.EHOSTDOWN}
            advice = "mount it again, or repair what serves it" if dead else "check its permissions"
            yield Problem(
                code="permission" if error.errno in {errno.EACCES, errno.EPERM} else "unavailable",
                message=f"the system gives no answer about {escape(str(path))}: {error.strerror}. "
                f"A watch waits, and reports it as Degraded: {advice}.",
            )


def _about_system() -> Iterator[Problem]:
    """Report that limits and mounts cannot be read, which leaves the rest of this report open."""
    if _IS_LINUX and not os.path.exists("/proc/self/mountinfo"):
        yield Problem(
            code="no-proc",
            message="/proc is not there: the file system of the path and the limits of the system "
            "are unknown, so that a network mount is not recognised. Mount it in the container, or "
            "use --backend poll for what others change.",
        )


def _about_cloud(path: Path, windows: WindowsFacts | None) -> Iterator[Problem]:
    """Report files whose content is on a server until it is read."""
    reason = in_the_cloud(str(path), windows) if windows is not None else ""
    if reason:
        yield Problem(
            code="cloud",
            message=f"files in {escape(str(path))} may be placeholders: {reason}. To read their "
            "content fetches it, which takes as long as the network takes, and fetching or freeing "
            "it may be reported as a change. Have the folder kept on this device, or watch it "
            "without content.",
        )


def _about_backend(path: Path, choice: Choice, requested: BackendName) -> Iterator[Problem]:
    if choice.mount_point == str(path) and os.path.isfile(path):
        yield Problem(
            code="file-mount",
            message=f"{escape(str(path))} is mounted by itself, as container runtimes do with "
            "single files: an editor that saves by renaming replaces the file outside, and the old "
            "one stays mounted here. Mount its folder instead.",
        )
    if choice.virtual:
        yield Problem(
            code="virtual",
            message=f"{choice.filesystem}, mounted at {escape(choice.mount_point)}, has files that "
            "the kernel makes when they are read: it reports no change of them. It is polled, and "
            "a change is seen only where size or times show it. Ask the kernel by another way.",
        )
    elif choice.network:
        yield Problem(
            code="network",
            message=f"{choice.filesystem}, mounted at {escape(choice.mount_point)}, does not "
            "report changes that others make: other hosts, or the program behind it. It is "
            "polled: a change is seen after --poll-interval seconds at most. Run limpet where the "
            "files are, or lower that interval.",
        )
    elif choice.name == "poll" and requested == "auto":
        yield Problem(
            code="polling",
            message=f"nothing here gives hints ({choice.reason}). Everything is polled: a change "
            "is seen after --poll-interval seconds at most.",
            commands=("pip install 'limpet[watchfiles]'",)
            if "limpet[watchfiles]" in choice.reason
            else (),
        )


def _about_limits(backend: str, limits: dict[str, Limit], needed: int) -> Iterator[Problem]:
    """Compare what the backend needs for this number of directories with what is left."""
    marks, instances = (limits.get(name) for name in _MARKS.get(backend, ("", "")))
    if marks is not None and marks.free < needed:
        wanted = max(524_288, 1 << (2 * ((marks.used or 0) + needed)).bit_length())
        yield Problem(
            code="limit",
            message=f"{marks.name} is {marks.value}, of which {marks.used} are in use, and each of "
            f"the {needed} folders here needs one. Folders above the limit would be polled.",
            commands=_sysctl(marks.name, wanted),
        )
    if instances is not None and instances.free < 1:
        yield Problem(
            code="instances",
            message=f"{instances.name} is {instances.value}, and all are in use. Everything would "
            "be polled.",
            commands=_sysctl(instances.name, max(1024, 4 * instances.value)),
        )
    queue = limits.get(f"fs.{backend}.max_queued_events")
    if queue is not None and queue.value < QUEUE_DEFAULT:
        yield Problem(
            code="queue",
            message=f"{queue.name} is {queue.value}, less than the kernel's default of "
            f"{QUEUE_DEFAULT}. Many changes at once then make limpet scan everything again.",
            commands=_sysctl(queue.name, QUEUE_DEFAULT),
        )
    descriptors = limits.get("RLIMIT_NOFILE")
    if descriptors is not None and descriptors.free < SPARE_DESCRIPTORS:
        yield Problem(
            code="descriptors",
            message=f"a process may open {descriptors.value} files, and this one has "
            f"{descriptors.used} open already.",
            commands=("ulimit -n 4096",),
        )


def _about_reading(path: Path, folders: DirCount | None) -> Iterator[Problem]:
    if folders is not None and folders.example is not None:
        yield Problem(
            code="permission",
            message=f"{folders.unreadable} folders cannot be read, such as "
            f"{escape(str(folders.example))}. Changes in them are not seen.",
        )
    for above in reversed(path.parents):
        try:
            folder = stat.S_ISDIR(os.stat(above).st_mode)
            closed = folder and not os.access(above, os.X_OK)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError:
            closed = True
        if closed:
            yield Problem(
                code="permission",
                message=f"{escape(str(above))} cannot be entered (the right x is missing), so "
                "nothing below it is seen.",
            )
            return


def _sysctl(name: str, value: int) -> tuple[str, str]:
    """Return the commands that change a kernel setting, at once and for good."""
    return (f"sudo sysctl {name}={value}", f"echo '{name} = {value}' | sudo tee -a {SYSCTL_FILE}")


def _may_mark_filesystems(proc: Path) -> bool:
    with suppress(OSError, ValueError):
        for line in (proc / "self" / "status").read_text(errors="replace").splitlines():
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> _CAP_SYS_ADMIN & 1)
    return False


def _as_json(report: Report) -> Json:
    wire: Json = {"v": 1, "type": "doctor", "platform": sys.platform}
    put_path(wire, "path", report.path)
    wire["found"] = report.found
    wire["backend"] = None
    if report.choice is not None:
        names = ("name", "reason", "filesystem", "network", "virtual")
        backend: Json = {name: getattr(report.choice, name) for name in names}
        backend["network"] = report.choice.network and not report.choice.virtual
        if report.choice.mount_point:
            put_path(backend, "mount_point", Path(report.choice.mount_point))
        wire["backend"] = backend
    wire["limits"] = [asdict(limit) for limit in report.limits.values()]
    if report.folders is not None:
        counted = asdict(report.folders)
        wire["folders"] = {key: counted[key] for key in ("count", "complete", "unreadable")}
    traits = traits_of(os.fspath(report.path))._asdict()
    if report.windows is not None:
        wire["long_paths"] = report.windows.long_paths
    wire["evidence"] = {key: value for key, value in traits.items() if key != "filesystem"}
    wire["speedups"] = {"form": form(), "reason": WHY_NOT}
    wire["problems"] = [asdict(problem) for problem in report.problems]
    return wire


def _evidence(traits: FileSystemTraits) -> Iterator[str]:
    """Return what a watch believes of the file system, in words."""
    yield (
        "inode numbers are kept"
        if traits.stable_inodes
        else (
            "inode numbers change: a file replaced by another is reported as updated, and a rename "
            "that the system does not report as deleted and created"
        )
    )
    yield "birth times are kept" if traits.stable_births else "birth times change"
    yield "case counts in names" if traits.case_sensitive else "case does not count in names"


def _as_text(report: Report) -> Iterator[str]:
    kinds = {
        "dir": "a folder",
        "file": "a file",
        "other": "neither file nor folder",
        "unknown": "the system gives no answer",
    }
    yield f"path         {escape(str(report.path))}"
    yield f"found        {kinds.get(report.found, 'nothing yet: a watch waits for it')}"
    if report.choice is not None:
        yield f"backend      {report.choice.name} ({report.choice.reason})"
        if report.choice.filesystem:
            at = escape(report.choice.mount_point)
            yield f"file system  {report.choice.filesystem}, mounted at {at}"
        yield f"evidence     {'; '.join(_evidence(traits_of(os.fspath(report.path))))}"
    if report.folders is not None:
        more = "" if report.folders.complete else " and more (counting was cut short)"
        yield f"folders      {report.folders.count}{more}"
    yield f"speedups     {form()}" + (f" ({escape(WHY_NOT)})" if WHY_NOT else "")
    if report.windows is not None:
        yield from notes(report.windows)
    yield ""
    if report.limits:
        width = max(map(len, report.limits))
        yield f"{'limit'.ljust(width)}  {'value':>10}  {'in use':>10}"
        for limit in report.limits.values():
            used = "-" if limit.used is None else limit.used
            yield f"{limit.name.ljust(width)}  {limit.value:>10}  {used:>10}"
    else:
        yield f"limits       not known on {sys.platform}"
    for problem in report.problems:
        yield ""
        yield f"problem ({problem.code}): {problem.message}"
        yield from (f"    {command}" for command in problem.commands)
    if not report.problems:
        yield ""
        yield "no problem found"
