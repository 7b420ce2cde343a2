"""Record one incident: `python -m tests.incidents.record --scenario pool --out FILE`.

Starts three clusters with the shop in each, waits for a healthy stretch, injects the fault, waits until an
alert fires and the fault's time is over, records a bundle with aiops itself, and stops everything.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from tests.incidents.deployment import INCIDENT_ALERTS, Shop
from tests.incidents.scenarios import DISTRACTION_SECONDS, SCENARIOS, Scenario
from tests.servers.cluster import ALL_PARTS
from tests.servers.fleet import Fleet

CLUSTERS = ("east", "west", "north")
SCRAPE_INTERVAL = "5s"
RATE = 15.0
SETTLE_SECONDS = 75.0
"""Not recorded: rates over a minute start from nothing."""
READ_SECONDS = 120
ALERT_SECONDS = 180.0


def _say(text: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def running(rate: float = RATE, seed: int = 1) -> Iterator[tuple[Fleet, dict[str, Shop]]]:
    """Three clusters with an open shop in each; everything is gone afterwards."""
    fleet = Fleet.named(CLUSTERS, parts=ALL_PARTS, scrape_interval=SCRAPE_INTERVAL)
    with fleet, contextlib.ExitStack() as started:
        shops = {c.name: Shop(c, rate=rate, seed=seed + i) for i, c in enumerate(fleet.clusters)}
        for shop in shops.values():
            started.callback(shop.stop)
            shop.start()
        for shop in shops.values():
            shop.wait_ready()
        for shop in shops.values():
            shop.open()
        yield fleet, shops


def _wait(seconds: float, done: Callable[[], bool] = lambda: False) -> bool:
    """Until `done`, asked each second, or the time is over; returns whether it was done."""
    deadline = time.monotonic() + seconds
    while not (finished := done()) and time.monotonic() < deadline:
        time.sleep(1)
    return finished


def play(scenario: Scenario, shops: dict[str, Shop], *, warmup: float, fault: float) -> datetime:
    """Healthy stretch, distraction, fault. Returns when the fault began. Raises TimeoutError without an alert."""
    target = shops[scenario.cluster]
    _wait(warmup - DISTRACTION_SECONDS)
    if early := target.firing() & set(INCIDENT_ALERTS):
        raise RuntimeError(f"{', '.join(sorted(early))} fired before there was a fault")
    _say("harmless rollout")
    scenario.distract(shops)
    _wait(DISTRACTION_SECONDS)
    _say(f"fault: {scenario.fault} at {scenario.service} in {scenario.cluster}")
    began = datetime.now(UTC)
    scenario.inject(target)
    over = time.monotonic() + fault
    if not _wait(ALERT_SECONDS, lambda: bool(target.firing() & set(INCIDENT_ALERTS))):
        raise TimeoutError(f"no alert fired within {ALERT_SECONDS:.0f} s")
    _say(f"alert: {', '.join(sorted(target.firing()))}")
    _wait(over - time.monotonic())
    return began


def record(scenario: Scenario, fleet: Fleet, out: Path, *, since: float, began: datetime) -> None:
    """Run `aiops bundle record`. Raises subprocess.CalledProcessError when it fails."""
    said = {
        "target": scenario.target,
        "fault": scenario.fault,
        "startedAt": f"{began:%Y-%m-%dT%H:%M:%SZ}",
    }
    command = [sys.executable, "-m", "aiops_cli", "bundle", "record", "--since", f"{since:.0f}s"]
    command += ["--timeout", str(READ_SECONDS)]
    command += ["--step", SCRAPE_INTERVAL, "--scenario", json.dumps(said), str(out)]
    home = {name: str(fleet.home / name) for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME")}
    subprocess.run(command, env={**os.environ, **fleet.env, **home}, check=True)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.incidents.record", description=__doc__)
    parser.add_argument("--scenario", choices=SCENARIOS, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the bundle to write")
    parser.add_argument("--warmup", type=float, default=240.0, help="healthy seconds before the fault")
    parser.add_argument("--fault", type=float, default=150.0, help="seconds with the fault")
    parser.add_argument("--rate", type=float, default=RATE, help="visitors' requests a second, each cluster")
    args = parser.parse_args()
    for wanted in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(wanted, _interrupt)
    scenario = SCENARIOS[args.scenario]
    _say(f"starting {', '.join(CLUSTERS)}")
    try:
        with running(args.rate) as (fleet, shops):
            _say("the shops are open")
            _wait(SETTLE_SECONDS)
            healthy = time.monotonic()
            began = play(scenario, shops, warmup=args.warmup, fault=args.fault)
            _say("recording")
            record(scenario, fleet, args.out, since=time.monotonic() - healthy, began=began)
        _say(f"{args.out}: {args.out.stat().st_size / 2**20:.1f} MiB")
    except KeyboardInterrupt:
        _say("stopped")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
