"""Compiles the compiled part for tests, where that can be done."""

from __future__ import annotations

import functools
import importlib.util
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def _hatch_build() -> Any:
    """Return the module that compiles, which is in no package."""
    spec = importlib.util.spec_from_file_location("limpet_hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


HATCH_BUILD = _hatch_build()


@functools.cache
def can_compile() -> bool:
    """Return whether a C compiler and Python's headers are here, by a file that needs both."""
    if HATCH_BUILD.why_not_here():
        return False
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "src", "limpet", "_speedups.c")
        source.parent.mkdir(parents=True)
        source.write_text(
            "#define Py_LIMITED_API 0x030b0000\n#include <Python.h>\n"
            'static struct PyModuleDef d = {PyModuleDef_HEAD_INIT, .m_name = "x"};\n'
            "PyMODINIT_FUNC PyInit__speedups(void) { return PyModuleDef_Init(&d); }\n"
        )
        try:
            HATCH_BUILD.compile_speedups(Path(folder), Path(folder, "x.so"))
        except HATCH_BUILD.NotBuiltError:
            return False
    return True
