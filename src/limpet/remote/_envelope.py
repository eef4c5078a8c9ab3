"""The envelope of an event: CloudEvents 1.0, structured mode, one JSON object.

The same bytes are stored in the spool, sent over the hub and decoded by the reader. ``data`` is a
wire object of ``event.schema.json``, with the id, session and number of the spool: one session is
one spool file, for all runs and watches that filled it.
"""

from __future__ import annotations

import base64
import codecs
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from limpet._dead_letter import shortened
from limpet._option_fields import check_encoding
from limpet._wire import Json, attribute_text, dump_line, wire_time
from limpet.remote._path import Flavour, RemotePath

DECODING_ERRORS: Final = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
"""The exceptions that decoding any bytes, as JSON of an expected form, may raise."""
_TEXTS: Final = (
    ("envelope", "id"),
    ("envelope", "fssession"),
    ("envelope", "source"),
    ("envelope", "sequence"),
    ("data", "type"),
    ("data", "origin"),
)
_FAR_US: Final = 253_402_300_800_000_000
"""Microseconds from 1970 to the year 10000, which no time in an event reaches."""
_NOT_FOR_TEXT: Final = {
    "idna", "mbcs", "oem", "palmos", "punycode", "raw-unicode-escape", "raw_unicode_escape",
    "undefined", "unicode-escape", "unicode_escape", "utf-7",
}  # fmt: skip
"""Python's own encodings (documentation of ``codecs``), as names that ``lookup`` gives."""
_ERROR_HANDLERS: Final = {
    "strict", "ignore", "replace", "backslashreplace", "surrogateescape", "surrogatepass",
}  # fmt: skip
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_ID: Final = re.compile(r"[0-9a-f]{32}\.[1-9][0-9]{0,18}")


class EnvelopeError(ValueError):
    """A message on the hub is not an event of limpet; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRef:
    """The place of a content that is too large for its event or command."""

    bucket: str
    name: str
    """Its SHA-256 in hex: a content that the hub has is not sent again."""
    size: int
    """Bytes."""

    @classmethod
    def of(cls, bucket: str, data: bytes) -> Self:
        """Return the reference to a content in a bucket."""
        return cls(bucket=bucket, name=hashlib.sha256(data).hexdigest(), size=len(data))

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """Return the reference in a JSON object of ``to_json``.

        Raises:
            ValueError, KeyError, TypeError: It is something else.
        """
        bucket, name, size = found["bucket"], found["name"], found["size"]
        if not (isinstance(bucket, str) and isinstance(name, str) and type(size) is int):
            message = f"a reference to a content is {found!r}"
            raise TypeError(message)
        if not _SHA256.fullmatch(name) or size < 0:
            message = f"a reference to a content names {name!r} of {size} bytes"
            raise ValueError(message)
        return cls(bucket=bucket, name=name, size=size)

    def to_json(self) -> Json:
        return {"bucket": self.bucket, "name": self.name, "size": self.size}


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteEvent:
    """An event of another host, as a reader returns it."""

    id: str
    """Unique in the fleet; the same when it is delivered again."""
    session: str
    """The spool of the event; ``seq`` counts in it."""
    seq: int
    host: str
    """From the subject, which the hub's permissions guard."""
    watch: str
    type: str
    """``file.created`` and so on; ``watch.gap`` and ``watch.overflow`` report lost events."""
    path: RemotePath | None
    source: RemotePath | None
    """The name before a rename."""
    root: RemotePath | None
    time: float
    """When the agent saw it, by the agent's clock; unix seconds."""
    server_time: float
    """When the hub stored it, by the hub's clock; unix seconds. 0 without a hub."""
    origin: str
    data: Mapping[str, object] = field(repr=False)
    """The wire object (``event.schema.json``)."""
    object: ObjectRef | None = None
    """A content too large to be in ``data``; ``reader.content(event)`` fetches it."""
    trace: Mapping[str, str] | None = field(default=None, repr=False, compare=False)
    """The headers of the trace that the agent's sending belongs to (W3C Trace Context)."""

    @property
    def lines(self) -> list[str]:
        """The added lines of ``file.lines``, without their ends."""
        found = self.data.get("lines")
        return list(found["text"]) if isinstance(found, dict) else []

    @property
    def content(self) -> str | bytes | None:
        """The content in the event, text or bytes according to the agent's configuration."""
        found = self.data.get("content")
        if not isinstance(found, dict):
            return None
        text = found.get("text")
        if isinstance(text, str):
            return text
        packed = found.get("b64")
        return self.decoded(base64.b64decode(packed)) if isinstance(packed, str) else None

    def decoded(self, raw: bytes) -> str | bytes:
        """Return these bytes of the content as the agent's configuration says: text or bytes."""
        found = self.data.get("content")
        if not isinstance(found, dict) or found.get("mode") != "r":
            return raw
        return raw.decode(str(found.get("encoding", "utf-8")), str(found.get("errors", "strict")))


def event_id(session: str, seq: int) -> str:
    """Return the id of an event; unique in the fleet, for a session is 128 random bits."""
    return f"{session}.{seq}"


def encode(
    wire: Mapping[str, object],
    *,
    session: str,
    seq: int,
    host: str,
    watch: str,
    flavour: Flavour,
    content: ObjectRef | None = None,
) -> bytes:
    """Return the envelope of a wire object, whose id, session and number become those given."""
    data: Json = {**wire, "id": event_id(session, seq), "session": session, "seq": seq}
    rel = wire.get("rel")
    envelope: Json = {
        "specversion": "1.0",
        "id": data["id"],
        "source": f"//{host}/{watch}",
        "type": f"limpet.{wire['type']}.v1",
        "time": wire["observed_at"],
        **({} if rel is None else {"subject": attribute_text(str(rel))}),
        "datacontenttype": "application/json",
        "sequence": f"{seq:020d}",
        "fssession": session,
        "fsflavour": flavour,
        "data": data,
    }
    if content is not None:
        data["content_ref"] = content.to_json()
    return dump_line(envelope)[:-1]


def decode(
    raw: bytes,
    *,
    host: str,
    server_time: float = 0.0,
    trace: Mapping[str, str] | None = None,
) -> RemoteEvent:
    """Return the event in a message on a subject of ``host``.

    Raises:
        EnvelopeError: It is invalid, or claims to come from another host.
    """
    try:
        envelope = json.loads(raw)
        data = envelope["data"]
        check_version(data, "events")
        if b"\\ud" in raw.lower():  # half of a pair is not text: it cannot be written anywhere
            json.dumps(envelope, ensure_ascii=False).encode()
        for place, key in _TEXTS:
            if not isinstance((envelope if place == "envelope" else data)[key], str):
                message = f"its {key} is no text"
                raise TypeError(message)
        observed, number = data["observed_us"], envelope["sequence"]
        if type(observed) is not int or not abs(observed) < _FAR_US or not number.isdecimal():
            message = f"its time is {observed!r}, its number {number!r}"
            raise ValueError(message)
        flavour: Flavour = "windows" if envelope.get("fsflavour") == "windows" else "posix"
        path, source, root = (
            RemotePath.from_wire(host, flavour, data, key) for key in ("path", "old_path", "root")
        )
        claimed, _, watch = envelope["source"][2:].partition("/")
        ref = data.get("content_ref")
        event = RemoteEvent(
            id=envelope["id"],
            session=envelope["fssession"],
            seq=int(number),
            host=host,
            watch=watch,
            type=data["type"],
            path=path,
            source=source,
            root=root,
            time=observed / 1e6,
            server_time=server_time,
            origin=data["origin"],
            data=data,
            object=None if ref is None else ObjectRef.from_json(ref),
            trace=trace,
        )
        _check_content(event)
        _check_lost(event)
        is_own_id = event.id == event_id(event.session, event.seq) and _ID.fullmatch(event.id)
    except DECODING_ERRORS as error:
        message = f"a message of host {host!r} is not an event: {error!r}"
        raise EnvelopeError(shortened(message)) from error
    if claimed != host:
        message = f"an event on a subject of {host!r} claims to come from {claimed!r}"
        raise EnvelopeError(message)
    if not is_own_id:
        message = f"an event of host {host!r} has the id {event.id!r}, not its number's"
        raise EnvelopeError(message)
    return event


def check_version(found: Mapping[str, Any], what: str) -> None:
    """Check that a message is of the version that this release understands.

    Raises:
        ValueError: It has another version.
        LookupError, TypeError: It has no version, or is not a mapping.
    """
    version = found["v"]
    if type(version) is not int or version != 1:
        message = f"it is of version {version!r} of {what}, and this release knows 1: update limpet"
        raise ValueError(message)


def _check_text(encoding: str, errors: str) -> None:
    """Check that text of an event may be decoded so.

    Raises:
        LookupError, TypeError: There is no such encoding or way to treat errors.
        ValueError: It is for other than text, or takes time that grows with the square of the size
            (punycode: 24 s for 1 MiB).
    """
    check_encoding(encoding, errors)
    if codecs.lookup(encoding).name in _NOT_FOR_TEXT:
        message = f"its encoding is {encoding!r}"
        raise ValueError(message)
    if errors not in _ERROR_HANDLERS:
        message = f"its encoding errors are {errors!r}"
        raise ValueError(message)


def _check_content(event: RemoteEvent) -> None:
    """Check that an event's content and lines can be read.

    Raises:
        ValueError, LookupError, TypeError: They cannot.
    """
    content, lines = event.data.get("content"), event.data.get("lines")
    if content is not None:
        if not isinstance(content, dict):
            message = "its content is no mapping"
            raise TypeError(message)
        if content.get("mode") == "r":
            _check_text(content.get("encoding", "utf-8"), content.get("errors", "strict"))
        packed = content.get("b64")
        if packed is not None:
            event.decoded(base64.b64decode(packed, validate=True))
    if lines is not None and not (
        isinstance(lines, dict)
        and isinstance(lines.get("text"), list)
        and all(isinstance(line, str) for line in lines["text"])
    ):
        message = "its lines are no list of texts"
        raise TypeError(message)


def _check_lost(event: RemoteEvent) -> None:
    lost = event.data.get("lost")
    if event.type not in {"watch.gap", "watch.overflow"} or not isinstance(lost, dict):
        return
    numbers = [lost.get("first", event.seq), lost.get("last", event.seq)]
    if not all(type(number) is int and 0 < number < 1 << 63 for number in numbers):
        message = f"it reports the loss of {numbers}"
        raise ValueError(message)


def resign(raw: bytes, session: str) -> bytes:
    """Return an envelope of this host with another session."""
    envelope = json.loads(raw)
    data = envelope["data"]
    envelope["id"] = data["id"] = event_id(session, int(data["seq"]))
    envelope["fssession"] = data["session"] = session
    return dump_line(envelope)[:-1]


def notice(kind: str, *, watch: str, time_us: int, **fields: object) -> Json:
    """Return a wire object that a watch did not make, such as ``watch.overflow``."""
    return {
        "v": 1,
        "id": "0",
        "session": "0",
        "seq": 1,
        "type": kind,
        "observed_at": wire_time(time_us),
        "observed_us": time_us,
        "watch": {"name": watch},
        "origin": "live",
        "scope": "watch",
        "root": "",
        **fields,
    }
