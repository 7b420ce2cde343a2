"""What is wrong with PFs, VFs and the resources that pods ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from aiops_cli.analysis.cnf_numbers import a_second
from aiops_cli.analysis.finding_order import worst_first
from aiops_cli.analysis.ptp_verdict import rfc3339
from aiops_cli.analysis.sriov import Objects, asked, draining, resources_of
from aiops_cli.analysis.sriov_places import Place
from aiops_cli.models.analysis import Entity
from aiops_cli.models.cnf import NodeResource, SriovLimits, SriovPf, SriovVf, VfRates, VfUser
from aiops_cli.models.cnf_objects import CnfPod
from aiops_cli.models.findings import Finding, FindingSeverity


def findings(
    cluster: str,
    rows: Sequence[SriovPf],
    objects: Objects,
    drops: Mapping[Place, VfRates],
    limits: SriovLimits,
    users: Mapping[Place, VfUser],
    since: Mapping[Place, float],
) -> list[Finding]:
    """Worst first. By node and PCI address, `drops` are what VFs drop, `since` when (unix seconds) they drop too
    much, where that is known, and `users` who has them."""
    found = [
        *_nodes(rows),
        *(f for row in rows for f in _pf(row)),
        *_drops(cluster, rows, drops, limits, users, since),
        *_resources(cluster, objects, limits),
    ]
    return worst_first(found)


def _nodes(rows: Sequence[SriovPf]) -> Iterator[Finding]:
    """Of the operator on each node: one finding a node, not one a PF."""
    for row in {(r.cluster, r.node): r for r in rows}.values():
        entity = Entity("Node", row.node, None, row.cluster)
        if row.sync_status == "Failed":
            why = f": {row.last_sync_error}" if row.last_sync_error else ""
            yield _finding(
                "SRIOV_SYNC_FAILED",
                "critical",
                entity,
                f"the operator could not configure SR-IOV{why}",
                "read the log of sriov-network-config-daemon on that node",
            )
        elif row.sync_status == "InProgress":
            yield _finding(
                "SRIOV_SYNC_IN_PROGRESS",
                "info",
                entity,
                "the operator is configuring SR-IOV",
                "ask again: a node that stays so waits for a drain or a reboot",
            )
        if draining(row):
            states = " → ".join(s for s in (row.drain_state, row.drain_desired) if s)
            yield _finding(
                "SRIOV_DRAIN_PENDING",
                "warning",
                entity,
                f"a drain or reboot for SR-IOV is due: {states}",
                "look at pod disruption budgets, and at nodes that drain now",
            )


def _pf(row: SriovPf) -> Iterator[Finding]:
    entity = Entity("PF", f"{row.node}/{row.pf}", None, row.cluster)
    if row.link_state == "DOWN" and row.vfs_used:
        yield _finding(
            "SRIOV_PF_DOWN",
            "critical",
            entity,
            f"its link is down, and pods use {row.vfs_used} of its VFs",
            "look at cable, transceiver and switch port",
            float(row.vfs_used),
            0.0,
        )
    if row.wanted_mtu and row.mtu is not None and row.mtu != row.wanted_mtu:
        yield _finding(
            "SRIOV_MTU_MISMATCH",
            "warning",
            entity,
            f"its MTU is {row.mtu}, and the policy wants {row.wanted_mtu}",
            "see the sync status, and who else sets that MTU",
            float(row.mtu),
            float(row.wanted_mtu),
        )
    # A VF without a name is with vfio-pci: its MTU is its program's affair.
    larger = [v for v in row.vfs if v.name and v.mtu and row.mtu and v.mtu > row.mtu]
    if larger:
        yield _finding(
            "SRIOV_MTU_MISMATCH",
            "warning",
            entity,
            f"VFs with a larger MTU than its own {row.mtu}: {len(larger)}",
            "set `mtu` in the policy",
            float(larger[0].mtu or 0),
            float(row.mtu or 0),
        )
    if row.vfs_wanted is not None and row.vfs_configured is not None and row.vfs_configured < row.vfs_wanted:
        yield _finding(
            "SRIOV_VFS_NOT_CONFIGURED",
            "warning",
            entity,
            f"{row.vfs_configured} of {row.vfs_wanted} wanted VFs are there",
            "see the sync status, and SR-IOV in the firmware",
            float(row.vfs_configured),
            float(row.vfs_wanted),
        )


def _drops(
    cluster: str,
    rows: Sequence[SriovPf],
    drops: Mapping[Place, VfRates],
    limits: SriovLimits,
    users: Mapping[Place, VfUser],
    since: Mapping[Place, float],
) -> Iterator[Finding]:
    rate = {place: (r.rx_dropped or 0.0) + (r.tx_dropped or 0.0) for place, r in drops.items()}
    over = {place: value for place, value in rate.items() if value > limits.drops_per_second}
    if not over:
        return
    vfs: Mapping[tuple[str, str], tuple[SriovPf, SriovVf]] = {
        (r.node, v.pci_address): (r, v) for r in rows for v in r.vfs if (r.node, v.pci_address) in over
    }
    for (node, pci), value in over.items():
        known = vfs.get((node, pci))
        user = users.get((node, pci))
        whose = f" of {user.namespace}/{user.pod}" if user else ""
        where = f" (VF {known[1].vf} of {known[0].pf})" if known else ""
        yield _finding(
            "SRIOV_VF_DROPS",
            "warning",
            Entity("VF", f"{node}/{pci}", user.namespace if user else None, cluster),
            f"{a_second(value)} dropped packets a second{where}{whose}, "
            f"{a_second(limits.drops_per_second)} are allowed",
            "its program is too slow or its rings are too small; see aiops cnf dpdk",
            value,
            limits.drops_per_second,
            "1/s",
            "prometheus",
            rfc3339(since[node, pci]) if (node, pci) in since else None,
        )


def _resources(cluster: str, objects: Objects, limits: SriovLimits) -> Iterator[Finding]:
    resources = resources_of(objects)
    for node, named in resources.items():
        for resource in named.values():
            used = resource.requested
            if used and resource.allocatable and used * 100 >= limits.used_percent * resource.allocatable:
                yield _finding(
                    "SRIOV_VFS_EXHAUSTED",
                    "warning",
                    Entity("Node", node, None, cluster),
                    f"pods have {used} of {resource.allocatable} {resource.name}",
                    "give the policy more VFs, or move pods",
                    float(used),
                    float(resource.allocatable),
                )
    labels = {n.metadata.name: n.metadata.labels for n in objects.nodes}
    names = {name for named in resources.values() for name in named}
    for pod in objects.pods or ():
        if pod.status.phase == "Pending" and not pod.spec.node_name:
            yield from _waiting(cluster, pod, names, resources, labels)


def _waiting(
    cluster: str,
    pod: CnfPod,
    names: set[str],
    resources: Mapping[str, Mapping[str, NodeResource]],
    labels: Mapping[str, Mapping[str, str]],
) -> Iterator[Finding]:
    """A pod that waits for VFs that no node where it may run has left."""
    wanted = asked(pod, names)
    able = [
        named
        for node, named in resources.items()
        if pod.spec.node_selector.items() <= labels.get(node, {}).items()
    ]
    for name, count in wanted.items():
        left = [r.allocatable - (r.requested or 0) for named in able if (r := named.get(name))]
        if max(left, default=0) < count:
            yield _finding(
                "SRIOV_POD_WITHOUT_VF",
                "critical",
                Entity("Pod", pod.metadata.name, pod.metadata.namespace, cluster),
                f"it asks for {count} {name}, and no node has more than {max([0, *left])} left",
                "give the policy more VFs or nodes, or end what holds them",
                float(max([0, *left])),
                float(count),
            )


def _finding(
    code: str,
    severity: FindingSeverity,
    entity: Entity,
    text: str,
    action: str,
    value: float | None = None,
    threshold: float | None = None,
    unit: str = "",
    source: str = "kubernetes",
    since: str | None = None,
) -> Finding:
    return Finding(
        entity.cluster or "",
        code,
        severity,
        entity,
        text,
        action,
        since,
        value=value,
        threshold=threshold,
        unit=unit,
        source=source,
    )
