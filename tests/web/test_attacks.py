"""What a page from elsewhere, or a hostile client, may try: none of it passes."""

from __future__ import annotations

import json
import logging
import re
import socket
from collections.abc import Iterator

import pytest

from limpet.web import _http_server
from limpet.web._address import Address
from limpet.web._gate import Gate, Request
from limpet.web._http import HEADERS
from tests.waiting import until_sync
from tests.web.serving import Answer, Served, read_all

RETRY = "/api/v1/dead-letters/retry"


@pytest.fixture
def served() -> Iterator[Served]:
    with Served() as found:
        yield found


def nothing_was_done(found: Served) -> bool:
    return not found.program.retried and not found.program.discarded


@pytest.mark.parametrize("path", ["/", "/health", "/metrics", "/api/v1/status", "/static/page.js"])
def test_a_rebound_name_is_refused(served: Served, path: str) -> None:
    """Whatever it asks for: the Host header has the name of the attacker."""
    port = served.port
    for host in (
        "evil.example", f"evil.example:{port}", f"127.0.0.1.evil.example:{port}",
        f"localhost.:{port}", f"127.0.0.1:{port + 1}", "127.0.0.1", "localhost", f"[::2]:{port}",
        f"127.0.0.1@evil:{port}", f"evil#127.0.0.1:{port}", f"0x7f000001:{port}", "", f":{port}",
    ):  # fmt: skip
        assert (host, served.get(path, Host=host).status) == (host, 421)
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"LOCALHOST:{port}", f"[::1]:{port}"):
        assert served.get(path, Host=host).status == 200
    missing = served.raw(b"GET / HTTP/1.0\r\n\r\n")
    assert b" 421 " in missing.splitlines()[0]
    twice = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nHost: evil\r\n\r\n"
    assert b" 400 " in served.raw(twice.encode()).splitlines()[0]


@pytest.mark.parametrize(
    "kind",
    ["application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data",
     "", "application/json; charset=utf-8", "text/plain; application/json"],
)  # fmt: skip
def test_a_page_from_elsewhere_cannot_act(served: Served, kind: str) -> None:
    """Of whatever content type: not even with the session's cookie, which browsers keep back."""
    session = served.post("/api/v1/session", {"token": served.server.token}, token="")
    cookie = session.headers["set-cookie"].partition(";")[0]
    body = json.dumps({"ids": list(served.program.letters)}).encode()
    csrf = session.json["csrf"]
    port = served.port
    own = f"http://127.0.0.1:{port}"
    tried = [
        {"Origin": "http://evil.example", "X-Limpet-CSRF": csrf},
        {"Origin": "null", "X-Limpet-CSRF": csrf},
        {"Origin": f"http://127.0.0.1:{port + 1}", "X-Limpet-CSRF": csrf},
        {"Origin": f"http://localhost:{port}", "X-Limpet-CSRF": csrf},
        {"Origin": f"https://127.0.0.1:{port}", "X-Limpet-CSRF": csrf},
        {"Origin": own, "Sec-Fetch-Site": "same-site", "X-Limpet-CSRF": csrf},
        {"Origin": own, "Sec-Fetch-Site": "cross-site", "X-Limpet-CSRF": csrf},
        {"Sec-Fetch-Site": "none", "X-Limpet-CSRF": csrf},
        {"Origin": own},
        {"Origin": own, "X-Limpet-CSRF": "1"},
        {},
    ]
    for headers in tried:
        given = {"Cookie": cookie, "Content-Type": kind, **headers}
        answer = served.ask("POST", RETRY, body, given)
        assert answer.status in {403, 415}, headers
        assert "access-control-allow-origin" not in answer.headers
    assert nothing_was_done(served)


def test_what_is_asked_before_is_refused() -> None:
    """A preflight gets no permission, and no other method is taken."""
    with Served() as found:
        asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
        for method in ("OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "FOO"):
            answer = found.ask(method, RETRY, None, asked)
            assert answer.status == 405
            assert not [key for key in answer.headers if key.startswith("access-control")]
        assert found.get("/api/v1/session").status == 405
        assert found.get(RETRY).status == 404  # as the story of a dead letter that is none


@pytest.mark.parametrize("path", ["/api/v1/status", "/api/v1/stream", "/static/page.js"])
def test_a_page_from_elsewhere_cannot_load_it(served: Served, path: str) -> None:
    """Neither as a script nor as a picture; a link that somebody follows is no such thing."""
    for site in ("cross-site", "same-site"):
        headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
        assert served.get(path, **headers).status == 403
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert served.get("/", **headers).status == 200


def test_acting_needs_the_token(served: Served) -> None:
    """A wrong one, an empty one, half of one: each is refused, and none is named in the answer."""
    ids = {"ids": list(served.program.letters)}
    token = served.server.token
    for wrong in ("x", token[:-1], token + "x", token.swapcase(), "é" * 10):
        answer = served.ask(
            "POST", RETRY, json.dumps(ids).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {wrong}"},
        )  # fmt: skip
        assert (answer.status, answer.code) == (401, "token")
        assert token not in answer.body.decode()
    assert served.post(RETRY, ids, token="").status == 401
    assert served.post(f"{RETRY}?token={token}", ids, token="").status == 401
    assert nothing_was_done(served)
    assert served.post(RETRY, ids).status == 200


def test_the_token_cannot_be_guessed(served: Served) -> None:
    """After ten wrong ones nobody is let in for a while; reading goes on."""
    for _ in range(10):
        assert served.post("/api/v1/session", {"token": "wrong"}, token="").status == 401
    answer = served.post("/api/v1/session", {"token": served.server.token}, token="")
    assert (answer.status, answer.code) == (429, "attempts")
    assert 0 < int(answer.headers["retry-after"]) <= 61
    assert served.post(RETRY, {"ids": list(served.program.letters)}).status == 429
    assert served.get("/health").status == 200
    assert nothing_was_done(served)


def test_after_a_minute_the_token_is_taken_again() -> None:
    now = [0.0]
    gate = Gate(Address("127.0.0.1", 9000), "t" * 40, clock=lambda: now[0])
    assert [gate.is_token("x") is None for _ in range(12)] == [False] * 12
    assert gate.is_token("t" * 40) is not None
    now[0] = 60.0
    assert gate.is_token("t" * 40) is None


def test_a_session_acts(served: Served) -> None:
    """The cookie is for this site alone, and no script reads it; with it goes a header."""
    session = served.post("/api/v1/session", {"token": served.server.token}, token="")
    cookie, *attributes = session.headers["set-cookie"].split("; ")
    assert set(attributes) == {"Path=/", "HttpOnly", "SameSite=Strict"}
    assert served.server.token not in session.headers["set-cookie"] + session.body.decode()
    assert cookie.startswith(f"limpet_{served.port}=")
    answer = served.post(
        RETRY, {"ids": list(served.program.letters)}, token="", Cookie=f"a=b; {cookie}",
        X_Limpet_CSRF=session.json["csrf"], Origin=served.url, Sec_Fetch_Site="same-origin",
    )  # fmt: skip
    assert answer.json == {"result": {"done": 3}}


@pytest.mark.parametrize(
    "path",
    ["/static/../_token.py", "/static/%2e%2e/_token.py", "/static/..%2f_token.py",
     "/static/%2e%2e%2f_token.py", "/static/..%5c_token.py", "/static/....//_token.py",
     "/static//etc/passwd", "/static/%2fetc%2fpasswd", "/static/page.js%00.css",
     "/static/page.js/..", "/static/", "/static", "/static/%c0%ae%c0%ae/_token.py", "//etc/passwd",
     "/static/..;/_token.py", "/static/C:%5cWindows%5cwin.ini", "/static/file:///etc/passwd",
     "/static/__init__.py", "/..%2f..%2fetc/passwd", "/static/Page.js", "/static/page.js/",
     "/api/v1/dead-letters/..%2f..%2fetc%2fpasswd", "/api/v1/dead-letters/%2e%2e",
     "/api/v1/dead-letters/a%00b", "/api/v1/dead-letters/" + "a" * 300],
)  # fmt: skip
def test_no_path_leads_to_a_file(served: Served, path: str) -> None:
    """In whatever spelling."""
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nConnection: close\r\n\r\n"
    answer = served.raw(head.encode())
    assert b" 404 " in answer.splitlines()[0] or b" 307 " in answer.splitlines()[0]
    assert b"root:" not in answer
    assert b"import" not in answer


def test_ids_are_ids(served: Served) -> None:
    """Nothing else reaches the program."""
    wrong: list[object] = [
        None, [], "a", {}, [1], [None], ["../x"], ["a/b"], ["a\\b"], ["\0"], [""], ["a"] * 501,
        [["a"]], ["\ud800"], ["C:x"], [".hidden"],
    ]  # fmt: skip
    for ids in wrong:
        answer = served.post(RETRY, {"ids": ids})
        assert (answer.status, answer.code) == (400, "ids"), ids
    for body in (b"", b"[]", b"1", b"nan", b"{", b"\xff", b"[" * 50_000):
        answer = served.ask(
            "POST", RETRY, body,
            {"Content-Type": "application/json", "Authorization": f"Bearer {served.server.token}"},
        )  # fmt: skip
        assert (answer.status, answer.code) == (400, "json"), body[:10]
    for query in ("after=-1", "after=x", "limit=1e3", "after=" + "9" * 40, "limit=٣"):
        assert served.ask("GET", f"/api/v1/happenings?{query.replace('٣', '%D9%A3')}").status == 400
    assert nothing_was_done(served)


def test_a_long_head_is_refused(served: Served) -> None:
    """More than 16 KiB are not read."""
    head = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nX: {'x' * 20_000}\r\n\r\n"
    assert b" 200 " not in served.raw(head.encode()).splitlines()[0]
    line = f"GET /{'x' * 20_000} HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n\r\n"
    assert b" 200 " not in served.raw(line.encode()).splitlines()[0]


def test_a_long_content_is_refused(served: Served) -> None:
    """More than 64 KiB, with a length or in chunks."""
    begin = (
        f"POST {RETRY} HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n"
        f"Content-Type: application/json\r\nAuthorization: Bearer {served.server.token}\r\n"
    )
    long = begin + f"Content-Length: {10**12}\r\n\r\n" + "x" * 1000
    assert b" 413 " in served.raw(long.encode()).splitlines()[0]
    chunk = "8000\r\n" + "x" * 0x8000 + "\r\n"
    chunked = begin + "Transfer-Encoding: chunked\r\n\r\n" + chunk * 40
    assert b" 413 " in (served.raw(chunked.encode()) or b" 413 ").splitlines()[0]
    assert nothing_was_done(served)


def test_a_client_that_goes_away_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    """Before its content has come: nothing is logged, whoever does it however often."""
    with Served() as found:
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", found.server.port)) as sock:
                head = (
                    f"POST /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1:{found.server.port}\r\n"
                    "Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{"
                )
                sock.sendall(head.encode())
        until_sync(lambda: found.get("/health").status == 200)
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]


def test_slow_requests_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that never ends holds a connection for a while only; one that is idle, too."""
    monkeypatch.setattr(_http_server, "HEAD_S", 0.2)
    with Served() as found:
        for begin in (b"", b"GET / HTTP/1.1\r\nHo", b"GET /health HTTP/1.1\r\n"):
            with found.connect() as sock:
                sock.sendall(begin)
                assert b" 200 " not in read_all(sock)  # it returns


def test_more_connections_than_are_taken(served: Served) -> None:
    """Further ones are closed at once; afterwards it goes on."""
    held = [served.connect() for _ in range(_http_server.MOST_CONNECTIONS)]
    for sock in held:
        sock.sendall(b"G")

    def is_refused() -> bool:
        with served.connect() as sock:
            sock.settimeout(0.3)
            try:
                return sock.recv(1) == b""
            except ConnectionError:
                return True
            except TimeoutError:
                return False

    until_sync(is_refused)
    for sock in held:
        sock.close()

    def answers() -> bool:
        try:
            return served.get("/health").status == 200
        except OSError:
            return False

    until_sync(answers)


def test_a_client_that_does_not_read_costs_no_memory(served: Served) -> None:
    """It misses what happens, and gets the number of what it missed; the others get it all."""
    with served.connect() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sendall(
            f"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n\r\n".encode()
        )
        slow.recv(100)

        def flood() -> None:
            for _ in range(300):
                served.program.happenings.add("event", "x" * 2000, "inbox")

        for _ in range(20):
            served.run(flood)
            assert served.get("/health").status == 200


@pytest.mark.parametrize(
    "path", ["/", "/static/page.js", "/health", "/metrics", "/api/v1/status", "/nothing"]
)
def test_every_answer_has_the_headers(served: Served, path: str) -> None:
    """Errors, too: no script from elsewhere, no frame, no guess of types, nothing stored."""
    answer = served.get(path)
    assert {key.lower(): value for key, value in HEADERS.items()}.items() <= answer.headers.items()
    assert "server" not in answer.headers
    refused: Answer = served.get(path, Host="evil")
    assert refused.headers["content-security-policy"].startswith("default-src 'none'")


def test_the_page_has_no_script_or_style_of_its_own(served: Served) -> None:
    """All comes from files, which the policy asks for."""
    text = served.get("/").body.decode()
    assert '<script type="module" src="/static/page.js"></script>' in text
    assert text.count("<script") == 1
    assert " style=" not in text
    assert "<style" not in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert not re.findall(r"\son\w+\s*=", text)


def test_other_machines_need_the_token_to_read() -> None:
    """Where they may connect at all; what is open is the page, which holds nothing."""
    with Served("0.0.0.0:0", allow_remote=True) as found:
        assert found.get("/").status == 200
        assert found.get("/static/page.css").status == 200
        for path in ("/health", "/metrics", "/api/v1/status", "/api/v1/stream", "/nothing"):
            assert found.get(path).status == 401
        token = found.server.token
        assert found.get("/health", Authorization=f"Bearer {token}").status == 200
        assert found.get("/", Host=f"evil.example:{found.port}").status == 421
        session = found.post("/api/v1/session", {"token": token}, token="")
        cookie = session.headers["set-cookie"].partition(";")[0]
        assert found.get("/api/v1/status", Cookie=cookie).status == 200
        assert found.get("/api/v1/status", Cookie=cookie[:-1]).code == "session"


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1:8000", "[::1]:1"])
def test_a_unix_socket_is_reached_through_any_port(name: str) -> None:
    """One that ssh forwards; a name from elsewhere is refused there, too."""
    gate = Gate(Address(path="/run/bot.sock"), "t" * 40)
    assert gate.check(Request("GET", "/", {"host": name})) is None
    refused = gate.check(Request("GET", "/", {"host": "evil.example:8000"}))
    assert refused is not None
    assert refused.status == 421
