"""One cluster in full, on a real API server with its own controllers."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from aiops_cli.errors import ClusterError, ErrorCode
from aiops_cli.models.cluster_detail import NamespaceItem, NodeItem
from aiops_cli.models.options import Options
from aiops_cli.models.result import Answer
from aiops_cli.services import cluster_detail
from aiops_cli.services.session import Session, open_session
from aiops_cli.sources import kubernetes_inventory as inventory
from aiops_cli.sources.kubernetes import KubernetesSource
from tests.conftest import Clusters
from tests.servers.cluster import Cluster
from tests.servers.fleet import Fleet
from tests.sources.conftest import KubeConnect, kube_connect

__all__ = ["kube_connect"]  # the fixture
_unique = itertools.count()
READY = {"conditions": [{"type": "Ready", "status": "True"}]}


@pytest.fixture
def cluster(clusters: Clusters) -> Cluster:
    return clusters("sources", {"apiserver"})


@pytest.fixture
def space(cluster: Cluster) -> str:
    name = f"detail{next(_unique)}"
    cluster.kube.namespace(name)
    return name


async def _nodes(source: KubernetesSource) -> Answer[NodeItem]:
    return await inventory.nodes(source, "lab", await inventory.attempt(inventory.pods(source)))


async def _spaces(source: KubernetesSource) -> Answer[NamespaceItem]:
    return await inventory.namespaces(source, "lab", await inventory.attempt(inventory.pods(source)))


async def test_nodes_with_capacity_pods_and_what_is_not_well(
    cluster: Cluster, kube_connect: KubeConnect, space: str
) -> None:
    kube, good, bad = cluster.kube, f"{space}-good", f"{space}-bad"
    role = {"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/gpu": ""}
    kube.node(good, labels=role)
    kube.patch(
        "Node",
        good,
        {
            "status": {
                "capacity": {"cpu": "16", "memory": "65536Ki", "pods": "110", "nvidia.com/gpu": "8"},
                "allocatable": {"nvidia.com/gpu": "8", "nvidia.com/mig-1g.10gb": "2"},
                "nodeInfo": _INFO,
                "addresses": [{"type": "InternalIP", "address": "10.0.0.7"}],
            }
        },
        status=True,
    )
    kube.node(bad, ready=False)
    kube.patch("Node", bad, {"spec": {"unschedulable": True}})
    kube.pod(space, "one", node=good, status=READY)
    kube.pod(space, "done", node=good, phase="Succeeded")
    answer = await _nodes(kube_connect(cluster))
    rows = {n.name: n for n in answer.rows}
    names = [n.name for n in answer.rows]
    assert names.index(bad) < names.index(good), "what is not well stands first"
    node = rows[good]
    assert (node.ready, node.roles, node.version) == ("True", ["gpu", "worker"], "v1.34.4")
    assert (node.cpu, node.memory, node.gpus) == ("16", "64Mi", 10)
    assert (node.pods, node.pods_capacity, node.address) == (1, "110", "10.0.0.7"), (
        "an ended pod is not counted"
    )
    assert not node.conditions
    broken = rows[bad]
    assert (broken.ready, broken.cordoned) == ("False", True)
    assert broken.conditions == ["NotReady (KubeletNotReady: container runtime is down)"]


_INFO = dict.fromkeys(
    ("machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "containerRuntimeVersion",
     "kubeProxyVersion", "operatingSystem", "architecture"), "x",
) | {"kubeletVersion": "v1.34.4"}  # fmt: skip


async def test_namespaces_with_pods_that_are_not_ready_and_why(
    cluster: Cluster, kube_connect: KubeConnect, space: str
) -> None:
    kube = cluster.kube
    kube.pod(space, "well", status=READY | {"containerStatuses": [_container("main", restarts=3)]})
    crash = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    for name in ("crash-a", "crash-b"):
        kube.pod(space, name, status={"containerStatuses": [_container("main", restarts=5, state=crash)]})
    kube.pod(space, "lonely", phase="Pending", status={"conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]})  # fmt: skip
    kube.pod(space, "done", phase="Succeeded")
    kube.http.post(
        f"/api/v1/namespaces/{space}/resourcequotas",
        json={"metadata": {"name": "q"}, "spec": {"hard": {"pods": "10", "cpu": "4"}}},
    ).raise_for_status()
    path = f"/api/v1/namespaces/{space}/resourcequotas/q/status"
    status = {"status": {"hard": {"pods": "10", "cpu": "4"}, "used": {"pods": "4", "cpu": "3800m"}}}
    kube.http.patch(
        path, json=status, headers={"Content-Type": "application/merge-patch+json"}
    ).raise_for_status()
    source = kube_connect(cluster)
    async with asyncio.timeout(30):
        while True:  # the quota controller may count anew meanwhile
            answer = await _spaces(source)
            row = next(n for n in answer.rows if n.name == space)
            if row.quota is not None:
                break
            await asyncio.sleep(0.1)
    assert (row.phase, row.pods, row.not_ready, row.restarts) == ("Active", 4, 3, 13)
    assert row.reasons == ["CrashLoopBackOff 2", "Unschedulable"]
    assert row.quota_used is not None
    assert not answer.partial
    assert answer.rows[0].not_ready >= row.not_ready


def _container(name: str, *, restarts: int = 0, state: Any = None) -> dict[str, Any]:
    return {
        "name": name,
        "image": "registry.example/app:1",
        "imageID": "",
        "ready": state is None,
        "restartCount": restarts,
        "state": state or {"running": {"startedAt": "2026-11-25T00:00:00Z"}},
    }


async def test_what_one_may_not_list_is_left_out_and_said(
    cluster: Cluster, kube_connect: KubeConnect, space: str
) -> None:
    """Someone who sees the pods of one namespace alone."""
    kube = cluster.kube
    kube.pod(space, "mine", status=READY)
    meta = {"name": "reader", "namespace": space}
    kube.apply(
        "Role", {"metadata": meta, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]}
    )
    kube.apply(
        "RoleBinding",
        {
            "metadata": meta,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
            "subjects": [{"kind": "User", "name": "viewer", "apiGroup": "rbac.authorization.k8s.io"}],
        },
    )
    source = kube_connect(cluster, token=cluster.apiserver.viewer_token, namespace=space)
    answer = await _spaces(source)
    assert [(n.name, n.pods, n.phase) for n in answer.rows] == [(space, 1, None)]
    assert answer.partial
    assert any("namespaces without pods are not known" in w for w in answer.warnings)
    with pytest.raises(ClusterError) as refused:
        await _nodes(source)
    assert refused.value.code is ErrorCode.FORBIDDEN


@pytest.fixture
async def session(fleet3: Fleet, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Session]:
    for name, value in fleet3.env.items():
        monkeypatch.setenv(name, value)
    opened, close = open_session(Session, Options())
    yield opened
    await close()


async def test_each_part_has_its_way_its_latency_or_its_failure(session: Session, fleet3: Fleet) -> None:
    fleet3["east"].loki.kill()
    east = next(m for m in session.members if m.name == "east")
    found = await cluster_detail.detail(east, session.registry, None)
    assert (found.health.state, found.health.score) == ("DEGRADED", 85)
    rows = {e.part: e for e in found.result.rows}
    api = rows["api server"]
    assert (api.state, api.via, api.evidence) == ("OK", "direct", "the kubeconfig")
    assert api.latency_ms is not None
    assert api.latency_ms > 0
    assert rows["prometheus"].url == fleet3["east"].urls["prometheus"]
    loki = rows["loki"]
    assert (loki.state, loki.latency_ms, loki.via) == ("DOWN", None, "config")
    assert loki.why is not None
    assert "jaeger" in rows


async def test_facts_are_the_labels_and_what_discovery_learned(session: Session) -> None:
    north = next(m for m in session.live if m.name == "north")
    await north.discover()
    rows = {f.key: f for f in cluster_detail.facts(north, session.registry, None).rows}
    assert rows["version"].value.startswith("v1.")
    assert rows["version"].evidence == "/version"
    east = next(m for m in session.members if m.name == "east")
    known = {f.key: f.value for f in cluster_detail.facts(east, session.registry, None).rows}
    assert known["label environment"] == "test"


async def test_a_bundle_has_the_namespaces_of_its_pods_and_says_what_it_lacks() -> None:
    opened, close = open_session(Session, Options(bundle="demo"))
    try:
        member = opened.members[0]
        found = await cluster_detail.inventory(member)
        assert {n.name: n.pods for n in found.namespaces.rows}["shop"] == 8
        error = found.nodes.clusters[0].error
        assert error is not None
        assert error.code == ErrorCode.NOT_RECORDED
        detail = await cluster_detail.detail(member, opened.registry, opened.bundle)
        assert [e.state for e in detail.result.rows] == ["OK"] * 5
        assert all(e.latency_ms is None for e in detail.result.rows)
    finally:
        await close()
