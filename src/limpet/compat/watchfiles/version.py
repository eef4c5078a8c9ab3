"""The version of watchfiles whose names these are."""

__all__ = ["VERSION"]

VERSION = "1.3.0"
"""Programs compare it; the version of limpet is ``limpet.__version__``."""
