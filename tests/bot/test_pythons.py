"""The same bot on each supported Python, installed as a user installs it; and mewbot-io's parts.

Left out of the usual run: it makes a virtual environment for each. ``make test-pythons`` runs it.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.bot.test_mewbot import check_both
from tests.waiting import PATIENCE, until_sync

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = ("3.11", "3.12", "3.13", "3.14")

pytestmark = [pytest.mark.pythons, pytest.mark.timeout(600)]

IO_BOT = """\
kind: IOConfig
implementation: mewbot.io.socket.SocketIO
uuid: a1
properties: {host: 127.0.0.1, port: PORT1}
---
kind: IOConfig
implementation: mewbot.io.http.HTTPServlet
uuid: a2
properties: {host: 127.0.0.1, port: PORT2}
---
kind: IOConfig
implementation: limpet.bot.FileSystem
uuid: a3
properties: {output_path: out}
---
kind: Behaviour
implementation: mewbot.api.v1.Behaviour
uuid: b1
properties: {name: print}
triggers:
  - {kind: Trigger, implementation: mewbot.io.common.AllEventsTrigger, uuid: c1, properties: {}}
conditions: []
actions:
  - {kind: Action, implementation: mewbot.io.common.PrintAction, uuid: d1, properties: {}}
---
kind: Behaviour
implementation: mewbot.api.v1.Behaviour
uuid: b2
properties: {name: keep}
triggers:
  - kind: Trigger
    implementation: limpet.bot.ClassTrigger
    uuid: c2
    properties: {event_class: mewbot.io.http.IncomingWebhookEvent}
conditions: []
actions:
  - kind: Action
    implementation: limpet.bot.AppendToFileAction
    uuid: d2
    properties: {name: hooks.log, content: '{{ event.text }}'}
"""


def interpreter(version: str) -> str | None:
    """Find an interpreter of a version: on the PATH, or among those of pyenv."""
    places = [shutil.which(f"python{version}")]
    places += [
        str(path)
        for path in sorted(Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python"))
    ]
    if sys.version.startswith(f"{version}."):
        places.insert(0, sys.executable)
    for place in filter(None, places):
        ask = [place, "-c", "import sys, venv, ensurepip; print(sys.version)"]
        done = subprocess.run(ask, capture_output=True, text=True, env=plain())
        if done.returncode == 0 and done.stdout.startswith(f"{version}."):
            return place
    return None


def plain() -> dict[str, str]:
    """Return an environment without this run's own modules."""
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}


@pytest.fixture(scope="module", params=VERSIONS)
def python(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the interpreter of an environment with limpet, its extra, and mewbot-io's wheel."""
    version = str(request.param)
    found = interpreter(version)
    if found is None:
        pytest.skip(f"no Python {version} here")
    home = tmp_path_factory.mktemp(f"python{version}")
    subprocess.run([found, "-m", "venv", str(home)], check=True, env=plain())
    made = str(home / "bin" / "python")
    pip = [made, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    limit = ["--constraint", str(ROOT / "constraints.txt")]
    subprocess.run([*pip, f"{ROOT}[bot,cli]", *limit], check=True, env=plain())
    # Its own dependencies do not install on 3.12 and newer, and none of its modules needs them.
    subprocess.run([*pip, "--no-deps", "mewbot-io==0.0.3"], check=True, env=plain())
    subprocess.run([*pip, "aiohttp"], check=True, env=plain())
    return made


def test_the_same_file_under_both_runners(
    python: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B3, on this Python."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    check_both(folder, python)


def test_mewbot_ios_components_run_under_limpet(python: str, folder: Path) -> None:
    """Written against mewbot alone; their inputs end at once, and still deliver."""
    ports = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    text = IO_BOT.replace("PORT1", str(ports[0])).replace("PORT2", str(ports[1]))
    (folder / "bot.yaml").write_text(text, encoding="utf-8")
    log, printed = folder / "log", folder / "printed"
    argv = [python, "-m", "limpet", "run", "bot.yaml", "--state-dir", "state"]
    with log.open("wb") as file, printed.open("wb") as stdout:
        bot = subprocess.Popen(
            argv, cwd=folder, stdout=stdout, stderr=file,
            env={**plain(), "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        try:

            def logged(pattern: str) -> None:
                def holds() -> bool:
                    assert bot.poll() is None, log.read_text()
                    return re.search(pattern, log.read_text() + printed.read_text()) is not None

                until_sync(holds, log.read_text)

            logged("has ended.*\n(.*\n)*.*has ended")
            with socket.create_connection(("127.0.0.1", ports[0]), PATIENCE) as line:
                line.sendall(b"by socket\n")
                assert line.recv(100).startswith(b"Accepted event")
            url = f"http://127.0.0.1:{ports[1]}/"
            request = urllib.request.Request(url, data=b"by http")
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
                assert answer.status == 200
            logged(r"Processed event SocketInputEvent\(data=b'by socket")
            logged(r"Processed event IncomingWebhookEvent\(text='by http'")
            until_sync((folder / "out/hooks.log").exists, log.read_text)
            bot.terminate()
            assert bot.wait(PATIENCE) == 0, log.read_text()
        finally:
            bot.kill()
            bot.wait()
    assert (folder / "out/hooks.log").read_text() == "by http\n"
