"""Where a server listens: what the words mean, and the socket for it."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import stat
import sys
from dataclasses import dataclass
from typing import Final

from limpet._error_text import reason_of
from limpet._file_stat import identity_of
from limpet.errors import UsageError

BACKLOG: Final = 32
_ANSWER_S: Final = 1.0
"""How long a Unix socket that is there already may take to accept."""
_FORMS: Final = "such as 127.0.0.1:9000, [::1]:9000, 9000 or unix:/run/bot.sock"


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed ``listen``: an IP address with a port, or the path of a Unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def is_local(self) -> bool:
        """Return whether this machine alone can connect."""
        return bool(self.path) or ipaddress.ip_address(self.host).is_loopback

    @property
    def text(self) -> str:
        """Return it in the form in which it is given."""
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse(listen: str, *, allow_remote: bool = False) -> Address:
    """Return what an address means; ``localhost`` is 127.0.0.1, and so is a port alone.

    Raises:
        UsageError: It is none, or other machines could connect and ``allow_remote`` is not set.
    """
    if listen.startswith("unix:"):
        return _parse_unix(listen)
    host, _, port = listen.rpartition(":")
    host = "127.0.0.1" if host in {"", "localhost"} and not listen.startswith(":") else host
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    try:
        found = Address(str(ipaddress.ip_address(host)), _port(port))
    except ValueError:
        message = f"cannot listen on {listen!r}: give an IP address and a port, {_FORMS}"
        raise UsageError(message) from None
    if not (found.is_local or allow_remote):
        message = (
            f"will not listen on {listen!r}: other machines could connect; take an address on "
            f"loopback, {_FORMS}, and reach it with 'ssh -L'"
        )
        raise UsageError(message)
    return found


def bind(address: Address, *, preferred_port: int = 0) -> tuple[socket.socket, Address]:
    """Return a bound socket that does not listen yet, and the address with its port.

    Args:
        address: For port 0 a free one is taken.
        preferred_port: Is tried first where a free port is asked for.

    Raises:
        OSError: The address is taken, or not one of this machine.
        UsageError: There is something at the path of a Unix socket, or no such path can be.
    """
    if address.path:
        return _bind_unix(address.path), address
    ports = [preferred_port, 0] if preferred_port and not address.port else [address.port]
    for port in ports:
        try:
            found = _bind_port(address.host, port)
        except OSError as error:
            if port == ports[-1]:
                shown = Address(address.host, port).text
                message = f"cannot listen on {shown}: {error.strerror or error}"
                raise OSError(error.errno, message) from error
        else:
            return found, Address(address.host, int(found.getsockname()[1]))
    raise AssertionError  # the last one has raised


def remove(sock_path: str, inode: tuple[int, int] | None) -> None:
    """Remove a Unix socket, unless another one is there by now."""
    with contextlib.suppress(OSError):
        found = os.lstat(sock_path)
        if identity_of(found) == inode:
            os.unlink(sock_path)


def inode_of(address: Address) -> tuple[int, int] | None:
    """Return what identifies the Unix socket of an address; ``None`` for a port."""
    if not address.path:
        return None
    found = os.lstat(address.path)
    return identity_of(found)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535):
        message = "not a port"
        raise ValueError(message)
    return int(text)


def _parse_unix(listen: str) -> Address:
    path = listen.removeprefix("unix:")
    if not hasattr(socket, "AF_UNIX"):
        message = f"cannot listen on {listen!r}: there are no Unix sockets here; give a port"
        raise UsageError(message)
    if not path or "\0" in path:
        message = f"cannot listen on {listen!r}: the path of the socket is missing, {_FORMS}"
        raise UsageError(message)
    return Address(path=os.path.abspath(path))


def _bind_port(host: str, port: int) -> socket.socket:
    family, kind, proto, _, where = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
    )[0]
    sock = socket.socket(family, kind, proto)
    try:
        if sys.platform == "win32":
            # There SO_REUSEADDR would let another program take the same port.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(where)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind_unix(path: str) -> socket.socket:
    if sys.platform == "win32":
        raise AssertionError  # parse has refused it
    _remove_left_over(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            sock.bind(path)
        except OSError as error:
            if error.errno is None:  # Python's own: sun_path has 108 bytes, unix(7)
                message = f"cannot listen on unix:{path}: {reason_of(error)}; take a shorter one"
                raise UsageError(message) from None
            message = f"cannot listen on unix:{path}: {error.strerror}"
            raise OSError(error.errno, message) from error
        # Nobody can connect before it listens, so the mode is set in time.
        os.chmod(path, 0o600)
    except BaseException:
        sock.close()
        raise
    return sock


def _remove_left_over(path: str) -> None:
    """Remove the socket of a process that has ended.

    RACE: two programs that start at once may both find it dead; the later one takes the name.

    Raises:
        UsageError: A program listens there, or it is no socket.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        message = f"cannot listen on unix:{path}: there is something else than a socket"
        raise UsageError(message)
    if sys.platform == "win32":
        raise AssertionError  # no file is a socket there
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_ANSWER_S)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except FileNotFoundError:
            return
        except OSError as error:
            message = f"cannot listen on unix:{path}: it is there already ({reason_of(error)})"
            raise UsageError(message) from error
    message = f"cannot listen on unix:{path}: another program listens there"
    raise UsageError(message)
