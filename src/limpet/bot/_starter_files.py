"""Starter files for ``limpet new``: bots that run as they are, with comments on what to change."""

from __future__ import annotations

import os
import re
import uuid
from typing import Final

_HEAD: Final = """\
# {title}
#
#   limpet check {file}            # report its problems, if any
#   limpet run --dry-run {file}    # report what it would do, and do nothing
#   limpet run {file}
#
# Documents are separated by '---'. Each component has a uuid: keep it when you change the rest,
# because the bot's journal refers to it. Paths are relative to the folder the bot is started in.
"""

_CHECKSUM: Final = "certutil, -hashfile" if os.name == "nt" else "cksum"
"""A program that every system of the kind has, and that reads a file."""

STARTERS: Final[dict[str, tuple[str, str]]] = {
    "audit": (
        "Audit: one line for every change in a folder",
        """\
kind: IOConfig
implementation: limpet.bot.FileSystem
uuid: @
properties:
  name: audited
  input_path: audited            # the folder to watch; it need not exist yet
  metadata: true                 # changes of mode and owner, too
  state: audit/.state.json       # so that the next start reports changes meanwhile
  output_path: audit             # the folder to write into
---
kind: Behaviour
implementation: limpet.bot.Behaviour
uuid: @
properties: {name: audit}
triggers:
  - kind: Trigger
    implementation: limpet.bot.FileSystemTrigger
    uuid: @
    properties: {}               # fewer events: {events: [file.created, file.deleted]}
conditions: []
actions:
  - kind: Action
    implementation: limpet.bot.AppendToFileAction
    uuid: @
    properties:
      name: 'audit-{{ utc | strftime("%Y-%m") }}.log'
      content: '{{ utc }} {{ type }} {{ path | json }}'
      rotation: {max_bytes: 10000000, compress: true}   # never deletes anything by itself
""",
    ),
    "archive": (
        "Archive: messages as one file each, and as a file for each day",
        """\
kind: IOConfig
implementation: limpet.bot.StdinMessages   # put your chat's IOConfig here; this one reads messages
uuid: @                                    # from standard input, one JSON object or text a line
properties: {}
---
kind: IOConfig
implementation: limpet.bot.FileSystem
uuid: @
properties:
  name: archive
  output_path: archive
---
kind: Behaviour
implementation: limpet.bot.Behaviour
uuid: @
properties: {name: archive}
triggers:
  - kind: Trigger
    implementation: limpet.bot.ClassTrigger
    uuid: @
    properties: {event_class: limpet.bot.MessageInputEvent}
conditions: []
actions:
  - kind: Action
    implementation: limpet.bot.CreateFileAction
    uuid: @
    properties:                  # the name is safe for any channel and id
      name: "{{ event.channel }}/{{ utc | strftime('%Y-%m-%d') }}/{{ event.id }}.txt"
      content: "{{ event.author }}: {{ event.text }}\\n"
      if_exists: overwrite       # a message repeated after a crash is the same file
  - kind: Action
    implementation: limpet.bot.AppendToFileAction
    uuid: @
    properties:
      name: '{{ event.channel }}.log'
      content: '{{ utc }} {{ event.author | one_line }}: {{ event.text | one_line }}'
      rotation: {daily: true, compress: true}
""",
    ),
    "follow": (
        "Follow a log: report lines that match",
        """\
kind: IOConfig
implementation: limpet.bot.FileSystem
uuid: @
properties:
  name: log
  input_path: app.log
  input_path_type: file
  input_mode: lines              # added lines, across rotation
  state: alerts/.state.json      # the position for the next start
  rotated: app.log.*             # names of rotated files: lines in them are not lost
---
kind: IOConfig
implementation: limpet.bot.FileSystem
uuid: @
properties:
  name: alerts
  output_path: alerts
---
kind: Behaviour
implementation: limpet.bot.Behaviour
uuid: @
properties: {name: alert}
triggers:
  - kind: Trigger
    implementation: limpet.bot.LinesTrigger
    uuid: @
    properties: {pattern: 'ERROR|CRITICAL'}
conditions:
  - kind: Condition
    implementation: limpet.bot.RateLimitCondition
    uuid: @
    properties: {most: 60, seconds: 60}
actions:
  - kind: Action
    implementation: limpet.bot.AppendToFileAction
    uuid: @
    properties:
      name: alerts.log
      content: '{{ lines }}'
""",
    ),
    "inbox": (
        "Inbox: a program for each file, which then moves to done or failed",
        """\
kind: IOConfig
implementation: limpet.bot.FileSystem
uuid: @
properties:
  name: inbox
  input_path: inbox
  existing: true                 # files that exist at the start, too
  settle: 2                      # wait until a file is closed, or unchanged for 2 seconds
---
kind: Behaviour
implementation: limpet.bot.Behaviour
uuid: @
properties:
  name: process
  concurrency: 2                 # files at once
  attempts: 3                    # tries; then a dead letter, and the file moves to 'failed'
triggers:
  - kind: Trigger
    implementation: limpet.bot.GlobTrigger
    uuid: @
    properties:
      events: [file.created, file.updated, file.renamed]
      globs: ['*']
conditions:
  - kind: Condition
    implementation: limpet.bot.StillThereCondition
    uuid: @
    properties: {}
actions:
  - kind: Action
    implementation: limpet.bot.RunCommandAction
    uuid: @
    properties:
      command: [CHECKSUM, '{{ path }}']   # your program; the event is a JSON line on its stdin
      timeout: 300
  - kind: Action
    implementation: limpet.bot.LogAction
    uuid: @
    properties:
      text: 'the program ended well for {{ rel }}. {{ state.command.output | one_line }}'
  - kind: Action
    implementation: limpet.bot.MoveProcessedFileAction   # must be the last
    uuid: @
    properties: {done: ../done, failed: ../failed, note: true}
""",
    ),
}
"""Name -> title and file; each ``@`` becomes a new uuid."""


def starter(kind: str, file: str) -> str:
    """Return a starter file with new uuids."""
    title, body = STARTERS[kind]
    body = re.sub(r"(?<=uuid: )@", lambda _: str(uuid.uuid4()), body)
    body = body.replace("CHECKSUM", _CHECKSUM)
    return _HEAD.format(title=title, file=file) + body
