"""Spans of OpenTelemetry, where the program has set it up; else there is nothing here.

The interface alone (``opentelemetry-api``) is used. Nothing is imported unless the program has
imported it, and without a provider of its SDK no span is made: then there is ``None``, so that
the way of an event has at most one comparison more.

Attributes of events have the names of OpenTelemetry's conventions for CloudEvents.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal

from limpet._error_text import error_text, traceback_text
from limpet._surrogates import writable

if TYPE_CHECKING:
    from opentelemetry.trace import Link, Span, Tracer

Kind = Literal["internal", "producer", "consumer"]
Attributes = Mapping[str, str | int]
Headers = Mapping[str, str]
"""``traceparent``, and ``tracestate`` if there is one (W3C Trace Context)."""

HEADERS: Final = ("traceparent", "tracestate")

_LONGEST: Final = 600
"""Characters of a header from another host; 512 of tracestate are what its standard asks for."""

_LONGEST_TEXT: Final = 8000
"""Characters of the text of an exception: it may contain a whole file."""

_PROVIDER: Final = "OTEL_PYTHON_TRACER_PROVIDER"
"""The variable by which the interface loads a provider by itself."""


def tracing() -> Tracing | None:
    """Return what makes spans; ``None`` if nobody has set a provider of spans."""
    if "opentelemetry.trace" not in sys.modules and not os.environ.get(_PROVIDER):
        return None
    try:
        from opentelemetry import trace
    except ImportError:
        return None
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
        return None
    return Tracing(provider.get_tracer("limpet"))


def trace_headers(found: Mapping[str, str] | None) -> Headers | None:
    """Return those headers of a message that carry a trace; ``None`` if it has none."""
    if not found or "traceparent" not in found:
        return None
    return {
        key: text
        for key in HEADERS
        if isinstance(text := found.get(key), str) and len(text) <= _LONGEST
    }


class Tracing:
    """Makes the spans of limpet."""

    def __init__(self, tracer: Tracer) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer = tracer
        self._propagator = TraceContextTextMapPropagator()

    def start(
        self,
        name: str,
        attributes: Attributes,
        *,
        kind: Kind = "internal",
        sent: Headers | None = None,
        event: str = "",
    ) -> Span:
        """Return a new span, which the caller ends.

        Args:
            name: What is done.
            attributes: What it is done with.
            kind: Whether something is sent to another program, or was sent by one.
            sent: The headers of the message that causes it: the span goes on with the trace of its
                sender, and has a link to it.
            event: The id of the event for that link.
        """
        from opentelemetry.trace import SpanKind, get_current_span

        kinds = {
            "internal": SpanKind.INTERNAL,
            "producer": SpanKind.PRODUCER,
            "consumer": SpanKind.CONSUMER,
        }
        parent, links = None, []
        if sent:
            parent = self._propagator.extract(sent)
            links = self._links(get_current_span(parent), event)
        return self._tracer.start_span(
            name, context=parent, kind=kinds[kind], attributes=attributes, links=links
        )

    @staticmethod
    def _links(sender: Span, event: str) -> list[Link]:
        from opentelemetry.trace import Link

        context = sender.get_span_context()
        return [Link(context, {"cloudevents.event_id": event})] if context.is_valid else []

    @contextmanager
    def inside(self, span: Span) -> Iterator[None]:
        """Make a span the current one; what is raised in the block is noted, and goes on."""
        from opentelemetry.trace import Status, StatusCode, use_span

        with use_span(
            span, end_on_exit=False, record_exception=False, set_status_on_exception=False
        ):
            try:
                yield
            except BaseException as error:
                _note(span, error)
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                raise

    @contextmanager
    def span(
        self,
        name: str,
        attributes: Attributes,
        *,
        kind: Kind = "internal",
        sent: Headers | None = None,
    ) -> Iterator[None]:
        """Make a span round the block; see ``start``."""
        span = self.start(name, attributes, kind=kind, sent=sent)
        try:
            with self.inside(span):
                yield
        finally:
            span.end()

    def headers(self, span: Span | None = None) -> Headers | None:
        """Return the headers for a message that a span, or the current one, causes."""
        from opentelemetry.trace import set_span_in_context

        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, None if span is None else set_span_in_context(span))
        return carrier or None


def _note(span: Span, error: BaseException) -> None:
    """Note an exception as ``record_exception`` does, whatever it is.

    That fails with an exception whose own text fails, and its text may be one that no exporter can
    encode: with a name that is not UTF-8.
    """
    span.add_event(
        "exception",
        {
            "exception.type": type(error).__qualname__,
            "exception.message": writable(error_text(error))[:_LONGEST_TEXT],
            "exception.stacktrace": traceback_text(error, _LONGEST_TEXT),
        },
    )
