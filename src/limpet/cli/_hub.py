"""Writes a hub's server file, and makes its streams."""

from __future__ import annotations

import asyncio
import os
import sys
from argparse import Namespace
from pathlib import Path

from limpet.remote import HubAddress, Subjects
from limpet.remote.admin import init_nats, load_fleet, server_file

__all__ = ["address_of", "config", "init"]


def config(path: str, version: str) -> int:
    """Print the server's file; passwords that are new are written beside ``path``.

    Raises:
        ConfigError: The file has mistakes.
    """
    fleet = load_fleet(path)
    folder = Path(path).resolve().parent / "passwords"
    kept = {
        file.name: file.read_text(encoding="utf-8").strip()
        for file in (folder.iterdir() if folder.is_dir() else ())
    }
    text, passwords = server_file(fleet, kept, version=version)
    print(text, end="")
    fresh = sorted(passwords.keys() - kept.keys())
    if fresh:
        folder.mkdir(mode=0o700, exist_ok=True)
        for name in fresh:
            fd = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(fd, "w", encoding="utf-8") as file:
                file.write(passwords[name] + "\n")
        said = ", ".join(fresh)
        print(f"limpet hub: passwords of {said} are in {folder}", file=sys.stderr)
    return 0


def init(path: str, given: Namespace) -> int:
    """Make the streams of a fleet on its hub.

    Raises:
        ConfigError: The file has mistakes.
        HubError: The hub refuses.
    """
    fleet = load_fleet(path)

    async def run() -> list[str]:
        transport = await address_of(given).connect("admin")
        try:
            return await init_nats(
                transport, fleet.hosts, Subjects(fleet.prefix), replicas=fleet.replicas
            )
        finally:
            await transport.close()

    for line in asyncio.run(run()):
        print(line)
    return 0


def address_of(given: Namespace) -> HubAddress:
    """Make the hub's address of what was typed.

    Raises:
        ConfigError: The password's file cannot be read.
    """
    found = {
        "url": given.hub,
        "user": given.user,
        "password_file": given.password_file,
        "ca": given.ca,
        "cert": given.cert,
        "key": given.key,
    }
    return HubAddress.read(found)
