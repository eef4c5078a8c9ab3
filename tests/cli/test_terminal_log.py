"""``limpet run`` on a terminal reads like ``limpet watch``."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.waiting import PATIENCE, until_sync

BOT = """\
kind: IOConfig
implementation: limpet.bot.FileSystem
uuid: io
properties: {input_path: in, exclude: "*.tmp"}
---
kind: Behaviour
implementation: limpet.bot.Behaviour
uuid: b
properties: {name: note}
triggers:
  - {kind: Trigger, implementation: limpet.bot.AllEventsTrigger, uuid: t, properties: {}}
conditions: []
actions:
  - kind: Action
    implementation: limpet.bot.RunCommandAction
    uuid: a
    properties: {command: ["false"]}
"""

TIME = r"\d\d:\d\d:\d\d\.\d{3}  "


def on_a_terminal(folder: Path, *argv: str, until: Callable[[str], bool]) -> str:
    """Return what a command writes on a terminal until a condition holds, and it is stopped."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "limpet", *argv],
        cwd=folder, stdin=slave, stdout=slave, stderr=slave,
        env={**os.environ, "NO_COLOR": "1", "XDG_STATE_HOME": str(folder / "xdg")},
    )  # fmt: skip
    os.close(slave)
    read: list[bytes] = []

    def take() -> None:
        try:
            while data := os.read(master, 4096):
                read.append(data)
        except OSError:  # EIO: the other side is closed
            pass

    thread = threading.Thread(target=take)
    thread.start()
    try:
        until_sync(lambda: until(b"".join(read).decode()), lambda: b"".join(read).decode())
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
    finally:
        process.kill()
        process.wait()
        thread.join()
        os.close(master)
    return b"".join(read).decode().replace("\r\n", "\n")


@pytest.mark.parametrize("name", ["a", "x\x1b[2J\n"], ids=["plain", "hostile"])
def test_run_on_a_terminal_reads_like_watch(tmp_path: Path, name: str) -> None:
    """The same line for the same event; a message has its level where an event has its type."""
    (tmp_path / "bot.yaml").write_text(BOT)
    (tmp_path / "in").mkdir()
    count = 0

    def appears(text: str) -> bool:
        nonlocal count
        if "watch.ready" in text or "running: " in text:
            count += 1
            (tmp_path / "in" / f"{name}{count}").touch()
        return "file.created" in text

    watched = on_a_terminal(tmp_path, "watch", "in", until=appears)
    ran = on_a_terminal(
        tmp_path, "run", "bot.yaml", until=lambda text: appears(text) and "gave up" in text
    )

    def created(text: str) -> list[str]:
        found = [line for line in text.splitlines() if "file.created" in line]
        return [re.sub(rf"^{TIME}", "TIME  ", line) for line in found]

    def without_count(line: str) -> str:
        return re.sub(r"\d+(?=  0 bytes)", "N", line).replace(f"{tmp_path}/", "")

    assert without_count(created(ran)[0]) == without_count(created(watched)[0])
    lines = ran.splitlines()
    assert [one for one in lines if not re.match(rf"{TIME}\S+ +\S|\^C", one)] == []
    assert re.search(rf"^{TIME}info {{10}}running: 1 input, 1 behaviour$", ran, re.MULTILINE)
    assert re.search(rf"^{TIME}error {{9}}behaviour note", ran, re.MULTILINE)
    assert "\x1b" not in ran
