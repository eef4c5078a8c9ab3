"""The wire form: valid by the schema, strict JSON, one line, and exact for every name."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
import os
import re
import stat as modes
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from limpet import _wire, events
from limpet._wire import _bytes_of
from limpet.events import (
    Change,
    Degraded,
    DirCreated,
    DirDeleted,
    DirRenamed,
    DirSettled,
    Event,
    FileCreated,
    FileDeleted,
    FileRenamed,
    FileStat,
    FileUpdated,
    Kind,
    Mismatched,
    Recovered,
    Rescanned,
    TargetDirCreated,
    TargetDirDeleted,
    TargetDirUpdated,
    TargetFileCreated,
    TargetFileDeleted,
    TargetFileUpdated,
    WatchEvent,
)

SCHEMA = Draft202012Validator(_wire.schema())
ROOT = Path("/srv/in")
INVALID = "caf\udce9\n\x1b[31m"
FORMATS: dict[Kind, int] = {
    "file": modes.S_IFREG,
    "dir": modes.S_IFDIR,
    "symlink": modes.S_IFLNK,
    "other": 0,
}

names = st.binary(min_size=1, max_size=20).map(
    lambda raw: os.fsdecode(raw.replace(b"\0", b"0").replace(b"/", b"_").replace(b".", b"\n"))
)
moments = st.floats(min_value=-1e11, max_value=1e11) | st.sampled_from(
    [-0.5, -1.0, 0.0, 1e30, -1e30, math.inf, math.nan, 1_764_000_000.123456]
)


@st.composite
def stats(draw: st.DrawFn, kind: Kind = "file") -> FileStat:
    shape = draw(
        st.sampled_from([modes.S_IFIFO, modes.S_IFSOCK, modes.S_IFCHR, modes.S_IFBLK, 0])
        if kind == "other"
        else st.just(FORMATS[kind])
    )
    return FileStat(
        size=draw(st.integers(0, 2**63)),
        mtime=draw(moments),
        ctime=draw(moments),
        birthtime=draw(st.none() | moments),
        mode=shape | draw(st.integers(0, 0o7777)),
        uid=draw(st.integers(0, 2**32)),
        gid=draw(st.integers(0, 2**32)),
        inode=draw(st.integers(0, 2**64)),
        device=draw(st.integers(0, 2**64)),
        kind=kind,
    )


@st.composite
def any_event(draw: st.DrawFn) -> Event:
    """Any instance of any type, its names any bytes a name may have."""
    cls = draw(st.sampled_from(LEAVES))
    location = ROOT.joinpath(*draw(st.lists(names, max_size=2)))
    inside = location.joinpath(*draw(st.lists(names, min_size=1, max_size=3)))
    fields: dict[str, Any] = {
        "location": location,
        "time": draw(moments),
        "seq": draw(st.integers(1, 2**53 - 1)),
        "origin": draw(st.sampled_from(["live", "initial", "offline", "rescan"])),
    }
    slots = {name for one in cls.__mro__ for name in getattr(one, "__dataclass_fields__", {})}
    kind: Kind = "dir" if issubclass(cls, events.DirEvent) else draw(st.sampled_from([*FORMATS]))
    content = draw(
        st.just((None, None, None))
        | st.tuples(st.text(), st.just("r"), st.none())
        | st.tuples(
            st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape")),
            st.just("r"),
            st.none(),
        )
        | st.tuples(st.binary(), st.just("rb"), st.none())
        | st.tuples(st.none(), st.just("rb"), st.sampled_from(["too_large", "denied", "error"]))
    )
    possible: dict[str, st.SearchStrategy[Any]] = {
        "path": st.just(location if issubclass(cls, events.TargetEvent) else inside),
        "kind": st.just(kind),
        "own": st.booleans(),
        "stat": stats(kind),
        "existing": st.booleans(),
        "transient": st.booleans(),
        "content": st.just(content[0]),
        "content_mode": st.just(content[1]),
        "content_error": st.just(content[2]),
        "previous": st.none() | stats(kind),
        "replaced": st.none() | stats(kind),
        "changes": st.frozensets(st.sampled_from(["content", "identity", "mode", "owner"])),
        "source": names.map(location.joinpath),
        "reason": st.sampled_from(REASONS.get(cls, ["deleted"])),
        "message": st.text() | names,
        "found": st.just("file"),
        "expected": st.just("dir"),
    }
    return cls(**fields, **{key: draw(possible[key]) for key in sorted(slots & set(possible))})


def leaves() -> list[type[Event]]:
    """Every type that is delivered, target events included; found by looking, not by a list."""
    kinds = [
        one
        for one in vars(events).values()
        if isinstance(one, type) and issubclass(one, Event) and one.__name__ not in ABSTRACT
    ]
    assert len(kinds) == 19
    return kinds


ABSTRACT = {"Event", "EntryEvent", "FileEvent", "DirEvent", "WatchEvent"}
LEAVES = leaves()
REASONS: dict[type[Event], list[str]] = {
    Rescanned: ["overflow", "interval"],
    Degraded: ["permission", "limit", "path-too-long"],
    TargetFileDeleted: ["moved", "ancestor"],
}
STAT = FileStat(
    size=12,
    mtime=-1.5,
    ctime=1_764_000_000.25,
    birthtime=None,
    mode=modes.S_IFREG | 0o640,
    uid=1000,
    gid=100,
    inode=2**63,
    device=66_306,
    kind="file",
)
BASE: dict[str, Any] = {"location": ROOT, "time": 1_764_000_000.5, "seq": 7}
ENTRY: dict[str, Any] = {**BASE, "path": ROOT / "a" / "b.txt", "kind": "file"}


def wire_of(event: Event) -> dict[str, Any]:
    """What a reader of the line gets, checked against the schema on the way."""
    line = _wire.to_json_line(event, session="s1")
    assert line.endswith(b"\n")
    assert len(line.decode().splitlines()) == 1
    assert b"\x1b" not in line
    wire: dict[str, Any] = json.loads(line, parse_constant=pytest.fail)
    SCHEMA.validate(wire)
    return wire


def bytes_of(wire: dict[str, Any], key: str) -> bytes:
    """The exact bytes of a path, as a reader in any language would get them."""
    exact = wire.get(key + "_b64")
    return wire[key].encode() if exact is None else base64.b64decode(exact, validate=True)


@given(any_event())
def test_any_event_is_one_valid_line(event: Event) -> None:
    """Whatever the names and the times are, the line is strict JSON that fulfils the schema."""
    wire = wire_of(event)
    assert re.fullmatch(r"[!-~]+", wire["id"])
    assert bytes_of(wire, "root") == os.fsencode(event.location)
    for key in ("path", "source"):
        path = getattr(event, key, None)
        if path is not None:
            on_wire = "path" if key == "path" else "old_path"
            assert bytes_of(wire, on_wire) == os.fsencode(path)
            below = bytes_of(wire, on_wire.replace("path", "rel"))
            assert below == os.fsencode(path.relative_to(event.location))


@given(any_event())
def test_base64_is_there_if_and_only_if_the_name_is_not_utf8(event: Event) -> None:
    """Beside the exact bytes stands what can be shown of them; a valid name stands alone."""
    wire = wire_of(event)
    for key in ("root", "path", "rel", "old_path", "old_rel"):
        if key + "_b64" in wire:
            raw = bytes_of(wire, key)
            assert wire[key] == raw.decode("utf-8", "replace")
            with pytest.raises(UnicodeDecodeError):
                raw.decode()


@given(any_event())
def test_any_event_is_a_cloudevent(event: Event) -> None:
    """What must be there is, no attribute holds a control character, data is the wire."""
    cloud = _wire.to_cloudevent(event, session="s1")
    assert cloud["specversion"] == "1.0"
    assert cloud["type"] == f"limpet.{events.event_name(type(event))}"
    assert cloud["data"] == _wire.to_wire(event, session="s1")
    assert cloud["time"] == _wire.to_wire(event, session="s1")["observed_at"]
    assert cloud["datacontenttype"] == "application/json"
    assert ("subject" in cloud) == hasattr(event, "path")
    for key in ("id", "source", "type", "time", "subject"):
        value = cloud.get(key, "-")
        assert isinstance(value, str)
        assert value
        assert not re.search("[\x00-\x1f\x7f-\x9f\ud800-\udfff]", value)
    json.loads(_wire.dump_line(cloud), parse_constant=pytest.fail)


@given(any_event())
def test_an_exact_object_comes_back_as_the_same_event(event: Event) -> None:
    """State files and journals store events so: any name, any time, through strict JSON."""
    stored = json.dumps(_wire.to_wire(event, session="s", exact=True), allow_nan=False)
    again = _wire.from_wire(json.loads(stored))
    assert type(again) is type(event)
    for one in dataclasses.fields(event):
        found, expected = getattr(again, one.name), getattr(event, one.name)
        if found != expected:  # a NaN is not equal to itself
            assert repr(found) == repr(expected), one.name


def test_a_negative_zero_is_kept() -> None:
    """Exact is to the bit; beside a NaN, two are compared as they are written."""
    found = replace(STAT, mtime=-0.0, ctime=math.nan)
    event = events.FileCreated(
        location=Path("/srv/in"), time=0.0, seq=1, origin="live", path=Path("/srv/in/f"),
        kind="file", own=False, stat=found, existing=False, transient=False,
    )  # fmt: skip
    stored = json.dumps(_wire.to_wire(event, session="s", exact=True))
    again = _wire.from_wire(json.loads(stored))
    assert isinstance(again, events.FileCreated)
    assert repr(again.stat) == repr(found)


@given(any_event())
def test_an_object_of_another_host_comes_back_to_the_microsecond(event: Event) -> None:
    """All but what the schema rounds or leaves out is the same on the wire again."""
    wire = wire_of(event)
    again = wire_of(_wire.from_wire(wire))
    for one in (wire, again):
        for key in ("id", "observed_at", "observed_us"):
            del one[key]
        for stat in ("stat", "last_known", "replaced"):
            for moment in ("mtime_us", "ctime_us", "birthtime_us"):
                (one.get(stat) or {}).pop(moment, None)
    assert again == wire


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"type": "file.created"},
        {"type": "no.such", "scope": "inside", "root": "/", "seq": 1, "origin": "live"},
        {"type": 7, "root": []},
    ],
)
def test_what_is_no_event_is_refused(wrong: dict[str, Any]) -> None:
    """With one type of error, whatever is wrong."""
    with pytest.raises(ValueError, match="not an event"):
        _wire.from_wire(wrong)


@given(
    st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape"))
    | st.text(st.characters(codec=None))
)
def test_text_content_comes_back_exactly(text: str) -> None:
    """Unicode is ``text``; with surrogates in it, ``b64`` with encoding and handler is exact."""
    content = wire_of(FileCreated(**ENTRY, stat=STAT, content=text, content_mode="r"))["content"]
    assert content["included"] is True
    assert content["mode"] == "r"
    if "text" in content:
        assert content["text"] == text
    else:
        raw = base64.b64decode(content["b64"])
        assert raw.decode(content["encoding"], content["errors"]) == text


def test_a_created_file_in_full() -> None:
    """The whole object, as the reference shows it."""
    event = FileCreated(
        **ENTRY, stat=STAT, existing=True, origin="initial", content=b"\xff", content_mode="rb"
    )
    assert wire_of(event) == {
        "v": 1,
        "id": "s1.7",
        "session": "s1",
        "seq": 7,
        "type": "file.created",
        "observed_at": "2025-11-24T16:00:00.500000Z",
        "observed_us": 1_764_000_000_500_000,
        "watch": {"name": "/srv/in"},
        "origin": "initial",
        "scope": "inside",
        "root": "/srv/in",
        "path": "/srv/in/a/b.txt",
        "rel": "a/b.txt",
        "entry": "file",
        "stat": {
            "size": 12,
            "mtime_us": -1_500_000,
            "ctime_us": 1_764_000_000_250_000,
            "mode": "0640",
            "uid": 1000,
            "gid": 100,
            "ino": str(2**63),
            "dev": "66306",
        },
        "own": False,
        "existing": True,
        "content": {"included": True, "mode": "rb", "b64": "/w=="},
    }


def test_an_update_says_what_changed_and_what_was_known() -> None:
    """``changes`` is a sorted list; ``last_known`` holds the stat before; ``own`` is passed on."""
    changes: frozenset[Change] = frozenset({"identity", "content"})
    wire = wire_of(FileUpdated(**ENTRY, stat=STAT, previous=STAT, changes=changes, own=True))
    assert wire["changes"] == ["content", "identity"]
    assert wire["last_known"]["size"] == 12
    assert wire["own"] is True
    assert "content" not in wire


@pytest.mark.parametrize("cls", [FileRenamed, DirRenamed])
def test_a_rename_has_both_names(cls: type[FileRenamed | DirRenamed]) -> None:
    """Old and new name, absolute and from the root; ``replaced`` only if something was."""
    wire = wire_of(cls(**ENTRY, source=ROOT / INVALID, stat=STAT, previous=None, replaced=STAT))
    assert wire["type"].endswith(".renamed")
    assert wire["old_rel"] == "caf�\n\x1b[31m"
    assert base64.b64decode(wire["old_path_b64"]) == b"/srv/in/caf\xe9\n\x1b[31m"
    assert wire["rel"] == "a/b.txt"
    assert wire["replaced"]["size"] == 12
    assert "replaced" not in wire_of(cls(**ENTRY, source=ROOT / "x", stat=STAT, previous=None))


@pytest.mark.parametrize("cls", [FileDeleted, DirDeleted])
def test_a_deletion_has_no_stat_but_the_last_known(cls: type[FileDeleted | DirDeleted]) -> None:
    """``stat`` is null, ``last_known`` is what the watch had, if it had anything."""
    wire = wire_of(cls(**ENTRY, previous=STAT))
    assert wire["stat"] is None
    assert wire["last_known"]["mode"] == "0640"
    assert "last_known" not in wire_of(cls(**ENTRY, previous=None))


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (TargetFileCreated(**{**ENTRY, "path": ROOT}, stat=STAT), "file.created"),
        (
            TargetFileUpdated(
                **{**ENTRY, "path": ROOT}, stat=STAT, previous=None, changes=frozenset({"content"})
            ),
            "file.updated",
        ),
        (
            TargetFileDeleted(**{**ENTRY, "path": ROOT}, previous=None, reason="moved"),
            "file.deleted",
        ),
        (TargetDirCreated(**{**ENTRY, "path": ROOT, "kind": "dir"}, stat=STAT), "dir.created"),
        (
            TargetDirUpdated(
                **{**ENTRY, "path": ROOT, "kind": "dir"},
                stat=STAT,
                previous=None,
                changes=frozenset({"mode"}),
            ),
            "dir.updated",
        ),
        (
            TargetDirDeleted(
                **{**ENTRY, "path": ROOT, "kind": "dir"}, previous=STAT, reason="unmounted"
            ),
            "dir.deleted",
        ),
    ],
)
def test_a_target_event_is_told_by_its_scope(event: Event, kind: str) -> None:
    """Same words as for an entry, scope ``target``, ``rel`` a dot, and why it went."""
    wire = wire_of(event)
    assert (wire["type"], wire["scope"], wire["rel"]) == (kind, "target", ".")
    assert ("reason" in wire) == kind.endswith("deleted")


def test_watch_events_say_what_they_know() -> None:
    """Scope ``watch``; an error where sight is lost; no path where there is none."""
    degraded = wire_of(
        Degraded(**BASE, path=ROOT / INVALID, reason="permission", message=f"cannot {INVALID}")
    )
    assert degraded["error"] == {"code": "permission", "message": "cannot caf�\n\x1b[31m"}
    assert degraded["scope"] == "watch"
    assert "rel" not in wire_of(
        Degraded(**BASE, path=Path("/elsewhere"), reason="state", message="m")
    )
    assert wire_of(Recovered(**BASE, path=ROOT / "x"))["rel"] == "x"
    assert wire_of(Rescanned(**BASE, reason="overflow"))["reason"] == "overflow"
    mismatch = wire_of(Mismatched(**BASE, found="symlink", expected="dir"))
    assert (mismatch["found"], mismatch["expected"]) == ("symlink", "dir")


@pytest.mark.parametrize(
    ("shape", "entry"),
    [
        (modes.S_IFIFO, "fifo"),
        (modes.S_IFSOCK, "socket"),
        (modes.S_IFBLK, "block"),
        (modes.S_IFCHR, "char"),
        (0, "unknown"),
    ],
)
def test_other_nodes_are_told_apart(shape: int, entry: str) -> None:
    """The mode says what an ``other`` is, also of what is gone; without one it is unknown."""
    node = replace(STAT, mode=shape | 0o600)
    other: dict[str, Any] = {**ENTRY, "kind": "other"}
    assert wire_of(FileCreated(**other, stat=node))["entry"] == entry
    assert wire_of(FileDeleted(**other, previous=node))["entry"] == entry
    assert wire_of(FileDeleted(**other, previous=None))["entry"] == "unknown"


def test_what_came_and_went_has_no_stat() -> None:
    """A transient entry was never looked at: its zeros are not passed on as facts."""
    for cls in (FileCreated, DirCreated):
        wire = wire_of(cls(**ENTRY, stat=STAT, transient=True))
        assert (wire["stat"], wire["transient"]) == (None, True)


def test_content_that_could_not_be_read_says_why() -> None:
    """Not included, with the reason; an unexplained absence is an error."""
    changes: frozenset[Change] = frozenset({"content"})
    event = FileUpdated(
        **ENTRY,
        stat=STAT,
        previous=None,
        changes=changes,
        content_mode="r",
        content_error="too_large",
    )
    assert wire_of(event)["content"] == {"included": False, "mode": "r", "reason": "too_large"}
    unexplained = FileCreated(**ENTRY, stat=STAT, content_mode="r")
    assert wire_of(unexplained)["content"]["reason"] == "error"


def test_the_name_of_the_watch_can_be_given() -> None:
    """A program that gave its watch a name finds it in the events."""
    event = FileCreated(**ENTRY, stat=STAT)
    assert _wire.to_wire(event, session="s", name="hints")["watch"] == {"name": "hints"}


def test_every_type_is_listed_once() -> None:
    """``EVENT_TYPES`` is what event_name gives for the types there are."""
    assert sorted(_wire.EVENT_TYPES) == sorted({events.event_name(kind) for kind in LEAVES})
    assert len(_wire.EVENT_TYPES) == 13


def test_a_finished_folder() -> None:
    """Its status, and whether it was there when the watch began."""
    event = DirSettled(**ENTRY | {"kind": "dir"}, stat=replace(STAT, kind="dir"), existing=True)
    wire = wire_of(event)
    assert (wire["type"], wire["entry"], wire["existing"]) == ("dir.settled", "dir", True)
    assert wire["stat"]["size"] == 12
    assert "existing" not in wire_of(replace(event, existing=False))
    assert _wire.to_cloudevent(event, session="s")["type"] == "limpet.dir.settled"
    exact = json.loads(json.dumps(_wire.to_wire(event, session="s", exact=True)))
    assert _wire.from_wire(exact) == event


def test_an_unknown_entry_event_is_refused() -> None:
    """A type added without a form on the wire is noticed at once, not sent half empty."""
    with pytest.raises(TypeError, match="no form on the wire"):
        _wire.to_wire(events.FileEvent(**ENTRY), session="s")
    assert issubclass(Rescanned, WatchEvent)


@pytest.mark.parametrize("name", ["caf\udce9", "\udcc3\udca9", "a\ud800\udce9", "é"])
def test_names_of_windows_have_surrogates_that_stand_for_no_bytes(name: str) -> None:
    """What looks like the bytes of a name of Linux is a name there, and must come back as it is."""
    assert _bytes_of(name, windows=True).decode("utf-8", "surrogatepass") == name


def test_surrogates_that_no_byte_made_are_still_sent() -> None:
    """Names of a system that allows lone surrogates keep them in the bytes."""
    wire = wire_of(FileCreated(**{**ENTRY, "path": ROOT / "a\ud800b"}, stat=STAT))
    assert base64.b64decode(wire["rel_b64"]).decode("utf-8", "surrogatepass") == "a\ud800b"


def test_numbers_json_does_not_have_are_refused() -> None:
    """No NaN, ever: the serialiser would rather fail."""
    with pytest.raises(ValueError, match="JSON"):
        _wire.dump_line({"v": math.nan})
