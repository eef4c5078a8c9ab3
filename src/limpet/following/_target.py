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

from limpet._grown import HEAD, WINDOW
from limpet.following._begin import begin
from limpet.following._disk import MISSING, Identity, identity_of, stamp_of
from limpet.following._events import (
    Accessible,
    Appeared,
    CaughtUp,
    Gone,
    Inaccessible,
    Replaced,
    Retired,
    Rotated,
    Truncated,
)
from limpet.following._generation import Acked, Change, Generation
from limpet.following._lease import has_writer
from limpet.following._lines import Assembler
from limpet.following._rotated import Rotations

if TYPE_CHECKING:
    from limpet.following._world import World

__all__ = ["Target"]

_AGAIN_S: Final = 1.0
"""A file that cannot be read is opened anew this often at most, in seconds."""

_ROUNDS: Final = 8
"""A path that changes faster than this many looks in a row is looked at again a moment later."""


class Target:
    """A path and the files it led to, oldest first."""

    def __init__(self, world: World, path: str, *, found: bool = False) -> None:
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
        self.held: list[Generation] = []
        """Files with an open descriptor (a quiet active one may be closed), in reading order."""
        self.active: Generation | None = None
        self.unacked: list[Generation] = []
        """Files that are done with, but not committed to their end."""
        self.alias = False
        """The file is read under another path already."""
        self.resumed = False
        self.is_there = False
        self.caught_up = False
        self.unstable = False
        self.rotations = Rotations(self) if world.options.rotated is not None else None
        self._trouble = 0
        self._turn = 0

    # -- looking -------------------------------------------------------------------------------

    @property
    def remote(self) -> bool:
        """Whether the path lies on a network."""
        return self.world.remote(self.path)

    def look(self, now: float, *, hinted: bool = False) -> None:
        """See what stands at the path and what became of the files that are held."""
        for gen in list(self.held):
            if gen in self.held:
                self.check(gen, now, hinted=hinted)
        self.unstable = True
        for _ in range(_ROUNDS):
            if not self._resolve(now):
                self.unstable = False
                break
        self.tend(now)

    def check(self, gen: Generation, now: float, *, hinted: bool) -> bool:
        """See what became of one file; tells whether it may be read on."""
        try:
            change = gen.check(self.world.disk, now, hinted=hinted, remote=self.remote)
        except OSError as error:
            self._unreadable(gen, error, now)
            return False
        if change is None:
            return True
        self._changed(gen, change, now)
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
                self._inaccessible(error, now)
            return self._scan(now)
        if not modes.S_ISREG(status.st_mode):
            self.put_aside(now)
            self._inaccessible(_not_a_file(status, self.path), now)
            return self._scan(now)
        identity = identity_of(status)
        active = self.active
        if active is not None and active.identity == identity:
            if active.fd is None and stamp_of(status) != active.stamp:
                self._reopen(active, self.path, now)
                return True
            if active.failed is None:
                self._accessible()
            return self._scan(now)
        if active is not None and active.fd is None:
            self._find_closed(active, now)
            return True
        known = world.held.get(identity)
        if known is not None and known.parked and known.target is self:
            self._unpark(known, now)
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
            self._inaccessible(error, now)
            return self._scan(now)
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
        gen = self.make(fd, status, self.path, now)
        gen.is_active, gen.trusted = True, not self.found
        old = self.active or (self.held[-1] if self.held else None)
        if self.active is not None:
            self.put_aside(now)
        for one in list(self.held):
            if self.check(one, now, hinted=False):
                one.must = one.size
        self._accessible()
        if starting and old is None:
            begin(gen, world)
        elif (before := self.go_on_from_any(gen)) is not None:
            self.active = gen
            self.held.append(gen)
            self.is_there = True
            world.tell(
                Replaced(path=self.shown, time=world.disk.time(), old=before.number, new=gen.number)
            )
            return
        self.active = gen
        self.held.append(gen)
        if self._scan(now) and gen.offset == 0 and self.held[-2:-1]:
            # files that stood here in between were found: they come first, also by number
            between = [one for one in self.held[:-1] if one.number > gen.number]
            numbers = sorted([gen.number, *(one.number for one in between)])
            for one, number in zip([*between, gen], numbers, strict=True):
                one.number = number
        time = world.disk.time()
        if old is not None:
            world.tell(Rotated(path=self.shown, time=time, old=old.number, new=gen.number))
        elif not self.is_there and not starting:
            world.tell(Appeared(path=self.shown, time=time, generation=gen.number))
        self.is_there = True

    def make(self, fd: int, status: os.stat_result, name: str, now: float) -> Generation:
        """Hold an open file, at its beginning."""
        world = self.world
        gen = Generation(
            world.number(),
            fd,
            status,
            igen=world.disk.inode_generation(fd),
            name=name,
            lines=world.lines(),
            target=self,
            now=now,
        )
        world.held[gen.identity] = gen
        gen.check(world.disk, now, hinted=True, remote=False)
        return gen

    def _known(self, gen: Generation, now: float) -> bool:
        """A file that is held stands at the path."""
        world, owner = self.world, gen.target
        if owner is self:
            self.put_aside(now)
            self.held.remove(gen)
            self.held.append(gen)
            self._activate(gen)
            return True
        if self.active is not None:
            self.put_aside(now)
        self._accessible()
        self.is_there = self.alias = True
        if owner.active is gen and owner.points_at(gen):
            return False  # two names of one file: it is read under the first
        if owner.active is gen:
            owner.put_aside(now)
        gen.name = self.path
        if gen.backlog and owner.held[-1] is not gen:
            gen.heir = self  # first it is read where its successor waits for it
            return False
        self.take_over(gen)
        world.changed = True
        return True

    def take_over(self, gen: Generation) -> None:
        """Have a file of another path: its name is this one now."""
        gen.target.held.remove(gen)
        gen.target, gen.heir = self, None
        self.held.append(gen)
        self.alias = False
        self._activate(gen)

    def points_at(self, gen: Generation) -> bool:
        """Tell whether this path leads to the file."""
        try:
            return identity_of(self._stat()) == gen.identity
        except OSError:
            return False

    def _activate(self, gen: Generation) -> None:
        gen.is_active, gen.must, gen.name = True, 0, self.path
        self.active = gen
        self._accessible()
        if not self.is_there:
            self.world.tell(
                Appeared(path=self.shown, time=self.world.disk.time(), generation=gen.number)
            )
        self.is_there = True

    def put_aside(self, now: float) -> None:
        """The path leads to the active file no more: read it on, before any other."""
        gen, self.active = self.active, None
        if gen is None:
            return
        gen.is_active = False
        gen.quiet_since = now
        self.world.changed = True
        if gen.fd is None:
            self._find_closed(gen, now)
        if gen.fd is not None:
            self.check(gen, now, hinted=False)
            gen.must = gen.size

    def _gone(self, now: float) -> None:
        self.put_aside(now)
        self._accessible()
        self.alias = False
        if self.is_there:
            self.is_there = False
            self.world.tell(Gone(path=self.shown, time=self.world.disk.time()))

    def _inaccessible(self, error: OSError, now: float) -> None:
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

    def _accessible(self) -> None:
        if self._trouble:
            self._trouble = 0
            self.world.tell(Accessible(path=self.shown, time=self.world.disk.time()))

    def _scan(self, now: float) -> bool:
        """Look for files that were put aside unseen; tells whether there were any."""
        return self.rotations is not None and self.rotations.scan(now)

    # -- a file that goes on in another --------------------------------------------------------

    def go_on_from_any(self, new: Generation) -> Generation | None:
        """Read ``new`` from where a deleted file of this path is that it holds all of."""
        for old in reversed(self.held):
            if old is not new and old.forward is None and self._continues(old, new):
                self._go_on(old, new)
                return old
        return None

    def _continues(self, old: Generation, new: Generation) -> bool:
        """Tell whether ``new`` holds all of ``old``, which is deleted, and perhaps more."""
        disk = self.world.disk
        if old.fd is None or new.fd is None:
            return False
        status = disk.fstat(old.fd)
        end = status.st_size
        if status.st_nlink or not end or end < old.offset or new.size < end:
            return False
        spots = {(0, min(HEAD, end)), *(_before(at) for at in (end, old.offset))}
        return all(
            disk.pread(old.fd, size, at) == disk.pread(new.fd, size, at) for at, size in spots
        )

    def _go_on(self, old: Generation, new: Generation) -> None:
        """Read ``new`` from where ``old`` is; what is still written to that one is read too."""
        end = self.world.disk.fstat(old.open_fd).st_size
        new.offset, new.head, new.window = old.offset, old.head, old.window
        new.lines, new.acked, new.held_since = old.lines, old.acked, old.held_since
        old.forward, old.handoff = new, old.offset
        old.lines = self.world.lines()
        old.place(self.world.disk, end, encoding=_encoding_of(new), skipping=False)
        old.size = old.must = end

    # -- a file whose bytes are not there any more ---------------------------------------------

    def _changed(self, gen: Generation, change: Change, now: float) -> None:
        world, options = self.world, self.world.options
        kind, lost, size = change
        keep = (kind == "trimmed" and (options.on_trim == "keep" or size >= gen.offset > 0)) or (
            kind == "rewritten" and options.on_rewrite == "keep"
        )
        if keep:
            if size < gen.offset or kind == "rewritten":
                world.deliver(gen, gen.lines.flush())
                encoding, acked = _encoding_of(gen), gen.is_acked
                before = gen.acked
                gen.place(world.disk, min(size, gen.offset), encoding=encoding, skipping=False)
                if not acked:
                    gen.acked = Acked(min(before.offset, gen.offset), gen.window, skipping=False)
            world.changed = True
            world.tell(
                Truncated(
                    path=self.shown,
                    time=world.disk.time(),
                    kind=kind,
                    generation=gen.number,
                    lost=lost,
                )
            )
            return
        fd, gen.fd = gen.open_fd, None
        status = world.disk.fstat(fd)
        del world.held[gen.identity]
        fresh = self.make(fd, status, gen.name, now)
        fresh.fresh, fresh.is_active, gen.is_active = True, gen.is_active, False
        if self.active is gen:
            self.active = fresh
        self.held.insert(self.held.index(gen) + 1, fresh)
        copy = world.find_copy(gen, now)
        recovered = 0
        if copy is not None:
            recovered = copy.size - gen.offset
            lost = max(0, lost - recovered)
            gen.fd, gen.identity, gen.igen = copy.fd, copy.identity, copy.igen
            gen.name, gen.size, gen.must = copy.name, copy.size, copy.size
            gen.quiet_since, gen.heir = now, copy.heir
            world.held[gen.identity] = gen
        else:
            world.deliver(gen, gen.lines.flush())
            self.held.remove(gen)
            self._done_with(gen)
        fresh.must = fresh.size if not fresh.is_active else 0
        world.tell(
            Truncated(
                path=self.shown,
                time=world.disk.time(),
                kind=kind,
                generation=fresh.number,
                lost=lost,
                recovered=recovered,
            )
        )

    # -- reading -------------------------------------------------------------------------------

    def read(self, now: float) -> bool:
        """Read one piece of the file whose turn it is; tells whether there was one."""
        for gen in self._waiting():
            if gen.parked and not self._unpark(gen, now):
                return True
            if gen.trusted or not self.world.must_wait(gen, now):
                return self._read(gen, now)
            if gen.trusted:
                return True  # it turned out to be the rest of another
        return False

    def _read(self, gen: Generation, now: float) -> bool:
        world = self.world
        before = gen.offset
        try:
            if not self.check(gen, now, hinted=False) or not gen.backlog:
                return True
            if not before and self._pass_hole(gen):
                return True
            blocks = gen.read(world.disk)
        except OSError as error:
            self._unreadable(gen, error, now)
            return False
        gen.progress = now
        if gen.failed is not None:
            gen.failed = None
            self._accessible()
        if blocks is None:
            self.check(gen, now, hinted=True)
            return True
        world.figures.bytes_read += gen.offset - before
        gen.held_since = (gen.held_since or now) if gen.lines.held else None
        if blocks and gen.lines.held:
            gen.held_since = now
        status = gen.refresh(world.disk, now)
        gen.size = max(status.st_size, gen.size)
        world.deliver(gen, blocks)
        if gen.heir is not None and not gen.backlog:
            gen.heir.take_over(gen)
        return True

    def _waiting(self) -> list[Generation]:
        """Give the files with something to read, first the one whose turn it is."""
        waiting = [gen for gen in self.held if gen.backlog]
        if self.world.options.order == "strict":
            waiting = [gen for gen in waiting if gen is self.held[0]]
        if len(waiting) < 2:
            return waiting
        first = [gen for gen in waiting if gen.offset < gen.must]
        self._turn += 1
        turn = self._turn % len(waiting)
        return [*first, *(gen for gen in waiting[turn:] + waiting[:turn] if gen not in first)]

    def _pass_hole(self, gen: Generation) -> bool:
        """Leave out the NULs that a writer without O_APPEND leaves before its next bytes."""
        world, options = self.world, self.world.options
        if gen.fd is None:
            return False
        hole = min(world.disk.data_from(gen.fd, 0), gen.size)
        wide = isinstance(gen.lines, Assembler) and (options.encoding or "").lower().replace(
            "_", "-"
        ).startswith(("utf-16", "utf-32", "utf16", "utf32"))
        letters = b"\0" in (options.delimiter or b"") or wide
        text = options.mode == "lines" and options.encoding is not None
        if not hole and (letters or not (gen.fresh or text)):
            return False
        end = hole
        while not letters and end < gen.size:
            data = world.disk.pread(gen.fd, min(1 << 16, gen.size - end), end)
            rest = data.lstrip(b"\0")
            end += len(data) - len(rest)
            if rest or not data:
                break
        if not end:
            return False
        gen.place(world.disk, end, encoding=options.encoding, skipping=False)
        world.gap(self.shown, "nul-hole", end, gen.number)
        return True

    @property
    def backlog(self) -> int:
        """Bytes known to be there and not read."""
        return sum(gen.backlog for gen in self.held)

    # -- the end of a file ---------------------------------------------------------------------

    def tend(self, now: float) -> None:
        """Do what is due: close what is done with, give up what nobody asks for."""
        world, options = self.world, self.world.options
        for gen in list(self.held):
            wait = options.flush_partial
            since = gen.held_since
            if wait is not None and since is not None and now - since >= wait:
                world.deliver(gen, gen.lines.flush())
                gen.held_since = None
            if gen.is_active or gen.fd is None:
                continue
            if gen.backlog:
                if not gen.nlink and now - gen.progress >= options.unlinked_timeout:
                    self.drop(gen, "unlinked")
            elif self._is_over(gen, now):
                self.retire(gen)
        self.make_room()
        self.unacked = [gen for gen in self.unacked if not gen.is_acked]

    def make_room(self) -> None:
        """Have no more files open than may be: what can be found again is closed until its turn.

        That are those under ``rotated``; of others the oldest is given up.
        """
        most = self.world.options.max_generations
        aside = [gen for gen in self.held if gen.fd is not None and not gen.is_active]
        for gen in reversed(aside[1:]):
            if len(aside) < most:
                return
            if self.rotations is not None and gen.nlink and gen.backlog:
                self.world.disk.close(gen.open_fd)
                gen.fd, gen.parked = None, True
                aside.remove(gen)
        for gen in aside[: max(0, len(aside) - most + 1)]:
            if gen.backlog:
                self.drop(gen, "too-many")
            else:
                self.retire(gen)

    def _unpark(self, gen: Generation, now: float) -> bool:
        """Open a file whose turn has come; tells whether it is still there."""
        disk, inode = self.world.disk, gen.identity[1]
        names = [gen.name, *disk.names(os.path.dirname(gen.name)).values()]
        if self.rotations is not None:
            names += self.rotations.names()
        for name in dict.fromkeys(names):
            try:
                there = disk.stat(name).st_ino == inode
            except OSError:
                continue
            if there and self._open_again(gen, name, now):
                gen.name = name
                return True
        self.drop(gen, "generation-missing")
        return False

    def _is_over(self, gen: Generation, now: float) -> bool:
        options = self.world.options
        if gen.heir is not None:
            return False
        if options.retire == "no-writer" and gen.fd is not None:
            written = has_writer(gen.fd)
            if written is not None:
                return not written
        return now - gen.quiet_since >= options.linger

    def retire(self, gen: Generation) -> None:
        """Close a file that is read to its end."""
        world = self.world
        world.deliver(gen, gen.lines.flush())
        world.tell(
            Retired(
                path=self.shown, time=world.disk.time(), generation=gen.number, bytes=gen.offset
            )
        )
        self._close(gen)

    def drop(self, gen: Generation, kind: str) -> None:
        """Close a file that is not read to its end."""
        world = self.world
        world.deliver(gen, gen.lines.flush())
        world.gap(self.shown, kind, gen.size - gen.offset, gen.number)  # type: ignore[arg-type]  # one of them
        self._close(gen)

    def _close(self, gen: Generation) -> None:
        world = self.world
        self.held.remove(gen)
        if gen is self.active:
            self.active = None
        if world.held.get(gen.identity) is gen:
            del world.held[gen.identity]
        if self.rotations is not None:
            self.rotations.remember(gen)
        if gen.fd is not None:
            world.disk.close(gen.fd)
            gen.fd = None
        self._done_with(gen)

    def _done_with(self, gen: Generation) -> None:
        self.world.changed = True
        gen.size = gen.offset
        if not gen.is_acked:
            self.unacked.append(gen)

    def close(self) -> None:
        """Close every descriptor; nothing more is delivered."""
        for gen in self.held:
            if gen.fd is not None:
                self.world.disk.close(gen.fd)
                gen.fd = None
        self.world.held.clear()

    # -- closed, and opened again --------------------------------------------------------------

    def rest(self, gen: Generation) -> None:
        """Close a quiet active file; it is looked at by its name from now on."""
        if gen.fd is not None:
            gen.check(self.world.disk, self.world.disk.monotonic(), hinted=False, remote=False)
            if gen.backlog or not gen.is_acked:
                return
            self.world.disk.close(gen.fd)
            gen.fd = None

    def _reopen(self, gen: Generation, path: str, now: float) -> bool:
        """Open a file that was closed, if it is still the same; else nothing is known of it."""
        if self._open_again(gen, path, now):
            return True
        self.world.gap(self.shown, "generation-missing", 0, gen.number)
        self._close(gen)
        return False

    def _open_again(self, gen: Generation, path: str, now: float) -> bool:
        """Open a file that was closed; tells whether it is still the same."""
        disk = self.world.disk
        try:
            fd = disk.open(path)
        except OSError:
            return False
        status = disk.fstat(fd)
        igen = disk.inode_generation(fd)
        window = len(gen.window)
        if (
            status.st_ino == gen.identity[1]
            and (igen is None or gen.igen is None or igen == gen.igen)
            and disk.pread(fd, len(gen.head), 0) == gen.head
            and (
                status.st_size < gen.offset
                or disk.pread(fd, window, gen.offset - window) == gen.window
            )
        ):
            self.world.held.pop(gen.identity, None)
            gen.fd, gen.identity, gen.stamp, gen.parked = fd, identity_of(status), None, False
            self.world.held[gen.identity] = gen
            self.check(gen, now, hinted=True)
            return True
        disk.close(fd)
        return False

    def _find_closed(self, gen: Generation, now: float) -> None:
        """A file that was closed is at the path no more: look for it in its folder, by its inode.

        Its position is the last one committed, so nothing else of it is needed.
        """
        if gen is self.active:
            self.active = None
            gen.is_active = False
            gen.quiet_since = now
        names = self.world.disk.names(os.path.dirname(self.path))
        path = names.get(gen.identity[1], "")
        if self._reopen(gen, path or self.path, now):
            gen.name = path
            gen.must = gen.size

    def _unreadable(self, gen: Generation, error: OSError, now: float) -> None:
        """A read failed: open the file anew if the path leads to it, else say so and wait."""
        world = self.world
        again = gen.failed is None or now - gen.failed >= _AGAIN_S
        if again and gen.is_active and error.errno in {errno.ESTALE, errno.EIO}:
            gen.failed = now
            try:
                fd = world.disk.open(self.path)
            except OSError:
                fd = -1
            if fd >= 0:
                try:
                    same = self._is_same(fd, gen)
                except OSError:
                    same = False
                if same and gen.fd is not None:
                    status = world.disk.fstat(fd)
                    world.held.pop(gen.identity, None)
                    world.disk.close(gen.fd)
                    gen.fd, gen.identity, gen.stamp = fd, identity_of(status), None
                    gen.igen = world.disk.inode_generation(fd)
                    world.held[gen.identity] = gen
                    gen.size = status.st_size
                    return
                world.disk.close(fd)
        gen.failed = gen.failed or now
        self._inaccessible(error, now)

    def _is_same(self, fd: int, gen: Generation) -> bool:
        """Tell whether an open file holds what was read of another."""
        disk, window = self.world.disk, len(gen.window)
        return (
            disk.fstat(fd).st_size >= gen.offset
            and disk.pread(fd, len(gen.head), 0) == gen.head
            and disk.pread(fd, window, gen.offset - window) == gen.window
        )

    def told_caught_up(self) -> bool:
        """Say once that all that was there is delivered; tells whether there is no backlog."""
        if self.backlog:
            return False
        if not self.caught_up:
            self.caught_up = True
            self.world.tell(CaughtUp(path=self.shown, time=self.world.disk.time()))
        return True

    def finds_again(self, gen: Generation) -> bool:
        """Tell whether a file needs no place in the state: none of it is read, and it has a name.

        The next run finds it under ``rotated``, as one that nobody knows.
        """
        return (
            self.rotations is not None
            and not (gen.is_active or gen.acked.offset or gen.lines.skipping)
            and bool(gen.nlink)
            and gen.forward is None
        )

    def owns(self) -> set[Identity]:
        """Give which files are held."""
        return {gen.identity for gen in self.held}


def _before(offset: int) -> tuple[int, int]:
    size = min(WINDOW, offset)
    return offset - size, size


def _encoding_of(gen: Generation) -> str | None:
    return gen.lines.codec.name if gen.lines.codec is not None else None


def _not_a_file(status: os.stat_result, path: str) -> OSError:
    number = errno.EISDIR if modes.S_ISDIR(status.st_mode) else errno.EINVAL
    return OSError(number, f"it is no regular file ({modes.filemode(status.st_mode)[0]})", path)
