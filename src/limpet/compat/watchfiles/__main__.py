"""``python -m limpet.compat.watchfiles``."""

from limpet.compat.watchfiles.cli import cli

if __name__ == "__main__":
    cli()
