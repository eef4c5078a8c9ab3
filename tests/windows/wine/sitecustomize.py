"""Correct Wine in every Python that is started there: the programs that tests start are Pythons, too."""

from tests.windows import shim

shim.install()
