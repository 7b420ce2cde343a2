"""What rows are about, by the labels of every convention, and where that is in the cluster."""

from __future__ import annotations

import re
from typing import Any

import pytest

from aiops_cli.analysis.subjects import Map, Place, subject_of, subject_of_object
from aiops_cli.models.related import Subject
from aiops_cli.models.signals import Workload
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.related_subjects import AFTER, BEFORE, Horizon, distinct

NOW = 1_795_562_685.0


def pod(
    name: str,
    owner: str | None,
    kind: str = "Deployment",
    space: str = "shop",
    node: str = "n1",
    **labels: str,
) -> Workload:
    return Workload(name, space, node, kind if owner else None, owner, "Running", labels)


CLUSTER = Map(
    "west",
    [
        pod("checkout-7bb4865bd4-lkxk5", "checkout", app="checkout"),
        pod("checkout-7bb4865bd4-abcde", "checkout", node="n2", app="checkout"),
        pod("db-0", "db", "StatefulSet", app="postgres"),
        pod("agent-x7k2p", "agent", "DaemonSet", space="infra"),
        pod("prometheus-k8s-0", "prometheus-k8s", "StatefulSet", space="monitoring"),
        pod("kube-state-metrics-5d8f7c9b4d-qqqqq", "kube-state-metrics", space="monitoring"),
        pod("loki-0", None, space="logging"),
    ],
)


def about(labels: dict[str, object], **more: Any) -> Subject:
    return subject_of("west", "metric", labels, NOW, NOW - 600, NOW, **more)


@pytest.mark.parametrize(
    ("labels", "where"),
    [
        pytest.param(
            {"namespace": "shop", "pod": "checkout-7bb4865bd4-lkxk5", "container": "app", "job": "kubelet"},
            "shop/checkout",
            id="cadvisor",
        ),
        pytest.param(
            {"job": "kube-state-metrics", "namespace": "shop", "deployment": "checkout"},
            "shop/checkout",
            id="kube-state-metrics of a deployment",
        ),
        pytest.param(
            {
                "job": "kube-state-metrics",
                "namespace": "monitoring",
                "pod": "kube-state-metrics-5d8f7c9b4d-qqqqq",
                "service": "kube-state-metrics",
                "exported_namespace": "shop",
                "exported_pod": "db-0",
            },
            "shop/db",
            id="kube-state-metrics without honor_labels",
        ),
        pytest.param(
            {
                "job": "kube-state-metrics",
                "namespace": "monitoring",
                "pod": "kube-state-metrics-5d8f7c9b4d-qqqqq",
                "node": "n2",
                "condition": "Ready",
            },
            "node n2",
            id="kube-state-metrics of a node",
        ),
        pytest.param(
            {
                "job": "node-exporter",
                "instance": "n1:9100",
                "namespace": "monitoring",
                "pod": "node-exporter-abcde",
            },
            "node n1",
            id="node exporter",
        ),
        pytest.param({"job": "checkout", "instance": "10.0.0.1:8080"}, "shop/checkout", id="job"),
        pytest.param(
            {"namespace": "shop", "service": "postgres"}, "shop/db", id="service by its pods' label"
        ),
        pytest.param(
            {"alertname": "X", "namespace": "shop", "statefulset": "db", "severity": "critical"},
            "shop/db",
            id="alert of a statefulset",
        ),
        pytest.param({"namespace": "shop", "app": "checkout"}, "shop/checkout", id="loki app"),
        pytest.param(
            {
                "kubernetes_namespace_name": "shop",
                "kubernetes_pod_name": "checkout-7bb4865bd4-lkxk5",
                "kubernetes_container_name": "app",
                "log_type": "application",
            },
            "shop/checkout",
            id="viaq",
        ),
        pytest.param(
            {"k8s_namespace_name": "shop", "k8s_deployment_name": "checkout", "service_name": "checkout-svc"},
            "shop/checkout",
            id="otel in loki",
        ),
        pytest.param(
            {
                "service.name": "checkout-api",
                "k8s.namespace.name": "shop",
                "k8s.pod.name": "checkout-7bb4865bd4-abcde",
            },
            "shop/checkout",
            id="otel span by its pod",
        ),
        pytest.param(
            {"service.name": "checkout", "host.name": "checkout-7bb4865bd4-lkxk5"}, "shop/checkout", id="span"
        ),
        pytest.param({"k8s.node.name": "n2"}, "node n2", id="otel node"),
        pytest.param({"namespace": "shop", "severity": "warning"}, "namespace shop", id="namespace alone"),
        pytest.param({"namespace": "logging", "pod": "loki-0"}, "logging/loki-0", id="pod without owner"),
        pytest.param({"alertname": "Watchdog", "severity": "none"}, "cluster", id="nothing"),
    ],
)
def test_a_row_is_located_by_labels_of_any_convention(labels: dict[str, object], where: str) -> None:
    assert CLUSTER.locate(about(labels)).text == where


@pytest.mark.parametrize(
    ("kind", "name", "space", "where"),
    [
        ("Deployment", "checkout", "shop", "shop/checkout"),
        ("ReplicaSet", "checkout-7bb4865bd4", "shop", "shop/checkout"),
        ("Pod", "db-0", "shop", "shop/db-0"),
        ("Node", "n1", None, "node n1"),
        ("Namespace", "shop", None, "namespace shop"),
        ("Service", "postgres", "shop", "shop/db"),
        ("DaemonSet", "agent", "infra", "infra/agent"),
    ],
)
def test_an_object_is_located(kind: str, name: str, space: str | None, where: str) -> None:
    subject = subject_of_object("west", "object", kind, name, space, NOW, NOW - 1, NOW)
    assert CLUSTER.locate(subject).text == where


def test_a_workload_knows_its_pods_nodes_and_names() -> None:
    place = CLUSTER.locate(about({"service_name": "checkout", "namespace": "shop"}))
    assert [p.pod for p in place.pods] == ["checkout-7bb4865bd4-lkxk5", "checkout-7bb4865bd4-abcde"]
    assert place.nodes == ("n1", "n2")
    assert place.kind == "Deployment"
    assert place.names == ("checkout",)


def test_a_name_that_two_namespaces_have_is_not_guessed() -> None:
    twice = Map("west", [pod("api-1-aaaaa", "api", space="a"), pod("api-2-bbbbb", "api", space="b")])
    assert twice.locate(about({"job": "api"})).namespace is None
    assert twice.locate(about({"job": "api", "namespace": "b"})).text == "b/api"


def test_without_the_kubernetes_api_the_pods_name_tells_its_workload() -> None:
    place = Map("west", []).locate(about({"namespace": "shop", "pod": "checkout-7bb4865bd4-lkxk5"}))
    assert place.text == "shop/checkout"
    assert place.has_pod("checkout-5c9d8f7b6d-zzzzz", "shop")
    assert not place.has_pod("checkout-db-0", "shop")


@pytest.mark.parametrize(
    ("labels", "ours", "theirs"),
    [
        ({"deployment": "checkout"}, "checkout-6f4845dd6d-v8vld", "checkout-worker-6f4845dd6d-v8vld"),
        ({"statefulset": "db"}, "db-11", "db-backup-0"),
        ({"daemonset": "agent"}, "agent-zzzzz", "agent-cluster-zzzzz"),
    ],
)
def test_pods_that_have_gone_are_known_by_their_names(
    labels: dict[str, object], ours: str, theirs: str
) -> None:
    space = "infra" if "daemonset" in labels else "shop"
    place = CLUSTER.locate(about({"namespace": space, **labels}))
    assert place.has_pod(ours, space)
    assert not place.has_pod(theirs, space)
    assert not place.has_pod(ours, "elsewhere")
    assert place.pod_pattern is not None and re.fullmatch(place.pod_pattern, ours)


def test_a_hostile_name_is_no_pattern() -> None:
    place = Place("workload", "a|.*", "shop", "Deployment", (), (), ("a|.*",))
    assert not place.has_pod("payment-7bb4865bd4-lkxk5", "shop")


@pytest.mark.parametrize(
    ("line", "trace"),
    [
        (
            '{"level":"error","trace_id":"A1794c17eab20f004bbd6f8631993ab9"}',
            "a1794c17eab20f004bbd6f8631993ab9",
        ),
        ("level=error traceID=4bf92f3577b34da6 msg=x", "00000000000000004bf92f3577b34da6"),
        (
            "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "4bf92f3577b34da6a3ce929d0e0e4736",
        ),
        ("trace.id: 4bf92f3577b34da6a3ce929d0e0e4736,", "4bf92f3577b34da6a3ce929d0e0e4736"),
        ("trace_id=00000000000000000000000000000000", None),
        ("trace_id=xyz", None),
        ("order 4bf92f3577b34da6a3ce929d0e0e4736 failed", None),
    ],
)
def test_a_line_names_its_trace(line: str, trace: str | None) -> None:
    assert about({"namespace": "shop"}, text=line).trace_id == trace


def test_rows_about_one_workload_are_one_subject_and_a_trace_is_not_lost() -> None:
    rows = [
        about({"namespace": "shop", "pod": "checkout-7bb4865bd4-lkxk5"}),
        about({"namespace": "shop", "pod": "checkout-7bb4865bd4-abcde"}, text="trace_id=4bf92f3577b34da6"),
        about({"namespace": "shop", "pod": "db-0"}),
        about({"namespace": "other", "pod": "db-0"}),
    ]
    kept, there = distinct(rows, 2)
    assert there == 3
    assert [(s.namespace, s.pod) for s in kept] == [("shop", "checkout-7bb4865bd4-lkxk5"), ("shop", "db-0")]
    assert kept[0].trace_id == "00000000000000004bf92f3577b34da6"


def test_a_quarter_of_an_hour_after_and_half_an_hour_before_a_row_are_looked_at() -> None:
    live = Horizon(TimeRange(0.0, NOW))
    assert live.around(NOW - 7200) == (NOW - 7200, NOW - 7200 - BEFORE, NOW - 7200 + AFTER)
    assert live.around(NOW) == (NOW, NOW - BEFORE, NOW), "never the future"
    recorded = Horizon(TimeRange(NOW - 400, NOW))
    assert recorded.around(NOW - 9000) == (NOW - 400, NOW - 400, NOW), "nor what was not recorded"


def test_a_window_that_was_asked_for_is_kept() -> None:
    asked = Horizon(TimeRange(0.0, NOW), TimeRange(NOW - 100, NOW - 50))
    assert asked.around(NOW - 80) == (NOW - 80, NOW - 100, NOW - 50)
    assert asked.around(NOW) == (NOW - 50, NOW - 100, NOW - 50)
