"""The runner of bots, for any mewbot components; it loses no event: ``run``, ``Runner``."""

from __future__ import annotations

from typing import Any

from limpet._option_fields import options_from, path_of
from limpet.bot._components import Components
from limpet.bot.runner._dead_letters import DeadLetter, Try
from limpet.bot.runner._load_components import BotLike
from limpet.bot.runner._replay import ReplayReport
from limpet.bot.runner._run_options import RunOptions
from limpet.bot.runner._runner import Runner
from limpet.bot.runner._stats import Stats

__all__ = [
    "Components",
    "DeadLetter",
    "ReplayReport",
    "RunOptions",
    "Runner",
    "Stats",
    "Try",
    "run",
]


async def run(bot: BotLike, **options: Any) -> Stats:  # noqa: ANN401 - the fields of RunOptions
    """Run a bot in the running loop until the task is cancelled, or until all is done.

    ```python
    await limpet.bot.run("bot.yaml", state_dir=Path("state"))
    await limpet.bot.run([FileSystem(...), behaviour], until_done=True)
    ```

    It handles no signals and configures no logging: that is up to the program. Cancellation stores
    unprocessed events in ``state_dir``; ``Runner.stop`` processes queued events first.

    Args:
        bot: The path of a file, components (IOConfigs and Behaviours), or mewbot's ``Bot``.
        **options: See ``RunOptions``.

    Raises:
        UsageError: The file or an option is wrong, or another bot runs with this state directory.
    """
    if options.get("state_dir") is not None:
        options["state_dir"] = path_of("state_dir", options["state_dir"])
    return await Runner(bot, options_from(RunOptions, options)).run()
