"""Keeps settings as a file has them: ``python watch_file.py SETTINGS.json``; Ctrl-C ends it.

However an editor or a deployment replaces the file, each new content comes once, with its text.
"""

import asyncio
import contextlib
import json
import sys

import limpet


async def main(path: str) -> None:
    """Print the settings as they are, and again whenever they change."""
    content = limpet.ContentOptions(mode="r", max_bytes=100_000)
    async with limpet.watch_file(path, existing=True, content=content, settle=0.1) as watch:
        print(f"watching {watch.location}", flush=True)
        async for event in watch:
            match event:
                case limpet.FileCreated(content=str(text)) | limpet.FileUpdated(content=str(text)):
                    try:
                        print(f"settings: {json.loads(text)}", flush=True)
                    except ValueError as error:
                        print(f"not applied: {error}", flush=True)
                case limpet.FileCreated() | limpet.FileUpdated():
                    print(f"not applied: {event.content_error}", flush=True)
                case limpet.FileDeleted():
                    print("the file is gone; the last settings stay", flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1]))
