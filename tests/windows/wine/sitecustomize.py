"""Corrects Wine in every Python there: the programs that tests start are Pythons, too."""

from tests.windows import shim

shim.install()
