"""Who may ask what: the Host header, other origins, the token, and how often it may be wrong.

A page from elsewhere can make a browser send requests to this machine. It cannot name another
``Host`` than its own (so a rebound DNS name is found), not leave out ``Origin`` with a POST, not
set a header of ours without being asked for it first (Fetch standard, "CORS protocol"), and not
read an answer, because no CORS header is ever sent.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from limpet.web._address import Address
from limpet.web._token import derived, is_same

_TRIES: Final = 10
"""Wrong tokens in a minute, of all clients together; then none is taken until it is over."""
_TRIES_S: Final = 60.0
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
OPEN: Final = ("/static/",)
"""What needs no token where reading does: the page itself, which holds nothing."""


class Refusal(NamedTuple):
    """Why a request is not answered."""

    status: int
    code: str
    message: str
    headers: tuple[tuple[str, str], ...] = ()


class Request(NamedTuple):
    """A request, as far as it is judged. The names of headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]

    def cookie(self, name: str) -> str:
        """Return a cookie, or nothing."""
        for one in self.headers.get("cookie", "").split(";"):
            key, _, value = one.strip().partition("=")
            if key == name:
                return value
        return ""


class Gate:
    """Judges requests to one address; used in one thread."""

    def __init__(
        self, address: Address, token: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Guard an address, whose port is known, with a token."""
        self._address, self._token, self._clock = address, token, clock
        self._session, self.csrf = derived(token, "session"), derived(token, "csrf")
        self._failures: deque[float] = deque()
        self.cookie = f"limpet_{address.port or 'unix'}"
        """Its name. Cookies do not know ports, so it has that of this one."""

    @property
    def set_cookie(self) -> str:
        """The header that makes a browser a session; it ends with the browser."""
        return f"{self.cookie}={self._session}; Path=/; HttpOnly; SameSite=Strict"

    def check(self, request: Request) -> Refusal | None:
        """Return why a request is refused; ``None`` lets it pass."""
        method, path, headers = request
        if method not in {"GET", "HEAD", "POST"}:
            allow = (("Allow", "GET, HEAD, POST"),)
            return Refusal(405, "method", f"{method} is not among GET, HEAD and POST", allow)
        if not self._is_host(headers.get("host", "")):
            text = "the Host header is not the address of this server; open it by {}".format(
                self._address.text if self._address.port else "localhost"
            )
            return Refusal(421, "host", text)
        site = headers.get("sec-fetch-site", "")
        if method == "POST":
            return self._check_post(request, site)
        if site in {"cross-site", "same-site"} and headers.get("sec-fetch-mode") != "navigate":
            return Refusal(403, "origin", "a page from elsewhere has asked for this")
        if not self._address.is_local and path != "/" and not path.startswith(OPEN):
            return self._check_token(request, reads=True)
        return None

    def is_token(self, given: str) -> Refusal | None:
        """Return why a token is not taken; ``None`` if it is the right one."""
        now = self._clock()
        while self._failures and now - self._failures[0] >= _TRIES_S:
            self._failures.popleft()
        if len(self._failures) >= _TRIES:
            seconds = int(self._failures[0] + _TRIES_S - now) + 1
            text = f"there were {_TRIES} wrong tokens within a minute; try again in {seconds} s"
            return Refusal(429, "attempts", text, (("Retry-After", str(seconds)),))
        if is_same(given, self._token):
            return None
        self._failures.append(now)
        return Refusal(401, "token", "this is not the token that the program printed at its start")

    def _check_post(self, request: Request, site: str) -> Refusal | None:
        headers = request.headers
        origin = headers.get("origin")
        if origin is not None and origin != f"http://{headers['host']}":
            return Refusal(403, "origin", "a page from elsewhere has sent this")
        if site not in {"", "same-origin"}:
            return Refusal(403, "origin", "a page from elsewhere has sent this")
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            return Refusal(415, "content-type", "the content must be application/json")
        if request.path == "/api/v1/session":
            return None  # the token is in its content
        return self._check_token(request, reads=False)

    def _check_token(self, request: Request, *, reads: bool) -> Refusal | None:
        headers = request.headers
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.is_token(given.strip())
        session = request.cookie(self.cookie)
        if not session:
            text = "this needs the token that the program printed at its start"
            return Refusal(401, "token", text, (("WWW-Authenticate", "Bearer"),))
        if not is_same(session, self._session):
            return Refusal(401, "session", "the program has another token by now; enter it again")
        if not reads and not is_same(headers.get("x-limpet-csrf", ""), self.csrf):
            return Refusal(403, "csrf", "the header X-Limpet-CSRF is missing or wrong")
        return None

    def _is_host(self, host: str) -> bool:
        name, port = _split_host(host.lower())
        address = self._address
        if address.path:  # reached through a port forwarded to it, which may be any
            return name in _LOOPBACK
        if port != str(address.port) and not (port == "" and address.port == 80):
            return False
        if address.is_local:
            return name in _LOOPBACK or name.strip("[]") == address.host
        return name in {"localhost", socket.gethostname().lower()} or _is_ip(name.strip("[]"))


def _split_host(host: str) -> tuple[str, str]:
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        return host, ""
    return name, port


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
