"""What was recorded of the Kubernetes API."""

from __future__ import annotations

from aiops_cli.models.result import Answer
from aiops_cli.models.signals import Change, KubeEvent, Workload
from aiops_cli.models.timerange import TimeRange


class RecordedKubeSource:
    def __init__(
        self, version: str, events: list[KubeEvent], changes: list[Change], workloads: list[Workload]
    ) -> None:
        self._version, self._events, self._changes, self._workloads = version, events, changes, workloads

    async def version(self) -> str:
        return self._version

    async def events(self, window: TimeRange) -> Answer[KubeEvent]:
        return Answer([e for e in self._events if window.start <= e.at <= window.end], "bundle")

    async def changes(self, window: TimeRange) -> Answer[Change]:
        return Answer([c for c in self._changes if window.start <= c.at <= window.end], "bundle")

    async def workloads(self) -> Answer[Workload]:
        return Answer(list(self._workloads), "bundle")
