"""Plain words of YAML that its readers take for different values.

ruamel.yaml reads by YAML 1.2, as editors, other languages and most people expect; mewbot's own
loader reads by YAML 1.1 (PyYAML). A plain word with another value in the two (``yes``, ``010``,
``1e3``, ``2026-11-25``) is refused: quoted, it has one meaning.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

from limpet._yaml_parser import new_parser

_MOST_DIGITS: Final = 640
"""The longest integer that every Python converts (``sys.int_info.str_digits_check_threshold``)."""

_AGREED: Final = re.compile(
    r"""null|Null|NULL|~|
    |true|True|TRUE|false|False|FALSE
    |[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+
    |(?:[-+]?[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?
    |[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)""",
    re.VERBOSE,
)
"""Words that are no text, and have the same value in YAML 1.1 and in the core schema of 1.2."""

_ARGUED: Final = re.compile(
    r"""yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF|=|<<
    |[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*
    |[-+]?\.[0-9_]+|[-+]?0b[01_]+|[-+]?0x[0-9a-fA-F_]+|[-+]?0o[0-7_]+
    |(?=[-+._]*[0-9])[-+]?(?:[0-9][0-9_]*)?(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?
    |[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt\ \t].*)?""",
    re.VERBOSE | re.DOTALL,
)
"""Further words that one of the two takes for something else than text."""

_BOOLS: Final = {"yes": "true", "on": "true", "no": "false", "off": "false"}


class AmbiguousWordError(ValueError):
    """A word has no value that all readers agree on; the message says what to write."""


def value_of(word: str) -> Any:  # noqa: ANN401 - a plain value
    """Return the value of a word that is not quoted.

    Raises:
        AmbiguousWordError: Readers do not agree on it.
    """
    if _AGREED.fullmatch(word):
        if len(word) > _MOST_DIGITS:
            message = f"a number has {_MOST_DIGITS} digits at most; quote it"
            raise AmbiguousWordError(message)
        return _plain_value(word)
    if _ARGUED.fullmatch(word):
        known = _BOOLS.get(word.lower())
        hint = f"write {known}, or " if known else ""
        message = f"{word!r} is not the same to YAML 1.1 and 1.2; {hint}quote it: '{word}'"
        raise AmbiguousWordError(message)
    return word


@cache
def _plain_value(word: str) -> Any:  # noqa: ANN401 - a plain value
    parser = new_parser()
    (node,) = parser.compose_all(f"- {word}\n")
    return parser.constructor.construct_object(node.value[0], deep=True)
