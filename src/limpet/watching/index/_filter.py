"""Which names are part of the watch: what is left out is neither marked nor in the index.

All patterns have gitignore syntax (pathspec), so one rule explains ``include``, ``exclude`` and the
ignore file. The default ignores are plain prefixes and suffixes of a name, because they are tested
for every entry of every directory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from limpet._gitignore import compile_globs, compile_ignore_file
from limpet.watching.index._entry_record import BRIEF_DIR

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pathspec

DEFAULT_SUFFIXES: Final = (
    ".crdownload",  # Chromium, a download under way
    ".part",  # Firefox, wget, many others
    ".partial",  # curl --remove-on-error users, Edge
    ".download",  # Safari
    ".opdownload",  # Opera
    ".aria2",  # aria2's control file
    ".swp",  # Vim
    ".swx",
    ".swo",
    ".kate-swp",
    ".filepart",  # WinSCP
    ".!qB",  # qBittorrent
    "~",  # backup copies of most editors
    "___jb_tmp___",  # JetBrains' safe write
    "___jb_old___",
)
DEFAULT_PREFIXES: Final = (
    ".#",  # Emacs locks
    ".~lock.",  # LibreOffice locks
    "~$",  # Microsoft Office locks
    "~WRD",  # Microsoft Word, while it saves
    ".syncthing.",  # Syncthing, a transfer under way
    "~syncthing~",  # the same on Windows
    ".com.google.Chrome.",  # Chrome, while it saves
    ".subl",  # Sublime Text's safe write
    "flycheck_",  # Emacs, a copy that is checked
    "._",  # macOS resource forks on foreign file systems
    ".nfs",  # NFS: deleted while open
    ".fuse_hidden",
    ".goutputstream-",  # GLib's safe write
    ".limpet-",  # limpet's own temporary files
)
DEFAULT_INFIX: Final = ".sb-"
"""In the middle of a name: macOS' safe write (Safari, TextEdit)."""
DEFAULT_NAMES: Final = frozenset(
    (".DS_Store", "Thumbs.db", "desktop.ini", ".directory", ".Spotlight-V100", ".Trashes")
)

SIGNS: Final = (
    "/.", "/~", "/#", "/flycheck_", "filepart/", ".!qB/", ".sb-", "Thumbs.db", "desktop.ini",
    "~/", "swp/", "swx/", "swo/", ".part", "download/", ".aria2/", "___jb_",
)  # fmt: skip
"""Every name that is left out by default contains one of these, between slashes. To search all
names of a directory at once takes a third of testing each name. A test holds them to the tables."""


_FEW: Final = 3
"""As many names are sooner tested one by one than searched for signs."""


class Filter:
    """Decides by relative path and kind; takes in ignore files as they are found."""

    def __init__(
        self,
        *,
        include: tuple[str, ...] = (),
        exclude: tuple[str, ...] = (),
        default_ignores: bool = True,
        own: frozenset[tuple[str, str]] = frozenset(),
        left_out: frozenset[tuple[str, str]] = frozenset(),
    ) -> None:
        """Compile the patterns.

        Args:
            include: Globs of files; none is all.
            exclude: Globs of entries.
            default_ignores: Leave out what is in the tables above.
            own: Directory and name of files of the watch itself: they are left out, with what is
                named after them.
            left_out: Directory and name of entries that another watch of the same consumer reports.
        """
        self._own = own
        self._left_out = left_out
        self._include = compile_globs(include)
        self._exclude = compile_globs(exclude)
        self._defaults = default_ignores
        self._ignore_files: dict[str, pathspec.PathSpec[Any]] = {}
        """Directory (relative, ``""`` or ending in ``/``) -> the patterns of its ignore file."""
        self.plain = self._include is None and self._exclude is None and not (own or left_out)
        """A name alone decides (the fast way)."""

    @property
    def depends_on_path(self) -> bool:
        """Return whether an entry may be left out at one path and not at another."""
        return bool(not self.plain or self._ignore_files)

    def set_ignore_file(self, directory: str, data: bytes) -> bool:
        """Set the content of the ignore file in ``directory``; return whether they changed."""
        prefix = f"{directory}/" if directory else ""
        compiled = compile_ignore_file(data)
        before = self._ignore_files.get(prefix)
        if compiled is None:
            return self._ignore_files.pop(prefix, None) is not None
        self._ignore_files[prefix] = compiled
        return before is None or before.patterns != compiled.patterns

    def move(self, source: str, target: str) -> None:
        """Move the ignore files of a directory that was renamed."""
        old, new = f"{source}/", f"{target}/"
        for prefix in [p for p in self._ignore_files if p.startswith(old)]:
            self._ignore_files[new + prefix[len(old) :]] = self._ignore_files.pop(prefix)

    def drop(self, directory: str) -> None:
        """Drop the ignore files of a directory that is gone."""
        if self._ignore_files:
            old = f"{directory}/"
            for prefix in [p for p in self._ignore_files if p.startswith(old)]:
                del self._ignore_files[prefix]

    def hidden(self, directory: str, listing: Mapping[str, int], *, signed: bool) -> list[str]:
        """Return the names of a listing that are left out.

        Where names alone decide, ``signed`` says whether any may be, because one of ``SIGNS`` is in
        one: hardly any directory has one.
        """
        if self.plain and not self._ignore_files and not (self._defaults and signed):
            return []
        return [
            name
            for name, record in listing.items()
            if self.hides(directory, name, is_dir=record & 3 == BRIEF_DIR)
        ]

    def hidden_files(self, directory: str, names: list[str]) -> set[str]:
        """Return those of the names in a directory (relative path) that are left out, as files."""
        if self.plain and not self._ignore_files:
            if not self._defaults:
                return set()
            if len(names) > _FEW:
                text = "/".join(("", *names, ""))
                for sign in SIGNS:
                    if sign in text:
                        break
                else:
                    return set()
        return {name for name in names if self.hides(directory, name, is_dir=False)}

    def hides(self, directory: str, name: str, *, is_dir: bool) -> bool:
        """Return whether ``name`` in ``directory`` (relative path) is left out."""
        if self._defaults and (
            (name.endswith(DEFAULT_SUFFIXES) and len(name) > 1)
            or name.startswith(DEFAULT_PREFIXES)
            or name in DEFAULT_NAMES
            or DEFAULT_INFIX in name
            or (name[0] == "#" and name[-1] == "#" and len(name) > 1)
        ):
            return True
        if self.plain and not self._ignore_files:
            return False
        if self._own and self._is_own(directory, name):
            return True
        if (directory, name) in self._left_out:
            return True
        relative = f"{directory}/{name}" if directory else name
        slashed = relative + "/" if is_dir else relative
        if self._exclude is not None and self._exclude.match_file(slashed):
            return True
        if self._include is not None and not is_dir and not self._include.match_file(relative):
            return True
        return self._ignored(relative, slashed)

    def why(self, directory: str, name: str, *, is_dir: bool) -> str | None:
        """Return which rule leaves ``name`` in ``directory`` out; ``None`` if none does."""
        if not self.hides(directory, name, is_dir=is_dir):
            return None
        relative = f"{directory}/{name}" if directory else name
        slashed = relative + "/" if is_dir else relative
        if self._defaults and Filter().hides(directory, name, is_dir=is_dir):
            return f"default_ignores: {name!r} is a name of partial or temporary files"
        if self._own and self._is_own(directory, name):
            return "it is the watch's own state file"
        if (directory, name) in self._left_out:
            return "it is a place of its own, which reports it"
        if self._exclude is not None and self._exclude.match_file(slashed):
            return f"exclude: {_rule_of(self._exclude, slashed)}"
        if self._include is not None and not is_dir and not self._include.match_file(relative):
            return "include: no pattern matches it"
        found = "an ignore file"
        for prefix in sorted(self._ignore_files, key=len):
            spec = self._ignore_files[prefix]
            if relative.startswith(prefix) and spec.match_file(slashed[len(prefix) :]):
                rule = _rule_of(spec, slashed[len(prefix) :])
                found = f"the ignore file in {prefix or 'the location'}: {rule}"
        return found

    def _is_own(self, directory: str, name: str) -> bool:
        return any(
            directory == where
            and (name == own or name.startswith((f"{own}.bad", f".limpet-{own}."[:60])))
            for where, own in self._own
        )

    def _ignored(self, relative: str, slashed: str) -> bool:
        """Apply the ignore files from the outermost in; the last one that matches decides."""
        verdict = False
        for prefix in sorted(self._ignore_files, key=len):
            if relative.startswith(prefix):
                answer = self._ignore_files[prefix].check_file(slashed[len(prefix) :]).include
                if answer is not None:
                    verdict = answer
        return verdict


def _rule_of(spec: pathspec.PathSpec[Any], path: str) -> str:
    """Return the pattern that decides about a path, as it was written."""
    index = spec.check_file(path).index
    pattern = spec.patterns[index] if index is not None else None
    return repr(getattr(pattern, "pattern", None) or "a pattern")
