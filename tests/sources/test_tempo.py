"""Tempo's answers in the shapes that its documentation and source describe, from a stub.

No Tempo was run for these tests: it is under the AGPL. Each body is written after the HTTP API's
documentation; what a running Tempo does beyond that is not shown here.
"""

from __future__ import annotations

import base64
from typing import Any

import pytest

from aiops_cli.errors import ClusterError, ErrorCode, UsageError
from aiops_cli.models.timerange import TimeRange
from aiops_cli.sources.base import TraceQuery
from aiops_cli.sources.otlp import hex_id
from aiops_cli.sources.tempo import TempoSource
from tests.sources.conftest import Connect
from tests.sources.stub import Stub

TRACE = "2f3e0cee77ae5dc9c17ade3689eb2e54"
WINDOW = TimeRange(1_700_000_000.25, 1_700_003_600.75)
START = 1_700_000_000 * 10**9


def _b64(text: str) -> str:
    return base64.b64encode(bytes.fromhex(text)).decode()


def _span(span: str, **fields: Any) -> dict[str, Any]:
    return {"traceId": _b64(TRACE), "spanId": _b64(span), "name": span, **fields}


def _resource(service: str, *spans: dict[str, Any], scope: str = "scopeSpans") -> dict[str, Any]:
    attributes = [{"key": "service.name", "value": {"stringValue": service}}]
    return {"resource": {"attributes": attributes}, scope: [{"scope": {}, "spans": list(spans)}]}


ROOT = _span(
    "00000000000000a1",
    startTimeUnixNano=str(START + 1),
    endTimeUnixNano=str(START + 5_000_001),
    kind="SPAN_KIND_SERVER",
    status={"code": "STATUS_CODE_ERROR", "message": "boom"},
    attributes=[
        {"key": "http.status_code", "value": {"intValue": "500"}},
        {"key": "ratio", "value": {"doubleValue": "NaN"}},
        {"key": "cached", "value": {"boolValue": False}},
        {"key": "tags", "value": {"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": 2}]}}},
        {"key": "map", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"stringValue": ""}}]}}},
        {"key": "empty", "value": {}},
    ],
    events=[
        {
            "timeUnixNano": str(START + 9),
            "name": "exception",
            "attributes": [{"key": "exception.type", "value": {"stringValue": "E"}}],
        }
    ],
)
CHILD = _span(
    "00000000000000b2",
    parentSpanId=_b64("00000000000000a1"),
    startTimeUnixNano=str(START),
    endTimeUnixNano=str(START + 10),
    kind=3,
    status={},
)


async def test_a_search_sends_whole_seconds_and_reads_what_is_left_out_as_zero(
    stub: Stub, connect: Connect
) -> None:
    stub.on(
        "/api/search",
        {
            "traces": [
                {
                    "traceID": "d6e9329d67b6146a",
                    "rootServiceName": "<root span not yet received>",
                    "startTimeUnixNano": str(START),
                },
                {
                    "traceID": TRACE,
                    "rootServiceName": "front",
                    "rootTraceName": "GET /",
                    "startTimeUnixNano": str(START + 7),
                    "durationMs": 557,
                    "serviceStats": {"front": {"spanCount": 3, "errorCount": 1}, "db": {"spanCount": 4}},
                },
            ],
            "metrics": {"inspectedBytes": "123"},
        },
    )
    rows = (await TempoSource(connect(stub.url)).search(TraceQuery(service="front", limit=7), WINDOW)).rows
    assert stub.asked[0].params == {
        "q": '{ resource.service.name = "front" }',
        "limit": "7",
        "start": "1700000000",
        "end": "1700003601",
    }
    newest, oldest = rows
    assert (newest.trace_id, newest.root_service, newest.root_name) == (TRACE, "front", "GET /")
    assert (newest.start_ns, newest.duration_ms) == (START + 7, 557.0)
    assert (newest.span_count, newest.error_count) == (7, 1)
    assert oldest.trace_id == "0000000000000000d6e9329d67b6146a"
    assert (oldest.root_service, oldest.root_name, oldest.duration_ms) == (None, None, 0.0)
    assert (oldest.span_count, oldest.error_count) == (None, None)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v2/traces/", {"trace": {"resourceSpans": [_resource("front", ROOT), _resource("db", CHILD)]}}),
        ("/api/traces/", {"batches": [_resource("front", ROOT), _resource("db", CHILD)]}),
        (
            "/api/traces/",
            {
                "batches": [_resource("front", ROOT)],
                "resourceSpans": [_resource("db", CHILD, scope="instrumentationLibrarySpans")],
            },
        ),
    ],
)
async def test_both_trace_endpoints_give_the_same_spans(
    stub: Stub, connect: Connect, path: str, body: object
) -> None:
    stub.on(path + TRACE, body)
    child, root = (await TempoSource(connect(stub.url)).trace(TRACE.upper())).rows
    assert (root.trace_id, root.span_id, root.parent_id) == (TRACE, "00000000000000a1", None)
    assert (root.service, root.kind, root.status) == ("front", "server", "error")
    assert (root.start_ns, root.duration_ns) == (START + 1, 5_000_000)
    ratio = root.attributes.pop("ratio")
    assert ratio != ratio
    assert root.attributes == {
        "http.status_code": 500,
        "cached": False,
        "tags": ["a", 2],
        "map": {"k": ""},
        "empty": None,
        "status.message": "boom",
    }
    assert root.events == ({"ns": START + 9, "name": "exception", "attributes": {"exception.type": "E"}},)
    assert (child.service, child.kind, child.status) == ("db", "client", "unset")
    assert child.parent_id == root.span_id


async def test_a_missing_trace_is_no_rows_in_either_way_servers_say_it(stub: Stub, connect: Connect) -> None:
    source = TempoSource(connect(stub.url))
    assert (await source.trace(TRACE)).rows == []
    assert [a.path for a in stub.asked] == [f"/api/v2/traces/{TRACE}", f"/api/traces/{TRACE}"]
    stub.on(f"/api/v2/traces/{TRACE}", {"trace": {}, "metrics": {}})
    assert (await source.trace(TRACE)).rows == []


async def test_a_trace_too_large_for_the_server_is_partial(stub: Stub, connect: Connect) -> None:
    body = {
        "trace": {"resourceSpans": [_resource("front", ROOT)]},
        "status": "PARTIAL",
        "message": "trace exceeds max size",
    }
    stub.on(f"/api/v2/traces/{TRACE}", body)
    answer = await TempoSource(connect(stub.url)).trace(TRACE)
    assert (len(answer.rows), answer.partial, answer.warnings) == (1, True, ["trace exceeds max size"])


async def test_spans_are_those_of_all_found_traces_and_one_lost_makes_them_partial(
    stub: Stub, connect: Connect
) -> None:
    ids = [f"{i:032x}" for i in range(1, 12)]
    stub.on("/api/search", {"traces": [{"traceID": i, "startTimeUnixNano": str(START)} for i in ids]})
    for trace_id in ids[1:]:
        stub.on(f"/api/v2/traces/{trace_id}", {"trace": {"resourceSpans": [_resource("front", ROOT)]}})
    stub.on(f"/api/v2/traces/{ids[0]}", "trace is too large", status=422, kind="text/plain")
    answer = await TempoSource(connect(stub.url)).spans(TraceQuery(limit=11), WINDOW)
    assert len(answer.rows) == 10
    assert answer.partial
    assert "1 of 11 traces could not be read" in answer.warnings[0]


@pytest.mark.parametrize(
    ("status", "body", "code", "said"),
    [
        (400, "range specified by start and end exceeds 168h0m0s", ErrorCode.QUERY_FAILED, "exceeds 168h"),
        (401, "no org id", ErrorCode.CREDENTIALS_INVALID, "401"),
        (403, "", ErrorCode.FORBIDDEN, "403"),
        (429, "ratelimit", ErrorCode.RATE_LIMITED, "rate limiting"),
        (504, "", ErrorCode.QUERY_TIMEOUT, "504"),
        (200, "<html>", ErrorCode.BAD_ANSWER, "HTML page"),
        (200, '{"traces":[{"traceID":1}]}', ErrorCode.BAD_ANSWER, "no valid JSON"),
        (200, '{"traces":[{"startTimeUnixNano":"x"}]}', ErrorCode.BAD_ANSWER, "no valid JSON"),
    ],
)
async def test_errors_of_a_search(
    stub: Stub, connect: Connect, status: int, body: str, code: ErrorCode, said: str
) -> None:
    stub.on("/api/search", body, status=status, kind="text/plain")
    with pytest.raises(ClusterError) as caught:
        await TempoSource(connect(stub.url)).search(TraceQuery(), WINDOW)
    assert caught.value.code is code
    assert said in caught.value.message


async def test_invalid_traceql_points_at_the_place(stub: Stub, connect: Connect) -> None:
    said = "invalid TraceQL query: parse error at line 1, col 3: syntax error: unexpected IDENTIFIER\n"
    stub.on("/api/search", said, status=400, kind="text/plain")
    with pytest.raises(UsageError, match="invalid TraceQL: syntax error: unexpected IDENTIFIER") as caught:
        await TempoSource(connect(stub.url)).search(TraceQuery(traceql="{ foo }"), WINDOW)
    assert caught.value.code is ErrorCode.INVALID_TRACEQL
    assert caught.value.hint == "{ foo }\n" + " " * (6 + 2) + "^"


async def test_readiness_behind_a_gateway_is_asked_by_a_search(stub: Stub, connect: Connect) -> None:
    stub.on("/ready", "", status=403)
    stub.on("/api/search", {"traces": [], "metrics": {}})
    await TempoSource(connect(stub.url)).ready()
    assert [a.path for a in stub.asked] == ["/ready", "/api/search"]


async def test_a_tempo_that_starts_is_not_ready(stub: Stub, connect: Connect) -> None:
    stub.on("/ready", "Ingester not ready: ingester check ready failed\n", status=503, kind="text/plain")
    with pytest.raises(ClusterError, match="not ready") as caught:
        await TempoSource(connect(stub.url)).ready()
    assert caught.value.code is ErrorCode.TEMPO_NOT_AVAILABLE


@pytest.mark.parametrize(
    ("text", "size", "expected"),
    [
        (_b64(TRACE), 16, TRACE),
        (TRACE.upper(), 16, TRACE),
        (_b64("d6e9329d67b6146a"), 8, "d6e9329d67b6146a"),
        (_b64("d6e9329d67b6146a").rstrip("="), 8, "d6e9329d67b6146a"),
        ("a1", 8, "00000000000000a1"),
        ("d6e9329d67b6146a", 16, "0000000000000000d6e9329d67b6146a"),
    ],
)
def test_ids_are_read_from_base64_and_hex(text: str, size: int, expected: str) -> None:
    assert hex_id(text, size) == expected
