"""Answers of a small telecom cluster, for pictures of the CNF screen: nothing in them moves."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from aiops_cli.analysis.ptp import Clock
from aiops_cli.analysis.ptp_readings import Run, Track
from aiops_cli.models.analysis import Entity
from aiops_cli.models.cnf import (
    AppliedPolicy,
    CnfPodItem,
    CnfWorkload,
    CpuPinning,
    DpdkMempool,
    DpdkPod,
    DpdkPort,
    DpdkProcess,
    Hugepages,
    NodeResource,
    NumaPlacement,
    PodInterface,
    PodVf,
    SriovPf,
    SriovVf,
    VfNetwork,
    VfRates,
    VfUser,
)
from aiops_cli.models.findings import Finding, FindingSeverity
from aiops_cli.models.ptp import Budget, PtpClock, TimeInState
from aiops_cli.models.result import ClusterStatus, FleetResult
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.ptp import Clocks
from aiops_cli.services.times import rfc3339
from aiops_cli.tui.widgets.cnf_ptp import Seen

STATUS = [ClusterStatus("ran", "SUCCESS")]
STEP = 15.0
WARNED: FindingSeverity = "warning"


def finding(
    code: str, kind: str, name: str, text: str, severity: FindingSeverity = "critical", **more: Any
) -> Finding:
    return Finding(
        "ran", code, severity, Entity(kind, name, more.pop("namespace", None), "ran"), text, **more
    )


def clocks(end: float) -> Seen:
    """One that lost its reference for a while, one that is off now, one that is well."""
    window = TimeRange(end - 3600, end)
    times = np.arange(window.start, end, STEP)
    calm = 40 * np.sin(np.arange(len(times)) / 7.0)
    lost = (times > end - 1200) & (times < end - 700)
    budget = Budget(-100, 100, "the PTP operator's default for ptpClockThreshold")

    def clock(node: str, process: str, iface: str, runs: list[Run], kept: Any, **more: Any) -> Clock:
        row = PtpClock("ran", node, process, iface, "LOCKED", 12.0, 58.0, 6, "PASS", "at most 58 ns of ±100 ns", 40.0,
                       "signed", "master", limit_ns=100.0, process_up=True, clock_type="T-BC", profile="bc",
                       clock_class_text="locked to a primary reference (GNSS)")  # fmt: skip
        track = Track(times[kept], calm[kept])
        return Clock(msgspec.structs.replace(row, **more), runs, track, budget=budget, tells_holdover=True)

    at = window.start
    held = [
        Run(1, at, end - 1215),
        Run(2, end - 1200, end - 915),
        Run(0, end - 900, end - 715),
        Run(1, end - 700, end),
    ]
    rows = [
        clock("du-2", "ptp4l", "ens1fx", held, ~lost, since=rfc3339(end - 700), verdict="WARN", port="ens1f0",
              role="SLAVE", time_in_state=TimeInState(3100, 300, 200, 0),
              reason="was not locked for 8 min in the window, once"),
        clock("du-1", "phc2sys", "CLOCK_REALTIME", [Run(1, at, end)], lost | True, offset_ns=-240.0, verdict="FAIL",
              max_offset_ns=240.0, clock_class=None, reason="240 ns off, allowed are ±100 ns (profile bc)"),
        clock("du-1", "ptp4l", "ens1fx", [Run(1, at, end)], lost | True),
    ]  # fmt: skip
    told = [
        finding("PTP_OFFSET", "clock", "du-1/phc2sys/CLOCK_REALTIME", "240 ns off, 100 ns are allowed",
                since=rfc3339(end - 120)),
        finding("PTP_HOLDOVER_EXPIRED", "clock", "du-2/ptp4l/ens1fx", "FREERUN for 3 min after its holdover ran out",
                WARNED, since=rfc3339(end - 900), until=rfc3339(end - 700)),
    ]  # fmt: skip
    return Seen(Clocks(FleetResult([c.row for c in rows], STATUS), rows, told), window, STEP)


def pfs() -> tuple[FleetResult[SriovPf], list[Finding]]:
    def vf(number: int, pod: str | None, driver: str = "vfio-pci") -> SriovVf:
        user = VfUser("ran", pod, "app", "net1", "ran/fronthaul") if pod else None
        return SriovVf(number, f"0000:3b:02.{number}", None, None, driver, 7, None, "intel_fh", 0, user,
                       VfRates(1.25e9, 2.5e8, 1e5, 2e4, 40.0 if number == 1 else 0.0, 0.0))  # fmt: skip

    def pf(name: str, vfs: list[SriovVf], **more: Any) -> SriovPf:
        made = SriovPf("ran", "du-1", name, "0000:3b:00.0", "8086", "1593", "ice", "UP", 25_000, 9000, 9000, "legacy", 64,
                       len(vfs), len(vfs), sum(v.used_by is not None for v in vfs), "Succeeded", None, "Idle", "Idle",
                       0, [AppliedPolicy("fronthaul", "intel_fh", 10, 8, True)],
                       [NodeResource("openshift.io/intel_fh", 8, 2)], VfRates(2.5e9, 5e8, 2e5, 4e4, 40.0, 0.0), vfs,
                       "kubernetes + prometheus", {}, [VfNetwork("fronthaul", "intel_fh", "ran", 7, "on", None)])  # fmt: skip
        return msgspec.structs.replace(made, **more)

    rows = [
        pf("ens1f0", [vf(0, "vdu-0"), vf(1, "vdu-1"), vf(2, None, "iavf")]),
        pf("ens1f1", [], link_state="DOWN", rates=None, policies=[], resources=[], networks=[]),
        pf(
            "eno1",
            [],
            node="du-2",
            sync_status="Failed",
            last_sync_error="no space left in the NIC",
            rates=None,
        ),
    ]
    told = [
        finding("SRIOV_SYNC_FAILED", "Node", "du-2", "the operator could not configure SR-IOV: no space left in the NIC"),
        finding("SRIOV_VF_DROPS", "VF", "du-1/0000:3b:02.1", "40 dropped packets a second (VF 1 of ens1f0) of ran/vdu-1",
                WARNED, namespace="ran"),
    ]  # fmt: skip
    return FleetResult(rows, STATUS), told


def planes() -> tuple[FleetResult[DpdkPod], list[Finding]]:
    ports = [
        DpdkPort("0", "0000:3b:02.0", "UP", 25_000, 0, 9_000_000, 8_000_000, 0, 0, 500, 0, 0, 40, 1.2e6, 1.1e6, 51.0, 0.0,
                 4.0),
        DpdkPort("1", "0000:3b:02.1", "DOWN", None, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0),
    ]  # fmt: skip
    process = DpdkProcess("app", "/var/run/dpdk/rte/dpdk_telemetry.v2", "DPDK 23.11.2", 7, ports,
                          [DpdkMempool("mb_pool_0", 2048, 11, 0)], [])  # fmt: skip
    pages = Hugepages("1Gi", 4 << 30, 4 << 30, 16 << 30, 12 << 30, 8 << 30, {"0": 8 << 30})
    rows = [
        DpdkPod("ran", "ran", "vdu-0", "du-1", "Running", "Guaranteed", "performance-du", "du", "single-numa-node",
                "2-31", "0-1", True, [pages], CpuPinning(8, True, None, "4-11", True),
                NumaPlacement([0], [0], [0], True, "CPUs, memory and VFs are on node 0"),
                [PodVf("0000:3b:02.0", "ran/fronthaul", "net1", 0, "vfio-pci")], [process],
                {"ports": "exec, DPDK telemetry", "cpuset": "exec"}),
    ]  # fmt: skip
    told = [
        finding("DPDK_LINK_DOWN", "Pod", "vdu-0", "port 1 (0000:3b:02.1) has no link", namespace="ran"),
        finding("DPDK_IMISSED", "Pod", "vdu-0", "51 packets a second missed by port 0: the program is too slow", WARNED,
                namespace="ran"),
    ]  # fmt: skip
    return FleetResult(rows, STATUS), told


def workloads() -> tuple[FleetResult[CnfWorkload], list[Finding]]:
    def row(function: str, name: str, ready: int, pods: int, ptp: str | None) -> CnfWorkload:
        return CnfWorkload("ran", function, "ran", "StatefulSet", name, pods, ready, 3, ["du-1", "du-2"], 2, 8 << 30, True,
                           ptp, f"label app={name}", "kubernetes + prometheus")  # fmt: skip

    rows = [row("vDU", "vdu", 1, 2, "HOLDOVER"), row("UPF", "upf", 2, 2, "LOCKED")]
    told = [
        finding("CNF_NOT_READY", "StatefulSet", "vdu", "vDU: 1 of 2 pods are ready", WARNED, namespace="ran"),
        finding("CNF_CLOCK_NOT_LOCKED", "StatefulSet", "vdu", "vDU runs on a node whose clock is HOLDOVER", WARNED,
                namespace="ran"),
    ]  # fmt: skip
    return FleetResult(rows, STATUS), told


def pods() -> FleetResult[CnfPodItem]:
    eth = PodInterface("eth0", "ovn-kubernetes", ["10.1.0.7"], None)
    net = PodInterface("net1", "ran/fronthaul", [], "0000:3b:02.0")
    rows = [
        CnfPodItem("ran", "ran", "vdu-0", "du-1", "Running", 1, 1, 3, "Guaranteed", 8.0, 4 << 30, [eth, net]),
        CnfPodItem("ran", "ran", "vdu-1", "du-2", "Running", 0, 1, 0, "Burstable", 1.5, 4 << 30, [eth]),
    ]
    return FleetResult(rows, STATUS)
