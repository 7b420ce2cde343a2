"""Kubernetes objects of telecom clusters, as far as they are read: all else is skipped while decoding.

Field names are those of sriovnetwork.openshift.io/v1 (`totalvfs` and `Vlan` are spelled so, and `Vfs` has a
capital), performance.openshift.io/v2, k8s.cni.cncf.io/v1 and v1.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

Quantities = dict[str, str | int]


class OwnerReference(Struct):
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False


class Meta(Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: list[OwnerReference] = []


class Owned(Struct):
    """Any object, by its metadata alone."""

    metadata: Meta


class VfGroup(Struct, rename="camel"):
    """Which VFs of a PF a policy has; `vf_range` such as "ens1f0#0-3"."""

    resource_name: str = ""
    device_type: str = ""
    vf_range: str = ""
    policy_name: str = ""
    mtu: int = 0


class WantedInterface(Struct, rename="camel"):
    """A PF as the operator wants it. `mtu` is 0 where no policy asks for one."""

    pci_address: str = ""
    name: str = ""
    num_vfs: int = 0
    mtu: int = 0
    vf_groups: list[VfGroup] = []
    externally_managed: bool = False


class VfState(Struct, rename="camel", gc=False):
    """A VF as the node has it; bound to vfio-pci it has no name and no MAC."""

    vf_id: int | None = field(name="vfID", default=None)
    name: str = ""
    mac: str = ""
    driver: str = ""
    pci_address: str = ""
    vlan: int | None = field(name="Vlan", default=None)
    mtu: int | None = None


class InterfaceState(Struct, rename="camel"):
    """A PF as the node has it."""

    name: str = ""
    pci_address: str = ""
    driver: str = ""
    vendor: str = ""
    device_id: str = field(name="deviceID", default="")
    mtu: int | None = None
    num_vfs: int = 0
    total_vfs: int | None = field(name="totalvfs", default=None)
    link_speed: str = ""
    link_type: str = ""
    link_admin_state: str = ""
    eswitch_mode: str = field(name="eSwitchMode", default="")
    vfs: list[VfState] = field(name="Vfs", default_factory=list)


class NodeStateSpec(Struct):
    interfaces: list[WantedInterface] = []


class NodeStateStatus(Struct, rename="camel"):
    interfaces: list[InterfaceState] = []
    sync_status: str = ""
    last_sync_error: str = ""


class SriovNodeState(Struct):
    """SriovNetworkNodeState: its name is the node's."""

    metadata: Meta
    spec: NodeStateSpec = field(default_factory=NodeStateSpec)
    status: NodeStateStatus = field(default_factory=NodeStateStatus)


class NicSelector(Struct, rename="camel"):
    """What a PF must be; `pf_names` may end in a range of VFs (`ens1f0#0-3`)."""

    vendor: str = ""
    device_id: str = field(name="deviceID", default="")
    root_devices: list[str] = []
    pf_names: list[str] = []
    net_filter: str = ""


class PolicySpec(Struct, rename="camel"):
    resource_name: str = ""
    node_selector: dict[str, str] = {}
    priority: int = 99
    mtu: int = 0
    num_vfs: int = 0
    nic_selector: NicSelector = field(default_factory=NicSelector)
    device_type: str = "netdevice"


class SriovPolicy(Struct):
    """SriovNetworkNodePolicy."""

    metadata: Meta
    spec: PolicySpec = field(default_factory=PolicySpec)


class NetworkSpec(Struct, rename="camel"):
    resource_name: str = ""
    network_namespace: str = ""
    vlan: int | None = None
    trust: str = ""
    spoof_chk: str = ""


class SriovNetwork(Struct):
    metadata: Meta
    spec: NetworkSpec = field(default_factory=NetworkSpec)


class Resources(Struct):
    requests: Quantities = {}
    limits: Quantities = {}


class Container(Struct):
    name: str = ""
    resources: Resources = field(default_factory=Resources)


class PodSpec(Struct, rename="camel"):
    node_name: str = ""
    runtime_class_name: str = ""
    node_selector: dict[str, str] = {}
    containers: list[Container] = []


class ContainerStatus(Struct, rename="camel"):
    name: str = ""
    ready: bool = False
    restart_count: int = 0


class PodStatus(Struct, rename="camel"):
    phase: str = "Unknown"
    qos_class: str = ""
    container_statuses: list[ContainerStatus] = []


class CnfPod(Struct):
    metadata: Meta
    spec: PodSpec = field(default_factory=PodSpec)
    status: PodStatus = field(default_factory=PodStatus)

    @property
    def key(self) -> tuple[str, str]:
        return self.metadata.namespace, self.metadata.name

    @property
    def holds(self) -> bool:
        """Whether it has, or waits for, what it asks for: a pod that ended has given it back."""
        return self.status.phase not in ("Succeeded", "Failed")


class NodeAddress(Struct):
    type: str = ""
    address: str = ""


class NodeInfo(Struct, rename="camel"):
    kernel_version: str = ""


class NodeStatus(Struct, rename="camel"):
    allocatable: Quantities = {}
    addresses: list[NodeAddress] = []
    node_info: NodeInfo = field(default_factory=NodeInfo)


class CnfNode(Struct):
    metadata: Meta
    status: NodeStatus = field(default_factory=NodeStatus)


class ProfileCpu(Struct):
    isolated: str = ""
    reserved: str = ""


class HugepageSize(Struct):
    size: str = ""
    count: int = 0
    node: int | None = None


class ProfileHugepages(Struct, rename="camel"):
    default_hugepages_size: str = ""
    pages: list[HugepageSize] = []


class ProfileNuma(Struct, rename="camel"):
    topology_policy: str = ""


class RealTimeKernel(Struct):
    enabled: bool = False


class ProfileSpec(Struct, rename="camel"):
    cpu: ProfileCpu = field(default_factory=ProfileCpu)
    hugepages: ProfileHugepages = field(default_factory=ProfileHugepages)
    numa: ProfileNuma = field(default_factory=ProfileNuma)
    real_time_kernel: RealTimeKernel = field(default_factory=RealTimeKernel)
    node_selector: dict[str, str] = {}


class ProfileStatus(Struct, rename="camel"):
    runtime_class: str = ""


class PerformanceProfile(Struct):
    metadata: Meta
    spec: ProfileSpec = field(default_factory=ProfileSpec)
    status: ProfileStatus = field(default_factory=ProfileStatus)


class PciDevice(Struct, rename="kebab"):
    pci_address: str = ""
    pf_pci_address: str = ""


class DeviceInfo(Struct):
    type: str = ""
    pci: PciDevice | None = None


class NetworkStatus(Struct, rename="kebab"):
    """An entry of the annotation network-status: the key is `device-info`, and `ips`, `mac` and
    `interface` are often not there for DPDK."""

    name: str = ""
    interface: str = ""
    ips: Any = None  # whatever it is, the device is still one
    device_info: DeviceInfo | None = None


class CnfObjects(Struct):
    """What the telecom views need of a cluster's API, as one: of a list, or of a bundle. `pods` is None where
    they may not be listed."""

    states: list[SriovNodeState] = []
    policies: list[SriovPolicy] = []
    networks: list[SriovNetwork] = []
    nodes: list[CnfNode] = []
    profiles: list[PerformanceProfile] = []
    pods: list[CnfPod] | None = None
