"""The types of components' settings that only bots have; the others are in ``_setting_types``."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from limpet._setting_types import MadeBy
from limpet.bot.settings._template import Template
from limpet.bot.settings._template_fields import template

TemplateText: TypeAlias = Annotated[Template, MadeBy(template, lambda made: made.source)]
"""A template that is not empty."""

TemplateOrEmpty: TypeAlias = Annotated[
    Template, MadeBy(template, lambda made: made.source, empty=True)
]
"""A template."""
