"""One path that is followed: which file stands there, which ones stood there and are still read.

A look is idempotent: what tells of changes only says when to look. The name is followed and the
descriptor held: a new file is opened at once, the old one is read to its end before it, and closed
once nobody seems to write to it any more.
"""

from __future__ import annotations

import errno
import os
import stat as modes
from pathlib import Path
from typing import TYPE_CHECKING, Final

from limpet.following._file_io import MISSING, identity_of, stamp_of
from limpet.following._follow_events import (
    Accessible,
    Appeared,
    CaughtUp,
    Gone,
    Inaccessible,
    Replaced,
    Rotated,
)
from limpet.following._followed_file import FollowedFile
from limpet.following._open_files import find_closed, reopen, tend, unpark, unreadable
from limpet.following._rotation import Rotations
from limpet.following._start_position import begin
from limpet.following._truncation import go_on_from_any, restart

if TYPE_CHECKING:
    from limpet.following._follower_state import FollowerState

__all__ = ["FollowedPath"]


_ROUNDS: Final = 8
"""A path that changes faster than this many looks in a row is looked at again a moment later."""


class FollowedPath:
    """A path and the files it led to, oldest first."""

    def __init__(self, world: FollowerState, path: str, *, found: bool = False) -> None:
        """Know the path; nothing is opened.

        Args:
            world: Shared by all of one follower.
            path: Absolute.
            found: It matches a glob; it was not asked for by its name.
        """
        self.world = world
        self.path = path
        self.shown = Path(path)
        self.found = found
        self.held: list[FollowedFile] = []
        """Files with an open descriptor (a quiet active one may be closed), in reading order."""
        self.active: FollowedFile | None = None
        self.unacked: list[FollowedFile] = []
        """Files that are done with, but not committed to their end."""
        self.alias = False
        """The file is read under another path already."""
        self.resumed = False
        self.is_there = False
        self.caught_up = False
        self.unstable = False
        self.idle = False
        """Nothing happened since the last look, and there is nothing to read."""
        self.rotations = Rotations(self) if world.options.rotated is not None else None
        self._trouble = 0
        self.turn = 0

    # -- looking -------------------------------------------------------------------------------

    @property
    def remote(self) -> bool:
        """Whether the path lies on a network."""
        return self.world.remote(self.path)

    def look(self, now: float, *, hinted: bool = False) -> None:
        """See what stands at the path and what became of the files that are held."""
        self.idle = not hinted and self._is_unchanged()
        if self.idle:
            return
        for file in list(self.held):
            if file in self.held:
                self.check(file, now, hinted=hinted)
        self.unstable = True
        for _ in range(_ROUNDS):
            if not self._resolve(now):
                self.unstable = False
                break
        tend(self, now)

    def _is_unchanged(self) -> bool:
        """Tell with one question whether nothing can have happened: most files are idle."""
        active = self.active
        if (
            active is None
            or len(self.held) != 1
            or self.rotations is not None
            or active.held_since is not None
            or active.failed is not None
            or active.doubt is not None
            or active.backlog
            or self.world.options.follow_symlinks is not True
        ):
            return False
        try:
            status = self.world.disk.stat(self.path)
        except OSError:
            return False
        return active.stamp == stamp_of(status) and active.identity == identity_of(status)

    def check(self, file: FollowedFile, now: float, *, hinted: bool) -> bool:
        """See what became of one file; tells whether it may be read on."""
        try:
            change = file.check(self.world.disk, now, hinted=hinted, remote=self.remote)
        except OSError as error:
            unreadable(self, file, error, now)
            return False
        if change is None:
            return True
        restart(self, file, change, now)
        return False

    def _resolve(self, now: float) -> bool:
        """Compare the path with the active file; tells whether to look again."""
        world = self.world
        try:
            status = self._stat()
        except OSError as error:
            if error.errno in MISSING:
                self._gone(now)
            else:
                self.inaccessible(error, now)
            return self.scan(now)
        if not modes.S_ISREG(status.st_mode):
            self.put_aside(now)
            self.inaccessible(_not_a_file(status, self.path), now)
            return self.scan(now)
        identity = identity_of(status)
        active = self.active
        if active is not None and active.identity == identity:
            if active.fd is None and stamp_of(status) != active.stamp:
                reopen(self, active, self.path, now)
                return True
            if active.failed is None:
                self.accessible()
            return self.scan(now)
        if active is not None and active.fd is None:
            find_closed(self, active, now)
            return True
        known = world.held.get(identity)
        if known is not None and known.parked and known.target is self:
            unpark(self, known, now)
            return True
        if known is not None and known.fd is not None:
            return self._known(known, now)
        self.alias = False
        try:
            fd = world.disk.open(self.path)
        except OSError as error:
            if error.errno in MISSING:
                return True
            self.put_aside(now)
            self.inaccessible(error, now)
            return self.scan(now)
        try:
            status = world.disk.fstat(fd)  # it may be another one by now: only this one counts
            identity = identity_of(status)
            if not modes.S_ISREG(status.st_mode) or (
                identity in world.held and world.held[identity].fd is not None
            ):
                world.disk.close(fd)
                return True
            self._adopt(fd, status, now)
        except BaseException:
            if world.held.get(identity_of(status)) is None:
                world.disk.close(fd)
            raise
        return True

    def _stat(self) -> os.stat_result:
        disk, policy = self.world.disk, self.world.options.follow_symlinks
        if policy is True:
            return disk.stat(self.path)
        link = disk.lstat(self.path)
        if not modes.S_ISLNK(link.st_mode):
            return link
        status = disk.stat(self.path)
        if policy == "same-owner" and link.st_uid == status.st_uid:
            return status
        raise OSError(errno.ELOOP, "it is a symlink, and follow_symlinks does not allow it")

    def _adopt(self, fd: int, status: os.stat_result, now: float) -> None:
        """Take a file that nobody knew as the one at the path."""
        world = self.world
        starting = world.starting and not self.resumed
        file = self.make(fd, status, self.path, now)
        file.is_active, file.trusted = True, not self.found
        old = self.active or (self.held[-1] if self.held else None)
        if self.active is not None:
            self.put_aside(now)
        for one in list(self.held):
            if self.check(one, now, hinted=False):
                one.must = one.size
        self.accessible()
        if starting and old is None:
            begin(file, world)
        elif (before := go_on_from_any(self, file)) is not None:
            self.active = file
            self.held.append(file)
            self.is_there = True
            world.tell(
                Replaced(
                    path=self.shown, time=world.disk.time(), old=before.number, new=file.number
                )
            )
            return
        self.active = file
        self.held.append(file)
        if self.scan(now) and file.offset == 0 and self.held[-2:-1]:
            # files that stood here in between were found: they come first, also by number
            between = [one for one in self.held[:-1] if one.number > file.number]
            numbers = sorted([file.number, *(one.number for one in between)])
            for one, number in zip([*between, file], numbers, strict=True):
                one.number = number
        time = world.disk.time()
        if old is not None:
            world.tell(Rotated(path=self.shown, time=time, old=old.number, new=file.number))
        elif not self.is_there and not starting:
            world.tell(Appeared(path=self.shown, time=time, generation=file.number))
        self.is_there = True

    def make(self, fd: int, status: os.stat_result, name: str, now: float) -> FollowedFile:
        """Hold an open file, at its beginning."""
        world = self.world
        file = FollowedFile(
            world.number(),
            fd,
            status,
            inode_generation=world.disk.inode_generation(fd),
            name=name,
            lines=world.lines(),
            target=self,
            now=now,
        )
        world.held[file.identity] = file
        file.check(world.disk, now, hinted=True, remote=False)
        return file

    def _known(self, file: FollowedFile, now: float) -> bool:
        """A file that is held stands at the path."""
        world, owner = self.world, file.target
        if owner is self:
            self.put_aside(now)
            self.held.remove(file)
            self.held.append(file)
            self._activate(file)
            return True
        if self.active is not None:
            self.put_aside(now)
        self.accessible()
        self.is_there = self.alias = True
        if owner.active is file and owner.points_at(file):
            return False  # two names of one file: it is read under the first
        if owner.active is file:
            owner.put_aside(now)
        file.name = self.path
        if file.backlog and owner.held[-1] is not file:
            file.heir = self  # first it is read where its successor waits for it
            return False
        self.take_over(file)
        world.changed = True
        return True

    def take_over(self, file: FollowedFile) -> None:
        """Have a file of another path: its name is this one now."""
        file.target.held.remove(file)
        file.target, file.heir = self, None
        self.held.append(file)
        self.alias = False
        self._activate(file)

    def points_at(self, file: FollowedFile) -> bool:
        """Tell whether this path leads to the file."""
        try:
            return identity_of(self._stat()) == file.identity
        except OSError:
            return False

    def _activate(self, file: FollowedFile) -> None:
        file.is_active, file.must, file.name = True, 0, self.path
        self.active = file
        self.accessible()
        if not self.is_there:
            self.world.tell(
                Appeared(path=self.shown, time=self.world.disk.time(), generation=file.number)
            )
        self.is_there = True

    def put_aside(self, now: float) -> None:
        """The path leads to the active file no more: read it on, before any other."""
        file, self.active = self.active, None
        if file is None:
            return
        file.is_active = False
        file.quiet_since = now
        self.world.changed = True
        if file.fd is None:
            find_closed(self, file, now)
        if file.fd is not None:
            self.check(file, now, hinted=False)
            file.must = file.size

    def _gone(self, now: float) -> None:
        self.put_aside(now)
        self.accessible()
        self.alias = False
        if self.is_there:
            self.is_there = False
            self.world.tell(Gone(path=self.shown, time=self.world.disk.time()))

    def inaccessible(self, error: OSError, now: float) -> None:
        del now
        number = error.errno or errno.EIO
        if self._trouble == number:
            return
        self._trouble = number
        self.world.tell(
            Inaccessible(
                path=self.shown,
                time=self.world.disk.time(),
                errno=number,
                message=error.strerror or str(error),
            )
        )

    def accessible(self) -> None:
        if self._trouble:
            self._trouble = 0
            self.world.tell(Accessible(path=self.shown, time=self.world.disk.time()))

    def scan(self, now: float) -> bool:
        """Look for files that were put aside unseen; tells whether there were any."""
        return self.rotations is not None and self.rotations.scan(now)

    @property
    def backlog(self) -> int:
        """Bytes known to be there and not read."""
        return sum(file.backlog for file in self.held)

    def close(self) -> None:
        """Close every descriptor; nothing more is delivered."""
        for file in self.held:
            if file.fd is not None:
                self.world.disk.close(file.fd)
                file.fd = None
        self.world.held.clear()

    def told_caught_up(self) -> bool:
        """Say once that all that was there is delivered; tells whether there is no backlog."""
        if self.backlog:
            return False
        if not self.caught_up:
            self.caught_up = True
            self.world.tell(CaughtUp(path=self.shown, time=self.world.disk.time()))
        return True

    def finds_again(self, file: FollowedFile) -> bool:
        """Tell whether a file needs no place in the state: none of it is read, and it has a name.

        The next run finds it under ``rotated``, as one that nobody knows.
        """
        return (
            self.rotations is not None
            and not (file.is_active or file.acked.offset or file.lines.skipping)
            and bool(file.nlink)
            and file.forward is None
        )


def _not_a_file(status: os.stat_result, path: str) -> OSError:
    number = errno.EISDIR if modes.S_ISDIR(status.st_mode) else errno.EINVAL
    return OSError(number, f"it is no regular file ({modes.filemode(status.st_mode)[0]})", path)
