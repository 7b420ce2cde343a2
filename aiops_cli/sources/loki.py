"""Log queries over the Loki HTTP API, past the server's limit of lines, without loss or doubles.

Loki has no cursor. A page's edge is the time of its last line over all streams, and other lines may
have that very nanosecond: the next page starts at the edge again and what is known is dropped. More
lines in one nanosecond than a page holds are told apart by line filters, which no page edge can do.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from aiops_cli.errors import ErrorCode, UsageError
from aiops_cli.models.result import Answer
from aiops_cli.models.signals import LogEntry
from aiops_cli.models.timerange import TimeRange
from aiops_cli.sources.base import Direction
from aiops_cli.sources.replies import error_text, failure, query_failed, says_ready
from aiops_cli.transport.client import HttpClient, Params, Reply, not_json

_WHAT = "Loki"
MAX_PAGE = 5_000  # max_entries_limit_per_query's default: asking for more is an error, not a clamp
_MAX_SPAN_NS = 30 * 86_400 * 10**9  # max_query_length is 30d1h
_MAX_SPLITS = 40
_CATEGORIZE = {"X-Loki-Response-Encoding-Flags": "categorize-labels"}
_LIMIT_ERROR = re.compile(r"max entries limit.*\((\d+) > (\d+)\)")
_INVALID = ("parse error", "syntax error", "queries require at least one regexp or equality matcher")


class _Categories(msgspec.Struct, rename="camel"):
    structured_metadata: dict[str, str] = {}
    parsed: dict[str, str] = {}


class _Stream(msgspec.Struct):
    stream: dict[str, str]
    values: list[list[str | _Categories]]


class _Data(msgspec.Struct, rename="camel"):
    result_type: str
    result: msgspec.Raw = msgspec.Raw(b"[]")


class _Envelope(msgspec.Struct):
    data: _Data
    warnings: list[str] = []


class _Names(msgspec.Struct):
    data: list[str] | None = None


_envelope = msgspec.json.Decoder(_Envelope)
_streams = msgspec.json.Decoder(list[_Stream])
_names = msgspec.json.Decoder(_Names)

Key = tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...], str]


def decode_streams(body: bytes | bytearray) -> tuple[list[LogEntry], list[str]]:
    """A query_range body to (entries in no order, warnings).

    An entry is [ns, line], or [ns, line, {structuredMetadata, parsed}] from Loki 3; parsed fields join
    the labels, as older servers send them. Raises msgspec.MsgspecError, ValueError, or UsageError if
    the query was a metric one.
    """
    envelope = _envelope.decode(body)
    if envelope.data.result_type != "streams":
        raise UsageError(
            f"the query gives a {envelope.data.result_type}, not log lines",
            hint="leave out the outer function to see the lines it counts",
            code=ErrorCode.INVALID_LOGQL,
        )
    entries = []
    for stream in _streams.decode(envelope.data.result):
        for at, line, *extra in stream.values:
            labels, metadata = stream.stream, {}
            for categories in extra:
                if isinstance(categories, _Categories):
                    labels = {**labels, **categories.parsed} if categories.parsed else labels
                    metadata = categories.structured_metadata
            entries.append(LogEntry(int(str(at)), labels, str(line), metadata))
    return entries, envelope.warnings


@dataclass(slots=True)
class _Reading:
    """One query on its way: what it asks, what it has, and what is known to be missing."""

    expr: str
    start: int
    end: int
    limit: int
    forward: bool
    rows: list[LogEntry] = field(default_factory=list)
    warnings: dict[str, None] = field(default_factory=dict)
    lost: bool = False


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
            await self._ask("/loki/api/v1/labels", [], "")

    async def labels(self, window: TimeRange) -> Answer[str]:
        """The names of the labels of streams in the window, sorted."""
        params = [("start", str(_ns(window.start))), ("end", str(_ns(window.end)))]
        reply = await self._ask("/loki/api/v1/labels", params, "")
        try:
            return Answer(sorted(_names.decode(reply.body).data or []))
        except msgspec.MsgspecError:
            raise not_json(reply, _WHAT, self.endpoint) from None

    async def query_range(
        self, expr: str, window: TimeRange, limit: int, direction: Direction = "backward"
    ) -> Answer[LogEntry]:
        """The first `limit` lines in [start, end) in the order of `direction`, over all streams.

        The answer is partial, with a warning, if lines are known to be missing.
        """
        start, end = _ns(window.start), _ns(window.end)
        forward = direction == "forward"
        reading = _Reading(expr, start, end, limit, forward)
        parts = [(s, min(s + _MAX_SPAN_NS, end)) for s in range(start, end, _MAX_SPAN_NS)]
        for part_start, part_end in parts if forward else reversed(parts):
            if len(reading.rows) < limit:
                await self._read(reading, part_start, part_end)
        return Answer(reading.rows[:limit], warnings=list(reading.warnings), partial=reading.lost)

    async def _read(self, reading: _Reading, start: int, end: int) -> None:
        """Append the lines of [start, end), page by page, until there are no more or enough."""
        known: Counter[Key] = Counter()
        while start < end:
            want = min(self.page, reading.limit - len(reading.rows) + known.total())
            batch, full = await self._fetch(reading, reading.expr, start, end, want)
            if not batch:
                if full:
                    _lose(reading, "the server sent a page of lines outside the window")
                return
            edge = batch[-1].ns
            fresh = _unknown(batch, known)
            missing = reading.limit - len(reading.rows) - len(fresh)
            if full and missing > 0 and edge == batch[0].ns:
                need = missing + len(batch)
                batch = await self._one_instant(reading, reading.expr, edge, need)
                fresh, known = _unknown(batch, known), Counter()
                start, end = (edge + 1, end) if reading.forward else (start, edge)
            else:
                known = Counter(_key(e) for e in batch if e.ns == edge)
                start, end = (edge, end) if reading.forward else (start, edge + 1)
            reading.rows += fresh
            if not full or len(reading.rows) >= reading.limit:
                return

    async def _one_instant(
        self, reading: _Reading, expr: str, ns: int, need: int, depth: int = 0
    ) -> list[LogEntry]:
        """At least `need` lines at `ns`, or all: more than a page in parts, each kept by a filter or dropped.

        A filter and its negation part the lines without loss, whatever the filter is.
        """
        batch, full = await self._fetch(reading, expr, ns, ns + 1, self.page)
        if not full or len(batch) >= need:
            return batch
        pattern = halving_pattern([entry.line for entry in batch])
        if pattern is None or depth >= _MAX_SPLITS:
            _lose(reading, f"of {len(batch)} or more like lines at {ns} ns some may be missing")
            if depth >= _MAX_SPLITS:
                return batch
            others = f"{expr}\n!~ {_quoted(exact_pattern(batch[0].line))}"
            return batch + await self._one_instant(reading, others, ns, need - len(batch), depth + 1)
        quoted = _quoted(pattern)
        kept = await self._one_instant(reading, f"{expr}\n|~ {quoted}", ns, need, depth + 1)
        if len(kept) >= need:
            return kept
        rest = need - len(kept)
        return kept + await self._one_instant(reading, f"{expr}\n!~ {quoted}", ns, rest, depth + 1)

    async def _fetch(
        self, reading: _Reading, expr: str, start: int, end: int, want: int
    ) -> tuple[list[LogEntry], bool]:
        """One page in order, and whether the server may have more; drops lines outside [start, end)."""
        params = [
            ("query", expr),
            ("start", str(start)),
            ("end", str(end)),
            ("limit", str(want)),
            ("direction", "forward" if reading.forward else "backward"),
        ]
        try:
            reply = await self._ask("/loki/api/v1/query_range", params, reading.expr)
        except _PageTooLarge as error:
            if not 0 < error.most < want:
                raise query_failed(error.text, self.endpoint) from None
            self.page = error.most
            return await self._fetch(reading, expr, start, end, error.most)
        try:
            entries, warnings = decode_streams(reply.body)
        except (msgspec.MsgspecError, ValueError):
            raise not_json(reply, _WHAT, self.endpoint) from None
        reading.warnings.update(dict.fromkeys(warnings))
        inside = [e for e in entries if start <= e.ns < end]
        inside.sort(key=lambda e: e.ns, reverse=not reading.forward)
        return inside, len(entries) >= want

    async def _ask(self, path: str, params: Params, expr: str) -> Reply:
        reply = await self.client.get(path, params, headers=_CATEGORIZE)
        if reply.status == 200:
            return reply
        text = error_text(reply)
        if found := _LIMIT_ERROR.search(text):
            raise _PageTooLarge(int(found[2]), text)
        if reply.status == 400 and any(sign in text for sign in _INVALID):
            raise invalid_logql(expr, text, self.endpoint)
        if reply.status == 400:
            raise query_failed(text, self.endpoint)
        raise failure(reply, _WHAT, self.endpoint)


class _PageTooLarge(Exception):
    """The server gives at most `most` lines at once."""

    def __init__(self, most: int, text: str) -> None:
        super().__init__(text)
        self.most, self.text = most, text


def invalid_logql(expr: str, text: str, endpoint: str | None = None) -> UsageError:
    """INVALID_LOGQL with the server's message, and a caret where it names a line and a column."""
    found = re.search(r"(?:parse|syntax) error at line (\d+), col (\d+): (.*)", text, re.S)
    if not found:
        return UsageError(
            f"invalid LogQL: {text}", hint=expr, code=ErrorCode.INVALID_LOGQL, endpoint=endpoint
        )
    line, column = int(found[1]), int(found[2])
    lines = expr.splitlines() or [""]
    source = lines[min(max(line, 1), len(lines)) - 1]
    return UsageError(
        f"invalid LogQL: {found[3].strip()}",
        hint=f"{source}\n      {' ' * max(column - 1, 0)}^",
        code=ErrorCode.INVALID_LOGQL,
        endpoint=endpoint,
    )


def halving_pattern(lines: list[str]) -> str | None:
    """A regular expression (RE2) that matches about half of the lines, None if all are the same.

    Lines are told apart by the first character in which they differ; its place is counted, since naming
    what comes before would make URLs long. RE2 repeats at most 1,000 times.
    """
    first, last = min(lines), max(lines)
    if first == last:
        return None
    at = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    counts = Counter(line[at : at + 1] for line in lines)
    chosen: list[str] = []
    share = 0
    for character, count in counts.most_common()[:-1]:
        chosen.append(re.escape(character) if character else "$")
        share += count
        if share * 2 >= len(lines):
            break
    skipped = ".{1000}" * (at // 1000) + (f".{{{at % 1000}}}" if at % 1000 else "")
    return f"(?s)^{skipped}(?:{'|'.join(chosen)})"


def exact_pattern(line: str) -> str:
    """A regular expression for this very line, by its first 500 characters if it is longer."""
    return f"(?s)^{re.escape(line[:500])}{'$' if len(line) <= 500 else ''}"


def _quoted(pattern: str) -> str:
    return json.dumps(pattern, ensure_ascii=False)


def _lose(reading: _Reading, why: str) -> None:
    reading.lost = True
    reading.warnings[why] = None


def _unknown(batch: Iterable[LogEntry], known: Counter[Key]) -> list[LogEntry]:
    """What is not yet known. Counted, since a line_format may make several lines alike."""
    if not known:
        return list(batch)
    left = known.copy()
    fresh = []
    for entry in batch:
        key = _key(entry)
        if left[key] > 0:
            left[key] -= 1
        else:
            fresh.append(entry)
    return fresh


def _key(entry: LogEntry) -> Key:
    return tuple(sorted(entry.labels.items())), tuple(sorted(entry.metadata.items())), entry.line


def _ns(seconds: float) -> int:
    """Nanoseconds of unix seconds, to the microsecond: a float64 holds no more today."""
    whole = int(seconds // 1)
    return whole * 10**9 + round((seconds - whole) * 1e6) * 1000
