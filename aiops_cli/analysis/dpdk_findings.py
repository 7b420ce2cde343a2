"""What is wrong with a DPDK pod. CPU use is never a finding: an lcore polls, and takes 100 % without load."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

from aiops_cli.analysis.cnf_numbers import a_second, quantity
from aiops_cli.analysis.finding_order import worst_first
from aiops_cli.models.analysis import Entity
from aiops_cli.models.cnf import DpdkLimits, DpdkPod, DpdkPort
from aiops_cli.models.findings import Finding, FindingSeverity

_RISING = (
    (
        "imissed_per_second",
        "DPDK_IMISSED",
        "packets a second missed: the NIC had no free descriptor, the program is too slow",
        "give it more lcores or queues, or larger rings",
    ),
    (
        "rx_nombuf_per_second",
        "DPDK_RX_NOMBUF",
        "receives a second failed: the mempool was empty",
        "give the mempool more buffers, or look for a leak of mbufs",
    ),
    (
        "ierrors_per_second",
        "DPDK_IERRORS",
        "broken packets a second",
        "look at cable, transceiver and MTU",
    ),
)


def findings(rows: Sequence[DpdkPod], limits: DpdkLimits) -> list[Finding]:
    """Worst first. What a node lacks is one finding about it, with the pods that ask for it."""
    found = [f for row in rows for f in (*_placement(row, limits), *_ports(row, limits))]
    return worst_first([*found, *_nodes(rows)])


def _nodes(rows: Sequence[DpdkPod]) -> Iterator[Finding]:
    short: dict[tuple[str, str, str], int] = {}
    pods: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for row in rows:
        for pages in row.hugepages:
            left = pages.node_unrequested
            if row.node and left is not None and left < 0:
                which = row.cluster, row.node, pages.size
                short[which] = -left
                pods[which].append(f"{row.namespace}/{row.pod}")
    for (cluster, node, size), missing in short.items():
        count = math.ceil(missing / (quantity(size) or missing))
        yield Finding(
            cluster,
            "DPDK_HUGEPAGES_OVERCOMMITTED",
            "critical",
            Entity("Node", node, None, cluster),
            f"pods ask for {count} {size} page{'s' if count > 1 else ''} ({missing / (1 << 30):.4g} GiB) more than "
            f"it has: {', '.join(sorted(pods[cluster, node, size]))}",
            "the node's huge pages were lowered, or could not be had at boot: see its PerformanceProfile",
            value=float(missing),
            threshold=0.0,
            unit="B",
            source="kubernetes",
        )


def _placement(row: DpdkPod, limits: DpdkLimits) -> Iterator[Finding]:
    cpu = row.cpu
    if not cpu.exclusive:
        yield _finding(
            row,
            "DPDK_CPU_NOT_EXCLUSIVE",
            "warning",
            f"it shares its CPUs: {cpu.reason}",
            "ask for whole CPUs, with requests equal to limits for CPU and memory in every container",
        )
    if cpu.isolated is False:
        yield _finding(
            row,
            "DPDK_CPU_NOT_ISOLATED",
            "critical",
            f"its CPUs {cpu.cpuset} are not all isolated ({row.isolated_cpus}; reserved {row.reserved_cpus})",
            "see that the kubelet's CPU manager is static and the pod is Guaranteed",
            source=row.sources.get("cpuset", ""),
        )
    if cpu.annotations_effective is False:
        yield _finding(
            row,
            "DPDK_ANNOTATIONS_IGNORED",
            "warning",
            f"{', '.join(sorted(cpu.annotations))} need a performance runtime class, and it has "
            f"{row.runtime_class or 'none'}",
            "set runtimeClassName to the profile's, performance-NAME",
        )
    if row.numa.aligned is False:
        yield _finding(
            row,
            "DPDK_NUMA_SPLIT",
            "warning",
            f"CPUs, memory and VFs are not on one NUMA node: {row.numa.reason}",
            "set topologyPolicy single-numa-node, and see that the VFs' policy leaves excludeTopology out",
            source=row.sources.get("numa", row.sources.get("cpuset", "")),
        )
    if cpu.exclusive and (rate := cpu.throttled_periods_per_second or 0.0) > limits.throttled_per_second:
        yield _finding(
            row,
            "DPDK_THROTTLED",
            "warning",
            f"CPUs of its own, and yet {a_second(rate)} throttled periods a second "
            f"({a_second(limits.throttled_per_second)} are allowed)",
            "switch the CFS quota off: cpu-quota.crio.io=disable and the performance runtime class",
            rate,
            limits.throttled_per_second,
            "prometheus",
        )
    if not row.hugepages:
        yield _finding(
            row,
            "DPDK_NO_HUGEPAGES",
            "warning",
            "no container asks for huge pages",
            "request hugepages-1Gi, unless it runs with --no-huge",
        )


def _ports(row: DpdkPod, limits: DpdkLimits) -> Iterator[Finding]:
    source = row.sources.get("ports", "")
    for process in row.processes or ():
        for port in process.ports:
            name = _name(port)
            if port.link_status == "DOWN":
                yield _finding(
                    row,
                    "DPDK_LINK_DOWN",
                    "critical",
                    f"port {name}: its link is down",
                    "look at the PF: aiops cnf sriov",
                    source=source,
                )
            for field, code, what, action in _RISING:
                rate, limit = getattr(port, field), getattr(limits, field)
                if rate is not None and rate > limit:
                    yield _finding(
                        row,
                        code,
                        "warning",
                        f"port {name}: {a_second(rate)} {what} ({a_second(limit)} are allowed)",
                        action,
                        rate,
                        limit,
                        source,
                        "1/s",
                    )


def _name(port: DpdkPort) -> str:
    return f"{port.port} ({port.name})" if port.name else port.port


def _finding(
    row: DpdkPod,
    code: str,
    severity: FindingSeverity,
    text: str,
    action: str,
    value: float | None = None,
    threshold: float | None = None,
    source: str = "kubernetes",
    unit: str = "",
) -> Finding:
    return Finding(
        row.cluster,
        code,
        severity,
        Entity("Pod", row.pod, row.namespace, row.cluster),
        text,
        action,
        value=value,
        threshold=threshold,
        unit=unit,
        source=source,
    )
