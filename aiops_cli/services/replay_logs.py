"""Recorded log lines, asked as a Loki would be."""

from __future__ import annotations

from aiops_cli.models.result import Answer
from aiops_cli.models.signals import LogEntry
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.bundle import RecordedLogs, not_recorded
from aiops_cli.services.recorded_query import parse_logql
from aiops_cli.sources.base import Direction


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
        start, end = window.start * 1e9, window.end * 1e9
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

    async def labels(self, window: TimeRange) -> Answer[str]:
        return Answer(sorted({k for p in self._logs for s in p.streams for k in s}), "bundle")
