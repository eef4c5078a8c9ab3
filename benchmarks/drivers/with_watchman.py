"""watchman: a server of its own with one subscription; its CPU and memory are what counts."""

import json
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.drivers._line import Line, foreign

line = Line()
place = Path(tempfile.mkdtemp(prefix="bench-watchman-"))
(place / "state").mkdir(mode=0o700)
command = [
    "watchman", "--foreground", f"--sockname={place}/state/sock", f"--pidfile={place}/state/pid",
    f"--statefile={place}/state/file", "--logfile=/dev/null", "--no-save-state",
]  # fmt: skip
program = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
client = socket.socket(socket.AF_UNIX)
until = time.monotonic() + 10
while True:
    try:
        client.connect(f"{place}/state/sock")
        break
    except OSError:
        if time.monotonic() > until:
            raise
        time.sleep(0.01)
answers = client.makefile("r", errors="surrogateescape")
foreign(program, line)


def end() -> None:
    """End the server, which would go on watching, and remove what it has kept."""
    program.kill()
    program.wait()
    shutil.rmtree(place, ignore_errors=True)


line.at_end = end


def ask(*words: object) -> dict[str, Any]:
    """Send one command and return its answer, skipping what the subscription reports."""
    client.sendall(json.dumps(words).encode() + b"\n")
    while True:
        answer: dict[str, Any] = json.loads(answers.readline())
        if "subscription" not in answer:
            return answer


line.begin()
(Path(line.folder) / ".watchmanconfig").write_text('{"settle": 1}')
ask("watch", line.folder)
ask("query", line.folder, {"fields": ["name"], "expression": "false"})
(Path(line.folder) / ".watchmanconfig").unlink()
client.sendall(
    json.dumps(["subscribe", line.folder, "bench", {"fields": ["name"], "empty_on_fresh_instance":
                                                    True}]).encode() + b"\n"
)  # fmt: skip
while "subscribe" not in json.loads(answers.readline()):
    pass
line.ready()
try:
    for text in answers:
        for name in json.loads(text).get("files", ()):
            line.tell(name)
finally:
    end()
