"""``limpet put``, ``append``, ``rm``, ``mv`` and ``mkdir``, each as a process."""

from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest

from limpet.cli._write import EXIT_CODES
from limpet.output import RefusalCode


def limpet(*argv: str | Path, given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run the program; standard input is what is given, or nothing."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "limpet", *map(str, argv)],
        input=given or b"",
        capture_output=True,
        timeout=60,
    )


def done(*argv: str | Path, given: bytes | None = None) -> dict[str, Any]:
    """Run it with ``--json``; it must succeed without a message."""
    ran = limpet(*argv, "--json", given=given)
    assert (ran.returncode, ran.stderr) == (0, b""), ran
    answer: dict[str, Any] = json.loads(ran.stdout)
    assert answer["ok"] is True
    return answer


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    return root


def test_put(root: Path) -> None:
    """Whole, exactly as it came; an existing file only with ``--if-exists replace``."""
    data = bytes(range(256)) * 1000
    answer = done("put", "a/b", "--root", root, given=data)
    assert (root / "a/b").read_bytes() == data
    assert answer == {
        "v": 1,
        "ok": True,
        "path": str(root / "a/b"),
        "bytes": len(data),
        "existed": False,
        "root": "same",
        "size": len(data),
        "mode": f"{stat.S_IMODE((root / 'a/b').stat().st_mode):04o}",
    }
    ran = limpet("put", "a/b", "--root", root, given=b"x")
    assert ran.returncode == 4
    assert ran.stderr.startswith(b"limpet: cannot create 'a/b' in ")
    assert ran.stderr.count(b"\n") == 1
    assert ran.stdout == b""
    again = done(
        "put", "a/b", "--root", root, "--if-exists", "replace", "--durability", "full", given=b"x"
    )
    assert again["existed"] is True
    assert (root / "a/b").read_bytes() == b"x"


def test_append(root: Path) -> None:
    for text in (b"one\n", b"two", b"three\n"):
        done("append", "log", "--root", root, "--newline-guard", "--lock", given=text)
    assert (root / "log").read_bytes() == b"one\ntwo\nthree\n"
    assert limpet("append", "no", "--root", root, "--no-create").returncode == 5
    for text in (b"a" * 20, b"b" * 20):
        done(
            "append",
            "r",
            "--root",
            root,
            "--rotate-bytes",
            "30",
            "--gzip",
            "--keep",
            "3",
            given=text,
        )
    assert (root / "r").read_bytes() == b"b" * 20
    assert (root / "r.1.gz").exists()
    done("append", "r", "--root", root, "--rotate-daily", given=b"c")
    assert (root / "r").read_bytes() == b"b" * 20 + b"c"


def test_rm_mv_mkdir(root: Path) -> None:
    done("mkdir", "d/e", "--root", root)
    assert limpet("mkdir", "d", "--root", root).returncode == 4
    assert done("mkdir", "d", "--root", root, "--exist-ok")["existed"] is True
    (root / "f").write_text("x")
    (root / "g").write_text("y")
    done("mv", "f", "d/e/f", "--root", root)
    assert limpet("mv", "g", "d/e/f", "--root", root).returncode == 4
    assert limpet("mv", "g", "n/g", "--root", root, "--no-parents").returncode == 5
    done("mv", "g", "d/e/f", "--root", root, "--if-exists", "replace")
    assert (root / "d/e/f").read_text() == "y"
    assert limpet("rm", "d/e", "--root", root).returncode == 6
    assert limpet("rm", "d/e", "--root", root, "--folder").returncode == 6
    done("rm", "d/e/f", "--root", root, "--durability", "full")
    assert limpet("rm", "d/e/f", "--root", root).returncode == 5
    done("rm", "d/e/f", "--root", root, "--missing-ok")
    done("rm", "d/e", "--root", root, "--folder")
    assert list((root / "d").iterdir()) == []


@pytest.mark.parametrize("command", ["put", "append", "rm", "mkdir"])
def test_names_that_lead_out(root: Path, tmp_path: Path, command: str) -> None:
    """O2: with the exit code for a name that is not to be trusted."""
    (root / "link").symlink_to(tmp_path)
    for name in ("../x", "/etc/x", "link/x", "a\\b", "", "a//b"):
        ran = limpet(command, name, "--root", root, "--json", given=b"x")
        assert ran.returncode == 3, name
        answer = json.loads(ran.stdout)
        assert answer["ok"] is False
        assert answer["code"] in {"escape", "symlink", "bad-name"}
        assert answer["message"] in ran.stderr.decode()
    assert list(tmp_path.iterdir()) == [root]


def test_the_root(root: Path, tmp_path: Path) -> None:
    ran = limpet("put", "x", "--root", tmp_path / "no", "--json")
    assert (ran.returncode, json.loads(ran.stdout)["code"]) == (5, "root-gone")
    done("put", "x", "--root", tmp_path / "no", "--create-root", given=b"x")
    assert (tmp_path / "no/x").read_bytes() == b"x"
    assert limpet("put", "NUL", "--root", root, "--portable").returncode == 3
    assert limpet("put", "x", "--root", root / "file-that-is-not").returncode == 5


def test_a_path_that_is_no_text(root: Path) -> None:
    """Shown with U+FFFD, and its exact bytes beside it."""
    latin = os.fsdecode(os.fsencode(root.parent) + b"/caf\xe9")
    answer = done("put", "x", "--root", latin, "--create-root")
    assert answer["path"].endswith("/caf\ufffd/x")
    assert base64.b64decode(answer["path_b64"]) == os.fsencode(latin) + b"/x"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["put", "x"], "--root"),
        (["put", "x", "--root", ""], "empty"),
        (["put", "--root", "."], "NAME"),
        (["put", "x", "--root", ".", "--durability", "some"], "none, file, full"),
        (["put", "x", "--root", ".", "--if-exists", "maybe"], "refuse, replace"),
        (["append", "x", "--root", ".", "--keep", "3"], "--rotate-bytes"),
        (["mv", "x", "--root", "."], "TARGET"),
    ],
    ids=" ".join,
)
def test_a_wrong_call(argv: list[str], message: str) -> None:
    """One line with the error, one with the remedy; exit code 2."""
    ran = limpet(*argv)
    assert ran.returncode == 2
    assert message in ran.stderr.decode()
    assert ran.stderr.decode().splitlines()[-1] == f"Try 'limpet {argv[0]} --help'."


def test_every_kind_of_refusal_has_its_exit_code() -> None:
    """And none has that of success or of a wrong call."""
    assert set(EXIT_CODES) == set(get_args(RefusalCode))
    assert not {0, 2} & set(EXIT_CODES.values())
