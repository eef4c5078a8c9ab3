"""Bots' files with values of every wrong kind: typed problems with a place, never a traceback."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from limpet.bot.config import check
from limpet.bot.config._schema import components
from limpet.bot.settings._setting import settings_of
from limpet.errors import UsageError

KINDS = ("IOConfig", "Behaviour", "Trigger", "Condition", "Action")
COMPONENTS = {
    name.rpartition(".")[2]: (kind, value)
    for kind in KINDS
    for name, value in components(kind).items()
}
GOOD: dict[str, dict[str, Any]] = {
    "ClassTrigger": {"event_class": "a.B"},
    "GlobTrigger": {"globs": ["*"]},
    "RegexTrigger": {"pattern": "x"},
    "ContentCondition": {"pattern": "x"},
    "ExtensionCondition": {"extensions": [".x"]},
    "RateLimitCondition": {"most": 1, "seconds": 1},
    "CreateFileAction": {"name": "x"},
    "OverwriteFileAction": {"name": "x"},
    "AppendToFileAction": {"name": "x"},
    "DeleteFileAction": {"name": "x"},
    "MakeDirAction": {"name": "x"},
    "MoveFileAction": {"name": "x", "target": "y"},
    "RunCommandAction": {"command": ["true"]},
    "WebhookAction": {"url": "http://127.0.0.1/"},
    "Schedule": {"cron": "* * * * *"},
    "RemoteFileSystem": {"hub": "nats://127.0.0.1:1", "bot": "b"},
}
"""What each needs, so that one wrong value is the only one."""

DEEP: Any = "x"
for _ in range(40):
    DEEP = [DEEP]
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**64, 10**400, 0.5, -0.5, 1e308, "", " ", "x", "\0", "\ud800",
    "/",
    "a" * 100_000, "\n", "é", "{", "}", "{{ x }}", "{{ path", "{% if", "{{ 1 + }}",
    "(", "[", "*", "**", "!", "\\", "~", "..",
    "yes", "2026-01-01", "12:30", "1e3", "0x10", "http://[", "https://a:b", "nats://", "utf-16",
    "hex", "strict", [], [[]], [None], [1], ["x"], ["x", 1], {}, {"x": 1}, {"": None}, {"1": []},
    {"mode": "r"}, {"mode": 5, "x": []}, {"max_bytes": -1}, {"daily": 1, "keep": "x"}, DEEP,
    {"a": DEEP},
)  # fmt: skip
LIMIT_S = 3.0


def part(kind: str, name: str, properties: object) -> dict[str, Any]:
    implementation = f"limpet.bot.{name}"
    return {"kind": kind, "implementation": implementation, "uuid": None, "properties": properties}


def bot(kind: str, block: dict[str, Any]) -> list[Any]:
    """Return the documents of a bot with this block in its place."""
    behaviour = part("Behaviour", "Behaviour", {"name": "b"})
    for key in ("triggers", "conditions", "actions"):
        behaviour[key] = [block] if f"{kind.lower()}s" == key else []
    if kind == "Behaviour":
        behaviour |= block
    return [block if kind == "IOConfig" else part("IOConfig", "FileSystem", {}), behaviour]


def checked(path: Path, documents: list[Any]) -> list[str]:
    """Return the problems of a bot, each of which has its place; JSON is YAML."""
    path.write_text("\n---\n".join(json.dumps(one) for one in documents))
    begun = time.process_time()
    found = check(path)
    assert time.process_time() - begun < LIMIT_S
    for problem in found:
        assert problem.line >= 1
        assert problem.column >= 1
        assert "Traceback" not in problem.message
        assert len(problem.message) < 3000
    return [str(one) for one in found]


@pytest.mark.parametrize("name", sorted(COMPONENTS))
def test_a_property_of_any_kind(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is taken, or is a problem of that property."""
    monkeypatch.chdir(tmp_path)
    kind, value = COMPONENTS[name]
    good = GOOD.get(name, {})
    known = settings_of(value)
    step = 1 + len(known) // 10  # of many properties, each tries another part of the values
    for at, setting in enumerate(known):
        for wrong in VALUES[at % step :: step]:
            found = checked(
                tmp_path / "b.yaml", bot(kind, part(kind, name, {**good, setting: wrong}))
            )
            for one in found:
                if ": error: " in one:
                    assert f".{setting}" in one or "is not YAML" in one or "created: " in one, one


@pytest.mark.parametrize("name", sorted(COMPONENTS))
def test_a_property_that_a_program_sets(name: str) -> None:
    """The same values by code: taken, or a UsageError that names the property."""
    _, value = COMPONENTS[name]
    good = GOOD.get(name, {})
    for setting in settings_of(value):
        kind: Any = value
        made = kind.__new__(kind)
        for key, one in good.items():
            setattr(made, key, one)
        for wrong in (*VALUES, float("nan"), float("inf"), b"x", object(), {1, 2}, 1j, print):
            said = _refusal(made, setting, wrong)
            assert said is None or (setting in said and len(said) < 3000)


def _refusal(made: Any, setting: str, value: object) -> str | None:
    try:
        setattr(made, setting, value)
    except UsageError as error:
        return str(error)
    return None


@pytest.mark.parametrize("seed", range(8))
def test_a_file_that_is_wrong_anywhere(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some parts of it are replaced by values of other kinds, are missing, or are there twice."""
    monkeypatch.chdir(tmp_path)
    chance = random.Random(seed)
    names = sorted(COMPONENTS)
    for _ in range(60):
        documents: list[Any] = []
        for name in chance.sample(names, 4):
            kind, _ = COMPONENTS[name]
            documents += bot(kind, part(kind, name, dict(GOOD.get(name, {}))))
        for _ in range(chance.randrange(1, 6)):
            documents = _damaged(documents, chance)
        checked(tmp_path / "b.yaml", documents if isinstance(documents, list) else [documents])


def _damaged(value: Any, chance: random.Random) -> Any:
    """Return a copy that is wrong at one random place."""
    if isinstance(value, list) and value and chance.random() < 0.9:
        at = chance.randrange(len(value))
        return [_damaged(one, chance) if n == at else one for n, one in enumerate(value)]
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(list(value))
        if chance.random() < 0.2:
            return {other: one for other, one in value.items() if other != key}
        if chance.random() < 0.2:
            return {**value, chance.choice([key.upper(), f"{key}s", "x", ""]): value[key]}
        return {**value, key: _damaged(value[key], chance)}
    return chance.choice(VALUES)


@pytest.mark.parametrize("seed", range(4))
def test_bytes_that_are_no_file_of_a_bot(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A good file in which bytes were changed, lost or doubled."""
    monkeypatch.chdir(tmp_path)
    chance = random.Random(seed)
    documents = bot("Action", part("Action", "CreateFileAction", {"name": "{{ rel }}"}))
    good = "\n---\n".join(json.dumps(one, indent=1) for one in documents).encode()
    for _ in range(150):
        data = bytearray(good)
        for _ in range(chance.randrange(1, 8)):
            at = chance.randrange(len(data))
            match chance.randrange(3):
                case 0:
                    data[at] = chance.choice(b"\0\t\n &*!|>'\"%@`{}[],:#?-\xff\xc3\x85" + b"a0~")
                case 1:
                    del data[at : at + chance.randrange(1, 20)]
                case _:
                    data[at:at] = data[at : at + chance.randrange(1, 20)]
        (tmp_path / "b.yaml").write_bytes(data)
        begun = time.process_time()
        check(tmp_path / "b.yaml")
        assert time.process_time() - begun < LIMIT_S
