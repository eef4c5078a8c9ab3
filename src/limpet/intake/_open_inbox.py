"""``inbox``, beside the class that it returns: its annotations can be evaluated."""

from __future__ import annotations

import os
from typing import Unpack

from limpet._option_fields import path_of
from limpet._option_signature import options_of, shows_options
from limpet.errors import UsageError
from limpet.intake._inbox import Inbox
from limpet.intake._inbox_options import InboxOptions, Options, make_options


@shows_options(Options, options_of(InboxOptions))
def inbox(
    path: str | os.PathLike[str],
    *,
    done: str | os.PathLike[str] | None,
    failed: str | os.PathLike[str],
    **options: Unpack[Options],
) -> Inbox:
    """Process what is put into a folder: return each complete file, or folder, as a job.

    ```python
    async for job in limpet.inbox("in", done="done", failed="failed"):
        async with job:
            print(await job.text())
    ```

    Each job is processed at least once and never by two at a time, whatever happens to the programs
    that work on the inbox. Nothing happens before it is iterated, or entered with ``async with``.

    Args:
        path: The folder; it need not exist yet.
        done: Folder for what was processed, relative to the working directory, on any file system;
            ``None`` deletes it.
        failed: Folder for what failed ``attempts`` times, each with a note beside it.
        **options: ``limpet.InboxOptions`` explains each.

    Raises:
        UsageError: A path is not one, is empty or has a NUL, or is the inbox itself; or an option
            does not exist, is of another type or out of its range; the message names it.
    """
    location = path_of("path", path)
    away = None if done is None else path_of("done", done)
    given_up = path_of("failed", failed)
    for name, folder in (("done", away), ("failed", given_up)):
        if folder == location:
            message = f"{name} must be another folder than the inbox {str(location)!r}"
            raise UsageError(message)
    return Inbox(location, away, given_up, make_options(dict(options)))
