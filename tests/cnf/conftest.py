"""A telecom cluster of real servers: two workers whose NICs have the same PCI addresses, a data plane on
each, exporters that a real Prometheus scrapes, and one node that the operator could not configure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cnf import objects
from tests.conftest import Clusters
from tests.servers.cluster import Cluster
from tests.servers.fleet import Fleet
from tests.servers.network import LOOPBACK

INTEL = "openshift.io/intel_fh"
MELLANOX = "openshift.io/mlx_n3"
FIRST_PF, SECOND_PF = "0000:3b:00.0", "0000:3b:00.1"
UPF_VF, DU_VF = "0000:3b:02.0", "0000:3b:02.0"  # one address, on two nodes
SECRET = {
    "annotations": {"kubectl.kubernetes.io/last-applied-configuration": '{"password": "hunter2"}'},
    "labels": {"token": "hunter2"},
}
ESCAPE = "\x1b[31mno space left\x1b[0m\nin the NIC"


_furnished: set[str] = set()


@pytest.fixture(scope="session")
def telecom(clusters: Clusters) -> Iterator[Cluster]:
    cluster = clusters("telecom", {"apiserver", "prometheus"})
    if cluster.name in _furnished:  # files of other folders have this fixture too
        yield cluster
        return
    _furnished.add(cluster.name)
    kube = cluster.kube
    objects.install(kube)
    for namespace in (objects.OPERATOR, "core", "ran"):
        kube.namespace(namespace)
    worker = {
        "node-role.kubernetes.io/worker": "",
        "feature.node.kubernetes.io/network-sriov.capable": "true",
    }
    real_time = {"kernel": "5.14.0-427.13.1.el9_4.x86_64+rt", "hugepages-1Gi": "16Gi", "hugepages-2Mi": "0"}
    objects.node(
        kube, "worker-0", labels={**worker, "profile": "du"}, **real_time, **{INTEL: "2", MELLANOX: "4"}
    )
    objects.node(
        kube, "worker-1", labels=worker, kernel="5.14.0-427.13.1.el9_4.x86_64", **{"hugepages-1Gi": "8Gi"}
    )
    objects.node(kube, "worker-2", labels=worker)
    _sriov(cluster)
    objects.put(
        kube,
        "PerformanceProfile",
        {
            "metadata": {"name": "du", **SECRET},
            "spec": {
                "cpu": {"isolated": "2-31,34-63", "reserved": "0-1,32-33"},
                "hugepages": {"defaultHugepagesSize": "1G", "pages": [{"size": "1G", "count": 16}]},
                "numa": {"topologyPolicy": "single-numa-node"},
                "realTimeKernel": {"enabled": True},
                "nodeSelector": {"profile": "du"},
            },
            "status": {"runtimeClass": "performance-du"},
        },
    )
    _pods(cluster)
    with ExitStack() as stack:
        for name, page, labels in (
            ("worker-0", _exporter("worker-0", "vdu-0", "ran", drops=50_000), {}),
            # Scraped so, the labels of the exporter's own pod push those of the VF's aside.
            (
                "worker-1",
                _exporter("worker-1", "upf-0", "core", drops=0),
                {"pod": "sriov-network-metrics-exporter-x7", "namespace": objects.OPERATOR},
            ),
        ):
            address = stack.enter_context(objects.served(page))
            cluster.prometheus.add_targets(f"sriov-{name}", [address], {"node": name, **labels})
        ptp = objects.Page()
        ptp.text = _clocks()
        cluster.prometheus.add_targets("ptp", [stack.enter_context(objects.served(ptp))])
        cluster.prometheus.wait_for("sum(rate(sriov_vf_rx_dropped[5m])) > 10")
        cluster.prometheus.wait_for('count(sriov_kubepoddevice{node=~"worker-."}) == 3')
        cluster.prometheus.wait_for("openshift_ptp_clock_state")
        yield cluster


def _sriov(cluster: Cluster) -> None:
    kube = cluster.kube
    vfs = [
        objects.vf(0, UPF_VF, driver="vfio-pci"),
        objects.vf(1, "0000:3b:02.1"),
        objects.vf(2, "0000:3b:02.2", mtu=9000),
    ]
    groups = [
        {
            "resourceName": "intel_fh",
            "deviceType": "vfio-pci",
            "vfRange": "ens1f0#0-0",
            "policyName": "fronthaul",
        },
        {"resourceName": "mlx_n3", "deviceType": "netdevice", "vfRange": "ens1f0#1-2", "policyName": "n3"},
    ]
    objects.put(
        kube,
        "SriovNetworkNodeState",
        objects.node_state(
            "worker-0",
            [objects.pf("ens1f0", FIRST_PF, vfs)],
            wanted={"vfGroups": groups, "mtu": 9000, "numVfs": 8},
            annotations={
                "sriovnetwork.openshift.io/current-state": "Idle",
                "sriovnetwork.openshift.io/desired-state": "Drain_Required",
            },
        ),
    )
    down = objects.pf("ens1f1", SECOND_PF, [], linkSpeed="-1 Mb/s")
    lost = objects.pf("ens1f0", FIRST_PF, [objects.vf(0, DU_VF, driver="vfio-pci")], linkSpeed="-1 Mb/s")
    objects.put(kube, "SriovNetworkNodeState", objects.node_state("worker-1", [lost, down]))
    objects.put(
        kube,
        "SriovNetworkNodeState",
        objects.node_state(
            "worker-2",
            [objects.pf("eno1", "0000:18:00.0", [], linkSpeed="", linkAdminState="")],
            syncStatus="Failed",
            lastSyncError=ESCAPE,
        ),
    )
    for name, resource, priority, names in (
        ("fronthaul", "intel_fh", 10, ["ens1f0#0-0"]),
        ("n3", "mlx_n3", 99, ["ens1f0#1-2"]),
        ("elsewhere", "other", 5, ["ens9"]),
    ):
        spec = {
            "resourceName": resource,
            "priority": priority,
            "numVfs": 8,
            "nodeSelector": {"profile": "du"},
            "nicSelector": {"vendor": "8086", "pfNames": names},
        }
        manifest = {"metadata": {"name": name, "namespace": objects.OPERATOR, **SECRET}, "spec": spec}
        objects.put(kube, "SriovNetworkNodePolicy", manifest)
    network = {"resourceName": "intel_fh", "networkNamespace": "ran", "vlan": 7, "trust": "on"}
    meta = {"name": "fronthaul", "namespace": objects.OPERATOR, **SECRET}
    objects.put(kube, "SriovNetwork", {"metadata": meta, "spec": network})
    # What the operator makes of it in the pods' namespace.
    attached = {
        "name": "fronthaul",
        "namespace": "ran",
        "annotations": {"k8s.v1.cni.cncf.io/resourceName": INTEL},
    }
    config = json.dumps({"cniVersion": "1.0.0", "name": "fronthaul", "type": "sriov", "vlan": 7})
    objects.put(kube, "NetworkAttachmentDefinition", {"metadata": attached, "spec": {"config": config}})


def _pods(cluster: Cluster) -> None:
    kube = cluster.kube
    data_plane = {"cpu": "8", "memory": "4Gi", "hugepages-1Gi": "4Gi"}
    objects.pod(
        kube,
        "ran",
        "vdu-0",
        node="worker-0",
        resources={**data_plane, INTEL: "1"},
        labels={"app.kubernetes.io/name": "vdu"},
        annotations={
            "k8s.v1.cni.cncf.io/network-status": objects.network_status(("net1", UPF_VF)),
            "irq-load-balancing.crio.io": "disable",
            "kubectl.kubernetes.io/last-applied-configuration": '{"env": "hunter2"}',
        },
        restarts=3,
    )
    objects.pod(
        kube,
        "ran",
        "vdu-1",
        node="worker-0",
        resources={"cpu": "1500m", "memory": "1Gi", INTEL: "1"},
        labels={"app.kubernetes.io/name": "vdu"},
        ready=False,
    )
    objects.pod(
        kube,
        "core",
        "upf-0",
        node="worker-1",
        resources=data_plane,
        labels={"app": "open5gs-upf"},
    )
    objects.pod(kube, "ran", "vdu-2", resources={INTEL: "1"}, phase="Pending", nodeSelector={"profile": "du"})
    ended = {"k8s.v1.cni.cncf.io/network-status": objects.network_status(("net1", "0000:3b:02.1"))}
    objects.pod(kube, "ran", "job-1", node="worker-0", annotations=ended, phase="Succeeded")


def _exporter(node: str, pod: str, namespace: str, *, drops: float) -> objects.Page:
    """sriov-network-metrics-exporter's page, in the shape of its documentation. Counters rise fast, for a rate
    over five minutes is a small part of it after some seconds."""
    page = objects.Page()
    where = f'numa_node="0",pciAddr="{UPF_VF}",pf="ens1f0",vf="0"'
    for name, rate in (
        ("rx_bytes", 1.25e9),
        ("tx_bytes", 2.5e8),
        ("rx_packets", 1e5),
        ("tx_packets", 2e4),
        ("rx_dropped", drops),
        ("tx_dropped", 0.0),
        ("tx_errors", 0.0),
    ):
        page.counters[f"sriov_vf_{name}{{{where}}}"] = rate
    page.text = (
        "# TYPE sriov_kubepoddevice counter\n"
        f'sriov_kubepoddevice{{container="app",dev_type="openshift.io/intel_fh",namespace="{namespace}",'
        f'pciAddr="{UPF_VF}",pod="{pod}"}} 1\n'
    )
    if node == "worker-0":
        page.text += (
            'sriov_kubepoddevice{container="app",dev_type="openshift.io/mlx_n3",namespace="ran",'
            'pciAddr="0000:3b:02.2",pod="vdu-1"} 1\n'
        )
    return page


def _clocks() -> str:
    """linuxptp-daemon's page for two nodes, in the shape of its source."""
    lines = []
    for node, state in (("worker-0", 2), ("worker-1", 1)):
        where = f'process="phc2sys",node="{node}",iface="CLOCK_REALTIME"'
        lines += [
            f"openshift_ptp_clock_state{{{where}}} {state}",
            f'openshift_ptp_offset_ns{{from="phc",{where}}} 7',
        ]
    return "\n".join(lines) + "\n"


@pytest.fixture
def blind(telecom: Cluster, env: dict[str, str]) -> dict[str, str]:
    """As `env`, but nothing listens where its Prometheus should."""
    config = telecom.home / "blind.toml"
    text = Path(env["AIOPS_CONFIG"]).read_text(encoding="utf-8")
    config.write_text(text.replace(telecom.prometheus.url, f"http://{LOOPBACK}:9"))
    return {**env, "AIOPS_CONFIG": str(config)}


@pytest.fixture
def env(telecom: Cluster) -> dict[str, str]:
    fleet = Fleet([telecom], root=telecom.home)
    fleet.write()
    return fleet.env
