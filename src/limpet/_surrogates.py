"""Text that no encoding holds: names that are not UTF-8, and halves of pairs from JSON.

Python reads a name that is not UTF-8 with a lone surrogate for each byte it cannot decode. Such
text opens the right file, but cannot be written: whatever leaves the program as text has it
escaped.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any, Final

_LONE: Final = re.compile("[\ud800-\udfff]")


def writable(text: str) -> str:
    r"""Return the text with ``\udcff`` for each lone surrogate, which Unicode's encodings hold."""
    return _LONE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def system_text(text: str) -> str:
    """Return the text as the system can take it, in an argument or a variable.

    What stands for a byte of a name stays; another lone surrogate is escaped.
    """
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return writable(text)
    return text


def json_text(value: object, **options: Any) -> str:  # noqa: ANN401 - those of json.dumps
    """Return JSON that any encoding of Unicode holds and ``json.loads`` reads back unchanged."""
    return writable(json.dumps(value, ensure_ascii=False, **options))
