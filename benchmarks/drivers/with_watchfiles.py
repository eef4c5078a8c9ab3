"""watchfiles: ``awatch``, without its filter; ``--debounce`` and ``--step`` as it calls them."""

import asyncio

import anyio.lowlevel
import watchfiles
import watchfiles.main
from watchfiles._rust_notify import RustNotify

from benchmarks.drivers._line import Line

line = Line()


def announcing(*arguments: object) -> RustNotify:
    """Make the notifier as awatch does, which returns when all is marked, and say so.

    awatch itself has no sign of being ready.
    """
    notifier = RustNotify(*arguments)  # type: ignore[arg-type]  # whatever awatch hands over
    line.ready()
    return notifier


async def main() -> None:
    """Watch until the command to stop."""
    options = line.options
    tell = line.tell
    await (
        anyio.lowlevel.checkpoint()
    )  # anyio loads its asyncio side with the first call: not part of set-up
    line.begin()
    async for changes in watchfiles.awatch(
        line.folder, watch_filter=None, debounce=options.debounce, step=options.step
    ):
        for _, path in changes:
            tell(path)


vars(watchfiles.main)["RustNotify"] = announcing
asyncio.run(main())
