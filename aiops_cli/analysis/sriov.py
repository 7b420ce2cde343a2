"""PFs and VFs of a cluster: node states joined with policies, pods, nodes and the exporter's series.

A PCI address is one only on its node: everything is joined on (node, PCI address), never on the address
alone. Shapes: sriov-network-operator api/v1, sriov-network-metrics-exporter, the network-status annotation
of the network-attachment-definition client.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from aiops_cli.analysis.cnf_numbers import link_speed, quantity
from aiops_cli.analysis.sriov_places import Labels, Place, Places, Readings, counted, known_vfs, rates_of
from aiops_cli.models.cnf import AppliedPolicy, NodeResource, SriovPf, SriovVf, VfNetwork, VfRates, VfUser
from aiops_cli.models.cnf_objects import (
    CnfNode,
    CnfPod,
    InterfaceState,
    NetworkStatus,
    SriovNetwork,
    SriovNodeState,
    SriovPolicy,
    VfGroup,
    WantedInterface,
)
from aiops_cli.models.numbers import amount, whole

STATUS = "k8s.v1.cni.cncf.io/network-status"
OLD_STATUS = "k8s.v1.cni.cncf.io/networks-status"
_DRAIN = "sriovnetwork.openshift.io/"
_IDLE = ("", "Idle")
_entries = msgspec.json.Decoder(list[msgspec.Raw])
_entry = msgspec.json.Decoder(NetworkStatus)
RATES = ("rx_bytes", "tx_bytes", "rx_packets", "tx_packets", "rx_dropped", "tx_dropped", "tx_errors")
NO_EXPORTER = "no sriov_vf_* series: the operator's metrics exporter is off or is not scraped"


@dataclass(slots=True)
class Metrics:
    """Of the exporter: who has which VF, the VF series there are, and rates per second by field of
    VfRates, of whole PFs (`pf`, summed) and of VFs. `series` is counted by node, PF and NUMA node, as is `held`,
    the VFs of them that a pod has. `failed` is why there is none of it, where it could not be asked for."""

    users: Readings = ()
    series: Readings = ()
    of_pfs: Mapping[str, Readings] = field(default_factory=dict)
    of_vfs: Mapping[str, Readings] = field(default_factory=dict)
    held: Readings = ()
    failed: str = ""


@dataclass(slots=True)
class Objects:
    """What the Kubernetes API has; `pods` is None where they may not be listed."""

    states: Sequence[SriovNodeState] = ()
    policies: Sequence[SriovPolicy] = ()
    nodes: Sequence[CnfNode] = ()
    pods: Sequence[CnfPod] | None = None
    networks: Sequence[SriovNetwork] = ()


@dataclass(slots=True)
class Rows:
    """`unplaced` counts series that name no node there is; `users` are who has which VF."""

    pfs: list[SriovPf]
    unplaced: int
    users: dict[Place, VfUser] = field(default_factory=dict)


def network_statuses(pod: CnfPod) -> list[NetworkStatus]:
    """The entries of a pod's network-status annotation that can be read."""
    annotations = pod.metadata.annotations
    found = []
    with suppress(msgspec.MsgspecError):
        for entry in _entries.decode(annotations.get(STATUS) or annotations.get(OLD_STATUS) or "[]"):
            with suppress(msgspec.MsgspecError):
                found.append(_entry.decode(entry))
    return found


def pci_devices(pod: CnfPod) -> list[tuple[str, NetworkStatus]]:
    """A pod's PCI addresses, as its network-status names them under `device-info`."""
    return [
        (entry.device_info.pci.pci_address, entry)
        for entry in network_statuses(pod)
        if entry.device_info and entry.device_info.pci and entry.device_info.pci.pci_address
    ]


def users(pods: Iterable[CnfPod], series: Readings, places: Places) -> dict[Place, VfUser]:
    """Who has the VF at (node, PCI address): what the exporter says, completed by network-status.

    Scraped without honorLabels the exporter's own pod is `pod`, and the VF's is `exported_pod`.
    """
    found: dict[Place, VfUser] = {}
    for labels, value in series:
        node, pci = places.node(labels), labels.get("pciAddr", "")
        pod = labels.get("exported_pod") or labels.get("pod", "")
        namespace = labels.get("exported_namespace") or labels.get("namespace", "")
        if value and node and pci and pod:
            container = labels.get("exported_container") or labels.get("container")
            found[node, pci] = VfUser(namespace, pod, container or None)
    for one in pods:
        if one.spec.node_name and one.holds:
            for pci, entry in pci_devices(one):
                place = (one.spec.node_name, pci)
                namespace, name = one.key
                before = found.get(place)
                container = before.container if before and before.pod == name else None
                found[place] = VfUser(namespace, name, container, entry.interface or None, entry.name or None)
    return found


def link(interface: InterfaceState) -> tuple[str | None, int | None]:
    """UP, DOWN or None, and Mbit/s: without a carrier the kernel says a speed of -1."""
    speed = link_speed(interface.link_speed)
    known = speed if speed is not None and speed > 0 else None
    if interface.link_admin_state.lower() == "down" or (speed is not None and speed < 0):
        return "DOWN", known
    return ("UP", known) if known else (None, None)


def policies_of(
    interface: InterfaceState,
    wanted: WantedInterface | None,
    node: Labels | None,
    policies: Sequence[SriovPolicy],
) -> list[AppliedPolicy]:
    """Policies that were applied to a PF, or whose selectors fit it, in order of priority (0 goes first).

    `netFilter`, which is about virtual machines on OpenStack, is not looked at.
    """
    applied = {g.policy_name: g for g in wanted.vf_groups if g.policy_name} if wanted else {}
    found = []
    for policy in policies:
        name, spec = policy.metadata.name, policy.spec
        fits = node is not None and spec.node_selector.items() <= node.items() and _selects(policy, interface)
        if name in applied or (fits and spec.num_vfs):
            found.append(
                AppliedPolicy(name, spec.resource_name, spec.priority, spec.num_vfs, name in applied)
            )
    known = {p.name for p in found}
    found += [
        AppliedPolicy(name, group.resource_name, None, None, True)
        for name, group in applied.items()
        if name not in known
    ]
    return sorted(found, key=lambda p: (p.priority is None, p.priority, p.name))


def _selects(policy: SriovPolicy, interface: InterfaceState) -> bool:
    nic = policy.spec.nic_selector
    names = [name.partition("#")[0] for name in nic.pf_names]
    return (
        bool(nic.vendor or nic.device_id or nic.root_devices or names)
        and nic.vendor in ("", interface.vendor)
        and nic.device_id in ("", interface.device_id)
        and (not nic.root_devices or interface.pci_address in nic.root_devices)
        and (not names or interface.name in names)
    )


def group_of(vf: int | None, groups: Sequence[VfGroup]) -> VfGroup | None:
    """The group whose range (`ens1f0#0-3`) has this VF."""
    for group in groups if vf is not None else ():
        match = re.fullmatch(r".*#(\d+)-(\d+)", group.vf_range)
        first, last = (whole(match[1]), whole(match[2])) if match else (0, vf)
        if first is not None and last is not None and vf is not None and first <= vf <= last:
            return group
    return None


def asked(pod: CnfPod, names: Iterable[str]) -> dict[str, int]:
    """How many of these resources a pod's containers ask for."""
    found: Counter[str] = Counter()
    for name in names:
        for container in pod.spec.containers:
            number = quantity(container.resources.requests.get(name, container.resources.limits.get(name)))
            found[name] += amount(number) or 0
    return {name: count for name, count in found.items() if count}


def resources_of(objects: Objects) -> dict[str, dict[str, NodeResource]]:
    """By node, then resource with its prefix: what policies of this cluster feed."""
    own = {p.spec.resource_name for p in objects.policies}
    own |= {g.resource_name for s in objects.states for i in s.spec.interfaces for g in i.vf_groups}
    found: dict[str, dict[str, int]] = {}
    for node in objects.nodes:
        amounts = {
            name: amount(quantity(text)) or 0
            for name, text in node.status.allocatable.items()
            if "/" in name and name.partition("/")[2] in own
        }
        if amounts:
            found[node.metadata.name] = amounts
    names = {name for amounts in found.values() for name in amounts}
    requested: dict[str, Counter[str]] = defaultdict(Counter)
    for pod in objects.pods or ():
        if pod.holds and pod.spec.node_name in found:
            requested[pod.spec.node_name].update(asked(pod, names))
    known = objects.pods is not None
    return {
        node: {
            name: NodeResource(name, count, requested[node][name] if known else None)
            for name, count in amounts.items()
        }
        for node, amounts in found.items()
    }


def pfs(cluster: str, objects: Objects, metrics: Metrics) -> Rows:
    """One row a PF, by node and name; those that only the exporter knows have what it says."""
    places = Places(objects.nodes, objects.states)
    held = users(objects.pods or (), metrics.users, places)
    numa: dict[Place, int] = {}
    for labels, _ in metrics.series:
        if (node := places.node(labels)) and (known := whole(labels.get("numa_node", ""))) is not None:
            numa[node, labels.get("pf", "")] = known
    unplaced = places.unplaced
    series, used = counted(metrics.series, places), counted(metrics.held, places)
    rates = rates_of(metrics.of_pfs, places, "pf")
    vf_rates = rates_of(metrics.of_vfs, places, "pciAddr")
    nodes = {n.metadata.name: n for n in objects.nodes}
    resources = resources_of(objects)
    who_known = objects.pods is not None or bool(metrics.users)
    networks = [_network(n) for n in objects.networks]
    rows = []
    for state in objects.states:
        node = state.metadata.name
        wanted = {i.pci_address: i for i in state.spec.interfaces}
        own = nodes.get(node)
        drain = _drain(state, own)
        for interface in state.status.interfaces:
            place = (node, interface.name)
            series.pop(place, None)
            row = _row(
                cluster,
                state,
                interface,
                wanted.get(interface.pci_address),
                own.metadata.labels if own else None,
                objects.policies,
            )
            fed = {p.resource for p in row.policies}
            vfs = _vfs(node, interface, wanted.get(interface.pci_address), held, numa.get(place), vf_rates)
            rows.append(
                msgspec.structs.replace(
                    row,
                    drain_state=drain[0],
                    drain_desired=drain[1],
                    vfs=vfs,
                    vfs_used=sum(v.used_by is not None for v in vfs) if who_known else None,
                    numa_node=numa.get(place),
                    rates=rates.get(place),
                    resources=[
                        r for r in resources.get(node, {}).values() if r.name.partition("/")[2] in fed
                    ],
                    source="kubernetes + prometheus"
                    if place in rates or numa.get(place) is not None
                    else "kubernetes",
                    missing=_missing(place, rates, who_known, metrics.failed or NO_EXPORTER),
                    networks=[n for n in networks if n.resource in fed],
                )
            )
    vfs_of = known_vfs(metrics.of_vfs, places)
    for place, count in series.items():
        vfs = [
            SriovVf(
                vf, pci, None, None, None, None, None, None, numa.get(place), held.get(at), vf_rates.get(at)
            )
            for vf, pci in vfs_of.get(place, ())
            for at in [(place[0], pci)]
        ]
        own_used = used.get(place, 0) if metrics.users else None
        rows.append(_exported(cluster, place, count, own_used, numa.get(place), rates.get(place), vfs))
    rows.sort(key=lambda r: (r.node, r.pf))
    return Rows(rows, unplaced, held)


def _network(network: SriovNetwork) -> VfNetwork:
    meta, spec = network.metadata, network.spec
    target = spec.network_namespace or meta.namespace
    return VfNetwork(
        meta.name, spec.resource_name, target or None, spec.vlan, spec.trust or None, spec.spoof_chk or None
    )


def _missing(place: Place, rates: Mapping[Place, VfRates], who_known: bool, why: str) -> dict[str, str]:
    missing = {} if place in rates else {"rates": why, "numaNode": why}
    return missing if who_known else missing | {"vfsUsed": "pods may not be listed, and " + why}


def _drain(state: SriovNodeState, node: CnfNode | None) -> tuple[str | None, str | None]:
    """Where a drain stands and what is wanted, by the annotations of the node's state, else of the node."""
    for own in (state.metadata.annotations, node.metadata.annotations if node else {}):
        now = own.get(f"{_DRAIN}current-state") or own.get(f"{_DRAIN}state")
        wanted = own.get(f"{_DRAIN}desired-state")
        if now or wanted:
            return now, wanted
    return None, None


def draining(row: SriovPf) -> bool:
    return (row.drain_state or "") not in _IDLE or (row.drain_desired or "") not in _IDLE


def _row(
    cluster: str,
    state: SriovNodeState,
    interface: InterfaceState,
    wanted: WantedInterface | None,
    labels: Labels | None,
    policies: Sequence[SriovPolicy],
) -> SriovPf:
    up, speed = link(interface)
    return SriovPf(
        cluster,
        state.metadata.name,
        interface.name,
        interface.pci_address or None,
        interface.vendor or None,
        interface.device_id or None,
        interface.driver or None,
        up,
        speed,
        interface.mtu,
        (wanted.mtu or None) if wanted else None,
        interface.eswitch_mode or None,
        interface.total_vfs,
        interface.num_vfs,
        wanted.num_vfs if wanted else None,
        None,
        state.status.sync_status or None,
        state.status.last_sync_error or None,
        None,
        None,
        None,
        policies_of(interface, wanted, labels, policies),
        [],
        None,
        [],
        "kubernetes",
    )


def _vfs(
    node: str,
    interface: InterfaceState,
    wanted: WantedInterface | None,
    held: Mapping[Place, VfUser],
    numa: int | None,
    rates: Mapping[Place, VfRates],
) -> list[SriovVf]:
    groups = wanted.vf_groups if wanted else []
    found = []
    for vf in interface.vfs:
        group = group_of(vf.vf_id, groups)
        place = (node, vf.pci_address)
        found.append(
            SriovVf(
                vf.vf_id,
                vf.pci_address,
                vf.name or None,
                vf.mac or None,
                vf.driver or None,
                vf.vlan,
                vf.mtu,
                group.resource_name if group else None,
                numa,
                held.get(place),
                rates.get(place),
            )
        )
    return found


def _exported(
    cluster: str,
    place: Place,
    configured: int,
    used: int | None,
    numa: int | None,
    rates: VfRates | None,
    vfs: list[SriovVf],
) -> SriovPf:
    why = "no SriovNetworkNodeState of this PF"
    return SriovPf(
        cluster,
        place[0],
        place[1],
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        configured,
        None,
        used,
        None,
        None,
        None,
        None,
        numa,
        [],
        [],
        rates,
        vfs,
        "prometheus",
        {"linkState": why, "syncStatus": why, "vfsTotal": why}
        | ({"vfsUsed": "no sriov_kubepoddevice series"} if used is None else {}),
    )
