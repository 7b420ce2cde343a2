"""Recorded log lines, asked as a Loki would be."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from aiops_cli.errors import ClusterError
from aiops_cli.models.result import Answer
from aiops_cli.models.signals import LogEntry
from aiops_cli.models.timerange import TimeRange, nanoseconds
from aiops_cli.services.bundle import RecordedLogs, not_recorded
from aiops_cli.services.recorded_query import parse_logql
from aiops_cli.sources.base import Direction, Labels, LogRow, LogStats

if TYPE_CHECKING:
    from aiops_cli.models.signals import Series


class RecordedLogSource:
    """Recorded lines. Stream selectors and the line filters |= != |~ !~ are answered; other stages
    were not recorded."""

    def __init__(self, logs: list[RecordedLogs]) -> None:
        self._logs = logs

    async def query_range(
        self, expr: str, window: TimeRange, limit: int, direction: Direction = "backward"
    ) -> Answer[LogEntry]:
        if not self._logs:
            raise not_recorded("any log line", [])
        matches, filters = parse_logql(expr)
        start, end = nanoseconds(window.start), nanoseconds(window.end)
        seen: dict[tuple[int, str, str], LogEntry] = {}
        for part in self._logs:
            wanted = [matches(labels) for labels in part.streams]
            for line in part.lines:
                if start <= line.ns < end and wanted[line.stream] and all(f(line.line) for f in filters):
                    labels = part.streams[line.stream]
                    seen.setdefault(
                        (line.ns, str(labels), line.line), LogEntry(line.ns, labels, line.line, line.metadata)
                    )
        rows = sorted(seen.values(), key=lambda e: e.ns, reverse=direction == "backward")[:limit]
        notes = (
            ["more lines were there than the recording kept"] if any(p.truncated for p in self._logs) else []
        )
        return Answer(rows, "bundle", warnings=notes)

    async def pages(
        self,
        expr: str,
        window: TimeRange,
        limit: int,
        direction: Direction = "backward",
        *,
        most: int = 5_000,
        lanes: int = 1,
    ) -> AsyncGenerator[Answer[LogRow], None]:
        found = await self.query_range(expr, window, limit, direction)
        rows: list[LogRow] = [(e.ns, e.line, e.labels, e.metadata) for e in found.rows]
        yield Answer(rows, "bundle", warnings=found.warnings)

    async def metric(self, expr: str, at: float) -> Answer[Series]:
        raise no_samples()

    async def metric_range(self, expr: str, window: TimeRange, step: float) -> Answer[Series]:
        raise no_samples()

    async def labels(self, window: TimeRange) -> Answer[str]:
        return Answer(sorted({k for p in self._logs for s in p.streams for k in s}), "bundle")

    async def label_values(self, name: str, window: TimeRange, selector: str = "") -> Answer[str]:
        rows = (await self.series(selector, window)).rows if selector else self._streams()
        return Answer(sorted({labels[name] for labels in rows if name in labels}), "bundle")

    async def series(self, selector: str, window: TimeRange) -> Answer[Labels]:
        matches, _ = parse_logql(selector)
        return Answer([labels for labels in self._streams() if matches(labels)], "bundle")

    async def stats(self, selector: str, window: TimeRange) -> Answer[LogStats]:
        """Of the lines that were recorded, which may be fewer than there were."""
        found = await self.query_range(selector, window, sys.maxsize)
        streams = {str(sorted(e.labels.items())) for e in found.rows}
        size = sum(len(e.line.encode()) for e in found.rows)
        return Answer(
            [LogStats(len(streams), None, len(found.rows), size)], "bundle", warnings=found.warnings
        )

    def _streams(self) -> list[Labels]:
        """Each recorded stream once, in the order of its labels."""
        every = {tuple(sorted(s.items())) for p in self._logs for s in p.streams}
        return [dict(labels) for labels in sorted(every)]


def no_samples() -> ClusterError:
    """NOT_RECORDED: a bundle has lines, and nobody who counts them."""
    return not_recorded("a metric query over logs", ["log lines: ask for the stream selector alone"])
