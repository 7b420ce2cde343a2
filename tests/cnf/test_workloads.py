"""`aiops cnf workloads` against a real API server and a real Prometheus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from aiops_cli.analysis.cnf_functions import patterns
from aiops_cli.analysis.ptp import Clock
from aiops_cli.config.settings import Settings
from aiops_cli.errors import ErrorCode, NotAvailableError
from aiops_cli.models.cnf_objects import CnfPod
from aiops_cli.models.ptp import PtpClock
from aiops_cli.models.result import ClusterStatus, FleetResult
from aiops_cli.models.signals import Workload
from aiops_cli.services import cnf_workloads
from aiops_cli.services.bundle import FORMAT, ClusterParts, Manifest, RecordedCluster, RecordedKube
from aiops_cli.services.cnf_workloads import Wanted
from aiops_cli.services.fleet import LiveMember
from aiops_cli.services.ptp import Clocks
from aiops_cli.services.record import write
from tests.conftest import Aiops
from tests.servers.cluster import Cluster


def test_functions_with_what_matters_of_their_nodes(aiops: Aiops, env: dict[str, str]) -> None:
    done = aiops("cnf", "workloads", "-o", "json", env=env)
    assert done.returncode == 0, done.stderr
    rows = {i["name"]: i for i in done.json["items"]}
    du = rows["vdu-0"]
    assert (du["function"], du["matched"]) == ("vDU", "label app.kubernetes.io/name=vdu")
    assert (du["ready"], du["pods"], du["restarts"], du["nodes"]) == (1, 1, 3, ["worker-0"])
    assert (du["vfs"], du["hugepagesBytes"], du["realTimeKernel"]) == (1, 4 << 30, True)
    assert du["ptpState"] == "HOLDOVER"
    upf = rows["upf-0"]
    assert (upf["function"], upf["ptpState"], upf["realTimeKernel"]) == ("UPF", "LOCKED", False)
    assert "job-1" not in rows
    found = {(f["code"], f["entity"]["name"]) for f in done.json["findings"]}
    (clock,) = [f for f in done.json["findings"] if f["code"] == "CNF_CLOCK_NOT_LOCKED" and "vdu-0" in str(f)]
    assert clock["since"] == du["ptpSince"]
    assert ("CNF_CLOCK_NOT_LOCKED", "vdu-0") in found and ("CNF_NOT_READY", "vdu-1") in found


def test_clocks_that_can_not_be_asked_are_a_failure(aiops: Aiops, blind: dict[str, str]) -> None:
    done = aiops("cnf", "workloads", "-o", "json", env=blind)
    assert done.returncode == 3
    (cluster,) = done.json["clusters"]
    assert cluster["status"] == "PARTIAL"
    assert any(w.startswith("clocks: ") for w in cluster["warnings"])
    assert {i["ptpState"] for i in done.json["items"]} == {None}


def test_pods_of_a_deployment_are_one_workload(aiops: Aiops, env: dict[str, str], telecom: Cluster) -> None:
    kube = telecom.kube
    kube.namespace("amf")
    deployment = kube.deployment("amf", "oai-amf", image="registry.example/amf:1", replicas=2)
    replica_set = kube.replica_set(
        deployment, "5d8f9", image="registry.example/amf:1", revision=1, replicas=2
    )
    for suffix in ("x2x2x", "z4z4z"):
        kube.pod("amf", f"oai-amf-5d8f9-{suffix}", node="worker-1", owner=replica_set)
    done = aiops("cnf", "workloads", "-n", "amf", "-f", "amf", "-o", "json", env=env)
    (row,) = done.json["items"]
    assert (row["kind"], row["name"], row["pods"], row["ready"]) == ("Deployment", "oai-amf", 2, 0)


def test_words_and_namespaces_are_in_the_config(aiops: Aiops, env: dict[str, str], telecom: Cluster) -> None:
    own = telecom.home / "own.toml"
    text = Path(env["AIOPS_CONFIG"]).read_text(encoding="utf-8")
    own.write_text(f'{text}\n[cnf]\nfunctions = {{ RU = ["upf*"] }}\nexclude_namespaces = ["ran"]\n')
    done = aiops("cnf", "workloads", "-o", "name", env={**env, "AIOPS_CONFIG": str(own)})
    assert "telecom/core/upf-0" in done.stdout and "ran/" not in done.stdout


def test_a_bundle_tells_what_was_recorded(aiops: Aiops, home: Path) -> None:
    pods = [
        Workload("upf-0", "core", "n1", "StatefulSet", "upf", "Running", {"app": "upf"}, 2),
        Workload("upf-1", "core", "n2", "StatefulSet", "upf", "Running", {"app": "upf"}, 0),
    ]
    parts = {"lab": ClusterParts(kube=RecordedKube("v1.33.0", workloads=pods))}
    clusters = [RecordedCluster("lab", None, {}, {})]
    write(Manifest(FORMAT, "test", 0.0, 100.0, 15.0, clusters, {}, [], [], None), parts, home / "core.bundle")
    done = aiops("cnf", "workloads", "--bundle", str(home / "core.bundle"), "-o", "json")
    (row,) = done.json["items"]
    assert (row["function"], row["pods"], row["restarts"], row["nodes"]) == ("UPF", 2, 2, ["n1", "n2"])
    assert row["ready"] is None and row["missing"]["ready"] == "not recorded in this bundle"
    assert done.json["clusters"][0]["source"] == "bundle"


def test_a_cluster_without_functions_says_so(aiops: Aiops) -> None:
    done = aiops("cnf", "workloads", "--bundle", "demo")
    assert done.returncode == 0 and "NO_NETWORK_FUNCTIONS: " in done.stderr


def test_what_matches_nothing_passes_no_check(aiops: Aiops, env: dict[str, str]) -> None:
    for command, flags in (
        ("workloads", ("-n", "typo")),
        ("workloads", ("-n", "core", "-f", "vDU")),
        ("dpdk", ("-n", "typo")),
    ):
        done = aiops("cnf", command, *flags, "--fail-on", "critical", env=env)
        assert done.returncode == 4, done.stdout
        assert flags[-1] in done.stderr
    done = aiops("cnf", "workloads", "-f", "bogus", env=env)
    assert done.returncode == 2 and "'bogus'" in done.stderr and "vDU, vCU" in done.stderr


def test_help_has_the_tables_of_the_config(aiops: Aiops) -> None:
    assert "[cnf] in the config" in " ".join(aiops("cnf", "workloads", "--help").stdout.split())


def _clock(process: str, state: str, **known: bool) -> Clock:
    row = PtpClock("c", "n1", process, "ens1fx", state, None, None, None, "FAIL", "")  # type: ignore[arg-type]
    return Clock(row, **known)


@pytest.mark.parametrize(
    ("clocks", "said"),
    [
        ([_clock("T-GM", "FREERUN"), _clock("ptp4l", "LOCKED")], "FREERUN or HOLDOVER"),
        ([_clock("T-GM", "FREERUN"), _clock("ptp4l", "FREERUN", tells_holdover=True)], "clock is FREERUN"),
        ([_clock("T-GM", "FREERUN", has_dpll=True)], "clock is FREERUN"),
    ],
)
async def test_what_may_be_holdover_is_not_called_freerun(clocks: list[Clock], said: str) -> None:
    async def asked() -> Clocks:
        return Clocks(FleetResult([c.row for c in clocks], [ClusterStatus("c", "SUCCESS")]), clocks, [])

    known, failed = await cnf_workloads._ptp(LiveMember.__new__(LiveMember), Settings(), Wanted(1.0), asked())
    pod = msgspec.convert(
        {
            "metadata": {"name": "vdu-0", "namespace": "ran", "labels": {"app": "vdu"}},
            "spec": {"nodeName": "n1"},
            "status": {"phase": "Running"},
        },
        CnfPod,
    )
    (row,) = cnf_workloads._grouped("c", [(pod, (None, None))], patterns({}), (), (), (), known)
    (text,) = [f.text for f in cnf_workloads._findings(row) if f.code == "CNF_CLOCK_NOT_LOCKED"]
    assert row.ptp_state == "FREERUN" and failed == [] and said in text
    assert (row.ptp_doubt is not None) is ("or HOLDOVER" in text)


async def test_a_past_that_only_a_page_could_tell_is_no_state_of_now() -> None:
    class Paged(LiveMember):
        name = "edge"
        context = None

        def __init__(self) -> None:
            pass

        async def metrics(self) -> Any:
            raise NotAvailableError("there is none", code=ErrorCode.PROMETHEUS_NOT_AVAILABLE)

        def exporters(self, what: str) -> list[Any]:
            return ["a page"]  # which nobody opens

    known, failed = await cnf_workloads._ptp(Paged(), Settings(), Wanted(1e9, now=2e9), None)
    assert isinstance(known, str) and "know only now" in known and failed == []
