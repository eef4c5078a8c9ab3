"""``FileSystem``: one path that is watched, one directory that is written into, or both."""

from __future__ import annotations

from collections.abc import Sequence

from mewbot.api.v1 import Input, IOConfig, Output

from limpet.bot.io._desired_state import DesiredOutput, DesiredWatch
from limpet.bot.io._filesystem_input import FileSystemInput
from limpet.bot.io._filesystem_options import (
    FOLLOW_OPTIONS,
    OUTPUT_OPTIONS,
    WATCH_OPTIONS,
    FileSystemOptions,
)
from limpet.bot.io._filesystem_output import FileSystemOutput
from limpet.bot.io._line_source import follower_of
from limpet.errors import UsageError


class FileSystem(FileSystemOptions, IOConfig):
    """Watches ``input_path`` and writes into ``output_path``; each may be missing, or be set later.

    ```python
    io = FileSystem(input_path="inbox", output_path="archive")
    io.input_path = "elsewhere"  # also while the bot runs
    ```

    There is always one input and one output. The input idles while it has no path. When a property
    changes, it starts, moves or idles; for a path that it keeps, no event is lost or delivered
    twice. Properties may be set from any thread; each value is checked and raises ``UsageError``.
    """

    _input: FileSystemInput | None = None
    _output: FileSystemOutput | None = None

    def check(self) -> None:
        """Check that the values go together, as the watch and the output do when they are made."""
        watch, output = self._desired_watch(), self._desired_output()
        if self.input_mode != "lines":
            for name in FOLLOW_OPTIONS:
                if name in self.values():
                    message = f"FileSystem: {name} is about lines: it needs input_mode 'lines'"
                    raise UsageError(message)
        if watch is not None and watch.mode == "lines":
            follower_of(watch)
        elif watch is not None:
            watch.open()
        if output is not None:
            output.open()

    def on_change(self, name: str) -> None:
        """Notify the input of the new value; the output reads it with its next event."""
        if self._input is not None and not name.startswith("output_"):
            self._input.changed()

    def become(self, other: FileSystem) -> None:
        """Take over all values of another component, at once; uuid, input and output stay."""
        before, after = dict(self.values()), dict(other.values())
        self.__dict__["_settings"] = dict(other.__dict__["_settings"])
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                self.on_change(name)

    def get_inputs(self) -> Sequence[Input]:
        """Return the input: always one, and always the same."""
        if self._input is None:
            self._input = FileSystemInput(
                self._desired_watch, lambda: self.label, lambda: self.max_waiting
            )
        return [self._input]

    def get_outputs(self) -> Sequence[Output]:
        """Return the output: always one, and always the same."""
        if self._output is None:
            self._output = FileSystemOutput(self._desired_output, self.is_named, lambda: self.label)
        return [self._output]

    def _desired_watch(self) -> DesiredWatch | None:
        """Return the watch that should run now.

        Raises:
            UsageError: The values do not go together.
        """
        if self.input_path is None:
            return None
        if self.input_mode == "lines" and self.input_path_type != "file":
            message = "FileSystem: input_mode 'lines' needs input_path_type 'file'"
            raise UsageError(message)
        return DesiredWatch(
            path=self.input_path,
            kind=self.input_path_type,
            mode=self.input_mode,
            options=tuple(
                (key, getattr(self, key))
                for key in (FOLLOW_OPTIONS if self.input_mode == "lines" else ()) + WATCH_OPTIONS
            ),
        )

    def _desired_output(self) -> DesiredOutput | None:
        """Return the output that should be written into now."""
        if self.output_path is None:
            return None
        options = {name: getattr(self, key) for key, name in OUTPUT_OPTIONS.items()}
        if options["limits"] is None:
            del options["limits"]
        return DesiredOutput(
            path=self.output_path, options=tuple(options.items()), timeout=self.output_timeout
        )

    def _set_path(self, path: str) -> None:
        self.output_path = path

    path = property(
        None, _set_path, doc="Another name for output_path, as in mewbot's own storage."
    )
