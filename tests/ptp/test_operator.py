"""The PTP operator's objects in a real API server, beside metrics: profiles, thresholds, ports, the sidecar."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.conftest import Aiops, Clusters
from tests.ptp.exporter import Daemon, Pages
from tests.servers.fleet import Fleet
from tests.servers.kube import Kube

API, NAMESPACE = "/apis/ptp.openshift.io/v1", "openshift-ptp"
KINDS = {
    "ptpconfigs": "PtpConfig",
    "nodeptpdevices": "NodePtpDevice",
    "ptpoperatorconfigs": "PtpOperatorConfig",
}
BOUNDARY = "[global]\nboundary_clock_jbod 1\n[ens1f0]\nmasterOnly 0\n[ens1f1]\nmasterOnly 1\n"


def define(kube: Kube) -> None:
    """The operator's CRDs, with their names and no schema, served."""
    for plural, kind in KINDS.items():
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
        kube.apply(
            "CustomResourceDefinition",
            {
                "metadata": {"name": f"{plural}.ptp.openshift.io"},
                "spec": {
                    "group": "ptp.openshift.io",
                    "scope": "Namespaced",
                    "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
                    "versions": [version],
                },
            },
        )
    deadline = time.monotonic() + 30
    for plural in KINDS:
        while True:
            try:
                kube.get(f"{API}/{plural}")
                break
            except httpx2.HTTPStatusError:
                assert time.monotonic() < deadline, f"{plural} is not served"
                time.sleep(0.1)


def put(kube: Kube, plural: str, name: str, **body: Any) -> None:
    manifest = {
        "apiVersion": "ptp.openshift.io/v1",
        "kind": KINDS[plural],
        "metadata": {"name": name, "namespace": NAMESPACE},
        **body,
    }
    kube.http.post(f"{API}/namespaces/{NAMESPACE}/{plural}", json=manifest).raise_for_status()


@pytest.fixture(scope="module")
def fleet(clusters: Clusters) -> Iterator[Fleet]:
    """`ran`: an API server with the operator's objects, and a Prometheus over two nodes' metrics."""
    cluster = clusters("ran", {"apiserver", "prometheus"})
    pages = Pages()
    for name, port in (("du-1", "ens1f0"), ("du-2", "ens2f0")):
        node = Daemon(name, (port,))
        node.line("ptp4l[1.0]: [ptp4l.0.config] port 1: UNCALIBRATED to SLAVE on MASTER_CLOCK_SELECTED")
        node.line("ptp4l[1.1]: [ptp4l.0.config] master offset -240 s2 freq -3972 path delay 89")
        pages.pages[name] = node.text
        cluster.prometheus.add_targets(
            name, [f"{pages.host}:{pages.port}"], {"__metrics_path__": f"/{name}/metrics"}
        )
    kube = cluster.kube
    kube.namespace(NAMESPACE)
    define(kube)
    put(
        kube,
        "ptpconfigs",
        "du",
        spec={
            "profile": [
                {
                    "name": "bc",
                    "ptp4lConf": BOUNDARY,
                    "ptpClockThreshold": {
                        "holdOverTimeout": 9,
                        "maxOffsetThreshold": 300,
                        "minOffsetThreshold": -250,
                    },
                },
                {"name": "slave", "interface": "ens2f0", "ptp4lConf": "[global]\nslaveOnly 1\n"},
            ],
            "recommend": [{"profile": "bc", "priority": 4, "match": [{"nodeLabel": "ran"}]}],
        },
        status={
            "matchList": [
                {"nodeName": "du-1", "profile": "bc"},
                {"nodeName": "du-2", "profile": "slave"},
                {"nodeName": "du-3", "profile": "slave"},
            ]
        },
    )
    put(kube, "nodeptpdevices", "du-2", spec={}, status={"devices": [{"name": "ens2f0"}, {"name": "ens3f0"}]})
    put(
        kube,
        "ptpoperatorconfigs",
        "default",
        spec={"daemonNodeSelector": {}, "ptpEventConfig": {"enableEventPublisher": False}},
    )
    cluster.prometheus.wait_for("count(openshift_ptp_clock_state) == 2")
    fleet = Fleet([cluster])
    fleet.write()
    yield fleet
    pages.close()


@pytest.fixture
def answer(fleet: Fleet, aiops: Aiops) -> Any:
    done = aiops("cnf", "ptp", "--since", "5m", "--step", "1s", "-o", "json", env=fleet.env)
    assert done.returncode == 0, done.stderr
    return done.json


def test_a_profiles_own_threshold_judges_its_nodes(answer: Any) -> None:
    rows = {r["node"]: r for r in answer["items"]}
    boundary, slave = rows["du-1"], rows["du-2"]
    assert (boundary["profile"], boundary["clockType"], boundary["limitNs"]) == ("bc", "T-BC", 300)
    assert boundary["verdict"] != "FAIL", "-240 ns are within -250 to 300"
    assert "profile bc" in boundary["reason"]
    assert (slave["profile"], slave["clockType"], slave["limitNs"], slave["verdict"]) == (
        "slave",
        "OC",
        100,
        "FAIL",
    )


def test_a_node_with_a_profile_and_no_metrics_is_a_finding(answer: Any) -> None:
    (missing,) = [f for f in answer["findings"] if f["code"] == "PTP_NODE_WITHOUT_METRICS"]
    assert missing["entity"]["name"] == "du-3"


def test_who_may_not_read_ptpconfigs_still_sees_the_clocks(fleet: Fleet, aiops: Aiops) -> None:
    kube = fleet.clusters[0].kube
    kube.delete("CustomResourceDefinition", "ptpconfigs.ptp.openshift.io")
    done = aiops("cnf", "ptp", "--since", "5m", "--step", "1s", "-o", "json", env=fleet.env)
    assert done.returncode == 0, done.stderr
    rows = {r["node"]: r for r in done.json["items"]}
    assert rows["du-1"]["profile"] is None
    assert rows["du-1"]["limitNs"] == 100
