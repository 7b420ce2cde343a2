"""A DPDK pod from all that is known of it: its spec, its node and profile, series, files and telemetry.

Exclusive CPUs: the kubelet's static CPU manager gives them to containers of Guaranteed pods that ask for
whole CPUs. A DPDK lcore polls: 100 % CPU is no sign of load, and is no finding here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aiops_cli.analysis.cnf_numbers import HUGEPAGES, as_cpuset, cpuset, hugepage_sizes, quantity
from aiops_cli.analysis.sriov import Places, network_statuses, pci_devices
from aiops_cli.models.cnf import (
    CpuPinning,
    DpdkLcore,
    DpdkMempool,
    DpdkPod,
    DpdkPort,
    DpdkProcess,
    Hugepages,
    NumaPlacement,
    PodVf,
)
from aiops_cli.models.cnf_objects import CnfNode, CnfPod, Container, PerformanceProfile
from aiops_cli.models.dpdk import COUNTERS, DpdkReadings, Inside, Map, PortReply, Readings, TelemetryReply

Labels = Mapping[str, str]
EXEC = "exec"
PROMETHEUS = "prometheus"
KUBERNETES = "kubernetes"
_CRIO = ".crio.io"
_RUNTIME = "performance-"
_PORT_LABELS = ("port", "port_id", "params", "device", "interface", "plugin_instance")
_RATES = {
    "ipackets": "rx_packets_per_second",
    "opackets": "tx_packets_per_second",
    "imissed": "imissed_per_second",
    "ierrors": "ierrors_per_second",
    "rx_nombuf": "rx_nombuf_per_second",
}
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


@dataclass(slots=True)
class Seen:
    """What was read in a pod's containers; `errors` says why not, by `files` and `telemetry`."""

    inside: Inside | None = None
    telemetry: dict[str, list[TelemetryReply]] | None = None
    errors: dict[str, str] = field(default_factory=dict)


def is_dpdk(pod: CnfPod) -> bool:
    """Whether a pod looks like one: huge pages, a PCI device of its own, or a performance runtime class."""
    return (
        any(name.startswith(HUGEPAGES) for c in pod.spec.containers for name in c.resources.requests)
        or pod.spec.runtime_class_name.startswith(_RUNTIME)
        or bool(pci_devices(pod))
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
        _numa(cpu, cpu_numa, vfs, profile, seen, sources, missing),
        vfs,
        _processes(pod, place, seen, sources, missing),
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
    free = _exporter_free(pod.spec.node_name, place)
    found = []
    for size in sorted({*asked, *limits}):
        by_numa = seen.inside.pages_free.get(size) if seen.inside else None
        there = allocatable.get(size)
        requested = (
            sum(_sizes(p, "requests").get(size, 0) for p in place.pods if _on(p, pod.spec.node_name))
            if place.pods is not None and node
            else None
        )
        kernel_free = sum(by_numa.values()) if by_numa else free
        if by_numa:
            sources["hugepages.nodeFree"] = EXEC
        elif free is not None:
            sources["hugepages.nodeFree"] = f"{PROMETHEUS}, default page size"
        else:
            missing["hugepages.nodeFree"] = f"no node_memory_HugePages_Free of that node; {_ASK}"
        found.append(
            Hugepages(
                size,
                asked.get(size, 0),
                limits.get(size, 0),
                there,
                there - requested if there is not None and requested is not None else None,
                kernel_free,
                {str(n): amount for n, amount in sorted(by_numa.items())} if by_numa else None,
            )
        )
    return found


def _sizes(pod: CnfPod, which: str) -> dict[str, int]:
    total: dict[str, int] = {}
    for container in pod.spec.containers:
        for size, amount in hugepage_sizes(getattr(container.resources, which)).items():
            total[size] = total.get(size, 0) + amount
    return total


def _on(pod: CnfPod, node: str) -> bool:
    return bool(node) and pod.spec.node_name == node and pod.holds


def _exporter_free(node: str, place: Place) -> int | None:
    readings = place.readings.pages_free if place.readings and node else []
    return next((int(v) for labels, v in readings if place.places.node(labels) == node), None)


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
    numbers = {int(m["cpu_id"]) for m in mine if m.get("cpu_id", "").isdecimal()}
    if numbers:
        sources["cpuset"] = PROMETHEUS
        numa = {int(m["numa_node"]) for m in mine if m.get("numa_node", "").isdecimal()}
        return frozenset(numbers), sorted(numa) or None
    missing["cpuset"] = seen.errors.get("files") or f"no sriov_kubepodcpu of this pod; {_ASK}"
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
        mine = _of_pod(place.readings.throttled, pod)
        throttled = sum(v for _, v in mine) if mine else None
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


def _of_pod(readings: Readings, pod: CnfPod) -> Readings:
    """Of this pod; scraped without honorLabels it is `exported_pod`, and `pod` is the exporter's."""
    namespace, name = pod.key
    return [
        (labels, value)
        for labels, value in readings
        if (labels.get("exported_pod") or labels.get("pod")) == name
        and (labels.get("exported_namespace") or labels.get("namespace")) == namespace
    ]


def _vfs(
    pod: CnfPod, place: Place, seen: Seen, sources: dict[str, str], missing: dict[str, str]
) -> list[PodVf] | None:
    if not network_statuses(pod):
        missing["vfs"] = "the pod has no readable network-status annotation"
        return None
    sources["vfs"] = KUBERNETES
    node = pod.spec.node_name
    exported = {
        labels.get("pciAddr", ""): int(labels["numa_node"])
        for labels, _ in (place.readings.vf_numa if place.readings else [])
        if labels.get("numa_node", "").isdecimal() and place.places.node(labels) == node
    }
    found = []
    for pci, entry in pci_devices(pod):
        numa = seen.inside.pci_numa.get(pci) if seen.inside else None
        if numa is None:
            numa = exported.get(pci)
        driver = seen.inside.pci_driver.get(pci) if seen.inside else None
        found.append(PodVf(pci, entry.name or None, entry.interface or None, numa, driver))
    return found


def _numa(
    cpu: CpuPinning,
    cpus: list[int] | None,
    vfs: list[PodVf] | None,
    profile: PerformanceProfile | None,
    seen: Seen,
    sources: dict[str, str],
    missing: dict[str, str],
) -> NumaPlacement:
    memory = sorted(cpuset(seen.inside.mems) or ()) if seen.inside else None
    devices = sorted({v.numa_node for v in vfs or [] if v.numa_node is not None}) or None
    if vfs and devices is None:
        missing["numa.vfs"] = f"no numa_node of these VFs in sriov_vf_* series; {_ASK}"
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


def _processes(
    pod: CnfPod, place: Place, seen: Seen, sources: dict[str, str], missing: dict[str, str]
) -> list[DpdkProcess] | None:
    if seen.telemetry and any(seen.telemetry.values()):
        sources["ports"] = f"{EXEC}, DPDK telemetry"
        failed = [r.error for replies in seen.telemetry.values() for r in replies if r.error]
        if failed:
            missing["ports"] = "; ".join(dict.fromkeys(failed))
        return [_process(name, r) for name, replies in seen.telemetry.items() for r in replies]
    exported = _exported(pod, place.readings)
    if exported:
        sources["ports"] = PROMETHEUS
        return exported
    told = seen.errors.get("telemetry")
    if told is None and seen.telemetry is not None:
        told = "no DPDK telemetry socket in its containers"
    missing["ports"] = told or "no DPDK metrics of this pod in Prometheus; --exec asks its telemetry"
    return None


def _process(container: str, reply: TelemetryReply) -> DpdkProcess:
    return DpdkProcess(
        container,
        reply.socket,
        _text(reply.hello.get("version")),
        _whole(reply.hello.get("pid")),
        [_port(p) for p in reply.ports],
        [_pool(p) for p in reply.pools if p],
        _lcores(reply.lcores),
    )


def _port(reply: PortReply) -> DpdkPort:
    after, before = reply.after or {}, reply.before or {}
    link, info = reply.link or {}, reply.info or {}

    def rate(counter: str) -> float | None:
        new, old = _whole(after.get(counter)), _whole(before.get(counter))
        if new is None or old is None or reply.seconds <= 0 or new < old:  # its counters were cleared
            return None
        return (new - old) / reply.seconds

    speed = _whole(link.get("speed"))
    counts: Map = {c: _whole(after.get(c)) for c in COUNTERS}
    rates: Map = {name: rate(c) for c, name in _RATES.items()}
    return DpdkPort(
        str(reply.port),
        _text(info.get("name")),
        _text(link.get("status")),
        speed if speed not in (None, 0, 0xFFFFFFFF) else None,
        _whole(info.get("numa_node")),
        **counts,
        **rates,
    )


def _pool(pool: Map) -> DpdkMempool:
    return DpdkMempool(
        str(pool.get("name", "")),
        _whole(pool.get("size")),
        _whole(pool.get("common_pool_count")),
        _whole(pool.get("socket_id")),
    )


def _lcores(usage: Map | None) -> list[DpdkLcore]:
    """Of /eal/lcore/usage: {"lcore_ids": […], "total_cycles": […], "busy_cycles": […]}."""
    lists = [usage.get(k) for k in ("lcore_ids", "total_cycles", "busy_cycles")] if usage else []
    if len(lists) != 3 or not all(isinstance(x, list) for x in lists):
        return []
    found = []
    for lcore, total, busy in zip(*lists, strict=False):
        cycles, worked = _whole(total), _whole(busy)
        share = 100 * worked / cycles if cycles and worked is not None else None
        found.append(DpdkLcore(int(lcore), share))
    return found


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _exported(pod: CnfPod, readings: DpdkReadings | None) -> list[DpdkProcess]:
    """Ports by the metrics of a telemetry exporter, such as Telegraf's dpdk input."""
    values: dict[str, dict[str, dict[str, float]]] = {}
    sources = ((readings.counters, "{}"), (readings.rates, "{}_per_second")) if readings else ()
    for of, field_of in sources:
        for counter, series in of.items():
            for labels, value in _of_pod(series, pod):
                port = next((labels[p] for p in _PORT_LABELS if labels.get(p)), "-")
                container = labels.get("exported_container") or labels.get("container", "")
                ports = values.setdefault(container, {}).setdefault(port, {})
                ports[field_of.format(counter)] = value
    return [
        DpdkProcess(container, "", None, None, [_metric_port(p, v) for p, v in sorted(found.items())], [], [])
        for container, found in values.items()
    ]


def _metric_port(port: str, values: dict[str, float]) -> DpdkPort:
    counts: Map = {c: int(values[c]) for c in COUNTERS if c in values}
    rates: Map = {name: values.get(f"{c}_per_second") for c, name in _RATES.items()}
    return DpdkPort(port, **counts, **rates)
