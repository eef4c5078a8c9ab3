"""``limpet hub``: prints the server's configuration, and creates the streams."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from argparse import Namespace
from pathlib import Path

from limpet.remote import HubAddress, NatsTransport, Subjects
from limpet.remote.admin import (
    cluster_files,
    init_nats,
    load_fleet,
    server_file,
    write_server_files,
)


def config(path: str, version: str) -> int:
    """Print the server's configuration; new passwords are written beside ``path``.

    The files of a cluster are written beside it, too, one for each server.

    Raises:
        ConfigError: The file has mistakes.
        UsageError: A file of a server was not written by this command, and is kept.
    """
    fleet = load_fleet(path)
    beside = Path(path).resolve().parent
    directory = beside / "passwords"
    kept = {
        file.name: file.read_text(encoding="utf-8").strip()
        for file in (directory.iterdir() if directory.is_dir() else ())
    }
    if fleet.cluster is None:
        text, passwords = server_file(fleet, kept, version=version)
        print(text, end="")
    else:
        files, passwords = cluster_files(fleet, kept, version=version)
        targets = {beside / f"{name}.conf": text for name, text in files.items()}
        write_server_files(targets)
        print(*targets, sep="\n")
    fresh = sorted(passwords.keys() - kept.keys())
    if fresh:
        directory.mkdir(mode=0o700, exist_ok=True)
        for name in fresh:
            fd = os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(fd, "w", encoding="utf-8") as file:
                file.write(passwords[name] + "\n")
        print(f"limpet hub: passwords of {', '.join(fresh)} are in {directory}", file=sys.stderr)
    if fleet.is_in_clear:
        print(
            f"limpet hub: passwords and contents cross the network to {fleet.address} in clear: "
            "give the fleet's file 'tls' beyond a trusted network",
            file=sys.stderr,
        )
    elif fleet.cluster is None and fleet.listen is None and not fleet.cert:
        print(
            f"limpet hub: the server listens on {fleet.address}, for this host alone: give the "
            "fleet's file 'tls', or 'listen: 0.0.0.0:4222' in a trusted network",
            file=sys.stderr,
        )
    if fleet.has_routes_in_clear:
        print(
            "limpet hub: what is stored crosses the network between the servers in clear: give "
            "the section 'cluster' of the fleet's file 'tls' beyond a trusted network",
            file=sys.stderr,
        )
    return 0


def init(path: str, given: Namespace) -> int:
    """Create the streams of a fleet on its hub.

    Raises:
        ConfigError: The file has mistakes.
        HubError: The hub refuses.
    """
    fleet = load_fleet(path)

    async def run() -> list[str]:
        async with contextlib.AsyncExitStack() as stack:

            async def opened(url: str) -> NatsTransport:
                transport = await address_of(given, url).connect("admin")
                stack.push_async_callback(transport.close)
                return transport

            return await init_nats(
                await opened(given.hub),
                fleet.layout,
                Subjects(fleet.prefix),
                replicas=fleet.replicas,
                placement=() if fleet.cluster is None else fleet.cluster.placement,
                max_bytes=fleet.max_store // 2,
                content_bytes=fleet.max_store // 4,
                source=None if given.copy is None else await opened(given.copy),
            )

    for line in asyncio.run(run()):
        print(line)
    return 0


def address_of(given: Namespace, url: str) -> HubAddress:
    """Return the address of a hub, with user and certificates from the options.

    Raises:
        ConfigError: The file of the password cannot be read.
    """
    found = {
        "url": url,
        "user": given.user,
        "password_file": given.password_file,
        "ca": given.ca,
        "cert": given.cert,
        "key": given.key,
    }
    return HubAddress.read(found)
