"""Korrel8r by the shapes of its documentation (REST API v1alpha1): there is no real one in the tests."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiops_cli.errors import ClusterError, ErrorCode
from aiops_cli.models.related import Subject
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.candidates import candidates
from aiops_cli.services.related_commands import Commands
from aiops_cli.services.related_korrel8r import told_as
from aiops_cli.sources.korrel8r import Korrel8rSource, Neighbour
from aiops_cli.sources.kubernetes_objects import Meta, Service, ServicePort, ServiceSpec
from tests.conftest import Aiops
from tests.faults.stub import Stub, answer, hang_up, serve
from tests.sources.conftest import Connect

START = 'alert:alert:{"alertname": "CheckoutErrors", "namespace": "shop", "severity": "critical"}'
GRAPH = {
    "nodes": [
        {"class": "alert:alert", "count": 1, "queries": [{"query": START, "count": 1}]},
        {
            "class": "k8s:Deployment.apps",
            "count": 1,
            "queries": [{"query": 'k8s:Deployment.apps:{"namespace":"shop","name":"checkout"}', "count": 1}],
        },
        {
            "class": "k8s:Event",
            "count": 2,
            "queries": [
                {
                    "query": 'k8s:Event:{"namespace":"shop","fields":{"involvedObject.name":"checkout"}}',
                    "count": 2,
                }
            ],
        },
        {
            "class": "log:application",
            "count": 40,
            "queries": [{"query": 'log:application:{kubernetes_namespace_name="shop"}', "count": 40}],
        },
        {
            "class": "metric:metric",
            "count": 3,
            "queries": [
                {"query": 'metric:metric:kube_pod_info{namespace="shop"}?namespace=shop', "count": 3},
                {"query": "metric:metric:up", "count": 0},
                {"query": "metric:metric:not_run"},
            ],
        },
        {"class": "trace:span", "count": 5},
    ],
    "edges": [{"start": "alert:alert", "goal": "k8s:Deployment.apps"}],
}
DOMAINS = [
    {"name": "alert", "stores": [{"domain": "alert", "metrics": "https://prometheus"}]},
    {"name": "k8s"},
]
ALERT = {
    "fingerprint": "10dd539cfb28ae53",
    "startsAt": "2026-11-24T23:22:48.487Z",
    "endsAt": "2036-11-24T23:22:48.487Z",
    "updatedAt": "2026-11-24T23:22:48.487Z",
    "labels": {"alertname": "CheckoutErrors", "namespace": "shop", "severity": "critical"},
    "annotations": {"summary": "Checkout fails."},
    "status": {"state": "active", "silencedBy": [], "inhibitedBy": []},
    "receivers": [{"name": "default"}],
}


@pytest.fixture
def korrel8r() -> Iterator[Stub]:
    with serve() as running:
        yield running


async def test_neighbours_are_the_queries_that_found_something(korrel8r: Stub, connect: Connect) -> None:
    korrel8r.on("/api/v1alpha1/graphs/neighbours", answer(GRAPH))
    found = await Korrel8rSource(connect(korrel8r.url)).neighbours(
        START, "2026-11-24T23:00:00Z", "2026-11-24T23:30:00Z"
    )
    assert [(n.domain, n.kind, n.count) for n in found] == [
        ("k8s", "Deployment.apps", 1),
        ("k8s", "Event", 2),
        ("log", "application", 40),
        ("metric", "metric", 3),
    ]
    assert found[2].selector == '{kubernetes_namespace_name="shop"}'
    [asked] = korrel8r.asked
    assert (asked.method, asked.headers["content-type"]) == ("POST", "application/json")
    body = json.loads(asked.body)
    assert body["start"]["queries"] == [START]
    assert body["start"]["constraint"] == {
        "start": "2026-11-24T23:00:00Z",
        "end": "2026-11-24T23:30:00Z",
        "limit": 100,
        "timeout": "10s",
    }
    assert body["depth"] == 3


async def test_it_is_ready_when_it_lists_its_domains(korrel8r: Stub, connect: Connect) -> None:
    source = Korrel8rSource(connect(korrel8r.url))
    with pytest.raises(ClusterError):
        await source.ready()
    korrel8r.on("/api/v1alpha1/domains", answer("<html>a console</html>", kind="text/html"))
    with pytest.raises(ClusterError):
        await source.ready()
    korrel8r.on("/api/v1alpha1/domains", answer(DOMAINS))
    await source.ready()


def test_its_service_is_found_by_name_and_port() -> None:
    services = [
        Service(
            Meta(name="korrel8r", namespace="korrel8r"),
            ServiceSpec(ports=[ServicePort(8443, "https")]),
        ),
        Service(
            Meta(name="korrel8r-controller-manager-metrics-service"), ServiceSpec(ports=[ServicePort(8443)])
        ),
    ]
    [found] = candidates(services)["korrel8r"]
    assert found.proxy_url("https://api").endswith("/korrel8r/services/https:korrel8r:8443/proxy")


async def test_what_it_refuses_is_told_in_its_words(korrel8r: Stub, connect: Connect) -> None:
    korrel8r.on("/api/v1alpha1", answer({"error": "domain not found: nope"}, status=404))
    with pytest.raises(ClusterError, match="domain not found: nope") as raised:
        await Korrel8rSource(connect(korrel8r.url)).neighbours("nope:a:b", "", "")
    assert raised.value.code is ErrorCode.QUERY_FAILED


SUBJECT = Subject(
    cluster="west", origin="alert", at=1_795_562_568.0, start=1_795_562_294.0, end=1_795_562_685.0
)
COMMANDS = Commands("west", TimeRange(SUBJECT.start, SUBJECT.end), ["--bundle", "a b.aiops"])


@pytest.mark.parametrize(
    ("query", "signal", "words"),
    [
        ('metric:metric:up{job="x"}?namespace=a&namespace=b', "metric", ["metrics", "query", 'up{job="x"}']),
        ('log:infrastructure:{kubernetes_host="n1"}', "log", ["logs", "query", '{kubernetes_host="n1"}']),
        (
            'log:application:{"namespace":"shop","name":"db-0"}',
            "log",
            ["logs", "query", '{kubernetes_namespace_name="shop", kubernetes_pod_name="db-0"}'],
        ),
        (
            "trace:span:A7880cc221e84e0d07b15993358811b7,b7880cc221e84e0d07b15993358811b7",
            "trace",
            ["traces", "show", "a7880cc221e84e0d07b15993358811b7"],
        ),
        (
            'trace:span:{resource.k8s.namespace.name="shop"}',
            "trace",
            ["traces", "search", '{resource.k8s.namespace.name="shop"}'],
        ),
        (
            'alert:alert:[{"alertname":"A","namespace":"shop"},{"alertname":"B"}]',
            "alert",
            ["alerts", "list", "--name=A", "--namespace=shop"],
        ),
        ('k8s:Event.v1:{"namespace":"shop"}', "event", ["events", "--namespace=shop"]),
        (
            'k8s:Pod.v1:{"namespace":"shop","name":"db-0"}',
            "object",
            ["related", "Pod/db-0", "--namespace=shop", "--at=2026-11-24T23:22:48Z"],
        ),
    ],
)
def test_a_neighbour_becomes_a_command(query: str, signal: str, words: list[str]) -> None:
    domain, kind, selector = query.split(":", 2)
    told = told_as(Neighbour(domain, kind, selector, 7), SUBJECT, COMMANDS)
    assert told is not None
    assert told[0] == signal
    line = shlex.split(told[1].command)
    assert line[: len(words) + 1] == ["aiops", *words]
    assert line[-4:] == ["-c", "west", "--bundle", "a b.aiops"]
    assert told[1].count == 7


@pytest.mark.parametrize(
    "query",
    [
        "netflow:network:{}",
        'k8s:Pod:{"labels":{"a":"b"}}',
        "k8s:Pod:not json",
        'k8s:Secret:{"name":"x"}',
        "log:audit:[",
        "metric:metric:--kubeconfig=/tmp/theirs",
    ],
)
def test_what_no_command_can_show_is_left_out(query: str) -> None:
    domain, kind, selector = query.split(":", 2)
    assert told_as(Neighbour(domain, kind, selector, 7), SUBJECT, COMMANDS) is None


def config(home: Path, stub: Stub) -> str:
    file = home / "aiops.toml"
    urls = "\n".join(f'{name} = "{stub.url}"' for name in ("alertmanager", "korrel8r"))
    file.write_text(f"[clusters.lab.endpoints]\n{urls}\n")
    return str(file)


def related(aiops: Aiops, stub: Stub) -> Any:
    return aiops("alerts", "list", "--related", "--config", config(aiops.home, stub), "-o", "json")


def test_its_neighbours_are_beside_what_aiops_found(aiops: Aiops, korrel8r: Stub) -> None:
    korrel8r.on("/api/v2/alerts", answer([ALERT]))
    korrel8r.on("/api/v1alpha1/graphs/neighbours", answer(GRAPH))
    done = related(aiops, korrel8r)
    assert done.returncode == 0, done.stderr
    items = [i for i in done.json["items"] if i["source"] == "korrel8r"]
    assert [(i["signal"], i["count"]) for i in items] == [
        ("object", 1),
        ("event", 2),
        ("log", 40),
        ("metric", 3),
    ]
    [asked] = [a for a in korrel8r.asked if a.path.endswith("neighbours")]
    assert json.loads(asked.body)["start"]["queries"] == [START]


@pytest.mark.parametrize(
    "behaviour", [hang_up(), answer({"error": "no"}, status=400), answer("x", status=500)]
)
def test_its_failure_is_a_note(aiops: Aiops, korrel8r: Stub, behaviour: Any) -> None:
    korrel8r.on("/api/v2/alerts", answer([ALERT]))
    korrel8r.on("/api/v1alpha1", behaviour)
    done = related(aiops, korrel8r)
    assert done.returncode == 0, done.stderr
    assert done.json["partial"] is False
    [cluster] = done.json["clusters"]
    assert [w for w in cluster["warnings"] if w.startswith("korrel8r: ")]
