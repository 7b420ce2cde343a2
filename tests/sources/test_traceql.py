"""TraceQL built for Tempo, and the subset that is read for Jaeger."""

from __future__ import annotations

import pytest

from aiops_cli.errors import ErrorCode, UsageError
from aiops_cli.sources.base import TraceQuery
from aiops_cli.sources.jaeger import select
from aiops_cli.sources.traceql import Selection, build, parse, valid_trace_id


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (TraceQuery(), "{ }"),
        (TraceQuery(service="cart", operation="GET /"), '{ resource.service.name = "cart" && name = "GET /" }'),
        (TraceQuery(service="cart*"), '{ resource.service.name =~ "cart.*" }'),
        (TraceQuery(min_ms=1.5, max_ms=20_000, errors=True), "{ duration >= 1500us && duration <= 20000000us && status = error }"),
        (TraceQuery(tags={"k8s.pod.name": "a", "span.http.status_code": "500"}), '{ .k8s.pod.name = "a" && (span.http.status_code = "500" || span.http.status_code = 500) }'),
        (TraceQuery(tags={"odd key": "x"}), '{ ."odd key" = "x" }'),
        (TraceQuery(operation="50%+1"), r'{ name = "50\u0025\u002b1" }'),
        (TraceQuery(traceql='{ name = "x" } | count() > 2'), '{ name = "x" } | count() > 2'),
        (TraceQuery(traceql="{ .a = 1 } with (most_recent=true)", errors=True), "({ .a = 1 }) && ({ status = error }) with (most_recent=true)"),
    ],
)  # fmt: skip
def test_filters_become_traceql(query: TraceQuery, expected: str) -> None:
    assert build(query) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", Selection()),
        (
            '{ resource.service.name = "x" && name = "y" && duration > 100ms && status = error && span.k = "v" }',
            Selection("x", "y", 100_001, None, {"error": "true", "k": "v"}),
        ),
        ("{duration>=1m30s&&duration<2h}", Selection(None, None, 90_000_000, 7_199_999_999)),
        ('{ .service.name = `a"b` && kind = client }', Selection('a"b', None, None, None, {"span.kind": "client"})),
        ('{ .http.status_code = 500 && resource."odd key" = true }', Selection(tags={"http.status_code": "500", "odd key": "true"})),
        ("{ status = ok && duration > 10ms && duration > 20ms }", Selection(min_us=20_001, tags={"otel.status_code": "OK"})),
        (r'{ name = "a\"\u0041" }', Selection(operation='a"A')),
    ],
)  # fmt: skip
def test_the_common_subset_is_read(text: str, expected: Selection) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{ name =~ "x.*" }', "name with =, not =~"),
        ('{ name != "x" }', "name with =, not !="),
        ('{ name = "a" || name = "b" }', r"joined by &&, not \|\|"),
        ("{ } | count() > 2", r"nothing behind it such as \|"),
        ('{ name = "a" } >> { name = "b" }', "nothing behind it such as >>"),
        ('{ rootServiceName = "a" }', "not rootServiceName"),
        ("{ status = unset }", "status = error and status = ok"),
        ("{ duration > 100 }", "duration with a unit"),
        ('{ "x" = name }', "conditions such as"),
        ('{ name = "x" && }', "conditions such as"),
        ('{ name = "x"', "an open brace"),
        ("(  )", "conditions in braces"),
        ("", "conditions in braces"),
    ],
)
def test_what_jaeger_cannot_search_for_is_named(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        parse(text)
    assert caught.value.code is ErrorCode.INVALID_TRACEQL


def test_what_is_no_traceql_is_pointed_at() -> None:
    with pytest.raises(UsageError, match="column 10") as caught:
        parse('{ name = @"x" }')
    assert caught.value.hint.split("\n")[1] == " " * (6 + 9) + "^"


def test_flags_and_traceql_must_agree() -> None:
    query = TraceQuery(traceql='{ name = "x" && duration > 5ms }', service="cart", min_ms=1, errors=True)
    assert select(query) == Selection("cart", "x", 5_001, None, {"error": "true"})
    with pytest.raises(UsageError, match="'x', the flags for 'y'"):
        select(TraceQuery(traceql='{ name = "x" }', operation="y"))


def test_trace_ids_are_checked_before_anything_is_asked() -> None:
    assert valid_trace_id("D6E9329D67B6146A") == "0000000000000000d6e9329d67b6146a"
    for bad in ("", "xyz", "../services", "a" * 33):
        with pytest.raises(UsageError, match="is no trace id"):
            valid_trace_id(bad)
