"""How pods of a network function look in a table of the dashboard, and one of them in words."""

from __future__ import annotations

from aiops_cli.models.cnf import CnfPodItem, PodInterface
from aiops_cli.render.output import Column, View
from aiops_cli.render.text import one_line, si
from aiops_cli.render.workload_views import gibibytes


def _interface(found: PodInterface) -> str:
    """net1 ran/fronthaul 0000:3b:02.0, as far as it is known."""
    return " ".join(filter(None, (found.interface, found.network, *found.ips, found.pci_address)))


def _asked(pod: CnfPodItem) -> str:
    return f"{si(pod.cpus)}{'' if pod.qos_class == 'Guaranteed' else ' shared'}"


PODS: View[CnfPodItem] = View(
    "CnfPodList",
    [
        Column("pod", lambda p: p.pod),
        Column("node", lambda p: p.node),
        Column("phase", lambda p: p.phase),
        Column("ready", lambda p: f"{p.ready}/{p.containers}", right=True, plain=lambda p: p.ready),
        Column("restarts", lambda p: str(p.restarts), right=True, plain=lambda p: p.restarts),
        Column("cpus", _asked, right=True, plain=lambda p: p.cpus),
        Column("huge", lambda p: gibibytes(p.hugepages_bytes), right=True, plain=lambda p: p.hugepages_bytes),
        Column("interfaces", lambda p: ", ".join(_interface(i) for i in p.interfaces)),
        Column("qos", lambda p: p.qos_class, wide=True),
    ],
    lambda p: f"{p.cluster}/{p.namespace}/{p.pod}",
)


def pod_text(pod: CnfPodItem) -> str:
    """A pod in words, a line for each of its interfaces."""
    lines = [
        f"{pod.namespace}/{pod.pod} on {pod.node or '-'} ({pod.cluster}): {pod.phase}, {pod.ready} of "
        f"{pod.containers} containers ready, {pod.restarts} restarts",
        f"{_asked(pod)} CPUs, {pod.qos_class or 'QoS class not known'}, huge pages {gibibytes(pod.hugepages_bytes)}",
        *(f"interface {_interface(i)}" for i in pod.interfaces),
    ]
    if not pod.interfaces:
        lines.append("no interface in its network-status annotation")
    return "\n".join(one_line(line) for line in lines)
