"""The Loki HTTP API: log queries page by page, metric queries, labels, series and statistics."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from aiops_cli.errors import ClusterError, ErrorCode, UsageError
from aiops_cli.models.result import Answer
from aiops_cli.models.signals import LogEntry
from aiops_cli.models.timerange import TimeRange, nanoseconds
from aiops_cli.sources.base import Direction, Labels, LogRow, LogStats
from aiops_cli.sources.loki_decode import by_time, decode_rows
from aiops_cli.sources.loki_pages import Pages
from aiops_cli.sources.replies import error_text, failure, pointed, query_failed, says_ready
from aiops_cli.transport.client import HttpClient, Params, Reply, not_json

if TYPE_CHECKING:
    from aiops_cli.models.signals import Series

_WHAT = "Loki"
_API = "/loki/api/v1"
MAX_PAGE = 5_000  # max_entries_limit_per_query's default: asking for more is an error, not a clamp
_CATEGORIZE = {"X-Loki-Response-Encoding-Flags": "categorize-labels"}
_LIMIT_ERROR = re.compile(r"max entries limit.*\((\d+) > (\d+)\)")
INVALID = ("parse error", "syntax error", "queries require at least one regexp or equality matcher")
_LIMITS = (
    ("query time range exceeds the limit", "ask for a shorter window: --since"),
    ("maximum of series", "group by fewer labels: sum by (app) (…)"),
    ("would read too many bytes", "narrow the selector or the window; aiops logs stats tells how much it is"),
    ("exceeded maximum resolution", "raise --step, or ask for a shorter window"),
    ("pipeline error", 'leave out the lines that a stage fails on: | __error__=""'),
    ("blocked by policy", "the server's administrator has blocked this query"),
)
"""What refusals say, and what helps (grafana/loki, pkg/validation/limits.go)."""


class _Names(msgspec.Struct):
    data: list[str] | None = None


class _Series(msgspec.Struct):
    data: list[Labels] | None = None


class _Stats(msgspec.Struct):
    streams: int = 0
    chunks: int = 0
    entries: int = 0
    bytes: int = 0


_names = msgspec.json.Decoder(_Names)
_series = msgspec.json.Decoder(_Series)
_stats = msgspec.json.Decoder(_Stats)


class LokiSource:
    """Answers of one Loki; `page` is how many lines it gives at once, learned from its errors."""

    def __init__(self, client: HttpClient) -> None:
        self.client = client
        self.page = MAX_PAGE

    @property
    def endpoint(self) -> str:
        return self.client.endpoint

    async def ready(self) -> None:
        """Raises ClusterError unless Loki is ready; where a gateway hides /ready, asks for labels."""
        if not await says_ready(self.client, "Loki", ErrorCode.LOKI_NOT_AVAILABLE):
            await self._ask("/labels", [], "")

    async def labels(self, window: TimeRange) -> Answer[str]:
        """The names of the labels of streams in the window, sorted."""
        return self._listed(await self._ask("/labels", _during(window), ""))

    async def label_values(self, name: str, window: TimeRange, selector: str = "") -> Answer[str]:
        """A label's values in the window, sorted; of the selected streams where the server can tell."""
        params = [*_during(window), *([("query", selector)] if selector else [])]
        return self._listed(await self._ask(f"/label/{quote(name, safe='')}/values", params, selector))

    async def series(self, selector: str, window: TimeRange) -> Answer[Labels]:
        """The label sets of the selected streams, in the order of their labels.

        The parameter is `match`, not `match[]`: OpenShift's gateway authorises by it alone.
        """
        reply = await self._ask("/series", [("match", selector), *_during(window)], selector)
        try:
            rows = _series.decode(reply.body).data or []
        except msgspec.MsgspecError:
            raise not_json(reply, _WHAT, self.endpoint) from None
        return Answer(sorted(rows, key=lambda labels: sorted(labels.items())))

    async def stats(self, selector: str, window: TimeRange) -> Answer[LogStats]:
        """What the index knows of the selected streams: flushed chunks alone, and so an estimate.

        Raises ClusterError (NOT_FOUND) where it is not served: before 2.8, and behind gateways.
        """
        reply = await self._ask("/index/stats", [("query", selector), *_during(window)], selector)
        try:
            found = _stats.decode(reply.body)
        except msgspec.MsgspecError:
            raise not_json(reply, _WHAT, self.endpoint) from None
        return Answer([LogStats(found.streams, found.chunks, found.entries, found.bytes)])

    async def metric(self, expr: str, at: float) -> Answer[Series]:
        """A metric query at one time: one point a series."""
        params = [("query", expr), ("time", str(nanoseconds(at)))]
        return self._samples(await self._ask("/query", params, expr))

    async def metric_range(self, expr: str, window: TimeRange, step: float) -> Answer[Series]:
        """A matrix at `start`, `start + step`, …, `end`; more than 11,000 points are asked in parts."""
        from aiops_cli.sources.prometheus import split
        from aiops_cli.sources.promql_arrays import join

        answers = []
        for part in split(window, step):
            params = [("query", expr), *_during(part), ("step", f"{step:.3f}".rstrip("0").rstrip("."))]
            answers.append(self._samples(await self._ask("/query_range", params, expr)))
        if len(answers) == 1:
            return answers[0]
        notes = dict.fromkeys(w for a in answers for w in a.warnings)
        return Answer(join([a.rows for a in answers]), warnings=list(notes))

    async def query_range(
        self, expr: str, window: TimeRange, limit: int, direction: Direction = "backward"
    ) -> Answer[LogEntry]:
        """The first `limit` lines in [start, end) in the order of `direction`, over all streams.

        The answer is partial, with a warning, if lines are known to be missing.
        """
        answer: Answer[LogEntry] = Answer([])
        async with aclosing(self.pages(expr, window, limit, direction)) as pages:
            async for page in pages:
                answer.rows += [LogEntry(ns, labels, line, more) for ns, line, labels, more in page.rows]
                answer.warnings += page.warnings
                answer.partial |= page.partial
        return answer

    def pages(
        self,
        expr: str,
        window: TimeRange,
        limit: int,
        direction: Direction = "backward",
        *,
        most: int = MAX_PAGE,
        lanes: int = 2,
    ) -> AsyncGenerator[Answer[LogRow], None]:
        """The same lines as they come: pages of at most `most`, `lanes` parts of the window at once.

        Each page has the warnings that are new, and is partial once lines are known to be missing.
        """
        forward = direction == "forward"
        start, end = nanoseconds(window.start), nanoseconds(window.end)
        return Pages(self, expr, start, end, limit, forward=forward, most=most, lanes=lanes).read()

    async def fetch(
        self, expr: str, start: int, end: int, want: int, forward: bool
    ) -> tuple[list[LogRow], bool, list[str]]:
        """One page in order, whether the server may have more, and warnings; drops lines outside [start, end)."""
        params = [
            ("query", expr),
            ("start", str(start)),
            ("end", str(end)),
            ("limit", str(want)),
            ("direction", "forward" if forward else "backward"),
        ]
        try:
            reply = await self._ask("/query_range", params, expr)
        except _PageTooLarge as error:
            if not 0 < error.most < want:
                raise query_failed(error.text, self.endpoint) from None
            self.page = error.most
            return await self.fetch(expr, start, end, error.most, forward)
        try:
            rows, warnings = decode_rows(reply.body)
        except (msgspec.MsgspecError, ValueError):
            raise not_json(reply, _WHAT, self.endpoint) from None
        full = len(rows) >= want
        rows.sort(key=by_time, reverse=not forward)
        if rows and not (start <= min(rows[0][0], rows[-1][0]) and max(rows[0][0], rows[-1][0]) < end):
            rows = [r for r in rows if start <= r[0] < end]
        return rows, full, warnings

    def _samples(self, reply: Reply) -> Answer[Series]:
        from aiops_cli.sources.promql_arrays import decode_answer

        try:
            series, notes, _ = decode_answer(reply.body)
        except (msgspec.MsgspecError, ValueError):
            raise not_json(reply, _WHAT, self.endpoint) from None
        series.sort(key=lambda s: sorted(s.labels.items()))
        return Answer(series, warnings=notes)

    def _listed(self, reply: Reply) -> Answer[str]:
        try:
            return Answer(sorted(_names.decode(reply.body).data or []))
        except msgspec.MsgspecError:
            raise not_json(reply, _WHAT, self.endpoint) from None

    async def _ask(self, path: str, params: Params, expr: str) -> Reply:
        reply = await self.client.get(_API + path, params, headers=_CATEGORIZE)
        if reply.status == 200:
            return reply
        text = error_text(reply)
        if found := _LIMIT_ERROR.search(text):
            raise _PageTooLarge(int(found[2]), text)
        if reply.status == 400 and any(sign in text for sign in INVALID):
            raise invalid_logql(expr, text, self.endpoint)
        if reply.status == 400:
            raise self._refused(text)
        raise failure(reply, _WHAT, self.endpoint)

    def _refused(self, text: str) -> ClusterError:
        error = query_failed(text, self.endpoint)
        error.hint = next((hint for sign, hint in _LIMITS if sign in text), error.hint)
        return error


class _PageTooLarge(Exception):
    """The server gives at most `most` lines at once."""

    def __init__(self, most: int, text: str) -> None:
        super().__init__(text)
        self.most, self.text = most, text


def invalid_logql(expr: str, text: str, endpoint: str | None = None) -> UsageError:
    """INVALID_LOGQL with the server's message, and a caret where it names a line and a column."""
    found = re.search(r"(?:parse|syntax) error at line (\d{1,9}), col (\d{1,9}): (.*)", text, re.S)
    if not found:
        return UsageError(
            f"invalid LogQL: {text}", hint=expr, code=ErrorCode.INVALID_LOGQL, endpoint=endpoint
        )
    return UsageError(
        f"invalid LogQL: {found[3].strip()}",
        hint=pointed(expr, int(found[1]), int(found[2])),
        code=ErrorCode.INVALID_LOGQL,
        endpoint=endpoint,
    )


def _during(window: TimeRange) -> list[tuple[str, str]]:
    return [("start", str(nanoseconds(window.start))), ("end", str(nanoseconds(window.end)))]
