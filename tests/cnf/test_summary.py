"""`aiops cnf summary`: one row a cluster, with what can't be had left open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from csv import DictReader
from io import StringIO
from typing import Any

import pytest

from aiops_cli.config.settings import Settings
from aiops_cli.errors import ErrorCode, NotAvailableError
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services import ptp
from aiops_cli.services.cnf_summary import summarise
from aiops_cli.services.fleet import LiveMember
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
    alone = aiops("cnf", "sriov", "-o", "json", env=env)
    assert alone.json["clusters"][0]["error"]["code"] == "CLUSTER_UNREACHABLE"


def test_a_part_that_can_not_be_had_is_not_zero(aiops: Aiops, endpoints: Endpoints, telecom: Cluster) -> None:
    env = endpoints({"metrics-only": {"prometheus": telecom.prometheus.url}})
    done = aiops("cnf", "summary", "-o", "json", env=env)
    assert done.returncode == 3
    (row,) = done.json["items"]
    warnings = " ".join(done.json["clusters"][0]["warnings"])
    assert warnings.count("no kubeconfig context") == 1 and "sriov: only what the exporter says" in warnings
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


async def test_clocks_are_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nothing(LiveMember):
        name = "east"
        context = None

        def __init__(self) -> None:
            pass

        async def missing(self) -> Any:
            raise NotAvailableError("there is none", code=ErrorCode.PROMETHEUS_NOT_AVAILABLE)

        metrics = kube = missing

        def exporters(self, what: str) -> list[Any]:
            return []

    asked = []
    real = ptp.list_clocks

    async def counted(members: Any, window: TimeRange, step: float, *more: Any, **named: Any) -> ptp.Clocks:
        asked.append((window, step))
        return await real(members, window, step, *more, **named)

    monkeypatch.setattr(ptp, "list_clocks", counted)
    window = TimeRange(0.0, 3600.0)
    await summarise([Nothing()], Settings(), window, 15.0, 3600.0)
    assert asked == [(window, 15.0)]
