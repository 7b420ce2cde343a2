"""Telecom views of a bundle that was recorded from real servers say what the live ones said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiops_cli.services.bundle import open_bundle
from tests.conftest import Aiops
from tests.servers.cluster import Cluster


@pytest.fixture
def bundle(aiops: Aiops, env: dict[str, str], home: Path, telecom: Cluster) -> str:
    # A recording ends at a whole step: what began just now is not in it.
    telecom.prometheus.wait_for("sum(rate(sriov_vf_rx_dropped[5m] offset 3s)) > 10")
    telecom.prometheus.wait_for("count(openshift_ptp_clock_state offset 3s) == 2")
    file = home / "telecom.aiops"
    done = aiops("bundle", "record", str(file), "--since", "1m", "--step", "1s", env=env)
    assert file.exists(), done.stderr
    return str(file)


def _kept(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: row[name] for name in names}


def test_views_of_a_bundle(aiops: Aiops, env: dict[str, str], bundle: str) -> None:
    live = aiops("cnf", "sriov", "-o", "json", env=env).json
    kept = aiops("cnf", "sriov", "-o", "json", "--bundle", bundle).json
    same = (
        "node",
        "pf",
        "vfsUsed",
        "vfsConfigured",
        "linkState",
        "policies",
        "resources",
        "networks",
        "numaNode",
    )
    assert [_kept(r, *same) for r in kept["items"]] == [_kept(r, *same) for r in live["items"]]
    assert kept["items"][0]["rates"]["rxDropped"] > 10
    assert {f["code"] for f in kept["findings"]} == {f["code"] for f in live["findings"]}
    assert kept["clusters"][0]["source"] == "bundle"

    live = aiops("cnf", "dpdk", "ran/vdu-0", "-o", "json", env=env).json["items"][0]
    pod = aiops("cnf", "dpdk", "ran/vdu-0", "-o", "json", "--bundle", bundle).json["items"][0]
    alike = ("hugepages", "qosClass", "profile", "isolatedCpus", "realTimeKernel")
    assert _kept(pod, *alike) == _kept(live, *alike)
    assert pod["missing"]["throttledPeriodsPerSecond"] == "not recorded in this bundle"

    rows = {r["name"]: r for r in aiops("cnf", "workloads", "-o", "json", "--bundle", bundle).json["items"]}
    du = rows["vdu-0"]
    assert (du["ready"], du["vfs"], du["realTimeKernel"], du["ptpState"]) == (1, 1, True, "HOLDOVER")

    (row,) = aiops("cnf", "summary", "-o", "json", "--bundle", bundle).json["items"]
    assert (row["vfsUsed"], row["clocksLocked"], row["missing"]) == (3, 1, {})


def test_annotations_that_no_view_reads_stay_out(bundle: str) -> None:
    objects = open_bundle(bundle).members[0].cnf_objects()
    annotations = {key for pod in objects.pods or () for key in pod.metadata.annotations}
    assert annotations == {"k8s.v1.cni.cncf.io/network-status", "irq-load-balancing.crio.io"}
    others = [*objects.policies, *objects.networks, *objects.profiles]
    assert len(others) == 5 and "hunter2" not in repr(others)


def test_exec_is_for_live_clusters(aiops: Aiops, bundle: str) -> None:
    done = aiops("cnf", "dpdk", "ran/vdu-0", "--exec", "--bundle", bundle)
    assert done.returncode == 2 and "--exec asks live clusters" in done.stderr
