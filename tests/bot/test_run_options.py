"""The options of ``limpet.bot.run`` are checked where they are given."""

from __future__ import annotations

from typing import Any

import pytest

import limpet.bot
from limpet.errors import UsageError


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"until_don": True}, "unknown option 'until_don'; did you mean 'until_done'"),
        ({"queue": "9"}, "queue must be a whole number, not '9'"),
        ({"drain": -1}, "drain must be at least 0 seconds, got -1"),
        ({"timeout": "x"}, "timeout must be a number of seconds or None, not 'x'"),
        ({"state_dir": ""}, "state_dir must not be empty"),
    ],
)
@pytest.mark.anyio
async def test_the_options_of_a_run(options: dict[str, Any], wanted: str) -> None:
    with pytest.raises(UsageError, match=wanted):
        await limpet.bot.run([], **options)
