"""Programs that listen, from outside: ``limpet status``, ``top`` and ``dead-letters`` ask them."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import signal
import socket
import sys
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn")

from limpet.bot.runner import Runner, RunOptions
from limpet.cli import _ask_running
from limpet.errors import UsageError
from limpet.status import (
    ProgramStatus,
    Record,
    Status,
    fetch_happenings,
    fetch_status,
    status_from_wire,
    status_to_wire,
)
from tests.bot.test_runner import MemoryIO, behaviour, text_of
from tests.bot.test_service import Program, limpet
from tests.waiting import PATIENCE, until_sync

BOT = """\
kind: IOConfig
implementation: limpet.bot.FileSystem
uuid: d136de6f-d82e-4d2d-8e3f-f6a8a1741961
properties: {name: inbox, input_path: inbox, existing: true, output_path: out, output_create: true}
---
kind: Behaviour
implementation: limpet.bot.Behaviour
uuid: c9f8feb0-b1d5-4cc3-b11a-264049714171
properties: {name: process, attempts: 3, backoff: 0.01}
triggers:
  - kind: Trigger
    implementation: limpet.bot.GlobTrigger
    uuid: ce766e0f-8bc2-43d9-8785-a08d85c0983c
    properties: {events: [file.created, file.updated], globs: ['*']}
conditions: []
actions:
  - kind: Action
    implementation: limpet.bot.RunCommandAction
    uuid: daf8ca5e-cf48-4ef0-bff2-1115cd055617
    properties: {command: [PYTHON, -c, 'import sys; int(open(sys.argv[1]).read())', '{{ path }}']}
  - kind: Action
    implementation: limpet.bot.AppendToFileAction
    uuid: 762ece57-0d4c-48d5-8e98-e3bb96a926e5
    properties: {name: log, content: done}
""".replace("PYTHON", json.dumps(sys.executable))


def write(path: Path, text: str) -> None:
    """Put a complete file there."""
    new = path.parent.parent / f"{path.name}.new"
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def status_of(program: Program) -> Status:
    address = program.output.partition("status at ")[2].split()[0].partition("/#")[0]
    return fetch_status(address)


def top(folder: Path, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(limpet(folder, "top", "--json", *words).stdout)
    return found


def test_the_story_of_a_failing_inbox(tmp_path: Path) -> None:
    """A bad file fails three times; it is found, read, mended, retried and done, all by words."""
    (tmp_path / "bot.yaml").write_text(BOT)
    (tmp_path / "inbox").mkdir()
    assert limpet(tmp_path, "status").returncode == 4
    assert limpet(tmp_path, "top").returncode == 4
    with Program(tmp_path, "run", "bot.yaml", "--listen", "127.0.0.1:0") as program:
        program.until(lambda: "running: " in program.output)
        write(tmp_path / "inbox" / "gut", "5")
        write(tmp_path / "inbox" / "größe\u202e.txt", "bad")

        def is_done() -> bool:
            status = status_of(program)
            return bool(status.dead_letters and status.dead_letters.waiting) and bool(
                status.outputs and status.outputs[0].operations
            )

        program.until(is_done)
        status = status_of(program)
        (behaviour,) = status.behaviours
        assert (behaviour.name, behaviour.done, behaviour.failed) == ("process", 1, 1)
        assert (behaviour.retried, behaviour.queue_depth, behaviour.active) == (2, 0, 0)
        (output,) = status.outputs
        assert (output.operations, output.bytes_written) == ({"append": 1}, 5)
        assert status.dead_letters is not None
        (dead,) = status.dead_letters.newest
        assert "ValueError" in dead.error
        assert (dead.attempts, dead.behaviour) == (3, "process")
        assert status.age_done is not None
        assert sum(status.age_done.counts) == 1
        # By words, without an option that says where the state is.
        done = limpet(tmp_path, "status")
        assert (done.returncode, done.stderr) == (0, "")
        assert dead.id in done.stdout
        assert "\u202e" not in done.stdout
        assert limpet(tmp_path, "status", "bot.yaml", "-q").stdout == ""
        (wire,) = map(json.loads, limpet(tmp_path, "status", "--json", "bot").stdout.splitlines())
        assert status_from_wire(wire).instance == status.instance
        assert [one["pid"] for one in top(tmp_path)] == [program.process.pid]
        table = limpet(tmp_path, "top").stdout.splitlines()
        assert [line.split()[:2] for line in table[1:]] == [
            ["bot", "run"], ["inbox", wire["watches"][0]["backend"]], ["process", "behaviour"],
        ]  # fmt: skip
        listed = limpet(tmp_path, "dead-letters", "list", "bot.yaml").stdout
        assert listed.startswith(dead.id)
        story = limpet(tmp_path, "dead-letters", "show", "bot.yaml", dead.id).stdout
        assert "ValueError" in story
        assert "\u202e" not in story
        # It fails again, and is mended.
        retry = limpet(tmp_path, "dead-letters", "retry", "bot.yaml")
        assert (retry.returncode, retry.stdout) == (1, "0 done, 1 left: 1 failed again\n"), retry
        write(tmp_path / "inbox" / "größe\u202e.txt", "7")
        program.until(lambda: status_of(program).behaviours[0].done == 2)  # of the change
        retry = limpet(tmp_path, "dead-letters", "retry", "bot.yaml", dead.id)
        assert (retry.returncode, retry.stdout) == (0, "1 done, 0 left\n"), retry
        after = status_of(program)
        assert after.dead_letters is not None
        program.until(lambda: not status_of(program).dead_letters.waiting)  # type: ignore[union-attr]
        happened = [one["what"] for one in fetch_happenings(wire["address"], limit=100)]
        assert happened.count("failed") == 2
        assert happened.count("retry") == 4
        assert happened.count("done") == 3
        unknown = limpet(tmp_path, "dead-letters", "discard", "bot.yaml", "nope")
        assert unknown.returncode == 2
        assert "no dead letter" in unknown.stderr
        program.signal("SIGTERM")
        assert program.end() == 0, program.output
    assert limpet(tmp_path, "status").returncode == 4
    assert limpet(tmp_path, "status", "bot.yaml").returncode == 4  # it is known, and away


def test_another_program_at_the_address_is_not_taken_for_it(tmp_path: Path) -> None:
    """Its health is not reported, and it does not get the token."""
    (tmp_path / "a.yaml").write_text(BOT)
    (tmp_path / "b.yaml").write_text(BOT)
    (tmp_path / "inbox").mkdir()
    with Program(tmp_path, "run", "a.yaml", "--listen", "127.0.0.1:0") as program:
        program.until(lambda: "running: " in program.output)
        port = program.output.partition("127.0.0.1:")[2].partition("/")[0]
        program.signal("SIGTERM")
        assert program.end() == 0
    asked = []
    with socket.create_server(("127.0.0.1", int(port))) as server:
        server.settimeout(PATIENCE)

        def answer() -> None:
            wire = json.dumps(status_to_wire(ProgramStatus("b").status())).encode()
            for _ in range(2):
                connection, _ = server.accept()
                with connection:
                    asked.append(connection.recv(65536))
                    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(wire)}\r\n\r\n"
                    connection.sendall(head.encode() + wire)

        thread = threading.Thread(target=answer)
        thread.start()
        done = limpet(tmp_path, "status", "a.yaml")
        assert done.returncode == 4
        assert "has ended" in done.stderr
        with Program(tmp_path, "run", "a.yaml") as program:  # it runs, and does not listen
            program.until(lambda: "running: " in program.output)
            done = limpet(tmp_path, "dead-letters", "discard", "a.yaml", "x")
            assert done.returncode == 2
            assert "--listen" in done.stderr
        with socket.create_connection(("127.0.0.1", int(port))) as last:
            last.sendall(b"GET / HTTP/1.1\r\n\r\n")
            last.recv(100)
        thread.join(PATIENCE)
    assert not any(b"Authorization" in one for one in asked)


def test_a_bot_is_found_by_its_file_wherever_its_state_is(tmp_path: Path) -> None:
    """And a reload keeps its figures."""
    (tmp_path / "bot.yaml").write_text(BOT)
    (tmp_path / "inbox").mkdir()
    argv = ("run", "bot.yaml", "--listen", "127.0.0.1:0", "--state-dir", "elsewhere")
    with Program(tmp_path, *argv) as program:
        program.until(lambda: "running: " in program.output)
        where = ("bot.yaml", "--state-dir", "elsewhere")
        assert limpet(tmp_path, "dead-letters", "retry", *where).stdout == "0 done, 0 left\n"
        write(tmp_path / "inbox" / "a", "5")
        program.until(lambda: status_of(program).behaviours[0].done == 1)
        assert limpet(tmp_path, "status", "bot.yaml").returncode == 0
        assert [one["name"] for one in top(tmp_path, "bot.yaml")] == ["bot"]
        program.signal("SIGHUP")
        program.until(lambda: status_of(program).counters["reloads"] == 1)
        assert status_of(program).behaviours[0].done == 1


def test_more_dead_letters_than_a_request_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They go in several, and the numbers are summed up."""
    asked: list[int] = []

    def act(_record: Record, _action: str, idents: list[str]) -> dict[str, int]:
        asked.append(len(idents))
        return {"done": len(idents), "failed": 0, "not_asked": 1200 - len(idents)}

    record = Record(address="x", pid=7, program="run", name="n", instance="i")
    (tmp_path / "lock").write_text("7\n")
    monkeypatch.setattr(_ask_running, "record_in", lambda _: record)
    monkeypatch.setattr(_ask_running, "act", act)
    found = _ask_running.ask_running(tmp_path, "retry", [str(one) for one in range(1200)])
    assert asked == [500, 500, 200]
    assert (found["done"], found.get("not_asked", 0)) == (1200, 0)
    assert _ask_running.ask_running(tmp_path, "retry", []) == {}
    monkeypatch.setattr(_ask_running, "record_in", lambda _: dataclasses.replace(record, pid=8))
    with pytest.raises(UsageError, match="--listen"):
        _ask_running.ask_running(tmp_path, "retry", ["a"])


async def _status_twice(state: Path) -> tuple[int, int]:
    runner = Runner([MemoryIO(), behaviour(text_of, name="b")], RunOptions(state_dir=state))
    async with runner:
        (state / "dead-letters.jsonl").write_text("")
        reads = 0
        original = runner.dead_letters

        async def count() -> Any:
            nonlocal reads
            reads += 1
            return await original()

        runner.dead_letters = count  # type: ignore[method-assign]
        for _ in range(5):
            await runner.shown.refresh()
        first = reads
        with (state / "dead-letters.jsonl").open("a") as file:
            file.write("{}\n")
        await runner.shown.refresh()
        return first, reads


def test_dead_letters_are_read_when_they_change(tmp_path: Path) -> None:
    """Not for each snapshot: there may be many."""
    assert asyncio.run(_status_twice(tmp_path / "state")) == (1, 2)


def test_the_next_start_listens_at_the_same_port(tmp_path: Path) -> None:
    """And has the same token, so that a page which is open goes on."""
    (tmp_path / "bot.yaml").write_text(BOT)
    (tmp_path / "inbox").mkdir()
    found = []
    for _ in range(2):
        with Program(tmp_path, "run", "bot.yaml", "--listen", "127.0.0.1:0") as program:
            program.until(lambda: "running: " in program.output)
            found.append(program.output.partition("status at ")[2].split()[0])
            program.signal("SIGTERM")
            assert program.end() == 0
    assert found[0] == found[1]


def test_health_is_an_exit_code(tmp_path: Path) -> None:
    """Degraded and failing have codes of their own; the worst counts."""
    (tmp_path / "bot.yaml").write_text(BOT)
    (tmp_path / "inbox").mkdir()
    with Program(tmp_path, "run", "bot.yaml", "--listen", "127.0.0.1:0") as program:
        program.until(lambda: "running: " in program.output)
        assert limpet(tmp_path, "status").returncode == 0
        program.process.send_signal(signal.SIGSTOP)
        assert limpet(tmp_path, "status").returncode == 4  # it does not answer
        program.process.send_signal(signal.SIGCONT)
        until_sync(lambda: limpet(tmp_path, "status").returncode == 0)


@pytest.mark.parametrize("kind", ["watch", "follow", "inbox"])
def test_each_command_that_goes_on_shows_itself(tmp_path: Path, kind: str) -> None:
    """What it watches, and the last things that happened; it is found by its path."""
    (tmp_path / "in").mkdir()
    (tmp_path / "log").write_text("a\n")
    more = {
        "watch": ["in"],
        "follow": ["log"],
        "inbox": ["in", "--done", "done", "--failed", "failed", "--settle", "0", "--attempts", "2",
                  "--backoff", "0.01"],
    }[kind]  # fmt: skip
    argv = [kind, *more, "--listen", "127.0.0.1:0"]
    argv += ["--exec", "grep", "-q", "good", "{}"] if kind == "inbox" else []
    with Program(tmp_path, *argv) as program:
        program.until(lambda: "status at http://" in program.output)
        write(tmp_path / "in" / "good", "good")
        write(tmp_path / "in" / "bad", "bad")
        with (tmp_path / "log").open("a") as file:
            file.write("b\nc\n")
        status = status_of(program)
        assert (status.program, status.pid, status.health) == (kind, program.process.pid, "ok")
        address = f"http://127.0.0.1:{program.output.partition('127.0.0.1:')[2].split('/')[0]}"
        if kind == "watch":
            program.until(lambda: status_of(program).events >= 2)
            (watch,) = status_of(program).watches
            assert (watch.name, watch.place) == ("in", str(tmp_path / "in"))
            assert watch.backend
        elif kind == "follow":
            program.until(lambda: status_of(program).events >= 2)
            (follow,) = status_of(program).follows
            assert (follow.lag_bytes, follow.gaps, follow.files) == (0, 0, 1)
        else:
            program.until(lambda: status_of(program).inboxes[0].failed == 1)
            program.until(lambda: status_of(program).inboxes[0].done == 1)
            assert status_of(program).inboxes[0].retried == 1
            program.until(
                lambda: (
                    {"retry", "failed", "done"}
                    <= {one["what"] for one in fetch_happenings(address, limit=100)}
                )
            )
        happened = fetch_happenings(address, limit=100)
        assert happened
        assert all("path" in one for one in happened)
        assert "good" not in json.dumps([one.get("text") for one in happened])
        assert limpet(tmp_path, "status").returncode == 0
        program.signal("SIGTERM")
        program.end()
    assert limpet(tmp_path, "status").returncode == 4


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no unix sockets")
def test_a_unix_socket(tmp_path: Path) -> None:
    """It is asked by its path, and its socket is gone at the end."""
    with Program(tmp_path, "watch", str(tmp_path), "--listen", "unix:sock") as program:
        program.until(lambda: "status at unix:" in program.output)
        assert fetch_status(f"unix:{tmp_path / 'sock'}").program == "watch"
        assert limpet(tmp_path, "status", f"unix:{tmp_path / 'sock'}").returncode == 0
        program.signal("SIGTERM")
        program.end()
    assert not (tmp_path / "sock").exists()


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "x", "unix:", "127.0.0.1:99999", "example.org:80"])
@pytest.mark.parametrize("kind", ["run", "watch", "follow", "inbox", "agent"])
def test_a_wrong_address_is_refused(tmp_path: Path, kind: str, listen: str) -> None:
    """With exit code 2, and nothing is left of what was started."""
    (tmp_path / "bot.yaml").write_text(BOT)
    (tmp_path / "agent.yaml").write_text(
        "host: web01\nspool: {path: spool}\nhub: {url: 'nats://127.0.0.1:1'}\n"
    )
    words = {
        "run": ["bot.yaml"], "agent": ["agent.yaml"], "watch": ["."], "follow": ["bot.yaml"],
        "inbox": ["in", "--delete", "--failed", "failed"],
    }[kind]  # fmt: skip
    argv = [kind, *words, "--listen", listen]
    argv += ["--exec", "true"] if kind == "inbox" else []
    done = limpet(tmp_path, *argv)
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr
    assert listen in done.stderr


def test_the_metrics_of_a_bot(tmp_path: Path) -> None:
    """In Prometheus' text format, with what its conventions want."""
    (tmp_path / "bot.yaml").write_text(BOT)
    (tmp_path / "inbox").mkdir()
    with Program(tmp_path, "run", "bot.yaml", "--listen", "127.0.0.1:0") as program:
        program.until(lambda: "running: " in program.output)
        write(tmp_path / "inbox" / "a", "5")
        program.until(lambda: status_of(program).behaviours[0].done == 1)
        port = int(program.output.partition("127.0.0.1:")[2].partition("/")[0])
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    for name in ("limpet_events_total", "limpet_behaviour_done_total"):
        assert f"# TYPE {name} counter" in text


def test_an_agent_without_a_hub(tmp_path: Path) -> None:
    """It is degraded, says why, and is found by the folder of its spool."""
    pytest.importorskip("nats")
    (tmp_path / "in").mkdir()
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "token").write_text("another program's\n")
    (tmp_path / "state" / "token").chmod(0o600)
    (tmp_path / "agent.yaml").write_text(
        "host: web01\nspool: {path: state/spool}\nhub: {url: 'nats://127.0.0.1:1'}\n"
        "watch: [{name: in, path: in}]\n"
    )
    with Program(tmp_path, "agent", "agent.yaml", "--listen", "127.0.0.1:0") as program:
        program.until(lambda: "status at" in program.output)
        program.until(lambda: [one for one in status_of(program).watches if one.backend])
        (tmp_path / "in" / "a").touch()

        def is_degraded() -> bool:
            status = status_of(program)
            return status.spool is not None and status.spool.waiting == 1

        program.until(is_degraded)
        program.until(lambda: status_of(program).health == "degraded")
        assert limpet(tmp_path, "status", "web01").returncode == 1
        done = limpet(tmp_path, "status", "state")
        assert done.returncode == 1
        assert "nats://127.0.0.1:1" in done.stdout
        assert top(tmp_path, "state")[0]["program"] == "agent"
        assert (tmp_path / "state" / "token").read_text() == "another program's\n"
        names = {path.name for path in (tmp_path / "state").iterdir()}
        assert {"spool.listen.json", "spool.token"} <= names
        program.signal("SIGTERM")
        assert program.end() == 0, program.output
