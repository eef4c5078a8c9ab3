"""A program that listens: its server, and the records by which others find it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from anyio.to_thread import run_sync

from limpet._require_extra import need
from limpet.status import Announcement, Record, Refreshed, StatusSource
from limpet.web._address import parse
from limpet.web._server import StatusServer


def check_listen(listen: str) -> None:
    """Check an address, before anything is started.

    Raises:
        MissingExtraError: The extra ``web`` is not installed.
        UsageError: The address is wrong, or not on loopback.
    """
    for package in ("uvicorn", "starlette", "prometheus_client"):
        need(package, "listening", extra="web")
    parse(listen)


class Listening:
    """Serves the status of one program, from ``start`` to ``aclose``."""

    def __init__(
        self,
        source: StatusSource,
        listen: str,
        *,
        state_dir: Path | None = None,
        file: str = "",
        prefix: str = "",
    ) -> None:
        """Check the address; nothing listens yet.

        Args:
            source: The program.
            listen: As ``StatusServer``.
            state_dir: Where the record and the token are; without one, a folder of this user.
            prefix: Before the names in a state folder that several programs may share.
            file: What the program runs, by which ``limpet status`` finds it, too.

        Raises:
            MissingExtraError: The extra ``web`` is not installed.
            UsageError: The address is wrong, or not on loopback.
        """
        check_listen(listen)
        self._source = source
        status = source.status()
        self._announcement = Announcement(
            state_dir, pid=os.getpid(), instance=status.instance, prefix=prefix
        )
        self._listen = listen
        self._server: StatusServer | None = None
        self._record = Record(
            address="",
            pid=os.getpid(),
            program=status.program,
            name=status.name,
            instance=status.instance,
            state_dir="" if state_dir is None else str(state_dir),
            file=file and os.path.abspath(file),
        )

    @property
    def address(self) -> str:
        """``http://127.0.0.1:9000`` or ``unix:PATH``, once started."""
        return "" if self._server is None else self._server.address

    @property
    def port(self) -> int:
        """The port, once started; 0 of a Unix socket."""
        return 0 if self._server is None else self._server.port

    @property
    def token(self) -> str:
        """What acting needs, once started."""
        return "" if self._server is None else self._server.token

    @property
    def text(self) -> str:
        """A line that says where the page is, once started."""
        if self._announcement.trouble:
            where = f" (not found by 'limpet status' alone: {self._announcement.trouble})"
        else:
            where = ""
        if self.address.startswith("unix:"):
            return f"status at {self.address}; acting needs the token {self.token}{where}"
        return f"status at {self.address}/#token={self.token}{where}"

    async def start(self) -> None:
        """Listen, and write the records.

        Raises:
            UsageError: Another program listens there.
            OSError: The address is taken, or a record cannot be written.
        """
        if isinstance(self._source, Refreshed):
            await self._source.refresh()
        announcement = self._announcement
        await run_sync(announcement.prepare)
        server = StatusServer(
            self._source,
            self._listen,
            token_file=announcement.token_file,
            preferred_port=_port_of(await run_sync(lambda: announcement.previous)),
        )
        await server.start()
        self._server = server
        token_file = "" if announcement.token_file is None else str(announcement.token_file)
        record = replace(self._record, address=self.address, token_file=token_file)
        try:
            await run_sync(announcement.publish, record)
        except BaseException:
            self._announcement.close()
            await server.aclose()
            raise

    async def aclose(self) -> None:
        """Stop listening, and remove the records; may be called twice."""
        if self._server is not None:
            await self._server.aclose()
        await run_sync(self._announcement.close)


def _port_of(record: Record | None) -> int:
    """Return the port of the last start, so that a page that is open finds the next one."""
    port = "" if record is None else record.address.rpartition(":")[2]
    return int(port) if port.isdigit() else 0
