"""`aiops cnf dpdk`: a real API server and Prometheus; programs really run, and ask a real testpmd's telemetry.

What stands in for the kubelet runs what it is asked to on this machine, as if it were the container. What
testpmd does not show at will (missed packets, a link that is down) comes from a server of its protocol.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cnf import objects
from tests.cnf.telemetry import telemetry
from tests.cnf.testpmd import Testpmd
from tests.conftest import Aiops, Clusters
from tests.gpu.kubelet_exec import ExecKubelet, Program, exec_kubelet_of
from tests.servers.binaries import MissingServer, locate
from tests.servers.cluster import Cluster
from tests.servers.fleet import Fleet

Argv = tuple[str, ...]


class _OnThisMachine(dict[tuple[str, Argv], Program]):
    """Programs are run when they are asked for, with these variables."""

    def __init__(self, variables: dict[str, str]) -> None:
        super().__init__()
        self.variables = variables

    def get(self, asked: tuple[str, Argv], default: Any = None) -> Program:
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin", **self.variables}
        done = subprocess.run(
            asked[1],
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return Program(done.stdout, done.stderr, done.returncode)


@pytest.fixture
def kubelet(telecom: Cluster) -> Iterator[ExecKubelet]:
    with exec_kubelet_of(telecom, "worker-9") as running:
        yield running


@pytest.fixture
def pod(telecom: Cluster, kubelet: ExecKubelet, tmp_path: Path) -> Callable[[str], None]:
    """Makes a pod of the namespace `run` on the node where programs can be run."""
    kubelet._programs = _OnThisMachine({"XDG_RUNTIME_DIR": str(tmp_path)})

    def make(name: str) -> None:
        resources = {"cpu": "2", "memory": "1Gi", "hugepages-2Mi": "512Mi"}
        objects.pod(telecom.kube, "run", name, node="worker-9", resources=resources)

    return make


def _one(aiops: Aiops, env: dict[str, str], *args: str) -> tuple[dict[str, Any], dict[str, Any]]:
    done = aiops("cnf", "dpdk", *args, "-o", "json", env=env)
    assert done.returncode == 0, done.stderr
    (item,) = done.json["items"]
    return item, {f["code"]: f for f in done.json["findings"]}


def test_a_data_plane_without_exec(aiops: Aiops, env: dict[str, str]) -> None:
    item, found = _one(aiops, env, "ran/vdu-0")
    gibibyte = 1 << 30
    assert item["hugepages"] == [
        {
            "size": "1Gi",
            "requested": 4 * gibibyte,
            "limit": 4 * gibibyte,
            "nodeAllocatable": 16 * gibibyte,
            "nodeUnrequested": 12 * gibibyte,
            "nodeFree": None,
            "byNuma": None,
        }
    ]
    assert (item["qosClass"], item["cpu"]["exclusive"], item["cpu"]["requested"]) == ("Guaranteed", True, 8)
    assert (item["profile"], item["isolatedCpus"]) == ("du", "2-31,34-63")
    assert (item["realTimeKernel"], item["topologyPolicy"]) == (True, "single-numa-node")
    assert item["numa"]["aligned"] is True and "single-numa-node" in item["numa"]["reason"]
    assert item["vfs"][0]["pciAddress"] == "0000:3b:02.0" and item["vfs"][0]["numaNode"] == 0
    # Nothing is made up: each that is not known says why.
    assert item["cpu"]["cpuset"] is None and "--exec" in item["missing"]["cpuset"]
    assert item["processes"] is None and "--exec" in item["missing"]["ports"]
    assert set(found) == {"DPDK_ANNOTATIONS_IGNORED"}


def test_a_prometheus_that_is_down_is_no_pod_without_metrics(aiops: Aiops, blind: dict[str, str]) -> None:
    done = aiops("cnf", "dpdk", "ran/vdu-0", "-o", "json", env=blind)
    assert done.returncode == 3
    assert any(w.startswith("no metrics: ") for w in done.json["clusters"][0]["warnings"])
    missing = done.json["items"][0]["missing"]
    for field in ("ports", "cpuset", "hugepages.nodeFree", "numa.vfs"):
        assert missing["throttledPeriodsPerSecond"] in missing[field] and "--exec" in missing[field]


def test_an_sriov_api_that_fails_only_costs_the_drivers(aiops: Aiops, clusters: Clusters, home: Path) -> None:
    """Who serves that API is away: the API server itself answers 503 for it."""
    cluster = clusters("no-sriov-api", {"apiserver"})
    group, version = objects.SRIOV.split("/")
    service = {
        "metadata": {"name": f"{version}.{group}"},
        "spec": {
            "group": group,
            "version": version,
            "groupPriorityMinimum": 1000,
            "versionPriority": 15,
            "insecureSkipTLSVerify": True,
            "service": {"namespace": "default", "name": "nobody"},
        },
    }
    api = "apiregistration.k8s.io/v1"
    body = {"apiVersion": api, "kind": "APIService", **service}
    cluster.kube.http.post(f"/apis/{api}/apiservices", json=body).raise_for_status()
    while cluster.kube.http.get(f"/apis/{objects.SRIOV}/sriovnetworknodestates").status_code != 503:
        time.sleep(0.1)
    objects.pod(cluster.kube, "ran", "du", resources={"hugepages-2Mi": "2Mi", "cpu": "1"})
    fleet = Fleet([cluster], root=home)
    fleet.write()
    done = aiops("cnf", "dpdk", "-o", "json", env=fleet.env)
    assert [i["pod"] for i in done.json["items"]] == ["du"]
    assert done.returncode == 3 and "drivers of VFs are not known" in done.stderr


def test_only_pages_of_the_default_size_are_known_to_be_free(
    aiops: Aiops, env: dict[str, str], telecom: Cluster
) -> None:
    sizes = {"cpu": "1", "hugepages-1Gi": "1Gi", "hugepages-2Mi": "64Mi"}
    objects.pod(telecom.kube, "sizes", "both", node="worker-1", resources=sizes)
    page = objects.Page()
    page.text = (
        'node_memory_HugePages_Free{instance="worker-1"} 128\n'
        'node_memory_Hugepagesize_bytes{instance="worker-1"} 2.097152e+06\n'
    )
    with objects.served(page) as address:
        telecom.prometheus.add_targets("pages", [address], {"instance": "worker-1"})
        try:
            telecom.prometheus.wait_for("node_memory_HugePages_Free == 128")
            item, _ = _one(aiops, env, "sizes/both")
        finally:
            telecom.prometheus.remove_targets("pages")
    assert {h["size"]: h["nodeFree"] for h in item["hugepages"]} == {"1Gi": None, "2Mi": 256 << 20}
    assert "default page size only" in item["missing"]["hugepages.nodeFree"]


def test_a_node_that_lacks_pages_is_one_finding(aiops: Aiops, env: dict[str, str], telecom: Cluster) -> None:
    objects.pod(telecom.kube, "pages", "fat", node="worker-1", resources={"cpu": "1", "hugepages-1Gi": "7Gi"})
    try:
        told = aiops("cnf", "dpdk", "--findings", "-o", "json", env=env).json["items"]
        (found,) = [f for f in told if f["code"] == "DPDK_HUGEPAGES_OVERCOMMITTED"]
        text = aiops("cnf", "dpdk", "pages/fat", env=env).stdout
    finally:
        telecom.kube.delete("Pod", "fat", namespace="pages")
    assert (found["entity"]["kind"], found["entity"]["name"]) == ("Node", "worker-1")
    pages = round(found["value"]) >> 30
    assert found["text"].startswith(
        f"pods ask for {pages} 1Gi pages ({pages} GiB) more than it has: core/upf-0"
    )
    assert "pages/fat" in found["text"]
    assert f"{pages}Gi more asked for than it has" in text


def test_what_shares_its_cpus_is_told_why(aiops: Aiops, env: dict[str, str]) -> None:
    item, found = _one(aiops, env, "ran/vdu-1")
    assert item["cpu"]["reason"] == "container app asks for 1500m CPUs, no whole number"
    assert {"DPDK_CPU_NOT_EXCLUSIVE", "DPDK_NO_HUGEPAGES"} <= set(found)
    assert item["numa"]["aligned"] is None


def test_pods_that_look_like_a_data_plane_are_found(aiops: Aiops, env: dict[str, str]) -> None:
    done = aiops("cnf", "dpdk", "-o", "json", env=env)
    pods = {(i["namespace"], i["pod"]) for i in done.json["items"]}
    assert {("ran", "vdu-0"), ("core", "upf-0")} <= pods
    assert ("ran", "job-1") not in pods and ("ran", "vdu-1") not in pods


def test_exporters_tell_cpus_throttling_huge_pages_and_ports(
    aiops: Aiops, env: dict[str, str], telecom: Cluster
) -> None:
    uid = next(
        p["metadata"]["uid"]
        for p in telecom.kube.list("Pod", namespace="core")
        if p["metadata"]["name"] == "upf-0"
    )
    page = objects.Page()
    page.text = "".join(
        f'sriov_kubepodcpu{{cpu_id="{cpu}",numa_node="{cpu % 2}",uid="{uid}",container_id="c"}} 1\n'
        for cpu in (4, 5, 6)
    )
    page.text += 'node_memory_HugePages_Free{instance="worker-1"} 3\n'
    page.text += 'node_memory_Hugepagesize_bytes{instance="worker-1"} 1.073741824e+09\n'
    mine = 'namespace="core",pod="upf-0",container="app"'
    page.counters = {
        f"container_cpu_cfs_throttled_periods_total{{{mine}}}": 5000,
        f'dpdk_ipackets{{{mine},command="/ethdev/stats",params="0"}}': 1e6,
        f'dpdk_port_tx_packets{{{mine},port="0"}}': 1e6,
        f'dpdk_imissed{{{mine},command="/ethdev/stats",params="0"}}': 7000,
    }
    with objects.served(page) as address:
        telecom.prometheus.add_targets("more", [address], {"instance": "worker-1"})
        try:
            telecom.prometheus.wait_for("rate(dpdk_imissed[5m]) > 0")
            item, found = _one(aiops, env, "core/upf-0")
        finally:
            telecom.prometheus.remove_targets("more")
    assert (item["cpu"]["cpuset"], item["sources"]["cpuset"]) == ("4-6", "prometheus")
    assert item["numa"]["cpus"] == [0, 1] and item["numa"]["aligned"] is False
    assert item["hugepages"][0]["nodeFree"] == 3 << 30
    assert item["cpu"]["throttledPeriodsPerSecond"] > 0
    (process,) = item["processes"]
    assert process["ports"][0]["port"] == "0" and process["ports"][0]["imissedPerSecond"] > 0
    assert process["ports"][0]["rxNombuf"] is None and process["ports"][0]["opackets"] > 0
    assert {"DPDK_THROTTLED", "DPDK_IMISSED", "DPDK_NUMA_SPLIT"} <= set(found)


@pytest.fixture
def testpmd(tmp_path: Path) -> Iterator[Testpmd]:
    """Not of the shared servers, which are brought back after a test: it polls, and takes a CPU."""
    try:
        locate(Testpmd.program)
    except MissingServer as error:
        pytest.skip(str(error))
    server = Testpmd(tmp_path)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        server.clear()


def test_a_real_testpmd_tells_its_port_by_exec(
    aiops: Aiops, env: dict[str, str], pod: Callable[[str], None], testpmd: Testpmd
) -> None:
    pod("testpmd")
    item, _ = _one(aiops, env, "run/testpmd", "--exec")
    process = next(p for p in item["processes"] if Path(p["socket"]).parent.name == testpmd.prefix)
    assert process["version"].startswith("DPDK ")
    (port,) = process["ports"]
    assert (port["name"], port["linkStatus"], port["linkSpeedMbps"]) == ("net_null0", "UP", 10000)
    assert port["ipackets"] > 0 and port["rxPacketsPerSecond"] > 1000
    assert (port["imissed"], port["imissedPerSecond"]) == (0, 0)
    assert process["mempools"][0]["size"] == 2048
    assert item["sources"]["ports"] == "exec, DPDK telemetry"
    # This machine's own cpuset, as /sys has it.
    assert item["cpu"]["cpuset"] and item["sources"]["cpuset"] == "exec"
    assert item["numa"]["cpus"]


def test_missed_packets_an_empty_mempool_and_a_lost_link_are_findings(
    aiops: Aiops, env: dict[str, str], pod: Callable[[str], None], tmp_path: Path
) -> None:
    began = time.monotonic()

    def stats() -> dict[str, int]:
        seconds = time.monotonic() - began
        rising = {"imissed": int(500 * seconds), "rx_nombuf": int(40 * seconds), "ierrors": int(9 * seconds)}
        return {
            "ipackets": int(1e6 * seconds),
            "opackets": 0,
            "ibytes": 0,
            "obytes": 0,
            "oerrors": 0,
            **rising,
        }

    answers = {
        "/ethdev/list": lambda: [3],
        "/ethdev/stats,3": stats,
        "/ethdev/link_status,3": lambda: {"status": "DOWN"},
        "/ethdev/info,3": lambda: {"name": "0000:3b:02.0", "numa_node": 1},
        "/eal/lcore/usage": lambda: {
            "lcore_ids": [2, 3],
            "total_cycles": [1000, 1000],
            "busy_cycles": [250, 0],
        },
    }
    with telemetry(tmp_path / "dpdk" / "upf" / "dpdk_telemetry.v2", answers):
        pod("upf-sick")
        item, found = _one(aiops, env, "run/upf-sick", "--exec")
    process = next(p for p in item["processes"] if "/upf/" in p["socket"])
    assert process["lcores"] == [{"lcore": 2, "busyPercent": 25}, {"lcore": 3, "busyPercent": 0}]
    assert {"DPDK_IMISSED", "DPDK_RX_NOMBUF", "DPDK_IERRORS", "DPDK_LINK_DOWN"} <= set(found)
    assert 300 < found["DPDK_IMISSED"]["value"] < 700
    assert "port 3 (0000:3b:02.0)" in found["DPDK_LINK_DOWN"]["text"]


def test_a_container_without_the_program_says_why_its_ports_are_missing(
    aiops: Aiops, env: dict[str, str], telecom: Cluster, kubelet: ExecKubelet
) -> None:
    objects.pod(telecom.kube, "run", "bare", node="worker-9", resources={"hugepages-2Mi": "2Mi", "cpu": "1"})
    done = aiops("cnf", "dpdk", "run/bare", "--exec", "-o", "json", env=env)
    assert done.returncode == 3
    (item,) = done.json["items"]
    assert item["processes"] is None and "python3 could not be run" in item["missing"]["ports"]
    assert "grep could not be run" in item["missing"]["cpuset"]
    assert sorted(argv[0] for _, argv in kubelet.ran) == ["grep", "python3"]


def test_the_timeout_is_for_all_pods_of_a_cluster(
    aiops: Aiops, env: dict[str, str], telecom: Cluster, kubelet: ExecKubelet
) -> None:
    """More pods than are asked at once, in each of which a program hangs."""

    class Hanging(dict[tuple[str, Argv], Program]):
        def get(self, asked: tuple[str, Argv], default: Any = None) -> Program:
            return Program(hangs=True)

    kubelet._programs = Hanging()
    for i in range(10):
        objects.pod(
            telecom.kube, "slow", f"dp-{i}", node="worker-9", resources={"hugepages-2Mi": "2Mi", "cpu": "1"}
        )
    done = aiops("cnf", "dpdk", "-n", "slow", "--exec", "--timeout", "3s", "-o", "json", env=env)
    assert done.returncode == 3
    said = sorted(i["missing"]["ports"] for i in done.json["items"])
    assert sum("did not end within" in why for why in said) == 8
    assert said.count("not asked within the 3 s of --timeout") == 2


def test_exec_needs_to_know_where(aiops: Aiops, env: dict[str, str]) -> None:
    done = aiops("cnf", "dpdk", "--exec", env=env)
    assert done.returncode == 2 and "name a POD" in done.stderr


def test_one_pod_is_shown_in_full(aiops: Aiops, env: dict[str, str]) -> None:
    done = aiops("cnf", "dpdk", "vdu-0", "-n", "ran", env=env)
    assert "huge 1Gi     4Gi asked, limit 4Gi; node 16Gi, 12Gi not asked for" in done.stdout
    assert "polling lcore takes 100 % CPU" in done.stdout
    assert "ports        -  (no DPDK metrics of this pod" in done.stdout


def test_a_bundle_of_a_plain_cluster_has_none(aiops: Aiops) -> None:
    done = aiops("cnf", "dpdk", "--bundle", "demo")
    assert "NOT_RECORDED: this bundle does not hold any SR-IOV or data plane" in done.stderr
