"""LogQL over the fleet, merged in time order."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aiops_cli.errors import ErrorCode, UsageError
from aiops_cli.models.result import Answer, FleetResult
from aiops_cli.models.signals import LogEntry, LogItem
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.fleet import Member
from aiops_cli.services.metrics import renamed
from aiops_cli.services.times import rfc3339_ns
from aiops_cli.sources.base import Direction


async def query(
    members: Sequence[Member],
    expr: str,
    window: TimeRange,
    limit: int,
    direction: Direction = "backward",
    *,
    watch: Watcher | None = None,
) -> FleetResult[LogItem]:
    """At most `limit` lines a cluster, merged by time; newest first when backward."""
    if limit < 1:
        raise UsageError("--limit must be at least 1", hint="--limit 100")
    if re.match(r"[a-z_]+\s*(\(|by\b|without\b)", expr.strip()):
        raise UsageError(
            "metric queries over logs are not supported: only log queries are",
            hint='aiops logs query \'{namespace="shop"} |= "error"\'',
            code=ErrorCode.INVALID_LOGQL,
        )
    if not expr.strip().startswith("{"):
        raise UsageError(
            "LogQL starts with a stream selector in braces",
            hint='aiops logs query \'{namespace="shop"} |= "error"\'',
            code=ErrorCode.INVALID_LOGQL,
        )

    async def ask(member: Member) -> Answer[LogEntry]:
        return await (await member.logs()).query_range(expr, window, limit, direction)

    result = await fan_out(members, ask, watch=watch)
    rows = sorted(result.rows, key=lambda r: (r[1].ns, r[0]), reverse=direction == "backward")
    return result.with_rows(
        [LogItem(c, rfc3339_ns(e.ns), renamed(e.labels | e.metadata), e.line) for c, e in rows]
    )


async def labels(members: Sequence[Member], window: TimeRange) -> FleetResult[tuple[str, str]]:
    async def ask(member: Member) -> Answer[str]:
        return await (await member.logs()).labels(window)

    return await fan_out(members, ask)
