"""``limpet.watch`` and ``limpet.explain``, for any number of places.

Apart from the rest, so that a program which watches one place does not load them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Unpack

from limpet._option_fields import path_of
from limpet._option_signature import options_of, shows_options
from limpet.config import WatchOptions
from limpet.events import Event
from limpet.watching._explanation import Explanation, is_folder
from limpet.watching._keywords import Options, options_of_place
from limpet.watching._multi_watch import MultiWatch
from limpet.watching._places import PlaceLike, place_or_path
from limpet.watching._selection import selection


@shows_options(Options, options_of(WatchOptions))
def watch(
    *places: PlaceLike,
    types: type | Iterable[type] | None = None,
    only: Callable[[Event], object] | None = None,
    **options: Unpack[Options],
) -> MultiWatch:
    """Watch any number of folders and files, with one stream of events.

    ```python
    async with limpet.watch("src", limpet.File("app.toml"), exclude="*.log") as watch:
        async for event in watch:
            print(event)
    ```

    A path that is given alone is taken for what is there when the block is entered; what need not
    exist is given as ``limpet.Dir`` or ``limpet.File``, which also take options of their own. What
    is renamed from one folder into another is one renamed event. Of a place inside another, the
    inner one reports.

    Args:
        *places: Paths, ``limpet.Dir`` and ``limpet.File``; more are added with ``add``.
        types: Classes of events; no others are handed out, also none about the watch itself.
        only: Called with each event, before its content is read and perhaps in another thread: what
            it returns false for is left out. An exception it raises is raised where the event is
            asked for, and the next call goes on.
        **options: Of all places; ``limpet.WatchOptions`` explains each.

    Raises:
        UsageError: A place is not a path, is empty or has a NUL, or an option does not exist, is of
            another type or out of its range; the message names it. When the block is entered:
            nothing is at a path, or two places are the same.
    """
    options_of_place(dict(options), "dir")
    wanted = tuple(place_or_path(one) for one in places)
    return MultiWatch(wanted, dict(options), selection(types, only))


@shows_options(Options, options_of(WatchOptions))
def explain(
    path: str | os.PathLike[str], *places: PlaceLike, **options: Unpack[Options]
) -> Explanation:
    """Return why an event for a path would come from a watch of these places, or would not.

    ```python
    print(limpet.explain("src/build/a.o", "src", ignore_file=".gitignore"))
    ```

    It starts such a watch and ends it again, and blocks meanwhile: a large tree takes its time. A
    watch that runs has a method of this name, which also knows what is held, and until when.

    Args:
        path: What an event would be about; it need not exist.
        *places: As ``limpet.watch``; without any, the folder of the path.
        **options: As ``limpet.watch``; ``state`` is left alone.

    Raises:
        UsageError: As ``limpet.watch``.
    """
    wanted = path_of("path", path)
    given = dict(options)
    given.pop("state", None)
    with watch(*(places or (wanted.parent,)), **given).sync() as running:  # type: ignore[arg-type]
        is_dir = wanted.is_dir() and not wanted.is_symlink()
        return running.explain(os.path.join(wanted, "") if is_dir or is_folder(path) else wanted)
