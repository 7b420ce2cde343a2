"""The fleet against real API servers: what is listed, learned, probed and remembered."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Aiops
from tests.faults.files import cluster_entry, write_config, write_kubeconfig
from tests.faults.fixtures import Here
from tests.faults.stub import Stub, dead_address
from tests.gpu.exporter import Exporter
from tests.servers.cluster import Cluster
from tests.servers.fleet import Fleet


@pytest.fixture
def aiops(here: Here) -> Here:
    """What is said does not hang on the process."""
    return here


def kubeconfig(home: Path, *clusters: Cluster) -> None:
    write_kubeconfig(
        home / ".kube" / "config",
        clusters=[
            cluster_entry(c.name, c.apiserver.url, ca=c.apiserver.authority.certificate) for c in clusters
        ],
        users={c.name: {"token": c.token} for c in clusters},
        contexts={c.name: (c.name, c.name) for c in clusters},
    )


def test_discovery_finds_and_remembers_with_evidence(
    aiops: Aiops, home: Path, east: Cluster, service_proxy: str
) -> None:
    kubeconfig(home, east)

    done = aiops("clusters", "discover", "-o", "json")

    assert done.returncode == 0, done.stderr
    found = {item["signal"]: item for item in done.json["items"]}
    assert set(found) == {"prometheus", "alertmanager", "loki", "jaeger"}
    for item in found.values():
        assert item["via"] == "proxy"
        assert item["url"].startswith(f"{east.apiserver.url}/api/v1/namespaces/")
        assert item["evidence"]
    # later commands need no discovery, and say where they know it from
    shown = aiops("clusters", "show", "east")
    assert (
        f"prometheus   {found['prometheus']['url']}  (proxy: {found['prometheus']['evidence']}, "
        in shown.stdout
    )
    assert " ago)" in shown.stdout
    listed = aiops("clusters", "list", "-o", "json").json["items"][0]
    assert [e["signal"] for e in listed["endpoints"]] == ["prometheus", "alertmanager", "loki", "jaeger"]
    assert listed["version"].startswith("v1.")
    assert {f["key"] for f in listed["facts"]} >= {"version", "platform", "kube_system_uid", "nodes"}


def test_a_query_discovers_by_itself_and_goes_through_the_service_proxy(
    aiops: Aiops, home: Path, east: Cluster, service_proxy: str
) -> None:
    kubeconfig(home, east)
    east.prometheus.wait_for("up")

    done = aiops("metrics", "query", "up", "--debug", "-o", "json")

    assert done.returncode == 0
    assert {i["cluster"] for i in done.json["items"]} == {"east"}
    requests = [line for line in done.stderr.splitlines() if "/proxy/api/v1/query " in line]
    assert requests
    again = aiops("metrics", "query", "up", "--debug", "-o", "name")
    assert len(again.stderr.splitlines()) == 1  # learned: one request, the query


def test_an_explicit_url_wins(aiops: Aiops, home: Path, east: Cluster, well: Stub) -> None:
    kubeconfig(home, east)
    write_config(home, {"east": {"prometheus": well.url}})

    aiops("clusters", "discover")
    done = aiops("metrics", "query", "up", "-o", "name")

    assert done.stdout == 'east/up{job="node"}\n'


def test_discovery_can_be_switched_off(aiops: Aiops, home: Path, east: Cluster) -> None:
    kubeconfig(home, east)
    write_config(home, {}, "[clusters.east]\ndiscover = false\n")

    done = aiops("metrics", "query", "up")

    assert done.returncode == 4
    assert "east: PROMETHEUS_NOT_AVAILABLE: no prometheus is known for cluster 'east'" in done.stderr
    assert "aiops clusters discover -c east" in done.stderr


def test_somebody_who_may_see_nothing_finds_nothing(aiops: Aiops, home: Path, east: Cluster) -> None:
    write_kubeconfig(
        home / ".kube" / "config",
        clusters=[cluster_entry("c", east.apiserver.url, ca=east.apiserver.authority.certificate)],
        users={"viewer": {"token": east.apiserver.viewer_token}},
        contexts={"east": ("c", "viewer")},
    )

    done = aiops("clusters", "discover", "-o", "json")

    assert done.json["items"] == []
    assert any("403" in w for w in done.json["clusters"][0]["warnings"])
    assert "east: warning: " in done.stderr


def test_health_of_a_whole_and_a_broken_cluster(aiops: Aiops, home: Path, fleet3: Fleet) -> None:
    west = fleet3["west"]
    west.prometheus.kill()

    done = aiops("clusters", "health", "-c", "east", "-c", "west", "-o", "json", env=fleet3.env)

    assert done.returncode == 0
    east, broken = done.json["items"]
    assert (east["cluster"], east["state"], east["score"], east["connectivity"]) == (
        "east",
        "ONLINE",
        100,
        "CONNECTED",
    )
    parts = dict.fromkeys(("apiServer", "prometheus", "alertmanager", "tempo", "loki"), "OK")
    assert east["components"] == parts
    assert (broken["state"], broken["score"], broken["connectivity"]) == ("DEGRADED", 80, "INTERMITTENT")
    assert broken["components"] == parts | {"prometheus": "DOWN"}
    assert broken["error"]["code"] == "CLUSTER_UNREACHABLE"
    assert broken["checkedAt"].endswith("Z")


def test_a_cluster_whose_api_server_is_away(aiops: Aiops, home: Path, east: Cluster) -> None:
    write_kubeconfig(
        home / ".kube" / "config",
        clusters=[
            cluster_entry("east", east.apiserver.url, ca=east.apiserver.authority.certificate),
            cluster_entry("gone", dead_address().replace("http:", "https:")),
        ],
        users={"me": {"token": east.token}},
        contexts={"east": ("east", "me"), "gone": ("gone", "me")},
    )

    done = aiops("clusters", "health", "-o", "json")

    assert done.returncode == 3
    items = {i["cluster"]: i for i in done.json["items"]}
    assert items["east"]["components"]["apiServer"] == "OK"
    assert (items["gone"]["state"], items["gone"]["connectivity"]) == ("OFFLINE", "DISCONNECTED")
    assert items["gone"]["components"]["apiServer"] == "DOWN"
    assert "gone: CLUSTER_UNREACHABLE: could not connect: connection refused" in done.stderr


def test_health_is_remembered(aiops: Aiops, home: Path, well: Stub) -> None:
    write_config(home, {"a": {"prometheus": well.url}})
    for _ in range(2):
        aiops("clusters", "health")

    history = aiops("clusters", "health", "--history", "-o", "json")

    assert [(i["cluster"], i["components"]["prometheus"]) for i in history.json["items"]] == [("a", "OK")] * 2
    assert len(well.asked) == 2


def test_what_a_cluster_has_not_is_unknown_and_costs_nothing(aiops: Aiops, home: Path, well: Stub) -> None:
    write_config(home, {"a": {"prometheus": well.url}})

    (item,) = aiops("clusters", "health", "-o", "json").json["items"]

    assert {name: state for name, state in item["components"].items() if state} == {"prometheus": "OK"}
    assert (item["score"], item["state"]) == (100, "ONLINE")


def test_three_clusters_and_one_killed_in_the_middle(aiops: Aiops, fleet3: Fleet) -> None:
    for name in ("east", "west"):
        fleet3[name].prometheus.wait_for("up")
    fleet3["west"].prometheus.kill()

    done = aiops("metrics", "query", "count(up)", "-o", "json", env=fleet3.env)

    assert done.returncode == 3
    assert {i["cluster"] for i in done.json["items"]} == {"east", "north"}
    assert [c["status"] for c in done.json["clusters"]] == ["SUCCESS", "ERROR", "SUCCESS"]
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("west: ")]
    assert "connection refused" in line and "check that the server is up" in line


def test_two_contexts_of_one_server_are_asked_once(
    aiops: Aiops, home: Path, east: Cluster, service_proxy: str
) -> None:
    write_kubeconfig(
        home / ".kube" / "config",
        clusters=[cluster_entry("c", east.apiserver.url, ca=east.apiserver.authority.certificate)],
        users={"me": {"token": east.token}},
        contexts={"a": ("c", "me"), "b": ("c", "me")},
    )

    done = aiops("metrics", "query", "vector(1)", "-o", "json")

    assert [i["cluster"] for i in done.json["items"]] == ["a"]


@pytest.mark.parametrize("command", ["clusters discover", "clusters health"])
def test_commands_that_make_no_sense_without_live_clusters(aiops: Aiops, command: str) -> None:
    assert aiops(*command.split()).returncode == 2


def test_exporters_that_config_names_are_listed(aiops: Aiops, home: Path) -> None:
    """One URL stands for a list of one."""
    config = home / "exporters.toml"
    config.write_text(
        '[clusters.edge.endpoints]\ndcgm = "http://10.0.0.5:9400/metrics"\n'
        'ptp = ["http://10.0.0.5:9091/metrics", "http://10.0.0.6:9091/metrics"]\n'
    )
    env = {"AIOPS_CONFIG": str(config)}
    (entry,) = aiops("clusters", "list", "-o", "json", env=env).json["items"]
    assert [(e["signal"], e["url"], e["via"]) for e in entry["endpoints"]] == [
        ("dcgm", "http://10.0.0.5:9400/metrics", "config"),
        ("ptp", "http://10.0.0.5:9091/metrics", "config"),
        ("ptp", "http://10.0.0.6:9091/metrics", "config"),
    ]
    assert "dcgm,ptp " in aiops("clusters", "list", env=env).stdout
    assert "http://10.0.0.6:9091/metrics  (config" in aiops("clusters", "show", "edge", env=env).stdout


def test_exporters_that_config_names_have_a_part_in_health(aiops: Aiops, home: Path) -> None:
    with Exporter('DCGM_FI_DEV_GPU_TEMP{gpu="0"} 40\n').running() as good:
        config = home / "exporters.toml"
        config.write_text(
            f'[clusters.one.endpoints]\ndcgm = "{good.url}"\n'
            f'[clusters.two.endpoints]\ndcgm = "{good.url}"\nptp = "http://{dead_address()}/metrics"\n'
        )
        done = aiops("clusters", "health", "-o", "json", env={"AIOPS_CONFIG": str(config)})
    one, two = done.json["items"]
    assert ({k: v for k, v in one["components"].items() if v}, one["state"], one["score"]) == (
        {"dcgm": "OK"},
        "ONLINE",
        100,
    )
    assert (two["components"]["ptp"], two["state"], two["score"]) == ("DOWN", "DEGRADED", 100)
    assert two["error"]["code"] == "CLUSTER_UNREACHABLE"
