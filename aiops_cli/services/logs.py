"""LogQL over the fleet: lines merged in time order, metric queries, labels, series, statistics."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from aiops_cli.errors import ErrorCode, UsageError
from aiops_cli.models.result import Answer, FleetResult
from aiops_cli.models.signals import LogItem
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.fleet import Member
from aiops_cli.services.log_merge import Keep, LogStream
from aiops_cli.services.log_syntax import EXAMPLE, check_logql, is_metric, selector_of
from aiops_cli.services.times import rfc3339_ns
from aiops_cli.sources.base import Direction, Labels, LogRow

if TYPE_CHECKING:
    from aiops_cli.models.signals import Series

_MAX_POINTS = 550_000  # a series


def stream(
    members: Sequence[Member],
    expr: str,
    window: TimeRange,
    limit: int,
    direction: Direction = "backward",
    *,
    keep: Keep | None = None,
    tell_more: bool = False,
    watch: Watcher | None = None,
) -> LogStream:
    """At most `limit` lines a cluster (0: all), merged by time as they come; newest first when backward.

    With `keep`, lines that it keeps; with `tell_more`, a warning where there are more (see LogStream).
    Raises UsageError for what is no log query.
    """
    if limit < 0:
        raise UsageError("--limit must not be negative", hint="--limit 100, or --limit 0 for all")
    check_logql(expr)
    if is_metric(expr):
        raise UsageError(
            "this is a metric query, and lines were asked for", hint=EXAMPLE, code=ErrorCode.INVALID_LOGQL
        )
    return LogStream(
        members,
        expr,
        window,
        limit or sys.maxsize,
        direction,
        keep=keep,
        tell_more=tell_more and limit > 0,
        watch=watch,
    )


async def query(
    members: Sequence[Member],
    expr: str,
    window: TimeRange,
    limit: int,
    direction: Direction = "backward",
    *,
    keep: Keep | None = None,
    watch: Watcher | None = None,
) -> FleetResult[LogItem]:
    """The lines of `stream`, all at once."""
    asked = stream(members, expr, window, limit, direction, keep=keep, watch=watch)
    items: list[LogItem] = []
    async with aclosing(asked.blocks()) as blocks:
        async for block in blocks:
            items += [item(cluster, row) for cluster, row in block]
    return FleetResult(items, asked.statuses)


def item(cluster: str, row: LogRow) -> LogItem:
    """A row as the contract has it: structured metadata joins the labels."""
    ns, line, labels, metadata = row
    return LogItem(cluster, rfc3339_ns(ns), shown_labels(labels, metadata), line)


def shown_labels(labels: Labels, metadata: Labels) -> Labels:
    """All that a line is labelled with. A `cluster` label of the server becomes `exported_cluster`."""
    every = labels | metadata if metadata else labels
    if "cluster" not in every:
        return every
    from aiops_cli.services.metrics import renamed  # which loads NumPy

    return renamed(every)


async def metric(
    members: Sequence[Member], expr: str, at: float, *, watch: Watcher | None = None
) -> FleetResult[tuple[str, Series]]:
    """A metric query at one time (unix seconds) on every cluster."""
    check_logql(expr)

    async def ask(member: Member) -> Answer[Series]:
        return await (await member.logs()).metric(expr, at)

    return await fan_out(members, ask, watch=watch)


async def metric_range(
    members: Sequence[Member], expr: str, window: TimeRange, step: float, *, watch: Watcher | None = None
) -> FleetResult[tuple[str, Series]]:
    """A metric query at multiples of `step` (seconds) inside the window on every cluster."""
    check_logql(expr)
    if window.seconds / step > _MAX_POINTS:
        raise UsageError(
            f"{window.seconds / step:,.0f} points a series are too many",
            hint="raise --step or shorten the window",
            code=ErrorCode.INVALID_TIME,
        )
    aligned = window.aligned(step)

    async def ask(member: Member) -> Answer[Series]:
        return await (await member.logs()).metric_range(expr, aligned, step)

    return await fan_out(members, ask, watch=watch)


async def labels(members: Sequence[Member], window: TimeRange) -> FleetResult[tuple[str, str]]:
    """Names of stream labels."""

    async def ask(member: Member) -> Answer[str]:
        return await (await member.logs()).labels(window)

    return await fan_out(members, ask)


async def label_values(
    members: Sequence[Member], name: str, window: TimeRange, selector: str = ""
) -> FleetResult[tuple[str, str]]:
    """Values of a stream label, of the selected streams where the server can tell."""
    if selector:
        check_selector(selector)

    async def ask(member: Member) -> Answer[str]:
        return await (await member.logs()).label_values(name, window, selector)

    return await fan_out(members, ask)


async def series(
    members: Sequence[Member], selector: str, window: TimeRange
) -> FleetResult[tuple[str, Labels]]:
    """The label sets of the selected streams."""
    check_selector(selector)

    async def ask(member: Member) -> Answer[Labels]:
        return await (await member.logs()).series(selector, window)

    return await fan_out(members, ask)


def check_selector(text: str) -> None:
    """Raises UsageError (INVALID_LOGQL) for more than a stream selector."""
    check_logql(text)
    if is_metric(text) or selector_of(text) != text.strip():
        raise UsageError(
            f"{text!r} is more than a stream selector",
            hint='only the part in braces: {namespace="shop"}',
            code=ErrorCode.INVALID_LOGQL,
        )
