"""Log queries on a real Loki 2.2.1; what only newer servers and gateways send comes from a stub."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import time
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiops_cli.errors import ClusterError, ErrorCode, UsageError
from aiops_cli.models.timerange import TimeRange
from aiops_cli.sources.base import Direction
from aiops_cli.sources.loki import MAX_PAGE, LokiSource
from aiops_cli.sources.loki_pages import halving_pattern
from aiops_cli.transport.client import HttpClient, Target
from tests.conftest import Clusters
from tests.servers.loki import Loki
from tests.servers.push import push_logs
from tests.sources.conftest import Connect
from tests.sources.stub import Stub

QUERY = "/loki/api/v1/query_range"
LABELS = "/loki/api/v1/labels"
BOTH: tuple[Direction, ...] = ("forward", "backward")
_unique = itertools.count()


@pytest.fixture
def loki(clusters: Clusters) -> Loki:
    return clusters("sources", {"loki"}).loki


@pytest.fixture
def app() -> str:
    """A value of the label `app` that no other test uses."""
    return f"app{next(_unique)}"


@pytest.fixture
def hour() -> TimeRange:
    now = int(time.time())
    return TimeRange(now - 3600, now)


def _streams(*values: Sequence[object], **labels: str) -> dict[str, object]:
    return {
        "status": "success",
        "data": {"resultType": "streams", "result": [{"stream": labels, "values": values}], "stats": {}},
    }


@pytest.mark.parametrize("direction", BOTH)
async def test_lines_past_the_servers_limit_come_complete_and_once(
    loki: Loki, connect: Connect, app: str, hour: TimeRange, direction: Direction
) -> None:
    """12,000 lines, 6,000 of which share one nanosecond: more than a page of 5,000 can hold."""
    base = int(hour.start) * 10**9
    lines = [(base + i * 1_000_000, f"before {i:05d}") for i in range(3000)]
    lines += [(base + 10 * 10**9, f"burst {i:05d}") for i in range(6000)]
    lines += [(base + 20 * 10**9 + i, f"after {i:05d}") for i in range(3000)]
    push_logs(loki, [({"app": app}, lines)])
    answer = await LokiSource(connect(loki.url)).query_range(f'{{app="{app}"}}', hour, 50_000, direction)
    assert Counter((r.ns, r.line) for r in answer.rows) == Counter(lines)
    times = [r.ns for r in answer.rows]
    assert times == sorted(times, reverse=direction == "backward")
    assert not answer.partial
    assert answer.warnings == []


@pytest.mark.parametrize("direction", BOTH)
async def test_a_limit_takes_the_first_lines_over_all_streams(
    loki: Loki, connect: Connect, app: str, hour: TimeRange, direction: Direction
) -> None:
    base = int(hour.start) * 10**9
    streams = [
        ({"app": app, "pod": str(p)}, [(base + (i * 3 + p) * 1000, f"{p} {i}") for i in range(4000)])
        for p in range(3)
    ]
    push_logs(loki, streams)
    answer = await LokiSource(connect(loki.url)).query_range(f'{{app="{app}"}}', hour, 7001, direction)
    every = sorted(ns for _, lines in streams for ns, _ in lines)
    wanted = every[:7001] if direction == "forward" else every[::-1][:7001]
    assert [r.ns for r in answer.rows] == wanted
    assert {r.labels["pod"] for r in answer.rows} == {"0", "1", "2"}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    times=st.lists(st.integers(0, 6), min_size=1, max_size=40),
    pods=st.integers(1, 3),
    page=st.integers(2, 9),
    limit=st.integers(1, 60),
    direction=st.sampled_from(BOTH),
    tails=st.lists(st.text('ab01 .*"\\`é\n', max_size=6), min_size=1, max_size=40),
)
def test_any_page_size_gives_what_one_big_page_gives(
    loki: Loki, times: list[int], pods: int, page: int, limit: int, direction: Direction, tails: list[str]
) -> None:
    app = f"property{next(_unique)}"
    now = int(time.time())
    base = (now - 60) * 10**9
    lines = [(base + t, i % pods, f"{tails[i % len(tails)]}:{i}") for i, t in enumerate(times)]
    push_logs(
        loki,
        [
            ({"app": app, "pod": str(p)}, [(ns, line) for ns, of, line in lines if of == p])
            for p in range(pods)
        ],
    )

    async def ask() -> None:
        client = HttpClient(Target(loki.url))
        source = LokiSource(client)
        source.page = page
        answer = await source.query_range(f'{{app="{app}"}}', TimeRange(now - 120, now), limit, direction)
        await client.aclose()
        got = [(r.ns, int(r.labels["pod"]), r.line) for r in answer.rows]
        ordered = sorted((ns for ns, _, _ in lines), reverse=direction == "backward")
        assert [ns for ns, _, _ in got] == ordered[:limit]
        assert not Counter(got) - Counter(lines), "a line came twice or from nowhere"
        assert not answer.partial

    asyncio.run(ask())


async def test_lines_that_nothing_tells_apart_make_the_answer_partial(
    loki: Loki, connect: Connect, app: str, hour: TimeRange
) -> None:
    at = int(hour.start) * 10**9
    like = [({"app": app, "pod": str(p)}, [(at, "same"), (at + 9, "last")]) for p in range(5)]
    push_logs(loki, [*like, ({"app": app, "pod": "other"}, [(at, "other")])])
    source = LokiSource(connect(loki.url))
    source.page = 3
    answer = await source.query_range(f'{{app="{app}"}}', hour, 100, "forward")
    assert answer.partial
    assert Counter(r.line for r in answer.rows if r.ns == at) == {"same": 3, "other": 1}
    assert "some may be missing" in answer.warnings[0]
    assert str(at) in answer.warnings[0]


async def test_the_end_is_excluded_and_the_start_is_not(
    loki: Loki, connect: Connect, app: str, hour: TimeRange
) -> None:
    start, end = int(hour.start) * 10**9, int(hour.end) * 10**9
    push_logs(loki, [({"app": app}, [(start, "first"), (end - 1, "last"), (end, "too late")])])
    answer = await LokiSource(connect(loki.url)).query_range(f'{{app="{app}"}}', hour, 10)
    assert [(r.ns, r.line) for r in answer.rows] == [(end - 1, "last"), (start, "first")]


async def test_windows_longer_than_the_server_takes_are_asked_in_parts(
    loki: Loki, connect: Connect, app: str, hour: TimeRange
) -> None:
    at = int(hour.start) * 10**9
    push_logs(loki, [({"app": app}, [(at, "one"), (at + 1, "two")])])
    client = connect(loki.url)
    window = TimeRange(hour.end - 70 * 86_400, hour.end)
    answer = await LokiSource(client).query_range(f'{{app="{app}"}}', window, 10, "forward")
    assert [r.line for r in answer.rows] == ["one", "two"]
    assert client.requests == 3


@pytest.mark.parametrize("direction", BOTH)
async def test_a_window_that_the_server_has_no_time_for_is_asked_in_parts(
    stub: Stub, connect: Connect, hour: TimeRange, direction: Direction
) -> None:
    late = "request timed out, decrease the duration of the request or add more label matchers"
    for _ in range(3):  # a 504 is tried thrice
        stub.on(QUERY, late, status=504, kind="text/plain")
    lines = [[str(int(hour.end - ago) * 10**9), f"{ago} s ago"] for ago in (100, 40_000, 80_000)]
    stub.on(QUERY, _streams(*lines))
    day = TimeRange(hour.end - 86_400, hour.end)

    answer = await LokiSource(connect(stub.url)).query_range('{app="x"}', day, 10, direction)

    found = [r.line for r in answer.rows]
    assert found == (["80000 s ago", "40000 s ago", "100 s ago"][:: 1 if direction == "forward" else -1])
    spans = {int(a.params["end"]) - int(a.params["start"]) for a in stub.asked[3:]}
    assert spans == {3600 * 10**9}
    assert len(stub.asked) == 3 + 24


async def test_labels_are_those_of_the_window(
    loki: Loki, connect: Connect, app: str, hour: TimeRange
) -> None:
    push_logs(loki, [({"app": app, f"only_{app}": "x"}, [(int(hour.start + 60) * 10**9, "line")])])
    source = LokiSource(connect(loki.url))
    assert {"app", f"only_{app}"} <= set((await source.labels(hour)).rows)


async def test_a_real_loki_is_ready(loki: Loki, connect: Connect) -> None:
    await LokiSource(connect(loki.url)).ready()


@pytest.mark.parametrize(
    ("expr", "column"), [('{app="x"', 9), ('{app="x"} |= ', 14), ("{}", 2), ('{app=="x"}', 5)]
)
async def test_invalid_logql_points_at_the_place(
    loki: Loki, connect: Connect, hour: TimeRange, expr: str, column: int
) -> None:
    with pytest.raises(UsageError) as caught:
        await LokiSource(connect(loki.url)).query_range(expr, hour, 10)
    assert caught.value.code is ErrorCode.INVALID_LOGQL
    source, caret = caught.value.hint.split("\n")
    assert source == expr
    assert len(caret) - len("      ") == column


async def test_a_metric_query_is_refused_as_no_log_query(
    loki: Loki, connect: Connect, hour: TimeRange
) -> None:
    with pytest.raises(UsageError, match="gives a matrix, not log lines"):
        await LokiSource(connect(loki.url)).query_range('rate({app="x"}[1m])', hour, 10)


async def test_structured_metadata_and_parsed_fields_of_newer_servers(
    stub: Stub, connect: Connect, hour: TimeRange
) -> None:
    at = int(hour.start) * 10**9 + 123_456_789
    stub.on(
        QUERY,
        _streams(
            [str(at), "three", {"structuredMetadata": {"trace_id": "ab"}, "parsed": {"level": "error"}}],
            [str(at + 1), "two"],
            [str(at + 2), "empty", {}],
            app="x",
        ),
    )
    rows = (await LokiSource(connect(stub.url)).query_range('{app="x"}', hour, 10, "forward")).rows
    assert [(r.ns, r.line, r.labels, r.metadata) for r in rows] == [
        (at, "three", {"app": "x", "level": "error"}, {"trace_id": "ab"}),
        (at + 1, "two", {"app": "x"}, {}),
        (at + 2, "empty", {"app": "x"}, {}),
    ]
    assert stub.asked[0].headers["x-loki-response-encoding-flags"] == "categorize-labels"
    assert stub.asked[0].params["start"] == str(int(hour.start) * 10**9)


async def test_lines_outside_the_window_are_dropped(stub: Stub, connect: Connect, hour: TimeRange) -> None:
    start, end = int(hour.start) * 10**9, int(hour.end) * 10**9
    stub.on(QUERY, _streams([str(start - 1), "early"], [str(start), "in"], [str(end), "late"]))
    rows = (await LokiSource(connect(stub.url)).query_range("{}", hour, 10)).rows
    assert [r.line for r in rows] == ["in"]


async def test_a_smaller_page_is_learned_from_the_servers_refusal(
    stub: Stub, connect: Connect, hour: TimeRange
) -> None:
    refusal = "max entries limit per query exceeded, limit > max_entries_limit_per_query (5000 > 1000)"
    stub.on(QUERY, refusal, status=400, kind="text/plain")
    stub.on(QUERY, _streams([str(int(hour.start) * 10**9), "line"]))
    source = LokiSource(connect(stub.url))
    assert [r.line for r in (await source.query_range("{}", hour, 9_000)).rows] == ["line"]
    assert [a.params["limit"] for a in stub.asked] == [str(MAX_PAGE), "1000"]


@pytest.mark.parametrize(
    ("status", "body", "code", "said"),
    [
        (400, "the query time range exceeds the limit (query length: 800h, limit: 721h)", ErrorCode.QUERY_FAILED, "exceeds the limit"),
        (504, "request timed out, decrease the duration of the request", ErrorCode.QUERY_TIMEOUT, "timed out"),
        (500, "context deadline exceeded", ErrorCode.QUERY_TIMEOUT, "deadline"),
        (429, "too many outstanding requests", ErrorCode.RATE_LIMITED, "rate limiting"),
        (401, "no org id", ErrorCode.CREDENTIALS_INVALID, "401"),
        (302, '{"status":"error","errorType":"observatorium-api","error":"failed to find token"}', ErrorCode.CREDENTIALS_INVALID, "login"),
        (403, '{"status":"error","errorType":"observatorium-api","error":"you don\'t have permission to access this tenant"}', ErrorCode.FORBIDDEN, "access this tenant"),
        (503, '{"kind":"Status","status":"Failure","reason":"ServiceUnavailable","message":"no endpoints available for service \\"loki\\""}', ErrorCode.SERVER_ERROR, "no endpoints available"),
        (200, "<html>login</html>", ErrorCode.BAD_ANSWER, "HTML page"),
        (200, '{"status":"success","data":{"resultType":"streams","result":[{"stream":{},"values":[["x","y"]]}]}}', ErrorCode.BAD_ANSWER, "no valid JSON"),
    ],
)  # fmt: skip
async def test_errors_of_loki_its_gateways_and_the_service_proxy(
    stub: Stub, connect: Connect, hour: TimeRange, status: int, body: str, code: ErrorCode, said: str
) -> None:
    stub.on(QUERY, body, status=status, kind="application/json" if body[0] == "{" else "text/plain")
    with pytest.raises(ClusterError) as caught:
        await LokiSource(connect(stub.url)).query_range("{}", hour, 10)
    assert caught.value.code is code
    assert said in caught.value.message


async def test_readiness_behind_a_gateway_is_asked_by_labels(stub: Stub, connect: Connect) -> None:
    stub.on("/ready", "", status=302)
    stub.on(LABELS, {"status": "success"})
    await LokiSource(connect(stub.url)).ready()
    assert [a.path for a in stub.asked] == ["/ready", LABELS]


async def test_a_loki_that_starts_is_not_ready(stub: Stub, connect: Connect) -> None:
    stub.on("/ready", "Ingester not ready: waiting for 15s after startup\n", status=503, kind="text/plain")
    with pytest.raises(ClusterError, match="waiting for 15s") as caught:
        await LokiSource(connect(stub.url)).ready()
    assert caught.value.code is ErrorCode.LOKI_NOT_AVAILABLE


async def test_no_labels_at_all_is_an_empty_answer(stub: Stub, connect: Connect, hour: TimeRange) -> None:
    stub.on(LABELS, {"status": "success"})
    assert (await LokiSource(connect(stub.url)).labels(hour)).rows == []


@given(st.lists(st.text(max_size=8), min_size=1, max_size=30))
def test_a_halving_pattern_keeps_some_lines_and_drops_some(lines: list[str]) -> None:
    pattern = halving_pattern(lines)
    if pattern is None:
        assert len(set(lines)) == 1
        return
    kept = [line for line in lines if re.search(pattern.replace("$", r"\Z"), line)]
    assert 0 < len(kept) < len(lines)
    assert json.loads(json.dumps(pattern)) == pattern
