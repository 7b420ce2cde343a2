"""Pods of a network function with their interfaces, and the pod of a node whose log tells of its devices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from aiops_cli.analysis.cnf_numbers import hugepage_sizes, quantity
from aiops_cli.analysis.sriov import network_statuses
from aiops_cli.models.cnf import CnfPodItem, CnfWorkload, PodInterface
from aiops_cli.models.cnf_objects import CnfPod
from aiops_cli.models.result import Answer, FleetResult, Origin
from aiops_cli.services.fanout import fan_out
from aiops_cli.services.fleet import Member
from aiops_cli.services.replay import RecordedMember

if TYPE_CHECKING:
    from aiops_cli.sources.kubernetes import KubernetesSource


async def pods_of(member: Member, workload: CnfWorkload) -> FleetResult[CnfPodItem]:
    """Its pods by name, those that ended left out. A bundle that holds no pods has none."""

    async def ask(member: Member) -> Answer[CnfPodItem]:
        from aiops_cli.sources.cnf_objects import Listed

        origin: Origin = "live"
        notes: list[str] = []
        pods: Sequence[CnfPod] | None
        if isinstance(member, RecordedMember):
            origin, pods = "bundle", member.cnf_objects().pods
        else:
            source: KubernetesSource = await member.kube()  # type: ignore[assignment]
            listed = Listed()
            pods, notes = await listed.pods(source, workload.namespace), listed.notes
        rows = [_item(member.name, p) for p in pods or () if _belongs(p, workload)]
        return Answer(sorted(rows, key=lambda r: r.pod), origin, warnings=notes, partial=bool(notes))

    found = await fan_out([member], ask)
    return found.with_rows([row for _, row in found.rows])


def _belongs(pod: CnfPod, workload: CnfWorkload) -> bool:
    """A Job's pods are known by their name, for what made the Job is not asked."""
    from aiops_cli.sources.cnf_objects import owner_of

    meta = pod.metadata
    if meta.namespace != workload.namespace or not pod.holds:
        return False
    kind, owner = owner_of(pod)
    name = owner or meta.name
    return name == workload.name or (kind == "Job" and name.startswith(f"{workload.name}-"))


def _item(cluster: str, pod: CnfPod) -> CnfPodItem:
    statuses = pod.status.container_statuses
    asked = [c.resources.requests for c in pod.spec.containers]
    return CnfPodItem(
        cluster,
        pod.metadata.namespace,
        pod.metadata.name,
        pod.spec.node_name or None,
        pod.status.phase,
        sum(s.ready for s in statuses),
        len(pod.spec.containers),
        sum(s.restart_count for s in statuses),
        pod.status.qos_class or None,
        sum(quantity(r.get("cpu", 0)) or 0 for r in asked),
        sum(sum(hugepage_sizes(r).values()) for r in asked),
        list(_interfaces(pod)),
    )


def _interfaces(pod: CnfPod) -> Iterator[PodInterface]:
    for entry in network_statuses(pod):
        ips: Any = entry.ips
        pci = entry.device_info.pci if entry.device_info else None
        yield PodInterface(
            entry.interface or None,
            entry.name or None,
            [str(ip) for ip in ips] if isinstance(ips, list) else [],
            (pci.pci_address or None) if pci else None,
        )


async def pod_on(member: Member, node: str, owner: str) -> tuple[str, str] | None:
    """Namespace and name of the pod of a DaemonSet that runs on a node; None where there is none."""
    pods = (await (await member.kube()).workloads()).rows
    return next(((p.namespace, p.pod) for p in pods if p.node == node and p.owner == owner), None)
