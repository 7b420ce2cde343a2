"""What analysis asks of a cluster's devices, and how little where it has none."""

from __future__ import annotations

from typing import Any

import numpy as np

from aiops_cli.analysis import sriov_places
from aiops_cli.errors import ClusterError, ErrorCode, NotAvailableError
from aiops_cli.models.analysis import Entity
from aiops_cli.models.cnf import VfUser
from aiops_cli.models.findings import Finding
from aiops_cli.models.result import Answer
from aiops_cli.models.signals import Series
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.device_evidence import CHECK, Devices, _attached
from aiops_cli.services.evidence import Evidence, collect
from aiops_cli.services.fleet import LiveMember
from aiops_cli.services.queries import CATALOGUE

WINDOW = TimeRange(1_700_000_000.0, 1_700_003_600.0)


class Asked(LiveMember):
    """A cluster that has a Prometheus alone, which answers the check with these metrics."""

    def __init__(self, *metrics: str, fails: bool = False) -> None:
        self.metrics_there, self.fails = metrics, fails
        self.instants: list[str] = []
        self.ranges: list[str] = []

    name = "east"
    context = None

    async def metrics(self) -> Asked:  # type: ignore[override]
        return self

    async def nothing(self) -> LiveMember:
        raise NotAvailableError("there is none", code=ErrorCode.PROMETHEUS_NOT_AVAILABLE)

    logs = traces = alerts = kube = nothing  # type: ignore[assignment]

    async def instant(self, expr: str, at: float | None = None) -> Answer[Series]:
        self.instants.append(expr)
        if expr != CHECK and self.fails:
            raise ClusterError("too busy", code=ErrorCode.QUERY_TIMEOUT)
        names = self.metrics_there if expr == CHECK else ()
        return Answer([Series({"__name__": n}, np.array([at or 0.0]), np.array([3.0])) for n in names])

    async def query_range(self, expr: str, window: TimeRange, step: float) -> Answer[Series]:
        self.ranges.append(expr)
        return Answer([])

    def exporters(self, what: str) -> list[object]:  # type: ignore[override]
        return []


async def read(member: Asked) -> Evidence:
    return await collect(member, WINDOW, 60.0, WINDOW.end)


async def test_a_cluster_without_devices_is_asked_one_query_more() -> None:
    member = Asked()
    found = await read(member)
    assert member.instants == [CHECK]
    assert sorted(member.ranges) == sorted(q.expr for q in CATALOGUE.values())
    assert not found.devices.findings and CHECK not in {a.query for a in found.asked}


async def test_only_what_it_has_is_read() -> None:
    member = Asked("sriov_vf_rx_packets")
    await read(member)
    more = set(member.instants) - {CHECK}
    assert more and all("sriov_" in expr for expr in more)


async def test_an_exporter_of_dpdk_is_read_too() -> None:
    member = Asked("dpdk_imissed")
    await read(member)
    more = set(member.instants) - {CHECK}
    assert more and all("dpdk" in expr and "imissed" in expr for expr in more)


async def test_what_can_t_be_read_is_a_gap_and_the_rest_is_there() -> None:
    found = await read(Asked("DCGM_FI_DEV_GPU_TEMP", fails=True))
    assert [(source, info.code) for source, info in found.gaps if source == "gpu"] == [
        ("gpu", "QUERY_TIMEOUT")
    ]
    assert found.missing and found.answered


class Telecom(Asked):
    """A cluster with two nodes whose VFs have one PCI address, and an API server that can't be reached."""

    async def unreachable(self) -> LiveMember:
        raise ClusterError("connection refused", code=ErrorCode.CLUSTER_UNREACHABLE)

    kube = unreachable

    async def instant(self, expr: str, at: float | None = None) -> Answer[Series]:
        answer = await super().instant(expr, at)
        if expr.startswith("topk"):
            where = {"instance": "10.0.0.7:9110", "pf": "ens1f0", "pciAddr": "0000:3b:02.1"}
            answer.rows.append(Series(where, np.array([at or 0.0]), np.array([9.0])))
        return answer


async def test_only_the_nodes_of_vfs_that_drop_are_asked_for_their_course() -> None:
    member = Telecom("sriov_vf_rx_packets")
    await read(member)
    ranged = [expr for expr in member.ranges if "sriov_vf_" in expr]
    assert ranged and all('instance=~"10\\\\.0\\\\.0\\\\.7:9110"' in expr for expr in ranged)


async def test_pfs_that_could_not_be_read_whole_are_a_gap() -> None:
    found = await read(Telecom("sriov_vf_rx_packets"))
    (gap,) = [info for source, info in found.gaps if source == "sriov"]
    assert gap.code == "PARTIAL_RESULTS" and "connection refused" in gap.message


def test_who_has_a_device_is_found_in_one_look_at_all_users() -> None:
    class Counted(dict[sriov_places.Place, VfUser]):
        looks = 0

        def items(self) -> Any:
            self.looks += 1
            return super().items()

    users = Counted()
    things = []
    for node in range(20):
        for vf in range(50):
            user = VfUser("ran", f"pod-{node}-{vf}")
            users |= {(f"n{node}", f"0000:3b:02.{vf}"): user, (f"n{node}", f"ens1f0/0000:3b:02.{vf}"): user}
        things.append(Finding("c", "SRIOV_PF_DOWN", "critical", Entity("PF", f"n{node}/ens1f0"), "no link"))
    edges = _attached(Devices(findings=things), users, "c")
    assert users.looks == 1
    assert len(edges) == 20 * 50
    assert {(pod.name, thing.name) for pod, thing in edges if pod.name.endswith("-7-7")} == {
        ("pod-7-7", "n7/ens1f0")
    }
