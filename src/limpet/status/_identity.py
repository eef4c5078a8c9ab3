"""Which program it is that shows itself."""

from __future__ import annotations

import os
import secrets
import socket
import time
from dataclasses import dataclass, field
from typing import TypedDict

from limpet import __version__
from limpet.status._model import Program


class IdentityFields(TypedDict):
    """The fields of ``Status`` that stay the same while a program runs."""

    program: Program
    name: str
    instance: str
    pid: int
    host: str
    limpet: str
    started: float
    state_dir: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One start of one program."""

    program: Program
    name: str
    state_dir: str = ""
    instance: str = field(default_factory=lambda: secrets.token_hex(8))
    started: float = field(default_factory=time.time)

    def fields(self) -> IdentityFields:
        """Return the fields of a status that say which program it is."""
        return IdentityFields(
            program=self.program,
            name=self.name,
            instance=self.instance,
            pid=os.getpid(),
            host=socket.gethostname(),
            limpet=__version__,
            started=self.started,
            state_dir=self.state_dir,
        )
