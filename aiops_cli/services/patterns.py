"""The patterns of log lines over the fleet, found on this machine, and which of them are new.

Loki 3 can answer `/loki/api/v1/patterns` where it was set up for that. It is not asked: it knows no line
filter, no baseline, and no cluster without Loki.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from aiops_cli.analysis.patterns import Counts, Pattern, Patterns
from aiops_cli.errors import ClusterError, ErrorCode, UsageError
from aiops_cli.models.patterns import LinesRead, PatternCount, PatternItem
from aiops_cli.models.result import Answer, FleetResult, Origin
from aiops_cli.models.signals import LogEntry
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.evidence import slices
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.fleet import Member
from aiops_cli.services.times import rfc3339_ns
from aiops_cli.sources.base import LogsSource

_SLICES = 8
_PAGE = 5000  # lines held at a time
_LEVEL_LABELS = ("level", "detected_level", "severity")


@dataclass(slots=True)
class _Read:
    """What came of a window: lines read, and how many there are as far as their times tell."""

    lines: int = 0
    total: float = 0.0
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
    """A part of a window that is read from its end back; `seen` are the lines read of its oldest moment."""

    window: TimeRange
    lines: int = 0
    oldest: int | None = None
    seen: set[tuple[str, str]] = field(default_factory=set)
    done: bool = False

    @property
    def total(self) -> float:
        """How many lines there are, if they come as fast in the part that was not read."""
        if self.done or self.oldest is None:
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
        source = await member.logs()
        found = Patterns()
        before = None
        warnings: list[str] = []
        partial = False
        if baseline is not None:
            try:
                before = await _read(source, expr, baseline, limit, found, before=True)
            except ClusterError as error:
                warnings.append(f"no baseline, so what is new can't be told: {error.message}")
                partial = True
        now = await _read(source, expr, window, limit, found, before=False)
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
        notes.append(f"{now.lines} lines were read, about {_percent(now.share)} of all; --limit reads more")
    if before is not None and before.share < 1:
        notes.append(
            f"of the baseline {before.lines} lines were read, about {_percent(before.share)}: "
            "what is NEW may have been among the others"
        )
    if before is not None and not before.lines and now.lines:
        notes.append("the baseline has no line, so every pattern is new")
    if missed := found.others.now + found.others.before:
        notes.append(f"{missed} lines are of too many different patterns to be told apart; narrow the query")
    return notes


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else "less than 1%"


async def _read(
    source: LogsSource, expr: str, window: TimeRange, limit: int, into: Patterns, *, before: bool
) -> _Read:
    """Read a window into the patterns. Up to `limit` lines, all; of more, as many from each part of it."""
    read = _Read()
    whole = _Slice(window)
    asked = min(limit, _PAGE)
    answer = await source.query_range(expr, window, asked)
    if len(answer.rows) < asked:
        _take(answer, whole, asked, read, into, before)
        read.total = read.lines
        return read
    parts = slices(window, _SLICES) if limit >= _SLICES else [window]
    left = [_Slice(part) for part in parts]
    every = list(left)
    while left and (share := (limit - read.lines) // len(left)):
        for part in left:
            asked = min(share, _PAGE)
            end = part.window.end if part.oldest is None else part.oldest / 1e9 + 1e-6
            # Lines of the oldest moment come again: ask for so many more.
            again = len(part.seen)
            answer = await source.query_range(expr, TimeRange(part.window.start, end), asked + again)
            _take(answer, part, asked + again, read, into, before)
        left = [part for part in left if not part.done]
    read.total = sum(part.total for part in every)
    return read


def _take(
    answer: Answer[LogEntry], part: _Slice, asked: int, read: _Read, into: Patterns, before: bool
) -> None:
    """Count an answer's lines (newest first), but for those that were read already."""
    rows = answer.rows
    if part.oldest is not None:
        rows = [
            e
            for e in rows
            if e.ns < part.oldest or (e.ns == part.oldest and (str(e.labels), e.line) not in part.seen)
        ]
    for entry in rows:
        level = next((v for k in _LEVEL_LABELS if (v := entry.labels.get(k) or entry.metadata.get(k))), "")
        into.add(entry.line, entry.ns, before=before, level=level)
    part.lines += len(rows)
    read.lines += len(rows)
    read.source = answer.source
    read.warnings += answer.warnings
    read.partial = read.partial or answer.partial
    part.done = len(answer.rows) < asked or not rows
    if rows:
        oldest = min(e.ns for e in rows)
        fresh = {(str(e.labels), e.line) for e in rows if e.ns == oldest}
        part.seen = part.seen | fresh if oldest == part.oldest else fresh
        part.oldest = oldest


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
        hashlib.blake2s(pattern.text.encode("utf-8", "replace"), digest_size=4).hexdigest(),
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
