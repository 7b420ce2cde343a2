"""How much a stream selector holds, before it is asked for."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

from aiops_cli.errors import AiopsError, ClusterError, ErrorCode
from aiops_cli.models.log_items import LogStatsItem
from aiops_cli.models.result import Answer, FleetResult
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.fleet import Member
from aiops_cli.services.logs import check_selector
from aiops_cli.sources.base import LogsSource, LogStats

_COUNTED = (
    "it keeps no statistics to ask for (/index/stats: Loki 2.8 or later, not behind every gateway), "
    "so it counted the lines"
)


async def stats(
    members: Sequence[Member], selector: str, window: TimeRange, *, watch: Watcher | None = None
) -> FleetResult[LogStatsItem]:
    """One row a cluster: by the index, or where that can't be asked, by queries that count."""
    check_selector(selector)

    async def ask(member: Member) -> Answer[LogStatsItem]:
        source = await member.logs()
        try:
            answer = await source.stats(selector, window)
        except ClusterError as error:
            if error.code is not ErrorCode.NOT_FOUND:
                raise
            found = await _counted(source, selector, window)
            return Answer([_item(member.name, found, "counted")], warnings=[_COUNTED])
        method = "recorded" if answer.source == "bundle" else "index"
        rows = [_item(member.name, found, method) for found in answer.rows]
        return Answer(rows, answer.source, warnings=answer.warnings)

    result = await fan_out(members, ask, watch=watch)
    return result.with_rows([row for _, row in result.rows])


def _item(cluster: str, found: LogStats, method: str) -> LogStatsItem:
    return LogStatsItem(cluster, found.streams, found.chunks, found.entries, found.bytes, method)  # type: ignore[arg-type]


async def _counted(source: LogsSource, selector: str, window: TimeRange) -> LogStats:
    entries, size, streams = await asyncio.gather(
        count(source, selector, window),
        _size(source, f"sum(bytes_over_time({selector}{_span(window)}))", window),
        source.series(selector, window),
    )
    return LogStats(len(streams.rows), None, entries, size)


async def count(source: LogsSource, expr: str, window: TimeRange) -> int:
    """How many lines a log query has in a window, by the server's own count. Raises AiopsError."""
    # On a line of its own, since the query may end with a comment.
    return await _sum(source, f"sum(count_over_time({expr}\n{_span(window)}))", window)


def _span(window: TimeRange) -> str:
    return f"[{max(math.ceil(window.seconds), 1)}s]"


async def _sum(source: LogsSource, expr: str, window: TimeRange) -> int:
    """The one number that a sum gives; 0 where there is nothing to sum."""
    answer = await source.metric(expr, window.end)
    return int(sum(float(s.values[-1]) for s in answer.rows))


async def _size(source: LogsSource, expr: str, window: TimeRange) -> int | None:
    """None from a server that does not know bytes_over_time (before 2.0)."""
    try:
        return await _sum(source, expr, window)
    except AiopsError:
        return None
