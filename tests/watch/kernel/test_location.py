"""The location is a place: whatever happens to the way that leads there, the watch follows it."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

import limpet
from limpet.testing import Mirror, describe, listing, perform
from tests.unprivileged import start

ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


class Followed:
    """A synchronous folder watch whose every fence is held to L1 and L2."""

    def __init__(self, location: Path, backend: Any, **options: Any) -> None:
        options.setdefault("poll_interval", 3600)
        self.location = location
        self.watch = limpet.watch_dir(location, backend=backend, **options).sync()
        self.seq = 0

    def __enter__(self) -> Self:
        self.watch.__enter__()
        self.mirror = Mirror(self.watch.entries())
        return self

    def __exit__(self, *error: object) -> None:
        self.watch.close()

    def take(self, events: list[limpet.Event]) -> list[str]:
        for event in events:
            self.seq += 1
            assert event.seq == self.seq, "a number is missing or repeated"
            self.mirror.apply(event)
        return [describe(event) for event in events]

    def fence(self) -> list[str]:
        found = self.take(self.watch.fence())
        assert self.mirror.entries == listing(self.location), found
        assert self.mirror.entries == self.watch.entries(), found
        return found


def folder(path: Path, *files: str) -> Path:
    path.mkdir(parents=True)
    for name in files:
        (path / name).write_text(name)
    return path


def point(link: Path, target: str | Path, *, step: str = "..new") -> None:
    """Point a link elsewhere in one step, by renaming another over it."""
    between = link.with_name(step)
    between.symlink_to(target)
    between.rename(link)


# -- missing ancestors -----------------------------------------------------------------------------


def test_ancestors_appear_one_by_one(tmp_path: Path, backend: Any) -> None:
    """S16, W01: nothing is there at first, and each missing folder comes by itself."""
    place = tmp_path / "a" / "b" / "c" / "place"
    with Followed(place, backend) as watch:
        for part in ("a", "a/b", "a/b/c"):
            (tmp_path / part).mkdir()
            assert watch.fence() == []
        place.mkdir()
        assert watch.fence() == ["TargetDirCreated ."]
        (place / "f").write_text("1")
        assert watch.fence() == ["FileCreated f"]


def test_ancestors_appear_at_once(tmp_path: Path, backend: Any) -> None:
    """S16, S11: the way, the target and its content come between two scans."""
    place = tmp_path / "a" / "b" / "c" / "place"
    with Followed(place, backend) as watch:
        folder(place / "d", "f")
        assert watch.fence() == ["TargetDirCreated .", "DirCreated d", "FileCreated d/f"]
        (place / "d" / "g").write_text("1")
        assert watch.fence() == ["FileCreated d/g"]


def test_a_waiting_consumer_hears_the_last_of_missing_ancestors(
    tmp_path: Path, kernel_backend: Any
) -> None:
    """S16, L5: hints alone lead to the target, one missing folder after the other."""
    place = tmp_path / "a" / "b" / "c" / "place"
    with Followed(place, kernel_backend) as watch:
        for part in ("a", "a/b", "a/b/c"):
            (tmp_path / part).mkdir()
            assert watch.watch.next(0.05) is None
        place.mkdir()
        event = watch.watch.next(10)
        assert isinstance(event, limpet.TargetDirCreated)


def test_moved_into_place_with_its_ancestors(tmp_path: Path, backend: Any) -> None:
    """S16, S13: a whole tree that holds the target is moved in."""
    folder(tmp_path / "made" / "b" / "place" / "d", "f")
    place = tmp_path / "a" / "b" / "place"
    with Followed(place, backend) as watch:
        (tmp_path / "made").rename(tmp_path / "a")
        assert watch.fence() == ["TargetDirCreated .", "DirCreated d", "FileCreated d/f"]
        (place / "d" / "g").write_text("1")
        assert watch.fence() == ["FileCreated d/g"]


def test_a_component_is_a_file_first(tmp_path: Path, backend: Any) -> None:
    """S16: where a folder of the way should stand is a file, then a folder."""
    (tmp_path / "a").write_text("in the way")
    place = tmp_path / "a" / "b" / "place"
    with Followed(place, backend) as watch:
        (tmp_path / "a").write_text("still")
        assert watch.fence() == []
        (tmp_path / "a").unlink()
        folder(tmp_path / "a")
        (tmp_path / "a" / "b").write_text("another")
        assert watch.fence() == []
        (tmp_path / "a" / "b").unlink()
        folder(place, "f")
        assert watch.fence() == ["TargetDirCreated .", "FileCreated f"]
        shutil.rmtree(tmp_path / "a")
        (tmp_path / "a").write_text("again")
        assert watch.fence()[0] == "FileDeleted f"
        (tmp_path / "a").unlink()
        folder(place)
        assert watch.fence() == ["TargetDirCreated ."]


def test_the_target_is_a_file_first(tmp_path: Path, backend: Any) -> None:
    """S18: a file where the folder is expected is said once; then the folder is the target."""
    place = tmp_path / "place"
    place.write_text("1")
    with Followed(place, backend) as watch:
        assert watch.take(watch.watch.fence()) == ["Mismatched (file)"]
        place.write_text("22")
        assert watch.fence() == []
        place.unlink()
        folder(place, "f")
        assert watch.fence() == ["TargetDirCreated .", "FileCreated f"]


# -- ancestors that go -----------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["a", "a/b", "a/b/c"])
def test_an_ancestor_moves_away_and_back(tmp_path: Path, backend: Any, level: str) -> None:
    """S15 (ancestor), S16, W05: writes in what was moved away are not ours."""
    place = folder(tmp_path / "a" / "b" / "c" / "place", "f")
    away = tmp_path / "away"
    with Followed(place, backend) as watch:
        (tmp_path / level).rename(away)
        assert watch.fence() == ["FileDeleted f", "TargetDirDeleted . (ancestor)"]
        moved = away / place.relative_to(tmp_path / level)
        (moved / "ghost").write_text("1")
        (moved / "f").write_text("ghost")
        assert watch.fence() == []
        away.rename(tmp_path / level)
        found = watch.fence()
        assert found[0] == "TargetDirCreated ."
        assert sorted(found[1:]) == ["FileCreated f", "FileCreated ghost"]
        (place / "g").write_text("1")
        assert watch.fence() == ["FileCreated g"]


@pytest.mark.parametrize("level", ["a", "a/b"])
def test_an_ancestor_moves_away_and_back_between_two_scans(
    tmp_path: Path, backend: Any, level: str
) -> None:
    """S6 for the way: there and back is nothing but what was written meanwhile."""
    place = folder(tmp_path / "a" / "b" / "place", "f")
    with Followed(place, backend) as watch:
        (tmp_path / level).rename(tmp_path / "away")
        (tmp_path / "away" / place.relative_to(tmp_path / level) / "g").write_text("1")
        (tmp_path / "away").rename(tmp_path / level)
        assert watch.fence() == ["FileCreated g"]


@pytest.mark.parametrize("level", ["a", "a/b"])
def test_an_ancestor_is_replaced_by_one_like_it(tmp_path: Path, backend: Any, level: str) -> None:
    """S17: another folder with the same names in it comes to stand on the way."""
    place = folder(tmp_path / "a" / "b" / "place", "f", "old")
    other = tmp_path / "other"
    folder(other / place.relative_to(tmp_path / level), "f", "new")
    with Followed(place, backend) as watch:
        (tmp_path / level).rename(tmp_path / "away")
        other.rename(tmp_path / level)
        found = watch.fence()
        at = found.index("TargetDirDeleted . (replaced)")
        assert sorted(found[:at]) == ["FileDeleted f", "FileDeleted old"]
        assert found[at + 1] == "TargetDirCreated ."
        assert sorted(found[at + 2 :]) == ["FileCreated f", "FileCreated new"]
        (tmp_path / "away" / place.relative_to(tmp_path / level) / "ghost").write_text("1")
        assert watch.fence() == []
        (place / "g").write_text("1")
        assert watch.fence() == ["FileCreated g"]


@pytest.mark.parametrize("level", ["a", "a/b", "a/b/place"])
def test_deleted_and_made_again_twenty_times(tmp_path: Path, backend: Any, level: str) -> None:
    """W02 to W06: each round is reported wholly, and no ghost of an earlier one shows."""
    place = folder(tmp_path / "a" / "b" / "place", "f")
    with Followed(place, backend) as watch:
        for number in range(20):
            shutil.rmtree(tmp_path / level)
            if number % 2:
                assert watch.fence()[-1].startswith("TargetDirDeleted")
            folder(place / f"d{number}", "x")
            found = watch.fence()
            assert "TargetDirCreated ." in found
            assert found[-1] == f"FileCreated d{number}/x"
            (place / f"d{number}" / "y").write_text("1")
            assert watch.fence() == [f"FileCreated d{number}/y"]


@pytest.mark.parametrize("level", ["a", "a/b"])
def test_a_storm_of_deletion_and_creation_during_scans(
    tmp_path: Path, backend: Any, level: str
) -> None:
    """L1, L2: scans at any moment of a delete and make loop lead to what is there in the end."""
    place = folder(tmp_path / "a" / "b" / "place", "f")
    script = textwrap.dedent("""
        import os, shutil, sys
        level, place = sys.argv[1:]
        print("go", flush=True)
        for number in range(150):
            if number % 3 == 2:
                os.replace(level, level + ".away")
                shutil.rmtree(level + ".away")
            else:
                shutil.rmtree(level)
            os.makedirs(place + "/d/e")
            open(place + f"/d/e/{number}", "w").close()
    """)
    command = [sys.executable, "-c", script, str(tmp_path / level), str(place)]
    with (
        Followed(place, backend) as watch,
        subprocess.Popen(command, stdout=subprocess.PIPE) as program,
    ):
        assert program.stdout is not None
        program.stdout.readline()
        while program.poll() is None:
            watch.take(watch.watch.fence())
        watch.fence()
        (place / "d" / "e" / "last").write_text("1")
        assert watch.fence() == ["FileCreated d/e/last"]


# -- symlinks on the way ---------------------------------------------------------------------------

LINKED = ["first", "middle", "last"]


def linked(tmp_path: Path, which: str, *, absolute: bool) -> tuple[Path, Path, Path, Path, str]:
    """Give location, link, real old target, real new target, and what to point the link to."""
    names = {"first": "l/b/place", "middle": "a/l/place", "last": "a/b/l"}
    location = tmp_path / "top" / names[which]
    link = tmp_path / "top" / names[which].partition("l")[0] / "l"
    below = {"first": "b/place", "middle": "place", "last": ""}[which]
    link.parent.mkdir(parents=True, exist_ok=True)
    old = folder(tmp_path / "real" / "old" / below, "f")
    new = folder(tmp_path / "real" / "new" / below, "g")
    real = tmp_path / "real"
    start = str(real) if absolute else os.path.relpath(real, link.parent)
    link.symlink_to(f"{start}/old")
    return location, link, old, new, f"{start}/new"


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("which", LINKED)
def test_a_link_is_pointed_elsewhere(
    tmp_path: Path, backend: Any, which: str, absolute: bool
) -> None:
    """S19, W68: the old target is gone at once and for ever, the new one is watched."""
    location, link, old, new, to = linked(tmp_path, which, absolute=absolute)
    with Followed(location, backend) as watch:
        (old / "h").write_text("1")
        assert watch.fence() == ["FileCreated h"]
        point(link, to)
        found = watch.fence()
        assert "TargetDirDeleted . (replaced)" in found
        assert found[-2:] == ["TargetDirCreated .", "FileCreated g"]
        (old / "ghost").write_text("1")
        (old / "f").unlink()
        assert watch.fence() == []
        (new / "i").write_text("1")
        assert watch.fence() == ["FileCreated i"]


@pytest.mark.parametrize("which", LINKED)
def test_a_waiting_consumer_hears_of_a_link_pointed_elsewhere(
    tmp_path: Path, kernel_backend: Any, which: str
) -> None:
    """S19, L5: no fence is needed."""
    location, link, _, _, to = linked(tmp_path, which, absolute=False)
    with Followed(location, kernel_backend) as watch:
        point(link, to)
        kinds = []
        while "TargetDirCreated" not in kinds:
            event = watch.watch.next(10)
            assert event is not None
            kinds.append(type(event).__name__)
        assert kinds == ["FileDeleted", "TargetDirDeleted", "TargetDirCreated"]


@pytest.mark.parametrize("which", LINKED)
def test_a_link_is_removed_and_made_again(tmp_path: Path, backend: Any, which: str) -> None:
    """S15, S16, W68 with ``ln -sfn``: unlink, then symlink."""
    location, link, old, new, to = linked(tmp_path, which, absolute=True)
    with Followed(location, backend) as watch:
        link.unlink()
        assert watch.fence()[-1].startswith("TargetDirDeleted .")
        (old / "ghost").write_text("1")
        assert watch.fence() == []
        link.symlink_to(to)
        assert watch.fence() == ["TargetDirCreated .", "FileCreated g"]
        (new / "i").write_text("1")
        assert watch.fence() == ["FileCreated i"]


@pytest.mark.parametrize("which", LINKED)
def test_a_link_is_pointed_elsewhere_and_back_between_two_scans(
    tmp_path: Path, backend: Any, which: str
) -> None:
    """L1: the same target as before is no change, and it is still heard."""
    location, link, old, _, to = linked(tmp_path, which, absolute=True)
    back = os.readlink(link)
    with Followed(location, backend) as watch:
        point(link, to)
        point(link, back)
        assert watch.fence() == []
        (old / "h").write_text("1")
        assert watch.fence() == ["FileCreated h"]


def test_a_chain_of_links(tmp_path: Path, backend: Any) -> None:
    """S19: each link of a chain, and each folder a link goes through, counts."""
    old = folder(tmp_path / "real" / "old", "f")
    new = folder(tmp_path / "real" / "new", "g")
    hall = folder(tmp_path / "hall")
    (hall / "two").symlink_to("../real/old")
    (tmp_path / "one").symlink_to("hall/../hall/two")
    (tmp_path / "place").symlink_to(tmp_path / "one")
    with Followed(tmp_path / "place", backend) as watch:
        point(hall / "two", "../real/new")
        assert watch.fence()[-1] == "FileCreated g"
        (old / "ghost").write_text("1")
        assert watch.fence() == []
        hall.rename(tmp_path / "away")
        assert watch.fence()[0] == "FileDeleted g"
        (new / "ghost").write_text("1")
        assert watch.fence() == []
        folder(hall)
        (hall / "two").symlink_to("../real/old")
        found = watch.fence()
        assert found[0] == "TargetDirCreated ."
        (old / "h").write_text("1")
        assert watch.fence() == ["FileCreated h"]


def test_a_loop_of_links(tmp_path: Path, backend: Any) -> None:
    """L3: a loop is nothing to see; opened, it leads somewhere."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("c")
    (tmp_path / "c").symlink_to("a")
    real = folder(tmp_path / "real" / "place", "f")
    with Followed(tmp_path / "a" / "place", backend) as watch:
        assert watch.fence() == []
        point(tmp_path / "c", "real")
        assert watch.fence() == ["TargetDirCreated .", "FileCreated f"]
        point(tmp_path / "c", "a")
        assert watch.fence()[0] == "FileDeleted f"
        (real / "ghost").write_text("1")
        assert watch.fence() == []


@pytest.mark.parametrize("which", LINKED)
def test_a_dangling_link_gets_its_target(tmp_path: Path, backend: Any, which: str) -> None:
    """S16: what a link leads to comes to be, several folders at a time."""
    location, link, _, _, _ = linked(tmp_path, which, absolute=False)
    link.unlink()
    link.symlink_to(tmp_path / "far" / "off")
    below = location.relative_to(link)
    with Followed(location, backend) as watch:
        assert watch.fence() == []
        folder(tmp_path / "far")
        assert watch.fence() == []
        folder(tmp_path / "far" / "off" / below, "f")
        assert watch.fence() == ["TargetDirCreated .", "FileCreated f"]
        shutil.rmtree(tmp_path / "far")
        assert watch.fence()[0] == "FileDeleted f"


def test_a_folder_becomes_a_link_to_where_it_went(tmp_path: Path, backend: Any) -> None:
    """L1: moved to another disk and linked, as administrators do; it is the same folder."""
    place = folder(tmp_path / "a" / "place", "f")
    with Followed(place, backend) as watch:
        (tmp_path / "a").rename(tmp_path / "b")
        (tmp_path / "a").symlink_to("b")
        assert watch.fence() == []
        (tmp_path / "b" / "place" / "g").write_text("1")
        assert watch.fence() == ["FileCreated g"]


def config_map(tmp_path: Path) -> tuple[Path, Callable[[int], Path]]:
    """Lay out a mounted config map, and how it is brought up to date."""
    volume = folder(tmp_path / "volume")

    def bring(version: int) -> Path:
        data = folder(volume / f"..{version}")
        (data / "config").write_text(f"version {version}")
        (volume / "..data_tmp").symlink_to(data.name)
        (volume / "..data_tmp").rename(volume / "..data")
        return data

    bring(0)
    (volume / "config").symlink_to("..data/config")
    return volume, bring


def test_a_config_map_as_a_file(tmp_path: Path, backend: Any) -> None:
    """S19, W17: each swap of ``..data`` is one update, and the old version's end is nothing."""
    volume, bring = config_map(tmp_path)
    options: dict[str, Any] = {"content": limpet.ContentOptions(), "poll_interval": 3600}
    with limpet.watch_file(volume / "config", backend=backend, **options).sync() as watch:
        for version in range(1, 20):
            bring(version)
            (event,) = watch.fence()
            assert isinstance(event, limpet.TargetFileUpdated)
            assert "identity" in event.changes
            assert event.content == f"version {version}"
            (volume / f"..{version - 1}" / "config").write_text("ghost")
            shutil.rmtree(volume / f"..{version - 1}")
            assert watch.fence() == []


def test_a_config_map_as_a_file_with_a_waiting_consumer(
    tmp_path: Path, kernel_backend: Any
) -> None:
    """S19, L5, W17: a swap wakes the consumer, round after round."""
    volume, bring = config_map(tmp_path)
    with limpet.watch_file(volume / "config", backend=kernel_backend).sync() as watch:
        for version in range(1, 10):
            bring(version)
            event = watch.next(10)
            assert isinstance(event, limpet.TargetFileUpdated)
            shutil.rmtree(volume / f"..{version - 1}")


def test_a_config_map_as_the_target_folder(tmp_path: Path, backend: Any) -> None:
    """S19, W68: ``volume/..data`` is the location; each swap is another folder."""
    volume, bring = config_map(tmp_path)
    with Followed(volume / "..data", backend) as watch:
        for version in range(1, 10):
            bring(version)
            assert watch.fence() == [
                "FileDeleted config",
                "TargetDirDeleted . (replaced)",
                "TargetDirCreated .",
                "FileCreated config",
            ]
            (volume / f"..{version - 1}" / "ghost").write_text("1")
            shutil.rmtree(volume / f"..{version - 1}")
            assert watch.fence() == []


def test_a_config_map_inside_the_tree(tmp_path: Path, backend: Any) -> None:
    """S20, L1: the links are entries of their own; the swap updates ``..data``."""
    volume, bring = config_map(tmp_path)
    with Followed(volume, backend) as watch:
        for version in range(1, 10):
            bring(version)
            shutil.rmtree(volume / f"..{version - 1}")
            found = watch.fence()
            assert f"DirCreated ..{version}" in found
            assert any(line.startswith("FileUpdated ..data {") for line in found)


def test_a_file_behind_links_is_replaced(tmp_path: Path, backend: Any) -> None:
    """S5, S19: a save by rename of the real file behind a link is one update."""
    folder(tmp_path / "real", "f")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "place").symlink_to("link/f")
    with limpet.watch_file(tmp_path / "place", backend=backend, poll_interval=3600).sync() as watch:
        for number in range(10):
            (tmp_path / "real" / "t").write_text(f"saved {number}")
            (tmp_path / "real" / "t").rename(tmp_path / "real" / "f")
            assert [describe(e) for e in watch.fence()] == [
                "TargetFileUpdated . {content,identity}"
            ] or number == 0
            (tmp_path / "real" / "sibling").write_text(str(number))
            assert watch.fence() == []


# -- permission ------------------------------------------------------------------------------------


@pytest.mark.skipif(not ROOT, reason="only root can become somebody else")
@pytest.mark.parametrize("mode", [0o000, 0o600])
def test_permission_on_an_ancestor_is_lost_and_regained(
    open_path: Path, backend: Any, mode: int
) -> None:
    """L3, S22, W10: an ancestor that may not be passed is said once, and is no deletion."""
    script = textwrap.dedent("""
        import sys
        import limpet
        from limpet.testing import describe
        from tests.unprivileged import drop_rights
        backend, place = sys.argv[1:]
        drop_rights()
        with limpet.watch_dir(place, backend=backend, poll_interval=3600).sync() as watch:
            for line in sys.stdin:
                print("|".join(describe(e) for e in watch.fence()), flush=True)
    """)
    place = folder(open_path / "a" / "b" / "place", "f")
    for number in range(3):
        folder(place / f"d{number}")
    perform("age", place)
    with start(script, backend, place) as program:
        sent, got = program.stdin, program.stdout
        assert sent is not None
        assert got is not None

        def fence() -> list[str]:
            sent.write("\n")
            sent.flush()
            return [word for word in got.readline().rstrip("\n").split("|") if word]

        assert fence() == []
        (open_path / "a").chmod(mode)
        assert fence() == ["Degraded . (permission)"]
        (place / "g").write_text("1")
        for number in range(3):
            (place / f"d{number}" / "x").write_text("1")
        assert fence() == []
        (open_path / "a").chmod(0o755)
        assert sorted(fence()) == [
            *(f"FileCreated d{number}/x" for number in range(3)),
            "FileCreated g",
            "Recovered .",
        ]
        (place / "h").write_text("1")
        assert fence() == ["FileCreated h"]
        sent.close()
        assert program.wait() == 0


# -- several watches in one loop -------------------------------------------------------------------


def kernel_instances() -> list[str]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if target in {"anon_inode:[fanotify]", "anon_inode:inotify"}:
            found.append(target)
    return found


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def fenced(watch: limpet.Watch) -> list[str]:
    await watch.fence()
    core = watch._core
    assert core is not None
    return [describe(event) for event in core.pop_all()]


@pytest.mark.anyio
async def test_overlapping_watches(tmp_path: Path, backend: Any) -> None:
    """L1: P, P/sub, P twice, and a sibling whose name begins alike; none disturbs another."""
    sub = folder(tmp_path / "a" / "sub")
    folder(tmp_path / "ab")
    perform("age", tmp_path)
    options: Any = {"backend": backend, "poll_interval": 3600}
    async with (
        limpet.watch_dir(tmp_path / "a", **options) as outer,
        limpet.watch_dir(tmp_path / "a", **options) as twin,
        limpet.watch_dir(tmp_path / "ab", **options) as sibling,
    ):
        async with limpet.watch_dir(sub, **options) as inner:
            (sub / "f").write_text("1")
            (tmp_path / "ab" / "x").write_text("1")
            assert await fenced(outer) == ["FileCreated sub/f"]
            assert await fenced(twin) == ["FileCreated sub/f"]
            assert await fenced(inner) == ["FileCreated f"]
            assert await fenced(sibling) == ["FileCreated x"]
            sub.rename(tmp_path / "a" / "bus")
            assert await fenced(outer) == ["DirRenamed sub -> bus"]
            assert (await fenced(inner))[0] == "FileDeleted f"
            (tmp_path / "a" / "bus" / "g").write_text("1")
            assert await fenced(outer) == ["FileCreated bus/g"]
            assert await fenced(twin) == ["DirRenamed sub -> bus", "FileCreated bus/g"]
            assert await fenced(inner) == []
            (tmp_path / "a" / "bus").rename(sub)
            assert await fenced(outer) == ["DirRenamed bus -> sub"]
            found = await fenced(inner)
            assert found[0] == "TargetDirCreated ."
            (sub / "h").write_text("1")
            assert await fenced(inner) == ["FileCreated h"]
        (sub / "i").write_text("1")
        assert sorted(await fenced(outer)) == ["FileCreated sub/h", "FileCreated sub/i"]
        assert await fenced(sibling) == []
        assert outer.entries() == twin.entries() == listing(tmp_path / "a") or await fenced(twin)


@pytest.mark.anyio
async def test_the_inner_of_two_watches_outlives_the_outer(
    tmp_path: Path, kernel_backend: Any
) -> None:
    """Stopping: the marks that two watches share stay for the one that is left."""
    sub = folder(tmp_path / "a" / "sub")
    async with limpet.watch_dir(sub, backend=kernel_backend) as inner:
        for _ in range(5):
            async with limpet.watch_dir(tmp_path / "a", backend=kernel_backend) as outer:
                (sub / "f").write_text("1")
                assert await fenced(outer) == ["FileCreated sub/f"]
            assert await fenced(inner) == ["FileCreated f"]
            (sub / "f").unlink()
            assert await fenced(inner) == ["FileDeleted f"]
        (tmp_path / "a").rename(tmp_path / "away")
        assert await fenced(inner) == ["TargetDirDeleted . (ancestor)"]


@pytest.fixture
def mounts_changed() -> Iterator[Callable[[], bool]]:
    """Return whether anything was mounted or unmounted, by any process, since the last call."""
    with open("/proc/self/mountinfo") as table:
        poll = select.poll()
        poll.register(table, select.POLLPRI)
        yield lambda: bool(poll.poll(0))


@pytest.mark.anyio
async def test_many_watches_share_one_kernel_instance(
    tmp_path: Path, kernel_backend: Any, mounts_changed: Callable[[], bool]
) -> None:
    """W90, L5: 150 watches take one instance of each kind, and scan only when there is cause."""
    import contextlib

    import anyio

    before = len(kernel_instances())
    async with contextlib.AsyncExitStack() as stack, anyio.create_task_group() as tasks:
        watches = []
        for number in range(150):
            place = folder(tmp_path / str(number))
            watch = limpet.watch_dir(place, backend=kernel_backend)
            watches.append(await stack.enter_async_context(watch))
        assert len(kernel_instances()) == before + 1
        got: dict[int, list[str]] = {}
        heard = anyio.Event()

        async def consume(number: int) -> None:
            async for event in watches[number]:
                got.setdefault(number, []).append(describe(event))
                heard.set()

        for number in range(150):
            tasks.start_soon(consume, number)
        await anyio.wait_all_tasks_blocked()
        turn, scans, after = 0, [0], [0]
        while not turn or mounts_changed():  # by another test: then each watch examines its own
            turn += 1
            mounts_changed()
            scans = [watch.stats().scans for watch in watches]
            for number in (0, 77, 149):
                heard = anyio.Event()
                (tmp_path / str(number) / f"f{turn}").write_text("1")
                with anyio.fail_after(10):
                    await heard.wait()
            after = [watch.stats().scans for watch in watches]
        assert got.keys() == {0, 77, 149}
        assert all(f"FileCreated f{turn}" in events for events in got.values())
        changed = {n for n, (a, b) in enumerate(zip(scans, after, strict=True)) if a != b}
        assert changed == {0, 77, 149}
        tasks.cancel_scope.cancel()
    assert len(kernel_instances()) == before


# -- mounts ----------------------------------------------------------------------------------------

PRELUDE = '''
import os, subprocess, sys
from pathlib import Path
import limpet
from limpet.testing import Mirror, describe, listing
backend, tmp = sys.argv[1], Path(sys.argv[2])

def mount(where, *options):
    subprocess.run(["mount", "-t", "tmpfs", *options, "none", str(where)], check=True)

def bind(what, where):
    subprocess.run(["mount", "--bind", str(what), str(where)], check=True)

def umount(where):
    subprocess.run(["umount", str(where)], check=True)

class Follow:
    def __init__(self, place, kind="dir"):
        make = limpet.watch_dir if kind == "dir" else limpet.watch_file
        self.place = place
        self.watch = make(place, backend=backend, poll_interval=3600).sync()
        self.watch.__enter__()
        self.mirror = Mirror(self.watch.entries())
        self.kind = kind

    def fence(self):
        return self.check(self.watch.fence())

    def wait(self, last):
        """What a plain waiting consumer gets, up to an event; by a fence in fence mode."""
        found = []
        if not WAIT:
            found = self.watch.fence()
        else:
            while not found or describe(found[-1]) != last:
                event = self.watch.next(timeout=10)
                assert event is not None, ("heard nothing after", [describe(e) for e in found])
                found.append(event)
        return self.check(found)

    def check(self, found):
        for event in found:
            self.mirror.apply(event)
        shown = [describe(e) for e in found]
        if self.kind == "dir":
            assert self.mirror.entries == listing(self.place), (shown, self.mirror.entries)
        return shown

def same(found, expected):
    assert found == expected, found
WAIT = sys.argv[3] == "wait"
'''


def in_namespace(tmp_path: Path, backend: str, way: str, body: str) -> None:
    """Run a script that mounts, in a mount namespace of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    script = PRELUDE + textwrap.dedent(body)
    command = ["unshare", "-m", "--propagation", "private", sys.executable, "-c", script]
    done = subprocess.run(
        [*command, backend, str(tmp_path), way],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-1500:]


mounts = pytest.mark.skipif(
    not ROOT or not shutil.which("unshare"), reason="mounting takes root and unshare"
)
ways = pytest.mark.parametrize("way", ["fence", "wait"])


@mounts
@ways
def test_unmount_of_the_target(tmp_path: Path, kernel_backend: str, way: str) -> None:
    """S15 (unmounted), W07: then what was covered is the target, and later the mount again."""
    in_namespace(
        tmp_path,
        kernel_backend,
        way,
        """
        place = tmp / "place"; place.mkdir(); (place / "below").write_text("1")
        mount(place); (place / "f").write_text("1")
        w = Follow(place)
        umount(place)
        same(w.wait("FileCreated below"), ["FileDeleted f", "TargetDirDeleted . (unmounted)",
             "TargetDirCreated .", "FileCreated below"])
        (place / "g").write_text("1")
        same(w.wait("FileCreated g"), ["FileCreated g"])
        mount(place)
        found = w.wait("TargetDirCreated .")
        same(found[-2:], ["TargetDirDeleted . (replaced)", "TargetDirCreated ."])
        (place / "h").write_text("1")
        same(w.wait("FileCreated h"), ["FileCreated h"])
        """,
    )


@mounts
@ways
def test_unmount_of_an_ancestor(tmp_path: Path, kernel_backend: str, way: str) -> None:
    """S15 (unmounted), W07: the file system that holds the target and a part of its way goes."""
    in_namespace(
        tmp_path,
        kernel_backend,
        way,
        """
        disk = tmp / "disk"; disk.mkdir(); mount(disk)
        place = disk / "a" / "place"; place.mkdir(parents=True); (place / "f").write_text("1")
        w = Follow(place)
        umount(disk)
        same(w.wait("TargetDirDeleted . (unmounted)"),
             ["FileDeleted f", "TargetDirDeleted . (unmounted)"])
        mount(disk)
        place.mkdir(parents=True)
        same(w.wait("TargetDirCreated ."), ["TargetDirCreated ."])
        (place / "h").write_text("1")
        same(w.wait("FileCreated h"), ["FileCreated h"])
        """,
    )


@mounts
@ways
def test_a_mount_over_an_ancestor(tmp_path: Path, kernel_backend: str, way: str) -> None:
    """S15, S16, W08: the way is covered by an empty file system, then uncovered."""
    in_namespace(
        tmp_path,
        kernel_backend,
        way,
        """
        place = tmp / "a" / "b" / "place"; place.mkdir(parents=True)
        (place / "f").write_text("1")
        w = Follow(place)
        covered = os.open(place, os.O_RDONLY)
        mount(tmp / "a")
        found = []
        found = w.wait("TargetDirDeleted . (ancestor)") if not WAIT else None
        if WAIT:
            same(describe(w.watch.next(10)), "FileDeleted f")
            event = w.watch.next(10); assert isinstance(event, limpet.TargetDirDeleted)
        else:
            same(found[0], "FileDeleted f")
        os.close(os.open("ghost", os.O_CREAT | os.O_WRONLY, dir_fd=covered))
        os.close(covered)
        same(w.watch.fence(), [])
        umount(tmp / "a")
        w.mirror = Mirror()
        found = w.wait("FileCreated ghost") if not WAIT else None
        if not WAIT:
            same(sorted(found), ["FileCreated f", "FileCreated ghost", "TargetDirCreated ."])
        else:
            assert isinstance(w.watch.next(10), limpet.TargetDirCreated)
        """,
    )


@mounts
@ways
def test_a_mount_over_a_sub_folder(tmp_path: Path, kernel_backend: str, way: str) -> None:
    """L1, W08: what is in the tree is what can be seen there now, mounted or not."""
    in_namespace(
        tmp_path,
        kernel_backend,
        way,
        """
        place = tmp / "place"; (place / "d" / "m").mkdir(parents=True)
        (place / "d" / "m" / "f").write_text("1")
        w = Follow(place)
        mount(place / "d" / "m")
        same(w.wait("DirCreated d/m"), ["FileDeleted d/m/f", "DirDeleted d/m", "DirCreated d/m"])
        (place / "d" / "m" / "x").write_text("1")
        same(w.wait("FileCreated d/m/x"), ["FileCreated d/m/x"])
        umount(place / "d" / "m")
        same(w.wait("FileCreated d/m/f"),
             ["FileDeleted d/m/x", "DirDeleted d/m", "DirCreated d/m", "FileCreated d/m/f"])
        (place / "d" / "m" / "y").write_text("1")
        same(w.wait("FileCreated d/m/y"), ["FileCreated d/m/y"])
        """,
    )


@mounts
@ways
def test_a_mount_over_a_sub_folder_of_a_linked_location(
    tmp_path: Path, kernel_backend: str, way: str
) -> None:
    """L1, W08: the mount table has real paths, the location has a link in it."""
    in_namespace(
        tmp_path,
        kernel_backend,
        way,
        """
        real = tmp / "real"; (real / "m").mkdir(parents=True)
        place = tmp / "place"; place.symlink_to("real")
        w = Follow(place)
        mount(real / "m")
        same(w.wait("DirCreated m"), ["DirDeleted m", "DirCreated m"])
        (real / "m" / "x").write_text("1")
        same(w.wait("FileCreated m/x"), ["FileCreated m/x"])
        umount(real / "m")
        same(w.wait("DirCreated m"), ["FileDeleted m/x", "DirDeleted m", "DirCreated m"])
        """,
    )


@mounts
@ways
def test_unmount_of_the_target_of_a_linked_location(
    tmp_path: Path, kernel_backend: str, way: str
) -> None:
    """S15 (unmounted): the mount table has real paths, the location has a link in it."""
    in_namespace(
        tmp_path,
        kernel_backend,
        way,
        """
        real = tmp / "real"; real.mkdir(); mount(real); (real / "f").write_text("1")
        place = tmp / "place"; place.symlink_to("real")
        w = Follow(place)
        umount(real)
        same(w.wait("TargetDirCreated ."), ["FileDeleted f", "TargetDirDeleted . (unmounted)",
             "TargetDirCreated ."])
        """,
    )


@mounts
@ways
def test_bind_mounts(tmp_path: Path, kernel_backend: str, way: str) -> None:
    """S17, L1, W08: a folder of the same file system is laid over the target and taken off."""
    in_namespace(
        tmp_path,
        kernel_backend,
        way,
        """
        place = tmp / "place"; place.mkdir(); (place / "f").write_text("1")
        other = tmp / "other"; other.mkdir(); (other / "g").write_text("1")
        w = Follow(place)
        bind(other, place)
        same(w.wait("FileCreated g"), ["FileDeleted f", "TargetDirDeleted . (replaced)",
             "TargetDirCreated .", "FileCreated g"])
        (other / "h").write_text("1")
        same(w.wait("FileCreated h"), ["FileCreated h"])
        umount(place)
        found = w.wait("FileCreated f")
        same(found[-3:], ["TargetDirDeleted . (unmounted)", "TargetDirCreated .", "FileCreated f"])
        (other / "ghost").write_text("1")
        same(w.fence(), [])
        (place / "i").write_text("1")
        same(w.wait("FileCreated i"), ["FileCreated i"])
        """,
    )


@mounts
@ways
def test_the_same_folder_twice_in_the_tree_by_a_bind_mount(
    tmp_path: Path, kernel_backend: str, way: str
) -> None:
    """L1, W69: one folder under two names of the tree; both are entries and both are reported."""
    in_namespace(
        tmp_path,
        kernel_backend,
        way,
        """
        place = tmp / "place"; (place / "a").mkdir(parents=True); (place / "b").mkdir()
        w = Follow(place)
        bind(place / "a", place / "b")
        w.wait("DirCreated b")
        (place / "a" / "x").write_text("1")
        found = w.watch.fence()
        if sorted(describe(e) for e in found) != ["FileCreated a/x", "FileCreated b/x"]:
            print([describe(e) for e in found], file=sys.stderr); sys.exit(1)
        """,
    )


@mounts
@ways
def test_a_stack_of_mounts(tmp_path: Path, kernel_backend: str, way: str) -> None:
    """S17, L1: two file systems on one point, taken off one by one."""
    in_namespace(
        tmp_path,
        kernel_backend,
        way,
        """
        place = tmp / "place"; place.mkdir(); (place / "zero").write_text("1")
        w = Follow(place)
        for name in ("one", "two"):
            mount(place)
            w.wait("TargetDirCreated .")
            (place / name).write_text("1")
            same(w.wait("FileCreated " + name), ["FileCreated " + name])
        umount(place)
        same(w.wait("FileCreated one")[-1], "FileCreated one")
        umount(place)
        same(w.wait("FileCreated zero")[-1], "FileCreated zero")
        """,
    )


@mounts
@ways
def test_unmount_under_a_file_watch(tmp_path: Path, kernel_backend: str, way: str) -> None:
    """S15 for a file: its file system came after the watch began, and goes: ``unmounted``."""
    in_namespace(
        tmp_path,
        kernel_backend,
        way,
        """
        disk = tmp / "disk"; disk.mkdir()
        w = Follow(disk / "f", "file")
        mount(disk)
        (disk / "f").write_text("1")
        assert w.wait("TargetFileCreated .")[0] == "TargetFileCreated ."
        while w.watch.fence(): pass
        umount(disk)
        same(w.wait("TargetFileDeleted . (unmounted)"), ["TargetFileDeleted . (unmounted)"])
        """,
    )


@mounts
def test_an_async_consumer_that_was_busy_hears_of_a_mount(
    tmp_path: Path, kernel_backend: str
) -> None:
    """W07, W08: the mount came while nobody waited; a consumer that waits then gets its report."""
    in_namespace(
        tmp_path,
        kernel_backend,
        "wait",
        """
        import anyio
        place = tmp / "place"; place.mkdir()

        async def main():
            async with limpet.watch_dir(place, backend=backend) as watch:
                for number in range(3):
                    (place / "f").write_text("1")
                    with anyio.fail_after(10):
                        await anext(watch)
                    mount(place)
                    with anyio.fail_after(10):
                        while not isinstance(await anext(watch), limpet.TargetDirCreated): pass
                    umount(place)
                    with anyio.fail_after(10):
                        while not isinstance(await anext(watch), limpet.TargetDirCreated): pass
                    (place / "f").unlink()
                    await watch.fence()
                    watch._core.pop_all()

        for name in ("asyncio", "trio"):
            anyio.run(main, backend=name)
        """,
    )
