"""Events, workloads and changes of a real API server, with its own controllers where rollouts matter."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest

from aiops_cli.errors import AuthError, ClusterError, ErrorCode
from aiops_cli.models.signals import Change
from aiops_cli.models.timerange import TimeRange
from aiops_cli.sources import kubernetes
from aiops_cli.transport.client import Reply
from tests.conftest import Clusters
from tests.servers.cluster import Cluster
from tests.servers.kube import Object
from tests.sources.conftest import Connect, KubeConnect
from tests.sources.stub import Stub

T = TypeVar("T")
_unique = itertools.count()


@pytest.fixture
def cluster(clusters: Clusters) -> Cluster:
    return clusters("sources", {"apiserver"})


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    """A namespace of the test's own."""
    name = f"test{next(_unique)}"
    cluster.kube.namespace(name)
    return name


def _recent() -> TimeRange:
    return TimeRange(time.time() - 600, time.time() + 60)


async def until(ask: Callable[[], Awaitable[T]], done: Callable[[T], object]) -> T:
    """Ask again until the controllers have done their part; fails after 30 seconds."""
    async with asyncio.timeout(30):
        while not done(answer := await ask()):
            await asyncio.sleep(0.1)
    return answer


async def test_version_uid_and_readiness(cluster: Cluster, kube_connect: KubeConnect) -> None:
    source = kube_connect(cluster)
    await source.ready()
    assert (await source.version()).startswith("v1.")
    system = cluster.kube.get("/api/v1/namespaces/kube-system")
    assert await source.namespace_uid() == system["metadata"]["uid"]
    assert (await source.get_json("/api/v1/namespaces/kube-system"))["metadata"]["name"] == "kube-system"


async def test_events_old_and_new_have_their_effective_time(
    cluster: Cluster, kube_connect: KubeConnect, namespace: str
) -> None:
    pod = cluster.kube.pod(namespace, "web-1")
    now = datetime.now(UTC).replace(microsecond=0)
    old = now - timedelta(minutes=5)
    cluster.kube.event(pod, "BackOff", "restarting failed container", at=old, count=7)
    cluster.kube.event(pod, "TooOld", "of yesterday", at=now - timedelta(days=1))
    micro = (now - timedelta(minutes=2)).strftime("%Y-%m-%dT%H:%M:%S.250000Z")
    cluster.kube.create(
        "Event",
        {
            "metadata": {"generateName": "web-1.", "namespace": namespace},
            "involvedObject": {"kind": "Pod", "name": "web-1", "namespace": namespace},
            "eventTime": (now - timedelta(minutes=9)).strftime("%Y-%m-%dT%H:%M:%S.000000Z"),
            "series": {"count": 3, "lastObservedTime": micro},
            "type": "Normal",
            "reason": "Probing",
            "message": "new style",
            "action": "Probe",
            "reportingComponent": "test",
            "reportingInstance": "test-1",
        },
    )
    answer = await kube_connect(cluster).events(_recent())
    rows = [e for e in answer.rows if e.namespace == namespace]
    assert [(e.reason, e.type, e.count) for e in rows] == [
        ("BackOff", "Warning", 7),
        ("Probing", "Normal", 3),
    ]
    assert rows[0].at == old.timestamp()
    assert rows[1].at == now.timestamp() - 119.75
    assert (rows[0].kind, rows[0].name) == ("Pod", "web-1")
    assert rows[0].message == "restarting failed container"
    assert not answer.partial


async def test_lists_are_read_to_their_last_page(
    cluster: Cluster, kube_connect: KubeConnect, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes, "_PAGE", "7")
    for i in range(23):
        cluster.kube.create("ConfigMap", {"metadata": {"name": f"c{i:02d}", "namespace": namespace}})
    source = kube_connect(cluster)
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    names = [f"c{i:02d}" for i in range(23)]
    assert [row["metadata"]["name"] for row in await source.items(path, dict)] == names
    body = await source.get_json(path)
    assert [row["metadata"]["name"] for row in body["items"]] == names
    assert body["kind"] == "ConfigMapList"


async def test_a_list_that_expires_while_it_is_read_is_begun_again(stub: Stub, connect: Connect) -> None:
    page = {"metadata": {"continue": "more"}, "items": [{"metadata": {"name": "a"}}]}
    gone = {"kind": "Status", "reason": "Expired", "code": 410, "message": "The provided continue is too old"}
    stub.on("/api/v1/pods", page)
    stub.on("/api/v1/pods", gone, status=410)
    stub.on("/api/v1/pods", {"metadata": {}, "items": [{"metadata": {"name": "b"}}]})
    source = kubernetes.KubernetesSource(connect(stub.url))
    assert [row["metadata"]["name"] for row in await source.items("/api/v1/pods", dict)] == ["b"]
    assert [a.params.get("continue") for a in stub.asked] == [None, "more", None]
    stub.answers["/api/v1/pods"] = [(410, b"{}", "application/json")]
    with pytest.raises(ClusterError, match="410"):
        await source.items("/api/v1/pods", dict)


async def test_pods_are_followed_to_what_made_them(
    cluster: Cluster, kube_connect: KubeConnect, namespace: str
) -> None:
    kube = cluster.kube
    deployment = kube.deployment(namespace, "cart", image="cart:1")
    replica_set = kube.replica_set(deployment, "abc", image="cart:1", revision=1)
    statuses = [
        {
            "name": "main",
            "restartCount": 4,
            "ready": True,
            "image": "cart:1",
            "imageID": "cart:1",
            "state": {},
            "lastState": {},
        }
    ]
    kube.pod(namespace, "cart-abc-1", node="n1", owner=replica_set, status={"containerStatuses": statuses})
    kube.pod(namespace, "alone", phase="Pending")
    rows = {w.pod: w for w in (await kube_connect(cluster).workloads()).rows if w.namespace == namespace}
    cart = rows["cart-abc-1"]
    assert (cart.owner_kind, cart.owner, cart.node) == ("Deployment", "cart", "n1")
    assert (cart.phase, cart.restarts, cart.labels["app"]) == ("Running", 4, "cart")
    alone = rows["alone"]
    assert (alone.owner_kind, alone.owner, alone.node, alone.phase) == (None, None, None, "Pending")


def _changes_of(rows: list[Change], name: str) -> list[tuple[str, str]]:
    return [(c.what, c.detail) for c in rows if c.name == name]


def _container(image: str, env: dict[str, str], memory: str) -> Object:
    return {
        "name": "main",
        "image": image,
        "env": [{"name": k, "value": v} for k, v in env.items()],
        "resources": {"limits": {"memory": memory}},
    }


async def test_rollouts_by_the_real_controllers_say_what_changed(
    clusters: Clusters, kube_connect: KubeConnect
) -> None:
    """A scaling by hand, a rollout with four changes, and a rollback to the first revision."""
    cluster = clusters("rollouts", {"apiserver", "controllers"})
    kube, source = cluster.kube, kube_connect(cluster)
    before = {"POOL_SIZE": "20", "DB_PASSWORD": "hunter2"}
    after = {"POOL_SIZE": "2", "DB_PASSWORD": "hunter3"}
    template = {
        "metadata": {"labels": {"app": "pay"}},
        "spec": {"containers": [_container("pay:1", before, "256Mi")]},
    }
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "pay"}}, "template": template}
    kube.create("Deployment", {"metadata": {"name": "pay", "namespace": "default"}, "spec": spec})

    async def changes() -> list[Change]:
        return (await source.changes(_recent())).rows

    def seen(count: int) -> Callable[[list[Change]], bool]:
        return lambda rows: sum(c.what == "rollout" and c.name == "pay" for c in rows) == count

    rows = await until(changes, seen(1))
    assert ("rollout", "created with image pay:1") in _changes_of(rows, "pay")

    scale = f"{cluster.apiserver.url}/apis/apps/v1/namespaces/default/deployments/pay/scale"
    headers = {"Content-Type": "application/merge-patch+json"}
    kube.http.patch(scale, json={"spec": {"replicas": 3}}, headers=headers).raise_for_status()
    rows = await until(changes, lambda rows: any(c.what == "scaling" for c in rows))
    (scaling,) = [d for what, d in _changes_of(rows, "pay") if what == "scaling"]
    assert scaling.endswith("from 1 to 3")

    edit = {"spec": {"containers": [_container("pay:2", after, "128Mi")]}}
    kube.patch("Deployment", "pay", {"spec": {"template": edit}})
    rows = await until(changes, seen(2))
    detail = next(d for what, d in _changes_of(rows, "pay") if "1 → 2" in d)
    assert detail == (
        "revision 1 → 2: image of main pay:1 → pay:2; env DB_PASSWORD of main changed; "
        "env POOL_SIZE of main 20 → 2; memory limit of main 256Mi → 128Mi"
    )
    assert "hunter" not in str(rows)

    undo = {"spec": {"containers": [_container("pay:1", before, "256Mi")]}}
    began = int(time.time())
    kube.patch("Deployment", "pay", {"spec": {"template": undo}})
    rows = await until(changes, lambda rows: any("2 → 3" in c.detail for c in rows))
    rollback = next(c for c in rows if "2 → 3" in c.detail)
    assert "image of main pay:2 → pay:1" in rollback.detail
    assert began <= rollback.at <= time.time()


async def test_config_edits_and_failed_conditions_are_changes(
    cluster: Cluster, kube_connect: KubeConnect, namespace: str
) -> None:
    kube = cluster.kube
    kube.create(
        "ConfigMap", {"metadata": {"name": "limits", "namespace": namespace}, "data": {"password": "hunter2"}}
    )
    lock = {"control-plane.alpha.kubernetes.io/leader": "{}"}
    kube.create("ConfigMap", {"metadata": {"name": "lock", "namespace": namespace, "annotations": lock}})
    kube.deployment(namespace, "cart", image="cart:1")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    condition = {
        "type": "Available",
        "status": "False",
        "reason": "MinimumReplicasUnavailable",
        "message": "Deployment does not have minimum availability.",
        "lastTransitionTime": now,
        "lastUpdateTime": now,
    }
    kube.patch(
        "Deployment", "cart", {"status": {"conditions": [condition]}}, namespace=namespace, status=True
    )
    answer = await kube_connect(cluster).changes(_recent())
    rows = [c for c in answer.rows if c.namespace == namespace]
    assert {(c.what, c.kind, c.name) for c in rows} == {
        ("config", "ConfigMap", "limits"),
        ("condition", "Deployment", "cart"),
    }
    details = {c.what: c.detail for c in rows}
    assert details["config"].startswith("created by ")
    assert details["condition"].startswith("Available=False MinimumReplicasUnavailable")
    assert "hunter2" not in str(answer)


async def test_revisions_of_a_stateful_set_are_rollouts(
    cluster: Cluster, kube_connect: KubeConnect, namespace: str
) -> None:
    kube = cluster.kube
    labels = {"app": "db"}
    spec = {
        "serviceName": "db",
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "main", "image": "db:1"}]},
        },
    }
    owner = kube.create("StatefulSet", {"metadata": {"name": "db", "namespace": namespace}, "spec": spec})
    reference = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "name": "db",
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }
    for number, image in ((1, "db:1"), (2, "db:2")):
        template = {"spec": {"containers": [{"name": "main", "image": image}]}, "$patch": "replace"}
        kube.create(
            "ControllerRevision",
            {
                "metadata": {
                    "name": f"db-{number}",
                    "namespace": namespace,
                    "ownerReferences": [reference],
                },
                "revision": number,
                "data": {"spec": {"template": template}},
            },
        )
    rows = (await kube_connect(cluster).changes(_recent())).rows
    assert [(c.kind, c.name, c.detail) for c in rows if c.namespace == namespace] == [
        ("StatefulSet", "db", "created with image db:1"),
        ("StatefulSet", "db", "revision 1 → 2: image of main db:1 → db:2"),
    ]


def _allow(cluster: Cluster, namespace: str, *resources: str) -> None:
    """Let the user `viewer` list those in that namespace alone."""
    meta = {"name": "reader", "namespace": namespace}
    rule = {"apiGroups": ["", "apps", "batch"], "resources": list(resources), "verbs": ["get", "list"]}
    cluster.kube.apply("Role", {"metadata": meta, "rules": [rule]})
    cluster.kube.apply(
        "RoleBinding",
        {
            "metadata": meta,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
            "subjects": [{"kind": "User", "name": "viewer", "apiGroup": "rbac.authorization.k8s.io"}],
        },
    )


async def test_who_may_read_one_namespace_gets_that_and_is_told(
    cluster: Cluster, kube_connect: KubeConnect, namespace: str
) -> None:
    _allow(cluster, namespace, "pods", "deployments")
    cluster.kube.pod(namespace, "mine")
    cluster.kube.deployment(namespace, "cart", image="cart:1")
    source = kube_connect(cluster, token=cluster.apiserver.viewer_token, namespace=namespace)
    pods = await source.workloads()
    assert [w.pod for w in pods.rows] == ["mine"]
    assert pods.partial
    assert pods.warnings == [f"pods: only those of namespace {namespace}, others may not be listed"]
    changes = await source.changes(_recent())
    assert changes.partial
    assert any("replicasets" in w and "403" in w for w in changes.warnings)


async def test_who_may_read_nothing_is_told_so(
    cluster: Cluster, kube_connect: KubeConnect, namespace: str
) -> None:
    source = kube_connect(cluster, token=cluster.apiserver.viewer_token, namespace=namespace)
    for ask in (source.events(_recent()), source.workloads(), source.changes(_recent())):
        with pytest.raises(AuthError) as caught:
            await ask
        assert caught.value.code is ErrorCode.FORBIDDEN
        assert 'User "viewer" cannot list resource' in caught.value.message
    await source.ready()  # being let in is enough to see that it lives


async def test_a_wrong_token_and_a_missing_object(cluster: Cluster, kube_connect: KubeConnect) -> None:
    with pytest.raises(AuthError) as refused:
        await kube_connect(cluster, token="wrong").ready()
    assert refused.value.code is ErrorCode.CREDENTIALS_INVALID
    with pytest.raises(ClusterError) as missing:
        await kube_connect(cluster).namespace_uid("nowhere")
    assert missing.value.code is ErrorCode.NOT_FOUND


@pytest.mark.parametrize(
    ("status", "body", "code", "said"),
    [
        (500, "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed", ErrorCode.KUBERNETES_NOT_AVAILABLE, "etcd failed"),
        (200, "ok", None, ""),
    ],
)  # fmt: skip
async def test_an_api_server_without_its_etcd_is_not_ready(
    stub: Stub, connect: Connect, status: int, body: str, code: ErrorCode | None, said: str
) -> None:
    stub.on("/readyz", body, status=status, kind="text/plain")
    source = kubernetes.KubernetesSource(connect(stub.url))
    if code is None:
        await source.ready()
        return
    with pytest.raises(ClusterError, match=said) as caught:
        await source.ready()
    assert caught.value.code is code


async def test_a_page_that_is_no_list_is_a_bad_answer(stub: Stub, connect: Connect) -> None:
    stub.on("/api/v1/pods", "<html>proxy</html>", kind="text/html")
    with pytest.raises(ClusterError, match="HTML page") as caught:
        await kubernetes.KubernetesSource(connect(stub.url)).workloads()
    assert caught.value.code is ErrorCode.BAD_ANSWER


async def test_the_data_of_secrets_never_leaves_the_server(
    cluster: Cluster, kube_connect: KubeConnect, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    meta = {"name": "db", "namespace": namespace}
    cluster.kube.create("Secret", {"metadata": meta, "data": {"password": "aHVudGVyMg=="}})
    source = kube_connect(cluster)
    bodies: list[bytes] = []
    ask = source.client.get

    async def get(path: str, *args: object, **kwargs: object) -> Reply:
        reply = await ask(path, *args, **kwargs)  # type: ignore[arg-type]
        if "secrets" in path:
            bodies.append(bytes(reply.body))
        return reply

    monkeypatch.setattr(source.client, "get", get)
    answer = await source.timeline(_recent(), ["config"], namespace)
    assert [(c.kind, c.name) for c in answer.rows if c.kind == "Secret"] == [("Secret", "db")]
    assert b'"db"' in bodies[0]
    assert b"aHVudGVyMg" not in b"".join(bodies)


async def test_an_api_that_a_server_does_not_have_lacks_nothing(stub: Stub, connect: Connect) -> None:
    """Autoscalers of v2 are younger than some servers; what fails otherwise is said."""
    quota = {
        "metadata": {"name": "small", "namespace": "shop"},
        "status": {"hard": {"pods": "1k", "cpu": "2", "odd": "many"}, "used": {"pods": "950", "cpu": "500m"}},
    }
    stub.on("/api/v1/resourcequotas", {"metadata": {}, "items": [quota]})
    missing = {"kind": "Status", "reason": "NotFound", "message": "the server could not find it"}
    stub.on("/apis/autoscaling/v2/horizontalpodautoscalers", missing, status=404)
    stub.on("/api/v1/nodes", {"kind": "Status", "message": "etcd is slow"}, status=500)
    source = kubernetes.KubernetesSource(connect(stub.url))
    window = TimeRange(time.time() - 600, time.time())
    answer = await source.timeline(window, ["quota", "autoscaler"])
    (row,) = answer.rows
    assert isinstance(row, Change)
    assert (row.at, row.detail) == (window.end, "pods 950 of 1k (95%); as of now")
    assert (answer.warnings, answer.partial) == ([], False)
    partly = await source.timeline(window, ["quota", "node"])
    assert len(partly.rows) == 1
    assert partly.partial
    assert partly.warnings[0].startswith("without nodes: ")


async def test_pages_without_an_end_are_given_up(stub: Stub, connect: Connect) -> None:
    """A proxy that drops `continue` gives the first page for ever."""
    stub.on("/api/v1/pods", {"metadata": {"continue": "more"}, "items": [{"metadata": {"name": "a"}}]})
    with pytest.raises(ClusterError, match="the same page of /api/v1/pods") as caught:
        await kubernetes.KubernetesSource(connect(stub.url)).items("/api/v1/pods", dict)
    assert caught.value.code is ErrorCode.BAD_ANSWER
