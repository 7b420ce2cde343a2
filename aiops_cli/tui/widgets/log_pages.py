"""Log lines of the fleet, a page after the other from the newest back, none left out in between."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from aiops_cli.analysis.merge import Line
from aiops_cli.models.result import Answer, ClusterStatus, FleetResult
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.fanout import fan_out
from aiops_cli.services.fleet import Member
from aiops_cli.services.log_fields import errors_among
from aiops_cli.services.session import Session
from aiops_cli.sources.base import LogRow

_LINES = 10_000  # a page has of all clusters together
_LEAST, _MOST = 50, 1_000  # of each
_PAGE = 5_000  # lines asked at once
_PATIENCE = 1.0  # seconds
_NEARER = (60.0, 5.0, 0.5)  # seconds after a moment that lines are read up to, where there are too many
_GUESSES = ("namespace", "k8s_namespace_name", "service_name", "app", "job")


@dataclass(slots=True)
class Page:
    """`lines` oldest first, all there are from `edge` (unix seconds) to the end of `window`; `edge` None: all
    of the window. `result` tells how the clusters fared."""

    expr: str
    window: TimeRange
    lines: list[Line]
    edge: float | None
    result: FleetResult[None] = field(repr=False)
    cut: bool = False  # lines after the window were left out, for those before a moment

    @property
    def notes(self) -> list[str]:
        """What is to be known of the answer."""
        return list(dict.fromkeys(w for c in self.result.clusters for w in c.warnings))


async def read(
    session: Session,
    expr: str,
    window: TimeRange,
    limit: int | None = None,
    part: Callable[[Page], None] | None = None,
) -> Page:
    """The newest page of the window; `part` is told every second what has come while clusters are waited for.

    A cluster gives its newest lines only, so many: what is older than the oldest of a cluster that has more
    is left for the next page, since that cluster's lines would be missing among it. Raises UsageError for
    what is no log query, and where every cluster refuses it.
    """
    from aiops_cli.services import logs

    limit = limit or min(max(_LINES // max(len(session.members), 1), _LEAST), _MOST)
    logs.stream(session.members, expr, window, limit)  # which refuses what asks for no lines
    came: dict[str, list[LogRow]] = {}

    async def ask(member: Member) -> Answer[LogRow]:
        answer: Answer[LogRow] = Answer([])
        pages = (await member.log_lines()).pages(expr, window, limit, most=_PAGE, lanes=1)
        async with aclosing(pages):
            async for page in pages:
                answer = replace(
                    page, rows=[*answer.rows, *page.rows], warnings=[*answer.warnings, *page.warnings]
                )
        failed = errors_among((member.name, row) for row in answer.rows)
        answer.warnings += [
            f"a stage of the query failed on {n} lines ({error})" for (_, error), n in failed.items()
        ]
        came[member.name] = answer.rows
        return answer

    async def tell() -> None:
        told = 0
        while part is not None:
            await asyncio.sleep(_PATIENCE)
            if told < (told := len(came)) and (found := [(c, r) for c, rows in came.items() for r in rows]):
                part(_page(expr, window, found, limit, []))

    telling = asyncio.ensure_future(tell())
    try:
        found = await fan_out(session.members, ask, watch=session.watcher())
    finally:
        telling.cancel()
    page = _page(expr, window, found.rows, limit, found.clusters)
    if found.rows and not page.lines:  # so many of one microsecond
        return await read(session, expr, window, limit * 10, part)
    return page


def _page(expr: str, window: TimeRange, found: list[Line], limit: int, statuses: list[ClusterStatus]) -> Page:
    lines = found[::-1]
    lines.sort(key=lambda line: line[1][0])
    edge = _edge(lines, limit)
    if edge is not None:
        lines = lines[bisect_left(lines, edge * 1000, key=lambda line: line[1][0]) :]
    result: FleetResult[None] = FleetResult([None] * bool(lines), statuses)
    return Page(expr, window, lines, None if edge is None else edge / 1e6, result)


def _edge(lines: list[Line], limit: int) -> int | None:
    """From which microsecond on no cluster lacks a line: what was asked for next ends there."""
    counts = Counter(cluster for cluster, _ in lines)
    full = {cluster for cluster, count in counts.items() if count >= limit}
    oldest: dict[str, int] = {}
    for cluster, row in lines:
        if cluster in full:
            oldest.setdefault(cluster, row[0])
    return max(oldest.values()) // 1000 + 1 if oldest else None


async def around(
    session: Session, expr: str, window: TimeRange, moment: float, part: Callable[[Page], None]
) -> Page:
    """The newest page of the window that reaches back to the moment (unix seconds): where more lines came
    after it than a page has, one that ends sooner."""
    page = await read(session, expr, window, part=part)
    for after in _NEARER:
        if page.edge is None or page.edge <= moment:
            break
        nearer = TimeRange(window.start, min(moment + after, window.end))
        page = replace(await read(session, expr, nearer), cut=True)
    return page


async def first_query(session: Session, window: TimeRange) -> str:
    """A query for who has not asked anything yet: all lines, by a label that there is."""
    from aiops_cli.services import logs

    found = await logs.labels(session.members, window)
    names = {name for _, name in found.rows if not name.startswith("__")}
    # Where no Loki knows labels, the pods' logs have a namespace.
    label = next((g for g in _GUESSES if g in names), min(names, default=_GUESSES[0]))
    return f'{{{label}=~".+"}}'
