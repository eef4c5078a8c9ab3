"""``follow``, beside the class that it returns: its annotations can be evaluated."""

from __future__ import annotations

import os
from typing import Unpack

from limpet._option_signature import options_of, shows_options
from limpet.following._follow_keywords import Options, make_options
from limpet.following._follow_options import FollowOptions
from limpet.following._follower import Follower


@shows_options(Options, options_of(FollowOptions))
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
        **options: ``limpet.FollowOptions`` explains each.

    Raises:
        UsageError: A path is empty or contains a NUL, or an option is out of its range.
    """
    return Follower((path, *more), make_options(dict(options)))
