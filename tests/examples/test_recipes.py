"""The recipes of ``docs/how-to/in-your-program.md`` run in the frameworks that they are for.

Each is saved as a reader would save it, and driven by a small program beside it, without a network.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.bot.test_pythons import ROOT, plain
from tests.examples.test_pages import blocks

PAGE = "docs/how-to/in-your-program.md"

WAIT = """
import asyncio, time

async def until(holds, patience=30):
    end = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < end, holds
        await asyncio.sleep(0.01)
"""


def recipe(word: str) -> str:
    """Return the block that has the word."""
    (found,) = [block for block in blocks(PAGE) if word in block]
    return found


def drive(
    folder: Path, recipe: str, driver: str, *, python: str = sys.executable, name: str = "recipe.py"
) -> subprocess.CompletedProcess[str]:
    """Save a recipe and run its driver beside it, to the end."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(recipe, encoding="utf-8")
    (folder / "driver.py").write_text(WAIT + driver, encoding="utf-8")
    path = "" if python != sys.executable else str(ROOT / "src")
    return subprocess.run(
        [python, "-X", "dev", "-W", "default", "driver.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        env={**plain(), "PYTHONPATH": path, "PYTHONUTF8": "1", "QT_QPA_PLATFORM": "offscreen"},
    )


def passed(done: subprocess.CompletedProcess[str]) -> None:
    """It said so, and nothing of limpet warned."""
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["fine"]), (
        done.stdout + done.stderr
    )
    assert "never awaited" not in done.stderr, done.stderr
    assert "Task was destroyed" not in done.stderr, done.stderr
    assert not [line for line in done.stderr.splitlines() if "limpet" in line], done.stderr


DISCORD = """
import os, types
from recipe import Archive, CHANNEL

sent = []

async def send(text):
    sent.append(text)

async def login(token):
    return {"id": "1", "username": "bot", "discriminator": "0", "avatar": None}

async def nothing():
    pass

async def information():
    return types.SimpleNamespace(id=1, interactions_endpoint_url=None, flags=0)

def client_of():
    client = Archive()
    client.http.static_login = login
    client.http.close = nothing
    client.application_info = information
    client.get_channel = {CHANNEL: types.SimpleNamespace(send=send)}.get
    return client

async def main():
    os.mkdir("post")
    client = client_of()
    await client.login("token")
    client._ready.set()
    message = types.SimpleNamespace(channel="../general", author="Ann", content="hello")
    client.dispatch("message", message)
    with open("post/a.pdf", "w"):
        pass
    await until(lambda: sent == ["new: a.pdf"])
    await until(lambda: os.path.isdir("messages") and os.listdir("messages"))
    await client.close()
    await client.close()
    (name,) = os.listdir("messages")
    assert open("messages/" + name).read() == "Ann: hello\\n"
    assert os.listdir("..").count(name) == 0

    async def refused(token):
        raise RuntimeError("no such token")

    failing = client_of()
    failing.http.static_login = refused
    try:
        await failing.login("token")
    except RuntimeError:
        await failing.close()
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1, asyncio.all_tasks()

asyncio.run(main())
print("fine")
"""


def test_discord(folder: Path) -> None:
    """A login that succeeds, a message, a file that comes, the end; and a login that fails."""
    pytest.importorskip("aiohttp", reason="discord.py is not installed")
    passed(drive(folder, recipe("import discord"), DISCORD))


FASTAPI = """
import json, os
from fastapi.testclient import TestClient
from recipe import app

def settings_are(client, wanted):
    end = time.monotonic() + 30
    while client.get("/settings").json() != wanted:
        assert time.monotonic() < end
        time.sleep(0.01)

for run in range(2):  # the program may start twice in one process, as tests do
    with open("settings.json", "w") as file:
        json.dump({"level": run}, file)
    with TestClient(app) as client:
        settings_are(client, {"level": run})
        with open("new", "w") as file:
            json.dump({"level": "new"}, file)
        os.replace("new", "settings.json")
        settings_are(client, {"level": "new"})
        answer = client.put(f"/uploads/a{run}.txt", content=b"text")
        assert (answer.status_code, answer.json()) == (200, {"bytes": 4})
        assert client.put(f"/uploads/a{run}.txt", content=b"other").status_code == 409
assert sorted(os.listdir("uploads")) == ["a0.txt", "a1.txt"]
assert open("uploads/a0.txt").read() == "text"
print("fine")
"""


def test_fastapi(folder: Path) -> None:
    """The lifespan, entered and left twice; settings that follow their file; uploads."""
    pytest.importorskip("fastapi")
    passed(drive(folder, recipe("from fastapi"), FASTAPI))


JUPYTER = """
import os
from IPython.core.interactiveshell import InteractiveShell

first, last = open("recipe.py").read().split("# next cell\\n")

async def main():
    os.mkdir("results")
    shell = InteractiveShell.instance()
    shell.cache_size = 0

    async def cell(text):  # as the kernel of Jupyter runs it
        plain = shell.transform_cell(text)
        result = await shell.run_cell_async(text, store_history=False, transformed_cell=plain)
        result.raise_error()

    await cell(first)
    open("results/a.csv", "w").close()
    await until(lambda: [event.path.name for event in shell.user_ns["seen"]] == ["a.csv"])
    await cell("await watch.fence()")
    await cell(last)
    assert len(asyncio.all_tasks()) == 1

asyncio.run(main())
print("fine")
"""

IPYTHON = """
import os
from IPython.core.interactiveshell import InteractiveShell

os.mkdir("results")
shell = InteractiveShell.instance()
for cell in (
    'import limpet; watch = await limpet.watch_dir("results").aopen()',
    'open("results/a.csv", "w").close(); await watch.fence(); seen = await anext(watch)',
    'await watch.aclose()',
):
    shell.run_cell(cell, store_history=False).raise_error()
assert shell.user_ns["seen"].path.name == "a.csv"
print("fine")
"""


def test_jupyter(folder: Path) -> None:
    """Cells in one loop that goes on between them, as ipykernel runs them."""
    pytest.importorskip("IPython")
    cells = recipe("collecting = ") + "# next cell\n" + recipe("await collecting\n")
    passed(drive(folder, cells, JUPYTER))


def test_ipython(folder: Path) -> None:
    """Cells in the terminal, whose loop runs only while a cell does."""
    pytest.importorskip("IPython")
    passed(drive(folder, "", IPYTHON))


DJANGO = """
import io, os, signal, subprocess, sys
import django
from django.conf import settings
from django.core.management import call_command

settings.configure(INSTALLED_APPS=["app"])
django.setup()
os.makedirs("in", exist_ok=True)
if sys.argv[1:]:
    call_command("process_inbox", "in")
    sys.exit()
with open("in/a.txt", "w") as file:
    file.write("1\\n2\\n")
process = subprocess.Popen([sys.executable, "driver.py", "run"], stdout=subprocess.PIPE, text=True)
line = process.stdout.readline()
process.terminate()  # in the middle of the job, as like as not: it is finished
process.communicate()
assert line == "a.txt: 2 lines\\n", line
assert os.name == "nt" or os.listdir("in-done") == ["a.txt"]
assert os.name == "nt" or process.returncode == 0, process.returncode
print("fine")
"""


def test_django(folder: Path) -> None:
    """The command processes a file, and ends at SIGTERM."""
    pytest.importorskip("django")
    name = "app/management/commands/process_inbox.py"
    passed(drive(folder, recipe("BaseCommand"), DJANGO, name=name))


QT = """
import os, threading
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication
from recipe import FolderSignals

os.mkdir("in")
app = QApplication([])
seen = []

def happened(event):
    assert threading.current_thread() is threading.main_thread()
    seen.append(event.path.name)
    if len(seen) == 3:
        app.quit()

folder = FolderSignals("in")
folder.happened.connect(happened)
app.aboutToQuit.connect(folder.stop)
folder.start()
folder._began.wait()
for name in "abc":
    open("in/" + name, "w").close()
QTimer.singleShot(30000, app.quit)
app.exec()
assert sorted(seen) == ["a", "b", "c"], seen
early = FolderSignals("in")
early.start()
early.stop()  # at once
assert threading.active_count() == 1, threading.enumerate()
print("fine")
"""


@pytest.mark.pythons
@pytest.mark.timeout(600)
def test_qt(folder: Path) -> None:
    """Events in the thread of the widgets, without a screen; PySide6 takes 80 MB to download."""
    home = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True, env=plain())
    python = str(home / ("Scripts" if os.name == "nt" else "bin") / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    limit = ["--constraint", str(ROOT / "constraints.txt")]
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = groups["dependency-groups"]["recipes"]
    subprocess.run([*pip, str(ROOT), *wanted, *limit], check=True, env=plain())
    passed(drive(folder, recipe("PySide6"), QT, python=python))
