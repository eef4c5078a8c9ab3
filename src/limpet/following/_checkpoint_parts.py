"""What a checkpoint is made of: only the paths that changed are encoded again.

A save of thousands of quiet paths would take as long as all else that a follower does in a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from limpet.following._checkpoint import MISSING_S, encode_known, encode_parts, encode_path
from limpet.following._followed_stream import STDIN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from limpet.following._checkpoint import Checkpoint, SavedFile, SavedPath
    from limpet.following._followed_path import FollowedPath
    from limpet.following._follower_state import FollowerState
    from limpet.following._path_discovery import PathPattern


class CheckpointParts:
    """The encoded parts of the checkpoint of one follower."""

    def __init__(self, state: FollowerState) -> None:
        self._state = state
        self._encoded: dict[str, str] = {}
        """What the checkpoint has of each followed path, as it was encoded last."""
        self._not_followed: dict[str, SavedPath] = {}
        """What the checkpoint has of paths that are not followed now."""

    def keep(self, loaded: Checkpoint) -> None:
        """Keep what a checkpoint has of paths that are not followed now."""
        self._not_followed = {
            path: one for path, one in loaded.paths.items() if path not in self._state.paths
        }
        for one in self._not_followed.values():
            for entry in one.files:
                entry.since = loaded.saved if entry.since is None else entry.since

    def drop_changed(self) -> None:
        """Forget what was encoded of paths that have changed since."""
        changed = self._state.changed_paths
        while changed:
            self._encoded.pop(changed.popleft(), None)

    def encode(self, patterns: Iterable[PathPattern]) -> bytes:
        """Return what is acknowledged, as it is saved."""
        state, parts = self._state, self._encoded
        self.drop_changed()
        now = state.io.time()
        for path, old in list(self._not_followed.items()):
            old.files = [one for one in old.files if now - (one.since or now) < MISSING_S]
            if not old.files or path in state.paths:
                del self._not_followed[path]
        for path in [one for one in parts if one not in state.paths]:
            del parts[path]
        for path, followed in state.paths.items():
            if path != STDIN and (path not in parts or followed in state.busy):
                parts[path] = encode_path(path, self._saved_files(followed))
        for rotated in state.rotated.values():
            if rotated.saved_json is None:
                rotated.saved_json = encode_known(rotated.pattern, rotated.known.values())
        return encode_parts(
            state.next_number,
            now,
            [pattern.text for pattern in patterns],
            (one.saved_json for one in state.rotated.values() if one.saved_json is not None),
            [
                *parts.values(),
                *(encode_path(path, one.files) for path, one in self._not_followed.items()),
            ],
        )

    def _saved_files(self, followed: FollowedPath) -> list[SavedFile]:
        files = [*followed.unacknowledged, *followed.files]
        numbers = {file.number for file in files}
        return [
            *(one for one in followed.lost if one.position.generation not in numbers),
            *(self._state.saved_file(one) for one in files if not followed.needs_no_entry(one)),
        ]
