"""The way of an event through a bot as spans of OpenTelemetry, where a program has set it up."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from limpet._tracing import trace_headers, tracing
from limpet.bot import AppendToFileAction, FileSystem, Runner, RunOptions
from limpet.bot.runner._behaviour_pipeline import BehaviourPipeline
from limpet.bot.runner._output_sender import OutputSender
from tests.bot.factories import put
from tests.bot.test_replay import letter_of, replayed
from tests.bot.test_runner import MemoryIO, TextEvent, behaviour, done
from tests.spans import Spans, attribute, is_below, kept
from tests.waiting import until


@pytest.fixture
def spans() -> Iterator[Spans]:
    with kept() as found:
        yield found


def test_an_event_has_a_span_through_behaviour_action_and_output(
    spans: Spans, tmp_path: Path
) -> None:
    """One inside of the other, with the id and the type that the event has as a CloudEvent."""
    (tmp_path / "in").mkdir()
    put(tmp_path / "in" / "a", "x")

    async def main() -> None:
        io = FileSystem(
            input_path=str(tmp_path / "in"), output_path=str(tmp_path / "out"), existing=True
        )
        note = behaviour(AppendToFileAction(name="log", content="{{ name }}"), name="note")
        async with Runner([io, note], RunOptions()):
            await until(lambda: of_files("behaviour"))

    def of_files(name: str) -> list[ReadableSpan]:
        kind = "limpet.file.created.v1"
        found = spans.named(name)
        return [one for one in found if attribute(one, "cloudevents.event_type") == kind]

    asyncio.run(main())
    (way,) = of_files("behaviour note")
    (action,) = (one for one in spans.named("action limpet.bot.AppendTo") if is_below(one, way))
    (output,) = (one for one in spans.named("output FileSystemOutput") if is_below(one, action))
    assert is_below(output, action)
    assert is_below(action, way)
    assert way.parent is None
    session, _, number = str(attribute(way, "cloudevents.event_id")).rpartition(".")
    assert len(session) > 8
    assert number.isdecimal()
    assert attribute(way, "limpet.behaviour") == "note"
    assert attribute(way, "limpet.outcome") == "done"
    assert way.status.status_code is StatusCode.OK
    assert (way.kind, output.kind) == (SpanKind.CONSUMER, SpanKind.PRODUCER)


def test_each_behaviour_of_an_event_has_a_span_and_those_at_once_do_not_mix(spans: Spans) -> None:
    """Though one loop runs them all."""
    events = [TextEvent(str(number)) for number in range(30)]

    async def slow(_: Any) -> None:
        await asyncio.sleep(0.001)

    done(MemoryIO(*events), *(behaviour(slow, name=name, concurrency=4) for name in "ab"))
    ways = spans.named("behaviour ")
    assert len(ways) == 60
    actions = spans.named("action ")
    assert {one.parent.span_id for one in actions if one.parent} == {
        one.context.span_id for one in ways if one.context
    }


def test_tries_that_fail_are_noted_and_what_became_of_the_event(
    spans: Spans, tmp_path: Path
) -> None:
    """A span for each try of an action; an event that is given up has failed."""

    def fail(event: Any) -> None:
        if event.text == "bad" or len(spans.named("action ")) == 0:
            message = "broken"
            raise OSError(message)

    done(
        MemoryIO(TextEvent("good"), TextEvent("bad")),
        behaviour(fail, name="b"),
        state_dir=tmp_path,
        attempts=2,
    )
    good, bad = spans.named("behaviour ")
    assert (attribute(good, "limpet.outcome"), attribute(bad, "limpet.outcome")) == (
        "done",
        "failed",
    )
    assert good.status.status_code is StatusCode.OK
    assert bad.status.status_code is StatusCode.ERROR
    tries = [one for one in spans.named("action ") if is_below(one, bad)]
    assert [one.status.status_code for one in tries] == [StatusCode.ERROR] * 2
    assert all(one.events[0].name == "exception" for one in tries)


class HostileError(Exception):
    """Has no text, and no representation."""

    def __str__(self) -> str:
        message = "no text"
        raise RuntimeError(message)

    __repr__ = __str__


@pytest.mark.parametrize(
    "error",
    [HostileError(), OSError("/srv/\udcff"), ValueError("x" * 100_000)],
    ids=["hostile", "not UTF-8", "long"],
)
def test_whatever_an_exception_is_it_is_noted_and_goes_on(
    spans: Spans, tmp_path: Path, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """Its texts are bounded, and any exporter can encode them."""
    caplog.set_level(logging.CRITICAL)  # no worker of pytest can send such text

    def fail(_: Any) -> None:
        raise error

    bot = behaviour(fail, name="b")
    stats = done(MemoryIO(TextEvent("a")), bot, state_dir=tmp_path, attempts=1)
    assert stats.failed == 1
    (noted,) = spans.one("action ").events
    facts = dict(noted.attributes or {})
    assert facts["exception.type"] == type(error).__qualname__
    for text in facts.values():
        assert isinstance(text, str)
        assert len(text.encode()) <= 8000


def test_a_skipped_event_and_a_retried_dead_letter_have_spans(spans: Spans, tmp_path: Path) -> None:
    """No trigger is an outcome of its own."""
    bot = behaviour(lambda _: None, name="b")
    bot.triggers.clear()
    done(MemoryIO(TextEvent("a")), bot)
    assert attribute(spans.one("behaviour b"), "limpet.outcome") == "skipped"
    letter_of(tmp_path, TextEvent("b"))
    replayed(tmp_path, behaviour(lambda _: None, name="b"))
    assert attribute(spans.named("behaviour b")[-1], "limpet.outcome") == "done"


def test_a_stop_ends_the_spans_of_what_it_stores(spans: Spans, tmp_path: Path) -> None:
    """They say that the event is kept."""

    async def main() -> None:
        reached = asyncio.Event()

        async def hang(_: Any) -> None:
            reached.set()
            await asyncio.Event().wait()

        bot = [MemoryIO(TextEvent("a")), behaviour(hang, name="b")]
        runner = Runner(bot, RunOptions(state_dir=tmp_path, drain=0.05))
        task = asyncio.create_task(runner.run())
        await reached.wait()
        runner.stop()
        await task

    asyncio.run(main())
    assert attribute(spans.one("behaviour b"), "limpet.outcome") == "kept"


def test_without_a_provider_the_plain_classes_are_used(tmp_path: Path) -> None:
    """With the interface alone nothing costs anything."""
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    assert tracing() is None
    runner = Runner([MemoryIO(), behaviour(lambda _: None)], RunOptions(state_dir=tmp_path))
    dispatcher = runner._dispatcher
    assert type(dispatcher.sender) is OutputSender
    (worker,) = dispatcher._workers.values()
    assert type(worker.pipeline) is BehaviourPipeline
    assert worker.traced is None


@pytest.mark.parametrize("missing", [True, False], ids=["not installed", "not used"])
def test_nothing_is_imported_unless_the_program_does(*, missing: bool) -> None:
    """Also where the interface is installed; where it is not, all works the same."""
    program = "import sys\n"
    if missing:
        program += "sys.modules['opentelemetry'] = None\nimport os\n"
        program += "os.environ['OTEL_PYTHON_TRACER_PROVIDER'] = 'sdk_tracer_provider'\n"
    program += """\
import asyncio
from limpet.bot import AllEventsTrigger, Behaviour, Runner, RunOptions
made = Behaviour(name="b")
made.add(AllEventsTrigger())
asyncio.run(Runner([made], RunOptions(until_done=True)).run())
print(sorted(name for name in sys.modules if name.startswith("opentelemetry.")))
"""
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (out.returncode, out.stdout) == (0, "[]\n"), out.stderr


@pytest.mark.parametrize(
    ("headers", "taken"),
    [
        (None, None),
        ({"Nats-Msg-Id": "x"}, None),
        ({"traceparent": "00-a", "other": "x"}, {"traceparent": "00-a"}),
        ({"traceparent": "x" * 10_000, "tracestate": "a=b"}, {"tracestate": "a=b"}),
    ],
)
def test_only_short_headers_of_a_trace_are_taken(headers: Any, taken: Any) -> None:
    """They come from another host; what is wrong in them makes a new trace."""
    assert trace_headers(headers) == taken


@pytest.mark.parametrize("parent", ["", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
def test_a_wrong_header_makes_a_new_trace(spans: Spans, parent: str) -> None:
    """And no link."""
    found = tracing()
    assert found is not None
    with found.span("x", {}, sent={"traceparent": parent}):
        pass
    made = spans.one("x")
    assert made.parent is None
    assert not made.links
