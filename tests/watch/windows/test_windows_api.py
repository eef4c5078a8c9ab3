"""The calls of Windows behind the source of hints, as that system answers them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from limpet.backends import _windows_api
from limpet.backends._windows_api import (
    NOT_A_DIRECTORY,
    NOT_FOUND,
    OPERATION_ABORTED,
    ChangesApi,
    RefusedError,
    Request,
)
from limpet.backends._windows_records import ADDED, NEW_NAME, OLD_NAME, Record, parse
from tests.waiting import until_sync

pytestmark = pytest.mark.skipif(
    not hasattr(_windows_api, "WindowsApi"), reason="no ReadDirectoryChangesW here"
)


@pytest.fixture
def api() -> ChangesApi:
    made: Any = _windows_api
    real: ChangesApi = made.WindowsApi()
    return real


@pytest.fixture
def port(api: ChangesApi) -> Iterator[int]:
    made = api.open_port()
    yield made
    api.close(made)


def records_of(api: ChangesApi, port: int, request: Request) -> list[Record]:
    packet = api.wait(port, 10)
    assert packet is not None
    assert (packet.address, packet.error) == (request.address, 0)
    found = parse(request.data(packet.size), extended=False)
    assert found is not None
    return found


@pytest.mark.parametrize("name", ["plain", "trail.", "x" * 120])
def test_changes_come_to_the_port(api: ChangesApi, port: int, tmp_path: Path, name: str) -> None:
    """Also where Win32 could not spell the directory, or its path is longer than 260 characters."""
    place = "\\\\?\\" + os.path.join(os.path.realpath(tmp_path), name, name, name)
    os.makedirs(place)
    handle = api.open_directory(place.removeprefix("\\\\?\\"))
    api.attach(port, handle)
    request = Request(4096)
    api.read(handle, request, extended=False, below=True)
    os.mkdir(place + "\\d")
    assert Record(ADDED, "d") in records_of(api, port, request)
    os.rename(place + "\\d", place + "\\e")
    found: list[Record] = []
    while Record(NEW_NAME, "e") not in found:  # what came between two reads was kept
        api.read(handle, request, extended=False, below=True)
        found += records_of(api, port, request)
    assert Record(OLD_NAME, "d") in found
    api.close(handle)


def test_a_cancelled_read_ends_at_the_port(api: ChangesApi, port: int, tmp_path: Path) -> None:
    handle = api.open_directory(str(tmp_path))
    api.attach(port, handle)
    request = Request(4096)
    api.read(handle, request, extended=False, below=True)
    api.cancel(handle, request)
    packet = api.wait(port, 10)
    assert packet is not None
    assert (packet.address, packet.error) == (request.address, OPERATION_ABORTED)
    api.cancel(handle, request)  # finds nothing, which is no error
    api.close(handle)


def test_waking_and_waiting(api: ChangesApi, port: int) -> None:
    assert api.wait(port, 0) is None
    assert api.wait(port, 0.01) is None
    api.post(port)
    packet = api.wait(port, None)
    assert packet is not None
    assert packet.address == 0


def test_what_cannot_be_opened(api: ChangesApi, tmp_path: Path) -> None:
    """A file would be opened by the same call, and its reads refused as those of a file system."""
    (tmp_path / "file").write_text("1")
    for name, code in (("file", NOT_A_DIRECTORY), ("nothing", NOT_FOUND)):
        with pytest.raises(RefusedError) as refused:
            api.open_directory(str(tmp_path / name))
        assert refused.value.code == code
    (tmp_path / "file").unlink()


def test_an_open_directory_stands_in_nobodys_way(api: ChangesApi, tmp_path: Path) -> None:
    place = tmp_path / "place"
    (place / "d").mkdir(parents=True)
    handle = api.open_directory(str(place))
    (place / "d").rename(place / "e")
    (place / "e").rmdir()
    place.rename(tmp_path / "away")
    (tmp_path / "away").rmdir()
    api.close(handle)
    until_sync(lambda: not (tmp_path / "away").exists())
