"""Lines of many clusters as one stream in time order, page by page, each cluster's next page on its way.

Memory holds two pages a cluster at most; with many clusters their pages are smaller.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

from aiops_cli.errors import AiopsError, ClusterError, UsageError
from aiops_cli.models.result import Answer, ClusterStatus, ErrorInfo, Origin
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.fanout import Progress, Watcher, failure_of, status_of
from aiops_cli.services.fleet import Member
from aiops_cli.sources.base import Direction, LogRow

_HELD_ROWS = 40_000  # of all clusters together, times two
_FEW_CLUSTERS = 4
_FEWEST, _MOST = 500, 5_000  # lines a page
_LANES = 2
"""Parts of a cluster's window that are asked at once. More gain little on a server of few cores, and Loki
2.2.1 now and then leaves out a line of a stored chunk (a fault of its own, which logcli shows as well): at one
or two queries at once in one answer of 200, at four in one of 25."""
_TICK_SECONDS = 0.3

SEARCHED = 50_000  # lines of a cluster among which those to keep are looked for

Keep = Callable[[LogRow], bool]
Block = list[tuple[str, LogRow]]
"""Consecutive rows of the merged stream, each with its cluster."""


class LogStream:
    """The answer to one log query. Read `blocks` to the end; then `statuses` says what came of each cluster."""

    def __init__(
        self,
        members: Sequence[Member],
        expr: str,
        window: TimeRange,
        limit: int,
        direction: Direction,
        *,
        keep: Keep | None = None,
        tell_more: bool = False,
        watch: Watcher | None = None,
    ) -> None:
        """`limit` lines a cluster, sys.maxsize for all; with `keep`, of those that it keeps, which are looked
        for among the first SEARCHED. `tell_more`: a cluster that has more lines says so in a warning.
        """
        self._members = members
        self._ask = (expr, window, limit, direction)
        self._keep = keep
        self._tell_more = tell_more
        self._sign = 1 if direction == "forward" else -1
        self._watch = watch
        self._feeds: list[_Feed] = []

    @property
    def statuses(self) -> list[ClusterStatus]:
        return [f.status() for f in self._feeds]

    async def blocks(self) -> AsyncGenerator[Block, None]:
        """Rows in order. Raises UsageError, before any row, if every cluster refuses the query itself."""
        number = max(len(self._members), 1)
        most = max(_FEWEST, min(_MOST, _HELD_ROWS // number))
        lanes = _LANES if number <= _FEW_CLUSTERS else 1
        self._feeds = [_Feed(m, self._pages(m, most, lanes)) for m in self._members]
        try:
            await self._begin()
            refusals = [f.error for f in self._feeds if isinstance(f.error, UsageError)]
            if refusals and len(refusals) == len(self._feeds):
                raise refusals[0]
            while block := await self._next():
                yield block
        finally:
            await asyncio.gather(*(f.close() for f in self._feeds))

    async def _begin(self) -> None:
        """Every cluster's first page."""
        loads = [asyncio.ensure_future(f.load()) for f in self._feeds]
        pending = set(loads)
        try:
            while pending:
                _, pending = await asyncio.wait(pending, timeout=_TICK_SECONDS)
                if self._watch is not None:
                    waiting = [
                        f.member.name for f, load in zip(self._feeds, loads, strict=True) if load in pending
                    ]
                    self._watch(Progress(len(loads), len(loads) - len(waiting), waiting))
        finally:
            for load in pending:
                load.cancel()

    async def _next(self) -> Block:
        """What can be told now: all rows up to the nearest end of a page in hand."""
        await asyncio.gather(*(f.load() for f in self._feeds if not f.rows))
        live = [(i, f) for i, f in enumerate(self._feeds) if f.rows]
        if not live:
            return []
        last, owner = min((self._sign * f.rows[-1][0], i) for i, f in live)
        block: Block = []
        for i, feed in live:
            side = bisect_right if i <= owner else bisect_left
            cut = side(feed.rows, last, key=lambda row: self._sign * row[0])
            name = feed.member.name
            block += [(name, row) for row in feed.take(cut)]
        if len(live) > 1:
            block.sort(key=lambda item: item[1][0], reverse=self._sign < 0)
        return block

    async def _pages(self, member: Member, most: int, lanes: int) -> AsyncGenerator[Answer[LogRow], None]:
        """A cluster's pages; asked once more where it knows another way, unless it has answered already."""
        answered = False
        try:
            async for page in self._read(member, most, lanes):
                answered = True
                yield page
            return
        except ClusterError as error:
            if answered or not await member.recover(error):
                raise
        async for page in self._read(member, most, lanes):
            yield page

    async def _read(self, member: Member, most: int, lanes: int) -> AsyncGenerator[Answer[LogRow], None]:
        expr, window, limit, direction = self._ask
        keep = self._keep
        # One more tells whether there are more.
        reach = limit + self._tell_more if keep is None or limit == sys.maxsize else SEARCHED
        source = await member.log_lines()
        read = kept = 0
        async with aclosing(source.pages(expr, window, reach, direction, most=most, lanes=lanes)) as pages:
            async for page in pages:
                read += len(page.rows)
                rows = page.rows if keep is None else [row for row in page.rows if keep(row)]
                over = kept + len(rows) - limit
                kept += len(rows)
                if over > 0:
                    more = [_more(limit, direction)] if self._tell_more else []
                    yield replace(page, rows=rows[:-over], warnings=[*page.warnings, *more])
                    return
                yield replace(page, rows=rows)
                if keep is not None and over == 0 and not self._tell_more:
                    return
        if keep is not None and kept < limit and read >= reach:
            yield Answer([], page.source, warnings=[_given_up(kept, direction)])


def _more(limit: int, direction: Direction) -> str:
    end = "first" if direction == "forward" else "newest"
    return f"only the {end} {limit} lines are shown; --limit shows more, --limit 0 all"


def _given_up(kept: int, direction: Direction) -> str:
    end = "first" if direction == "forward" else "newest"
    return (
        f"{kept} of the {end} {SEARCHED} lines are of these levels, and no more were looked at; filter in the "
        "query, shorten the window, or look at all of them with --limit 0"
    )


class _Feed:
    """One cluster's part of the stream: `rows` in hand, the next page on its way, and how it ended."""

    def __init__(self, member: Member, pages: AsyncGenerator[Answer[LogRow], None]) -> None:
        self.member = member
        self.rows: list[LogRow] = []
        self.error: AiopsError | None = None
        self._pages = pages
        self._given = 0
        self._warnings: list[str] = []
        self._failed: Counter[str] = Counter()
        self._partial = False
        self._source: Origin = "live"
        self._began = time.perf_counter()
        self._took = 0.0
        self._next: asyncio.Task[Answer[LogRow] | None] | None = asyncio.ensure_future(self._step())

    async def load(self) -> None:
        """Rows in hand, unless there are no more."""
        while not self.rows and self._next is not None:
            page = await self._outcome(self._next)
            self._took = time.perf_counter() - self._began
            if page is None:
                self._next = None
                return
            self._next = asyncio.ensure_future(self._step())
            self.rows = page.rows
            self._failed.update(e for r in page.rows if (e := r[2].get("__error__")))
            self._warnings += [w for w in page.warnings if w not in self._warnings]
            self._partial |= page.partial
            self._source = page.source

    def take(self, number: int) -> list[LogRow]:
        taken, self.rows = self.rows[:number], self.rows[number:]
        self._given += len(taken)
        return taken

    def status(self) -> ClusterStatus:
        """A cluster that failed after it had given lines is partial, with its error."""
        if self.error is not None and not self._given:
            return status_of(self.member.name, self.error, self._took * 1000)
        notes = [
            f'a stage of the query failed on {n} lines ({error}); | __error__="" leaves them out'
            for error, n in sorted(self._failed.items())
        ]
        answer: Answer[LogRow] = Answer([], self._source, 0, self._warnings + notes, self._partial)
        status = status_of(self.member.name, answer, self._took * 1000)
        if self.error is None:
            return status
        return ClusterStatus(
            status.name,
            "PARTIAL",
            status.source,
            0,
            status.duration_ms,
            ErrorInfo.of(self.error),
            [*status.warnings, f"its lines end after the first {self._given}"],
        )

    async def close(self) -> None:
        if self._next is not None:
            self._next.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._next
        await self._pages.aclose()

    async def _step(self) -> Answer[LogRow] | None:
        return await anext(self._pages, None)

    async def _outcome(self, task: asyncio.Task[Answer[LogRow] | None]) -> Answer[LogRow] | None:
        try:
            return await task
        except Exception as error:
            self.error = failure_of(self.member.name, error)
            return None
