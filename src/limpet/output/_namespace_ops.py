"""Operations that change names alone: delete, make a directory, move."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator

from limpet.output._atomic_write import Change, birth_or_none, stat_done, stat_or_none
from limpet.output._operations import DeleteDir, DeleteFile, MakeDir, MoveFile
from limpet.output._own_write_reporter import state_of
from limpet.output._place import NO_WAY, rename_to_free
from limpet.output._refusals import RefusalError, check_plain, check_writable
from limpet.output._root_dir import RootDir
from limpet.output._syscalls import Syscalls
from limpet.output._write_context import WriteContext


@contextlib.contextmanager
def _entered(
    context: WriteContext, root: RootDir, parts: tuple[str, ...], *, make: bool = False
) -> Iterator[int]:
    """Open the directory of a name for as long as the block lasts."""
    fd = root.enter(parts[:-1], create_with=context if make else None)
    try:
        yield fd
    finally:
        root.leave(fd)


def delete(
    context: WriteContext, root: RootDir, parts: tuple[str, ...], operation: DeleteFile
) -> Change:
    """Remove a name that is not a directory; of a symlink, FIFO or socket the entry itself.

    Raises:
        RefusalError: ``missing`` or ``is-directory``.
        OSError: It stays.
    """

    def refuse(mode: int) -> None:
        if stat.S_ISDIR(mode):
            raise RefusalError("is-directory", "it is a directory", errno.EISDIR)

    return _remove(context, root, parts, operation, refuse)


def delete_dir(
    context: WriteContext, root: RootDir, parts: tuple[str, ...], operation: DeleteDir
) -> Change:
    """Remove an empty directory.

    Raises:
        RefusalError: ``missing``; ``symlink`` or ``not-a-file``: it is not a directory.
        OSError: It stays (ENOTEMPTY: something is in it).
    """

    def refuse(mode: int) -> None:
        if stat.S_ISLNK(mode):
            raise RefusalError("symlink", "it is a symlink; delete it as a file")
        if not stat.S_ISDIR(mode):
            raise RefusalError("not-a-file", "it is not a directory; delete it as a file")

    return _remove(context, root, parts, operation, refuse)


def _remove(
    context: WriteContext,
    root: RootDir,
    parts: tuple[str, ...],
    operation: DeleteFile | DeleteDir,
    refuse: Callable[[int], None],
) -> Change:
    calls, name = context.calls, parts[-1]
    remove = calls.remove_dir if isinstance(operation, DeleteDir) else calls.unlink
    with contextlib.suppress(FileNotFoundError), _entered(context, root, parts) as dir_fd:
        found = stat_or_none(calls, dir_fd, name)
        if found is not None:
            refuse(found.st_mode)
            context.report.begin(parts)
            remove(dir_fd, name)
            context.report.wrote(parts, state_of(found), None)
            context.fsyncs.dir(dir_fd)
            return Change(size=0, stat=None, existed=True)
    if not operation.missing_ok:
        raise RefusalError("missing", "there is nothing of that name", errno.ENOENT)
    return Change(size=0, stat=None, existed=False)


def make_dir(
    context: WriteContext, root: RootDir, parts: tuple[str, ...], operation: MakeDir
) -> Change:
    """Create a directory.

    Raises:
        RefusalError: ``exists``, or what is on the way.
        OSError: It was not created; directories on the way may have been.
    """
    calls, name = context.calls, parts[-1]
    with _entered(context, root, parts, make=operation.parents) as dir_fd:
        context.report.begin(parts)
        existed = False
        found: os.stat_result | None = None
        birth: float | None = None
        try:
            calls.make_dir(dir_fd, name)
        except FileExistsError:
            there = calls.stat_at(dir_fd, name)
            if not (operation.exist_ok and stat.S_ISDIR(there.st_mode)):
                raise
            existed, found, birth = True, there, birth_or_none(calls, dir_fd, name)
        else:
            found, birth = stat_done(context, dir_fd, name)
            context.report.wrote(parts, None, state_of(found))
            context.fsyncs.dir(dir_fd)
    return Change(0, found, existed, birth)


def move(
    context: WriteContext,
    root: RootDir,
    parts: tuple[str, ...],
    target: tuple[str, ...],
    operation: MoveFile,
) -> Change:
    """Rename an entry in one step; a symlink is moved itself.

    Raises:
        RefusalError: ``exists``, ``is-directory``, ``missing``, or what is on the way.
        OSError: Both names are as they were.
    """
    calls, report = context.calls, context.report
    if len(target) > len(parts) and target[: len(parts)] == parts:
        raise RefusalError("bad-name", f"its new name {_shown(target)} is inside itself")
    with _entered(context, root, parts) as source:
        found = stat_or_none(calls, source, parts[-1])
        if found is None:
            raise RefusalError("missing", "there is nothing of that name", errno.ENOENT)
        with _entered(context, root, target, make=operation.parents) as dir_fd:
            there = stat_or_none(calls, dir_fd, target[-1])
            respelled = there is not None and _is_respelled(calls, dir_fd, parts, target)
            if there is not None and not respelled:
                if not operation.overwrite:
                    raise RefusalError("exists", f"{_shown(target)} is taken", errno.EEXIST)
                check_plain(there, _shown(target))
                if not operation.replace_read_only:
                    check_writable(there)
            report.begin(parts)
            report.begin(target)
            try:
                if operation.overwrite or respelled:
                    calls.rename(source, parts[-1], dir_fd, target[-1])
                else:
                    _rename_new(context, source, parts[-1], dir_fd, target[-1])
            except OSError as error:
                _explain(error, target)
                raise
            after, birth = stat_done(context, dir_fd, target[-1])
            report.wrote(parts, state_of(found), None)
            report.moved(target, state_of(after))
            context.fsyncs.dir(source)
            context.fsyncs.dir(dir_fd)
    return Change(0, after, there is not None and not respelled, birth)


def _shown(parts: tuple[str, ...]) -> str:
    return repr("/".join(parts))


def _is_respelled(
    calls: Syscalls, dir_fd: int, parts: tuple[str, ...], target: tuple[str, ...]
) -> bool:
    """Return whether both names are one entry, of a file system that ignores case.

    The directory lists the one spelling that it has; inode numbers of FUSE may differ by spelling.
    """
    if parts == target or parts[:-1] != target[:-1]:
        return False
    if parts[-1].casefold() != target[-1].casefold():
        return False
    names = {name for name, _, _ in calls.list(dir_fd)}
    return parts[-1] in names and target[-1] not in names


def _explain(error: OSError, target: tuple[str, ...]) -> None:
    """Raise a refusal for what rename(2) reports of the two names together."""
    if error.errno == errno.EXDEV:
        why = f"{_shown(target)} is on another file system, mount or subvolume (btrfs)"
        advice = "write its content there, then delete it here"
        raise RefusalError("io", why, error.errno, advice=advice) from error
    if error.errno == errno.EINVAL:
        why = f"the system takes {_shown(target)} for a name inside itself, or for no valid name"
        raise RefusalError("bad-name", why, error.errno) from error


def _rename_new(context: WriteContext, source: int, name: str, dir_fd: int, new: str) -> None:
    """Rename to a free name.

    RACE: where the system has no such call (macOS, some file systems) a directory, which can have
    no second name, is examined and then renamed: an empty directory that comes to the new name in
    between is replaced.
    """
    calls = context.calls
    if not stat.S_ISDIR(calls.stat_at(source, name).st_mode):
        rename_to_free(calls, source, name, dir_fd, new)
        return
    try:
        calls.rename_new(source, name, dir_fd, new)
    except OSError as error:
        if error.errno not in NO_WAY:
            raise
        calls.rename(source, name, dir_fd, new)
