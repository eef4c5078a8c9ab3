"""The archive of archive.yaml without YAML: ``python archive.py FOLDER``; ends by itself."""

from __future__ import annotations

import asyncio
import sys

from chat import FakeChat

from limpet.bot import (
    AppendToFileAction,
    Behaviour,
    ClassTrigger,
    CreateFileAction,
    FileSystem,
    run,
)


async def main(folder: str) -> None:
    """Archive messages, as a file each and as one file a day."""
    archive = Behaviour(name="archive")
    archive.add(ClassTrigger(event_class="chat.ChatMessage"))
    archive.add(
        CreateFileAction(
            name="{{ event.channel }}/{{ event.author }}/{{ event.id }}.txt",
            content="{{ event.text }}",
            if_exists="overwrite",
        )
    )
    archive.add(
        AppendToFileAction(
            name="days/{{ utc | strftime('%Y-%m-%d') }}.log",
            content=(
                "{{ utc | strftime('%H:%M') }} "
                "{{ event.author | one_line }}: {{ event.text | one_line }}"
            ),
            rotation={"max_bytes": 100_000, "compress": True, "keep": 30},
        )
    )
    stats = await run([FakeChat(), FileSystem(output_path=folder), archive], until_done=True)
    print(f"{stats.acted} messages, {stats.outputs} writes")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
