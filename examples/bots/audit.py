"""The bot of audit.yaml without YAML: ``python audit.py FOLDER LOGFOLDER``; Ctrl-C ends it."""

from __future__ import annotations

import asyncio
import contextlib
import sys

from limpet.bot import AppendToFileAction, Behaviour, FileSystem, FileSystemTrigger, run


async def main(folder: str, logs: str) -> None:
    """Watch one folder, and write into the other."""
    files = FileSystem(name="audited", input_path=folder, output_path=logs)

    audit = Behaviour(name="audit")
    audit.add(FileSystemTrigger())
    line = "{{ utc }} {{ type }} {{ path | json }}"
    audit.add(AppendToFileAction(name="audit.log", content=line))

    print("watching", folder, flush=True)
    await run([files, audit])


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
