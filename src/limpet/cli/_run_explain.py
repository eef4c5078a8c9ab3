"""``limpet explain``: prints what ``limpet.explain`` returns."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from limpet._printable import escape
from limpet.watching import Explanation, explain


def run(path: str, places: Iterable[str], options: Mapping[str, Any], *, as_json: bool) -> int:
    """Print the explanation; return 0 if an event would come, 1 if not.

    Raises:
        UsageError: Nothing is at a place.
    """
    found = explain(path, *places, **options)
    if as_json:
        print(json.dumps(_json(found)))
    else:
        print("\n".join(escape(line) for line in str(found).split("\n")))
    return 0 if found.reported else 1


def _json(found: Explanation) -> dict[str, object]:
    return {
        "path": os.fspath(found.path),
        "place": None if found.place is None else os.fspath(found.place),
        "reported": found.reported,
        "reasons": [{"code": one.code, "text": one.text} for one in found.reasons],
    }
