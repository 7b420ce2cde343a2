"""What analysis reads of devices that are gone, divided anew, or share an address, from a real Prometheus."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from datetime import datetime

import pytest

from aiops_cli.config.settings import Settings
from aiops_cli.models.fleet import Cluster, Endpoint
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.device_evidence import Asking, Devices, devices
from aiops_cli.services.fleet import LiveMember
from aiops_cli.services.metrics import CachePolicy
from aiops_cli.services.registry import Registry
from tests.conftest import Clusters
from tests.gpu.pages import holder, labels
from tests.servers.prometheus import Prometheus

SPAN = 1800
HEAT, BUSY, DROPS = "DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_GPU_UTIL", "sriov_vf_rx_dropped"
MIG = {"GPU_I_ID": "7", "GPU_I_PROFILE": "1g.10gb"}


def _series(name: str, named: Mapping[str, str], values: Iterable[tuple[float, float]]) -> list[str]:
    inner = ",".join(f'{k}="{v}"' for k, v in named.items())
    return [f"{name}{{{inner}}} {value} {at}" for at, value in values]


@pytest.fixture(scope="module")
def past(clusters: Clusters) -> tuple[Prometheus, float]:
    """Half an hour: the last ten minutes without GPU 1, with GPU 2 divided; of two VFs of one address one
    drops."""
    server = clusters("gpuevidence", {"prometheus"}).prometheus
    end = float(int(time.time() / 60) * 60)
    every = [end - SPAN + 30 * i for i in range(SPAN // 30 + 1)]
    before, after = [t for t in every if t <= end - 600], [t for t in every if t > end - 600]
    vf = {"pciAddr": "0000:3b:02.1", "pf": "ens1f0", "vf": "1"}
    lines = [
        *_series(HEAT, labels("n", 0), ((t, 50) for t in every)),
        *_series(HEAT, labels("n", 1) | holder("fit-0"), ((t, 95) for t in before)),
        *_series(HEAT, labels("n", 2), ((t, 50) for t in before)),
        *_series(HEAT, labels("n", 2) | MIG, ((t, 50) for t in after)),
        f"# TYPE {BUSY} gauge",
        *_series(BUSY, labels("n", 1) | holder("fit-0"), ((t, 90) for t in before)),
        f"# TYPE {DROPS} gauge",
    ]
    lines += _series(DROPS, vf | {"node": "core-1"}, ((t, max(t - end + 600, 0)) for t in every))
    lines += _series(DROPS, vf | {"node": "core-2"}, ((t, 7) for t in every))
    server.backfill("\n".join([f"# TYPE {HEAT} gauge", *lines, "# EOF"]) + "\n")
    server.wait_for(HEAT)
    return server, end


async def _read(server: Prometheus, end: float, kinds: set[str]) -> Devices:
    settings = Settings()
    cluster = Cluster("ai", endpoints={"prometheus": Endpoint("prometheus", server.url)})
    member = LiveMember(cluster, None, settings, Registry(None), 30, 10)
    try:
        asking = Asking(member, TimeRange(end - SPAN, end), 60, end, CachePolicy(), settings)
        return await devices(asking, kinds, [])
    finally:
        await member.aclose()


def test_a_gpu_that_is_gone_is_told_with_its_time_and_no_number_of_then(
    past: tuple[Prometheus, float],
) -> None:
    server, end = past
    found = asyncio.run(_read(server, end, {"gpu"}))
    (gone,) = found.findings  # it was hot; the one that was divided is not gone
    assert (gone.code, gone.severity, gone.entity.name) == ("GPU_GONE", "critical", "n/1")
    ended = datetime.fromisoformat(gone.since or "").timestamp()
    assert ended == pytest.approx(end - 600, abs=301)  # the server looks back five minutes
    assert [(who.name, what.name) for who, what in found.uses] == [("fit-0", "n/1")]


def test_drops_are_those_of_the_node_and_not_of_the_address(past: tuple[Prometheus, float]) -> None:
    server, end = past
    found = asyncio.run(_read(server, end, {"sriov"}))
    assert [i.entity.name for i in found.indicators] == ["core-1/0000:3b:02.1"]
