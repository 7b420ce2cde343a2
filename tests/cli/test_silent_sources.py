"""A source that a cluster has and that does not answer is told, found or learned; one it has not is no gap."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.alert_servers import post_alerts
from tests.conftest import Clusters
from tests.faults.files import cluster_entry, write_kubeconfig
from tests.faults.fixtures import Here
from tests.servers.cluster import Cluster


@pytest.fixture
def aiops(here: Here) -> Here:
    return here


@pytest.fixture
def quiet(clusters: Clusters, home: Path, service_proxy: str) -> Cluster:
    """A cluster that is known by its API alone, with an Alertmanager and a Prometheus."""
    cluster = clusters("quiet", {"apiserver", "alertmanager", "prometheus"})
    write_kubeconfig(
        home / ".kube" / "config",
        clusters=[cluster_entry("quiet", cluster.apiserver.url, ca=cluster.apiserver.authority.certificate)],
        users={"me": {"token": cluster.token}},
        contexts={"quiet": ("quiet", "me")},
    )
    return cluster


@pytest.mark.parametrize("learned", [True, False])
def test_an_alertmanager_that_is_down_is_told_by_every_command(
    aiops: Here, quiet: Cluster, learned: bool
) -> None:
    if learned:
        assert aiops("clusters", "discover").returncode == 0
    quiet.alertmanager.kill()

    for _ in range(2):  # what the first one learns makes the second no quieter
        listed = aiops("alerts", "list", "-o", "json")
        assert listed.returncode == 3
        (status,) = listed.json["clusters"]
        assert status["status"] == "PARTIAL"
        (warning,) = status["warnings"]
        assert warning.startswith("Alertmanager: ") and "silences are not known" in warning
    silences = aiops("alerts", "silence", "list")
    assert silences.returncode == 4
    assert "quiet: SERVER_ERROR" in silences.stderr and "no alertmanager is known" not in silences.stderr

    found = aiops("clusters", "discover", "-o", "json")
    assert found.returncode == 3
    assert "alertmanager" in {i["signal"] for i in found.json["items"]}
    assert "quiet: warning: alertmanager does not answer" in found.stderr
    (item,) = aiops("clusters", "health", "-o", "json").json["items"]
    assert (item["components"]["alertmanager"], item["state"], item["score"]) == ("DOWN", "DEGRADED", 100)
    assert item["components"]["loki"] is None

    quiet.alertmanager.start()
    assert aiops("alerts", "list").returncode == 0


def test_a_prometheus_that_is_down_makes_alerts_partial(aiops: Here, quiet: Cluster) -> None:
    post_alerts(quiet.alertmanager.url, {"alertname": "Posted", "severity": "critical"})
    quiet.prometheus.kill()

    listed = aiops("alerts", "list", "-o", "json")

    assert listed.returncode == 3
    assert [i["name"] for i in listed.json["items"]] == ["Posted"]
    assert "Prometheus: " in listed.stderr and "new ones do not come" in listed.stderr
    assert aiops("alerts", "list", "--allow-partial").returncode == 0


def test_a_cluster_that_never_had_one_is_whole(
    aiops: Here, clusters: Clusters, home: Path, service_proxy: str
) -> None:
    bare = clusters("bare", {"apiserver", "alertmanager"})
    write_kubeconfig(
        home / ".kube" / "config",
        clusters=[cluster_entry("bare", bare.apiserver.url, ca=bare.apiserver.authority.certificate)],
        users={"me": {"token": bare.token}},
        contexts={"bare": ("bare", "me")},
    )

    listed = aiops("alerts", "list")

    assert (listed.returncode, listed.stderr) == (0, "nothing found\n")
