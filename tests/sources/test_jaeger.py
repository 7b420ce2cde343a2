"""Traces of a real Jaeger, sent to it by OTLP; faults from a stub."""

from __future__ import annotations

import itertools
import time

import msgspec
import pytest
from opentelemetry.trace import SpanKind

from aiops_cli.errors import ClusterError, ErrorCode, UsageError
from aiops_cli.models.timerange import TimeRange
from aiops_cli.sources.base import TraceQuery
from aiops_cli.sources.jaeger import JaegerSource
from aiops_cli.sources.tempo import decode_trace
from tests.conftest import Clusters
from tests.servers.jaeger import Jaeger
from tests.servers.push import SpanNode, push_spans
from tests.sources.conftest import Connect
from tests.sources.stub import Stub
from tests.spans import Sent, new_trace_id, push

_unique = itertools.count()


@pytest.fixture
def jaeger(clusters: Clusters) -> Jaeger:
    return clusters("sources", {"jaeger"}).jaeger


class Shop:
    """Four traces, ten seconds apart: web calls db; the third fails in db. Trace i takes (i+1) * 100 ms."""

    def __init__(self, jaeger: Jaeger) -> None:
        number = next(_unique)
        self.web, self.db = f"web{number}", f"db{number}"
        self.now = float(int(time.time()))
        self.window = TimeRange(self.now - 600, self.now)
        self.start = [self.now - 100 + 10 * i for i in range(4)]
        self.ids = push_spans(jaeger, [self._trace(i) for i in range(4)])

    def _trace(self, i: int) -> SpanNode:
        call = SpanNode(
            self.db,
            "SELECT",
            self.start[i] + 0.01,
            0.05,
            error="deadlock" if i == 2 else None,
            kind=SpanKind.CLIENT,
            attributes={"db.rows": i, "db.table": "cart", "shop": self.web},
            resource={"k8s.pod.name": "db-0"},
        )
        return SpanNode(self.web, "GET /cart", self.start[i], 0.1 * (i + 1), children=[call])


async def test_a_search_finds_the_newest_traces_first(jaeger: Jaeger, connect: Connect) -> None:
    shop = Shop(jaeger)
    source = JaegerSource(connect(jaeger.url))
    rows = (await source.search(TraceQuery(service=shop.web), shop.window)).rows
    assert [r.trace_id for r in rows] == shop.ids[::-1]
    failed = rows[1]
    assert (failed.root_service, failed.root_name) == (shop.web, "GET /cart")
    assert failed.duration_ms == pytest.approx(300)
    assert failed.start_ns == int(shop.start[2]) * 10**9
    assert (failed.span_count, failed.error_count) == (2, 1)
    two = (await source.search(TraceQuery(service=shop.web, limit=2), shop.window)).rows
    assert [r.trace_id for r in two] == shop.ids[:1:-1]


async def test_searches_by_each_filter(jaeger: Jaeger, connect: Connect) -> None:
    shop = Shop(jaeger)
    source = JaegerSource(connect(jaeger.url))

    async def found(**filters: object) -> list[int]:
        rows = (await source.search(TraceQuery(**filters), shop.window)).rows  # type: ignore[arg-type]
        return sorted(shop.ids.index(r.trace_id) for r in rows if r.trace_id in shop.ids)

    assert await found(service=shop.db, operation="SELECT") == [0, 1, 2, 3]
    assert await found(service=shop.db, operation="UPDATE") == []
    assert await found(service=shop.web, min_ms=300) == [2, 3]
    assert await found(service=shop.web, min_ms=150, max_ms=350) == [1, 2]
    assert await found(service=shop.db, errors=True) == [2]
    assert await found(service=shop.db, tags={"db.rows": "3"}) == [3]
    assert await found(traceql=f'{{ resource.service.name = "{shop.web}" && duration > 300ms }}') == [3]
    assert await found(traceql=f'{{ .service.name = "{shop.db}" && status = error && kind = client }}') == [2]


async def test_without_a_service_all_are_searched_and_a_trace_comes_once(
    jaeger: Jaeger, connect: Connect
) -> None:
    shop = Shop(jaeger)
    source = JaegerSource(connect(jaeger.url))
    rows = (await source.search(TraceQuery(tags={"shop": shop.web}, limit=50), shop.window)).rows
    assert [r.trace_id for r in rows] == shop.ids[::-1]
    rows = (await source.search(TraceQuery(service=f"*{shop.web[1:]}", limit=50), shop.window)).rows
    assert [r.trace_id for r in rows] == shop.ids[::-1]
    assert {shop.web, shop.db} <= {s.name for s in (await source.trace_services(shop.window)).rows}


async def test_traceql_beyond_jaegers_own_search_is_answered(jaeger: Jaeger, connect: Connect) -> None:
    shop = Shop(jaeger)
    source = JaegerSource(connect(jaeger.url))

    async def found(text: str, **more: object) -> list[int]:
        query = TraceQuery(traceql=text.replace("WEB", shop.web).replace("DB", shop.db), **more)  # type: ignore[arg-type]
        rows = (await source.search(query, shop.window)).rows
        return [shop.ids.index(r.trace_id) for r in rows]

    assert await found('{ .service.name = "DB" && span.db.rows != 1 && span.db.rows < 3 }') == [2, 0]
    assert await found('{ .service.name = "WEB" && (duration < 150ms || duration > 350ms) }') == [3, 0]
    assert await found('{ .service.name = "WEB" } > { name =~ "SEL.*" && status = error }') == [2]
    assert await found('{ .service.name = "WEB" && name = "GET /cart" } | max(duration) > 250ms') == [3, 2]
    assert await found('{ .service.name = "DB" && status = unset }', limit=2) == [3, 1]
    assert await found("{ span.db.rows = 0 }", service=shop.db) == [0]


async def test_an_operation_may_be_a_glob_and_each_that_matches_is_asked(
    jaeger: Jaeger, connect: Connect
) -> None:
    number, now = next(_unique), time.time()
    service = f"globbed{number}"
    roots = [
        SpanNode(service, f"{verb} /a{i}", now - 60 + i, 0.1) for i in range(3) for verb in ("GET", "PUT")
    ]
    push_spans(jaeger, roots)
    source = JaegerSource(connect(jaeger.url))
    window = TimeRange(now - 600, now)
    rows = (await source.search(TraceQuery(service=service, operation="GET *"), window)).rows
    assert [r.root_name for r in rows] == ["GET /a2", "GET /a1", "GET /a0"]
    rows = (await source.search(TraceQuery(service=f"globbed{number}*", operation="?UT /a[!0]"), window)).rows
    assert rows == []  # only * and ? are special
    rows = (await source.search(TraceQuery(operation="PUT /a?", service=service, limit=1), window)).rows
    assert [r.root_name for r in rows] == ["PUT /a2"]


async def test_more_operations_than_are_asked_one_by_one_are_found_too(
    jaeger: Jaeger, connect: Connect
) -> None:
    service, now = f"many{next(_unique)}", time.time()
    push_spans(jaeger, [SpanNode(service, f"op {i:02}", now - 60 + i * 0.1, 0.01) for i in range(40)])
    push_spans(jaeger, [SpanNode(service, "other", now - 50, 0.01)])
    source = JaegerSource(connect(jaeger.url))
    query = TraceQuery(service=service, operation="op *", limit=50)
    assert len((await source.search(query, TimeRange(now - 600, now))).rows) == 40
    listed = (await source.operations(service, TimeRange(now - 600, now))).rows
    assert [(o.name, o.kind) for o in listed] == [
        *((f"op {i:02}", "server") for i in range(40)),
        ("other", "server"),
    ]


async def test_the_slowest_come_first_when_asked(jaeger: Jaeger, connect: Connect) -> None:
    service, now = f"slow{next(_unique)}", time.time()
    ids = push_spans(
        jaeger, [SpanNode(service, "op", now - 60 + i, 0.1 * ((i * 7) % 10 + 1)) for i in range(10)]
    )
    source = JaegerSource(connect(jaeger.url))
    found = await source.search(TraceQuery(service=service, slowest=True, limit=3), TimeRange(now - 600, now))
    assert [r.duration_ms for r in found.rows] == pytest.approx([1000, 900, 800])
    assert [ids.index(r.trace_id) for r in found.rows] == [7, 4, 1]
    assert found.warnings == []


async def test_metrics_are_computed_from_the_spans(jaeger: Jaeger, connect: Connect) -> None:
    """Ten spans in (t0, t0 + 10 s], durations 10 to 100 ms, the first two failed; five in the step after."""
    service, t0 = f"measured{next(_unique)}", float(int(time.time()) // 10 * 10 - 60)
    roots = [
        SpanNode(
            service,
            "a",
            t0 + 0.5 + 0.5 * i,
            0.01 * (i + 1),
            error="x" if i < 2 else None,
            attributes={"n": i},
        )
        for i in range(10)
    ] + [SpanNode(service, "b", t0 + 11 + i, 0.2) for i in range(5)]
    push_spans(jaeger, roots)
    source = JaegerSource(connect(jaeger.url))
    window = TimeRange(t0, t0 + 30)

    async def values(pipe: str) -> dict[tuple[str, ...], list[float]]:
        rows = (await source.trace_metrics(f'{{ .service.name = "{service}" }} | {pipe}', window, 10)).rows
        assert all((r.timestamps - t0) % 10 == pytest.approx(0) for r in rows)
        return {tuple(r.labels.values()): r.values.tolist() for r in rows}

    assert await values("rate()") == {(): [0, 1, 0.5, 0]}
    assert await values("count_over_time() by (name)") == {("a",): [0, 10, 0, 0], ("b",): [0, 0, 5, 0]}
    assert await values("count_over_time() by (status)") == {
        ("error",): [0, 2, 0, 0],
        ("unset",): [0, 8, 5, 0],
    }
    # linear between ranks: 0.5 of 10..100 is 55; of five equal ones that one
    assert await values("quantile_over_time(duration, 0.5)") == {("0.5",): pytest.approx([0.055, 0.2])}
    assert await values("max_over_time(duration)") == {(): pytest.approx([0.1, 0.2])}
    assert await values("avg_over_time(span.n)") == {(): [4.5]}
    with pytest.raises(UsageError, match="has no metrics function"):
        await source.trace_metrics("{ }", window, 10)
    with pytest.raises(UsageError, match="metrics query, not a search"):
        await source.search(TraceQuery(traceql="{ } | rate()"), window)


async def test_links_and_spans_nobody_waits_for(jaeger: Jaeger, connect: Connect) -> None:
    """The second span links to another trace. OpenTracing's FOLLOWS_FROM is in the stub's test below."""
    trace, other = new_trace_id(), new_trace_id()
    push(
        jaeger,
        [
            Sent(trace, "a1" * 8, None, "web", "GET", 0, 10),
            Sent(trace, "b2" * 8, "a1" * 8, "web", "work", 1, 9, "consumer", links=[(other, "c3" * 8)]),
        ],
        origin=time.time() - 60,
    )
    root, linked = (await JaegerSource(connect(jaeger.url)).trace(trace)).rows
    assert (root.links, linked.parent_id, linked.follows) == ((), "a1" * 8, False)
    assert linked.links == ({"traceId": other, "spanId": "c3" * 8, "attributes": {}},)


async def test_jaegers_otlp_answer_says_the_same(jaeger: Jaeger, connect: Connect) -> None:
    """Real OTLP/JSON, from Jaeger's v3 API, through the decoder that reads Tempo's."""
    trace = new_trace_id()
    sent = [
        Sent(trace, "a1" * 8, None, "web", "GET", 0, 10, attributes={"n": 5, "ok": True, "s": "x"}),
        Sent(trace, "b2" * 8, "a1" * 8, "db", "SELECT", 1, 9, "client", error="boom", exception=("E", "why"), links=[("9" * 32, "8" * 16)]),
    ]  # fmt: skip
    push(jaeger, sent, origin=float(int(time.time()) - 60))
    client = connect(jaeger.url)
    native = (await JaegerSource(client).trace(trace)).rows
    body = msgspec.json.decode((await client.get(f"/api/v3/traces/{trace}")).body)["result"]
    spans = decode_trace(msgspec.json.encode(body)).rows
    for a, b in zip(native, spans, strict=True):
        assert (a.trace_id, a.span_id, a.parent_id, a.service, a.name) == (b.trace_id, b.span_id, b.parent_id, b.service, b.name)  # fmt: skip
        assert (a.kind, a.status, a.start_ns, a.duration_ns) == (b.kind, b.status, b.start_ns, b.duration_ns)  # fmt: skip
        assert [(k["traceId"], k["spanId"]) for k in a.links] == [
            (k["traceId"], k["spanId"]) for k in b.links
        ]
        assert a.events == b.events
        assert b.attributes.items() <= (a.attributes | {"status.message": "boom"}).items()


async def test_a_trace_shows_its_spans_as_they_were_sent(jaeger: Jaeger, connect: Connect) -> None:
    shop = Shop(jaeger)
    root, call = (await JaegerSource(connect(jaeger.url)).trace(shop.ids[2])).rows
    assert (root.parent_id, root.service, root.name, root.kind) == (None, shop.web, "GET /cart", "server")
    assert (call.parent_id, call.service, call.name, call.kind) == (root.span_id, shop.db, "SELECT", "client")
    assert (root.status, call.status) == ("unset", "error")
    assert call.trace_id == shop.ids[2]
    assert call.start_ns == pytest.approx(int(shop.start[2]) * 10**9 + 10_000_000, abs=2000)
    assert call.duration_ns == pytest.approx(50_000_000, abs=2000)
    assert call.attributes["db.rows"] == 2
    assert call.attributes["db.table"] == "cart"
    assert call.resource["k8s.pod.name"] == "db-0"
    assert call.resource["service.name"] == shop.db


async def test_spans_are_those_of_the_found_traces(jaeger: Jaeger, connect: Connect) -> None:
    shop = Shop(jaeger)
    source = JaegerSource(connect(jaeger.url))
    spans = (await source.spans(TraceQuery(service=shop.db, errors=True), shop.window)).rows
    assert [(s.trace_id, s.service) for s in spans] == [(shop.ids[2], shop.web), (shop.ids[2], shop.db)]


async def test_nothing_outside_the_window_is_found(jaeger: Jaeger, connect: Connect) -> None:
    shop = Shop(jaeger)
    before = TimeRange(shop.now - 3600, shop.now - 200)
    rows = (await JaegerSource(connect(jaeger.url)).search(TraceQuery(service=shop.web), before)).rows
    assert rows == []


async def test_a_trace_that_is_not_there_is_no_rows(jaeger: Jaeger, connect: Connect) -> None:
    assert (await JaegerSource(connect(jaeger.url)).trace("ab" * 16)).rows == []


async def test_an_unknown_service_has_no_traces(jaeger: Jaeger, connect: Connect) -> None:
    source = JaegerSource(connect(jaeger.url))
    await source.ready()
    window = TimeRange(time.time() - 60, time.time())
    assert (await source.search(TraceQuery(service="nobody"), window)).rows == []


async def test_old_opentracing_spans_are_read(stub: Stub, connect: Connect) -> None:
    """What clients of before OpenTelemetry sent: short ids, an `error` text, events as log fields."""
    span = {
        "traceID": "d6e9329d67b6146a",
        "spanID": "b2",
        "operationName": "query",
        "references": [{"refType": "FOLLOWS_FROM", "traceID": "d6e9329d67b6146a", "spanID": "a1"}],
        "startTime": 1_700_000_000_000_001,
        "duration": 7,
        "tags": [{"key": "error", "type": "string", "value": "true"}],
        "logs": [
            {
                "timestamp": 1_700_000_000_000_002,
                "fields": [{"key": "event", "value": "retry"}, {"key": "n", "value": 2}],
            }
        ],
        "process": {"serviceName": "old", "tags": None},
        "warnings": None,
    }
    stub.on(
        f"/api/traces/{'d6e9329d67b6146a':0>32}",
        {"data": [{"spans": [span], "processes": {}}], "errors": None},
    )
    (row,) = (await JaegerSource(connect(stub.url)).trace("d6e9329d67b6146a")).rows
    assert (row.trace_id, row.span_id, row.parent_id) == (
        "0000000000000000d6e9329d67b6146a",
        "00000000000000b2",
        "00000000000000a1",
    )
    assert (row.service, row.status, row.kind, row.follows) == ("old", "error", "unspecified", True)
    assert (row.start_ns, row.duration_ns) == (1_700_000_000_000_001_000, 7_000)
    assert row.events == ({"ns": 1_700_000_000_000_002_000, "name": "retry", "attributes": {"n": 2}},)


@pytest.mark.parametrize(
    ("status", "body", "code", "said"),
    [
        (500, '{"data":null,"errors":[{"code":500,"msg":"storage is down"}]}', ErrorCode.SERVER_ERROR, "storage is down"),
        (400, '{"data":null,"errors":[{"code":400,"msg":"malformed tags"}]}', ErrorCode.QUERY_FAILED, "malformed tags"),
        (404, "404 page not found", ErrorCode.NOT_FOUND, "404"),
        (200, "<html>Jaeger UI</html>", ErrorCode.BAD_ANSWER, "HTML page"),
        (200, '{"data":{}}', ErrorCode.BAD_ANSWER, "no valid JSON"),
    ],
)  # fmt: skip
async def test_errors_carry_jaegers_own_words(
    stub: Stub, connect: Connect, status: int, body: str, code: ErrorCode, said: str
) -> None:
    stub.on("/api/traces", body, status=status)
    with pytest.raises(ClusterError) as caught:
        await JaegerSource(connect(stub.url)).search(TraceQuery(service="x"), TimeRange(0, 1))
    assert caught.value.code is code
    assert said in caught.value.message


async def test_of_many_services_the_later_ones_are_asked_for_newer_traces_alone(
    stub: Stub, connect: Connect
) -> None:
    """Nine services, eight at a time: the ninth is asked from the third newest trace on, which were enough."""
    stub.on("/api/services", {"data": [f"s{i}" for i in range(9)]})

    def trace(number: int) -> dict[str, object]:
        span = {
            "traceID": f"{number:032x}",
            "spanID": "1",
            "startTime": 1_700_000_000_000_000 + number,
            "processID": "p",
        }
        return {"spans": [span], "processes": {"p": {"serviceName": "s"}}}

    stub.on("/api/traces", {"data": [trace(1), trace(5), trace(3)]})
    window = TimeRange(1_700_000_000 - 10, 1_700_000_000 + 10)
    rows = (await JaegerSource(connect(stub.url)).search(TraceQuery(limit=3), window)).rows
    assert [r.start_ns % 10_000_000 for r in rows] == [5000, 3000, 1000]
    starts = [a.params["start"] for a in stub.asked if a.path == "/api/traces"]
    assert starts == ["1699999990000000"] * 8 + ["1700000000000001"]
