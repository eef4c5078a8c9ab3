"""Move the fragments into CHANGELOG.md: ``python changelog.d/gather.py 0.2.0 2027-01-31``."""

import argparse
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
KINDS = ("added", "changed", "fixed", "removed")


def fragments(folder: Path) -> dict[str, list[Path]]:
    """Give the fragments of each kind, by name; a misnamed one is an error.

    Raises:
        ValueError: A file is neither a fragment nor this folder's README.
    """
    found: dict[str, list[Path]] = {kind: [] for kind in KINDS}
    for path in sorted(folder.glob("*.md")):
        if path.name == "README.md":
            continue
        name, _, kind = path.stem.rpartition(".")
        if not name or kind not in found:
            message = f"{path.name}: a fragment is named what.kind.md, the kind one of {KINDS}"
            raise ValueError(message)
        found[kind].append(path)
    return found


def section(found: dict[str, list[Path]], version: str, date: str) -> str:
    """Give the section of the change log that holds these fragments."""
    lines = [f"## {version} ({date})"]
    for kind, paths in found.items():
        if paths:
            lines += ["", f"### {kind.capitalize()}", ""]
        for path in paths:
            lines.append(path.read_text(encoding="utf-8").strip())
    return "\n".join(lines) + "\n"


def main() -> None:
    """Put the new section above the last release and remove the fragments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version")
    parser.add_argument("date", help="as 2027-01-31")
    options = parser.parse_args()
    found = fragments(FOLDER)
    log = FOLDER.parent / "CHANGELOG.md"
    head, mark, tail = log.read_text(encoding="utf-8").partition("\n## ")
    new = section(found, options.version, options.date)
    log.write_text(f"{head.rstrip()}\n\n{new}{mark}{tail}", encoding="utf-8")
    for path in (path for paths in found.values() for path in paths):
        path.unlink()


if __name__ == "__main__":
    main()
