"""Log lines of the fleet, a page after the other from the newest back, none left out in between."""

from __future__ import annotations

from collections import Counter
from contextlib import aclosing
from dataclasses import dataclass, field

from aiops_cli.analysis.merge import Line
from aiops_cli.models.result import FleetResult
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.session import Session

_LINES = 10_000  # a page has of all clusters together
_LEAST, _MOST = 50, 1_000  # of each
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

    @property
    def notes(self) -> list[str]:
        """What is to be known of the answer."""
        return list(dict.fromkeys(w for c in self.result.clusters for w in c.warnings))


async def read(session: Session, expr: str, window: TimeRange, limit: int | None = None) -> Page:
    """The newest page of the window.

    A cluster gives its newest lines only, so many: what is older than the oldest of a cluster that has more
    is left for the next page, since that cluster's lines would be missing among it.
    """
    from aiops_cli.services import logs

    limit = limit or min(max(_LINES // max(len(session.members), 1), _LEAST), _MOST)
    asked = logs.stream(session.members, expr, window, limit, watch=session.watcher())
    lines: list[Line] = []
    async with aclosing(asked.blocks()) as blocks:
        async for block in blocks:
            lines += block
    lines.reverse()
    edge = _edge(lines, limit)
    if edge is not None:
        kept = [line for line in lines if line[1][0] >= edge * 1000]
        if not kept:  # so many of one microsecond
            return await read(session, expr, window, limit * 10)
        lines = kept
    statuses = asked.statuses
    return Page(
        expr, window, lines, None if edge is None else edge / 1e6, FleetResult([None] * bool(lines), statuses)
    )


def _edge(lines: list[Line], limit: int) -> int | None:
    """From which microsecond on no cluster lacks a line: what was asked for next ends there."""
    counts = Counter(cluster for cluster, _ in lines)
    full = {cluster for cluster, count in counts.items() if count >= limit}
    oldest: dict[str, int] = {}
    for cluster, row in lines:
        if cluster in full:
            oldest.setdefault(cluster, row[0])
    return max(oldest.values()) // 1000 + 1 if oldest else None


async def first_query(session: Session, window: TimeRange) -> str:
    """A query for who has not asked anything yet: all lines, by a label that there is."""
    from aiops_cli.services import logs

    found = await logs.labels(session.members, window)
    names = {name for _, name in found.rows}
    # Where no Loki knows labels, the pods' logs have a namespace.
    label = next((g for g in _GUESSES if g in names), min(names, default=_GUESSES[0]))
    return f'{{{label}=~".+"}}'
