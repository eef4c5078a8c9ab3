"""A bot's file: its problems, all at once; YAML's traps; the schema; the starters."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from mewbot.api import v1

from limpet.bot import BotConfigError, FileSystem
from limpet.bot._starter_files import STARTERS, starter
from limpet.bot.config import check, check_all, load, schema
from limpet.bot.runner._load_components import components_of
from limpet.errors import UsageError
from tests.schemas import FOLDER, generated

VALID = Draft202012Validator(schema())

GOOD = """\
kind: IOConfig
implementation: limpet.bot.FileSystem
uuid: io
properties:
  name: inbox
  input_path: in
  output_path: out
  settle: 0.5
  existing: true
  content: {mode: rb, max_bytes: 0x10}
---
kind: Behaviour
implementation: limpet.bot.Behaviour
uuid: b
properties: {name: copy, concurrency: 2, active: true}
triggers:
  - {kind: Trigger, implementation: limpet.bot.AllEventsTrigger, uuid: t, properties: {}}
conditions: []
actions:
  - kind: Action
    implementation: limpet.bot.CreateFileAction
    uuid: null
    properties: {name: "{{ rel }}", io: inbox}
"""


def problems(tmp_path: Path, text: str) -> list[str]:
    """Return each as ``line:column where: message``, without the file's name."""
    path = tmp_path / "bot.yaml"
    path.write_text(text, encoding="utf-8")
    return [str(one).removeprefix(f"{path}:") for one in check(path)]


def test_a_good_file_has_no_problems_and_is_what_mewbot_loads(tmp_path: Path) -> None:
    """B3: the same components with the same values."""
    assert problems(tmp_path, GOOD) == []
    from mewbot.loader import configure_bot

    with (tmp_path / "bot.yaml").open() as stream:
        theirs = components_of(configure_bot("name", stream))
    ours = load(tmp_path / "bot.yaml")
    one, two = ours.io_configs[0], theirs.io_configs[0]
    assert isinstance(one, FileSystem)
    assert isinstance(two, FileSystem)
    assert one.serialise() == two.serialise()
    assert one.content is not None
    assert one.content.max_bytes == 16
    assert ours.behaviours[0].serialise()["properties"] == {  # type: ignore[attr-defined]  # ours
        "concurrency": 2
    }
    assert ours.idents == ("b",)


def test_case_d16_every_mistake_is_reported_with_position_and_suggestion(tmp_path: Path) -> None:
    """D16: line, column, keys, suggestion; all of them."""
    text = (
        GOOD.replace("settle:", "setle:")
        .replace("limpet.bot.AllEventsTrigger", "limpet.bot.AllEventTrigger")
        .replace("kind: Action", "kind: action")
        .replace("concurrency: 2", "concurrency: 0")
        .replace("mode: rb", "mode: x, mod: y")
        .replace("conditions: []", "condition: []")
    )
    assert problems(tmp_path, text) == [
        "8:3: error: 1.properties.setle: there is no property 'setle'; did you mean 'settle'?",
        "10:19: error: 1.properties.content.mode: must be one of r, rb, not 'x'",
        "10:22: error: 1.properties.content.mod: there is no key 'mod'; did you mean 'mode'?",
        "12:1: error: 2: the key 'conditions' is missing (it may be [])",
        "15:39: error: 2.properties.concurrency: must be greater than or equal to 1, not 0",
        (
            "17:37: error: 2.triggers[0].implementation: limpet.bot has no AllEventTrigger; did "
            "you mean 'limpet.bot.AllEventsTrigger'?"
        ),
        "18:1: error: 2.condition: there is no key 'condition'; did you mean 'conditions'?",
        "20:11: error: 2.actions[0].kind: there is no kind 'action'; did you mean 'Action'?",
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("kind: IOConfig", "kind: Behavior", "did you mean 'Behaviour'"),
        ("kind: IOConfig", "kind: ioconfig", "did you mean 'IOConfig'"),
        ("kind: IOConfig", "kind: Trigger", "does not belong here"),
        ("kind: IOConfig", "kind: 5", "there is no kind 5"),
        ("kind: IOConfig\n", "knd: IOConfig\n", "did you mean it by 'knd'"),
        ("uuid: io\n", "", "'uuid' is missing (it may be null)"),
        ("uuid: io\n", "uuid: b\n", "the component in line 1 has the uuid 'b', too"),
        ("uuid: io\n", "uuid: 5\n", "must be a text, or null"),
        ("limpet.bot.FileSystem", "limpt.bot.FileSystem", "did you mean 'limpet.bot.FileSystem'"),
        ("limpet.bot.FileSystem", "FileSystem", "the full name of a class"),
        ("limpet.bot.FileSystem", "limpet.bot.PrintAction", "is not a class of kind IOConfig"),
        ("limpet.bot.FileSystem", "os.path.join", "is not a class of kind IOConfig"),
        ("limpet.bot.FileSystem", "limpet.bot.need", "is not a class of kind IOConfig"),
        ("conditions: []", "conditions: {}", "must be a list"),
        ("conditions: []", "conditions: [5]", "a component must have keys and values"),
        ("properties: {}", "properties: null", "must be keys and values; {} if there are none"),
        ("properties: {}", "properties: []", "must be keys and values; {} if there are none"),
        ("io: inbox", "io: inbx", "did you mean 'inbox'"),
        ('name: "{{ rel }}", ', "", "the property 'name' is missing"),
        ('"{{ rel }}"', '"{{ rell }}"', "column 4: there is no field 'rell'; did you mean 'rel'"),
        ('"{{ rel }}"', '"{{ rel"', "column 4: unexpected end of template"),
        ("existing: true", "existing: 'true'", "must be true or false"),
        ("settle: 0.5", "settle: -0.5", "must be greater than or equal to 0, not -0.5"),
        ("settle: 0.5", "input_mode: lines", "needs input_path_type 'file'"),
    ],
)
def test_a_mistake(tmp_path: Path, old: str, new: str, expected: str) -> None:
    """One at a time; exactly one problem each, at its line."""
    text = GOOD.replace(old, new, 1)
    assert text != GOOD
    found = [one for one in problems(tmp_path, text) if "error" in one]
    wanted = [one for one in found if expected in one]
    assert wanted, found
    # Problems that follow from it are reported, too, such as an unknown name.
    assert len(found) <= 2, found


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("yes", "write true, or quote it: 'yes'"),
        ("Off", "write false, or quote it: 'Off'"),
        ("0755", "quote it: '0755'"),
        ("0o17", "quote it: '0o17'"),
        ("1_000", "quote it"),
        ("12:30", "quote it"),
        ("2026-11-25", "quote it"),
        ("1e3", "not the same to YAML 1.1 and 1.2"),
        ("!!python/object/apply:os.system ['x']", "the tag !!python/object/apply:os.system"),
        ("!!python/name:os.system", "the tag !!python/name:os.system"),
        ("!mine x", "the tag !mine"),
        ("!!binary aGk=", "the tag !!binary"),
        ("&a [*a]", "contains itself"),
        ("{a: 1, a: 2}", "the key 'a' is a duplicate (line 5 has it, too)"),
        ("{[1]: 2}", "a key must be a word"),
        ("[", "this is not YAML"),
        ("'", "this is not YAML"),
    ],
)
def test_yaml_that_two_readers_read_apart_is_refused(
    tmp_path: Path, value: str, expected: str
) -> None:
    """And tags, duplicate keys, recursion, and what is not YAML."""
    text = GOOD.replace("name: inbox", f"name: {value}", 1)
    found = problems(tmp_path, text)
    assert any(expected in one for one in found), found
    assert any(one[0] in "56" for one in found) or "not YAML" in expected, found


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("true", True), ("FALSE", False), ("~", None), ("null", None), ("12", 12), ("-3", -3),
        ("0x1F", 31), ("1.5", 1.5), (".5", 0.5), ("1.5e+3", 1500.0), ("plain text", "plain text"),
        ("'yes'", "yes"), ('"0755"', "0755"), ("y", "y"), ("no way", "no way"), ("1.2.3", "1.2.3"),
        ("a:b", "a:b"), ("-", "-"), (".inf", float("inf")),
    ],
)  # fmt: skip
def test_what_both_versions_read_alike_is_taken(value: str, wanted: object) -> None:
    """YAML 1.2's core schema, and PyYAML agrees."""
    from limpet._yaml_nodes import YamlReader

    reader = YamlReader(f"k: {value}\n", "f")
    if value == "-":
        reader = YamlReader('k: "-"\n', "f")
    (node,) = reader.documents()
    assert reader.value(node, "") == {"k": wanted}
    assert reader.problems == []


def test_anchors_and_merges_are_taken(tmp_path: Path) -> None:
    """They have the same meaning for mewbot."""
    text = """\
kind: IOConfig
implementation: limpet.bot.FileSystem
uuid: a
properties: &base {settle: 1, input_path: in}
---
kind: Behaviour
implementation: limpet.bot.Behaviour
uuid: b
properties: {}
triggers:
  - &t {kind: Trigger, implementation: limpet.bot.AllEventsTrigger, uuid: null, properties: {}}
conditions: []
actions:
  - kind: Action
    implementation: limpet.bot.LogAction
    uuid: null
    properties: &p {level: debug}
  - kind: Action
    implementation: limpet.bot.LogAction
    uuid: null
    properties: {<<: *p, text: hi}
  - {kind: Action, implementation: limpet.bot.LogAction, uuid: null, properties: *p}
"""
    assert problems(tmp_path, text) == []
    actions: Any = load(tmp_path / "bot.yaml").behaviours[0].actions  # type: ignore[attr-defined]  # ours
    assert [one.level for one in actions] == ["debug"] * 3
    assert actions[1].text.source == "hi"
    with (tmp_path / "bot.yaml").open() as stream:
        from mewbot.loader import configure_bot

        theirs: Any = configure_bot("n", stream)
    assert [one.level for one in theirs._behaviours[0].actions] == ["debug"] * 3


def test_a_bomb_of_aliases_is_defused(tmp_path: Path) -> None:
    """Nine times nine times nine ... is counted, not created."""
    lines = ["kind: IOConfig", "implementation: x.y", "uuid: a", "properties:", "  a0: &a0 [x]"]
    lines += [f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    found = problems(tmp_path, "\n".join(lines))
    assert any("more than 20000 values" in one for one in found)


def test_empty_documents_are_no_matter(tmp_path: Path) -> None:
    """mewbot's own loader fails at a '---' at the end."""
    assert problems(tmp_path, "# nothing\n---\n" + GOOD + "---\n# nothing\n") == []
    assert problems(tmp_path, "\ufeff" + GOOD) == []


def test_kinds_that_mewbot_ignores_are_warned_of(tmp_path: Path) -> None:
    """A file written for mewbot may have them."""
    text = GOOD + "---\nkind: DataSource\nimplementation: x.y\nuuid: z\nproperties: {}\n"
    (found,) = problems(tmp_path, text)
    assert found.startswith("25:7: warning: 3.kind: mewbot ignores the kind DataSource")


def test_case_d9_a_loop_is_warned_of(tmp_path: Path) -> None:
    """D9: an output in a watched folder, with own writes kept."""
    text = GOOD.replace("output_path: out", "output_path: in/out\n  own: keep")
    (found,) = problems(tmp_path, text)
    assert "8:8: warning: 1.properties.own: output_path is inside the watched folder" in found
    assert problems(tmp_path, text.replace("own: keep", "own: keep\n  exclude: /out/")) == []


def test_a_loop_of_two_components_is_warned_of(tmp_path: Path) -> None:
    """One writes where the other, which keeps its own process's writes, watches."""
    text = GOOD.replace("  output_path: out\n", "  own: mark\n").replace(
        "---\n",
        "---\nkind: IOConfig\nimplementation: limpet.bot.FileSystem\nuuid: other\n"
        "properties: {output_path: in/x}\n---\n",
    )
    (found,) = [one for one in problems(tmp_path, text) if "own" in one]
    assert "warning: 1.properties.own: output_path of line 12 is inside the watched" in found


def test_a_done_directory_inside_the_watched_one_is_refused(tmp_path: Path) -> None:
    """Unless the watch leaves it out."""
    action = """\
  - kind: Action
    implementation: limpet.bot.MoveProcessedFileAction
    uuid: null
    properties: {done: done, failed: ../failed}
"""
    (found,) = problems(tmp_path, GOOD + action)
    assert "add '/done/' to its exclude" in found
    excluded = GOOD.replace("settle: 0.5", "exclude: [/done/]")
    assert problems(tmp_path, excluded + action) == []


def test_names_and_state_files_are_not_shared(tmp_path: Path) -> None:
    """Equal names would get each other's outputs; one checkpoint would overwrite the other."""
    io = GOOD.partition("---")[0].replace("settle: 0.5", "state: s")
    text = io + "---\n" + io.replace("uuid: io", "uuid: io2")
    found = [one for one in problems(tmp_path, text) if "error" in one]
    assert [one.partition(": error: ")[2] for one in found] == [
        "2.properties.name: another FileSystem has the name 'inbox', too",
        "2.properties.state: another FileSystem has the state file s, too",
    ]


def test_what_does_nothing_is_warned_of(tmp_path: Path) -> None:
    """No behaviour, no trigger, no action."""
    found = problems(tmp_path, GOOD.partition("---")[0])
    assert "so the bot does nothing" in found[0]
    text = GOOD.partition("actions:")[0] + "actions: []\n"
    assert "it has no actions" in problems(tmp_path, text)[0]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """The problem has reason and position."""
    assert "cannot be read: No such file" in str(check(tmp_path / "none")[0])
    (tmp_path / "latin").write_bytes(b"a: b\nc: caf\xe9\n")
    assert ":2:7: error: this is not UTF-8" in str(check(tmp_path / "latin")[0])
    with pytest.raises(BotConfigError) as refused:
        load(tmp_path / "none")
    assert refused.value.code == "bot-file"
    assert len(refused.value.problems) == 1


def test_third_party_components(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown properties, values that they refuse, modules that cannot be imported."""
    (tmp_path / "theirs.py").write_text(
        """
from mewbot.api.v1 import IOConfig

class Io(IOConfig):
    _port = 0
    def get_inputs(self): return []
    def get_outputs(self): return []
    @property
    def port(self): return self._port
    @port.setter
    def port(self, port): self._port = int(port)
    @property
    def fixed(self): return 5
""",
        encoding="utf-8",
    )
    (tmp_path / "broken.py").write_text("raise RuntimeError('not today')", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    block = "kind: IOConfig\nimplementation: {0}\nuuid: x\nproperties: {1}\n---\n"
    text = "".join(
        block.format(name, values).replace("uuid: x", f"uuid: x{at}")
        for at, (name, values) in enumerate(
            [
                ("theirs.Io", "{port: 5}"),
                ("theirs.Io", "{prt: 5}"),
                ("theirs.Io", "{port: abc}"),
                ("theirs.Io", "{fixed: 6}"),
                ("theirs.Oi", "{}"),
                ("broken.Io", "{}"),
            ]
        )
    )
    found = [one.partition(": error: ")[2] for one in problems(tmp_path, text) if "error" in one]
    assert found == [
        "2.properties.prt: there is no property 'prt'; did you mean 'port'?",
        "3: the component cannot be created: invalid literal for int() with base 10: 'abc'",
        "4.properties.fixed: there is no property 'fixed' (Io has port)",
        "5.implementation: theirs has no Oi",
        "6.implementation: cannot import broken: RuntimeError: not today",
    ]


# -- schema and starters ---------------------------------------------------------------------------


def test_the_schemas_are_valid_and_those_of_the_package() -> None:
    """``make schemas`` updates it, and those of agents and fleets."""
    for name, content in generated().items():
        Draft202012Validator.check_schema(content)
        assert json.loads((FOLDER / name).read_text(encoding="utf-8")) == content, name


def test_the_schema_takes_what_the_check_takes_and_refuses_what_it_can() -> None:
    """Unknown keys, unknown properties, wrong values, missing keys."""
    for document in yaml.safe_load_all(GOOD):
        assert VALID.is_valid(document), list(VALID.iter_errors(document))
    for old, new in (
        ("kind: IOConfig", "kind: Behavior"),
        ("settle:", "setle:"),
        ("settle: 0.5", "settle: -1"),
        ("mode: rb", "mode: x"),
        ("uuid: io\n", ""),
        ('name: "{{ rel }}", ', ""),
        ("concurrency: 2", "concurrency: 0"),
    ):
        documents = list(yaml.safe_load_all(GOOD.replace(old, new, 1)))
        assert not all(VALID.is_valid(one) for one in documents), old


@pytest.mark.parametrize("kind", STARTERS)
def test_a_starter_is_right(tmp_path: Path, kind: str) -> None:
    """No problem, valid by the schema, and with unique uuids."""
    text = starter(kind, f"{kind}.yaml")
    assert problems(tmp_path, text) == []
    for document in yaml.safe_load_all(text):
        assert VALID.is_valid(document)
    assert starter(kind, "x") != starter(kind, "x")


# -- components of anybody's -----------------------------------------------------------------------

FOREIGN = """\
from mewbot.api.v1 import Action, Condition, Input, IOConfig, Output, Trigger
from mewbot.core import InputEvent, OutputEvent

class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no text")

class GoodInput(Input):
    @staticmethod
    def produces_inputs():
        return {InputEvent}
    async def run(self):
        pass

class GoodOutput(Output):
    @staticmethod
    def consumes_outputs():
        return {OutputEvent}
    async def output(self, event):
        return True

class GoodIO(IOConfig):
    def get_inputs(self):
        return [GoodInput()]
    def get_outputs(self):
        return (GoodOutput(),)

class GoodTrigger(Trigger):
    @staticmethod
    def consumes_inputs():
        return {InputEvent}
    def matches(self, event):
        return True

class GoodCondition(Condition):
    @staticmethod
    def consumes_inputs():
        return frozenset([InputEvent])
    def allows(self, event):
        return True

class GoodAction(Action):
    @staticmethod
    def consumes_inputs():
        return {InputEvent}
    @staticmethod
    def produces_outputs():
        return set()
    async def act(self, event, state):
        yield None
"""

USE = """\
kind: IOConfig
implementation: {module}.{io}
uuid: null
properties: {{}}
---
kind: Behaviour
implementation: mewbot.api.v1.Behaviour
uuid: null
properties: {{name: b}}
triggers: [{{kind: Trigger, implementation: {module}.{trigger}, PART}}]
conditions: [{{kind: Condition, implementation: {module}.{condition}, PART}}]
actions: [{{kind: Action, implementation: {module}.{action}, PART}}]
""".replace("PART", "uuid: null, properties: {{}}")


def check_foreign(folder: Path, module: str, code: str, **names: str) -> list[str]:
    """Return the problems of a bot that has the module beside its file."""
    (folder / f"{module}.py").write_text(FOREIGN + code)
    kinds = {"io": "GoodIO", "trigger": "GoodTrigger", "condition": "GoodCondition"}
    return problems(folder, USE.format(module=module, **(kinds | {"action": "GoodAction"} | names)))


def test_good_components_of_anybodys_are_taken(tmp_path: Path) -> None:
    """mewbot's own base classes, with whatever iterable they return."""
    assert check_foreign(tmp_path, "good_ones", "") == []


STATIC = "@staticmethod\n    def "
IN, OUT, FROM = f"{STATIC}consumes_inputs()", f"{STATIC}produces_outputs()", "def get_inputs(self)"
TO = "def get_outputs(self)"
WRONG = [
    ("io", f"{FROM}: return None", "2:17.*get_inputs() must return a list of inputs, not None"),
    ("io", f"{TO}: return 5", "get_outputs() must return a list of outputs, not 5"),
    ("io", f"{FROM}: return 'ab'", "must return a list of inputs, not 'ab'"),
    ("io", f"{FROM}: return [5]", "must return a list of inputs, and 5 is none"),
    ("io", f"{FROM}: return GoodInput()", "must return a list of inputs, not <"),
    ("io", f"async {FROM}: return []", "must return a list of inputs, not <coroutine"),
    ("io", f"{FROM}: return 1 / 0", "Bad.get_inputs() failed: ZeroDivisionError"),
    ("io", f"{TO}: raise Unprintable", "failed: Unprintable: its text cannot be shown"),
    ("io", f"{TO}: raise SystemExit(3)", "get_outputs() failed: SystemExit: 3"),
    ("io", "def __init__(self): raise SystemExit(3)", "cannot be created: SystemExit: 3"),
    ("io", "def __init__(self): raise Unprintable", "cannot be created: Unprintable"),
    ("trigger", f"{IN}: return None", "consumes_inputs() must return a set"),
    ("trigger", f"{IN}: return [5]", "of InputEvent, and 5 is none"),
    ("trigger", f"{IN}: return {{str}}", "and <class 'str'> is none"),
    ("trigger", "async def matches(self, event): return False", "matches() must not be async"),
    ("condition", "async def allows(self, event): return False", "allows() must not be async"),
    ("condition", f"{IN}: return InputEvent", "must return a set"),
    ("action", "async def act(self, event, state): return None", "act() must yield its outputs"),
    ("action", f"{OUT}: return 5", "produces_outputs() must return a set"),
    ("action", f"{IN}: 1 / 0", "consumes_inputs() failed: Zero"),
    ("action", "after_failure = property(lambda self: 1 / 0)", "Bad.after_failure failed: Zero"),
    ("condition", "waits = property(lambda self: 1 / 0)", "Bad.waits failed: Zero"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "method", "expected"), WRONG)
def test_what_a_component_returns_is_checked(
    tmp_path: Path, kind: str, method: str, expected: str
) -> None:
    """With the position in the file, and never a traceback."""
    module = f"bad_{WRONG.index((kind, method, expected))}"
    good = {"io": "GoodIO"}.get(kind, f"Good{kind.title()}")
    code = f"\nclass Bad({good}):\n    {method}\n"
    (found,) = check_foreign(tmp_path, module, code, **{kind: "Bad"})
    place, _, message = found.partition(" ")
    assert place.count(":") == 2, found
    *before, wanted = expected.partition(".*")[::2] if ".*" in expected else ("", expected)
    assert wanted in message
    assert all(one in place for one in before)
    with pytest.raises(BotConfigError):
        load(tmp_path / "bot.yaml")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("raise SystemExit(5)", "cannot import odd_{}: SystemExit: 5"),
        ("def __getattr__(name): raise KeyError(name)", "cannot be used: KeyError"),
        ("class Bad(GoodIO):\n    wrong = property(lambda self: 1 / 0)\nBad = 5", "is not a class"),
        ("import asyncio\nraise asyncio.CancelledError", "cannot import odd_{}: CancelledError"),
        (
            "class M(type(GoodIO)):\n    __dir__ = None\nclass Bad(GoodIO, metaclass=M): pass",
            "cannot be checked: TypeError",
        ),
    ],
)
def test_a_module_that_misbehaves(
    tmp_path: Path, code: str, expected: str, request: pytest.FixtureRequest
) -> None:
    """Is a problem of the file that names it."""
    number = abs(hash(request.node.name))
    found = check_foreign(tmp_path, f"odd_{number}", f"\n{code}\n", io="Bad")
    assert expected.format(number) in found[0]


def test_components_of_a_program_are_checked_too() -> None:
    """By a UsageError that names the class and the method."""

    class Nothing(v1.IOConfig):
        def get_inputs(self) -> Any:
            return None

        def get_outputs(self) -> Any:
            return []

    with pytest.raises(UsageError, match=r"Nothing\.get_inputs\(\) must return a list"):
        components_of([Nothing()])
    with pytest.raises(UsageError, match="5 is no bot"):
        components_of(5)


# -- the folder of the file ------------------------------------------------------------------------


def test_modules_beside_the_file_are_found_and_shadow_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each bot has its own, and what is found elsewhere goes first."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.syspath_prepend(str(elsewhere))
    before = list(sys.path)
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "json.py").write_text("raise SystemExit('shadowed')")
        code = f"\nclass Mine{name}(GoodIO): pass\n"
        assert check_foreign(folder, "same_name", code, io=f"Mine{name}") == []
    found = check_all([tmp_path / "one" / "bot.yaml", tmp_path / "two" / "bot.yaml"])
    assert [one.problems for one in found] == [[], []]
    assert [one.inputs for one in found] == [1, 1]
    assert sys.path == before
    assert "same_name" not in sys.modules
    (elsewhere / "same_name.py").write_text(FOREIGN)
    (message,) = check(tmp_path / "one" / "bot.yaml")
    assert "same_name has no Mineone" in str(message)


# -- what is no bot, and what is too much ----------------------------------------------------------


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "---\n---\n"])
def test_a_file_without_a_component_is_refused(tmp_path: Path, text: str) -> None:
    """A run of it would wait for ever and do nothing."""
    (found,) = problems(tmp_path, text)
    assert found.startswith("1:1: error: this file has no component")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("kind: IOConfig", "kind: yes"),
        ("kind: IOConfig", "kind: !x IOConfig"),
        ("uuid: io", "uuid: {{ id }}"),
        ("limpet.bot.FileSystem", "!x limpet.bot.FileSystem"),
    ],
)
def test_a_value_that_cannot_be_read_is_one_problem(tmp_path: Path, old: str, new: str) -> None:
    found = problems(tmp_path, GOOD.replace(old, new, 1))
    assert len([one for one in found if "error" in one]) == 1


def test_a_file_without_a_behaviour_is_refused(tmp_path: Path) -> None:
    """It has nothing to do."""
    (found,) = problems(tmp_path, GOOD.partition("---")[0])
    assert found.startswith("1:1: error: this file has no Behaviour")
    with pytest.raises(BotConfigError, match="has no Behaviour"):
        load(tmp_path / "bot.yaml")


def test_a_bot_without_an_input_is_warned_of(tmp_path: Path) -> None:
    """It gets no event."""
    (found,) = problems(tmp_path, GOOD.partition("---")[2].replace(", io: inbox", ""))
    assert "warning: this file has no IOConfig" in found


@pytest.mark.parametrize("separate", [True, False])
def test_too_many_behaviours_are_one_error(tmp_path: Path, separate: bool) -> None:
    """At the place where it was too much; and soon."""
    one = (
        "{kind: Behaviour, implementation: limpet.bot.Behaviour, uuid: null, properties: {name: b}"
    )
    part = (
        "{kind: Trigger, implementation: limpet.bot.AllEventsTrigger, uuid: null, properties: {}}"
    )
    if separate:
        text = f"---\n{one}, triggers: [], conditions: [], actions: []}}\n" * 30_000
    else:
        text = f"{one}, triggers: [{', '.join([part] * 40_000)}], conditions: [], actions: []}}\n"
    begun = time.process_time()
    (found,) = problems(tmp_path, text)
    assert "the file has more than 20000 values; the rest of it is not read" in found
    assert time.process_time() - begun < 10


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ("encoding: nope", "encoding: encoding must be the name of a text encoding"),
        ("encoding: hex", "encoding must be the name of a text encoding, not 'hex'"),
        ("content: {encoding: nope}", "not 'nope'"),
        ("content: {errors: nope}", "errors must be the name of an error handler, not 'nope'"),
    ],
)
def test_encodings_are_checked(tmp_path: Path, properties: str, expected: str) -> None:
    """By the file's check, and not by each event."""
    if properties.startswith("content"):
        text = GOOD.replace("content: {mode: rb, max_bytes: 0x10}", properties)
    else:
        text = GOOD.replace("io: inbox}", f"io: inbox, {properties}}}")
    assert any(expected in one for one in problems(tmp_path, text))


# -- bots that answer each other -------------------------------------------------------------------


def pair(tmp_path: Path, one: str, two: str) -> list[list[str]]:
    """Return the problems of two bots with these properties, without the folder's name."""
    behaviour = GOOD.partition("---")[2].replace(", io: inbox", "")
    files = []
    for name, properties in (("a", one), ("b", two)):
        file = tmp_path / f"{name}.yaml"
        head = f"kind: IOConfig\nimplementation: limpet.bot.FileSystem\nuuid: io-{name}\n"
        file.write_text(f"{head}properties: {{{properties}}}\n---{behaviour}")
        files.append(file)
    return [
        [str(one).removeprefix(str(tmp_path)) for one in found.problems]
        for found in check_all(files)
    ]


def test_bots_that_write_into_each_others_folder_are_warned_of(tmp_path: Path) -> None:
    """Each at its output, with the place of the other."""
    a, b = f"{tmp_path}/a", f"{tmp_path}/b"
    one, two = pair(
        tmp_path, f"input_path: {a}, output_path: {b}/x", f"input_path: {b}, output_path: {a}"
    )
    assert len(one) == len(two) == 1
    assert "b.yaml:1), so each write is an event there, and that bot writes into" in one[0]
    assert one[0].replace(os.sep, "/").startswith("/a.yaml:4:")
    assert "a.yaml:1)" in two[0]
    assert "never end" in two[0]


def test_a_bot_that_moves_files_where_another_watches_is_warned_of(tmp_path: Path) -> None:
    """The folders for processed files are written into, too."""
    move = GOOD.partition("---")[2].replace("CreateFileAction", "MoveProcessedFileAction")
    move = move.replace('{name: "{{ rel }}", io: inbox}', "{done: ../b}")
    head = "kind: IOConfig\nimplementation: limpet.bot.FileSystem\nuuid: io\n"
    files = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    files[0].write_text(f"{head}properties: {{input_path: {tmp_path}/a}}\n---{move}")
    text = GOOD.partition("---")[2].replace(", io: inbox", "")
    files[1].write_text(f"{head}properties: {{input_path: {tmp_path}/b}}\n---{text}")
    one, two = check_all(files)
    (found,) = map(str, one.problems)
    assert "actions[0].properties.done: done is inside the folder that another bot" in found
    assert two.problems == []


@pytest.mark.parametrize(
    ("writer", "watcher", "warned"),
    [
        ("output_path: {}/x", "input_path: {}", True),
        ("output_path: {}", "input_path: {}", True),
        ("output_path: {}/x/y", "input_path: {}, exclude: [/x/]", False),
        ("output_path: {}/x", "input_path: {}, recursive: false", False),
        ("output_path: {}", "input_path: {}, recursive: false", True),
        ("output_path: {}", "input_path: {}/x", False),
        ("output_path: {}2", "input_path: {}", False),
        ("output_path: {}", "input_path: {}, include: ['*.csv']", False),
        ("output_path: {}", "input_path: {}, input_path_type: file", False),
        ("name: nothing", "name: nothing", False),
    ],
)
def test_a_bot_that_writes_where_another_watches_is_warned_of(
    tmp_path: Path, writer: str, watcher: str, warned: bool
) -> None:
    """It may be meant, as a chain of bots; what the watch leaves out is no matter."""
    place = tmp_path / "in"
    one, two = pair(tmp_path, writer.format(place), watcher.format(place))
    assert ["each write is an event there" in line for line in one] == [True] * warned
    assert two == []
