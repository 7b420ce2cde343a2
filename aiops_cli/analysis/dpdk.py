"""A DPDK pod from all that is known of it: its spec, its node and profile, series, files and telemetry.

Exclusive CPUs: the kubelet's static CPU manager gives them to containers of Guaranteed pods that ask for
whole CPUs. A DPDK lcore polls: 100 % CPU is no sign of load, and is no finding here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from aiops_cli.analysis.cnf_numbers import HUGEPAGES, as_cpuset, cpuset, hugepage_sizes, quantity
from aiops_cli.analysis.dpdk_ports import EXEC, PROMETHEUS, Seen, of_pod, processes
from aiops_cli.analysis.sriov import network_statuses, pci_devices
from aiops_cli.analysis.sriov_places import Places
from aiops_cli.models.cnf import (
    CpuPinning,
    DpdkPod,
    Hugepages,
    NumaPlacement,
    PodVf,
)
from aiops_cli.models.cnf_objects import CnfNode, CnfPod, Container, PerformanceProfile, SriovNodeState
from aiops_cli.models.dpdk import DpdkReadings, Readings
from aiops_cli.models.numbers import amount, whole

Labels = Mapping[str, str]
KUBERNETES = "kubernetes"
_CRIO = ".crio.io"
_RUNTIME = "performance-"
_USER_SPACE = ("vfio-pci", "igb_uio", "uio_pci_generic")  # what hands a device to a program
_ASK = "--exec reads it in the container"


@dataclass(slots=True)
class Place:
    """What a cluster has around its pods. `pods` is None where not all of them may be listed; `readings` is
    None, with the reason, where there is no Prometheus."""

    nodes: Mapping[str, CnfNode]
    profiles: Sequence[PerformanceProfile]
    pods: Sequence[CnfPod] | None
    places: Places
    readings: DpdkReadings | None = None
    no_readings: str = ""
    no_profiles: str = "the cluster has no PerformanceProfile"
    drivers: Mapping[tuple[str, str], str] = field(default_factory=dict)


def drivers_of(states: Iterable[SriovNodeState]) -> dict[tuple[str, str], str]:
    """The driver of each VF by (node, PCI address), where the operator says it."""
    return {
        (state.metadata.name, vf.pci_address): vf.driver
        for state in states
        for interface in state.status.interfaces
        for vf in interface.vfs
        if vf.driver
    }


def is_dpdk(pod: CnfPod, drivers: Mapping[tuple[str, str], str] = MappingProxyType({})) -> bool:
    """Whether a pod looks like one: huge pages, a performance runtime class, or a PCI device of its own that
    no kernel driver is known to have."""
    return (
        any(name.startswith(HUGEPAGES) for c in pod.spec.containers for name in c.resources.requests)
        or pod.spec.runtime_class_name.startswith(_RUNTIME)
        or any(
            drivers.get((pod.spec.node_name, pci), _USER_SPACE[0]) in _USER_SPACE
            for pci, _ in pci_devices(pod)
        )
    )


def data_plane(pod: CnfPod) -> list[Container]:
    """The containers that DPDK runs in: those with huge pages, else all."""
    with_pages = [c for c in pod.spec.containers if hugepage_sizes(c.resources.requests)]
    return with_pages or list(pod.spec.containers)


def profile_of(node: CnfNode | None, profiles: Sequence[PerformanceProfile]) -> PerformanceProfile | None:
    """The profile whose selector fits the node."""
    if node is None:
        return None
    labels = node.metadata.labels.items()
    return next(
        (p for p in profiles if p.spec.node_selector and p.spec.node_selector.items() <= labels), None
    )


def build(cluster: str, pod: CnfPod, place: Place, seen: Seen) -> DpdkPod:
    """Everything of one pod."""
    node = place.nodes.get(pod.spec.node_name)
    profile = profile_of(node, place.profiles)
    sources = {"hugepages": KUBERNETES, "cpu": KUBERNETES}
    missing: dict[str, str] = {}
    if profile is None:
        unknown = "its node can't be read" if node is None else place.no_profiles
        missing |= {"profile": unknown, "isolatedCpus": unknown}
    else:
        sources["profile"] = KUBERNETES
    cpus, cpu_numa = _cpus(pod, place, seen, sources, missing)
    cpu = _pinning(pod, profile, cpus, place, sources, missing)
    vfs = _vfs(pod, place, seen, sources, missing)
    return DpdkPod(
        cluster,
        pod.metadata.namespace,
        pod.metadata.name,
        pod.spec.node_name or None,
        pod.status.phase,
        pod.status.qos_class or None,
        pod.spec.runtime_class_name or None,
        profile.metadata.name if profile else None,
        (profile.spec.numa.topology_policy or "none") if profile else None,
        (profile.spec.cpu.isolated or None) if profile else None,
        (profile.spec.cpu.reserved or None) if profile else None,
        real_time(node, profile),
        _hugepages(pod, node, place, seen, sources, missing),
        cpu,
        _numa(cpu, cpu_numa, vfs, profile, place, seen, sources, missing),
        vfs,
        processes(pod, place.readings, place.no_readings, seen, sources, missing),
        sources,
        missing,
    )


def real_time(node: CnfNode | None, profile: PerformanceProfile | None) -> bool | None:
    """Whether a node runs a real-time kernel, by its kernel's version, else by its profile."""
    version = node.status.node_info.kernel_version if node else ""
    if version:
        return any(
            part == "rt" or (part.startswith("rt") and part[2:3].isdecimal()) for part in _words(version)
        )
    return profile.spec.real_time_kernel.enabled if profile else None


def _words(version: str) -> list[str]:
    """A kernel's version in parts: 5.14.0-427.13.1.el9_4.x86_64+rt, 4.18.0-305.rt7.72.el8.x86_64."""
    for mark in "-+_":
        version = version.replace(mark, ".")
    return version.split(".")


def _hugepages(
    pod: CnfPod,
    node: CnfNode | None,
    place: Place,
    seen: Seen,
    sources: dict[str, str],
    missing: dict[str, str],
) -> list[Hugepages]:
    asked, limits = _sizes(pod, "requests"), _sizes(pod, "limits")
    allocatable = hugepage_sizes(node.status.allocatable) if node else {}
    default, free = _exporter_free(pod.spec.node_name, place)
    found = []
    for size in sorted({*asked, *limits}):
        by_numa = seen.inside.pages_free.get(size) if seen.inside else None
        there = allocatable.get(size)
        requested = (
            sum(_sizes(p, "requests").get(size, 0) for p in place.pods if _on(p, pod.spec.node_name))
            if place.pods is not None and node
            else None
        )
        kernel_free = sum(by_numa.values()) if by_numa else free if quantity(size) == default else None
        if by_numa:
            sources["hugepages.nodeFree"] = EXEC
        elif kernel_free is not None:
            sources["hugepages.nodeFree"] = f"{PROMETHEUS}, default page size"
        else:
            none = "node_memory_HugePages_Free has the default page size only"
            if default is None:
                none = place.no_readings or "no node_memory_HugePages_Free of that node"
            missing["hugepages.nodeFree"] = f"{none}; {_ASK}"
        found.append(
            Hugepages(
                size,
                asked.get(size, 0),
                limits.get(size, 0),
                there,
                there - requested if there is not None and requested is not None else None,
                kernel_free,
                {str(n): free for n, free in sorted(by_numa.items())} if by_numa else None,
            )
        )
    return found


def _sizes(pod: CnfPod, which: str) -> dict[str, int]:
    total: dict[str, int] = {}
    for container in pod.spec.containers:
        for size, number in hugepage_sizes(getattr(container.resources, which)).items():
            total[size] = total.get(size, 0) + number
    return total


def _on(pod: CnfPod, node: str) -> bool:
    return bool(node) and pod.spec.node_name == node and pod.holds


def _exporter_free(node: str, place: Place) -> tuple[int | None, int | None]:
    """A node's default page size, and what of it is free, both in bytes; None where that is not known."""

    def own(readings: Readings) -> int | None:
        return next((amount(v) for labels, v in readings if place.places.node(labels) == node), None)

    if place.readings is None or not node:
        return None, None
    size, pages = own(place.readings.page_bytes), own(place.readings.pages_free)
    return (None, None) if size is None or pages is None else (size, amount(size * pages))


def _cpus(
    pod: CnfPod, place: Place, seen: Seen, sources: dict[str, str], missing: dict[str, str]
) -> tuple[frozenset[int] | None, list[int] | None]:
    """The pod's CPUs and their NUMA nodes: from its files, else from the SR-IOV exporter by the pod's uid."""
    inside = seen.inside
    if inside is not None and (cpus := cpuset(inside.cpus)):
        sources["cpuset"] = EXEC
        nodes = {n for n, text in inside.nodes.items() if cpus & (cpuset(text) or frozenset())}
        return cpus, sorted(nodes) or None
    uid = pod.metadata.uid
    readings = place.readings.cpus if place.readings else []
    mine = [labels for labels, _ in readings if uid and labels.get("uid", "").replace("_", "-") == uid]
    numbers = {n for m in mine if (n := whole(m.get("cpu_id", ""))) is not None}
    if numbers:
        sources["cpuset"] = PROMETHEUS
        numa = {n for m in mine if (n := whole(m.get("numa_node", ""))) is not None}
        return frozenset(numbers), sorted(numa) or None
    missing["cpuset"] = (
        seen.errors.get("files") or f"{place.no_readings or 'no sriov_kubepodcpu of this pod'}; {_ASK}"
    )
    return None, None


def _pinning(
    pod: CnfPod,
    profile: PerformanceProfile | None,
    cpus: frozenset[int] | None,
    place: Place,
    sources: dict[str, str],
    missing: dict[str, str],
) -> CpuPinning:
    reason = not_exclusive(pod)
    isolated = None
    if cpus and profile is not None:
        own, kept = cpuset(profile.spec.cpu.isolated), cpuset(profile.spec.cpu.reserved)
        if own is not None and kept is not None:
            isolated = cpus <= own and not cpus & kept
            sources["isolated"] = f"cpuset against PerformanceProfile {profile.metadata.name}"
    if isolated is None:
        missing["isolated"] = missing.get("cpuset") or missing.get("profile") or "the profile has no CPU sets"
    annotations = {k: v for k, v in pod.metadata.annotations.items() if k.partition("/")[0].endswith(_CRIO)}
    throttled = None
    if place.readings is None:
        missing["throttledPeriodsPerSecond"] = place.no_readings
    else:
        mine = of_pod(place.readings.throttled, pod)
        throttled = round(sum(v for _, v in mine), 6) if mine else None
        if throttled is None:
            missing["throttledPeriodsPerSecond"] = "no container_cpu_cfs_throttled_periods_total of this pod"
        else:
            sources["throttledPeriodsPerSecond"] = PROMETHEUS
    effective = pod.spec.runtime_class_name.startswith(_RUNTIME) if annotations else None
    return CpuPinning(
        sum(_cores(c) or 0.0 for c in pod.spec.containers),
        reason is None,
        reason,
        as_cpuset(cpus) if cpus else None,
        isolated,
        annotations,
        effective,
        throttled,
    )


def not_exclusive(pod: CnfPod) -> str | None:
    """Why the kubelet gives a pod's data plane no CPUs of its own; None if it does (CPU manager static)."""
    if pod.status.qos_class != "Guaranteed":
        return f"its QoS class is {pod.status.qos_class or 'not known'}, not Guaranteed"
    for container in data_plane(pod):
        cores = _cores(container)
        if cores is None or cores < 1 or not float(cores).is_integer():
            text = container.resources.requests.get("cpu", "nothing")
            return f"container {container.name} asks for {text} CPUs, no whole number"
    return None


def _cores(container: Container) -> float | None:
    return quantity(container.resources.requests.get("cpu", container.resources.limits.get("cpu")))


def _vfs(
    pod: CnfPod, place: Place, seen: Seen, sources: dict[str, str], missing: dict[str, str]
) -> list[PodVf] | None:
    if not network_statuses(pod):
        missing["vfs"] = "the pod has no readable network-status annotation"
        return None
    sources["vfs"] = KUBERNETES
    node = pod.spec.node_name
    exported = {
        labels.get("pciAddr", ""): known
        for labels, _ in (place.readings.vf_numa if place.readings else [])
        if (known := whole(labels.get("numa_node", ""))) is not None and place.places.node(labels) == node
    }
    found = []
    for pci, entry in pci_devices(pod):
        numa = seen.inside.pci_numa.get(pci) if seen.inside else None
        if numa is None:
            numa = exported.get(pci)
        driver = seen.inside.pci_driver.get(pci) if seen.inside else None
        driver = driver or place.drivers.get((node, pci))
        found.append(PodVf(pci, entry.name or None, entry.interface or None, numa, driver))
    return found


def _numa(
    cpu: CpuPinning,
    cpus: list[int] | None,
    vfs: list[PodVf] | None,
    profile: PerformanceProfile | None,
    place: Place,
    seen: Seen,
    sources: dict[str, str],
    missing: dict[str, str],
) -> NumaPlacement:
    memory = sorted(cpuset(seen.inside.mems) or ()) if seen.inside else None
    devices = sorted({v.numa_node for v in vfs or [] if v.numa_node is not None}) or None
    if vfs and devices is None:
        none = place.no_readings or "no numa_node of these VFs in sriov_vf_* series"
        missing["numa.vfs"] = f"{none}; {_ASK}"
    if memory is None:
        missing["numa.memory"] = seen.errors.get("files") or _ASK
    if cpus is None:
        missing["numa.cpus"] = missing.get("cpuset", "the NUMA nodes of its CPUs are not told")
    # Without the kubelet's memory manager all NUMA nodes are allowed, which pins nothing.
    pinned = memory if memory and cpus and not set(memory) > set(cpus) else None
    known = {"CPUs": cpus, "memory": pinned, "VFs": devices}
    told = ", ".join(f"{what} {as_cpuset(nodes)}" for what, nodes in known.items() if nodes)
    union = {n for nodes in known.values() for n in nodes or ()}
    policy = profile.spec.numa.topology_policy if profile else ""
    if len(union) > 1:
        return NumaPlacement(cpus, memory, devices, False, f"NUMA nodes of {told}")
    if cpus and (devices or not vfs):
        sources["numa"] = sources.get("cpuset", "")
        return NumaPlacement(cpus, memory, devices, True, f"NUMA nodes of {told}")
    if policy == "single-numa-node" and cpu.exclusive:
        sources["numa"] = f"{KUBERNETES}, topologyPolicy"
        return NumaPlacement(
            cpus, memory, devices, True, "the kubelet aligns: topologyPolicy single-numa-node"
        )
    return NumaPlacement(cpus, memory, devices, None, f"not known; {_ASK}")
