"""Alertmanagers that gossip, and Prometheis that send them the alerts of their rules."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.conftest import Standalone
from tests.servers.alertmanager import Alertmanager
from tests.servers.network import free_port
from tests.servers.process import POLL_SECONDS, Server, bring_up, get
from tests.servers.prometheus import Prometheus


class Gossiping(Alertmanager):
    """One of a pair: it passes alerts' silences on to the others of `peers` over loopback."""

    def __init__(self, home: Path, *, peers: Sequence[Gossiping] = ()) -> None:
        super().__init__(home)
        self.gossip_port = free_port()
        self._peers = [f"127.0.0.1:{p.gossip_port}" for p in peers]

    def command(self) -> list[str]:
        others = [a for a in super().command() if not a.startswith("--cluster.listen-address")]
        return [
            *others,
            f"--cluster.listen-address=127.0.0.1:{self.gossip_port}",
            "--cluster.settle-timeout=1s",
            "--cluster.gossip-interval=20ms",
            "--cluster.pushpull-interval=500ms",
            "--cluster.reconnect-interval=500ms",
            *(f"--cluster.peer={p}" for p in self._peers),
        ]


def send_to(prometheus: Prometheus, alertmanagers: Iterable[Alertmanager]) -> None:
    """Have a Prometheus send its alerts to all of these."""
    config = json.loads(prometheus.config.read_text())
    targets = [a.url.removeprefix("http://") for a in alertmanagers]
    config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": targets}]}]}
    prometheus.config.write_text(json.dumps(config))
    prometheus.reload()


def post_alerts(url: str, *labels: Mapping[str, str], minutes: int = 60) -> None:
    """Alerts that fire for so many minutes, as any client may post them."""
    now = datetime.now(UTC)
    body = [
        {
            "labels": dict(one),
            "annotations": {"summary": f"about {one['alertname']}"},
            "startsAt": (now - timedelta(minutes=1)).isoformat(),
            "endsAt": (now + timedelta(minutes=minutes)).isoformat(),
        }
        for one in labels
    ]
    httpx2.post(f"{url}/api/v2/alerts", json=body, trust_env=False).raise_for_status()


def resolve_alert(url: str, labels: Mapping[str, str]) -> None:
    """End an alert now."""
    now = datetime.now(UTC)
    body = [
        {
            "labels": dict(labels),
            "startsAt": (now - timedelta(minutes=1)).isoformat(),
            "endsAt": (now - timedelta(seconds=1)).isoformat(),
        }
    ]
    httpx2.post(f"{url}/api/v2/alerts", json=body, trust_env=False).raise_for_status()


def alerts_of(url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = get(f"{url}/api/v2/alerts").json()
    return found


def silences_of(url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = get(f"{url}/api/v2/silences").json()
    return found


def wait_for_alerts(url: str, *names: str) -> None:
    """Until an Alertmanager has an alert of each name."""
    wait_until(lambda: set(names) <= {a["labels"].get("alertname") for a in alerts_of(url)}, str(names))


def wait_until(true: Callable[[], bool], what: str, *, seconds: float = 60.0) -> None:
    """Raises TimeoutError that names what did not come."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(POLL_SECONDS)


HOSTILE = 'Host\\ile "quoted"'
RULES: list[dict[str, Any]] = [
    {
        "alert": "Always",
        "expr": "vector(1)",
        "labels": {"severity": "Critical", "namespace": "shop"},
        "annotations": {
            "summary": "always \x1b[31mred",
            "runbook_url": "https://runbooks.example/always",
        },
    },
    {"alert": "Slow", "expr": "vector(1)", "for": "1h", "labels": {"severity": "warning"}},
    {
        "alert": "Scraped",
        "expr": 'up{job="prometheus"} == 1 and on() prometheus_tsdb_head_series > 0',
        "for": "1s",
        "labels": {"severity": "page"},
        "annotations": {"summary": "{{ $value }}"},
    },
    {
        "alert": HOSTILE,
        "expr": "vector(3)",
        "labels": {"path": 'C:\\x "q" \n,{a=b}', "uni": "ü\u202e\x1b]0;x\x07"},
    },
]


class AlertPair:
    """Two Alertmanagers that gossip, and a HA pair of Prometheis that send both the alerts of `RULES`.

    `apart` is one more Alertmanager, whose alerts tests post themselves.
    """

    def __init__(self, home: Path) -> None:
        self.a = Gossiping(home / "am-a")
        self.b = Gossiping(home / "am-b", peers=[self.a])
        self.apart = Alertmanager(home / "am-apart")
        self.prometheus = Prometheus(
            home / "prom-a", cluster="east", external_labels={"prometheus_replica": "a"}
        )
        self.replica = Prometheus(
            home / "prom-b", cluster="east", external_labels={"prometheus_replica": "b"}
        )

    @property
    def servers(self) -> list[Server]:
        return [self.a, self.b, self.apart, self.prometheus, self.replica]

    def send(self) -> None:
        """Have both send, and wait until the Alertmanagers gossip and each has the alerts of both."""
        for url in (self.a.url, self.b.url):
            wait_until(lambda u=url: _peers(u) == 2, f"{url} to gossip")
        for prometheus in (self.prometheus, self.replica):
            send_to(prometheus, [self.a, self.b])
            prometheus.set_rules("pair", RULES)
        fires = {rule["alert"] for rule in RULES} - {"Slow"}
        for url in (self.a.url, self.b.url):
            for replica in "ab":
                wait_until(lambda u=url, r=replica: fires <= _names(u, r), f"alerts of {replica} at {url}")

    def config(self, path: Path, *, apart: bool = False, prometheus: bool = True) -> dict[str, str]:
        """A config of `east`, and of `west` where `apart`, and the environment to use it."""
        lines = ["[clusters.east.endpoints]", f'alertmanager = ["{self.a.url}", "{self.b.url}"]']
        if prometheus:
            lines.append(f'prometheus = "{self.prometheus.url}"')
        if apart:
            lines += ["[clusters.west.endpoints]", f'alertmanager = "{self.apart.url}"']
        path.write_text("\n".join(lines) + "\n")
        return {"AIOPS_CONFIG": str(path)}


def _peers(url: str) -> int:
    found: list[Any] = get(f"{url}/api/v2/status").json()["cluster"]["peers"]
    return len(found)


def _names(url: str, replica: str) -> set[str]:
    return {
        a["labels"]["alertname"] for a in alerts_of(url) if a["labels"].get("prometheus_replica") == replica
    }


@pytest.fixture(scope="session")
def pair_servers(standalone: Standalone) -> AlertPair:
    pair = AlertPair(standalone.home / "alert-pair")
    standalone.start(*pair.servers)
    pair.send()
    return pair


@pytest.fixture
def pair(pair_servers: AlertPair) -> Iterator[AlertPair]:
    """The pair; what a test stopped runs again after it, and no silence is left."""
    yield pair_servers
    stopped = [s for s in pair_servers.servers if not s.running]
    bring_up(stopped)
    if stopped:
        pair_servers.send()
    for alertmanager in (pair_servers.a, pair_servers.apart):
        for silence in silences_of(alertmanager.url):
            if silence["status"]["state"] != "expired":
                httpx2.delete(f"{alertmanager.url}/api/v2/silence/{silence['id']}", trust_env=False)
    for url in (pair_servers.a.url, pair_servers.b.url):
        wait_until(
            lambda u=url: all(s["status"]["state"] == "expired" for s in silences_of(u)), "silences to end"
        )
