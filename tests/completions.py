"""The completions in ``contrib/completions``; ``make completions`` writes them anew."""

from __future__ import annotations

from pathlib import Path

from limpet.cli._completion import script

FOLDER = Path(__file__).resolve().parents[1] / "contrib" / "completions"

NAMES = {"bash": "limpet", "zsh": "_limpet", "fish": "limpet.fish", "powershell": "limpet.ps1"}
"""Shell -> the name under which it finds the script."""


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for shell, name in NAMES.items():
        (FOLDER / name).write_text(script(shell), encoding="utf-8")


if __name__ == "__main__":
    main()
