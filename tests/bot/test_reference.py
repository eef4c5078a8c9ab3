"""``docs/reference/bot.md``, and the other pages on bots: their examples run."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import limpet.bot
from limpet.bot import FileSystem, Runner, RunOptions
from limpet.bot.config import load
from limpet.bot.config._schema import components
from limpet.bot.settings._setting import settings_of
from limpet.bot.settings._template_fields import FIELDS
from limpet.bot.settings._template_filters import FILTERS
from limpet.bot.settings._template_tests import TESTS
from tests.bot.factories import put
from tests.bot.test_webhook import Service
from tests.waiting import until

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "reference/bot.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^##+ (\w+)\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL))
KINDS = ("IOConfig", "Behaviour", "Trigger", "Condition", "Action")
COMPONENTS = {
    name.rpartition(".")[2]: (kind, value)
    for kind in KINDS
    for name, value in components(kind).items()
}


@pytest.mark.parametrize("name", sorted(COMPONENTS))
def test_every_component_has_its_section(name: str) -> None:
    """With each property, an example of the right kind, and no unknown property."""
    kind, value = COMPONENTS[name]
    section = SECTIONS[name]
    named = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    assert named == set(settings_of(value))
    (block,) = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)
    (example,) = yaml.safe_load(block)
    assert (example["kind"], example["implementation"]) == (kind, f"limpet.bot.{name}")


def test_every_field_and_filter_and_event_is_named() -> None:
    """On the page of the components."""
    for word in [*FIELDS, *FILTERS, *TESTS]:
        assert re.search(rf"`{word}[`(]", PAGE), word
    events = [one for one in limpet.bot.__all__ if one.endswith("putEvent")]
    internal = {"FileSystemOutputEvent", "MoveProcessedFileOutputEvent"}
    assert [one for one in events if f"`{one}" not in PAGE and one not in internal] == []


def part(kind: str, name: str, properties: dict[str, Any]) -> dict[str, Any]:
    implementation = f"limpet.bot.{name}"
    return {"kind": kind, "implementation": implementation, "uuid": None, "properties": properties}


@pytest.mark.parametrize("name", sorted(COMPONENTS))
def test_every_example_of_the_page_runs(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B5: in a bot with a suitable file; it acts, and nothing fails."""
    monkeypatch.chdir(folder)
    kind, _ = COMPONENTS[name]
    (block,) = re.findall(r"```yaml\n(.*?)```", SECTIONS[name], re.DOTALL)
    (example,) = yaml.safe_load(block)
    (folder / "in").mkdir()
    (folder / "out").mkdir()
    (folder / "out" / "report.draft").touch()
    put(folder / "in" / "report.txt", "urgent: pay")
    asyncio.run(run_example(name, kind, example, folder))


async def run_example(name: str, kind: str, example: dict[str, Any], folder: Path) -> None:
    lines = name == "LinesTrigger"
    values: dict[str, Any] = {
        "name": "here", "input_path": "in", "output_path": "out", "existing": True,
        "content": {"mode": "r"},
    }  # fmt: skip
    if lines:
        values |= {"input_path": "in/report.txt", "input_path_type": "file", "input_mode": "lines"}
    service = Service(204)
    server = await asyncio.start_server(service, "127.0.0.1", 0)
    if name == "WebhookAction":
        port = server.sockets[0].getsockname()[1]
        example["properties"]["url"] = f"http://127.0.0.1:{port}/hook"
    behaviour: dict[str, Any] = {
        **part("Behaviour", "Behaviour", {}),
        "triggers": [part("Trigger", "GlobTrigger", {"globs": ["*.txt"]})],
        "conditions": [],
        "actions": [part("Action", "LogAction", {})],
    }
    documents: list[dict[str, Any]] = [part("IOConfig", "FileSystem", values), behaviour]
    if kind in {"Trigger", "Condition", "Action"}:
        behaviour[kind.lower() + "s"] = [example]
    elif kind == "Behaviour":
        behaviour |= {"properties": example["properties"]}
    elif name == "FileSystem":
        documents[0] = example
    else:
        documents.append(example)
    (folder / "bot.yaml").write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    parts = load("bot.yaml")
    if name == "StdinMessages":  # pytest has taken standard input
        parts = type(parts)(io_configs=parts.io_configs[:1], behaviours=parts.behaviours)
    runner = Runner(parts, RunOptions(state_dir=folder / "state"))
    task = asyncio.create_task(runner.run())
    if lines:
        io = parts.io_configs[0]
        assert isinstance(io, FileSystem)
        with (folder / "in" / "report.txt").open("a") as file:
            file.write("\nurgent again\n")
    wanted = ("acted", "skipped") if name == "TimeOfDayCondition" else ("acted",)
    await until(
        lambda: any(getattr(runner.stats, one) for one in wanted) and runner.is_idle,
        lambda: f"{runner.stats}",
    )
    runner.stop()
    await task
    server.close()
    if service.open:
        await asyncio.wait(service.open)
    assert not (folder / "state" / "dead-letters.jsonl").exists()
    if name == "WebhookAction":
        assert len(service.got) == 1


def blocks(page: str, kind: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)


def test_the_example_of_the_format_is_right(tmp_path: Path) -> None:
    """Unchanged."""
    (block,) = blocks("reference/bot-format.md", "yaml")
    (tmp_path / "bot.yaml").write_text(block, encoding="utf-8")
    assert len(load(tmp_path / "bot.yaml").behaviours) == 1


def test_the_programs_of_the_how_to_run(tmp_path: Path) -> None:
    """The bot for a moment, and the action."""
    program, action, *_ = blocks("how-to/write-a-bot.md", "python")
    (tmp_path / "in").mkdir()
    ending = program.replace("asyncio.run(main())", "")
    ending += (
        "async def moment():\n"
        "    task = asyncio.create_task(main())\n"
        "    await asyncio.sleep(0)\n"
        "    import pathlib\n"
        "    for number in range(3000):\n"
        "        pathlib.Path(f'in/{number}').touch()\n"
        "        await asyncio.sleep(0.01)\n"
        "        if pathlib.Path('out/log.txt').exists():\n"
        "            break\n"
        "    task.cancel()\n"
        "    await asyncio.wait({task})\n"
        "asyncio.run(moment())\n"
    )
    (tmp_path / "bot.py").write_text(ending, encoding="utf-8")
    command = [sys.executable, "-W", "error", "bot.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    # A cancelled run without a state directory says what it had in hand.
    assert [line for line in done.stderr.splitlines() if "there is no state_dir" not in line] == []
    assert (tmp_path / "out" / "log.txt").exists()
    scope: dict[str, Any] = {}
    exec(compile(action, "page", "exec"), scope)  # noqa: S102 (our own page)
    from limpet.bot.events._action_result import ActionState
    from tests.bot.factories import created

    async def greet() -> dict[str, Any]:
        state = ActionState()
        async for _ in scope["Greet"](words="hi").act(created("Ann.txt"), state):
            pass
        return state

    assert asyncio.run(greet())["greeting"] == "hi, Ann"


def test_the_input_of_the_how_to_runs(tmp_path: Path) -> None:
    """Beside its bot's file, started elsewhere."""
    (module,) = blocks("how-to/input-of-your-own.md", "python")
    (bot,) = blocks("how-to/input-of-your-own.md", "yaml")
    home = tmp_path / "home"
    home.mkdir()
    (home / "my_bot.py").write_text(module, encoding="utf-8")
    (home / "bot.yaml").write_text(bot, encoding="utf-8")
    command = [sys.executable, "-m", "limpet"]
    done = subprocess.run(
        [*command, "check", "home/bot.yaml"], cwd=tmp_path, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "1 bot, 1 input, 1 behaviour: fine\n"), done.stderr
    with subprocess.Popen(
        [*command, "run", "home/bot.yaml", "--state-dir", "state"], cwd=tmp_path,
        stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["tick 1\n", "tick 2\n"]
        process.terminate()
        assert process.wait(60) == 0
