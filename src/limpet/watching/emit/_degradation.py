"""What the watch cannot see: each trouble is reported once when it begins and once when it ends."""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING, Final

from limpet.watching.index._fs import OUT_OF_DESCRIPTORS

if TYPE_CHECKING:
    from limpet.backends import MarkError
    from limpet.events import DegradedReason
    from limpet.watching.emit._event_factory import EventFactory
    from limpet.watching.index._index import DirNode

_RETRY: Final = frozenset(("descriptors", "unavailable", "unreadable", "path-too-long"))
"""Reasons whose end leaves no hint: these directories are tried again in intervals."""


class Degradation:
    """The troubles of one watch."""

    def __init__(self, *, hints: bool) -> None:
        """Start without any.

        Args:
            hints: A backend reports when permissions change.
        """
        self.blind: dict[DirNode, DegradedReason] = {}
        self.unmarked: set[DirNode] = set()
        self.unknown: dict[tuple[DirNode, str], DegradedReason] = {}
        """Names that the system gives no answer about, though it does about their directory."""
        self.location = 0
        """errno why the location itself cannot be reached, 0 if it can."""
        self._hints = hints
        self._limit_at: str | None = None

    def retries(self) -> list[DirNode]:
        """Return the directories to try again without a hint."""
        return [
            directory
            for directory, reason in self.blind.items()
            if reason in _RETRY or not self._hints or directory.parent is None
        ]

    def cannot_read(
        self, emit: EventFactory, directory: DirNode, reason: DegradedReason, error: OSError
    ) -> None:
        """Report a directory that cannot be listed."""
        if self.blind.get(directory) == reason:
            return
        self.blind[directory] = reason
        path = emit.path(directory.relative())
        advice = _ADVICE.get(reason, "limpet tries again by itself")
        text = error.strerror or "unknown error"
        emit.degraded(
            directory.relative(),
            reason,
            f"cannot read folder {os.fspath(path)!r}: {text}; {advice}",
        )

    def cannot_stat(
        self, emit: EventFactory, directory: DirNode, name: str, error: OSError
    ) -> None:
        """Report a name that cannot be examined; what is known of it is kept."""
        reason = reason_of(error)
        if self.unknown.get((directory, name)) == reason:
            return
        self.unknown[directory, name] = reason
        relative = directory.relative_of(name)
        text = error.strerror or "unknown error"
        advice = _ADVICE.get(reason, "limpet tries again by itself")
        emit.degraded(
            relative, reason, f"cannot examine {os.fspath(emit.path(relative))!r}: {text}; {advice}"
        )

    def can_stat(self, emit: EventFactory, directory: DirNode, name: str) -> None:
        """Report that it can be examined again."""
        if self.unknown and self.unknown.pop((directory, name), None) is not None:
            emit.recovered(directory.relative_of(name))

    def can_read(self, emit: EventFactory, directory: DirNode) -> None:
        """Report that it can be listed again."""
        if self.blind.pop(directory, None) is not None:
            emit.recovered(directory.relative())

    def not_marked(self, emit: EventFactory, directory: DirNode, error: MarkError) -> None:
        """Report that a directory could not be marked and is polled; once for the watch."""
        first = not self.unmarked
        self.unmarked.add(directory)
        if first:
            relative = directory.relative()
            self._limit_at = relative
            if error.limit:
                emit.degraded(relative, "limit", limit_message())
            else:
                text = os.strerror(error.errno)
                emit.degraded(
                    relative,
                    "unsupported",
                    f"the system gives no notifications for {os.fspath(emit.path(relative))!r}: "
                    f"{text}; it is polled (see poll_interval)",
                )

    def not_reported(self, emit: EventFactory, error: OSError) -> None:
        """Report that no source gives hints about the tree, which is polled."""
        text = error.strerror or "unknown error"
        emit.degraded(
            "",
            "unsupported",
            f"the system gives no notifications for {os.fspath(emit.location)!r}: {text}; "
            "everything in it is polled (see poll_interval)",
        )

    def marked(self, emit: EventFactory, directory: DirNode) -> None:
        """Record that a directory that was polled is marked now."""
        self.unmarked.discard(directory)
        self._all_marked(emit)

    def forget(self, directory: DirNode) -> None:
        """Drop the troubles of a directory that is gone."""
        self.blind.pop(directory, None)
        self.unmarked.discard(directory)
        for ref in [ref for ref in self.unknown if ref[0] is directory]:
            del self.unknown[ref]

    def _all_marked(self, emit: EventFactory) -> None:
        if not self.unmarked and self._limit_at is not None:
            emit.recovered(self._limit_at)
            self._limit_at = None

    def location_unreachable(self, emit: EventFactory, code: int) -> None:
        """Report that the way to the location is not open."""
        if self.location != code:
            self.location = code
            text = os.strerror(code)
            reason: DegradedReason = (
                "permission"
                if code in {errno.EACCES, errno.EPERM}
                else "descriptors"
                if code in {errno.EMFILE, errno.ENFILE}
                else "unavailable"
            )
            emit.degraded(
                "",
                reason,
                f"cannot reach {os.fspath(emit.location)!r}: {text}; what is known of it is kept; "
                + _ADVICE.get(reason, "limpet tries again by itself"),
            )

    def location_reachable(self, emit: EventFactory) -> None:
        """Report that it is open again."""
        if self.location:
            self.location = 0
            emit.recovered("")


_REASONS: Final[dict[int, DegradedReason]] = {
    errno.EACCES: "permission",
    errno.EPERM: "permission",
    errno.ENAMETOOLONG: "path-too-long",
    errno.EIO: "unreadable",
    **dict.fromkeys(OUT_OF_DESCRIPTORS, "descriptors"),
}


def reason_of(error: OSError) -> DegradedReason:
    """Return the word for why the system gives no answer."""
    return _REASONS.get(error.errno or 0, "unavailable")


_LIMITS: Final = (
    ("fs.inotify.max_user_watches", "user.max_inotify_watches"),
    ("fs.fanotify.max_user_marks", "user.max_fanotify_marks"),
)
"""Limits of watched directories: of the system, and of a user namespace, of which the lower holds
(namespaces(7), "The /proc/sys/user directory")."""


def limit_message() -> str:
    """Return which limit of watched directories is reached and how to raise it."""
    lines = []
    for names in _LIMITS:
        found = {name: value for name in names if (value := _sysctl(name)) is not None}
        if not found:
            continue
        lowest = min(found.values())
        for name, value in found.items():
            if value == lowest:
                lines.append(f"sysctl {name}={max(value * 2, 524288)} (now {value})")
    return (
        "the system's limit of watched folders is used up; the folders that are left are polled. "
        "Raise it: " + " or ".join(lines or ["see troubleshooting: limit"])
    )


def _sysctl(name: str) -> int | None:
    try:
        with open("/proc/sys/" + name.replace(".", "/"), encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


if sys.platform == "win32":

    def _descriptor_limit() -> str:
        return "unknown"

else:
    import resource

    def _descriptor_limit() -> str:
        return str(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


_ADVICE: Final[dict[DegradedReason, str]] = {
    "permission": "give this user read and search permission (chmod, setfacl)",
    "descriptors": f"raise the limit of open files, now {_descriptor_limit()} (ulimit -n)",
}
