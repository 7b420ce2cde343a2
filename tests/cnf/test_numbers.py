"""Numbers, names and texts as clusters and kernels write them, in every odd form."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops_cli.analysis.cnf_functions import FUNCTIONS, function_of
from aiops_cli.analysis.cnf_numbers import as_cpuset, cpuset, link_speed, quantity
from aiops_cli.analysis.dpdk import Place, build, drivers_of, is_dpdk, real_time
from aiops_cli.analysis.dpdk_ports import Seen
from aiops_cli.analysis.sriov import (
    STATUS,
    Metrics,
    Objects,
    network_statuses,
    pci_devices,
    pfs,
    policies_of,
    users,
)
from aiops_cli.analysis.sriov_findings import findings
from aiops_cli.analysis.sriov_places import Places, rates_of
from aiops_cli.errors import ClusterError
from aiops_cli.models.cnf import SriovLimits, SriovPf
from aiops_cli.models.cnf_objects import CnfNode, CnfPod, InterfaceState, SriovNodeState, SriovPolicy
from aiops_cli.models.dpdk import DpdkReadings
from aiops_cli.models.result import ClusterStatus, FleetResult
from aiops_cli.render.output import Style, render
from aiops_cli.sources.dpdk import parse_files, parse_telemetry


def _of(kind: type[Any], **fields: Any) -> Any:
    return msgspec.convert(fields, kind)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4Gi", 4 * 2**30),
        ("512Mi", 512 * 2**20),
        ("1500m", 1.5),
        ("1e3", 1000),
        ("2E", 2e18),
        ("1Ei", 2**60),
        (8, 8),
        ("0", 0),
        ("many", None),
        ("", None),
        ("9" * 5000, None),
        ("1e999", None),
    ],
)
def test_quantities(text: str | int, expected: float | None) -> None:
    assert quantity(text) == expected


@given(st.frozensets(st.integers(0, 300)))
def test_a_cpu_list_is_read_as_it_is_written(cpus: frozenset[int]) -> None:
    assert cpuset(as_cpuset(cpus)) == cpus


@pytest.mark.parametrize("text", ["a", "1-", "3-1", "0-99999999", "1,,x", "-1", "9" * 5000])
def test_what_is_no_cpu_list_is_none(text: str) -> None:
    assert cpuset(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("25000 Mb/s", 25000),
        ("-1 Mb/s", -1),
        ("", None),
        ("Unknown!", None),
        ("100000", 100000),
        ("9" * 5000, None),
    ],
)
def test_link_speeds(text: str, expected: int | None) -> None:
    assert link_speed(text) == expected


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("5.14.0-427.13.1.el9_4.x86_64+rt", True),
        ("4.18.0-305.rt7.72.el8.x86_64", True),
        ("6.1.0-18-rt-amd64", True),
        ("5.14.0-427.13.1.el9_4.x86_64", False),
        ("6.8.0-smart", False),
        ("", None),
    ],
)
def test_real_time_kernels(version: str, expected: bool | None) -> None:
    node = _of(CnfNode, metadata={}, status={"nodeInfo": {"kernelVersion": version}})
    assert real_time(node, None) is expected


@pytest.mark.parametrize(
    ("labels", "names", "expected"),
    [
        ({"app": "open5gs-upf"}, (), "UPF"),
        ({"app.kubernetes.io/name": "open5gs", "app.kubernetes.io/component": "smf"}, (), "SMF"),
        ({}, ("oai-cu-cp-0",), "vCU"),
        ({}, ("srsran-gnb",), "gNB"),
        ({}, ("free5gc-amf-amf-7d9",), "AMF"),
        ({}, ("duplicator",), None),  # du is a word of its own, or nothing
        ({}, ("smfd", "product", "cuda-job"), None),
    ],
)
def test_functions_are_words(labels: dict[str, str], names: tuple[str, ...], expected: str | None) -> None:
    found = function_of(labels, names, {k: tuple(v) for k, v in FUNCTIONS.items()})
    assert (found[0] if found else None) == expected


def _pod(annotation: str, key: str = "k8s.v1.cni.cncf.io/network-status") -> CnfPod:
    meta = {"name": "p", "namespace": "n", "annotations": {key: annotation}}
    pod: CnfPod = _of(CnfPod, metadata=meta, spec={"nodeName": "w"}, status={"phase": "Running"})
    return pod


_DEVICE = json.dumps(
    [
        {
            "name": "a/b",
            "interface": "net1",
            "device-info": {"type": "pci", "pci": {"pci-address": "0000:01:02.3"}},
        }
    ]
)


def test_network_status_names_devices_with_a_hyphen() -> None:
    assert [pci for pci, _ in pci_devices(_pod(_DEVICE))] == ["0000:01:02.3"]
    assert pci_devices(_pod(_DEVICE.replace("device-info", "deviceInfo"))) == []
    old = "k8s.v1.cni.cncf.io/networks-status"
    assert [pci for pci, _ in pci_devices(_pod(_DEVICE, old))] == ["0000:01:02.3"]


@pytest.mark.parametrize("text", ["", "{", "null", '{"a": 1}', "[1]", '[{"name": 5}]'])
def test_an_annotation_that_can_not_be_read_is_no_device(text: str) -> None:
    assert network_statuses(_pod(text)) == []


def test_an_odd_entry_leaves_the_others() -> None:
    entries = json.loads(_DEVICE)
    text = json.dumps([{"name": 5}, *entries, "odd", {"device-info": {"pci": {"pci-address": 1}}}])
    assert [pci for pci, _ in pci_devices(_pod(text))] == ["0000:01:02.3"]


@pytest.mark.parametrize(
    ("driver", "expected"), [("vfio-pci", True), ("iavf", False), ("mlx5_core", False), ("", True)]
)
def test_a_device_that_the_kernel_has_makes_no_data_plane(driver: str, expected: bool) -> None:
    vfs = [{"vfID": 0, "pciAddress": "0000:01:02.3", "driver": driver}]
    state = _of(SriovNodeState, metadata={"name": "w"}, status={"interfaces": [{"Vfs": vfs}]})
    assert is_dpdk(_pod(_DEVICE), drivers_of([state])) is expected
    assert is_dpdk(_pod(_DEVICE)), "where nobody says its driver"


@pytest.mark.parametrize("number", ["9" * 5000, "1e999", "NaN", "-1", "99999999999999999999"])
def test_absurd_numbers_are_no_numbers_and_end_nothing(number: str) -> None:
    resources = {"requests": {"cpu": number, "hugepages-1Gi": number, "a/vf": number}}
    labels = {"pod": "p", "namespace": "n", "node": "w", "uid": "u", "numa_node": number, "cpu_id": number}
    pod = _of(
        CnfPod,
        metadata={"name": "p", "namespace": "n", "uid": "u", "annotations": {STATUS: _DEVICE}},
        spec={"nodeName": "w", "containers": [{"name": "c", "resources": resources}]},
        status={"phase": "Running", "qosClass": "Guaranteed"},
    )
    value = float(number)
    readings = DpdkReadings(
        [(labels, value)],
        [(labels, 1.0)],
        [({**labels, "pciAddr": "0000:01:02.3"}, 1.0)],
        [(labels, value)],
        [(labels, value)],
        {"ipackets": [(labels, value)]},
        {"ipackets": [(labels, value)]},
    )
    node = _of(
        CnfNode, metadata={"name": "w"}, status={"allocatable": {"hugepages-1Gi": number, "a/vf": number}}
    )
    inside = parse_files(
        f"/sys/devices/system/node/node{number}/cpulist:0-3\n"
        f"/sys/devices/system/node/node0/hugepages/hugepages-1048576kB/free_hugepages:{number}\n"
        f"/sys/bus/pci/devices/0000:01:02.3/numa_node:{number}\n"
        f"/proc/self/status:Cpus_allowed_list:\t{number}\n"
    )
    place = Place({"w": node}, [], [pod], Places([node], []), readings)
    replies = parse_telemetry(
        '[{"socket": "s", "ports": [{"port": 0, "after": {"ipackets": 99999999999999999999}}],'
        ' "lcores": {"lcore_ids": [null, "x"], "total_cycles": [1, 1], "busy_cycles": [1, 1]}}]'
    )
    for seen in (Seen(), Seen(inside, {"c": replies})):
        row = build("c", pod, place, seen)
        assert msgspec.json.encode(row)
        assert row.vfs and row.vfs[0].numa_node is None and row.cpu.cpuset is None
        assert [p.ipackets for p in row.ports] in ([None], [-1])
    objects = Objects(
        nodes=[node], pods=[pod], policies=[_of(SriovPolicy, metadata={}, spec={"resourceName": "vf"})]
    )
    found = pfs("c", objects, Metrics(series=[({**labels, "pf": "ens1f0"}, value)]))
    assert [r.numa_node for r in found.pfs] == [None]


def test_a_vhost_device_is_no_pci_device() -> None:
    text = '[{"name": "x", "device-info": {"type": "vhost-user", "vhost-user": {"path": "/x"}}}]'
    assert len(network_statuses(_pod(text))) == 1 and pci_devices(_pod(text)) == []


def test_a_series_without_a_node_is_placed_by_its_address_or_left_out() -> None:
    addresses = [{"type": "InternalIP", "address": "10.0.0.5"}]
    nodes = [_of(CnfNode, metadata={"name": "w5"}, status={"addresses": addresses})]
    states = [_of(SriovNodeState, metadata={"name": n}) for n in ("w5", "w6")]
    places = Places(nodes, states)
    held = users(
        [],
        [
            ({"pciAddr": "a", "pod": "one", "instance": "10.0.0.5:9110"}, 1.0),
            ({"pciAddr": "a", "pod": "two", "instance": "10.0.0.9:9110"}, 1.0),
            ({"pciAddr": "a", "pod": "three", "node": "w6"}, 1.0),
        ],
        places,
    )
    assert {place: user.pod for place, user in held.items()} == {("w5", "a"): "one", ("w6", "a"): "three"}
    assert places.unplaced == 1


def test_policies_that_fit_stand_in_order_of_priority() -> None:
    interface = _of(InterfaceState, name="ens1f0", pciAddress="0000:3b:00.0", vendor="8086", deviceID="1593")

    def policy(name: str, priority: int, **selector: Any) -> SriovPolicy:
        spec = {"resourceName": name, "priority": priority, "numVfs": 4, "nicSelector": selector}
        found: SriovPolicy = _of(SriovPolicy, metadata={"name": name}, spec=spec)
        return found

    policies = [
        policy("last", 99, vendor="8086", deviceID="1593"),
        policy("first", 0, rootDevices=["0000:3b:00.0"]),
        policy("range", 50, pfNames=["ens1f0#0-3"]),
        policy("other", 1, pfNames=["ens2f0"]),
        policy("default", 0),  # the operator's own selects nothing
    ]
    found = policies_of(interface, None, {}, policies)
    assert [p.name for p in found] == ["first", "range", "last"]
    assert not any(p.applied for p in found)


def test_files_of_a_container() -> None:
    # As `grep -s -H ^` prints them, in the shape of a node with two NUMA nodes.
    inside = parse_files(
        "/sys/fs/cgroup/cpuset.cpus.effective:4-7,36-39\n"
        "/sys/fs/cgroup/cpuset.mems.effective:0\n"
        "/proc/self/status:Name:\tgrep\n"
        "/proc/self/status:Cpus_allowed_list:\t4-7,36-39\n"
        "/sys/devices/system/node/node0/cpulist:0-15,32-47\n"
        "/sys/devices/system/node/node1/cpulist:16-31,48-63\n"
        "/sys/devices/system/node/node1/hugepages/hugepages-1048576kB/free_hugepages:3\n"
        "/sys/bus/pci/devices/0000:3b:02.1/numa_node:1\n"
        "/sys/bus/pci/devices/0000:3b:02.2/numa_node:-1\n"
        "/sys/bus/pci/devices/0000:3b:02.1/uevent:DRIVER=vfio-pci\n"
        "grep: something that is no file\n"
    )
    assert (inside.cpus, inside.mems, inside.nodes[1]) == ("4-7,36-39", "0", "16-31,48-63")
    assert inside.pages_free == {"1Gi": {1: 3 << 30}}
    assert (inside.pci_numa, inside.pci_driver) == ({"0000:3b:02.1": 1}, {"0000:3b:02.1": "vfio-pci"})


@pytest.mark.parametrize("text", ["", "[", "{}", '[{"ports": []}]', '[{"socket": 1}]'])
def test_what_is_no_telemetry_is_said(text: str) -> None:
    with pytest.raises(ClusterError, match="telemetry can't be read"):
        parse_telemetry(text)


def test_a_row_fits_80_columns() -> None:
    from aiops_cli.render.sriov_views import PFS

    empty: dict[str, Any] = dict.fromkeys(SriovPf.__struct_fields__)
    row = SriovPf(
        **{
            **empty,
            "cluster": "a-cluster-with-a-long-name",
            "node": "worker-0.a-long-domain.example.com",
            "pf": "ens1f0np0",
            "vfs_total": 128,
            "link_speed_mbps": 100_000,
            "driver": "mlx5_core",
            "sync_status": "InProgress",
            "policies": [],
            "resources": [],
            "vfs": [],
            "source": "kubernetes",
            "missing": {},
        }
    )
    text = render(PFS, FleetResult([row], [ClusterStatus("a", "SUCCESS")]), Style(width=80))
    assert len(text.splitlines()) == 2 and max(map(len, text.splitlines())) <= 80


def test_series_of_no_known_node_are_counted_once_and_left_out() -> None:
    states = [_of(SriovNodeState, metadata={"name": n}) for n in ("w5", "w6")]
    lost = {"pf": "ens1f0", "instance": "10.9.9.9:9110"}
    metrics = Metrics(series=[(lost, 64.0)], of_pfs={"rx_bytes": [(lost, 1.0)], "tx_bytes": [(lost, 1.0)]})
    found = pfs("c", Objects(states=states), metrics)
    assert (found.pfs, found.unplaced) == ([], 1)


def test_two_ways_to_one_exporter_are_not_twice_as_many() -> None:
    """Behind kube-rbac-proxy and beside it: the VFs of one card, of whose two lists one is behind."""
    ways = [{"pf": "ens1f0", "node": "w5", "instance": f"10.0.0.5:{port}"} for port in (9110, 9808)]
    series = [({**way, "numa_node": numa}, 4.0) for way in ways for numa in ("0", "1")]
    rates = {"rx_bytes": [(ways[0], 7.0), (ways[1], 5.0)]}
    (row,) = pfs("c", Objects(), Metrics(series=series, of_pfs=rates)).pfs
    assert row.vfs_configured == 8
    assert row.rates is not None and row.rates.rx_bytes == 7.0


def test_drops_are_those_of_both_directions_once() -> None:
    ways = [
        {"pciAddr": "0000:3b:02.1", "node": "w5", "instance": f"10.0.0.5:{port}"} for port in (9110, 9808)
    ]
    drops = {f"{way}_dropped": [(of, rate) for of in ways] for way, rate in (("rx", 3.0), ("tx", 4.0))}
    (found,) = findings("c", [], Objects(), rates_of(drops, Places((), ()), "pciAddr"), SriovLimits(), {}, {})
    assert (found.code, found.entity.name, found.value) == ("SRIOV_VF_DROPS", "w5/0000:3b:02.1", 7.0)


def test_without_any_node_the_scraped_address_stands_for_one() -> None:
    series = [({"pf": "ens1f0", "instance": f"10.0.0.{n}:9110"}, 2.0) for n in (5, 6)]
    found = pfs("c", Objects(), Metrics(series=series))
    assert [(r.node, r.vfs_configured) for r in found.pfs] == [("10.0.0.5", 2), ("10.0.0.6", 2)]
