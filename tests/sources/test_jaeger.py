"""Traces of a real Jaeger, sent to it by OTLP; faults from a stub."""

from __future__ import annotations

import itertools
import time

import pytest
from opentelemetry.trace import SpanKind

from aiops_cli.errors import ClusterError, ErrorCode
from aiops_cli.models.timerange import TimeRange
from aiops_cli.sources.base import TraceQuery
from aiops_cli.sources.jaeger import JaegerSource
from tests.conftest import Clusters
from tests.servers.jaeger import Jaeger
from tests.servers.push import SpanNode, push_spans
from tests.sources.conftest import Connect
from tests.sources.stub import Stub

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
    assert {shop.web, shop.db} <= set((await source.services()).rows)


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
    assert (row.service, row.status, row.kind) == ("old", "error", "unspecified")
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
