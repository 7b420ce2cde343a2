"""`alerts watch` tells each change once, through a restart, and ends cleanly."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import threading
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from aiops_cli.models.alerts import AlertEvent
from aiops_cli.render.alert_views import event_line
from tests.cli.alert_servers import AlertPair, post_alerts, resolve_alert
from tests.conftest import Aiops
from tests.faults.fixtures import Serve
from tests.faults.stub import answer, in_turn


class Watching:
    """A running `alerts watch`; `until(test)` reads its events up to the one wanted."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []
        self._lines: queue.Queue[str] = queue.Queue()
        self._errors: queue.Queue[str] = queue.Queue()
        for stream, lines in ((process.stdout, self._lines), (process.stderr, self._errors)):
            threading.Thread(target=self._read, args=(stream, lines), daemon=True).start()

    @staticmethod
    def _read(stream: Any, lines: queue.Queue[str]) -> None:
        for line in stream:
            lines.put(line)

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        while True:
            event = json.loads(self._lines.get(timeout=60))
            self.events.append(event)
            if wanted(event):
                return event

    def told(self, text: str) -> str:
        while text not in (line := self._errors.get(timeout=60)):
            pass
        return line

    def of(self, name: str) -> list[str]:
        return [e["event"] for e in self.events if e["name"] == name]


@pytest.fixture
def watching(aiops: Aiops, pair: AlertPair, home: Path) -> Watching:
    post_alerts(pair.apart.url, {"alertname": "Present", "severity": "info"})
    env = pair.config(home / "config.toml", apart=True)
    started = Watching(aiops.start("alerts", "watch", "--interval", "1s", "-c", "west", env=env))
    started.until(lambda e: e["name"] == "Present")
    return started


def test_new_changed_and_resolved_alerts_come_once_each(
    aiops: Aiops, watching: Watching, pair: AlertPair, home: Path
) -> None:
    env = {"AIOPS_CONFIG": str(home / "config.toml")}
    labels = {"alertname": "Fresh", "severity": "critical", "text": "\x1b[31m"}
    post_alerts(pair.apart.url, labels)
    new = watching.until(lambda e: e["name"] == "Fresh")
    assert (new["event"], new["state"], new["severity"], new["cluster"]) == (
        "NEW",
        "FIRING",
        "critical",
        "west",
    )
    assert new["labels"] == labels
    aiops("alerts", "silence", "add", "Fresh", "--comment", "x", "-c", "west", env=env)
    changed = watching.until(lambda e: e["name"] == "Fresh")
    assert (changed["event"], changed["state"], changed["was"]) == ("CHANGED", "SUPPRESSED", "FIRING")
    resolve_alert(pair.apart.url, labels)
    ended = watching.until(lambda e: e["name"] == "Fresh")
    assert (ended["event"], ended["state"], ended["fingerprint"]) == (
        "RESOLVED",
        "RESOLVED",
        new["fingerprint"],
    )
    assert watching.of("Present") == ["PRESENT"]


def test_a_restart_is_no_end_of_an_alert(watching: Watching, pair: AlertPair) -> None:
    """Alertmanager forgets its alerts; what is sent again is no news, and what is new is."""
    pair.apart.kill()
    assert "west: does not answer fully" in watching.told("does not answer")
    pair.apart.start()
    watching.told("answers again")
    post_alerts(pair.apart.url, {"alertname": "Present", "severity": "info"}, {"alertname": "AfterRestart"})
    watching.until(lambda e: e["name"] == "AfterRestart")
    assert watching.of("Present") == ["PRESENT"]


def test_what_alertmanager_tells_comes_without_prometheus(aiops: Aiops, pair: AlertPair, home: Path) -> None:
    config = home / "half.toml"
    config.write_text(
        f'[clusters.west.endpoints]\nalertmanager = "{pair.apart.url}"\nprometheus = "http://127.0.0.1:9"\n'
    )
    watching = Watching(aiops.start("alerts", "watch", "--interval", "1s", env={"AIOPS_CONFIG": str(config)}))
    assert "west: does not answer fully" in watching.told("pending alerts are not known")
    post_alerts(pair.apart.url, {"alertname": "Unruled"})
    assert watching.until(lambda e: e["name"] == "Unruled")["event"] in ("NEW", "PRESENT")
    resolve_alert(pair.apart.url, {"alertname": "Unruled"})
    assert watching.until(lambda e: e["name"] == "Unruled")["event"] == "RESOLVED"


def test_an_answer_that_no_one_can_read_ends_no_watch(aiops: Aiops, stubs: Serve, home: Path) -> None:
    odd, well = stubs(), stubs()
    alert = {"labels": {"alertname": "Well"}, "startsAt": "2026-01-01T00:00:00Z"}
    for stub in (odd, well):
        stub.on("/api/v2/status", answer({}))
    odd.on("/api/v2/alerts", answer(b'[{"labels": {}, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}]"))
    well.on("/api/v2/alerts", in_turn(answer([]), answer([alert])))
    config = home / "config.toml"
    config.write_text(
        f'[clusters.odd.endpoints]\nalertmanager = "{odd.url}"\n'
        f'[clusters.well.endpoints]\nalertmanager = "{well.url}"\n'
    )
    env = {"AIOPS_CONFIG": str(config)}
    watching = Watching(aiops.start("alerts", "watch", "--interval", "1s", env=env))
    assert "nested too deeply" in watching.told("odd: does not answer fully")
    assert watching.until(lambda e: e["name"] == "Well")["event"] == "NEW"


def test_ctrl_c_ends_it_cleanly(watching: Watching) -> None:
    watching.process.send_signal(signal.SIGINT)
    assert watching.process.wait(timeout=30) == 130
    assert watching.told("interrupted")


def test_lines_are_for_people(aiops: Aiops, pair: AlertPair, home: Path) -> None:
    post_alerts(pair.apart.url, {"alertname": "Lined", "severity": "info", "namespace": "shop"})
    env = pair.config(home / "config.toml", apart=True)
    process = aiops.start("alerts", "watch", "Lined", "-o", "table", "-c", "west", env=env)
    assert process.stdout is not None
    line = process.stdout.readline()
    (lined,) = aiops("alerts", "list", "Lined", "-o", "name", env=env).stdout.split()
    assert f"PRESENT   west  info      FIRING      {lined}  Lined (shop)  about Lined" in line


def test_what_differs_in_length_lines_up_and_fits() -> None:
    def line(severity: str, name: str) -> str:
        event = AlertEvent(
            "2026-01-02T03:04:05Z",
            "NEW",
            "west",
            "f" * 16,
            name,
            "FIRING",
            severity,
            {},
            {"summary": "x" * 99},
            "",
        )
        return event_line(event, UTC, 5, 100)

    short, long = line("info", "A"), line("critical", "Longer")
    assert short.index("f" * 16) == long.index("f" * 16)
    assert len(short) == len(long) == 100


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-o", "json"], "-o table or -o ndjson"),
        (["--interval", "0s"], "1s or more"),
        (["--bundle", "demo"], "asks live clusters"),
        (["a=~("], "can't be read"),
    ],
)
def test_what_can_not_be_watched_is_refused(aiops: Aiops, home: Path, words: list[str], said: str) -> None:
    config = home / "config.toml"
    config.write_text('[clusters.west.endpoints]\nalertmanager = "http://127.0.0.1:9"\n')
    done = aiops("alerts", "watch", *words, env={"AIOPS_CONFIG": str(config)})
    assert done.returncode == 2 and said in done.stderr
