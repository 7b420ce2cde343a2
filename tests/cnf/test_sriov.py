"""`aiops cnf sriov` against a real API server and a real Prometheus that scrapes exporters' pages."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from aiops_cli.analysis.sriov import RATES
from aiops_cli.sources.prometheus import PrometheusSource
from aiops_cli.sources.sriov import read_exporter
from aiops_cli.transport.client import HttpClient, Target
from tests.cnf import objects
from tests.cnf.conftest import INTEL, UPF_VF
from tests.conftest import Aiops, Clusters
from tests.servers.apiserver import kubeconfig_of
from tests.servers.cluster import Cluster, temporary_root
from tests.servers.fleet import Fleet
from tests.servers.network import free_port
from tests.servers.prometheus import Prometheus

Endpoints = Callable[[Mapping[str, Mapping[str, str]]], dict[str, str]]


@pytest.fixture
def pfs(aiops: Aiops, env: dict[str, str]) -> dict[tuple[str, str], dict[str, Any]]:
    """PFs by node and name."""
    done = aiops("cnf", "sriov", "-o", "json", env=env)
    assert done.returncode == 0, done.stderr
    return {(i["node"], i["pf"]): i for i in done.json["items"]}


def test_a_pf_has_its_vfs_link_policies_and_state(pfs: dict[tuple[str, str], dict[str, Any]]) -> None:
    row = pfs["worker-0", "ens1f0"]
    # `totalvfs` is all lower case and `Vfs` has a capital, or both would be missing.
    assert (row["vfsTotal"], row["vfsConfigured"], row["vfsWanted"], len(row["vfs"])) == (64, 3, 8, 3)
    assert (row["linkState"], row["linkSpeedMbps"], row["driver"], row["mtu"]) == ("UP", 25000, "ice", 1500)
    assert (row["syncStatus"], row["drainState"], row["drainDesired"]) == (
        "Succeeded",
        "Idle",
        "Drain_Required",
    )
    assert [(p["name"], p["applied"], p["priority"]) for p in row["policies"]] == [
        ("fronthaul", True, 10),
        ("n3", True, 99),
    ]
    assert [
        (n["name"], n["targetNamespace"], n["vlan"], n["trust"], n["spoofChk"]) for n in row["networks"]
    ] == [("fronthaul", "ran", 7, "on", None)]
    assert row["numaNode"] == 0
    # Without a carrier the speed is -1; a link that says neither is not known.
    assert (pfs["worker-1", "ens1f0"]["linkState"], pfs["worker-2", "eno1"]["linkState"]) == ("DOWN", None)


def test_a_vf_of_vfio_has_neither_name_nor_mac(pfs: dict[tuple[str, str], dict[str, Any]]) -> None:
    bound, named, _ = pfs["worker-0", "ens1f0"]["vfs"]
    assert (bound["name"], bound["mac"], bound["driver"], bound["mtu"]) == (None, None, "vfio-pci", None)
    assert (named["name"], named["vlan"], named["resource"]) == ("ens1f0v1", 0, "mlx_n3")


def test_one_pci_address_on_two_nodes_is_two_vfs(pfs: dict[tuple[str, str], dict[str, Any]]) -> None:
    first, second = pfs["worker-0", "ens1f0"], pfs["worker-1", "ens1f0"]
    assert first["vfs"][0]["pciAddress"] == second["vfs"][0]["pciAddress"] == UPF_VF
    assert first["vfs"][0]["usedBy"] == {
        "namespace": "ran",
        "pod": "vdu-0",
        "container": "app",
        "interface": "net1",
        "network": "ran/fronthaul",
    }
    # `pod` of that series is the exporter's own pod, scraped without honorLabels.
    assert second["vfs"][0]["usedBy"]["pod"] == "upf-0"
    assert second["vfs"][0]["usedBy"]["namespace"] == "core"
    assert first["rates"]["rxDropped"] > 10 and second["rates"]["rxDropped"] == 0
    assert first["vfs"][0]["rates"]["rxBytes"] > 1e6


def test_what_has_ended_holds_no_vf(pfs: dict[tuple[str, str], dict[str, Any]]) -> None:
    row = pfs["worker-0", "ens1f0"]
    assert row["vfsUsed"] == 2
    assert row["vfs"][1]["usedBy"] is None  # the pod that had it has succeeded
    assert row["vfs"][2]["usedBy"]["pod"] == "vdu-1"  # only the exporter knows


def test_without_an_exporter_rates_are_not_zero(pfs: dict[tuple[str, str], dict[str, Any]]) -> None:
    row = pfs["worker-2", "eno1"]
    assert row["rates"] is None and "sriov_vf_" in row["missing"]["rates"]
    assert row["source"] == "kubernetes"


def test_findings_say_what_is_wrong(aiops: Aiops, env: dict[str, str]) -> None:
    done = aiops("cnf", "sriov", "-o", "json", "--fail-on", "critical", env=env)
    assert done.returncode == 1
    found = {(f["code"], f["entity"]["name"]): f for f in done.json["findings"]}
    assert set(found) == {
        ("SRIOV_SYNC_FAILED", "worker-2"),
        ("SRIOV_DRAIN_PENDING", "worker-0"),
        ("SRIOV_PF_DOWN", "worker-1/ens1f0"),
        ("SRIOV_MTU_MISMATCH", "worker-0/ens1f0"),
        ("SRIOV_VFS_NOT_CONFIGURED", "worker-0/ens1f0"),
        ("SRIOV_VF_DROPS", f"worker-0/{UPF_VF}"),
        ("SRIOV_VFS_EXHAUSTED", "worker-0"),
        ("SRIOV_POD_WITHOUT_VF", "vdu-2"),
    }
    drops = found["SRIOV_VF_DROPS", f"worker-0/{UPF_VF}"]
    assert "ran/vdu-0" in drops["text"] and drops["value"] > 10 and drops["source"] == "prometheus"
    assert f"2 of 2 {INTEL}" in found["SRIOV_VFS_EXHAUSTED", "worker-0"]["text"]
    assert found["SRIOV_POD_WITHOUT_VF", "vdu-2"]["severity"] == "critical"
    assert found["SRIOV_SYNC_FAILED", "worker-2"]["text"].endswith("in the NIC")


def test_the_threshold_of_drops_is_in_the_config(aiops: Aiops, env: dict[str, str], telecom: Cluster) -> None:
    config = telecom.home / "quiet.toml"
    with open(env["AIOPS_CONFIG"], encoding="utf-8") as file:  # noqa: PTH123
        config.write_text(file.read() + "\n[sriov]\ndrops_per_second = 1000000\n")
    done = aiops("cnf", "sriov", "--findings", "-o", "json", env={**env, "AIOPS_CONFIG": str(config)})
    codes = {i["code"] for i in done.json["items"]}
    assert "SRIOV_SYNC_FAILED" in codes and "SRIOV_VF_DROPS" not in codes


def test_tables_obey_nothing_of_a_cluster_and_wide_has_the_vfs(aiops: Aiops, env: dict[str, str]) -> None:
    done = aiops("cnf", "sriov", "-o", "wide", env=env)
    assert "\x1b" not in done.stdout
    rows, findings, vfs = done.stdout.split("\n\n")
    assert rows.splitlines()[1].split()[:6] == ["telecom", "worker-0", "ens1f0", "2", "3", "64"]
    assert "\\x1b[31mno space left" in findings
    assert [line.split()[3] for line in vfs.splitlines()[1:]] == ["0", "1", "2", "0"]


def test_only_some_nodes(aiops: Aiops, env: dict[str, str]) -> None:
    done = aiops("cnf", "sriov", "--node", "*-2", "-o", "json", env=env)
    assert [i["node"] for i in done.json["items"]] == ["worker-2"]
    assert {f["code"] for f in done.json["findings"]} == {"SRIOV_SYNC_FAILED", "SRIOV_POD_WITHOUT_VF"}


def test_a_prometheus_alone_tells_what_it_can(aiops: Aiops, endpoints: Endpoints, telecom: Cluster) -> None:
    env = endpoints({"metrics-only": {"prometheus": telecom.prometheus.url}})
    done = aiops("cnf", "sriov", "-o", "json", env=env)
    rows = {i["node"]: i for i in done.json["items"]}
    assert set(rows) == {"worker-0", "worker-1"}
    row = rows["worker-0"]
    assert (row["source"], row["pciAddress"], row["vfsTotal"]) == ("prometheus", None, None)
    assert row["rates"]["rxDropped"] > 10 and "SriovNetworkNodeState" in row["missing"]["syncStatus"]
    assert [(v["vf"], v["pciAddress"], v["usedBy"]["pod"]) for v in row["vfs"]] == [(0, UPF_VF, "vdu-0")]
    assert (row["vfsUsed"], row["vfsConfigured"]) == (1, 1)
    (drops,) = done.json["findings"]
    assert drops["code"] == "SRIOV_VF_DROPS" and drops["text"].endswith("of ran/vdu-0, 1 are allowed")
    assert all(v is None or round(v, 6) == v for v in row["rates"].values())
    csv = aiops("cnf", "sriov", "-o", "csv", env=env).stdout.splitlines()[0].split(",")
    assert {"rx_bits_per_second", "drops_per_second"} <= set(csv)


def test_a_prometheus_that_is_down_has_said_nothing(
    aiops: Aiops, env: dict[str, str], telecom: Cluster
) -> None:
    config = telecom.home / "down.toml"
    config.write_text(f'[clusters.{telecom.name}.endpoints]\nprometheus = "http://127.0.0.1:{free_port()}"\n')
    done = aiops("cnf", "sriov", "-o", "json", env={**env, "AIOPS_CONFIG": str(config)})
    assert done.returncode == 3
    assert all("can't be asked for" in i["missing"]["rates"] for i in done.json["items"])
    assert "the operator's metrics exporter is off" not in done.stdout


def test_a_pod_is_named_with_its_namespace(aiops: Aiops, env: dict[str, str]) -> None:
    assert " ran/vdu-2 " in aiops("cnf", "sriov", "--findings", env=env).stdout


def test_who_may_list_nothing_has_what_the_exporter_says(
    aiops: Aiops, env: dict[str, str], telecom: Cluster
) -> None:
    cluster, _ = telecom.apiserver.kubeconfig_parts("token")
    user = {"name": "viewer", "user": {"token": telecom.apiserver.viewer_token}}
    path = telecom.home / "viewer.json"
    path.write_text(json.dumps(kubeconfig_of([(cluster, user)])))
    done = aiops("cnf", "sriov", "-o", "json", env={**env, "KUBECONFIG": str(path)})
    assert done.returncode == 3 and "may not be listed" in done.stderr
    assert {i["source"] for i in done.json["items"]} == {"prometheus"}
    alone = aiops("cnf", "dpdk", env={**env, "KUBECONFIG": str(path)})
    assert alone.returncode == 3 and "pods may not be listed" in alone.stderr


async def test_series_are_of_one_node_and_one_vf(clusters: Clusters) -> None:
    """A VF that nobody has, whose address a pod of another node has; its exporter's pod was replaced just now."""
    prometheus = clusters("exporters", {"prometheus"}).prometheus
    where = f'numa_node="0",pciAddr="{UPF_VF}",pf="ens1f0",vf="0"'
    pages = {node: objects.Page() for node in ("worker-0", "worker-7")}
    for page in pages.values():
        page.counters = {f"sriov_vf_{name}{{{where}}}": 1e6 for name in ("rx_packets", "rx_bytes")}
    pages["worker-0"].text = f'sriov_kubepoddevice{{namespace="ran",pciAddr="{UPF_VF}",pod="vdu-0"}} 1\n'
    client = HttpClient(Target(prometheus.url), timeout=20)
    with ExitStack() as stack:
        for node, page in pages.items():
            address = stack.enter_context(objects.served(page))
            for pod in ("old", "new") if node == "worker-7" else ("one",):
                prometheus.add_targets(f"{node}-{pod}", [address], {"node": node, "by": pod})
        prometheus.wait_for("count(rate(sriov_vf_rx_bytes[5m])) == 3")
        prometheus.wait_for("sriov_kubepoddevice")
        found = await read_exporter(PrometheusSource(client), RATES, vfs=True)
    await client.aclose()
    assert sorted((labels["node"], v) for labels, v in found.series) == [("worker-0", 1), ("worker-7", 1)]
    assert [labels["node"] for labels, _ in found.of_vfs["rx_bytes"]] == ["worker-0"]
    assert {labels["node"] for labels, _ in found.of_pfs["rx_bytes"]} == {"worker-0", "worker-7"}


def test_a_cluster_without_sriov_says_so_and_does_not_fail(aiops: Aiops, metrics_fleet: Any) -> None:
    done = aiops("cnf", "sriov", env=metrics_fleet.env)
    assert done.returncode == 0
    assert "NO_SRIOV: " in done.stderr and done.stdout == ""


@pytest.mark.parametrize("command", ["sriov", "dpdk", "workloads"])
def test_an_api_server_without_telecom_apis_is_no_failure(
    aiops: Aiops, clusters: Clusters, home: Path, command: str
) -> None:
    fleet = Fleet([clusters("sources", {"apiserver"})], root=home)
    fleet.write()
    done = aiops("cnf", command, "--require-data", env=fleet.env)
    assert done.returncode == 6, done.stderr
    assert "sources: warning: NO_" in done.stderr


@pytest.mark.parametrize("named", [("sriov", "--node", "worker-9*"), ("dpdk", "ran/vdu-9")])
def test_what_matches_nothing_is_said_and_passes_no_check(
    aiops: Aiops, env: dict[str, str], named: tuple[str, ...]
) -> None:
    done = aiops("cnf", *named, "--fail-on", "critical", env=env)
    assert (done.returncode, done.stdout) == (4, "")
    assert "nothing in the chosen clusters matches" in done.stderr and named[-1] in done.stderr


def test_a_bundle_has_no_sriov(aiops: Aiops) -> None:
    done = aiops("cnf", "sriov", "--bundle", "demo")
    assert "NOT_RECORDED: this bundle does not hold any SR-IOV or data plane" in done.stderr
    assert done.returncode == 4 and "Traceback" not in done.stderr


def test_a_severity_that_is_none_is_refused(aiops: Aiops, env: dict[str, str]) -> None:
    done = aiops("cnf", "sriov", "--fail-on", "bad", env=env)
    assert done.returncode == 2 and "critical or warning" in done.stderr


def test_drops_are_told_since_they_began(aiops: Aiops, endpoints: Endpoints) -> None:
    end = int(time.time()) // 60 * 60
    began = end - 1200
    lines = []
    for name in ("rx_packets", "rx_dropped", "tx_dropped"):
        lines.append(f"# TYPE sriov_vf_{name} gauge")
        for t in range(end - 4000, end + 300, 20):
            value = max(t - began, 0) * 50 if name == "rx_dropped" else 0
            lines.append(f'sriov_vf_{name}{{node="w",pf="ens1f0",vf="3",pciAddr="{UPF_VF}"}} {value} {t}')
    server = Prometheus(temporary_root() / "drops", cluster="w")
    server.start()
    try:
        server.backfill("\n".join([*lines, "# EOF", ""]))
        done = aiops(
            "cnf", "sriov", "--findings", "-o", "json", env=endpoints({"w": {"prometheus": server.url}})
        )
    finally:
        server.stop()
    (found,) = done.json["items"]
    since = datetime.fromisoformat(found["since"]).timestamp()
    assert began < since <= began + 120
