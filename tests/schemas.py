"""The JSON Schemas that the wheel has; ``make schemas`` writes them anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import limpet
from limpet.bot.config import schema
from limpet.remote.admin import agent_schema, fleet_schema

FOLDER = Path(limpet.__file__).parent


def generated() -> dict[str, dict[str, Any]]:
    """Return the name of each file and what is in it."""
    return {
        "bot.schema.json": schema(),
        "agent.schema.json": agent_schema(),
        "fleet.schema.json": fleet_schema(),
    }


def main() -> None:
    for name, content in generated().items():
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
