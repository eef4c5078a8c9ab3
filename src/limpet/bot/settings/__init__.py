"""Properties of components, and the types that they may be annotated with beside Python's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limpet._lazy_names import homes, lazy_names

if TYPE_CHECKING:
    from limpet._option_models import OptionsOf
    from limpet._setting_types import (
        Count,
        Encoding,
        ErrorHandler,
        FilePath,
        MadeBy,
        OneOf,
        OneOrMore,
        PositiveCount,
        PositiveSeconds,
        Regex,
        Seconds,
        Size,
        Text,
    )
    from limpet.bot.settings._setting import Setting
    from limpet.bot.settings._types import TemplateOrEmpty, TemplateText

__all__ = [
    "Count",
    "Encoding",
    "ErrorHandler",
    "FilePath",
    "MadeBy",
    "OneOf",
    "OneOrMore",
    "OptionsOf",
    "PositiveCount",
    "PositiveSeconds",
    "Regex",
    "Seconds",
    "Setting",
    "Size",
    "TemplateOrEmpty",
    "TemplateText",
    "Text",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(
        globals(),
        homes(
            {
                "limpet._option_models": "OptionsOf",
                "limpet._setting_types": """
                    Count Encoding ErrorHandler FilePath MadeBy OneOf OneOrMore PositiveCount
                    PositiveSeconds Regex Seconds Size Text
                    """,
                "limpet.bot.settings._setting": "Setting",
                "limpet.bot.settings._types": "TemplateOrEmpty TemplateText",
            }
        ),
        {},
    )
