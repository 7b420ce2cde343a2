"""How DPDK pods look: a row each, and one of them in full."""

from __future__ import annotations

from aiops_cli.analysis.cnf_numbers import as_cpuset
from aiops_cli.models.cnf import DpdkPod, DpdkPort, Hugepages
from aiops_cli.render.output import Column, View
from aiops_cli.render.text import one_line, si


def _gib(value: int | None) -> str:
    """Bytes of huge pages: 8Gi, 512Mi."""
    if value is None:
        return "-"
    return f"{value >> 30}Gi" if value % (1 << 30) == 0 else f"{value / (1 << 20):.0f}Mi"


def _yes(value: bool | None) -> str:
    return "-" if value is None else "yes" if value else "no"


def _pages(pod: DpdkPod) -> int:
    return sum(p.requested for p in pod.hugepages)


def _sum(pod: DpdkPod, field: str) -> float | None:
    known = [v for p in pod.ports if (v := getattr(p, field)) is not None]
    return sum(known) if known else None


def _numa(pod: DpdkPod) -> str:
    """The NUMA node of an aligned pod, all of a split one."""
    numa = pod.numa
    nodes = as_cpuset({n for some in (numa.cpus, numa.vfs) for n in some or ()})
    if numa.aligned is None:
        return "-"
    return (nodes or "one") if numa.aligned else f"split {nodes}"


DPDK: View[DpdkPod] = View(
    "DpdkPodList",
    [
        Column("cluster", lambda p: p.cluster),
        Column("namespace", lambda p: p.namespace),
        Column("pod", lambda p: p.pod),
        Column("node", lambda p: p.node),
        Column("huge", lambda p: _gib(_pages(p)), right=True, plain=_pages),
        Column("cpus", lambda p: si(p.cpu.requested), right=True, plain=lambda p: p.cpu.requested),
        Column("own", lambda p: _yes(p.cpu.exclusive)),
        Column("isol", lambda p: _yes(p.cpu.isolated)),
        Column("numa", _numa),
        Column(
            "vfs",
            lambda p: "-" if p.vfs is None else str(len(p.vfs)),
            right=True,
            plain=lambda p: None if p.vfs is None else len(p.vfs),
        ),
        Column(
            "rx",
            lambda p: si(_sum(p, "rx_packets_per_second"), "p/s"),
            right=True,
            plain=lambda p: _sum(p, "rx_packets_per_second"),
        ),
        Column(
            "missed",
            lambda p: si(_sum(p, "imissed_per_second"), "/s"),
            right=True,
            plain=lambda p: _sum(p, "imissed_per_second"),
        ),
        Column("phase", lambda p: p.phase, wide=True),
        Column("qos", lambda p: p.qos_class, wide=True),
        Column("runtime", lambda p: p.runtime_class, wide=True),
        Column("profile", lambda p: p.profile, wide=True),
        Column("topology", lambda p: p.topology_policy, wide=True),
        Column("cpuset", lambda p: p.cpu.cpuset, wide=True),
        Column(
            "ports", lambda p: str(len(p.ports)) if p.processes is not None else "-", right=True, wide=True
        ),
        Column("sources", lambda p: ",".join(sorted(set(p.sources.values()))), wide=True),
        Column("missing", lambda p: ",".join(sorted(p.missing)), wide=True),
    ],
    lambda p: f"{p.cluster}/{p.namespace}/{p.pod}",
)


def detail(pod: DpdkPod) -> str:
    """A pod in full: a line a fact, with its source, or why it is missing."""
    lines = [f"{pod.namespace}/{pod.pod} on {pod.node or '-'} ({pod.cluster})"]

    def say(what: str, text: str | None, source: str | None = None) -> None:
        if text is None:
            lines.append(f"  {what:<12} -  ({source or 'not known'})")
        else:
            lines.append(f"  {what:<12} {text}" + (f"  [{source}]" if source else ""))

    for pages in pod.hugepages:
        say(f"huge {pages.size}", _page_text(pages), pod.sources.get("hugepages.nodeFree", "kubernetes"))
    cpu = pod.cpu
    say("cpus", f"{si(cpu.requested)}, {'exclusive' if cpu.exclusive else cpu.reason}", "kubernetes")
    say("cpuset", cpu.cpuset, pod.sources.get("cpuset") or pod.missing.get("cpuset"))
    isolated = None if cpu.isolated is None else "in the isolated set" if cpu.isolated else "NOT isolated"
    say("isolation", isolated, pod.sources.get("isolated") or pod.missing.get("isolated"))
    throttled = cpu.throttled_periods_per_second
    say(
        "throttled",
        None if throttled is None else f"{throttled:.4g} periods/s",
        pod.sources.get("throttledPeriodsPerSecond") or pod.missing.get("throttledPeriodsPerSecond"),
    )
    if cpu.annotations:
        without = "" if cpu.annotations_effective else "; without effect"
        say("crio", ", ".join(f"{k}={v}" for k, v in sorted(cpu.annotations.items())) + without, "kubernetes")
    say("runtime", pod.runtime_class or "default", "kubernetes")
    topology = f"{pod.profile}, topology {pod.topology_policy}" if pod.profile else None
    say("profile", topology, pod.sources.get("profile") or pod.missing.get("profile"))
    say("numa", f"{_yes(pod.numa.aligned)}: {pod.numa.reason}", pod.sources.get("numa"))
    if pod.vfs is None:
        say("vfs", None, pod.missing.get("vfs"))
    for vf in pod.vfs or []:
        numa = "" if vf.numa_node is None else f", NUMA {vf.numa_node}"
        say("vf", f"{vf.pci_address} {vf.driver or ''} {vf.network or ''}{numa}", pod.sources.get("vfs"))
    if pod.processes is None:
        say("ports", None, pod.missing.get("ports"))
    for process in pod.processes or []:
        version = " ".join(filter(None, (process.version, process.socket)))
        say("process", f"{process.container} {version}", pod.sources.get("ports"))
        lines += [f"    port {_port_text(p)}" for p in process.ports]
        lines += [
            f"    mempool {m.name} {si(m.available) if m.available is not None else '-'} free of {si(m.size)}"
            for m in process.mempools
        ]
        lines += [
            f"    lcore {c.lcore} busy {'-' if c.busy_percent is None else f'{c.busy_percent:.1f}%'}"
            for c in process.lcores
        ]
    lines.append("  A polling lcore takes 100 % CPU with and without load: judge it by packets and imissed.")
    return "".join(one_line(line) + "\n" for line in lines)


def _left(unrequested: int | None) -> str:
    if unrequested is not None and unrequested < 0:
        return f"{_gib(-unrequested)} more asked for than it has"
    return f"{_gib(unrequested)} not asked for"


def _page_text(pages: Hugepages) -> str:
    numa = ", ".join(f"NUMA {n}: {_gib(v)}" for n, v in (pages.by_numa or {}).items())
    parts = [
        f"{_gib(pages.requested)} asked, limit {_gib(pages.limit)}",
        f"node {_gib(pages.node_allocatable)}, {_left(pages.node_unrequested)}, "
        f"{_gib(pages.node_free)} free" + (f" ({numa})" if numa else ""),
    ]
    return "; ".join(parts)


def _port_text(port: DpdkPort) -> str:
    speed = "" if port.link_speed_mbps is None else f" {si(port.link_speed_mbps * 1e6, 'b/s')}"
    link = f"{port.link_status or '-'}{speed}"
    counts = ", ".join(
        f"{name} {si(getattr(port, field))} ({si(getattr(port, rate), '/s')})"
        for name, field, rate in (
            ("rx", "ipackets", "rx_packets_per_second"),
            ("tx", "opackets", "tx_packets_per_second"),
            ("imissed", "imissed", "imissed_per_second"),
            ("ierrors", "ierrors", "ierrors_per_second"),
            ("rx_nombuf", "rx_nombuf", "rx_nombuf_per_second"),
        )
    )
    return f"{port.port} {port.name or ''} {link}: {counts}"
