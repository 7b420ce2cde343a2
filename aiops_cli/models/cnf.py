"""What `cnf sriov`, `cnf dpdk` and `cnf workloads` answer. What is unknown is None, never zero."""

from __future__ import annotations

from msgspec import Struct

Source = str
"""Where a field was read: `kubernetes`, `prometheus`, `exec`, or joined by ` + `."""


class VfUser(Struct, frozen=True, rename="camel", gc=False):
    """Who has a VF; `interface` and `network` where the pod's network-status says."""

    namespace: str
    pod: str
    container: str | None = None
    interface: str | None = None
    network: str | None = None


class VfRates(Struct, frozen=True, rename="camel", gc=False):
    """Of the exporter's counters, per second over the last five minutes."""

    rx_bytes: float | None = None
    tx_bytes: float | None = None
    rx_packets: float | None = None
    tx_packets: float | None = None
    rx_dropped: float | None = None
    tx_dropped: float | None = None
    tx_errors: float | None = None


class SriovVf(Struct, frozen=True, rename="camel", gc=False):
    """A virtual function. Bound to vfio-pci it has neither name nor MAC."""

    vf: int | None
    pci_address: str
    name: str | None
    mac: str | None
    driver: str | None
    vlan: int | None
    mtu: int | None
    resource: str | None
    numa_node: int | None
    used_by: VfUser | None
    rates: VfRates | None = None


class AppliedPolicy(Struct, frozen=True, rename="camel"):
    """A SriovNetworkNodePolicy whose selectors fit; `applied` once the operator gave it VFs here."""

    name: str
    resource: str
    priority: int | None
    num_vfs: int | None
    applied: bool


class VfNetwork(Struct, frozen=True, rename="camel"):
    """A SriovNetwork: pods of `target_namespace` reach a resource's VFs by it. `trust` and `spoof_chk` are
    on, off or None for the driver's own."""

    name: str
    resource: str
    target_namespace: str | None
    vlan: int | None
    trust: str | None
    spoof_chk: str | None


class NodeResource(Struct, frozen=True, rename="camel"):
    """A device-plugin resource of a node: how many may be had, and how many its pods ask for."""

    name: str
    allocatable: int
    requested: int | None


class SriovPf(Struct, frozen=True, rename="camel"):
    """An item of `cnf sriov`: one a PF. `link_state` is UP, DOWN or None; `link_speed_mbps` Mbit/s.

    `vfs_used` counts VFs that a pod has; `missing` says why a field is None. `resources` are the node's
    that this PF's policies feed, `networks` those that give VFs of them to pods.
    """

    cluster: str
    node: str
    pf: str
    pci_address: str | None
    vendor: str | None
    device_id: str | None
    driver: str | None
    link_state: str | None
    link_speed_mbps: int | None
    mtu: int | None
    wanted_mtu: int | None
    eswitch_mode: str | None
    vfs_total: int | None
    vfs_configured: int | None
    vfs_wanted: int | None
    vfs_used: int | None
    sync_status: str | None
    last_sync_error: str | None
    drain_state: str | None
    drain_desired: str | None
    numa_node: int | None
    policies: list[AppliedPolicy]
    resources: list[NodeResource]
    rates: VfRates | None
    vfs: list[SriovVf]
    source: Source
    missing: dict[str, str] = {}
    networks: list[VfNetwork] = []


class Hugepages(Struct, frozen=True, rename="camel"):
    """One page size, such as 1Gi, in bytes. `node_unrequested` is allocatable less all requests there;
    `node_free` is what the kernel has free, and `by_numa` the same for each NUMA node."""

    size: str
    requested: int
    limit: int
    node_allocatable: int | None = None
    node_unrequested: int | None = None
    node_free: int | None = None
    by_numa: dict[str, int] | None = None


class CpuPinning(Struct, frozen=True, rename="camel"):
    """`requested` is in cores. `exclusive`: Guaranteed, whole CPUs. `cpuset` such as 2-5,30.

    `isolated` says whether all of `cpuset` lies in the profile's isolated set and none in its reserved."""

    requested: float
    exclusive: bool
    reason: str | None
    cpuset: str | None = None
    isolated: bool | None = None
    annotations: dict[str, str] = {}
    annotations_effective: bool | None = None
    throttled_periods_per_second: float | None = None


class NumaPlacement(Struct, frozen=True, rename="camel"):
    """NUMA nodes of CPUs, memory and VFs; None where not known. `aligned` is True or False only where that
    is known, and `reason` says by what."""

    cpus: list[int] | None
    memory: list[int] | None
    vfs: list[int] | None
    aligned: bool | None
    reason: str


class PodVf(Struct, frozen=True, rename="camel"):
    """A PCI device of a pod."""

    pci_address: str
    network: str | None
    interface: str | None
    numa_node: int | None
    driver: str | None


class DpdkPort(Struct, frozen=True, rename="camel"):
    """A DPDK port: counters since its start, and rates per second of what must not grow.

    `imissed`: the NIC had no descriptor (the program is too slow); `rx_nombuf`: the mempool was empty;
    `ierrors`: broken frames."""

    port: str
    name: str | None = None
    link_status: str | None = None
    link_speed_mbps: int | None = None
    numa_node: int | None = None
    ipackets: int | None = None
    opackets: int | None = None
    ibytes: int | None = None
    obytes: int | None = None
    imissed: int | None = None
    ierrors: int | None = None
    oerrors: int | None = None
    rx_nombuf: int | None = None
    rx_packets_per_second: float | None = None
    tx_packets_per_second: float | None = None
    imissed_per_second: float | None = None
    ierrors_per_second: float | None = None
    rx_nombuf_per_second: float | None = None


class DpdkMempool(Struct, frozen=True, rename="camel"):
    """`available` is what it has left, in elements, where DPDK says (`common_pool_count`)."""

    name: str
    size: int | None
    available: int | None
    numa_node: int | None


class DpdkLcore(Struct, frozen=True, rename="camel"):
    """Share of its cycles in which an lcore did something, since its start (DPDK 23.11 and newer)."""

    lcore: int
    busy_percent: float | None


class DpdkProcess(Struct, frozen=True, rename="camel"):
    """What one DPDK process' telemetry said."""

    container: str
    socket: str
    version: str | None
    pid: int | None
    ports: list[DpdkPort]
    mempools: list[DpdkMempool]
    lcores: list[DpdkLcore]


class DpdkPod(Struct, frozen=True, rename="camel"):
    """An item of `cnf dpdk`. `sources` says where each part was read, `missing` why it is None."""

    cluster: str
    namespace: str
    pod: str
    node: str | None
    phase: str
    qos_class: str | None
    runtime_class: str | None
    profile: str | None
    topology_policy: str | None
    isolated_cpus: str | None
    reserved_cpus: str | None
    real_time_kernel: bool | None
    hugepages: list[Hugepages]
    cpu: CpuPinning
    numa: NumaPlacement
    vfs: list[PodVf] | None
    processes: list[DpdkProcess] | None
    sources: dict[str, str] = {}
    missing: dict[str, str] = {}

    @property
    def ports(self) -> list[DpdkPort]:
        return [p for process in self.processes or [] for p in process.ports]


class CnfWorkload(Struct, frozen=True, rename="camel"):
    """An item of `cnf workloads`: one a workload. `function` is UPF, AMF, …, found by `matched`.

    `real_time_kernel` and `ptp_state` are those of all its nodes: True only if all, the worst state, and since when
    (`ptp_since`, RFC 3339, where that is known). `ptp_doubt` says that FREERUN may be HOLDOVER."""

    cluster: str
    function: str
    namespace: str
    kind: str | None
    name: str
    pods: int
    ready: int | None
    restarts: int
    nodes: list[str]
    vfs: int | None
    hugepages_bytes: int | None
    real_time_kernel: bool | None
    ptp_state: str | None
    matched: str
    source: Source
    missing: dict[str, str] = {}
    ptp_since: str | None = None
    ptp_doubt: str | None = None


class PodInterface(Struct, frozen=True, rename="camel"):
    """An entry of a pod's network-status; a DPDK one has no addresses, and often no name."""

    interface: str | None
    network: str | None
    ips: list[str]
    pci_address: str | None


class CnfPodItem(Struct, frozen=True, rename="camel"):
    """A pod of a network function: containers that are ready, of how many; CPUs that it asks for in cores."""

    cluster: str
    namespace: str
    pod: str
    node: str | None
    phase: str
    ready: int
    containers: int
    restarts: int
    qos_class: str | None
    cpus: float
    hugepages_bytes: int
    interfaces: list[PodInterface]


class CnfSummary(Struct, frozen=True, rename="camel"):
    """An item of `cnf summary`: one a cluster. `functions` counts workloads by network function; offsets are
    absolute ns: mean and maximum of now, of clocks that are not FREERUN, and the largest p99 of the window.
    Findings are counted of what could be judged, None where nothing could. `missing` says why a part is None."""

    cluster: str
    functions: dict[str, int] | None = None
    workloads: int | None = None
    workloads_ready: int | None = None
    clocks: int | None = None
    clocks_locked: int | None = None
    clocks_holdover: int | None = None
    clocks_freerun: int | None = None
    mean_offset_ns: float | None = None
    max_offset_ns: float | None = None
    p99_offset_ns: float | None = None
    sriov_nodes: int | None = None
    sriov_nodes_in_sync: int | None = None
    pfs: int | None = None
    pfs_down: int | None = None
    vfs_total: int | None = None
    vfs_configured: int | None = None
    vfs_used: int | None = None
    vfs_used_percent: float | None = None
    critical: int | None = None
    warnings: int | None = None
    missing: dict[str, str] = {}


class SriovLimits(Struct, frozen=True):
    """What makes a finding of `cnf sriov` (config [sriov])."""

    drops_per_second: float = 1.0
    used_percent: float = 100.0


class DpdkLimits(Struct, frozen=True):
    """What makes a finding of `cnf dpdk` (config [dpdk]); rates per second that are still no finding."""

    imissed_per_second: float = 0.0
    rx_nombuf_per_second: float = 0.0
    ierrors_per_second: float = 0.0
    throttled_per_second: float = 0.0
