"""TraceQL: built from filters, read, answered from spans, and what Jaeger is asked of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops_cli.errors import ErrorCode, UsageError
from aiops_cli.models.signals import Span
from aiops_cli.sources.base import TraceQuery
from aiops_cli.sources.jaeger_search import Asked, asked
from aiops_cli.sources.traceql import build, has_hints, lasting, valid_trace_id
from aiops_cli.sources.traceql_match import matching
from aiops_cli.sources.traceql_parse import parse

MS = 1_000_000


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (TraceQuery(), "{ }"),
        (TraceQuery(service="cart", operation="GET /"), '{ resource.service.name = "cart" && name = "GET /" }'),
        (TraceQuery(service="cart*"), '{ resource.service.name =~ "cart.*" }'),
        (TraceQuery(min_ms=1.5, max_ms=20_000, errors=True), "{ duration >= 1500us && duration <= 20000000us && status = error }"),
        (TraceQuery(status="unset"), "{ status = unset }"),
        (TraceQuery(tags={"k8s.pod.name": "a", "span.http.status_code": "500"}), '{ .k8s.pod.name = "a" && (span.http.status_code = "500" || span.http.status_code = 500) }'),
        (TraceQuery(tags={"odd key": "x"}), '{ ."odd key" = "x" }'),
        (TraceQuery(operation="50%+1"), r'{ name = "50\u0025\u002b1" }'),
        (TraceQuery(traceql='{ name =~ "a+%" && .a = 1 }'), r'{ name =~ "a\u002b\u0025" && .a = 1 }'),
        (TraceQuery(traceql='{ name = "x" } | count() > 2'), '{ name = "x" } | count() > 2'),
        (TraceQuery(traceql='{ name = "a|b" } | count() > 2', errors=True), '({ name = "a|b" }) && ({ status = error }) | count() > 2'),
        (TraceQuery(traceql="{ .a = 1 } with (most_recent=true)", errors=True), "({ .a = 1 }) && ({ status = error }) with (most_recent=true)"),
    ],
)  # fmt: skip
def test_filters_become_traceql(query: TraceQuery, expected: str) -> None:
    assert build(query) == expected
    parse(expected)


def test_a_query_is_narrowed_to_long_traces() -> None:
    assert lasting("{ }", None) == "{ }"
    assert (
        lasting("{ } || { } | count() > 1", 1.5)
        == "({ } || { }) && ({ traceDuration >= 1500us }) | count() > 1"
    )
    assert has_hints("{ } with (most_recent=true)") and not has_hints('{ name = "with (a)" }')


# root (web, server, 100 ms) > call (web, client, 60 ms) > db (db, server, 40 ms, failed); root > wait (web, 10 ms)
TRACE = [
    Span("t", "1", None, "web", "GET /cart", "server", 0, 100 * MS, "unset", {"http.status_code": 500, "cached": False, "tags": ["a", "b"]}, {"zone": "eu"}),
    Span("t", "2", "1", "web", "call db", "client", 5 * MS, 60 * MS, "ok", {"rows": 7}, {"zone": "eu"}),
    Span("t", "3", "2", "db", "SELECT", "server", 10 * MS, 40 * MS, "error", {"status.message": "deadlock", "rows": "7"}, {"zone": "us"}, ({"name": "exception", "attributes": {"exception.type": "E"}},), ({"traceId": "o", "spanId": "9", "attributes": {"why": "retry"}},)),
    Span("t", "4", "1", "web", "wait", "internal", 70 * MS, 10 * MS, "unset"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{ }", "1234"),
        ("{ true }", "1234"),
        ('{ name = "SELECT" }', "3"),
        ('{ name != "SELECT" && kind != client }', "14"),
        ('{ name =~ "GET.*" || name =~ "wai" }', "1"),  # a regular expression must match all of it
        ('{ name !~ ".*a.*" }', "3"),
        ("{ duration > 40ms && duration <= 60ms }", "2"),
        ("{ duration >= 0.04s }", "123"),
        ("{ status = error }", "3"),
        ("{ status = unset && kind = server }", "1"),
        ("{ status != error }", "124"),
        ('{ statusMessage = "deadlock" }', "3"),
        ("{ span.http.status_code >= 500 }", "1"),
        ("{ span.rows = 7 }", "2"),  # text and numbers are never equal
        ('{ .rows = "7" || .rows = 7 }', "23"),
        ("{ .rows > 6 && .rows < 8 }", "2"),
        ("{ span.cached = false }", "1"),
        ("{ span.cached = 0 }", ""),
        ('{ span.tags = "b" }', "1"),
        ('{ resource.zone = "eu" }', "12"),
        ('{ resource.zone != "eu" }', "3"),  # what has no zone is not unlike eu
        ("{ .zone = nil }", "4"),
        ("{ .zone != nil }", "123"),
        ('{ !(resource.zone = "eu") }', "34"),
        ('{ .service.name = "db" }', "3"),
        ('{ event.exception.type = "E" }', "3"),
        ('{ event:name = "exception" }', "3"),
        ('{ link.why = "retry" }', "3"),
        ("{ parent = nil }", "1"),
        ('{ rootName = "GET /cart" && rootServiceName = "web" && name = "wait" }', "4"),
        ("{ traceDuration >= 100ms && status = ok }", "2"),
        ("{ traceDuration > 100ms }", ""),
        ('{ status = error } && { name = "wait" }', "34"),
        ('{ status = error } && { name = "nothing" }', ""),
        ('{ status = error } || { name = "nothing" }', "3"),
        ('{ name = "GET /cart" } > { }', "24"),
        ('{ name = "GET /cart" } >> { }', "234"),
        ('{ name = "SELECT" } < { }', "2"),
        ('{ name = "SELECT" } << { }', "12"),
        ('{ name = "wait" } ~ { }', "2"),
        # structure binds closer than && and ||, which bind equally
        ('{ name = "wait" } && { name = "GET /cart" } > { kind = client }', "24"),
        ("{ } | count() > 3", "1234"),
        ("{ } | count() > 4", ""),
        ("{ kind = server } | avg(duration) = 70ms", "13"),
        ("{ } | max(span.rows) = 7", "1234"),
        ("{ } | min(duration) < 10ms", ""),
        ("{ } | { kind = client }", "2"),
        ("{ status = error } | select(span.rows)", "3"),
    ],
)  # fmt: skip
def test_a_trace_is_searched_as_tempo_would(text: str, found: str) -> None:
    assert "".join(s.span_id for s in matching(parse(text), TRACE)) == found


def test_spans_that_are_each_other_s_parents_end_the_search() -> None:
    looped = [Span("t", a, b, "s", a, "internal", 0, 1, "unset") for a, b in (("x", "y"), ("y", "x"))]
    assert [s.span_id for s in matching(parse('{ name = "x" } >> { }'), looped)] == ["y"]


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=10))
def test_ancestors_and_descendants_are_those_of_every_shape(shape: list[tuple[int, bool]]) -> None:
    """Trees, forests and circles: a parent may be anybody, or not there."""
    spans = [
        Span("t", str(i), str(parent), "s", "left" if chosen else "other", "internal", 0, 1, "unset")
        for i, (parent, chosen) in enumerate(shape)
    ]
    parents = {s.span_id: s.parent_id for s in spans}

    def above(span_id: str) -> set[str]:
        found, at = set(), parents[span_id]
        while at in parents and at not in found | {span_id}:
            found.add(str(at))
            at = parents[str(at)]
        return found

    left = {s.span_id for s in spans if s.name == "left"}
    below = [s.span_id for s in spans if above(s.span_id) & left]
    over = [s.span_id for s in spans if any(s.span_id in above(x) for x in left)]
    assert [s.span_id for s in matching(parse('{ name = "left" } >> { }'), spans)] == below
    assert [s.span_id for s in matching(parse('{ name = "left" } << { }'), spans)] == over


def test_a_deep_trace_is_walked_once() -> None:
    depth = 100_000  # the square of which would take an hour
    spans = [
        Span("t", str(i), str(i - 1) if i else None, "s", str(i), "", 0, 1, "unset") for i in range(depth)
    ]
    assert len(matching(parse('{ name = "1" } >> { }'), spans)) == depth - 2
    assert len(matching(parse("{ } << { }"), spans)) == depth - 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{ foo = 1 }", "column 3: foo is no field"),
        ("{ duration > 100 }", "duration wants a unit"),
        ("{ status = bad }", "status is one of error, ok, unset"),
        ("{ name = bad }", "text stands in double quotes"),
        ('{ name =~ "(" }', "bad regular expression"),
        ('{ "x" = name }', "expected a field"),
        ('{ name = "x" && }', "expected a field"),
        ('{ name = "x"', "expected }, found the end"),
        ('{ name = @"x" }', "column 10: this character means nothing here"),
        ("{ } | by(name)", "by can't be answered here"),
        ("{ } | count()", "wants a comparison"),
        ("{ } | quantile_over_time(duration, 95)", "from 0 to 1"),
        ("{ } | rate() | count() > 1", "nothing can follow"),
        ("(  )", "conditions in braces"),
        ("", "conditions in braces"),
    ],
)
def test_what_cannot_be_read_is_pointed_at(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        parse(text)
    assert caught.value.code is ErrorCode.INVALID_TRACEQL
    first, caret = caught.value.hint.split("\n")
    assert first == text and caret.strip() == "^" and len(caret) <= 6 + len(text) + 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{ }", [Asked()]),
        (
            '{ resource.service.name = "x" && name = "y" && duration >= 100ms && status = error && .k = "v" }',
            [Asked("x", "y", 100_000, None, {"error": "true", "k": "v"})],
        ),
        ('{ .k = "1" || .k = 1 }', [Asked(tags={"k": "1"})]),  # Jaeger compares texts
        # the rest is checked on what comes
        ("{ duration > 1500us && duration < 2h }", [Asked(None, None, 1500, 7_200_000_000, {}, whole=False)]),
        ("{ span.k = 500 && kind = client }", [Asked(tags={"k": "500", "span.kind": "client"}, whole=False)]),
        ('{ name != "x" && status = ok }', [Asked(tags={"otel.status_code": "OK"}, whole=False)]),
        ('{ name = "a" || name = "b" }', [Asked(whole=False)]),
        ('{ .service.name =~ "a.*" }', [Asked("a.*")]),
        ('{ name = "a" } || { name = "b" }', [Asked(operation="a"), Asked(operation="b")]),
        ('{ name = "a" } >> { resource.service.name = "s" }', [Asked("s", whole=False)]),
        ('{ resource.service.name = "s" } | count() > 2', [Asked("s", whole=False)]),
    ],
)  # fmt: skip
def test_jaeger_is_asked_for_what_it_can_search_by(text: str, expected: list[Asked]) -> None:
    assert asked(parse(text)) == expected


def test_trace_ids_are_checked_before_anything_is_asked() -> None:
    assert valid_trace_id("D6E9329D67B6146A") == "0000000000000000d6e9329d67b6146a"
    for bad in ("", "xyz", "../services", "a" * 33):
        with pytest.raises(UsageError, match="is no trace id"):
            valid_trace_id(bad)
