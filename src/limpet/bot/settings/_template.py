"""Templates for names and contents, in the language of jinja: values in a text, without code.

``{{ field }}`` is a value of the event, ``{{ field | filter }}`` a filtered one; ``{% if %}`` and
``{% for %}`` are there, and everything that could run code or reach into an object is not. A value
is never read as a template. A template is compiled once, and its errors are reported then, with
line and column.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final, NoReturn, Protocol

from jinja2 import TemplateSyntaxError
from jinja2.meta import find_undeclared_variables

from limpet._config_problem import shortened
from limpet.bot.settings._template_environment import Expansion, NamePart, Sandbox, name_part
from limpet.bot.settings._template_grammar import FaultError, Use, checked
from limpet.bot.settings._template_limits import (
    MOST_CHARS,
    MOST_NAME,
    MOST_SOURCE,
    MOST_TOKENS,
)
from limpet.bot.settings._template_values import Missing, MissingFieldError, plain, shown
from limpet.errors import UsageError
from limpet.output import safe_name

_TAG: Final = re.compile(r"\{[{%#]")
_MOST_REASON: Final = 500
"""Characters of what went wrong; the error of a user's class may show its whole value."""
_AT: Final = re.compile(r" at (\d+)\Z")
"""Where jinja's lexer puts the place of a character that it does not take."""
_SPACES: Final = "\x1c\x1d\x1e\x1f"
"""Characters that jinja takes for blanks inside a tag, and no template has; see ``_hidden``."""


class Lookup(Protocol):
    """Provides the values of fields."""

    def field(self, name: str) -> object:
        """Return a value; raise ``MissingFieldError`` if there is none."""


class Template:
    """One compiled text; immutable, and usable from any thread."""

    __slots__ = ("_compiled", "_names", "alone", "source", "uses")

    source: str
    uses: tuple[Use, ...]
    """The fields it reads, each with its place: not the variables that it sets itself."""
    alone: str | None
    """The field that is all of it (``{{ content }}``), if there is one."""

    def __init__(self, source: str) -> None:
        """Compile a text.

        Raises:
            UsageError: It has an error; the message names the place.
        """
        self.source = source
        self.uses, self.alone = (), None
        self._names: tuple[str, ...] = ()
        self._compiled: Any = None
        if _TAG.search(source):
            if len(source) > MOST_SOURCE:
                message = f"{_quoted(source)} has more than {MOST_SOURCE} characters"
                raise UsageError(message)
            self._compile()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and self.source == other.source

    def __hash__(self) -> int:
        return hash(self.source)

    def __repr__(self) -> str:
        return f"Template({self.source!r})"

    def __reduce__(self) -> tuple[type[Template], tuple[str]]:
        return Template, (self.source,)

    @property
    def fields(self) -> frozenset[str]:
        return frozenset(use.name for use in self.uses)

    def text(self, values: Lookup) -> str:
        """Return the text with its values.

        Raises:
            MissingFieldError: A field is missing, and has no default.
            UsageError: A value does not fit its filter, or a limit is passed.
        """
        return "".join(self._pieces(values, shown, MOST_CHARS))

    def name(self, values: Lookup) -> str:
        """Return a file name below an output directory that is safe for any values.

        A ``/`` in the template itself separates directories, also in the form of a time
        (``{{ time | strftime('%Y/%m') }}``), and so do the components of a path such as
        ``{{ rel }}``. Each component then goes through ``limpet.safe_name``: no value can leave the
        directory or add one.

        Raises:
            MissingFieldError: A field is missing, and has no default.
            UsageError: The name is empty, or a limit is passed.
        """
        parts = [""]
        for piece in self._pieces(values, name_part, MOST_NAME):
            found = piece.components if isinstance(piece, NamePart) else piece.split("/")
            parts[-1] += found[0]
            parts += found[1:]
        made = [safe_name(part) for part in parts if part]
        if not made:
            message = f"the name {self.source!r} expands to an empty text"
            raise UsageError(message)
        return "/".join(made)

    def error(self, why: str, number: int) -> UsageError:
        """Return the error for what is wrong at a token, such as a field that does not exist."""
        places = _tokens(self._hidden()[0])
        return _wrong(self.source, why, places[number])

    # -- compiling ---------------------------------------------------------------------------------

    def _hidden(self) -> tuple[str, str]:
        r"""Return the source without carriage returns, and what stands for them.

        jinja would make ``\n`` of ``\r\n``, and the line ends of a content are its author's.
        """
        stand_in = next((one for one in _SPACES if one not in self.source), "")
        if "\r" not in self.source or not stand_in:
            return self.source, ""
        return self.source.replace("\r", stand_in), stand_in

    def _compile(self) -> None:
        source, returns = self._hidden()
        places = _tokens(source, self.source)
        if len(places) > MOST_TOKENS:
            message = f"{_quoted(source)} has more than {MOST_TOKENS} words and signs in its tags"
            raise UsageError(message)
        try:
            tree = sandbox().parse(source)
            found = checked(tree, sandbox(), returns)
            names = find_undeclared_variables(found.tree)
            self._compiled = sandbox().template(found.tree)
        except (TemplateSyntaxError, FaultError) as error:
            number = error.number if isinstance(error, FaultError) else error.lineno
            at = places[number] if number < len(places) else len(source)
            raise _wrong(self.source, _said(error), at) from error
        except (RecursionError, MemoryError, SyntaxError) as error:  # of Python's own parser, too
            message = f"{_quoted(self.source)} is nested too deeply"
            raise UsageError(message) from error
        self._names = tuple(sorted(names))
        self.alone = found.alone
        self.uses = tuple(
            use for use in found.uses if use.name in names and use.name not in found.stored
        )

    # -- expanding ---------------------------------------------------------------------------------

    def _pieces(self, values: Lookup, finish: Callable[[object], str], most: int) -> Iterator[str]:
        if self._compiled is None:
            yield self.source
            return
        size = 0
        try:
            context = Expansion(sandbox(), self._values(values), finish)
            for piece in self._compiled.root_render_func(context):
                size += len(piece)
                if size > most:
                    message = f"it expands to more than {most} characters"
                    raise UsageError(message)
                yield piece
        except Exception as error:  # noqa: BLE001 - a value of the user's class may raise anything
            self._failed(error)

    def _values(self, values: Lookup) -> dict[str, object]:
        found: dict[str, object] = {}
        for name in self._names:
            try:
                found[name] = plain(values.field(name), name)
            except MissingFieldError as error:
                found[name] = Missing(str(error))
        return found

    def _failed(self, error: Exception) -> NoReturn:
        """Raise what an expansion raised, with the template and the place in it."""
        number, frame = None, error.__traceback__
        while frame is not None:
            if frame.tb_frame.f_code.co_filename == "<template>":
                number = self._compiled.get_corresponding_lineno(frame.tb_lineno)
            frame = frame.tb_next
        places = _tokens(self._hidden()[0])
        where = f" at {_place(self.source, places[number])}" if number is not None else ""
        why = str(error) if isinstance(error, UsageError) else _reason(error)
        why = shortened(why, _MOST_REASON)
        message = f"{why} ({_quoted(self.source)}{where})"
        kind = MissingFieldError if isinstance(error, MissingFieldError) else UsageError
        raise kind(message) from error


@cache
def sandbox() -> Sandbox:
    """Return the environment of all templates."""
    return Sandbox()


def _tokens(source: str, shown_as: str | None = None) -> list[int]:
    """Return where each token of jinja's parser begins.

    Raises:
        UsageError: jinja's lexer refuses the text.
    """
    lexer = sandbox().lexer
    start = end = 0

    def found() -> Iterator[tuple[int, str, str]]:
        nonlocal start, end
        for line, kind, text in lexer.tokeniter(source, None):
            start = max(end, source.find(text, end))
            end = start + len(text)
            yield line, kind, text
            start = end

    try:
        # It takes one token after the other, drops blanks and comments, and reads numbers.
        return [start for _ in lexer.wrap(found())]
    except TemplateSyntaxError as error:
        given = _AT.search(error.message or "")
        place = int(given[1]) if given else start
        raise _wrong(shown_as or source, _said(error), place) from error
    except ValueError as error:  # more digits than Python reads
        raise _wrong(shown_as or source, "a number has too many digits", start) from error


def _wrong(source: str, why: str, at: int) -> UsageError:
    why = shortened(why, _MOST_REASON)
    message = f"{_quoted(source)} has an error at {_place(source, at)}: {why}"
    return UsageError(message)


def _said(error: Exception) -> str:
    text = error.message if isinstance(error, TemplateSyntaxError) else str(error)
    text = _AT.sub("", text or "").rstrip(".")
    return text[:1].lower() + text[1:]


def _place(source: str, at: int) -> str:
    line = source.count("\n", 0, at) + 1
    return f"line {line}, column {at - source.rfind(chr(10), 0, at)}"


def _quoted(source: str) -> str:
    shown_as = source if len(source) < 60 else source[:57] + "..."
    return f"the template {shown_as!r}"


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")
