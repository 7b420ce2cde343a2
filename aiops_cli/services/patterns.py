"""The patterns of log lines over the fleet, found on this machine, and which of them are new.

Loki 3 can answer `/loki/api/v1/patterns` where it was set up for that. It is not asked: it knows no line
filter, no baseline, and no cluster without Loki.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from aiops_cli.analysis.patterns import Counts, Pattern, Patterns
from aiops_cli.errors import AiopsError, ClusterError, ErrorCode, UsageError
from aiops_cli.models.patterns import LinesRead, PatternCount, PatternItem
from aiops_cli.models.result import Answer, FleetResult, Origin
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.evidence import slices
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.fleet import Member
from aiops_cli.services.log_stats import count
from aiops_cli.services.times import rfc3339_ns
from aiops_cli.sources.base import LogRow, PagedLines

_SLICES = 8
_PAGE = 5000  # lines held at a time
_LEVEL_LABELS = ("level", "detected_level", "severity")


@dataclass(slots=True)
class _Read:
    """What came of a window: lines read, and how many there are, `counted` by the server or as far as their
    times tell."""

    lines: int = 0
    total: float = 0.0
    counted: bool = False
    source: Origin = "live"
    warnings: list[str] = field(default_factory=list)
    partial: bool = False

    @property
    def share(self) -> float:
        return min(self.lines / self.total, 1.0) if self.total else 1.0


@dataclass(slots=True)
class _Cluster:
    """One cluster's patterns and how much of its windows was read; `before` None without a baseline."""

    patterns: Patterns
    now: _Read
    before: _Read | None


@dataclass(slots=True)
class _Slice:
    """A part of a window that is read from its end back, as far as the limit goes."""

    window: TimeRange
    pages: AsyncGenerator[Answer[LogRow], None]
    page: Answer[LogRow] = field(default_factory=lambda: Answer([]))
    lines: int = 0
    oldest: int = 0
    done: bool = False

    async def turn(self, most: int) -> Answer[LogRow]:
        """At most so many lines further back; none at the end. Bundles have all on one page."""
        if not self.page.rows:
            page = await anext(self.pages, None)
            if page is None:
                self.done = True
                return Answer([], self.page.source)
            self.page = page
        taken, self.page.rows = self.page.rows[:most], self.page.rows[most:]
        self.lines += len(taken)
        self.oldest = taken[-1][0] if taken else self.oldest
        return replace(self.page, rows=taken)

    @property
    def total(self) -> float:
        """How many lines there are, if they come as fast in the part that was not read."""
        if self.done or not self.lines:
            return self.lines
        covered = (self.window.end - self.oldest / 1e9) / self.window.seconds
        return self.lines / min(max(covered, 1e-6), 1.0)


async def find(
    members: Sequence[Member],
    expr: str,
    window: TimeRange,
    baseline: TimeRange | None,
    limit: int,
    *,
    watch: Watcher | None = None,
) -> tuple[FleetResult[PatternItem], list[LinesRead]]:
    """The patterns of the lines that `expr` selects, most frequent first, and how much was read.

    At most `limit` lines a cluster are read of each window; of more, samples all over the window.
    Raises UsageError for what is no log query.
    """
    if limit < 1:
        raise UsageError("--limit must be at least 1", hint="--limit 10000")
    if not expr.strip().startswith("{"):
        raise UsageError(
            "patterns need a log query, which starts with a stream selector in braces",
            hint="aiops logs patterns '{namespace=\"shop\"}'",
            code=ErrorCode.INVALID_LOGQL,
        )

    async def ask(member: Member) -> Answer[_Cluster]:
        source = await member.log_lines()
        found = Patterns()
        before = None
        warnings: list[str] = []
        partial = False
        if baseline is not None:
            try:
                before = await _read(member, source, expr, baseline, limit, found, before=True)
            except ClusterError as error:
                warnings.append(f"no baseline, so what is new can't be told: {error.message}")
                partial = True
        now = await _read(member, source, expr, window, limit, found, before=False)
        warnings += [w for read in (now, before) if read for w in read.warnings]
        warnings += _told(now, before, found)
        partial = partial or now.partial or (before is not None and before.partial)
        return Answer([_Cluster(found, now, before)], now.source, 0, [*dict.fromkeys(warnings)], partial)

    result = await fan_out(members, ask, watch=watch)
    return result.with_rows(_over_fleet(result.rows, window, baseline)), [
        LinesRead(
            name,
            one.now.lines,
            round(one.now.share, 4),
            one.before.lines if one.before else None,
            round(one.before.share, 4) if one.before else None,
        )
        for name, one in result.rows
    ]


def _told(now: _Read, before: _Read | None, found: Patterns) -> list[str]:
    """What a reader has to know of how the patterns came about."""
    notes = []
    if now.share < 1:
        notes.append(f"{_sampled(now)}, so counts and shares are a sample's; --limit reads more")
    if before is not None and before.share < 1:
        notes.append(f"of the baseline {_sampled(before)}: what is NEW may have been among the others")
    if before is not None and not before.lines and now.lines:
        notes.append("the baseline has no line, so every pattern is new")
    if missed := found.others.now + found.others.before:
        notes.append(f"{missed} lines are of too many different patterns to be told apart; narrow the query")
    return notes


def _sampled(read: _Read) -> str:
    if read.counted:
        return f"{read.lines} of {read.total:.0f} lines were read, {_percent(read.share)}"
    return f"{read.lines} lines were read, about {_percent(read.share)} of all"


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else "less than 1%"


async def _read(
    member: Member,
    source: PagedLines,
    expr: str,
    window: TimeRange,
    limit: int,
    into: Patterns,
    *,
    before: bool,
) -> _Read:
    """Read a window into the patterns. Up to `limit` lines, all; of more, as many from each part of it."""
    read = _Read()
    asked = min(limit, _PAGE)
    first: list[Answer[LogRow]] = []
    async with aclosing(source.pages(expr, window, asked, most=asked, lanes=1)) as pages:
        async for page in pages:
            first.append(page)
    if sum(len(page.rows) for page in first) < asked:
        for page in first:
            _take(page, read, into, before)
        read.total = read.lines
        return read
    first.clear()
    most = max(min(limit // _SLICES, _PAGE), 1)
    parts = slices(window, _SLICES) if limit >= _SLICES else [window]
    every = [_Slice(part, source.pages(expr, part, limit, most=most, lanes=1)) for part in parts]
    counting = asyncio.create_task(_count(member, expr, window))
    try:
        while read.lines < limit and (left := [part for part in every if not part.done]):
            for part in left:
                page = await part.turn(min(most, limit - read.lines))
                _take(page, read, into, before)
        counted = await counting
    finally:
        counting.cancel()
        for part in every:
            await part.pages.aclose()
    read.counted = counted is not None
    read.total = sum(part.total for part in every) if counted is None else max(counted, read.lines)
    return read


async def _count(member: Member, expr: str, window: TimeRange) -> int | None:
    """How many lines there are, where a server can tell: not of pod logs, nor of bundles."""
    try:
        return await count(await member.logs(), expr, window)
    except AiopsError:
        return None


def _take(page: Answer[LogRow], read: _Read, into: Patterns, before: bool) -> None:
    for ns, line, labels, metadata in page.rows:
        level = next((v for k in _LEVEL_LABELS if (v := labels.get(k) or metadata.get(k))), "")
        into.add(line, ns, before=before, level=level)
    read.lines += len(page.rows)
    read.source = page.source
    read.warnings += [w for w in page.warnings if w not in read.warnings]
    read.partial = read.partial or page.partial


def _over_fleet(
    found: Sequence[tuple[str, _Cluster]], window: TimeRange, baseline: TimeRange | None
) -> list[PatternItem]:
    """The clusters' patterns as the fleet's, most frequent first."""
    fleet = Patterns()
    parts: dict[int, dict[str, Counts]] = {}
    for name, one in found:
        for pattern in sorted(one.patterns.rows, key=lambda p: -p.counts.now):
            index = fleet.merge(pattern)
            if index >= 0:
                parts.setdefault(index, {}).setdefault(name, Counts()).add(pattern.counts)
    by_name = dict(found)
    total = sum(one.now.total for one in by_name.values())
    items = [
        _item(fleet.rows[index], counts, by_name, window, baseline, total)
        for index, counts in parts.items()
        if fleet.rows[index].counts.now
    ]
    return sorted(items, key=lambda i: (-i.count, i.pattern))


def _item(
    pattern: Pattern,
    parts: dict[str, Counts],
    clusters: dict[str, _Cluster],
    window: TimeRange,
    baseline: TimeRange | None,
    total: float,
) -> PatternItem:
    compared = {name: before for name in parts if (before := clusters[name].before) is not None}
    seen_before = sum(parts[name].before for name in compared)
    new: bool | None = None
    if seen_before:
        new = False
    elif all(name in compared for name, counts in parts.items() if counts.now):
        new = True
    ratio = None
    if seen_before and baseline is not None:
        now = sum(parts[name].now / clusters[name].now.share for name in compared) / window.seconds
        usual = sum(parts[name].before / read.share for name, read in compared.items()) / baseline.seconds
        ratio = float(f"{now / usual:.3g}")
    there = sum(counts.now / clusters[name].now.share for name, counts in parts.items())
    return PatternItem(
        hashlib.blake2s(
            f"{pattern.level}\n{pattern.text}".encode("utf-8", "replace"), digest_size=4
        ).hexdigest(),
        pattern.text,
        pattern.level or None,
        pattern.counts.now,
        float(f"{there / total:.3g}") if total else 0.0,
        rfc3339_ns(pattern.counts.first_ns),
        rfc3339_ns(pattern.counts.last_ns),
        pattern.example,
        new,
        ratio,
        seen_before if compared else None,
        [
            PatternCount(name, counts.now, counts.before if name in compared else None)
            for name, counts in parts.items()
            if counts.now or counts.before
        ],
    )
