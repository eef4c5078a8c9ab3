"""``follow``, beside the class that it returns: its annotations can be evaluated."""

from __future__ import annotations

import os
from typing import Unpack

from limpet.following._follow_keywords import Options, make_options
from limpet.following._follower import Follower


def follow(
    path: str | os.PathLike[str], *more: str | os.PathLike[str], **options: Unpack[Options]
) -> Follower:
    """Follow files that grow: return each line that is added, once, across rotation.

    ```python
    async for line in limpet.follow("/var/log/app.log", state="app.state"):
        print(line.text)
    ```

    The file need not exist. A text with wildcards is a glob, and files that match it later are
    read from their beginning; a ``Path`` is never a glob. Nothing is started before the follower is
    iterated, or entered with ``async with``.

    Args:
        path: File or glob to follow.
        *more: Further ones.
        **options: ``limpet.FollowOptions`` explains each:
            ``start``, ``last``, ``fallback``, ``ignore_older``, ``state``, ``commit``,
            ``on_corrupt``, ``durability``, ``rotated``, ``mode``, ``encoding``, ``errors``,
            ``delimiter``, ``keep_cr``, ``max_line``, ``on_long``, ``flush_partial``,
            ``max_bytes``, ``settle``, ``linger``, ``order``, ``retire``, ``on_trim``,
            ``on_rewrite``, ``max_open``, ``max_generations``, ``unlinked_timeout``,
            ``follow_symlinks``, ``safety``, ``backend``, ``poll_interval``, ``until``.

    Raises:
        UsageError: A path is empty or contains a NUL, or an option is out of its range.
    """
    return Follower((path, *more), make_options(dict(options)))
