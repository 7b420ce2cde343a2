"""Tempo's answers in the shapes that its documentation and source describe, from a stub.

No Tempo was run for these tests: it is under the AGPL. Each body is written after the HTTP API's
documentation; what a running Tempo does beyond that is not shown here.
"""

from __future__ import annotations

import base64
import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtoSpan
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from aiops_cli.errors import ClusterError, ErrorCode, UsageError
from aiops_cli.models.timerange import TimeRange
from aiops_cli.sources import otlp_proto
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
        "q": '{ resource.service.name = "front" } with (most_recent=true)',
        "limit": "7",
        "start": "1700000000",
        "end": "1700003601",
    }
    newest, oldest = rows
    assert (newest.rooted, oldest.rooted) == (True, False)
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


async def test_a_tempo_that_does_not_know_the_hint_is_asked_without(stub: Stub, connect: Connect) -> None:
    """Before 2.8, and behind gateways that append to the query. Asked again at once, and not again later."""
    stub.on("/api/search", "invalid TraceQL query: parse error at line 1, col 5: unknown hint", status=400, kind="text/plain")  # fmt: skip
    stub.on("/api/search", {"traces": [{"traceID": TRACE, "startTimeUnixNano": str(START)}]})
    source = TempoSource(connect(stub.url))
    for _ in range(2):
        assert len((await source.search(TraceQuery(), WINDOW)).rows) == 1
    assert [a.params["q"] for a in stub.asked] == ["{ } with (most_recent=true)", "{ }", "{ }"]
    assert not source.newest_first


async def test_the_slowest_are_asked_for_by_ever_longer_durations(stub: Stub, connect: Connect) -> None:
    """The first answer is full (50 for a limit of 2): what is longer than its second best is asked for."""
    first = [_found(i, i * 10) for i in range(1, 51)]
    stub.on("/api/search", {"traces": first})
    stub.on("/api/search", {"traces": [_found(90, 490), _found(91, 500), _found(92, 9000)]})
    answer = await TempoSource(connect(stub.url)).search(TraceQuery(slowest=True, limit=2), WINDOW)
    assert [r.duration_ms for r in answer.rows] == [9000, 500]
    assert answer.warnings == []
    assert [(a.params["q"], a.params["limit"]) for a in stub.asked] == [
        ("{ }", "50"),
        ("({ }) && ({ traceDuration >= 490000us })", "50"),
    ]


async def test_it_is_told_when_there_may_be_slower_ones(stub: Stub, connect: Connect) -> None:
    stub.on("/api/search", {"traces": [_found(i, 7) for i in range(1, 51)]})
    answer = await TempoSource(connect(stub.url)).search(TraceQuery(slowest=True, limit=2), WINDOW)
    assert len(answer.rows) == 2
    assert answer.warnings == ["there may be slower traces: shorten the window"]


def _found(number: int, ms: int) -> dict[str, Any]:
    return {"traceID": f"{number:032x}", "startTimeUnixNano": str(START + number), "durationMs": ms}


async def test_services_and_operations_are_tag_values(stub: Stub, connect: Connect) -> None:
    values = [{"type": "string", "value": v} for v in ("web", "db")]
    stub.on("/api/v2/search/tag/resource.service.name/values", {"tagValues": values, "metrics": {}})
    stub.on("/api/v2/search/tag/name/values", {"tagValues": [{"type": "string", "value": "SELECT"}]})
    source = TempoSource(connect(stub.url))
    assert [s.name for s in (await source.trace_services(WINDOW)).rows] == ["db", "web"]
    assert [(o.service, o.name, o.kind) for o in (await source.operations("d?", WINDOW)).rows] == [("db", "SELECT", None)]  # fmt: skip
    asked = stub.asked[-1].params
    assert (asked["q"], asked["start"], asked["end"]) == ('{ resource.service.name = "db" }', "1700000000", "1700003601")  # fmt: skip


async def test_a_tempo_without_v2_tags_is_asked_the_old_way(stub: Stub, connect: Connect) -> None:
    stub.on("/api/search/tag/service.name/values", {"tagValues": ["web", "db"]})
    found = await TempoSource(connect(stub.url)).trace_services(WINDOW)
    assert [s.name for s in found.rows] == ["db", "web"]


async def test_what_a_gateway_with_query_rbac_refuses_is_explained(stub: Stub, connect: Connect) -> None:
    stub.on("/api/v2/search/tag/name/values", "", status=403)
    stub.on("/api/metrics/query_range", "", status=403)
    source = TempoSource(connect(stub.url))
    for ask in (source.operations("web", WINDOW), source.trace_metrics("{ } | rate()", WINDOW, 60)):
        with pytest.raises(ClusterError) as caught:
            await ask
        assert caught.value.code is ErrorCode.FORBIDDEN
        assert "query RBAC" in caught.value.hint


async def test_metrics_have_a_shape_of_their_own(stub: Stub, connect: Connect) -> None:
    """Numbers as text, zeros left out, labels typed."""
    stub.on(
        "/api/metrics/query_range",
        {
            "series": [
                {
                    "labels": [
                        {"key": "resource.service.name", "value": {"stringValue": "web"}},
                        {"key": "p", "value": {"doubleValue": 0.95}},
                        {"key": "cached", "value": {"boolValue": True}},
                        {"key": "code", "value": {"intValue": "500"}},
                        {"key": "none", "value": {}},
                    ],
                    "samples": [
                        {"timestampMs": "1700000000000", "value": 1.5},
                        {"timestampMs": "1700000060000"},
                        {"timestampMs": 1700000120000, "value": "NaN"},
                    ],
                    "promLabels": "{}",
                },
                {},
            ],
            "metrics": {"inspectedBytes": "1"},
            "status": "PARTIAL",
            "message": "too many series",
        },
    )
    answer = await TempoSource(connect(stub.url)).trace_metrics("{ } | rate()", WINDOW, 60)
    empty, row = answer.rows
    assert (empty.labels, len(empty.values)) == ({}, 0)
    assert row.labels == {"resource.service.name": "web", "p": "0.95", "cached": "true", "code": "500", "none": "nil"}  # fmt: skip
    assert row.timestamps.tolist() == [1_700_000_000, 1_700_000_060, 1_700_000_120]
    assert row.values.tolist()[:2] == [1.5, 0] and row.values[2] != row.values[2]
    assert (answer.partial, answer.warnings) == (True, ["too many series"])
    assert stub.asked[0].params["step"] == "60s"


async def test_a_gateway_s_path_and_tenant_are_kept_and_its_login_page_is_a_refusal(
    stub: Stub, connect: Connect
) -> None:
    """Observatorium's gateway of a TempoStack: the tenant is in the path; 302 is a refused token."""
    path = "/api/traces/v1/dev/tempo"
    stub.on(f"{path}/api/v2/traces/{TRACE}", {"trace": {"resourceSpans": [_resource("front", ROOT)]}})
    client = connect(stub.url + path)
    client.target.headers = {"X-Scope-OrgID": "dev"}
    assert len((await TempoSource(client).trace(TRACE)).rows) == 1
    assert stub.asked[0].headers["x-scope-orgid"] == "dev"
    stub.on(f"{path}/api/search", '{"error":"no token"}', status=302)
    with pytest.raises(ClusterError) as caught:
        await TempoSource(client).search(TraceQuery(), WINDOW)
    assert caught.value.code is ErrorCode.CREDENTIALS_INVALID


def _protobuf() -> TracesData:
    def pair(key: str, **value: Any) -> KeyValue:
        return KeyValue(key=key, value=AnyValue(**value))

    attributes = [
        pair("http.status_code", int_value=500),
        pair("negative", int_value=-3),
        pair("ratio", double_value=0.25),
        pair("cached", bool_value=True),
        pair("tags", array_value={"values": [AnyValue(string_value="a"), AnyValue(int_value=2)]}),
        pair("map", kvlist_value={"values": [pair("k", string_value="v")]}),
        pair("empty"),
    ]
    span = ProtoSpan(
        trace_id=bytes.fromhex(TRACE),
        span_id=bytes.fromhex("00000000000000a1"),
        parent_span_id=bytes.fromhex("00000000000000b2"),
        name="GET /ü",
        kind=ProtoSpan.SPAN_KIND_SERVER,
        start_time_unix_nano=START + 1,
        end_time_unix_nano=START + 5_000_001,
        attributes=attributes,
        status={"code": 2, "message": "boom"},
        events=[{"time_unix_nano": START + 9, "name": "exception", "attributes": [pair("exception.type", string_value="E")]}],
        links=[{"trace_id": bytes.fromhex(TRACE), "span_id": bytes(8), "attributes": [pair("why", string_value="retry")]}],
        flags=1,
    )  # fmt: skip
    resource = {"attributes": [pair("service.name", string_value="front")]}
    return TracesData(
        resource_spans=[{"resource": resource, "scope_spans": [{"spans": [span]}], "schema_url": "x"}]
    )


@pytest.mark.parametrize("version", ["v2", "v1"])
async def test_protobuf_is_read_where_it_is_sent(connect: Connect, stub: Stub, version: str) -> None:
    """Encoded by OpenTelemetry's own library; v2 wraps the trace, v1 does not."""
    trace = _protobuf().SerializeToString()
    wrapped = b"\x0a" + _varint(len(trace)) + trace + b"\x18\x01" + b"\x22\x03cut"
    if version == "v2":
        stub.answers[f"/api/v2/traces/{TRACE}"] = [(200, wrapped, "application/protobuf")]
    else:
        stub.answers[f"/api/traces/{TRACE}"] = [(200, trace, "application/protobuf; charset=x")]
    answer = await TempoSource(connect(stub.url)).trace(TRACE)
    (span,) = answer.rows
    assert (span.trace_id, span.span_id, span.parent_id) == (TRACE, "00000000000000a1", "00000000000000b2")
    assert (span.service, span.name, span.kind, span.status) == ("front", "GET /ü", "server", "error")
    assert (span.start_ns, span.duration_ns) == (START + 1, 5_000_000)
    assert span.attributes == {
        "http.status_code": 500,
        "negative": -3,
        "ratio": 0.25,
        "cached": True,
        "tags": ["a", 2],
        "map": {"k": "v"},
        "empty": None,
        "status.message": "boom",
    }
    assert span.events == ({"ns": START + 9, "name": "exception", "attributes": {"exception.type": "E"}},)
    assert span.links == ({"traceId": TRACE, "spanId": "0" * 16, "attributes": {"why": "retry"}},)
    assert answer.warnings == (["cut"] if version == "v2" else [])
    assert answer.partial == (version == "v2")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


@given(cut=st.integers(0, 400), noise=st.binary(max_size=8))
def test_damaged_protobuf_is_refused_or_read_and_never_worse(cut: int, noise: bytes) -> None:
    body = _protobuf().SerializeToString()[:cut] + noise
    with contextlib.suppress(ValueError):
        otlp_proto.decode(body).spans()


async def test_cut_protobuf_is_a_bad_answer(stub: Stub, connect: Connect) -> None:
    stub.answers[f"/api/v2/traces/{TRACE}"] = [(200, b"\x0a\x7fxx", "application/protobuf")]
    with pytest.raises(ClusterError) as caught:
        await TempoSource(connect(stub.url)).trace(TRACE)
    assert caught.value.code is ErrorCode.BAD_ANSWER


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
