"""Paging past Loki's limit of lines, without loss or doubles, in parts that are read side by side.

Loki has no cursor. A page's edge is the time of its last line over all streams, and other lines may
have that very nanosecond: the next page starts at the edge again and what is known is dropped. More
lines in one nanosecond than a page holds are told apart by line filters, which no page edge can do.

The first page tells how dense the lines are. What is left of the window is then cut into parts of
nearly a page each, a few of which are asked at once; their lines come in order, and each part holds
at most one page that nobody has taken yet, so that memory does not grow with the answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import re
from collections import Counter, deque
from collections.abc import AsyncGenerator, Iterable
from typing import Protocol

from aiops_cli.errors import ClusterError, ErrorCode
from aiops_cli.models.result import Answer
from aiops_cli.sources.base import LogRow

MAX_SPAN_NS = 30 * 86_400 * 10**9  # max_query_length is 30d1h
_MAX_SPLITS = 40
_FILL = 0.8  # of a page is what a part is cut for: one that is full costs a second request
_SHORTEST = 3_600 * 10**9  # a window that is asked in parts when the server has no time for it
_SHARE = 24  # of a window that was too long
_GROWTH = 4  # times wider at most than the part before

Key = tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...], str]


class Source(Protocol):
    """Where pages come from; `page` is how many lines it gives at once, which may become less."""

    page: int

    async def fetch(
        self, expr: str, start: int, end: int, want: int, forward: bool
    ) -> tuple[list[LogRow], bool, list[str]]:
        """The rows of [start, end) in order, at most `want`; whether there may be more; warnings."""
        ...


class Pages:
    """The lines of one query, page by page, in order; times in unix nanoseconds, `end` excluded.

    `most` is how many lines are asked for at once, `lanes` how many parts.
    """

    def __init__(
        self,
        source: Source,
        expr: str,
        start: int,
        end: int,
        limit: int,
        *,
        forward: bool,
        most: int,
        lanes: int,
    ) -> None:
        self._source = source
        self._expr = expr
        self._start, self._end = start, end
        self._left = limit
        self._forward = forward
        self._most = most
        self._lanes = lanes
        self._width = self._widest = MAX_SPAN_NS
        self._known: Counter[Key] = Counter()
        self._notes: dict[str, None] = {}
        self._told = 0
        self._lost = False

    @property
    def _page(self) -> int:
        return min(self._source.page, self._most)

    async def read(self) -> AsyncGenerator[Answer[LogRow], None]:
        """Pages of rows with the warnings that are new; partial if lines are known to be missing."""
        parts: deque[_Ahead] = deque()
        first = True
        try:
            while self._left > 0:
                room = 1 if first else min(self._lanes, math.ceil(self._left / (self._page * _FILL)))
                while self._start < self._end and len(parts) < room:
                    parts.append(_Ahead(self._opening() if first else self._part(*self._cut())))
                    if first:
                        break
                if not parts:
                    break
                rows = await parts[0].take()
                first = False
                if rows is None:
                    parts.popleft()
                    continue
                rows = rows[: self._left]
                self._left -= len(rows)
                if self._left > 0:
                    parts[0].go_on()
                if rows:
                    yield self._answer(rows)
        finally:
            await asyncio.gather(*(p.close() for p in parts))
        if self._told < len(self._notes) or self._lost:
            yield self._answer([])

    def _answer(self, rows: list[LogRow]) -> Answer[LogRow]:
        notes = list(self._notes)[self._told :]
        self._told = len(self._notes)
        return Answer(rows, warnings=notes, partial=self._lost)

    def _cut(self) -> tuple[int, int, Counter[Key]]:
        """The next part off what is left, and what is known at the edge where it starts."""
        known, self._known = self._known, Counter()
        if self._forward:
            begin, self._start = self._start, min(self._start + self._width, self._end)
            return begin, self._start, known
        end, self._end = self._end, max(self._end - self._width, self._start)
        return self._end, end, known

    def _learn(self, lines: int, span: int) -> None:
        """How wide parts should be, from `lines` found in `span` nanoseconds."""
        wide = min(max(self._width, span) * _GROWTH, self._widest)
        fitting = int(span * self._page * _FILL / lines) if lines else wide
        self._width = max(min(fitting, wide), 1)

    async def _opening(self) -> AsyncGenerator[list[LogRow], None]:
        """The first page, of as much as the server takes; what it left over is cut into parts.

        If it has no time for so much, nothing, and all is cut into shorter parts.
        """
        start, end, _ = self._cut()
        try:
            rows, full = await self._ask(self._expr, start, end, 0)
        except ClusterError as error:
            if error.code is not ErrorCode.QUERY_TIMEOUT or end - start <= _SHORTEST:
                raise
            self._width = self._widest = max((end - start) // _SHARE, _SHORTEST)
            self._give_back(start, end)
            return
        if full and rows:
            edge = rows[-1][0]
            self._learn(len(rows), abs(edge - rows[0][0]) + 1)
            if edge != rows[0][0] or len(rows) >= self._left:
                self._known = Counter(key_of(r) for r in rows if r[0] == edge)
                start, end = self._beyond(edge, start, end, again=True)
                self._give_back(start, end)
                yield rows
                return
            self._give_back(*self._beyond(edge, start, end))
            async for some in self._instant(self._expr, edge):
                yield some
            return
        if full:
            self._lose("the server sent a page of lines outside the window")
        yield rows

    def _give_back(self, start: int, end: int) -> None:
        if self._forward:
            self._start = start
        else:
            self._end = end

    def _beyond(self, edge: int, start: int, end: int, *, again: bool = False) -> tuple[int, int]:
        """What is left of [start, end) after the lines up to `edge`; with those at it if `again`."""
        if self._forward:
            return edge + (not again), end
        return start, edge + again

    async def _part(self, start: int, end: int, known: Counter[Key]) -> AsyncGenerator[list[LogRow], None]:
        """The lines of [start, end), page by page, until there are no more."""
        whole, found, dense = end - start, 0, False
        while start < end:
            rows, full = await self._ask(self._expr, start, end, known.total())
            if not rows:
                if full:
                    self._lose("the server sent a page of lines outside the window")
                break
            edge = rows[-1][0]
            if full and edge == rows[0][0] and len(rows) - known.total() < self._left:
                async for some in self._instant(self._expr, edge):
                    yield _unknown(some, known)
                known = Counter()
                start, end = self._beyond(edge, start, end)
            else:
                fresh = _unknown(rows, known)
                found += len(fresh)
                if full:
                    self._learn(len(rows), abs(edge - rows[0][0]) + 1)
                    known = Counter(key_of(r) for r in rows if r[0] == edge)
                    start, end = self._beyond(edge, start, end, again=True)
                yield fresh
            if not full:
                break
            dense = True
        if not dense:
            self._learn(found, whole)

    async def _instant(self, expr: str, ns: int, depth: int = 0) -> AsyncGenerator[list[LogRow], None]:
        """All lines at `ns`: more than a page in parts, each kept by a filter or dropped.

        A filter and its negation part the lines without loss, whatever the filter is.
        """
        rows, full, notes = await self._source.fetch(expr, ns, ns + 1, self._page, self._forward)
        self._notes.update(dict.fromkeys(notes))
        if not full:
            yield rows
            return
        pattern = halving_pattern([r[1] for r in rows])
        if pattern is None or depth >= _MAX_SPLITS:
            self._lose(f"of {len(rows)} or more like lines at {ns} ns some may be missing")
            yield rows
            if depth >= _MAX_SPLITS:
                return
            others = [f"{expr}\n!~ {_quoted(exact_pattern(rows[0][1]))}"]
        else:
            others = [f"{expr}\n{op} {_quoted(pattern)}" for op in ("|~", "!~")]
        for other in others:
            async for some in self._instant(other, ns, depth + 1):
                yield some

    async def _ask(self, expr: str, start: int, end: int, known: int) -> tuple[list[LogRow], bool]:
        want = min(self._page, self._left + known)
        rows, full, notes = await self._source.fetch(expr, start, end, want, self._forward)
        self._notes.update(dict.fromkeys(notes))
        return rows, full

    def _lose(self, why: str) -> None:
        self._lost = True
        self._notes[why] = None


class _Ahead:
    """A part whose next page is fetched while the one before is used."""

    def __init__(self, pages: AsyncGenerator[list[LogRow], None]) -> None:
        self._pages = pages
        self._next: asyncio.Task[list[LogRow] | None] | None = None
        self.go_on()

    def go_on(self) -> None:
        self._next = asyncio.ensure_future(self._step())

    async def take(self) -> list[LogRow] | None:
        """The next page, None when there is none. The one after it is fetched once told to `go_on`."""
        return None if self._next is None else await self._next

    async def _step(self) -> list[LogRow] | None:
        return await anext(self._pages, None)

    async def close(self) -> None:
        if self._next is not None:
            self._next.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._next
        await self._pages.aclose()


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


def _unknown(rows: Iterable[LogRow], known: Counter[Key]) -> list[LogRow]:
    """What is not yet known; what is, is struck off. Counted, since a line_format may make lines alike."""
    if not known:
        return list(rows)
    fresh = []
    for row in rows:
        key = key_of(row)
        if known[key] > 0:
            known[key] -= 1
        else:
            fresh.append(row)
    return fresh


def key_of(row: LogRow) -> Key:
    """What tells a line from others of its nanosecond."""
    return tuple(sorted(row[2].items())), tuple(sorted(row[3].items())), row[1]
