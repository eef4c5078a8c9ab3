"""The JSON Schemas that the wheel has; ``make schemas`` writes them anew."""

from __future__ import annotations

import ast
import inspect
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

import limpet
from limpet.bot.config import schema
from limpet.remote.admin import agent_schema, fleet_schema
from limpet.status import Status

FOLDER = Path(limpet.__file__).parent


def status_schema() -> dict[str, Any]:
    """Return the JSON Schema of a status, with the description of each field."""
    made = TypeAdapter(Status).json_schema(mode="serialization")
    for name, one in [("Status", made), *made.get("$defs", {}).items()]:
        kind = getattr(limpet.status, name)
        one["description"] = (kind.__doc__ or "").partition("\n")[0]
        one.pop("title", None)
        docs = field_docs(kind)
        for field, described in one["properties"].items():
            described.pop("title", None)
            if field in docs:
                described["description"] = docs[field]
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What a running limpet shows of itself",
    }
    return head | made


def field_docs(kind: type) -> dict[str, str]:
    """Return field -> the text below it in the source, as one line."""
    found: dict[str, str] = {}
    body = ast.parse(inspect.getsource(kind)).body[0]
    assert isinstance(body, ast.ClassDef)
    for one, after in pairwise(body.body):
        if (
            isinstance(one, ast.AnnAssign)
            and isinstance(one.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            found[one.target.id] = " ".join(str(after.value.value).replace("``", "`").split())
    return found


def generated() -> dict[str, dict[str, Any]]:
    """Return the name of each file and what is in it."""
    return {
        "bot.schema.json": schema(),
        "agent.schema.json": agent_schema(),
        "fleet.schema.json": fleet_schema(),
        "status.schema.json": status_schema(),
    }


def main() -> None:
    for name, content in generated().items():
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
