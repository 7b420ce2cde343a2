"""The lines before and after each match, from the match's own stream, as grep shows them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

from aiops_cli.models.result import Answer, FleetResult
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.fleet import Member
from aiops_cli.services.log_syntax import has_stages, selector, selector_of
from aiops_cli.sources.base import Direction, Labels, LogRow, PagedLines

_REACH = 86_400.0  # seconds that are looked back and ahead for neighbours
_SLACK = 50  # lines more than asked for: others of the match's microsecond come with it
_STREAMS = 8  # read at once

StreamKey = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Group:
    """Neighbouring lines of one stream in time order; `matched` says which of them were looked for."""

    rows: list[LogRow]
    matched: list[bool]


async def with_context(
    members: Sequence[Member],
    expr: str,
    window: TimeRange,
    matches: dict[str, list[LogRow]],
    beside: int,
    *,
    watch: Watcher | None = None,
) -> FleetResult[tuple[str, Group]]:
    """Groups of each cluster's matches with `beside` lines before and after, the earliest first.

    Groups that overlap are one. A stage that rewrites lines hides nothing: neighbours are shown as they
    were stored.
    """
    asked = [m for m in members if matches.get(m.name)]

    async def ask(member: Member) -> Answer[Group]:
        source = await member.log_lines()
        streams = await _streams(member, expr, window, matches[member.name])
        slots = asyncio.Semaphore(_STREAMS)

        async def one(labels: Labels, rows: list[LogRow]) -> list[Group]:
            async with slots:
                return await _Stream(source, labels, beside).groups(rows)

        found = await asyncio.gather(*(one(labels, rows) for labels, rows in streams))
        groups = [g for each in found for g in each]
        return Answer(sorted(groups, key=lambda g: g.rows[0][0]))

    result = await fan_out(asked, ask, watch=watch)
    result.rows.sort(key=lambda item: item[1].rows[0][0])
    return result


async def _streams(
    member: Member, expr: str, window: TimeRange, rows: list[LogRow]
) -> list[tuple[Labels, list[LogRow]]]:
    """Each match with the labels of the stream it was stored in: parsers add to what a row has."""
    stored: list[Labels] = []
    if has_stages(expr):
        stored = (await (await member.logs()).series(selector_of(expr), window)).rows
    found: dict[StreamKey, tuple[Labels, list[LogRow]]] = {}
    for row in rows:
        fitting = [s for s in stored if s.items() <= row[2].items()]
        labels = max(fitting, key=len) if fitting else row[2]
        found.setdefault(tuple(sorted(labels.items())), (labels, []))[1].append(row)
    return list(found.values())


class _Stream:
    """One stream, read around its matches; what was read is kept for the next match."""

    def __init__(self, source: PagedLines, labels: Labels, beside: int) -> None:
        self._source = source
        self._expr = selector(labels)
        self._beside = beside
        self._read: list[LogRow] = []
        self._ended = False

    async def groups(self, matches: list[LogRow]) -> list[Group]:
        groups: list[Group] = []
        for match in sorted(matches, key=lambda r: r[0]):
            rows, at = await self._around(match)
            _join(groups, rows, at)
        return groups

    async def _around(self, match: LogRow) -> tuple[list[LogRow], int]:
        """The match with its neighbours in time order, and its place among them."""
        n = self._beside
        at = _place(self._read, match)
        if at is None or (at + n >= len(self._read) and not self._ended):
            before = await self._before(match, n)
            fetched = await self._after(match, n)
            self._read = before + fetched
            at = _place(self._read, match)
            if at is None:  # a stage rewrote the line: its neighbours are those of its time
                self._read = [*before, match, *(r for r in fetched if r[0] > match[0])]
                at = len(before)
        start = max(at - n, 0)
        return self._read[start : at + n + 1], at - start

    async def _before(self, match: LogRow, n: int) -> list[LogRow]:
        """At least `n` lines before those of the match's microsecond, if there are so many."""
        edge = match[0] // 1000 / 1e6
        return (await self._lines(TimeRange(edge - _REACH, edge), n, "backward"))[::-1]

    async def _after(self, match: LogRow, n: int) -> list[LogRow]:
        """The lines of the match's microsecond and what follows: `n` after it, and some for the next match."""
        edge = match[0] // 1000 / 1e6
        want = 4 * n + _SLACK
        while True:
            found = await self._source.query_range(
                self._expr, TimeRange(edge, edge + _REACH), want, "forward"
            )
            rows: list[LogRow] = [(e.ns, e.line, e.labels, e.metadata) for e in found.rows]
            self._ended = len(rows) < want
            at = _place(rows, match)
            beyond = bool(rows) and rows[-1][0] > match[0]
            if self._ended or (at is None and beyond) or (at is not None and at + n < len(rows)):
                return rows
            want *= 4

    async def _lines(self, window: TimeRange, limit: int, direction: Direction) -> list[LogRow]:
        async with aclosing(self._source.pages(self._expr, window, limit, direction, lanes=1)) as pages:
            return [row async for page in pages for row in page.rows]


def _place(rows: list[LogRow], match: LogRow) -> int | None:
    return next((i for i, r in enumerate(rows) if r[0] == match[0] and r[1] == match[1]), None)


def _join(groups: list[Group], rows: list[LogRow], at: int) -> None:
    """Add a match with its neighbours: to the last group where they overlap, else as a group of its own."""
    marks = [i == at for i in range(len(rows))]
    if groups and groups[-1].rows[-1][0] >= rows[0][0]:
        last = groups[-1]
        start = _place(last.rows, rows[0])
        if start is not None:
            for i, (row, mark) in enumerate(zip(rows, marks, strict=True), start):
                if i < len(last.rows):
                    last.matched[i] |= mark
                else:
                    last.rows.append(row)
                    last.matched.append(mark)
            return
    groups.append(Group(rows, marks))
