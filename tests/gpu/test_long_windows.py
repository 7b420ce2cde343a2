"""Two hours of GPUs, judged over windows from an hour to a month: hours and times are the same in all.

What was measured is written by hand in the documented format, and kept by a real Prometheus.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

import pytest

from tests.conftest import Aiops, Clusters
from tests.gpu.pages import holder, labels
from tests.servers.prometheus import Prometheus
from tests.servers.victoriametrics import VictoriaMetrics

Endpoints = Callable[[Mapping[str, Mapping[str, Any]]], dict[str, str]]
_USE, _HEAT, _XID = "DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_XID_ERRORS"
_REASONS, _PENDING = "DCGM_FI_DEV_CLOCKS_EVENT_REASONS", "DCGM_FI_DEV_ROW_REMAP_PENDING"
_LAST = 7200  # seconds


class Told:
    """A server, and the clock times (unix seconds) of what happened to its GPUs."""

    def __init__(self, server: Prometheus, now: int) -> None:
        self.url = server.url
        self.idle, self.xid, self.hot, self.cool, self.gone = (
            now - ago for ago in (2700, 1465, 1300, 700, 935)
        )


@pytest.fixture(scope="module", params=["UUID", "uuid"])
def told(clusters: Clusters, request: pytest.FixtureRequest) -> Told:
    """GPU 0 works, then is held and idle; 1 has an XID, and lowers its clocks; 2 is hot for ten minutes; 3
    falls off the bus; the reasons and rows of 4 were there before it was hot; 5 is idle all the time."""
    server = clusters(f"gpulong{'old' if request.param == 'uuid' else 'new'}", {"prometheus"}).prometheus
    now = int(time.time()) // 15 * 15
    at = Told(server, now)
    then: dict[str, list[str]] = {}

    def add(index: int, name: str, value: Callable[[int], float], end: int = now) -> None:
        named = labels("node-w", index, uuid=request.param) | holder(f"pod-{index}")
        inner = ",".join(f'{k}="{v}"' for k, v in named.items())
        lines = then.setdefault(name, [f"# TYPE {name} gauge"])
        lines += [f"{name}{{{inner}}} {value(t)} {t}" for t in range(now - _LAST, end + 1, 15)]

    def heat(i: int, t: int) -> float:
        return 95 if i == 2 and at.hot <= t <= at.cool else 85 if i == 4 else 60

    def use(i: int, t: int) -> float:
        return 0 if i == 5 or (i == 0 and t >= at.idle) else 90

    for i in range(6):
        end = at.gone // 15 * 15 if i == 3 else now
        add(i, _HEAT, partial(heat, i), end)
        add(i, _USE, partial(use, i), end)
        add(i, _XID, partial(lambda i, t: 79.0 if i == 1 and t >= at.xid else 0.0, i), end)
    add(1, _REASONS, lambda t: 0x20 if t >= at.xid else 0)
    add(4, _REASONS, lambda _: 0x4)
    add(4, _PENDING, lambda t: float(t >= at.hot))
    server.backfill("\n".join(line for lines in then.values() for line in lines) + "\n# EOF\n")
    server.wait_for(_HEAT)
    return at


def _near(text: str | None, when: float, seconds: float) -> bool:
    return text is not None and 0 <= datetime.fromisoformat(text).timestamp() - when <= seconds


@pytest.mark.parametrize(("window", "within"), [("100m", 75), ("1d", 15), ("7d", 15), ("30d", 15)])
def test_findings_have_the_time_of_what_happened(
    aiops: Aiops, told: Told, endpoints: Endpoints, window: str, within: float
) -> None:
    """To the scrape, or in short windows to the minute; XIDs and the end of a GPU always to the scrape."""
    env = endpoints({"ai": {"prometheus": told.url}})
    done = aiops("gpu", "nodes", "--since", window, "-o", "json", env=env)
    assert done.returncode == 0, done.stderr
    found = {(f["code"], f["entity"]["name"]): f for f in done.json["findings"]}
    assert _near(found["GPU_IDLE_ALLOCATED", "node-w/0"]["since"], told.idle, within)
    assert _near(found["GPU_XID", "node-w/1"]["since"], told.xid, 15)
    assert _near(found["GPU_THROTTLED_THERMAL", "node-w/1"]["since"], told.xid, within)
    assert _near(found["GPU_GONE", "node-w/3"]["since"], told.gone - 15, 15)
    assert _near(found["GPU_ROW_REMAP_PENDING", "node-w/4"]["since"], told.hot, within)
    if window in ("100m", "1d"):  # ten minutes lie between two steps of longer ones
        hot = found["GPU_HOT", "node-w/2"]
        assert (hot["severity"], hot["value"]) == ("warning", 95)
        assert _near(hot["since"], told.hot, within)
        assert _near(hot["until"], told.cool - within, within + 15)
    assert (found["GPU_HOT", "node-w/4"]["until"], found["GPU_THROTTLED_POWER", "node-w/4"]["until"]) == (
        None,
    ) * 2
    if window == "100m":  # since before the window, nobody looked when
        assert found["GPU_IDLE_ALLOCATED", "node-w/5"]["since"] is None
        assert "at least " in found["GPU_IDLE_ALLOCATED", "node-w/5"]["text"]
        assert found["GPU_HOT", "node-w/4"]["since"] is None


def test_hours_hold_in_any_window(aiops: Aiops, told: Told, endpoints: Endpoints) -> None:
    env = endpoints({"ai": {"prometheus": told.url}})
    for window in ("2h", "1d", "7d", "30d"):
        total = aiops("gpu", "summary", "--since", window, "-o", "json", env=env).json["total"]
        assert total["allocatedGpuHours"] == pytest.approx(10, rel=0.03), window  # of the five that are there
        assert total["idleGpuHours"] == pytest.approx(2 + 0.75, rel=0.03), window


def test_an_idle_time_longer_than_the_window_is_looked_back_for(
    aiops: Aiops, told: Told, endpoints: Endpoints
) -> None:
    env = endpoints({"ai": {"prometheus": told.url}})
    short = aiops("gpu", "nodes", "--since", "15m", "-o", "json", env=env)
    idle = {f["entity"]["name"]: f for f in short.json["findings"] if f["code"] == "GPU_IDLE_ALLOCATED"}
    assert set(idle) == {"node-w/0", "node-w/5"}
    assert idle["node-w/5"]["since"] is None
    with open(env["AIOPS_CONFIG"], "a") as file:  # noqa: PTH123
        file.write("[gpu]\nidle_minutes = 90\n")
    long = aiops("gpu", "nodes", "-o", "json", env=env)
    (one,) = [f for f in long.json["findings"] if f["code"] == "GPU_IDLE_ALLOCATED"]
    assert (one["entity"]["name"], one["threshold"]) == ("node-w/5", 90)
    assert one["value"] >= 90


def test_a_victoriametrics_counts_the_same_hours(
    aiops: Aiops, victoriametrics: VictoriaMetrics, endpoints: Endpoints
) -> None:
    now = int(time.time()) // 15 * 15
    named = ",".join(f'{k}="{v}"' for k, v in (labels("node-vmh", 0) | holder("a")).items())
    lines = [
        f"{name}{{{named}}} {value} {t}"
        for t in range(now - _LAST, now + 1, 15)
        for name, value in ((_USE, 0 if t >= now - 3600 else 90), (_HEAT, 95 if t >= now - 1800 else 50))
    ]
    victoriametrics.import_openmetrics("\n".join(lines))
    env = endpoints({"vm": {"prometheus": victoriametrics.url}})
    for window in ("1d", "7d"):
        only = ("--node", "node-vmh", "--since", window, "-o", "json")
        found = aiops("gpu", "summary", *only, env=env).json
        assert found["total"]["allocatedGpuHours"] == pytest.approx(2, rel=0.03), window
        assert found["total"]["idleGpuHours"] == pytest.approx(1, rel=0.05), window
        hot = {f["code"]: f for f in found["findings"]}["GPU_HOT"]
        assert _near(hot["since"], now - 1800, 15)
