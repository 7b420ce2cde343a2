"""`python -m tests.servers up`: whole clusters for a person to try aiops on, until Ctrl-C."""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType

from tests.servers.binaries import MissingServer
from tests.servers.cluster import ALL_PARTS, FULL
from tests.servers.fleet import Fleet, cluster_names
from tests.servers.process import ServerFailed

# As kube-prometheus has it: an alert that always fires shows that alerting works.
WATCHDOG = {
    "alert": "Watchdog",
    "expr": "vector(1)",
    "labels": {"severity": "none"},
    "annotations": {"summary": "Alerting works in this cluster."},
}


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def run(count: int, *, scrape_interval: str, controllers: bool) -> int:
    """Start, print what to export, wait, stop. Returns the exit code."""
    if count < 1:
        print("--clusters must be at least 1", file=sys.stderr)
        return 2
    for wanted in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(wanted, _interrupt)
    names = cluster_names(count)
    began = time.monotonic()
    try:
        fleet = Fleet.named(
            names,
            parts=ALL_PARTS if controllers else FULL,
            discovered=names[-1:],  # shows discovery
            scrape_interval=scrape_interval,
        )
        with fleet:
            for cluster in fleet.clusters:
                cluster.prometheus.set_rules("general", [WATCHDOG])
            _explain(fleet, time.monotonic() - began)
            signal.pause()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 0
    except (MissingServer, ServerFailed) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _explain(fleet: Fleet, seconds: float) -> None:
    for name, value in fleet.env.items():
        print(f"export {name}={value}")
    sys.stdout.flush()
    print(f"# {len(fleet.clusters)} clusters up in {seconds:.1f} s; Ctrl-C stops them", file=sys.stderr)
    for cluster in fleet.clusters:
        for name, url in cluster.urls.items():
            print(f"# {cluster.name:<6} {name:<13} {url}", file=sys.stderr)
        if "jaeger" in cluster.parts:
            print(f"# {cluster.name:<6} {'otlp (http)':<13} {cluster.jaeger.otlp_url}", file=sys.stderr)
