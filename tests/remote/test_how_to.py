"""``docs/how-to/run-several-hosts.md``: its lines for certificates make a hub that can be used."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from limpet.cli import _agent_args
from tests.remote.conftest import NATS, SERVERS, Server

PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/run-several-hosts.md"
TEXT = PAGE.read_text(encoding="utf-8")
LIMPET = [sys.executable, "-m", "limpet"]


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", TEXT, re.DOTALL)


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the lines of the page make, for a hub on this machine."""
    if shutil.which("openssl") is None or shutil.which("sh") is None:
        pytest.skip("no openssl, or no shell")
    folder = tmp_path_factory.mktemp("hub")
    (script,) = [one for one in blocks("sh") if "openssl" in one]
    script = script.replace("DNS:hub.example.com,IP:192.0.2.10", "DNS:localhost,IP:127.0.0.1")
    done = run(["sh", "-e", "-c", script.replace("rsa:3072", "rsa:2048")], folder)
    assert done.returncode == 0, done.stderr
    return folder / "tls"


@pytest.mark.parametrize("user", ["hub", "admin", "web01", "nas", "reports"])
def test_the_certificates_are_good(certificates: Path, user: str) -> None:
    """For server and client, also by the strict rules of Python 3.13; only the owner reads keys."""
    for purpose in ("sslserver", "sslclient"):
        command = ["openssl", "verify", "-x509_strict", "-CAfile", "ca.pem", "-purpose", purpose]
        done = run([*command, f"{user}.pem"], certificates)
        assert done.returncode == 0, done.stdout + done.stderr
    assert (certificates / f"{user}.key").stat().st_mode & 0o077 == 0
    assert not list(certificates.glob("*.csr"))


@pytest.mark.parametrize("version", NATS)
def test_a_hub_with_the_certificates_of_the_page(
    version: str, certificates: Path, tmp_path: Path
) -> None:
    """``hub init`` as admin, the doctor as a host; who has no certificate is refused."""
    paths = ", ".join(
        f"{key}: '{certificates / name}'"
        for key, name in (("ca", "ca.pem"), ("cert", "hub.pem"), ("key", "hub.key"))
    )
    fleet = (
        "hosts: [web01, nas]\nbots: [{name: reports, read: [web01], write: [nas/archive/append]}]\n"
    )
    (tmp_path / "fleet.yaml").write_text(f"{fleet}store: '{tmp_path / 'js'}'\ntls: {{{paths}}}\n")
    config = [*LIMPET, "hub", "config", "fleet.yaml", "--server-version", version]
    done = run(config, tmp_path)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "passwords").exists()
    server = Server(SERVERS[version], tmp_path / "server", done.stdout)
    server.start()
    try:
        for user, command in (("admin", ["hub", "init", "fleet.yaml"]), ("web01", ["doctor"])):
            given = ["--ca", "ca.pem", "--cert", f"{user}.pem", "--key", f"{user}.key"]
            more = ["--user", user] if command == ["doctor"] else []
            where = [str(tmp_path / one) if one == "fleet.yaml" else one for one in command]
            done = run([*LIMPET, *where, "--hub", server.url, *given, *more], certificates)
            assert "Traceback" not in done.stderr
            assert done.returncode == 0 or command == ["doctor"], done.stderr
            assert done.stdout
        done = run([*LIMPET, "hub", "init", str(tmp_path / "fleet.yaml"), "--hub", server.url,
                    "--ca", "ca.pem"], certificates)  # fmt: skip
        assert done.returncode != 0
    finally:
        server.stop()


def units() -> dict[str, Any]:
    """Return the unit files of the page by name."""
    found = {}
    for block in blocks("ini"):
        parser = configparser.ConfigParser(interpolation=None)
        parser.optionxform = str  # type: ignore[assignment,method-assign]  # as systemd has it
        parser.read_string(block)
        found[os.path.basename(block.splitlines()[0])] = parser
    return found


def test_the_unit_files_are_whole() -> None:
    """Sections and keys that systemd has, and a command that our parser takes."""
    assert set(units()) == {"limpet-hub.service", "limpet-agent.service"}
    for unit in units().values():
        assert set(unit.sections()) == {"Unit", "Service", "Install"}
        assert unit["Install"]["WantedBy"] == "multi-user.target"
        assert not [
            value for key in unit["Service"] for value in [unit["Service"][key]] if "#" in value
        ]
    program, command, *argv = shlex.split(units()["limpet-agent.service"]["Service"]["ExecStart"])
    assert (os.path.basename(program), command) == ("limpet", "agent")
    assert _agent_args.parser("agent").read(argv).words == ["/etc/limpet/agent.yaml"]
