"""The spans that a test makes, kept in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


class Spans:
    """The spans that have ended."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def named(self, beginning: str) -> list[ReadableSpan]:
        """Return those whose names begin so, in the order of their ends."""
        found = self.exporter.get_finished_spans()
        return [one for one in found if one.name.startswith(beginning)]

    def one(self, beginning: str) -> ReadableSpan:
        """Return the only one whose name begins so."""
        (found,) = self.named(beginning)
        return found


@contextmanager
def kept() -> Iterator[Spans]:
    """Set a provider of spans while the block lasts; a program sets one for good."""
    spans = Spans()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trace, "_TRACER_PROVIDER", spans.provider)
        yield spans


def attribute(span: ReadableSpan, name: str) -> object:
    """Return an attribute of a span; ``None`` if it has none of that name."""
    return (span.attributes or {}).get(name)


def is_below(span: ReadableSpan, parent: ReadableSpan) -> bool:
    """Return whether the parent of a span is this one."""
    assert parent.context is not None
    return span.parent is not None and span.parent.span_id == parent.context.span_id
