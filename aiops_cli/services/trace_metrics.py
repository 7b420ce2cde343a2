"""TraceQL metrics over the fleet: series made of spans."""

from __future__ import annotations

from collections.abc import Sequence

from aiops_cli.errors import ErrorCode, UsageError
from aiops_cli.models.result import Answer, FleetResult
from aiops_cli.models.signals import Series
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.fleet import Member

_MAX_INTERVALS = 10_000  # Tempo's own limit


async def query_range(
    members: Sequence[Member], expr: str, window: TimeRange, step: float, *, watch: Watcher | None = None
) -> FleetResult[tuple[str, Series]]:
    """A TraceQL metrics query on every cluster; rows are (cluster, series).

    Raises UsageError for TraceQL that can't be run anywhere, or a step that is too fine.
    """
    if "|" not in expr:
        raise UsageError(
            "this TraceQL has no metrics function",
            hint="pipe it into one: { status = error } | rate() by (resource.service.name)",
            code=ErrorCode.INVALID_TRACEQL,
        )
    if window.seconds / step > _MAX_INTERVALS:
        raise UsageError(
            f"{window.seconds / step:,.0f} points a series are too many",
            hint="raise --step or shorten the window",
            code=ErrorCode.INVALID_TIME,
        )
    aligned = window.aligned(step)

    async def ask(member: Member) -> Answer[Series]:
        return await (await member.traces()).trace_metrics(expr, aligned, step)

    return await fan_out(members, ask, watch=watch)
