"""The files of agents and fleets: strict YAML, and every mistake with its position."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from limpet.remote import ConfigError
from limpet.remote.admin import (
    agent_schema,
    fleet_schema,
    load_agent,
    load_fleet,
    server_file,
)

AGENT = """\
host: web01
hub: {url: 'nats://127.0.0.1'}
spool: {path: spool.db}
"""


def problems(tmp_path: Path, text: str) -> list[str]:
    """Return the problems of an agent's file, without the directory."""
    path = tmp_path / "agent.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load_agent(path)
    assert refused.value.code == "config"
    return [str(one).removeprefix(f"{tmp_path}/") for one in refused.value.problems]


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    text = AGENT + "watch: [{name: in, path: in, settle: 1, settle_max: 5, transient: true}]\n"
    (tmp_path / "agent.yaml").write_text(text + "output: [{name: out, path: /srv/out}]\n")
    options = load_agent(tmp_path / "agent.yaml").options
    assert options.spool == str(tmp_path / "spool.db")
    assert options.watches[0].path == str(tmp_path / "in")
    assert options.watches[0].options == {"settle": 1.0, "settle_max": 5.0, "transient": True}
    assert options.outputs[0].path == "/srv/out"


def test_a_follower_takes_the_options_of_limpet_follow(tmp_path: Path) -> None:
    """As they are described there: none is listed a second time, with other values."""
    more = "start: last, last: 5, fallback: last, ignore_older: 10, on_long: skip, order: strict"
    (tmp_path / "agent.yaml").write_text(AGENT + f"follow: [{{name: a, path: a.log, {more}}}]\n")
    assert load_agent(tmp_path / "agent.yaml").options.follows[0].options == {
        "start": "last", "last": 5, "fallback": "last", "ignore_older": 10.0, "on_long": "skip",
        "order": "strict",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("added", "problem"),
    [
        ("host: nas", "4:1: error: agent.host: the key 'host' is a duplicate (line 1 has it, too)"),
        ("prefix: !!python/name:os.system x", "4:9: error: agent.prefix: the tag !!python"),
        ("prefix: yes", "4:9: error: agent.prefix: 'yes' is not the same to YAML 1.1"),
        ("watch: {}", "4:8: error: agent.watch: must be a list"),
        ("watch: [{name: a, path: a, backend: x}]", "4:37: error: agent.watch[0].backend: must be"),
        ("watch: [{name: a, path: a, settle: -1}]", "4:36: error: agent.watch[0].settle: must be"),
        ("watch: [{name: a, path: a, own: keep}]", "4:28: error: agent.watch[0].own: there is no"),
        (
            "watch: [{name: a, path: a, settle_dir: 1}]",
            "4:28: error: agent.watch[0].settle_dir: there is no",
        ),
        (
            "watch: [{name: a, path: a, type: file, settle: 5, settle_max: 1}]",
            "4:9: error: agent.watch[0]: settle_max must be at least settle",
        ),
        (
            "watch: [{name: a, path: a, content: {encoding: no}}]",
            "4:48: error: agent.watch[0].content.encoding: 'no' is not the same",
        ),
        (
            "watch: [{name: a, path: a, content: {encoding: none}}]",
            "4:48: error: agent.watch[0].content.encoding: encoding must be the name of a text",
        ),
        (
            "watch: [{name: a, path: a}, {name: a, path: b}]",
            "4:8: error: agent.watch: two are named 'a': give each its own name",
        ),
        (
            "watch: [{name: a, path: a}]\nfollow: [{name: a, path: b}]",
            "1:1: error: agent: two are named 'a': give each its own name",
        ),
        ("prefix: '>'", "4:9: error: agent.prefix: prefix '>' must be 1 to 24 of a-z, 0-9,"),
        ("---\na: b", "5:1: error: this is a second document"),
        ("x: [", "5:1: error: this is not YAML"),
    ],
)
def test_a_mistake_in_an_agents_file(tmp_path: Path, added: str, problem: str) -> None:
    found = problems(tmp_path, AGENT + added + "\n")
    assert any(one.startswith(f"agent.yaml:{problem}") for one in found), found


def test_a_bomb_of_aliases_in_an_agents_file_is_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    found = problems(tmp_path, AGENT + "\n".join([*lines, "prefix: *a8"]))
    assert any("more than 20000 values" in one for one in found)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_agent(tmp_path / "none")
    (tmp_path / "empty").write_text("# nothing\n")
    with pytest.raises(ConfigError, match="the file is empty"):
        load_agent(tmp_path / "empty")
    text = AGENT.replace("}", ", password_file: none}", 1)
    (found,) = problems(tmp_path, text)
    assert found.startswith("agent.yaml:2:6: error: agent.hub: cannot read the password file")
    (tmp_path / "none").write_bytes(b"\xff\xfe")
    (found,) = problems(tmp_path, text)
    assert found.endswith("none': it is not UTF-8")


def test_the_error_survives_pickling(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load_agent(tmp_path / "none")
    again = pickle.loads(pickle.dumps(refused.value))  # noqa: S301 - made here
    assert (str(again), again.problems) == (str(refused.value), refused.value.problems)


@pytest.mark.parametrize(
    ("fleet", "message"),
    [
        ("hosts: [a]\nbots: [{name: a}]", "two users"),
        ("hosts: [admin]", "two users"),
        ("hosts: [a]\nbots: [{name: b, write: [a/x.append.c/append]}]", "output"),
        ("hosts: [a]\nbots: [{name: b, write: ['*/x/append']}]", "host"),
    ],
)
def test_names_that_would_share_rights_are_refused(
    tmp_path: Path, fleet: str, message: str
) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text(fleet + "\n")
    with pytest.raises(ConfigError, match=message):
        load_fleet(path)


@pytest.mark.parametrize(
    ("more", "address", "in_clear"),
    [
        ("", "127.0.0.1:4222", False),
        ("listen: 0.0.0.0:4222", "0.0.0.0:4222", True),
        ("listen: '[::1]:4222'", "[::1]:4222", False),
        ("tls: {ca: ca.pem, cert: hub.pem, key: hub.key}", "0.0.0.0:4222", False),
    ],
)
def test_a_hub_without_tls_listens_on_its_own_host(
    tmp_path: Path, more: str, address: str, in_clear: bool
) -> None:
    """Passwords cross a network in clear only where the file says so."""
    path = tmp_path / "fleet.yaml"
    path.write_text(f"hosts: [a]\n{more}\n")
    fleet = load_fleet(path)
    assert (fleet.address, fleet.is_in_clear) == (address, in_clear)
    text, _ = server_file(fleet)
    assert f'listen: "{address}"' in text
    if fleet.cert:
        assert fleet.cert == str(tmp_path / "hub.pem")
        assert f'ca_file: "{tmp_path / "ca.pem"}"' in text


# -- schemas ---------------------------------------------------------------------------------------

PAGES = [
    Path(__file__).parents[2] / "docs/how-to" / name
    for name in ("several-hosts.md", "a-cluster-of-hubs.md")
]
FULL_AGENT = """\
host: web01
prefix: shop
hub: {url: 'tls://hub:4222', user: web01, password_file: secret, ca: ca.pem}
spool: {path: spool.db, max_bytes: 512MiB, max_events: 5, when_full: collapse, retain: 60}
watch:
  - {name: in, path: in, settle: 1.5, exclude: '*.part', content: r, existing: true}
  - {name: one, path: one.txt, type: file, content: {mode: rb, max_bytes: 1 MiB}}
follow: [{name: log, path: app.log, start: last, last: 5, rotated: 'app.log.*', max_line: 64KiB}]
output: [{name: out, path: out, allow: [create, append], durability: full}]
"""
FULL_FLEET = """\
hosts: [web01, web02]
bots: [{name: archiver, read: ['*'], write: [web01/out/append, 'web02/*/*']}]
max_store: 5GiB
sync: default
tls: {ca: ca.pem, cert: hub.pem, key: hub.key}
"""


def loaded(text: str) -> object:
    return YAML(typ="safe", pure=True).load(text)


def test_the_schemas_take_what_the_check_takes(tmp_path: Path) -> None:
    """Of what is written here, and of the files of the how-to."""
    (tmp_path / "secret").write_text("x")
    pages = "\n".join(page.read_text("utf-8") for page in PAGES)
    blocks = re.findall(r"^```yaml\n(.*?)^```", pages, re.MULTILINE | re.DOTALL)
    found = [one for one in blocks if re.search(r"^hosts?:", one, re.MULTILINE)]
    assert len(found) >= 3
    for text in (FULL_AGENT, FULL_FLEET, *found):
        is_fleet = re.search(r"^hosts:", text, re.MULTILINE)
        schema = fleet_schema() if is_fleet else agent_schema()
        Draft202012Validator(schema).validate(loaded(text))
        if text in {FULL_AGENT, FULL_FLEET}:  # the others name files with passwords
            (tmp_path / "a.yaml").write_text(text)
            (load_fleet if is_fleet else load_agent)(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("host: web01", "hots: web01"),
        ("settle: 1.5", "settle: -1"),
        ("settle: 1.5", "settel: 1"),
        ("content: r,", "content: x,"),
        ("type: file", "type: link"),
        ("512MiB", "512 megabytes"),
        ("allow: [create", "allow: [creat"),
        ("when_full: collapse", "when_full: yes"),
    ],
)
def test_the_schema_and_the_check_refuse_alike(tmp_path: Path, old: str, new: str) -> None:
    (tmp_path / "secret").write_text("x")
    text = FULL_AGENT.replace(old, new, 1)
    assert text != FULL_AGENT
    assert not Draft202012Validator(agent_schema()).is_valid(loaded(text))
    assert problems(tmp_path, text)


def test_sizes_and_short_forms_are_taken(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "agent.yaml").write_text(FULL_AGENT)
    found = load_agent(tmp_path / "agent.yaml")
    assert found.hub.password == "x"  # noqa: S105 - the test's own
    assert found.options.spool_options == {
        "max_bytes": 512 << 20, "max_events": 5, "when_full": "collapse", "retain_s": 60.0,
    }  # fmt: skip
    first, second = found.options.watches
    assert first.content is not None
    assert (first.content.mode, first.options["exclude"]) == ("r", ("*.part",))
    assert second.content is not None
    assert second.content.max_bytes == 1 << 20
    assert found.options.follows[0].options["max_line"] == 64 << 10
    assert found.options.outputs[0].allow == frozenset({"create", "append"})


def test_all_mistakes_are_listed_with_suggestions(tmp_path: Path) -> None:
    text = FULL_AGENT.replace("when_full", "whenfull").replace("start: last", "start: lst")
    text = text.replace("name: out", "name: Out!")
    (tmp_path / "secret").write_text("x")
    assert problems(tmp_path, text) == [
        (
            "agent.yaml:4:59: error: agent.spool.whenfull: there is no key 'whenfull'; did you "
            "mean 'when_full'?"
        ),
        (
            "agent.yaml:8:44: error: agent.follow[0].start: must be one of end, beginning, last, "
            "checkpoint, not 'lst'; did you mean 'last'?"
        ),
        (
            "agent.yaml:9:17: error: agent.output[0].name: the name 'Out!' cannot be used on the "
            "hub: 1 to 48 of a-z, 0-9, '_' and '-'; use 'out'"
        ),
    ]
