"""The Prometheus HTTP API (v1), as Prometheus, Thanos, Mimir and VictoriaMetrics speak it.

GET by default; POST only when the URL grows too long, since on OpenShift POST needs another
permission. Matrices are decoded to arrays (`promql_arrays.py`); NumPy is imported only for them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from aiops_cli.errors import ClusterError, ErrorCode, UsageError
from aiops_cli.models.metric_row import Described, ExemplarSeries, MetricRow
from aiops_cli.models.result import Answer
from aiops_cli.models.timerange import TimeRange
from aiops_cli.sources.promql_bodies import Envelope, decode_instant, envelope
from aiops_cli.sources.promql_functions import meant
from aiops_cli.sources.replies import failure, pointed
from aiops_cli.transport.client import HttpClient, Params, Reply, not_json, status_error

if TYPE_CHECKING:
    from aiops_cli.models.signals import Series

T = TypeVar("T")

MAX_POINTS = 11_000
_MAX_URL = 4_000
_BENIGN = ("No StoreAPIs matched for this query",)


class PrometheusSource:
    """Answers of one Prometheus-compatible server."""

    def __init__(self, client: HttpClient) -> None:
        self.client = client

    @property
    def endpoint(self) -> str:
        return self.client.endpoint

    async def ready(self) -> None:
        """Raises ClusterError unless queries can be run (a Route shows only /api, so ask a query)."""
        await self.instant("1")

    async def query(self, expr: str, at: float | None = None) -> Answer[Series]:
        """An instant answer as series of arrays."""
        import numpy as np

        from aiops_cli.models.signals import Series

        answer = await self.instant(expr, at)
        rows = [
            Series(r.labels, np.asarray(r.times), np.asarray(r.values, np.float64), tuple(r.histograms))
            for r in answer.rows
        ]
        return Answer(rows, warnings=answer.warnings, partial=answer.partial)

    async def instant(self, expr: str, at: float | None = None) -> Answer[MetricRow]:
        """An instant answer of any type, as rows whose `cluster` is still empty."""
        params = [("query", expr)] + ([("time", _seconds(at))] if at is not None else [])
        reply = await self._ask("/api/v1/query", params, expr)
        try:
            rows, notes, kind = decode_instant(reply.body)
        except (msgspec.MsgspecError, ValueError):
            raise not_json(reply, "Prometheus", self.endpoint) from None
        if kind == "vector" and not re.match(r"\s*(sort|topk|bottomk|limitk)", expr):
            rows.sort(key=_by_labels)
        return _answer(rows, notes)

    async def query_range(self, expr: str, window: TimeRange, step: float) -> Answer[Series]:
        """Longer windows than 11,000 points are asked in parts, which meet without a seam.

        Raises UsageError for a step below a millisecond, in which servers count: they would read 0.
        """
        if step < 0.001:
            raise UsageError(
                "the step is shorter than a millisecond",
                hint="give --step 1ms or more",
                code=ErrorCode.INVALID_TIME,
            )
        parts = split(window, step)
        answers = [await self._range(expr, part, step) for part in parts]
        if len(answers) == 1:
            return answers[0]
        from aiops_cli.sources.promql_arrays import join

        joined = join([a.rows for a in answers])
        notes = list(dict.fromkeys(w for a in answers for w in a.warnings))
        return Answer(joined, warnings=notes, partial=any(a.partial for a in answers))

    async def _range(self, expr: str, window: TimeRange, step: float) -> Answer[Series]:
        params = [
            ("query", expr),
            ("start", _seconds(window.start)),
            ("end", _seconds(window.end)),
            ("step", _seconds(step)),
        ]
        reply = await self._ask("/api/v1/query_range", params, expr)
        from aiops_cli.sources.promql_arrays import decode_answer

        try:
            series, notes, _ = decode_answer(reply.body)
        except (msgspec.MsgspecError, ValueError):
            raise not_json(reply, "Prometheus", self.endpoint) from None
        return _answer(series, notes)

    async def labels(
        self, matchers: list[str], window: TimeRange | None = None, limit: int | None = None
    ) -> Answer[str]:
        reply = await self._ask("/api/v1/labels", _selection(matchers, window, limit), "")
        return self._list(reply, str)

    async def label_values(
        self, name: str, matchers: list[str], window: TimeRange | None = None, limit: int | None = None
    ) -> Answer[str]:
        path = f"/api/v1/label/{quote(_escaped(name), safe='')}/values"
        return self._list(await self._ask(path, _selection(matchers, window, limit), name), str)

    async def series(
        self, matchers: list[str], window: TimeRange | None = None, limit: int | None = None
    ) -> Answer[dict[str, str]]:
        selection = _selection(matchers, window, limit)
        return self._list(await self._ask("/api/v1/series", selection, ", ".join(matchers)), dict[str, str])

    async def metadata(self, metric: str | None, limit: int | None) -> Answer[tuple[str, list[Described]]]:
        """Type, help and unit by metric, in name order; one metric, or at most `limit` of all."""
        params = [("metric", metric)] if metric else []
        params += [("limit", str(limit))] if limit else []
        reply = await self._ask("/api/v1/metadata", params, metric or "")
        found, notes = self._data(reply, dict[str, list[Described]])
        return _answer(sorted((found or {}).items()), notes)

    async def exemplars(self, expr: str, window: TimeRange) -> Answer[ExemplarSeries]:
        """Exemplars of the series that an expression selects; none where the server keeps none."""
        params = [("query", expr), ("start", _seconds(window.start)), ("end", _seconds(window.end))]
        reply = await self._ask("/api/v1/query_exemplars", params, expr)
        if reply.status == 204:  # an expression without a selector
            return Answer([])
        return self._list(reply, ExemplarSeries)

    def _list(self, reply: Reply, item: type[T]) -> Answer[T]:
        rows, notes = self._data(reply, list[item])  # type: ignore[valid-type]
        return _answer(rows or [], notes)

    def _data(self, reply: Reply, kind: type[T]) -> tuple[T | None, list[str]]:
        """The data of an answer (None for null), and its warnings and infos."""
        try:
            whole = envelope.decode(reply.body)
            data = None if whole.data == b"null" else msgspec.json.decode(whole.data, type=kind)
        except msgspec.MsgspecError:
            raise not_json(reply, "Prometheus", self.endpoint) from None
        return data, [*whole.warnings, *whole.infos]

    async def _ask(self, path: str, params: Params, expr: str) -> Reply:
        query = urlencode(list(params))
        if len(query) < _MAX_URL:
            reply = await self.client.get(path, params)
        else:
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            reply = await self.client.request("POST", path, data=query.encode(), headers=form)
            if reply.status in (403, 405):
                reply = await self.client.get(path, params)
        if reply.status in (200, 204):
            return reply
        raise self._error(reply, expr)

    def _error(self, reply: Reply, expr: str) -> ClusterError | UsageError:
        try:
            said: Envelope = envelope.decode(reply.body)
        except msgspec.MsgspecError:
            return status_error(reply, "Prometheus", self.endpoint)
        kind, text = said.error_type, said.error
        if "parse error" in text or (kind == "422" and "parse" in text):
            return invalid_promql(expr, text, self.endpoint)
        if "invalid expression type" in text and "range query" in text:
            problem = text.removeprefix('invalid parameter "query": ')
            return UsageError(
                f"invalid PromQL: {problem}",
                hint=f"ask for one number at each step, such as avg_over_time({expr})",
                code=ErrorCode.INVALID_PROMQL,
                endpoint=self.endpoint,
            )
        if kind in ("timeout", "canceled") or "context deadline exceeded" in text:
            return ClusterError(
                f"the query timed out on the server: {text}",
                hint="ask for a shorter window or fewer series",
                code=ErrorCode.QUERY_TIMEOUT,
                endpoint=self.endpoint,
            )
        if not kind and reply.status >= 500:  # the API server's, which could not reach it for us
            return failure(reply, "Prometheus", self.endpoint)
        if reply.status in (401, 403, 404, 429):
            return status_error(reply, "Prometheus", self.endpoint)
        return ClusterError(
            f"the query failed: {text}",
            hint="change the query, or ask for less",
            code=ErrorCode.QUERY_FAILED,
            endpoint=self.endpoint,
        )


def invalid_promql(expr: str, text: str, endpoint: str | None = None) -> UsageError:
    """INVALID_PROMQL with the server's or parser's message, and a caret where it gives a position."""
    text += meant(text)
    found = re.search(r"(\d{1,9}):(\d{1,9}): (?:parse error: )?(.*)", text, re.S)
    if not found:
        return UsageError(
            f"invalid PromQL: {text}", hint=expr, code=ErrorCode.INVALID_PROMQL, endpoint=endpoint
        )
    line, column, message = int(found[1]), int(found[2]), found[3].strip()
    return UsageError(
        f"invalid PromQL: {message}",
        hint=pointed(expr, line, column),
        code=ErrorCode.INVALID_PROMQL,
        endpoint=endpoint,
    )


def split(window: TimeRange, step: float) -> list[TimeRange]:
    """Parts of at most 11,000 points, on one grid: a part starts one step after the last one ended."""
    steps = math.floor((window.end - window.start) / step + 1e-9)
    if steps < MAX_POINTS:
        return [window]
    starts = range(0, steps + 1, MAX_POINTS)
    return [
        TimeRange(window.start + i * step, window.start + min(i + MAX_POINTS - 1, steps) * step)
        for i in starts
    ]


def _answer(rows: list[T], notes: list[str]) -> Answer[T]:
    """A warning that is not about the expression means that a store behind the server is missing."""
    missing = any(not n.startswith("PromQL") and n not in _BENIGN and "truncated" not in n for n in notes)
    return Answer(rows, warnings=notes, partial=missing)


def _by_labels(row: MetricRow) -> list[tuple[str, str]]:
    return sorted(row.labels.items())


def _selection(matchers: Sequence[str], window: TimeRange | None, limit: int | None) -> list[tuple[str, str]]:
    params = [("match[]", m) for m in matchers]
    if window is not None:
        params += [("start", _seconds(window.start)), ("end", _seconds(window.end))]
    return params + ([("limit", str(limit))] if limit else [])


def _escaped(name: str) -> str:
    """A label name as paths take it: `U__` and `_HEX_` for what older names could not hold."""
    if re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name):
        return name
    return "U__" + "".join(
        "__" if c == "_" else c if re.match(r"[a-zA-Z0-9]", c) else f"_{ord(c):x}_" for c in name
    )


def _seconds(value: float) -> str:
    """Seconds with milliseconds, without an exponent, which servers would not read."""
    return f"{value:.3f}".rstrip("0").rstrip(".")
