"""Metrics, dashboard and alerts against Prometheus' own program, and against each other."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("prometheus_client")

from limpet.web._metrics import metrics_of
from tests.bot.test_service import Program
from tests.waiting import until_sync
from tests.web.fakes import FakeProgram

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "contrib" / "prometheus" / "limpet.rules.yml"
DASHBOARD = json.loads((ROOT / "contrib" / "grafana" / "limpet.json").read_text("utf-8"))

PROMTOOL = shutil.which("promtool") or ""
if not PROMTOOL and sys.platform != "linux":
    pytest.skip("promtool is not here", allow_module_level=True)


def promtool(*argv: str, stdin: bytes = b"") -> str:
    """Run it: Debian's package is ``prometheus``."""
    assert PROMTOOL, "install Debian's package prometheus"
    done = subprocess.run([PROMTOOL, *argv], input=stdin, capture_output=True, timeout=60)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return (done.stdout + done.stderr).decode()


def exposed() -> bytes:
    """The metrics of a program that has one of everything, without those of the interpreter."""
    text = metrics_of(FakeProgram().status())
    return b"".join(
        line
        for line in text.splitlines(keepends=True)
        if re.match(rb"(# (HELP|TYPE) )?limpet_", line)
    )


def names() -> set[str]:
    """The names of all samples."""
    return set(re.findall(r"^(limpet_\w+)(?:\{| )", exposed().decode(), re.MULTILINE))


def expressions() -> list[str]:
    """Those of the dashboard, with values in place of its variables."""
    found = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
    values = {"$__rate_interval": "1m", "$job": ".*", "$instance": ".*"}
    for name, value in values.items():
        found = [one.replace(name, value) for one in found]
    return found


def used(expression: str) -> set[str]:
    return set(re.findall(r"\blimpet_\w+", expression))


def test_the_metrics_are_as_the_conventions_want_them() -> None:
    """Names, units, types and help texts, by promtool's own check."""
    assert promtool("check", "metrics", stdin=exposed()).strip() == ""


def test_the_alerts_are_valid_and_about_what_there_is() -> None:
    """Each name in them is a metric."""
    assert "SUCCESS" in promtool("check", "rules", str(RULES))
    found = used("\n".join(re.findall(r"expr: (.*)", RULES.read_text("utf-8"))))
    assert found
    assert found <= names()


def test_the_dashboard_is_valid_and_about_what_there_is(tmp_path: Path) -> None:
    """Each expression is parsed by promtool, and each name in it is a metric."""
    rules = {
        "groups": [{
            "name": "dashboard",
            "rules": [
                {"record": f"panel:{at}", "expr": one} for at, one in enumerate(expressions())
            ],
        }]
    }  # fmt: skip
    (tmp_path / "rules.json").write_text(json.dumps(rules))
    assert "SUCCESS" in promtool("check", "rules", str(tmp_path / "rules.json"))
    for one in expressions():
        assert used(one)
        assert used(one) <= names(), one
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    assert all(panel["description"] for panel in DASHBOARD["panels"] if panel["type"] != "row")


def test_the_alerts_fire_when_they_should(tmp_path: Path) -> None:
    """By promtool's own tests: what is well is quiet, and each alert has its case."""
    cases: dict[str, tuple[str, str]] = {
        "LimpetFailing": ('limpet_health{status="failing"}', "1x30"),
        "LimpetDegraded": ('limpet_health{status="degraded"}', "1x30"),
        "LimpetDeadLetters": ("limpet_dead_letters", "2x30"),
        "LimpetEventsLost": ("limpet_journal_lost_total", "0 0 0 0 0 5x25"),
        "LimpetStuck": ('limpet_behaviour_oldest_seconds{behaviour="b"}', "700x30"),
        "LimpetFollowerLags": ('limpet_follow_lag_seconds{follow="f"}', "400x30"),
        "LimpetSpoolFills": ("limpet_spool_waiting", "200000x30"),
        "LimpetHubAway": ("limpet_hub_up", "0x30"),
        "LimpetAgentAway": ('limpet_agent_up{agent="a"}', "0x30"),
    }
    alerts = re.findall(r"- alert: (\w+)", RULES.read_text("utf-8"))
    assert sorted(alerts) == sorted(cases)
    (tmp_path / "rules.yml").write_text(RULES.read_text("utf-8"))

    def series(name: str, values: str) -> dict[str, str]:
        labelled = name if "{" in name else f"{name}{{}}"
        return {
            "series": labelled.replace("{", '{job="j",instance="i",').replace(",}", "}"),
            "values": values,
        }

    def quiet(name: str) -> str:
        return "1x30" if name.startswith(("limpet_hub_up", "limpet_agent_up")) else "0x30"

    tests: list[dict[str, Any]] = [{
        "interval": "1m",
        "input_series": [series(name, quiet(name)) for name, _ in cases.values()],
        "promql_expr_test": [
            {"expr": "count(ALERTS) or vector(0)", "eval_time": "25m",
             "exp_samples": [{"labels": "{}", "value": 0}]},
        ],
    }]  # fmt: skip
    for alert, (name, values) in cases.items():
        tests.append({
            "interval": "1m",
            "input_series": [series(name, values)],
            "promql_expr_test": [{
                "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})',
                "eval_time": "20m" if alert != "LimpetEventsLost" else "10m",
                "exp_samples": [{"labels": "{}", "value": 1}],
            }],
        })  # fmt: skip
    wanted = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "tests.json").write_text(json.dumps(wanted))
    assert "SUCCESS" in promtool("test", "rules", str(tmp_path / "tests.json"))


def test_prometheus_itself_scrapes_a_program(tmp_path: Path) -> None:
    """Its server takes what ``limpet watch --listen`` serves, and answers what panels ask."""
    server = shutil.which("prometheus")
    assert server, "install Debian's package prometheus"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with Program(tmp_path, "watch", "--dir", "in", "--listen", "127.0.0.1:0") as program:
        program.until(lambda: "status at" in program.output)
        target = program.output.partition("http://")[2].partition("/")[0]
        scraping = {"job_name": "limpet", "static_configs": [{"targets": [target]}]}
        wanted = {"global": {"scrape_interval": "1s"}, "scrape_configs": [scraping]}
        (tmp_path / "prometheus.yml").write_text(json.dumps(wanted))
        argv = [
            server,
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        with (
            (tmp_path / "log").open("wb") as log,
            subprocess.Popen(argv, stdout=log, stderr=log) as process,
        ):
            try:
                until_sync(lambda: asked(port, 'limpet_health{status="ok"}') == 1.0, patience=60)
                assert asked(port, "up") == 1.0
                assert asked(port, "sum(limpet_watch_up)") == 1.0
            finally:
                process.terminate()


def asked(port: int, query: str) -> float | None:
    """What the server answers to a query: one value."""
    url = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(query)}"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            (found,) = json.load(answer)["data"]["result"]
            return float(found["value"][1])
    except (OSError, ValueError):
        return None
