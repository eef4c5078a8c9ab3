"""``StatusServer``: where it listens, what it answers, and what a busy program changes."""

from __future__ import annotations

import asyncio
import gc
import http.client
import logging
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import anyio
import pytest
import trio
from prometheus_client import Metric

from limpet import _require_extra
from limpet.errors import MissingExtraError, UsageError
from limpet.status import status_from_wire
from limpet.web import StatusServer, _feed
from limpet.web._address import parse
from tests.cli.fakes import renamed
from tests.waiting import PATIENCE, until, until_sync
from tests.web.fakes import HOSTILE, Changed, FakeProgram
from tests.web.serving import Listener, Served, plain, read_all

needs_unix_sockets = pytest.mark.skipif(
    not hasattr(socket, "AF_UNIX"), reason="there are no Unix sockets"
)
INVOICE = "/srv/in/2026-11/rechnung-10443.csv"


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """One for the tests that change nothing."""
    with Served() as found:
        yield found


async def opened(listen: str, **options: object) -> str:
    server = StatusServer(FakeProgram(), listen, **options)  # type: ignore[arg-type]
    try:
        await server.start()
        return server.address
    finally:
        await server.aclose()


@pytest.mark.parametrize(
    ("listen", "begin"),
    [
        ("127.0.0.1:0", "http://127.0.0.1:"),
        ("localhost:0", "http://127.0.0.1:"),
        ("0", "http://127.0.0.1:"),
        ("[::1]:0", "http://[::1]:"),
        ("127.9.9.9:0", "http://127.9.9.9:"),
    ],
)
def test_forms_of_an_address(listen: str, begin: str) -> None:
    """An IP address with a port, ``localhost``, or a port alone."""
    assert asyncio.run(opened(listen)).startswith(begin)


@pytest.mark.parametrize(
    "listen",
    ["", ":", "x", "0.0.0.0:0", "[::]:0", "192.0.2.1:9", "example.org:80", "127.0.0.1", "unix:",
     "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:٣", "127.0.0.1:0000000070000", "::1:x",
     ":9000", "unix:a\0b", "1e3"],
)  # fmt: skip
def test_a_bad_address_is_refused_at_the_start(listen: str) -> None:
    """Also one that other machines could connect to."""
    server = StatusServer(FakeProgram(), listen)
    with pytest.raises(UsageError):
        asyncio.run(server.start())
    asyncio.run(server.aclose())


def test_a_taken_port_is_an_oserror(served: Served) -> None:
    """Its message names the address."""
    with pytest.raises(OSError, match=f"127.0.0.1:{served.port}"):
        asyncio.run(opened(f"127.0.0.1:{served.port}"))


def test_the_preferred_port_is_taken_if_it_is_free(served: Served) -> None:
    """So that a page survives a restart; a taken one is no error."""
    with Served() as other:
        free = other.port
    assert asyncio.run(opened("127.0.0.1:0", preferred_port=free)).endswith(f":{free}")
    taken = asyncio.run(opened("127.0.0.1:0", preferred_port=served.port))
    assert not taken.endswith(f":{served.port}")


@needs_unix_sockets
def test_a_unix_socket(tmp_path: Path) -> None:
    """Of its owner alone; a left-over one is replaced, one that answers is not, nor a file."""
    path = tmp_path / "bot.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with Served(f"unix:{path}") as found:
        assert found.url == f"unix:{path}"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(path))
            connection = http.client.HTTPConnection("localhost", timeout=PATIENCE)
            connection.sock = sock
            connection.request("GET", "/health")
            answer = connection.getresponse()
            assert (answer.status, answer.read()[:9]) == (200, b'{"status"')
        with pytest.raises(UsageError, match="another program"):
            asyncio.run(opened(f"unix:{path}"))
        assert path.exists()
    assert not path.exists()
    path.write_text("mine")
    with pytest.raises(UsageError, match="something else"):
        asyncio.run(opened(f"unix:{path}"))
    with pytest.raises(UsageError, match="shorter"):
        asyncio.run(opened(f"unix:{tmp_path / ('x' * 200)}"))
    assert path.read_text() == "mine"


def test_a_socket_of_windows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are no Unix sockets, the error says what to give instead."""
    monkeypatch.delattr(socket, "AF_UNIX", raising=False)
    with pytest.raises(UsageError, match="no Unix sockets here; give a port"):
        parse("unix:bot.sock")


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.setattr(_require_extra, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'limpet\[web\]'"):
        StatusServer(FakeProgram(), "127.0.0.1:0")


def test_the_token_file(tmp_path: Path) -> None:
    """Made with mode 0600, and used again; one that others could read is refused."""
    file = tmp_path / "token"
    with Served(token_file=file) as found:
        token = found.server.token
    assert file.read_text().strip() == token
    with Served(token_file=file) as found:
        assert found.server.token == token
    file.write_text("short")
    with pytest.raises(UsageError, match="20 to 200"):
        asyncio.run(opened("127.0.0.1:0", token_file=file))
    if (
        hasattr(stat, "S_ISSOCK")
        and hasattr(file, "chmod")
        and stat.S_IMODE(tmp_path.stat().st_mode) != 0o777
    ):  # where there are permission bits
        file.write_text(token)
        file.chmod(0o644)
        with pytest.raises(UsageError, match="chmod 600"):
            asyncio.run(opened("127.0.0.1:0", token_file=file))


def test_without_a_file_each_start_has_another_token() -> None:
    """And a long one."""
    with Served() as one, Served() as other:
        assert one.server.token != other.server.token
        assert len(one.server.token) >= 40


def test_health(served: Served) -> None:
    """``ok`` or ``degraded`` is 200; the parts are named."""
    found = served.get("/health")
    assert (found.status, found.json["status"]) == (200, "degraded")
    assert served.get("/healthz").json["state"] == "running"
    assert found.json["inputs"]["inbox"] == "fanotify"
    assert found.json["failures"] == {
        "mirror": "the output is read-only: the disk has no space left"
    }
    assert found.json["queued"] == 3 + 4 + 37 + 2
    assert found.json["behaviours"]["import invoices"] == {"queued": 4, "active": 2}
    assert found.json["dead_letters"] == 3


def test_health_of_what_fails_is_503() -> None:
    """So that a probe finds it."""
    with Served() as found:
        found.run(lambda: found.program.change(health="failing"))
        assert found.get("/health").status == 503


def test_status_is_the_snapshot(served: Served) -> None:
    """As ``status_from_wire`` reads it."""
    found = served.get("/api/v1/status")
    assert found.headers["content-type"] == "application/json"
    assert status_from_wire(found.json).behaviours == served.program.base.behaviours
    assert found.json["stalled_s"] == 0


def test_the_history_grows(served: Served) -> None:
    """A point a second, with totals."""

    def points() -> list[dict[str, float]]:
        return served.get("/api/v1/history").json["points"]  # type: ignore[no-any-return]

    until_sync(lambda: len(points()) >= 2)
    assert points()[0]["done"] == 31_007 + 16_981 + 411 + 904
    assert points()[0]["time"] < points()[1]["time"]


def test_happenings_after_a_number(served: Served) -> None:
    """The newest, and how many are left out."""
    found = served.get("/api/v1/happenings?limit=3").json
    assert [one["number"] for one in found["items"]] == [
        found["number"] - 2, found["number"] - 1, found["number"],
    ]  # fmt: skip
    assert found["left_out"] == found["number"] - 3
    later = served.get(f"/api/v1/happenings?after={found['number']}").json
    assert (later["items"], later["left_out"]) == ([], 0)


def test_the_story_of_a_path(served: Served) -> None:
    """All about it, and about what is below it."""
    story = served.get(f"/api/v1/happenings?path={INVOICE}").json["items"]
    assert [one["what"] for one in story] == ["event", "retry", "retry", "failed"]
    below = served.get("/api/v1/happenings?path=/srv/in/&limit=1000").json["items"]
    assert {one["path"].rpartition("/")[0] for one in below} == {"/srv/in/2026-11"}
    assert served.get("/api/v1/happenings?path=/srv/i").json["items"] == []
    assert len(served.get("/api/v1/happenings?path=/&limit=1000").json["items"]) > len(below)


def test_a_rename_belongs_to_both_stories() -> None:
    """What was renamed away is found under its old name."""
    event = renamed("a/old", "b/new", Path("/srv"))
    with Served() as found:
        found.run(lambda: found.program.happenings.add("event", event, "inbox"))
        for path in ("/srv/a/old", "/srv/b/new", "/srv/a", "/srv/b/"):
            asked = quote(str(Path(path)))
            (one,) = found.get(f"/api/v1/happenings?path={asked}").json["items"]
            assert (one["source"], one["path"]) == (str(event.source), str(event.path))


def test_dead_letters(served: Served) -> None:
    """The list, the story of one, and none."""
    newest = served.get("/api/v1/dead-letters").json["dead_letters"]["newest"]
    assert newest[0]["about"] == INVOICE
    story = served.get(f"/api/v1/dead-letters/{newest[0]['id']}").json
    assert "parse_total" in story["error"]["traceback"]
    assert served.get("/api/v1/dead-letters/nothing").code == "missing"


def test_a_dead_letter_of_a_name_that_is_no_text() -> None:
    """It is escaped as in snapshots, so that the page can ask for the story of that path."""
    with Served() as found:
        found.program.letters["odd"] = {"event": {"path": "a\udcffb"}}
        assert found.get("/api/v1/dead-letters/odd").json["event"]["path"] == "a\\udcffb"


def test_retry_and_discard() -> None:
    """With the token; what is not there is a typed error."""
    with Served() as found:
        first, second, third = list(found.program.letters)
        assert found.post("/api/v1/dead-letters/retry", {"ids": [first, first]}).json == {
            "result": {"done": 1}
        }
        assert found.post("/api/v1/dead-letters/discard", {"ids": [second]}).json == {
            "discarded": 1
        }
        again = found.post("/api/v1/dead-letters/retry", {"ids": [first]})
        assert (again.status, again.code) == (404, "usage")
        assert list(found.program.letters) == [third]


def test_a_retry_that_takes_long_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The request is answered before; closing the server ends what goes on."""
    from limpet.web import _app

    monkeypatch.setattr(_app, "ACT_S", 0.05)
    with Served() as found:
        found.program.blocks = found.run(asyncio.Event)
        ident = next(iter(found.program.letters))
        answer = found.post("/api/v1/dead-letters/retry", {"ids": [ident]})
        assert (answer.status, answer.json) == (202, {"pending": True})
        found.run(found.program.blocks.set)
        until_sync(lambda: found.program.retried == [[ident]])
        found.program.blocks = found.run(asyncio.Event)
        for _ in range(8):
            found.post("/api/v1/dead-letters/retry", {"ids": list(found.program.letters)})
        busy = found.post("/api/v1/dead-letters/retry", {"ids": list(found.program.letters)})
        assert (busy.status, busy.code) == (429, "busy")


def test_a_program_that_is_blocked_still_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the last snapshot, marked; the health fails, and mends by itself."""
    monkeypatch.setattr(_feed, "PATIENCE_S", 0.2)
    with Served() as found:
        found.get("/api/v1/status")
        held = threading.Event()
        found.loop.call_soon_threadsafe(held.wait, PATIENCE)
        try:
            until_sync(lambda: found.get("/health").status == 503)  # not of a snapshot just before
            health = found.get("/health")
            assert (health.status, health.json["status"]) == (503, "failing")
            assert "the event loop has not answered for" in health.json["failures"]["event loop"]
            status = found.get("/api/v1/status").json
            assert (status["name"], status["health"]) == ("invoices", "failing")
            assert status["stalled_s"] > 0
            assert found.get("/api/v1/happenings").json["items"] == []
        finally:
            held.set()
        until_sync(lambda: found.get("/health").status == 200)


def test_a_snapshot_that_fails_is_a_problem_not_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last one is shown."""
    with Served() as found:

        def fail() -> None:
            raise ZeroDivisionError("no rate")

        monkeypatch.setattr(found.program, "status", fail)
        until_sync(lambda: found.get("/health").status == 503)  # not of a snapshot just before
        health = found.get("/health")
        assert health.status == 503
        assert "ZeroDivisionError: no rate" in health.json["failures"]["status"]
        monkeypatch.undo()
        until_sync(lambda: found.get("/health").status == 200)


def test_the_stream_goes_on_where_it_was() -> None:
    """By the id of the last event; of another start of the program it begins again."""
    with Served() as found:
        with Listener(found) as client:
            client.until(
                lambda one: {each["event"] for each in one.events} >= {"status", "happenings"}
            )
            last = next(one["id"] for one in reversed(client.events) if "id" in one)
        assert last.startswith("9f31c2-")
        found.run(lambda: found.program.happenings.add("event", Changed("/new"), "inbox"))
        with Listener(found, Last_Event_ID=last) as client:
            (batch,) = client.until(lambda one: one.batches).batches
        assert [one["path"] for one in batch["items"]] == ["/new"]
        for other in ("another-3", "9f31c2-x", "9f31c2-99999999999999999999", "-"):
            with Listener(found, f"?after={other}") as client:
                first = client.until(lambda one: one.batches).batches[0]
            assert len(first["items"]) > 20, other


def test_a_flood_is_cut_and_counted() -> None:
    """At most 200 at a time, the newest, and how many are missing."""
    with Served() as found, Listener(found) as client:
        client.until(lambda one: one.batches)

        def flood() -> None:
            for number in range(4000):
                found.program.happenings.add("event", Changed(f"/{number}"), "inbox")

        found.run(flood)
        client.until(lambda one: any(batch["left_out"] for batch in one.batches))
        (batch,) = (one for one in client.batches if one["left_out"])
        assert (batch["left_out"], len(batch["items"])) == (3800, 200)
        assert batch["items"][-1]["path"] == "/3999"


def test_hostile_names_are_json(served: Served) -> None:
    """Each as it is, but for what no encoding holds."""
    with Served() as found:
        for name in HOSTILE:
            found.run(lambda name=name: found.program.happenings.add("event", Changed(name)))  # type: ignore[misc]
        items = found.get(f"/api/v1/happenings?limit={len(HOSTILE)}").json["items"]
        wanted = [name.replace("\udcff\udc80", "\\udcff\\udc80") for name in HOSTILE]
        assert [one["path"] for one in items] == wanted


def test_one_that_cannot_be_shown_does_not_stop_the_others() -> None:
    """Its text says so."""

    class Poison:
        def __str__(self) -> str:
            raise ValueError

    with Served() as found:
        found.run(lambda: found.program.happenings.add("event", Poison()))
        found.run(lambda: found.program.happenings.add("event", "after"))
        items = found.get("/api/v1/happenings?limit=2").json["items"]
        assert [one["text"] for one in items] == ["cannot be shown: ValueError", "after"]


def test_clients_of_the_stream_are_bounded() -> None:
    """One more is refused with 503, and closing does not wait for them."""
    with Served() as found:
        clients = [Listener(found) for _ in range(16)]
        for client in clients:
            client.until(lambda one: one.events)
        assert found.get("/api/v1/stream").code == "too-many"
        clients.pop().sock.close()

        def is_taken() -> bool:
            with Listener(found) as client:
                return b" 200 " in client.sock.recv(100)

        until_sync(is_taken)
    for client in clients:
        read_all(client.sock)  # the server has closed it
        client.sock.close()


def test_nothing_is_left_after_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """No thread and no socket; nothing was logged."""
    with caplog.at_level(logging.DEBUG):
        before = set(threading.enumerate())
        with Served() as found:
            port = found.port
            found.get("/")
            found.raw(b"nonsense\r\n\r\n")
        assert not set(threading.enumerate()) - before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    assert [one for one in caplog.records if one.name.startswith(("uvicorn", "limpet"))] == []


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no unix sockets")
def test_a_connection_that_comes_at_the_end_is_closed(tmp_path: Path) -> None:
    """asyncio forgets one that it has accepted for a server which is closed a turn later."""
    path = str(tmp_path / "sock")

    def connect(delay: float) -> None:
        time.sleep(delay)
        with suppress(OSError), socket.socket(socket.AF_UNIX) as sock:
            sock.connect(path)

    async def main(delay: float) -> None:
        server = StatusServer(FakeProgram(), f"unix:{path}")
        await server.start()
        threads = [threading.Thread(target=connect, args=(delay,)) for _ in range(3)]
        for one in threads:
            one.start()
        await asyncio.sleep(0.003)
        await server.aclose()
        for one in threads:
            one.join()

    for number in range(150):
        asyncio.run(main(number % 30 * 0.0003))
    gc.collect()  # what is left open warns, and a warning is an error here


def test_a_program_on_trio() -> None:
    """It is asked there, too; acts run there."""

    async def main() -> None:
        program = FakeProgram()
        async with StatusServer(program, "127.0.0.1:0") as server:
            found = Served()
            found.server = server
            answer = await trio.to_thread.run_sync(lambda: found.get("/health"))
            assert answer.status == 200
            ids = list(program.letters)
            retried = await trio.to_thread.run_sync(
                lambda: found.post("/api/v1/dead-letters/retry", {"ids": ids})
            )
            assert retried.json == {"result": {"done": 3}}
            missing = await trio.to_thread.run_sync(
                lambda: found.post("/api/v1/dead-letters/retry", {"ids": ids})
            )
            assert missing.status == 404

    trio.run(main)


def test_a_start_that_is_cancelled_leaves_nothing() -> None:
    """Neither the socket nor the thread."""

    async def main() -> None:
        before = set(threading.enumerate())
        server = StatusServer(FakeProgram(), "127.0.0.1:0")
        task = asyncio.create_task(server.start())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.aclose()
        await until(lambda: not set(threading.enumerate()) - before)

    asyncio.run(main())


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_a_close_that_is_cancelled_leaves_nothing(loop: str, tmp_path: Path) -> None:
    """As at Ctrl-C: the thread has ended, and the cancellation goes on."""
    seen: list[set[threading.Thread]] = []
    listen = f"unix:{tmp_path / 's'}" if hasattr(socket, "AF_UNIX") else "127.0.0.1:0"

    async def main() -> None:
        before = set(threading.enumerate())
        server = StatusServer(FakeProgram(), listen)
        with anyio.CancelScope() as scope:
            async with server:
                scope.cancel()
                await anyio.sleep_forever()
        assert scope.cancelled_caught
        seen.append({one for one in threading.enumerate() if one.is_alive()} - before)

    anyio.run(main, backend=loop)
    assert [{one.name for one in found} & {"limpet-web"} for found in seen] == [set()]
    assert list(tmp_path.iterdir()) == []


def test_metrics(served: Served) -> None:
    """Prometheus reads them; the program's own metrics come after limpet's."""
    from prometheus_client.parser import text_string_to_metric_families

    found = served.get("/metrics")
    assert found.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {one.name: one for one in text_string_to_metric_families(found.body.decode())}
    assert all(one.documentation for one in families.values())
    behaviour = families["limpet_behaviour_done"]
    assert {one.labels["behaviour"]: one.value for one in behaviour.samples} == {
        "import invoices": 31_007, "file scans": 16_981, "mirror to NAS": 411,
    }  # fmt: skip
    (refused,) = (
        one for one in families["limpet_output_refusals"].samples
        if one.labels == {"output": "mirror", "code": "no-space"}
    )  # fmt: skip
    assert refused.value == 37
    ages = families["limpet_event_done_age_seconds"].samples
    buckets = [one.value for one in ages if one.name.endswith("_bucket")]
    assert buckets == [20_000, 45_000, 47_700, 47_980, 47_988]
    assert families["limpet_bot_done"].samples[0].value == 48_399
    assert "python_info" in families


def test_behaviours_may_share_a_name() -> None:
    """A metric has one value for it: Prometheus takes no two."""
    with Served() as found:
        twice = found.program.base.behaviours[:1] * 2
        found.run(lambda: found.program.change(behaviours=twice))
        lines = found.get("/metrics").body.decode().splitlines()
        assert [one for one in lines if one.startswith("limpet_behaviour_done_total{")] == [
            'limpet_behaviour_done_total{behaviour="import invoices"} 62014.0'
        ]


def test_a_counter_that_is_called_as_a_metric_is_left_out() -> None:
    """Prometheus takes no name twice."""
    with Served() as found:
        found.run(lambda: found.program.change(program="watch", counters={"events": 7, "odd-": 1}))
        lines = found.get("/metrics").body.decode().splitlines()
        names = [one.split()[2] for one in lines if one.startswith("# TYPE")]
        assert len(names) == len(set(names))
        assert "limpet_watch_odd__total 1.0" in lines
        assert not [one for one in lines if one == "limpet_watch_events_total 7.0"]


def test_a_collector_that_hangs_or_fails() -> None:
    """The rest of the server answers, and it ends; a failure leaves out the program's own part."""
    from prometheus_client import REGISTRY
    from prometheus_client.registry import Collector

    held = threading.Event()

    class Hanging(Collector):
        def collect(self) -> list[Metric]:
            assert held.wait(PATIENCE)
            raise ZeroDivisionError

        def describe(self) -> list[Metric]:
            return []

    collector = Hanging()
    REGISTRY.register(collector)
    try:
        with Served() as found, found.connect() as sock:
            sock.sendall(f"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:{found.port}\r\n\r\n".encode())
            until_sync(lambda: any(one.name == "limpet-metrics" for one in threading.enumerate()))
            assert found.get("/health").status == 200
        assert not held.is_set()  # the server has ended all the same
        held.set()
        with Served() as found:
            text = found.get("/metrics").body
            assert b"limpet_health" in text
            assert b"python_info" not in text
    finally:
        held.set()
        REGISTRY.unregister(collector)


def test_numbers_without_end_are_null() -> None:
    """JSON has none, and a browser would refuse all of it."""
    with Served() as found:
        found.run(lambda: found.program.change(events_per_minute=float("inf")))
        answer = found.get("/api/v1/status")
        assert b"Infinity" not in answer.body
        assert answer.json["events_per_minute"] is None


def test_a_chunked_answer_is_read_by_the_helper() -> None:
    """The helper of these tests can fail."""
    assert plain(b"head\r\n\r\n3\r\nabc\r\n2\r\nde\r\n") == "abcde"
