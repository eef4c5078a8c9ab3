"""The parser of YAML, with bounds: a file that is too large or too deep ends it early."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

MAX_NODES: Final = 20_000
"""Most values of a file, counted each time an alias repeats them; ruamel.yaml reads 10,000 to
20,000 a second."""
MAX_DEPTH: Final = 50
TOO_MANY: Final = f"the file has more than {MAX_NODES} values; the rest of it is not read"


@cache
def too_many_nodes_error() -> Any:  # noqa: ANN401 - an exception's class
    """Return the class of the error for a file of too many values: ruamel.yaml is loaded late."""
    from ruamel.yaml.error import MarkedYAMLError

    class TooManyNodesError(MarkedYAMLError):
        """The file has too many values."""

    return TooManyNodesError


@cache
def _composer() -> Any:  # noqa: ANN401 - a class
    from ruamel.yaml.composer import Composer

    class CountingComposer(Composer):
        """Ends at the bound, before a large file has taken memory and time."""

        count = 0

        def compose_node(self, parent: Any, index: Any) -> Any:  # noqa: ANN401 - ruamel's
            self.count += 1
            if self.count > MAX_NODES:
                mark = self.parser.peek_event().start_mark
                raise too_many_nodes_error()(problem=TOO_MANY, problem_mark=mark)
            return super().compose_node(parent, index)

    return CountingComposer


def new_parser() -> Any:  # noqa: ANN401 - ruamel's has no types
    """Return a parser of YAML 1.2 for one text: its ``compose_all`` gives nodes with positions."""
    from ruamel.yaml import YAML

    parser = YAML(typ="safe", pure=True)
    parser.max_depth = MAX_DEPTH + 1
    parser.Composer = _composer()
    parser.composer.warn_double_anchors = False
    return parser
