"""The addresses of a hub: of one server, or of each server of a cluster.

The list that a client is given is the whole list. A server may send the addresses of others
(``connect_urls``), and nats-py would connect to them: without TLS a program that answers at one of
the addresses could so have the password sent to a host of its own, and with TLS a certificate would
have to be good for addresses that nobody has written down. They are ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit, urlunsplit

from limpet.errors import UsageError

HubUrls: TypeAlias = str | Sequence[str]
"""An address, several separated by commas, or a list of them."""

_SCHEMES: Final = ("nats://", "tls://")


def addresses_of(given: HubUrls) -> tuple[str, ...]:
    """Return the addresses of a hub, each once, in the order in which they were given.

    Raises:
        UsageError: There is none, one is not an address, or some are with TLS and some without.
    """
    parts = given.split(",") if isinstance(given, str) else list(given)
    if not all(isinstance(part, str) for part in parts):
        message = f"cannot connect to {given!r}: a hub's address is text, or a list of texts"
        raise UsageError(message)
    urls = [url.strip() for part in parts for url in part.split(",")]
    if not urls:
        message = "cannot connect to a hub: its list of addresses is empty"
        raise UsageError(message)
    for url in urls:
        if not url.startswith(_SCHEMES):
            shown = without_password(url)
            message = f"cannot connect to {shown!r}: the URL must begin with nats:// or tls://"
            raise UsageError(message)
        _check_host(url)
    if len({url.partition(":")[0] for url in urls}) > 1:
        message = (
            f"cannot connect to {without_password(urls)}: all of a hub's addresses begin with "
            "tls://, or none: a password would cross the network in clear to the others"
        )
        raise UsageError(message)
    return tuple(dict.fromkeys(urls))


def _check_host(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_one = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_one = False
    if not is_one:
        message = f"cannot connect to {without_password(url)!r}: it has no valid host and port"
        raise UsageError(message)


def without_password(url: HubUrls) -> str:
    """Return the addresses of a hub as they may be shown, separated by commas."""
    parts = url.split(",") if isinstance(url, str) else url
    return ", ".join(_shown(str(one).strip()) for one in parts)


def _shown(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:  # not an address: what stands before the last @ may be a password
        return url.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def ignore_other_addresses(client: Any) -> None:
    """Let a client of nats-py that is not connected yet take no addresses from a server."""
    process = client._process_info  # noqa: SLF001 - nats-py has no option for it

    async def process_info(info: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        info.pop("connect_urls", None)
        await process(info, *args, **kwargs)

    client._process_info = process_info  # noqa: SLF001
