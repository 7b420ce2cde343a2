"""`aiops cnf summary`: one row a cluster, with what can't be had left open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from csv import DictReader
from io import StringIO

from tests.conftest import Aiops
from tests.servers.cluster import Cluster
from tests.servers.network import free_port

Endpoints = Callable[[Mapping[str, Mapping[str, str]]], dict[str, str]]


def test_a_cluster_in_one_row(aiops: Aiops, env: dict[str, str]) -> None:
    done = aiops("cnf", "summary", "-o", "json", "--fail-on", "critical", env=env)
    assert done.returncode == 1, done.stderr
    (row,) = done.json["items"]
    assert row["functions"]["vDU"] >= 2 and row["functions"]["UPF"] == 1
    assert (row["clocks"], row["clocksLocked"], row["clocksHoldover"]) == (2, 1, 1)
    assert (row["sriovNodes"], row["sriovNodesInSync"], row["pfs"], row["pfsDown"]) == (3, 2, 4, 2)
    assert (row["vfsUsed"], row["vfsConfigured"], row["vfsTotal"], row["vfsUsedPercent"]) == (3, 4, 256, 75)
    assert row["missing"] == {} and row["critical"] >= 3
    assert len([f for f in done.json["findings"] if f["severity"] == "critical"]) == row["critical"]


def test_a_cluster_of_which_nothing_can_be_had_says_why(aiops: Aiops, endpoints: Endpoints) -> None:
    env = endpoints({"gone": {"prometheus": f"http://127.0.0.1:{free_port()}"}})
    done = aiops("cnf", "summary", "-o", "json", env=env)
    assert done.returncode == 4
    assert done.json["clusters"][0]["error"]["code"] == "CLUSTER_UNREACHABLE"


def test_a_part_that_can_not_be_had_is_not_zero(aiops: Aiops, endpoints: Endpoints, telecom: Cluster) -> None:
    env = endpoints({"metrics-only": {"prometheus": telecom.prometheus.url}})
    done = aiops("cnf", "summary", "-o", "json", env=env)
    assert done.returncode == 3
    (row,) = done.json["items"]
    assert row["workloads"] is None and "no kubeconfig context" in row["missing"]["workloads"]
    assert row["clocks"] == 2 and row["vfsConfigured"] == 2 and row["vfsTotal"] is None
    assert row["sriovNodes"] == 2 and row["sriovNodesInSync"] is None and row["pfsDown"] is None
    csv = list(DictReader(StringIO(aiops("cnf", "summary", "-o", "csv", env=env).stdout)))
    assert [csv[0][c] for c in ("synced", "sriov nodes", "ready", "workloads")] == ["", "2", "", ""]
    assert "-" not in csv[0].values() and float(csv[0]["offset_ns"]) == 7 and "p99_ns" in csv[0]


def test_where_nothing_was_judged_nothing_is_counted(aiops: Aiops) -> None:
    done = aiops("cnf", "summary", "--bundle", "demo", "-o", "json")
    assert done.json["items"]
    assert {(r["critical"], r["warnings"]) for r in done.json["items"] if r["clocks"] is None} == {
        (None, None)
    }
