"""Compiles ``src/limpet/_speedups.c`` when limpet is built, and fits the README for an index.

limpet works without it, so a build never fails for it: what is missing is said in the output of
the build (``pip install -v``), and ``limpet doctor`` says which form runs. The variable
``LIMPET_BUILD_SPEEDUPS`` changes that: ``0`` leaves it out, ``1`` makes a build fail that cannot
compile it, as those of published wheels must. CC, CFLAGS and LDFLAGS mean what they mean to make.

``python hatch_build.py`` compiles it beside its source, for this repository.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any, Final

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
    from hatchling.metadata.plugin.interface import MetadataHookInterface
except ImportError:  # run by hand, where the build's own packages are not installed
    BuildHookInterface = MetadataHookInterface = object

SWITCH: Final = "LIMPET_BUILD_SPEEDUPS"
NAME: Final = "_speedups.abi3.so"
FOLDER: Final = Path("src", "limpet")
TRIED_S: Final = 300
"""No compiler takes so long over one file; one that hangs does not hold up an installation."""

_IMPORT: Final = """
import importlib.machinery, importlib.util, sys
loader = importlib.machinery.ExtensionFileLoader("limpet._speedups", sys.argv[1])
spec = importlib.util.spec_from_loader("limpet._speedups", loader)
loader.exec_module(importlib.util.module_from_spec(spec))
"""


class NotBuiltError(Exception):
    """There is no compiled part; the text says why."""


def why_not_here() -> str:
    """Return why the compiled part is not for this system or interpreter, or ``""``."""
    if sys.platform != "linux":
        return "it is for Linux alone"
    if platform.python_implementation() != "CPython":
        return f"it is for CPython, and this is {platform.python_implementation()}"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "the limited API is not for builds without the GIL"
    return ""


def compile_speedups(root: Path, target: Path, *, load: bool = True) -> None:
    """Compile the source below ``root`` into the file ``target``, and load it once.

    Without ``load`` it is not loaded: this process has not what a build for tests needs.

    Raises:
        NotBuiltError: It could not be compiled or loaded; nothing is at ``target``.
    """
    source = root / FOLDER / "_speedups.c"
    compiler = shlex.split(os.environ.get("CC", "")) or _compiler()
    include = {sysconfig.get_path("include"), sysconfig.get_path("platinclude")}
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    with tempfile.TemporaryDirectory(prefix="limpet-") as folder:
        made = Path(folder, NAME)
        command = [*compiler, "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra"]
        command += ["-Werror=implicit-function-declaration"]  # what the limited API has not
        command += [f"-I{path}" for path in sorted(include)]
        command += [f'-DSOURCE_DIGEST="{digest}"', *shlex.split(os.environ.get("CFLAGS", ""))]
        command += [os.fspath(source), "-o", os.fspath(made)]
        command += shlex.split(os.environ.get("LDFLAGS", ""))
        try:
            _run(command)
            if load:
                _run([sys.executable, "-c", _IMPORT, os.fspath(made)])
        except NotBuiltError:
            target.unlink(missing_ok=True)  # of an earlier source
            raise
        # Beside the target and then renamed: a process may have the old one loaded.
        aside = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.copyfile(made, aside)
        aside.replace(target)


def _compiler() -> list[str]:
    """Return the compiler that Python was built with or, where that is not here, ``cc``."""
    configured = shlex.split(sysconfig.get_config_var("CC") or "")
    return configured if configured and shutil.which(configured[0]) else ["cc"]


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=TRIED_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        message = f"{command[0]}: {error}"
        raise NotBuiltError(message) from error
    if done.returncode:
        output = done.stdout.decode(errors="replace").strip()
        message = f"{shlex.join(command)} ended with {done.returncode}\n{output}"
        raise NotBuiltError(message)


class SpeedupsHook(BuildHookInterface):
    """Puts the compiled part into a wheel, or beside its source for an editable installation."""

    PLUGIN_NAME = "custom"
    _made: tempfile.TemporaryDirectory[str] | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and give the wheel the tag of what is in it."""
        if self.target_name != "wheel":
            return
        switch = os.environ.get(SWITCH, "")
        why = f"{SWITCH}=0" if switch == "0" else why_not_here()
        root = Path(self.root)
        if not why:
            try:
                if version == "editable":
                    compile_speedups(root, root / FOLDER / NAME)
                    return
                self._made = tempfile.TemporaryDirectory(prefix="limpet-")
                made = Path(self._made.name, NAME)
                compile_speedups(root, made)
            except (NotBuiltError, OSError) as error:
                why = str(error)
            else:
                system = sysconfig.get_platform().replace("-", "_").replace(".", "_")
                build_data["tag"] = f"cp311-abi3-{system}"
                build_data["pure_python"] = False
                build_data["force_include"][os.fspath(made)] = f"limpet/{NAME}"
                return
        if version == "editable":
            (root / FOLDER / NAME).unlink(missing_ok=True)  # of an earlier build
        if switch == "1":
            message = f"limpet._speedups was not built, and {SWITCH}=1 asks for it: {why}"
            raise RuntimeError(message)
        self.app.display_warning(f"limpet goes without its compiled part: {why}")

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was compiled for the wheel, which has its copy now."""
        del version, build_data, artifact_path
        if self._made is not None:
            self._made.cleanup()


class ReadmeHook(MetadataHookInterface):
    """Makes the README the description of the package, with links that lead there from anywhere."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the description; links to files of the repository become addresses."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        address = f"{metadata['urls']['Repository']}/blob/main"
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": with_addresses(text, address),
        }


def with_addresses(text: str, address: str) -> str:
    """Return Markdown whose relative links and pictures are below an address."""
    return re.sub(
        r"(\]\(|<img [^>]*src=\"|href=\")(?![a-z]+:|#|/)([^)\"\s]+)",
        lambda found: f"{found[1]}{address}/{found[2]}",
        text,
    )


def main() -> int:
    """Compile beside the source; return the exit code."""
    root = Path(__file__).resolve().parent
    why = why_not_here()
    if not why:
        try:
            if sys.argv[1:] == ["--can-compile"]:
                with tempfile.TemporaryDirectory(prefix="limpet-") as folder:
                    compile_speedups(root, Path(folder, NAME))
                return 0
            compile_speedups(root, root / FOLDER / NAME)
        except (NotBuiltError, OSError) as error:
            why = str(error)
    print(f"limpet._speedups was not built: {why}" if why else f"built {FOLDER / NAME}")
    return 1 if why else 0


if __name__ == "__main__":
    sys.exit(main())
