"""A range asked again: `python -m benchmarks.cache`. Compare the ratios, not the milliseconds.

A real Prometheus with history is asked for a window through the program's own client, then the range
cache for the same; in one process, taking turns. Then how many steps are asked when the window moves.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiops_cli.config.kubeconfig import Kubeconfig
from aiops_cli.config.settings import Settings
from aiops_cli.models.result import Answer
from aiops_cli.models.signals import Series
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.fleet import LiveMember, live_members
from aiops_cli.services.known import known_clusters
from aiops_cli.services.metrics import CachePolicy, range_answer
from aiops_cli.services.registry import Registry
from aiops_cli.store.ranges import RangeCache
from tests.servers.prometheus import Prometheus

STEP = 15
SAMPLES = 1_920  # eight hours
WANTED = 20.0
QUERIES = {
    "100 series": 'jobs_total{queue=~".*"}',
    "rate of 100 series": "rate(jobs_total[5m])",
    "a sum": "sum(rate(jobs_total[5m]))",
}


def history(began: int) -> str:
    """A counter of 100 queues as OpenMetrics text."""
    lines = ["# TYPE jobs counter"]
    lines += [
        f'jobs_total{{queue="q{queue:03d}"}} {i * (queue + 1)} {began + i * STEP}'
        for queue in range(100)
        for i in range(SAMPLES)
    ]
    return "\n".join([*lines, "# EOF", ""])


def member(url: str) -> LiveMember:
    settings = Settings.model_validate({"clusters": {"lab": {"endpoints": {"prometheus": url}}}})
    registry, kubeconfig = Registry(None), Kubeconfig({}, None, [])
    chosen = known_clusters(kubeconfig, settings, registry)
    return live_members(chosen, kubeconfig, settings, registry, 30.0)[0]


async def seconds(ask: Callable[[], Awaitable[Answer[Series]]]) -> float:
    began = time.perf_counter()
    await ask()
    return time.perf_counter() - began


async def measure(url: str, began: int, folder: Path, rounds: int) -> None:
    lab = member(url)
    cache = RangeCache(folder / "samples")
    window = TimeRange(float(began), float(began + (SAMPLES - 1) * STEP))
    now = window.end + 86400.0

    def asking(expr: str, policy: CachePolicy) -> Callable[[], Awaitable[Answer[Series]]]:
        return lambda: range_answer(lab, expr, window, float(STEP), now, policy)

    print(f"{SAMPLES:,} steps of {STEP} s, medians of {rounds}, taking turns")
    for name, expr in QUERIES.items():
        ways = {"server": asking(expr, CachePolicy()), "cache": asking(expr, CachePolicy(cache))}
        live, kept = await ways["server"](), (await ways["cache"](), await ways["cache"]())[1]
        assert kept.source == "cache"
        assert [s.values.tobytes() for s in kept.rows] == [s.values.tobytes() for s in live.rows]
        taken: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, ask in ways.items():
                taken[way].append(await seconds(ask))
        server, local = (statistics.median(taken[way]) * 1000 for way in ways)
        print(
            f"{name:<20} server {server:8.2f} ms  cache {local:7.2f} ms  "
            f"{server / local:6.1f} times faster (wanted: {WANTED:g})"
        )
    await moving(lab, RangeCache(folder / "moving"), float(began))
    await lab.aclose()


async def moving(lab: LiveMember, cache: RangeCache, began: float) -> None:
    """A window of an hour that moves on by five minutes, twelve times, as a dashboard's does."""
    asked = 0
    source = await lab.metrics()
    whole = type(source).query_range

    async def counting(self: object, expr: str, window: TimeRange, step: float) -> Answer[Series]:
        nonlocal asked
        asked += round((window.end - window.start) / step) + 1
        return await whole(self, expr, window, step)  # type: ignore[arg-type]

    type(source).query_range = counting  # type: ignore[method-assign]
    try:
        for turn in range(13):
            end = began + 3600 + turn * 300
            await range_answer(
                lab, "jobs_total", TimeRange(end - 3600, end), float(STEP), end, CachePolicy(cache)
            )
            if turn == 0:
                first, asked = asked, 0
    finally:
        type(source).query_range = whole  # type: ignore[method-assign]
    shown = 12 * (3600 // STEP + 1)
    print(
        f"an hour that moves on by 5 min: {first} steps fetched first, then {asked / 12:.0f} a turn of {shown // 12} shown"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    began = int(time.time()) // STEP * STEP - SAMPLES * STEP - 7200
    with tempfile.TemporaryDirectory() as name:
        server = Prometheus(Path(name) / "prometheus", cluster="lab")
        server.home.mkdir()
        server.start()
        try:
            server.backfill(history(began))
            asyncio.run(measure(server.url, began, Path(name), rounds))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
