"""The way of an event through a bot as spans: behaviour, actions, outputs.

These take the place of the plain classes where spans are made, which know nothing of them.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from mewbot.core import InputEvent, OutputEvent, OutputInterface

from limpet._tracing import Headers, Tracing
from limpet.bot._delivery import Fate
from limpet.bot.events._event_codec import public_name
from limpet.bot.events._input_events import FileSystemInputEvent
from limpet.bot.runner._behaviour_pipeline import BehaviourPipeline
from limpet.bot.runner._behaviour_queue import Task
from limpet.bot.runner._output_sender import OutputSender
from limpet.events import event_name

if TYPE_CHECKING:
    from opentelemetry.trace import Span


class TracedPipeline(BehaviourPipeline):
    """A pipeline with one span for each event, and below it one for each action."""

    def __init__(self, *args: Any, tracing: Tracing, label: str, **options: Any) -> None:  # noqa: ANN401 - as its base
        super().__init__(*args, label=label, **options)
        self._tracing = tracing
        self._label = label
        self._spans: dict[Task, Span] = {}
        """Those of the events that are not finished."""

    async def advance(self, task: Task) -> bool:
        """Run a task inside of its span; each try that fails is noted there."""
        with self._tracing.inside(self._span_of(task)):
            return await super().advance(task)

    async def clean_up(self, task: Task, error: BaseException) -> None:
        """Run the later actions that are meant for failures, inside of the span of the task."""
        with self._tracing.inside(self._span_of(task)):
            await super().clean_up(task, error)

    def finish(self, task: Task, fate: Fate | None) -> None:
        """End the span of a task with what the behaviour has made of its event."""
        span = self._spans.pop(task, None)
        if span is None:
            return
        span.set_attribute("limpet.outcome", "kept" if fate is None else fate.name.lower())
        if fate is Fate.DONE:
            from opentelemetry.trace import Status, StatusCode

            span.set_status(Status(StatusCode.OK))  # though a try before it may have failed
        span.end()

    def finish_all(self) -> None:
        """End all spans: what is not finished is stored."""
        for task in list(self._spans):
            self.finish(task, None)

    async def _act(self, outputs: Any, action: object) -> None:  # noqa: ANN401 - as its base
        name = public_name(type(action)).replace(":", ".")
        with self._tracing.span(f"action {name}", {"limpet.action": name}):
            await super()._act(outputs, action)

    def _span_of(self, task: Task) -> Span:
        span = self._spans.get(task)
        if span is None:
            facts, sent = facts_of(task.event)
            span = self._spans[task] = self._tracing.start(
                f"behaviour {self._label}",
                {**facts, "limpet.behaviour": self._label},
                kind="consumer",
                sent=sent,
                event=str(facts.get("cloudevents.event_id", "")),
            )
        return span


class TracedSender(OutputSender):
    """A sender with a span for each output that gets an event, with all its tries."""

    def __init__(self, *args: Any, tracing: Tracing, **options: Any) -> None:  # noqa: ANN401 - as its base
        super().__init__(*args, **options)
        self._tracing = tracing

    async def _deliver(self, output: OutputInterface, event: OutputEvent) -> None:
        with self._output_span(output, event):
            await super()._deliver(output, event)

    def _output_span(
        self, output: OutputInterface, event: OutputEvent
    ) -> AbstractContextManager[None]:
        name, kind = type(output).__name__, type(event).__name__
        facts = {"limpet.output": name, "limpet.output_event": kind}
        return self._tracing.span(f"output {name}", facts, kind="producer")


def facts_of(event: InputEvent) -> tuple[dict[str, str | int], Headers | None]:
    """Return the attributes of an event, and the headers that it came with. Raises nothing."""
    if not isinstance(event, FileSystemInputEvent):
        return {"cloudevents.event_type": type(event).__name__}, None
    if event.remote is not None:
        found = event.remote
        facts: dict[str, str | int] = {
            "cloudevents.event_id": found.id,
            "cloudevents.event_type": f"limpet.{found.type}.v1",
            "cloudevents.event_source": f"//{found.host}/{found.watch}",
        }
        return facts, found.trace
    return {
        "cloudevents.event_id": f"{event.session}.{event.event.seq}",
        "cloudevents.event_type": f"limpet.{event_name(type(event.event))}.v1",
    }, None
