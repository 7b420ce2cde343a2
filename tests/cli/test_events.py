"""`aiops events` against a real API server: real rollouts and scalings by the controllers, and what kubelets
and other controllers would write put there by hand."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Aiops, Clusters, Finished, Standalone
from tests.faults.stub import Stub, answer
from tests.servers.apiserver import ControllerManager
from tests.servers.cluster import Cluster
from tests.servers.fleet import Fleet
from tests.servers.kube import Object, rfc3339

_unique = itertools.count()
Row = dict[str, Any]


class MoreControllers(ControllerManager):
    """Those of quotas and autoscalers. There are no metrics, which the autoscaler says."""

    name = "more-controllers"

    def command(self) -> list[str]:
        own = "--controllers=resourcequota-controller,horizontal-pod-autoscaler-controller"
        others = [part for part in super().command() if not part.startswith("--controllers=")]
        return [*others, own, "--horizontal-pod-autoscaler-sync-period=1s"]


@pytest.fixture(scope="module")
def cluster(clusters: Clusters) -> Cluster:
    return clusters("events", {"apiserver", "controllers"})


@pytest.fixture
def env(cluster: Cluster) -> dict[str, str]:
    fleet = Fleet([cluster])
    fleet.write()
    return fleet.env


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    name = f"shop{next(_unique)}"
    cluster.kube.namespace(name)
    return name


@pytest.fixture
def viewer(cluster: Cluster, home: Path) -> Callable[[str], dict[str, str]]:
    """`viewer(namespace)`: an environment of a user who is allowed nothing until a role says so."""

    def make(namespace: str) -> dict[str, str]:
        cluster_entry, user = cluster.apiserver.kubeconfig_parts("token")
        user["user"] = {"token": cluster.apiserver.viewer_token}
        context = {"cluster": cluster_entry["name"], "user": user["name"], "namespace": namespace}
        written = home / "viewer.yaml"
        written.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [cluster_entry],
                    "users": [user],
                    "contexts": [{"name": "events", "context": context}],
                    "current-context": "events",
                }
            )
        )
        return {"KUBECONFIG": str(written)}

    return make


def until(ask: Callable[[], Finished], done: Callable[[list[Row]], object]) -> list[Row]:
    """Ask again until the controllers have done their part; fails after 60 seconds."""
    for _ in range(120):
        answer = ask()
        assert answer.returncode in (0, 3), answer.stderr
        rows: list[Row] = answer.json["items"]
        if done(rows):
            return rows
        time.sleep(0.5)
    raise AssertionError(f"never came: {rows}")


def post(cluster: Cluster, path: str, body: Object) -> Object:
    reply = cluster.kube.http.post(path, json=body)
    assert not reply.is_error, reply.text
    made: Object = reply.json()
    return made


def deployment(namespace: str, name: str, image: str, pool: str, config: str, password: str) -> Object:
    container = {
        "name": "main",
        "image": image,
        "env": [{"name": "POOL_SIZE", "value": pool}, {"name": "DB_PASSWORD", "value": password}],
        "envFrom": [{"configMapRef": {"name": config}}],
    }
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template},
    }


def test_a_rollout_a_scaling_and_edits_on_one_axis(
    aiops: Aiops, cluster: Cluster, env: dict[str, str], namespace: str
) -> None:
    kube = cluster.kube
    began = datetime.now(UTC) - timedelta(seconds=1)
    for name in ("limits-a", "limits-b"):
        kube.create("ConfigMap", {"metadata": {"name": name, "namespace": namespace}, "data": {"rps": "5"}})
    first = deployment(namespace, "pay", "pay:1", "20", "limits-a", "hunter2")
    kube.create("Deployment", first)

    def ask(*more: str) -> Finished:
        return aiops("events", "pay", "-n", namespace, "-o", "json", *more, env=env)

    def rollouts(count: int) -> Callable[[list[Row]], bool]:
        return lambda rows: sum(r["type"] == "rollout" for r in rows) == count

    until(ask, rollouts(1))
    scale = f"/apis/apps/v1/namespaces/{namespace}/deployments/pay/scale"
    headers = {"Content-Type": "application/merge-patch+json"}
    kube.http.patch(scale, json={"spec": {"replicas": 3}}, headers=headers).raise_for_status()
    until(ask, lambda rows: any(r["type"] == "scaling" for r in rows))
    second = deployment(namespace, "pay", "pay:2", "2", "limits-b", "hunter3")
    del second["spec"]["replicas"]
    kube.patch("Deployment", "pay", second, namespace=namespace)
    until(ask, rollouts(2))
    kube.patch("ConfigMap", "limits-b", {"data": {"rps": "1"}}, namespace=namespace)
    rows = until(ask, lambda rows: any(r["kind"] == "ConfigMap" for r in rows))

    rollout = [r for r in rows if r["type"] == "rollout"][-1]
    assert (rollout["kind"], rollout["name"], rollout["namespace"]) == ("Deployment", "pay", namespace)
    assert rollout["what"] == (
        "revision 1 → 2: image of main pay:1 → pay:2; env DB_PASSWORD of main changed; "
        "env POOL_SIZE of main 20 → 2; envFrom of main ConfigMap limits-a → ConfigMap limits-b"
    )
    image = {"field": "image", "change": "changed", "container": "main", "before": "pay:1", "after": "pay:2"}
    assert rollout["differences"][0] == image
    assert (rollout["differences"][1]["before"], rollout["differences"][1]["after"]) == (None, None)
    (scaling,) = [r for r in rows if r["type"] == "scaling"]
    assert scaling["what"].endswith("from 1 to 3")
    assert not any(r["type"] == "normal" and r["what"].endswith(scaling["what"]) for r in rows)
    config = [r for r in rows if r["kind"] == "ConfigMap"]
    assert [(r["name"], r["workloads"]) for r in config] == [("limits-b", ["pay"])]
    assert config[0]["what"].endswith("; read by pay")
    # What it made is there by owner and by name, in order of time, each at the time it really was.
    assert {r["kind"] for r in rows} >= {"Deployment", "ReplicaSet", "ConfigMap"}
    times = [r["time"] for r in rows]
    assert times == sorted(times)
    assert all(rfc3339(began) <= t <= rfc3339(datetime.now(UTC) + timedelta(seconds=1)) for t in times)
    assert "hunter" not in json.dumps(rows)

    only = ask("--type", "change").json["items"]
    assert {r["type"] for r in only} == {"rollout", "scaling", "config"}
    kinds = aiops("events", "-n", namespace, "--kind", "cm", "-o", "json", env=env).json["items"]
    assert {r["name"] for r in kinds if r["type"] == "config"} >= {"limits-a", "limits-b"}
    assert {r["kind"] for r in kinds} == {"ConfigMap"}
    table = aiops("events", "pay", "-n", namespace, "--type", "rollout", env=env)
    assert "image of main pay:1 → pay:2" in table.stdout.splitlines()[-1]
    assert "NAMESPACE" not in table.stdout
    csv = aiops("events", "pay", "-n", namespace, "--type", "rollout", "-o", "csv", env=env)
    assert csv.stdout.splitlines()[0] == "cluster,time,type,object,namespace,what,count,workloads"


def test_only_what_a_workload_made_is_its_own(aiops: Aiops, clusters: Clusters) -> None:
    """Pods by owner; those that are gone by the names Kubernetes generates; nothing of `cart-db`.

    Without controllers, which would do away with pods that they did not make.
    """
    cluster = clusters("sources", {"apiserver"})
    kube, env, namespace = cluster.kube, {"KUBECONFIG": str(cluster.kubeconfig)}, f"cart{time.time_ns()}"
    kube.namespace(namespace)
    for name in ("cart", "cart-db"):
        made = kube.deployment(namespace, name, image=f"{name}:1", replicas=0)
        replica_set = kube.replica_set(made, "5d9c7b6f5d", image=f"{name}:1", revision=1, replicas=0)
        pod = kube.pod(namespace, f"{name}-5d9c7b6f5d-x2x4z", owner=replica_set)
        kube.event(pod, "BackOff", f"there {name}")
        gone = {**pod, "metadata": {**pod["metadata"], "name": f"{name}-5d9c7b6f5d-zzzzz", "uid": "gone"}}
        kube.event(gone, "Killing", f"gone {name}", type="Normal")
    found = aiops("events", "deploy/cart", "-n", namespace, "--type", "warning,normal", "-o", "json", env=env)
    said = {r["what"] for r in found.json["items"] if r["kind"] == "Pod"}
    assert said == {"BackOff: there cart", "Killing: gone cart"}


def test_nodes_ended_containers_and_evictions(
    aiops: Aiops, cluster: Cluster, env: dict[str, str], namespace: str
) -> None:
    kube, node = cluster.kube, f"node-{namespace}"
    kube.node(node)
    broke = datetime.now(UTC) - timedelta(minutes=2)
    conditions = [
        {"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": "PLEG is not healthy"},
        {"type": "MemoryPressure", "status": "True", "reason": "KubeletHasInsufficientMemory", "message": ""},
        {"type": "DiskPressure", "status": "False", "reason": "KubeletHasNoDiskPressure", "message": ""},
    ]
    for condition in conditions:
        condition |= {"lastTransitionTime": rfc3339(broke), "lastHeartbeatTime": rfc3339(None)}
    kube.patch("Node", node, {"status": {"conditions": conditions}}, status=True)
    # What the node lifecycle controller makes of a cordon.
    taint = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule", "timeAdded": rfc3339(broke)}
    kube.patch("Node", node, {"spec": {"unschedulable": True, "taints": [taint]}})
    kube.node(f"{node}-too")
    kube.patch("Node", f"{node}-too", {"spec": {"unschedulable": True}})

    killed = datetime.now(UTC) - timedelta(minutes=1)
    ended = {
        "exitCode": 137,
        "reason": "OOMKilled",
        "finishedAt": rfc3339(killed),
        "startedAt": rfc3339(broke),
    }
    container = {
        "name": "main",
        "restartCount": 4,
        "ready": False,
        "image": "a",
        "imageID": "a",
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": ended},
    }
    kube.pod(namespace, "hungry", node=node, status={"containerStatuses": [container]})
    evicted = {
        "reason": "Evicted",
        "message": "The node was low on resource: memory.",
        "conditions": [
            {
                "type": "DisruptionTarget",
                "status": "True",
                "reason": "TerminationByKubelet",
                "lastTransitionTime": rfc3339(killed),
            }
        ],
    }
    kube.pod(namespace, "unlucky", phase="Failed", node=node, status=evicted)

    nodes = aiops("events", f"node/{node}", "-o", "json", env=env)
    assert nodes.returncode == 0, nodes.stderr
    rows = [(r["time"][:19], r["what"]) for r in nodes.json["items"]]
    at = rfc3339(broke)[:19]
    assert (at, "Ready=False KubeletNotReady: PLEG is not healthy") in rows
    assert (at, "MemoryPressure=True KubeletHasInsufficientMemory") in rows
    whats = [what for _, what in rows]
    assert "joined the cluster" in whats
    assert (at, "cordoned: no new pods come here") in rows
    other = aiops("events", f"node/{node}-too", "-o", "json", env=env).json["items"]
    assert other[-1]["what"] == "cordoned: no new pods come here; as of now"
    assert not any("DiskPressure" in what for what in whats)
    assert {r["namespace"] for r in nodes.json["items"]} == {None}

    pods = aiops("events", "-n", namespace, "--type", "restart", "-o", "json", env=env).json["items"]
    assert [(r["name"], r["what"], r["count"]) for r in pods] == [
        ("hungry", "container main restarted after OOMKilled (exit code 137), now CrashLoopBackOff", 4),
        ("unlucky", "Evicted: The node was low on resource: memory.", 1),
    ]
    assert {r["time"][:19] for r in pods} == {rfc3339(killed)[:19]}


def test_a_quota_at_its_limit_and_an_autoscaler_by_their_real_controllers(
    aiops: Aiops, cluster: Cluster, env: dict[str, str], namespace: str, standalone: Standalone
) -> None:
    standalone.start(MoreControllers(standalone.home / "more-controllers", cluster.apiserver))
    post(
        cluster,
        f"/api/v1/namespaces/{namespace}/resourcequotas",
        {"metadata": {"name": "small"}, "spec": {"hard": {"pods": "2", "count/configmaps": "100"}}},
    )
    autoscaler = {
        "metadata": {"name": "web"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 2,
            "maxReplicas": 5,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
                }
            ],
        },
    }
    cluster.kube.create("Deployment", deployment(namespace, "web", "web:1", "1", "none", "hunter2"))
    post(cluster, f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers", autoscaler)

    def ask(*more: str) -> Finished:
        return aiops("events", "-n", namespace, "-o", "json", *more, env=env)

    rows = until(
        lambda: ask("--type", "quota"),
        lambda rows: any("pods 2 of 2 (at the limit)" in r["what"] for r in rows),
    )
    (quota,) = rows
    assert (quota["kind"], quota["name"]) == ("ResourceQuota", "small")
    assert "configmaps" not in quota["what"]

    rows = until(lambda: ask("--kind", "hpa"), lambda rows: any("ScalingActive" in r["what"] for r in rows))
    created = next(r for r in rows if r["what"].startswith("created by "))
    assert "Deployment/web: " in created["what"]
    assert "2 to 5 allowed; cpu unknown of 80%" in created["what"]
    assert created["workloads"] == ["web"]
    assert any(r["what"].startswith("ScalingActive=False FailedGetResourceMetric") for r in rows)
    # One scaling from 1 to the least that is allowed: told once, by its event.
    scaled = [r for r in rows if "rescale" in r["what"].lower() or "New size: 2" in r["what"]]
    assert [r["type"] for r in scaled] == ["scaling"]
    only = ask("web", "--type", "autoscaler")
    assert only.returncode == 0, only.stderr
    assert {r["kind"] for r in only.json["items"]} == {"HorizontalPodAutoscaler"}, only.stdout


def test_times_of_secrets_without_their_data(
    aiops: Aiops, cluster: Cluster, env: dict[str, str], namespace: str
) -> None:
    meta = {"name": "db", "namespace": namespace}
    cluster.kube.create("Secret", {"metadata": meta, "stringData": {"password": "hunter2"}})
    found = aiops("events", "-n", namespace, "--kind", "secret", "-o", "json", "--debug", env=env)
    (row,) = [r for r in found.json["items"] if r["type"] == "config"]
    assert (row["name"], row["what"].split()[0]) == ("db", "created")
    assert "hunter2" not in found.stdout + found.stderr
    assert "aHVudGVyMg" not in found.stdout + found.stderr


def _allow(cluster: Cluster, namespace: str, *resources: str) -> None:
    meta = {"name": "reader", "namespace": namespace}
    rule = {"apiGroups": ["", "apps", "batch"], "resources": list(resources), "verbs": ["get", "list"]}
    cluster.kube.apply("Role", {"metadata": meta, "rules": [rule]})
    subject = {"kind": "User", "name": "viewer", "apiGroup": "rbac.authorization.k8s.io"}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
    cluster.kube.apply("RoleBinding", {"metadata": meta, "roleRef": reference, "subjects": [subject]})


def test_what_may_not_be_listed_is_told_and_the_rest_shown(
    aiops: Aiops, cluster: Cluster, viewer: Callable[[str], dict[str, str]], namespace: str
) -> None:
    _allow(cluster, namespace, "pods", "events")
    pod = cluster.kube.pod(namespace, "mine")
    cluster.kube.event(pod, "Unhealthy", "Readiness probe failed")
    env = viewer(namespace)
    some = aiops("events", "-o", "json", env=env)
    assert some.returncode == 3
    assert "Unhealthy: Readiness probe failed" in {r["what"] for r in some.json["items"]}
    (status,) = some.json["clusters"]
    assert status["status"] == "PARTIAL"
    assert status["warnings"] == [
        f"only namespace {namespace} of events, pods: others may not be listed",
        "without configmaps, controllerrevisions, deployments, horizontalpodautoscalers, nodes, replicasets, "
        "resourcequotas, secrets: they may not be listed",
    ]
    whole = aiops("events", "-n", namespace, "--type", "warning,restart", env=env)
    assert (whole.returncode, whole.stderr) == (0, "")
    nothing = aiops("events", "--type", "node", env=env)
    assert nothing.returncode == 5
    assert "FORBIDDEN" in nothing.stderr


def test_text_from_a_cluster_is_harmless(
    aiops: Aiops, cluster: Cluster, env: dict[str, str], namespace: str
) -> None:
    pod = cluster.kube.pod(namespace, "evil")
    cluster.kube.event(pod, "Failed", "\x1b]0;owned\x07\x1b[2J\u202e and\nmore")
    for form in ("table", "json", "csv", "md", "yaml"):
        shown = aiops("events", "evil", "-n", namespace, "-o", form, env=env)
        assert "owned" in shown.stdout
        assert not any(c in shown.stdout for c in "\x1b\x07\u202e")


def test_a_cluster_that_is_away_is_told_and_the_others_shown(
    aiops: Aiops, cluster: Cluster, namespace: str, home: Path
) -> None:
    pod = cluster.kube.pod(namespace, "here")
    cluster.kube.event(pod, "BackOff", "restarting")
    config = json.loads(cluster.kubeconfig.read_text())
    config["clusters"].append({"name": "away", "cluster": {"server": "https://127.0.0.1:1"}})
    config["contexts"].append({"name": "away", "context": {"cluster": "away", "user": "none"}})
    config["users"].append({"name": "none", "user": {"token": "x"}})
    written = home / "two.yaml"
    written.write_text(json.dumps(config))
    found = aiops("events", "-n", namespace, "-o", "json", env={"KUBECONFIG": str(written)})
    assert found.returncode == 3
    assert {r["cluster"] for r in found.json["items"]} == {"events"}
    assert "away: CLUSTER_UNREACHABLE" in found.stderr


def test_a_recording_answers_the_same(
    aiops: Aiops, cluster: Cluster, env: dict[str, str], namespace: str, home: Path
) -> None:
    kube = cluster.kube
    first = deployment(namespace, "kept", "kept:1", "20", "limits", "hunter2")
    kube.create("Deployment", first)
    kube.node(f"node-{namespace}", ready=False)

    def ask() -> Finished:
        return aiops("events", "kept", "-n", namespace, "-o", "json", env=env)

    rows = until(ask, lambda rows: any(r["kind"] == "ReplicaSet" for r in rows))
    recorded = home / "kept.aiops"
    made = aiops("bundle", "record", "-o", str(recorded), "--allow-partial", env=env)
    assert made.returncode == 0, made.stderr
    replayed = aiops("events", "kept", "-n", namespace, "-o", "json", "--bundle", str(recorded))
    assert replayed.returncode == 0, replayed.stderr
    assert replayed.json["items"] == rows
    nodes = aiops("events", "--type", "node", "-o", "json", "--bundle", str(recorded)).json["items"]
    assert "Ready=False KubeletNotReady: container runtime is down" in {
        r["what"] for r in nodes if r["name"] == f"node-{namespace}"
    }


def test_the_shipped_bundle_tells_the_rollout_and_when_alerts_began(aiops: Aiops) -> None:
    found = aiops("events", "--bundle", "demo", "--alerts", "-o", "json")
    assert found.returncode == 0
    rows = found.json["items"]
    rollout = next(i for i, r in enumerate(rows) if r["type"] == "rollout")
    alert = next(i for i, r in enumerate(rows) if r["type"] == "alert" and r["name"] == "FrontendErrors")
    assert rollout < alert
    assert rows[rollout]["differences"] == []  # of before they were recorded: the words tell it
    assert "7.3.0 → " in rows[rollout]["what"]
    assert sum(r["name"] == "FrontendErrors" for r in rows) == 1
    assert "recorded without autoscaler, node, quota, restart events" in found.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--type", "rolouts"], "unknown type 'rolouts'"),
        (["/x"], "write NAME or KIND/NAME"),
        (["deploy/"], "write NAME or KIND/NAME"),
        (["--kind", "node", "--type", "rollout"], "nothing of type rollout is about a node"),
        (["--since", "soon"], "no duration"),
    ],
)
def test_what_can_not_be_asked(aiops: Aiops, args: list[str], said: str) -> None:
    done = aiops("events", "--bundle", "demo", *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "hint: " in done.stderr


def test_why_alerts_can_not_be_read_has_its_own_code(aiops: Aiops, stub: Stub, home: Path) -> None:
    stub.on("/", answer("who are you", status=403))
    config = home / "config.toml"
    config.write_text(f'[clusters.only.endpoints]\nprometheus = "{stub.url}"\n')
    done = aiops("events", "--type", "alert", "-o", "json", env={"AIOPS_CONFIG": str(config)})
    assert done.returncode == 5
    assert done.json["clusters"][0]["error"]["code"] == "FORBIDDEN"
