"""The Prometheus HTTP API (v1), as Prometheus, Thanos, Mimir and VictoriaMetrics speak it.

GET by default; POST only when the URL grows too long, since on OpenShift POST needs another
permission. Matrices are decoded to arrays without a Python object for each sample.
"""

from __future__ import annotations

import math
import re
from itertools import chain
from struct import pack
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec
import numpy as np

from aiops_cli.errors import ClusterError, ErrorCode, UsageError
from aiops_cli.models.result import Answer
from aiops_cli.models.signals import Series
from aiops_cli.models.timerange import TimeRange
from aiops_cli.transport.client import HttpClient, Params, Reply, not_json, status_error

if TYPE_CHECKING:
    from numpy.typing import NDArray

T = TypeVar("T")

MAX_POINTS = 11_000
_MAX_URL = 4_000
_BENIGN = ("No StoreAPIs matched for this query",)
# The brackets, quotes and commas around "[[t,"v"],[t,"v"]]" become blanks: what is left is numbers.
_TO_NUMBERS = bytes.maketrans(b'[]",', b"    ")


class _SeriesBody(msgspec.Struct):
    metric: dict[str, str] = {}
    values: msgspec.Raw = msgspec.Raw(b"[]")
    value: tuple[float, str] | None = None
    histograms: list[tuple[float, dict[str, Any]]] = []
    histogram: tuple[float, dict[str, Any]] | None = None


class _Data(msgspec.Struct):
    result_type: str = msgspec.field(name="resultType", default="")
    result: msgspec.Raw = msgspec.Raw(b"[]")


class _Lists(msgspec.Struct):
    """The data of a vector or matrix; a scalar's or string's result is a bare pair."""

    result: list[_SeriesBody]
    result_type: str = msgspec.field(name="resultType", default="")


class _ListsEnvelope(msgspec.Struct):
    data: _Lists
    warnings: list[str] = []
    infos: list[str] = []


class _Envelope(msgspec.Struct):
    status: str
    data: msgspec.Raw = msgspec.Raw(b"null")
    error_type: str = msgspec.field(name="errorType", default="")
    error: str = ""
    warnings: list[str] = []
    infos: list[str] = []


_envelope = msgspec.json.Decoder(_Envelope)
_data = msgspec.json.Decoder(_Data)
_lists = msgspec.json.Decoder(_ListsEnvelope)
_points = msgspec.json.Decoder(list[tuple[float, float]], strict=False)
_pair = msgspec.json.Decoder(tuple[float, str])


def decode_points(raw: bytes | memoryview) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The points of one series, `[[t,"v"],...]`, to (times, values), both float64 of shape (n,).

    "NaN", "+Inf" and "-Inf" are kept, as is the sign of "-0". Raises ValueError if it is no such list.
    """
    # The quick way reads no "+Inf", and makes 0 of "-0".
    try:
        pairs = _points.decode(raw)
    except msgspec.ValidationError:
        pass
    else:
        # Packing is the quickest way from a million Python floats to one buffer.
        flat = np.frombuffer(pack(f"={2 * len(pairs)}d", *chain.from_iterable(pairs)), np.float64)
        times, values = np.ascontiguousarray(flat.reshape(-1, 2).T)
        if values.all() or b'"-0"' not in bytes(raw):
            return times, values
    flat = np.fromstring(bytes(raw).translate(_TO_NUMBERS), dtype=np.float64, sep=" ")
    if flat.size % 2:
        raise ValueError("a sample is no pair")
    times, values = np.ascontiguousarray(flat.reshape(-1, 2).T)
    return times, values


def decode_answer(body: bytes | bytearray) -> tuple[list[Series], list[str], str]:
    """A successful query or query_range body to (series, warnings and infos, result type).

    Raises msgspec.MsgspecError or ValueError if the body is none.
    """
    try:
        # One pass over a body of many megabytes.
        lists = _lists.decode(body)
    except msgspec.ValidationError:
        return _decode_single(body)
    series = []
    for item in lists.data.result:
        if item.value is not None:
            times, values = np.array([item.value[0]]), np.array([float(item.value[1])])
        else:
            times, values = decode_points(item.values)
        histograms = item.histograms or ([item.histogram] if item.histogram else [])
        series.append(Series(item.metric, times, values, tuple(histograms)))
    return series, [*lists.warnings, *lists.infos], lists.data.result_type


def _decode_single(body: bytes | bytearray) -> tuple[list[Series], list[str], str]:
    envelope = _envelope.decode(body)
    data = _data.decode(envelope.data)
    at, text = _pair.decode(data.result)
    value = float(text) if data.result_type == "scalar" else math.nan
    labels = {} if data.result_type == "scalar" else {"value": text}
    found = Series(labels, np.array([at]), np.array([value]))
    return [found], [*envelope.warnings, *envelope.infos], data.result_type


class PrometheusSource:
    """Answers of one Prometheus-compatible server."""

    def __init__(self, client: HttpClient) -> None:
        self.client = client

    @property
    def endpoint(self) -> str:
        return self.client.endpoint

    async def ready(self) -> None:
        """Raises ClusterError unless queries can be run (a Route shows only /api, so ask a query)."""
        await self.query("1")

    async def query(self, expr: str, at: float | None = None) -> Answer[Series]:
        params = [("query", expr)] + ([("time", _seconds(at))] if at is not None else [])
        reply = await self._ask("/api/v1/query", params, expr)
        series, notes, kind = self._decode(reply)
        if kind == "vector":
            series.sort(key=_by_labels)
        return _answer(series, notes)

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
        series, notes, _ = self._decode(reply)
        return _answer(series, notes)

    async def labels(self, matchers: list[str], window: TimeRange | None = None) -> Answer[str]:
        reply = await self._ask("/api/v1/labels", _selection(matchers, window), "")
        return self._list(reply, str)

    async def label_values(
        self, name: str, matchers: list[str], window: TimeRange | None = None
    ) -> Answer[str]:
        reply = await self._ask(
            f"/api/v1/label/{quote(name, safe='')}/values", _selection(matchers, window), name
        )
        return self._list(reply, str)

    async def series(self, matchers: list[str], window: TimeRange | None = None) -> Answer[dict[str, str]]:
        reply = await self._ask("/api/v1/series", _selection(matchers, window), ", ".join(matchers))
        return self._list(reply, dict[str, str])

    def _list(self, reply: Reply, item: type[T]) -> Answer[T]:
        try:
            envelope = _envelope.decode(reply.body)
            rows = msgspec.json.decode(envelope.data, type=list[item]) if envelope.data != b"null" else []  # type: ignore[valid-type]
        except msgspec.MsgspecError:
            raise not_json(reply, "Prometheus", self.endpoint) from None
        return _answer(rows, [*envelope.warnings, *envelope.infos])

    def _decode(self, reply: Reply) -> tuple[list[Series], list[str], str]:
        try:
            return decode_answer(reply.body)
        except (msgspec.MsgspecError, ValueError):
            raise not_json(reply, "Prometheus", self.endpoint) from None

    async def _ask(self, path: str, params: Params, expr: str) -> Reply:
        query = urlencode(list(params))
        if len(query) < _MAX_URL:
            reply = await self.client.get(path, params)
        else:
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            reply = await self.client.request("POST", path, data=query.encode(), headers=form)
            if reply.status in (403, 405):
                reply = await self.client.get(path, params)
        if reply.status == 200:
            return reply
        raise self._error(reply, expr)

    def _error(self, reply: Reply, expr: str) -> ClusterError | UsageError:
        try:
            envelope = _envelope.decode(reply.body)
        except msgspec.MsgspecError:
            return status_error(reply, "Prometheus", self.endpoint)
        kind, text = envelope.error_type, envelope.error
        if "parse error" in text or (kind == "422" and "parse" in text):
            return invalid_promql(expr, text, self.endpoint)
        if kind in ("timeout", "canceled") or "context deadline exceeded" in text:
            return ClusterError(
                f"the query timed out on the server: {text}",
                hint="ask for a shorter window or fewer series",
                code=ErrorCode.QUERY_TIMEOUT,
                endpoint=self.endpoint,
            )
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
    found = re.search(r"(\d+):(\d+): (?:parse error: )?(.*)", text, re.S)
    if not found:
        return UsageError(
            f"invalid PromQL: {text}", hint=expr, code=ErrorCode.INVALID_PROMQL, endpoint=endpoint
        )
    line, column, message = int(found[1]), int(found[2]), found[3].strip()
    lines = expr.splitlines() or [""]
    source = lines[min(line, len(lines)) - 1]
    caret = " " * max(column - 1, 0) + "^"
    return UsageError(
        f"invalid PromQL: {message}",
        hint=f"{source}\n      {caret}",
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


def join(parts: list[list[Series]]) -> list[Series]:
    """Series of consecutive windows, joined by their labels, in label order."""
    grouped: dict[tuple[tuple[str, str], ...], list[Series]] = {}
    for part in parts:
        for series in part:
            grouped.setdefault(tuple(sorted(series.labels.items())), []).append(series)
    return [
        Series(
            pieces[0].labels,
            np.concatenate([p.timestamps for p in pieces]),
            np.concatenate([p.values for p in pieces]),
            tuple(h for p in pieces for h in p.histograms),
        )
        for _, pieces in sorted(grouped.items())
    ]


def _answer(rows: list[T], notes: list[str]) -> Answer[T]:
    """A warning that is not about the expression means that a store behind the server is missing."""
    missing = any(not n.startswith("PromQL") and n not in _BENIGN and "truncated" not in n for n in notes)
    return Answer(rows, warnings=notes, partial=missing)


def _by_labels(series: Series) -> list[tuple[str, str]]:
    return sorted(series.labels.items())


def _selection(matchers: list[str], window: TimeRange | None) -> list[tuple[str, str]]:
    params = [("match[]", m) for m in matchers]
    if window is not None:
        params += [("start", _seconds(window.start)), ("end", _seconds(window.end))]
    return params


def _seconds(value: float) -> str:
    """Seconds with milliseconds, without an exponent, which servers would not read."""
    return f"{value:.3f}".rstrip("0").rstrip(".")
