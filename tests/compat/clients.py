"""Programs that reload when files change, each over its own library or over limpet's drop-ins.

Each writes a line with the highest step that it finds in its sources whenever it is loaded: how
often it was loaded, and when, is in that log.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import limpet
from tests.waiting import PATIENCE, until_sync

LOADED: Final = textwrap.dedent(
    '''
    import re
    from pathlib import Path

    HERE = Path(__file__).parent

    def loaded():
        """Write a line: the highest step in the sources."""
        steps = [0]
        for path in [*(HERE / "src").rglob("*.py"), *(HERE / "src").rglob("*.md")]:
            try:
                steps += map(int, re.findall(r"STEP = ([0-9]+)", path.read_text()))
            except OSError:
                pass  # it is gone
        with open(HERE / "log.txt", "a") as log:
            log.write(f"{max(steps)}\\n")
    '''
)

UVICORN: Final = """
    from loaded import loaded
    loaded()
    async def app(scope, receive, send):
        assert scope["type"] == "lifespan"
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    """
FLASK: Final = """
    import os, threading, time
    from flask import Flask
    app = Flask("app")

    def wait_for_the_watch():
        from loaded import HERE
        begin = "limpet watches "
        while True:
            names = [one.name for one in threading.enumerate()]
            places = [name.removeprefix(begin) for name in names if name.startswith(begin)]
            if any(HERE.is_relative_to(place) for place in places):
                break
            time.sleep(0.01)
        print("it watches", flush=True)

    if os.environ.get("WERKZEUG_RUN_MAIN") == "true":
        from loaded import loaded
        loaded()
        threading.Thread(target=wait_for_the_watch, daemon=True).start()
    """
MKDOCS: Final = """
    site_name: test
    docs_dir: src
    hooks: [hook.py]
    theme: {name: null, custom_dir: theme}
    """
MKDOCS_HOOK: Final = """
    import sys
    from pathlib import Path
    sys.path.insert(0, str(Path(__file__).parent))
    from loaded import loaded
    def on_post_build(config):
        loaded()
    """
PTW_RUNNER: Final = """
    from loaded import loaded
    loaded()
    """


ELSEWHERE: Final = os.pathsep.join(f"{one}*" for one in sys.path if one)
"""What Flask need not watch, though it is imported from: others may write there."""


class Client(NamedTuple):
    """A program, and how it is started in a folder that has ``src``."""

    name: str
    library: str
    """What it watches with."""
    files: dict[str, str]
    words: list[str]
    """Its name and arguments."""
    ending: str = "py"
    """Of the files that it reloads for."""
    says: str = ""
    """What it says, over the drop-ins, after each load once it would see a change again."""


CLIENTS: Final = (
    Client(
        "uvicorn --reload",
        "watchfiles",
        {"app.py": UVICORN},
        ["uvicorn", "app:app", "--reload", "--reload-dir", "src", "--port", "0"],
    ),
    Client(
        "mkdocs serve",
        "watchdog",
        {"mkdocs.yml": MKDOCS, "hook.py": MKDOCS_HOOK, "theme/main.html": "", "src/index.md": ""},
        ["mkdocs", "serve", "--dev-addr", "127.0.0.1:0"],
        ending="md",
    ),
    Client(
        "flask run --debug",
        "watchdog",
        {"app.py": FLASK},
        ["flask", "--app", "app", "run", "--debug", "--port", "0", "--exclude-patterns", ELSEWHERE],
        says="it watches",
    ),
    Client(
        "ptw (pytest-watcher)",
        "watchdog",
        {"runner.py": PTW_RUNNER},
        ["ptw", "src", "--now", "--runner", sys.executable, "runner.py"],
        says="Trigger released",
    ),
)


class Running:
    """A client at work in a folder."""

    def __init__(self, client: Client, folder: Path) -> None:
        self.client = client
        self.folder = folder
        self.src = folder / "src"

    def loads(self) -> list[int]:
        """Return the step that each load found."""
        log = self.folder / "log.txt"
        return [int(line) for line in log.read_text().splitlines()] if log.exists() else []

    def wait_until_ready(self) -> None:
        """Return once it would see a change, as far as it says so."""
        says = self.client.says
        if says:
            until_sync(lambda: self.said().count(says) >= len(self.loads()), self.said)

    def step(self, number: int) -> str:
        """Return a source with a step."""
        return f"STEP = {number}\n"

    def file(self, name: str, folder: Path | None = None) -> Path:
        """Return the path of a source."""
        return (folder or self.src) / f"{name}.{self.client.ending}"

    def wait_for(self, number: int, patience: float = PATIENCE) -> None:
        """Return once it was loaded with this step."""
        until_sync(
            lambda: number in self.loads()[-1:],
            lambda: f"{number}: {self.loads()}\n{self.said()}",
            patience=patience,
        )

    def said(self) -> str:
        """Return what it wrote to its standard output."""
        return (self.folder / "said.txt").read_text()


@contextmanager
def running(client: Client, folder: Path, *, own: bool = False) -> Iterator[Running]:
    """Run a client until the block is left.

    Args:
        client: Which.
        folder: Where its files are made.
        own: Over its own library; otherwise over the drop-ins.
    """
    made = Running(client, folder)
    made.src.mkdir(parents=True)
    (folder / "loaded.py").write_text(LOADED)
    for name, text in client.files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(textwrap.dedent(text))
    made.file("first").write_text(made.step(1))
    words = ["-m", "limpet.compat", *client.words]
    if own:
        words = ["-m", {"ptw": "pytest_watcher"}.get(client.words[0], client.words[0])]
        words += client.words[1:]
    with open(folder / "said.txt", "w") as said:
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={
                **os.environ,
                "PYTHONPATH": str(Path(limpet.__file__).parents[1]),
                "PYTHONDONTWRITEBYTECODE": "1",
                "NO_MKDOCS_2_WARNING": "1",
                "PTW_DEBUG": "1",
            },
        )
    try:
        made.wait_for(1)
        yield made
    finally:
        os.killpg(process.pid, 9)
        process.wait()
