"""Who calls whom, from spans whose pairs were counted by hand."""

from __future__ import annotations

import pytest

from aiops_cli.analysis.service_graph import edges, orphans, quantile
from aiops_cli.models.signals import Span

MS = 1_000_000


def span(trace: str, span_id: str, parent: str | None, service: str, ms: float, kind: str = "server", **more: object) -> Span:  # fmt: skip
    return Span(
        trace, span_id, parent, service, "op", kind, 0, int(ms * MS), str(more.pop("status", "unset")), **more
    )  # type: ignore[arg-type]


def test_calls_failures_and_latencies_of_each_pair() -> None:
    """Three traces web → cart; cart takes 10, 20, 30 ms, web's calls 5 more; the last one fails in cart."""
    rows = []
    for i in range(3):
        failed = "error" if i == 2 else "unset"
        rows += [
            ("east", span(f"t{i}", "1", None, "web", 100)),
            ("east", span(f"t{i}", "2", "1", "web", 15 + 10 * i, "client")),
            ("east", span(f"t{i}", "3", "2", "cart", 10 + 10 * i, status=failed)),
            ("east", span(f"t{i}", "4", "3", "cart", 1, "internal")),
        ]
    (edge,) = edges([*rows, *rows])  # a span counts once
    assert (edge.client, edge.server, edge.kind, edge.calls, edge.failed) == ("web", "cart", "", 3, 1)
    assert (edge.server_ms, edge.client_ms) == ([10, 20, 30], [15, 25, 35])
    assert quantile(edge.server_ms, 0.5) == 20
    assert quantile(edge.server_ms, 0.95) == pytest.approx(29)  # rank 1.9: 20 + 0.9 * 10
    assert quantile([], 0.5) is None


def test_what_sends_no_spans_is_named_by_its_caller() -> None:
    rows = [
        ("east", span("t", "1", None, "cart", 50)),
        ("east", span("t", "2", "1", "cart", 5, "client", attributes={"db.system": "postgresql", "db.name": "carts"})),
        ("east", span("t", "3", "1", "cart", 5, "client", attributes={"peer.service": "mail", "server.address": "x"}, status="error")),
        ("east", span("t", "4", "1", "cart", 5, "producer", attributes={"messaging.system": "kafka", "messaging.destination.name": "orders"})),
        ("east", span("t", "5", "1", "cart", 5, "client")),
    ]  # fmt: skip
    assert [(e.server, e.kind, e.calls, e.failed, e.client_ms) for e in edges(rows)] == [
        ("carts", "database", 1, 0, [5]),
        ("mail", "virtual_node", 1, 1, [5]),
        ("orders", "messaging_system", 1, 0, [5]),
    ]


def test_a_consumer_is_paired_with_the_producer_it_links_to_and_clusters_are_crossed() -> None:
    link = ({"traceId": "t", "spanId": "2", "attributes": {}},)
    rows = [
        ("east", span("t", "1", None, "web", 9)),
        ("east", span("t", "2", "1", "web", 1, "producer", attributes={"messaging.system": "kafka"})),
        ("west", span("u", "7", None, "mailer", 4, "consumer", links=link)),
    ]
    (edge,) = edges(rows)
    assert (edge.client_cluster, edge.client, edge.server_cluster, edge.server) == (
        "east",
        "web",
        "west",
        "mailer",
    )
    assert (edge.kind, edge.server_ms, edge.client_ms) == ("messaging_system", [4], [1])


def test_a_service_may_call_itself_and_its_inner_spans_are_no_calls() -> None:
    rows = [
        ("east", span("t", "1", None, "web", 9)),
        ("east", span("t", "2", "1", "web", 5, "client")),
        ("east", span("t", "3", "2", "web", 4)),
        ("east", span("t", "4", "3", "web", 1, "internal")),
    ]
    assert [(e.client, e.server, e.calls) for e in edges(rows)] == [("web", "web", 1)]


def test_traces_whose_callers_are_missing_are_named_with_their_clusters() -> None:
    rows = [("east", span("t", "1", "0", "web", 9)), ("west", span("u", "1", None, "web", 9))]
    assert orphans(rows) == {"t": {"east"}}


def test_a_consumer_that_links_to_its_own_parent_is_one_call() -> None:
    link = ({"traceId": "t", "spanId": "2", "attributes": {}},)
    rows = [
        ("east", span("t", "2", None, "web", 1, "producer")),
        ("east", span("t", "3", "2", "mailer", 4, "consumer", links=link)),
    ]
    (edge,) = edges(rows)
    assert (edge.calls, edge.server_ms) == (1, [4])
