"""``limpet agent``: runs an agent until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys

from limpet.errors import LimpetError
from limpet.remote import Transport
from limpet.remote.admin import Agent, AgentConfig, load_agent


def run(path: str, *, check: bool, verbose: bool) -> int:
    """Run the agent of a configuration.

    Raises:
        ConfigError: It has mistakes.
        LimpetError: The agent cannot run.
    """
    config = load_agent(path)
    config.hub.context()
    if check:
        options = config.options
        count = len(options.watches) + len(options.follows)
        print(
            f"{path}: host {options.host}, {count} watches, {len(options.outputs)} outputs, "
            f"hub {config.hub.url}"
        )
        return 0
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("nats").setLevel(logging.CRITICAL)  # the sender reports what matters of it
    try:
        return asyncio.run(_run(config))
    except BaseExceptionGroup as group:
        found = group.subgroup(LimpetError)
        while isinstance(found, BaseExceptionGroup):
            found = found.exceptions[0]  # type: ignore[assignment]
        if found is None:
            raise
        raise found from None


async def _run(config: AgentConfig) -> int:
    async def to_hub() -> Transport:
        return await config.hub.connect(config.options.host, wait=True)

    agent = Agent(config.options, to_hub)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C comes as an exception
            loop.add_signal_handler(number, agent.stop)
    ready = asyncio.create_task(_report_ready(agent))
    try:
        await agent.run()
    finally:
        ready.cancel()
    return 0


async def _report_ready(agent: Agent) -> None:
    await agent.ready.wait()
    options = agent.options
    count = len(options.watches) + len(options.follows)
    print(
        f"limpet agent: {options.host} watches {count} places and offers "
        f"{len(options.outputs)} outputs",
        file=sys.stderr,
        flush=True,
    )
