"""Where a hub is, and as whom one comes to it."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from limpet.remote._config_tables import ConfigError, Table, text
from limpet.remote.transport._nats import NatsTransport, connect

__all__ = ["HUB_TABLE", "HubAddress"]

HUB_TABLE: Final = Table(
    {
        "url": text,
        "user": text,
        "password": text,
        "password_file": text,
        "ca": text,
        "cert": text,
        "key": text,
    },
    required=frozenset({"url"}),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HubAddress:
    """Where the hub is, and as whom one comes to it."""

    url: str
    user: str | None = None
    password: str | None = None
    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    @classmethod
    def read(cls, found: Mapping[str, Any], base: Path) -> Self:
        """Make the address of what was said of the hub; files are relative to ``base``.

        Raises:
            ConfigError: The file with the password cannot be read.
        """
        password = found.get("password")
        if file := found.get("password_file"):
            try:
                password = (base / file).read_text(encoding="utf-8").strip()
            except OSError as error:
                message = f"cannot read the password file {file!r}: {error.strerror}"
                raise ConfigError(message) from error

        def at(key: str) -> str | None:
            return str(base / found[key]) if found.get(key) else None

        return cls(
            url=found["url"],
            user=found.get("user"),
            password=password,
            ca=at("ca"),
            cert=at("cert"),
            key=at("key"),
        )

    def context(self) -> ssl.SSLContext | None:
        """Give the certificates, if it is to be reached by TLS.

        Raises:
            ConfigError: A file is missing or no certificate.
        """
        if not (self.ca or self.cert or self.url.startswith("tls://")):
            return None
        try:
            made = ssl.create_default_context(cafile=self.ca)
            if self.cert:
                made.load_cert_chain(self.cert, self.key)
        except (OSError, ssl.SSLError) as error:
            message = f"cannot use the certificates {self.ca}, {self.cert}, {self.key}: {error}"
            raise ConfigError(message) from error
        return made

    async def connect(self, name: str, *, wait: bool = False) -> NatsTransport:
        """Connect as ``name``, which is also the user where a password alone is given.

        Raises:
            ConfigError: A certificate cannot be used.
            HubError: As ``limpet.remote.connect``.
        """
        return await connect(
            self.url,
            name=name,
            user=self.user or (name if self.password else None),
            password=self.password,
            tls=self.context(),
            wait=wait,
        )
