"""How pod templates differ in words, and which edits count, on objects as the API writes them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aiops_cli.models.signals import Change, KubeEvent
from aiops_cli.sources.kubernetes_changes import config_edits, rollouts, scalings
from aiops_cli.sources.kubernetes_objects import Deployment, Object, ReplicaSet
from aiops_cli.sources.kubernetes_templates import config_references, differences, said


def _template(container: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "app", "image": "app:1"} | (container or {})], **spec}}


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (_template(), _template(), []),
        (_template(), _template({"image": "app:2"}), ["image of app app:1 → app:2"]),
        (_template({"env": [{"name": "A", "value": "1"}]}), _template(), ["env A of app removed: 1"]),
        (_template(), _template({"env": [{"name": "A", "value": "1"}]}), ["env A of app added: 1"]),
        (_template({"env": [{"name": "API_TOKEN", "value": "x1"}]}), _template({"env": [{"name": "API_TOKEN", "value": "x2"}]}), ["env API_TOKEN of app changed"]),
        (_template({"env": [{"name": "URL", "value": "http://u:p@db"}]}), _template({"env": [{"name": "URL", "value": "http://db"}]}), ["env URL of app changed"]),
        (_template({"env": [{"name": "X", "value": "a"}]}), _template({"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}), ["env X of app a → Secret s/k"]),
        (_template({"env": [{"name": "X", "value": "1"}]}), _template({"env": [{"name": "X", "value": "eyJhbGciOiJIUzI1NiJ9xyz1"}]}), ["env X of app changed"]),
        (_template({"args": ["--cache=100", "-v"]}), _template({"args": ["--cache=10", "-v"]}), ["args of app --cache=100 → --cache=10"]),
        (_template({"args": ["--password=a"]}), _template({"args": ["--password=b"]}), ["args of app changed"]),
        (_template({"resources": {"limits": {"cpu": "2"}}}), _template({"resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}}), ["cpu request of app none → 1", "cpu limit of app 2 → 1"]),
        (_template({"readinessProbe": {"periodSeconds": 5}}), _template(), ["readinessProbe.periodSeconds of app removed: 5"]),
        (_template(volumes=[{"name": "conf", "configMap": {"name": "a"}}]), _template(volumes=[{"name": "conf", "configMap": {"name": "b"}}]), ["volume conf ConfigMap a → ConfigMap b"]),
        (_template(nodeSelector={"a": "b"}), _template(), ["nodeSelector.a removed: b"]),
        (_template(), {"spec": {"containers": [{"name": "app", "image": "app:1"}, {"name": "proxy", "image": "p:1"}]}}, ["container proxy added: image p:1"]),
        (_template({"envFrom": [{"configMapRef": {"name": "a"}}]}), _template({"envFrom": [{"configMapRef": {"name": "b"}}]}), ["envFrom of app ConfigMap a → ConfigMap b"]),
        (_template({"env": [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "x"}}}]}), _template({"env": [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "d", "key": "x"}}}]}), ["env X of app ConfigMap c/x → ConfigMap d/x"]),
        (_template(volumes=[{"name": "v", "emptyDir": {}}]), _template(volumes=[{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}]), ["volume v changed"]),
        (_template(tolerations=[{"key": "a"}]), _template(tolerations=[{"key": "b"}]), ["tolerations changed"]),
        (_template(terminationGracePeriodSeconds=30), _template(terminationGracePeriodSeconds=5), ["terminationGracePeriodSeconds 30 → 5"]),
        (_template({"lifecycle": {"preStop": {"httpGet": {"path": "/a", "authToken": "t1"}}}}), _template({"lifecycle": {"preStop": {"httpGet": {"path": "/a", "authToken": "t2"}}}}), ["lifecycle of app changed"]),
        ({"metadata": {"annotations": {"checksum/config": "1"}}, **_template()}, {"metadata": {"annotations": {"checksum/config": "2", "kubectl.kubernetes.io/restartedAt": "now"}}, **_template()}, ["restarted", "annotation checksum/config changed"]),
    ],
)  # fmt: skip
def test_templates_differ_in_words(before: dict[str, Any], now: dict[str, Any], expected: list[str]) -> None:
    assert [said(d) for d in differences(before, now)] == expected


def _env(value: str) -> dict[str, Any]:
    return _template({"env": [{"name": "OPTS", "value": value}]})


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (_env("-Xmx1g"), _env("-Dspring.datasource.password=hunter2")),
        (_env("a"), _env("host=db,password=hunter2")),
        (_env("a"), _env("--requirepass hunter2")),
        (_env("a"), _env("ghp_hunter2")),
        (_template({"args": ["--password", "x"]}), _template({"args": ["--password", "hunter2"]})),
        (_template({"args": ["x"]}), _template({"args": ["--java-opts=-Dpassword=hunter2"]})),
        (_template({"args": ["mysql", "-px"]}), _template({"args": ["mysql", "-uroot", "-phunter2"]})),
        (_template({"args": ["-c", "mysql -px"]}), _template({"args": ["-c", "mysql -u root -phunter2"]})),
        (_template({"args": ["-a", "x"]}), _template({"args": ["-a", "hunter2"]})),
        (
            _template({"args": ["-c", "redis-cli ping"]}),
            _template({"args": ["-c", "redis-cli -a hunter2 ping"]}),
        ),
        (_template({"args": ["curl", "-u", "x"]}), _template({"args": ["curl", "-u", "bob:hunter2"]})),
        (_template({"args": ["curl"]}), _template({"args": ["curl", "--user=bob:hunter2"]})),
    ],
)
def test_a_password_in_the_middle_of_a_value_is_not_shown(
    before: dict[str, Any], now: dict[str, Any]
) -> None:
    for found in (differences(before, now), differences(now, before)):
        assert [d.change for d in found] == ["changed"]
        assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (["--password=x", "--threads", "4"], ["--password=x", "--threads", "5"]),
        (["-port", "80"], ["-port", "81"]),
        (["--upstream=http://auth-service:8080"], ["--upstream=http://auth-service:8081"]),
    ],
)
def test_what_stands_beside_a_password_is_shown(old: list[str], new: list[str]) -> None:
    (found,) = differences(_template({"args": old}), _template({"args": new}))
    assert (found.before, found.after) == (old[-1], new[-1])


def test_a_cause_with_a_password_is_left_out() -> None:
    harmless = {"kubernetes.io/change-cause": "kubectl set image deploy/cart cart=cart:2"}
    secret = {"kubernetes.io/change-cause": "kubectl set env deploy/cart DB_PASSWORD=hunter2 --record=true"}
    rows = [_replica_set("1", "1", "cart:1", **harmless), _replica_set("2", "2", "cart:2", **secret)]
    told = " ".join(c.detail for c in rollouts([], rows, []))
    assert "cause: kubectl set image deploy/cart cart=cart:2" in told
    assert "cause: (left out)" in told and "hunter2" not in told


def test_what_a_template_reads_is_named() -> None:
    """By volume, projected volume, envFrom and single keys, of init containers too."""
    projected = {"sources": [{"configMap": {"name": "d"}}, {"secret": {"name": "e"}}]}
    template = _template(
        {
            "envFrom": [{"configMapRef": {"name": "a"}}, {"secretRef": {"name": "b"}}],
            "env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "c", "key": "k"}}}],
        },
        volumes=[{"name": "v", "projected": projected}, {"name": "w", "secret": {"secretName": "f"}}],
        initContainers=[{"name": "i", "envFrom": [{"configMapRef": {"name": "g"}}]}],
    )
    assert config_references(template) == {
        ("ConfigMap", "a"),
        ("Secret", "b"),
        ("Secret", "c"),
        ("ConfigMap", "d"),
        ("Secret", "e"),
        ("Secret", "f"),
        ("ConfigMap", "g"),
    }


def _config_map(created: str, *writes: tuple[str, str]) -> Object:
    fields = [{"manager": m, "operation": "Update", "time": t} for m, t in writes]
    meta = {"name": "limits", "namespace": "shop", "creationTimestamp": created, "managedFields": fields}
    return msgspec.convert({"metadata": meta}, Object, strict=False)


def test_the_last_write_of_a_config_map_is_its_edit() -> None:
    created = "2026-01-01T00:00:00Z"
    row = _config_map(created, ("helm", created), ("kubectl-edit", "2026-01-02T00:00:00Z"))
    (edit,) = config_edits([row])
    assert edit == Change(1767312000.0, "ConfigMap", "limits", "shop", "config", "edited by kubectl-edit")
    assert config_edits([_config_map(created)]) == []


def _replica_set(uid: str, revision: str, image: str, **annotations: str) -> ReplicaSet:
    meta = {
        "name": f"cart-{uid}",
        "namespace": "shop",
        "uid": uid,
        "creationTimestamp": f"2026-01-0{uid}T00:00:00Z",
        "annotations": {"deployment.kubernetes.io/revision": revision, **annotations},
        "ownerReferences": [{"kind": "Deployment", "name": "cart", "uid": "d", "controller": True}],
    }
    return msgspec.json.decode(
        msgspec.json.encode({"metadata": meta, "spec": {"template": _template({"image": image})}}),
        type=ReplicaSet,
    )


def test_an_old_replica_set_that_came_back_is_not_dated_by_its_creation() -> None:
    history = {"deployment.kubernetes.io/revision-history": "1"}
    rows = [_replica_set("2", "2", "cart:2"), _replica_set("1", "3", "cart:1", **history)]
    meta = {
        "name": "cart",
        "namespace": "shop",
        "uid": "d",
        "annotations": {"deployment.kubernetes.io/revision": "3"},
        "managedFields": [
            {"manager": "kubectl", "time": "2026-01-05T00:00:00Z"},
            {"manager": "kube-controller-manager", "time": "2026-01-05T00:00:01Z"},
            {"manager": "kube-controller-manager", "time": "2026-01-09T00:00:00Z", "subresource": "status"},
        ],
    }
    deployment = msgspec.convert({"metadata": meta}, Deployment, strict=False)
    second, third = rollouts([deployment], rows, [])
    assert second.detail == "revision 2 with image cart:2"
    assert third.detail == "revision 2 → 3: image of app cart:2 → cart:1"
    assert third.at == 1767571201.0
    assert [c.detail for c in rollouts([], rows, [])] == ["revision 2 with image cart:2"]


def _scaled(at: float, message: str, *, name: str = "cart", reason: str = "ScalingReplicaSet") -> KubeEvent:
    return KubeEvent(at, "Normal", reason, "Deployment", name, "shop", message)


def test_steps_of_a_rollout_are_no_scalings() -> None:
    rollout = Change(1000.0, "Deployment", "cart", "shop", "rollout", "")
    events = [
        _scaled(900, "Scaled up replica set cart-a from 1 to 3"),
        _scaled(1002, "Scaled up replica set cart-b from 0 to 1"),
        _scaled(1003, "Scaled down replica set cart-a from 3 to 2"),
        _scaled(1004, "Scaled up replica set cart-b from 1 to 2"),
        _scaled(1004, "Scaled up replica set other-a from 0 to 2", name="other"),
        _scaled(1005, "New size: 5; reason: cpu above target", reason="SuccessfulRescale"),
        _scaled(1006, "Readiness probe failed", reason="Unhealthy"),
        _scaled(9000, "Scaled up replica set cart-b from 2 to 5"),
    ]
    assert [(c.at, c.name) for c in scalings(events, [rollout])] == [
        (900, "cart"),
        (1004, "other"),
        (1005, "cart"),
        (9000, "cart"),
    ]


def test_a_scaling_soon_after_a_rollout_is_one() -> None:
    created = Change(1000.0, "Deployment", "cart", "shop", "rollout", "")
    events = [
        _scaled(1000, "Scaled up replica set cart-a to 1"),
        _scaled(1000, "Scaled up replica set cart-a from 0 to 1"),
        _scaled(1030, "Scaled up replica set cart-a from 1 to 3"),
    ]
    assert [c.at for c in scalings(events, [created])] == [1030]


def test_a_scaling_in_the_middle_of_a_rollout_grows_the_old_replica_set_too() -> None:
    """Deployments spread such a scaling over both (proportional scaling); and one just before a rollout."""
    created, rollout = (Change(at, "Deployment", "cart", "shop", "rollout", "") for at in (1000.0, 2000.0))
    events = [
        _scaled(1000, "Scaled up replica set cart-a from 0 to 1"),
        _scaled(1999, "Scaled up replica set cart-a from 1 to 3"),
        _scaled(2000, "Scaled up replica set cart-b from 0 to 1"),
        _scaled(2001, "Scaled down replica set cart-a from 3 to 2"),
        _scaled(2060, "Scaled up replica set cart-a from 2 to 4"),
        _scaled(2060, "Scaled up replica set cart-b from 1 to 2"),
    ]
    assert [(c.at, c.detail) for c in scalings(events, [created, rollout])] == [
        (1999, "Scaled up replica set cart-a from 1 to 3"),
        (2060, "Scaled up replica set cart-a from 2 to 4"),
    ]


def test_a_scaling_between_two_hasty_rollouts_is_one() -> None:
    """All within seconds, and the second rollout's ReplicaSet comes late, as from a busy controller."""
    first, second = (Change(at, "Deployment", "cart", "shop", "rollout", "") for at in (1000.0, 1002.0))
    events = [
        _scaled(1000, "Scaled up replica set cart-a from 0 to 1"),
        _scaled(1001, "Scaled up replica set cart-a from 1 to 3"),
        _scaled(1002, "Scaled up replica set cart-a from 3 to 4"),
        _scaled(1005, "Scaled up replica set cart-b from 0 to 1"),
        _scaled(1005, "Scaled down replica set cart-a from 4 to 3"),
    ]
    assert [c.at for c in scalings(events, [first, second])] == [1001, 1002]


def test_a_scaling_between_two_rollouts_of_one_second_is_one() -> None:
    first, second = (Change(1000.0, "Deployment", "cart", "shop", "rollout", "") for _ in range(2))
    events = [
        _scaled(1000, "Scaled up replica set cart-a from 0 to 1"),
        _scaled(1000, "Scaled up replica set cart-a from 1 to 3"),
        _scaled(1000, "Scaled up replica set cart-b from 0 to 1"),
    ]
    assert [c.detail for c in scalings(events, [first, second])] == [
        "Scaled up replica set cart-a from 1 to 3"
    ]
