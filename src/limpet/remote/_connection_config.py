"""The address of a hub, and the user and certificates of a connection to it."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from limpet._config_problem import ConfigError
from limpet._error_text import reason_of
from limpet.remote.transport import NatsTransport, connect
from limpet.remote.transport._addresses import HubUrls, addresses_of, without_password


@dataclass(frozen=True, slots=True, kw_only=True)
class HubAddress:
    """The address of a hub, and the user of a connection to it."""

    url: HubUrls
    """Of a cluster the addresses of all servers: a list, or separated by commas."""
    user: str | None = None
    password: str | None = None
    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> Self:
        """Return the address for these settings: the fields, and ``password_file``.

        Raises:
            ConfigError: The file with the password cannot be read.
        """
        settings = dict(found)
        file = settings.pop("password_file", None)
        if file:
            try:
                settings["password"] = Path(file).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
                message = f"cannot read the password file {str(file)!r}: {reason}"
                raise ConfigError(message) from error
        url = settings["url"]
        if not isinstance(url, str):
            settings["url"] = url[0] if len(url) == 1 else tuple(url)
        return cls(**settings)

    @property
    def shown(self) -> str:
        """The addresses without passwords, separated by commas."""
        return without_password(self.url)

    def context(self) -> ssl.SSLContext | None:
        """Return the certificates; ``None`` for a connection without TLS.

        Raises:
            ConfigError: A file is missing, or is not a certificate.
            UsageError: An address is not one.
        """
        if not (self.ca or self.cert or addresses_of(self.url)[0].startswith("tls://")):
            return None
        try:
            made = ssl.create_default_context(cafile=self.ca)
            if self.cert:
                made.load_cert_chain(self.cert, self.key)
        except (OSError, ssl.SSLError) as error:
            which = f"{self.ca}, {self.cert}, {self.key}"
            message = f"cannot use the certificates {which}: {reason_of(error)}"
            raise ConfigError(message) from error
        return made

    async def connect(self, name: str, *, wait: bool = False) -> NatsTransport:
        """Connect as ``name``, which is also the user if there is only a password.

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
