"""What was recorded of the Kubernetes API."""

from __future__ import annotations

from collections.abc import Collection

from aiops_cli.models.result import Answer
from aiops_cli.models.signals import Change, KubeEvent, Workload
from aiops_cli.models.timerange import TimeRange

_STATES = ("node", "quota", "autoscaler", "restart")


class RecordedKubeSource:
    """`states` is None in bundles of before they were recorded."""

    def __init__(
        self,
        version: str,
        events: list[KubeEvent],
        changes: list[Change],
        workloads: list[Workload],
        states: list[Change] | None = None,
    ) -> None:
        self._version, self._events, self._changes, self._workloads = version, events, changes, workloads
        self._states = states

    async def version(self) -> str:
        return self._version

    async def events(self, window: TimeRange) -> Answer[KubeEvent]:
        return Answer([e for e in self._events if window.start <= e.at <= window.end], "bundle")

    async def changes(self, window: TimeRange) -> Answer[Change]:
        return Answer([c for c in self._changes if window.start <= c.at <= window.end], "bundle")

    async def timeline(
        self, window: TimeRange, types: Collection[str], namespace: str | None = None
    ) -> Answer[KubeEvent | Change]:
        """As the live source, but for times of Secrets, which are never recorded."""
        changes = [*self._changes, *(self._states or [])]
        told = {(c.at, c.kind, c.name, c.detail) for c in self._changes if c.what == "scaling"}
        rows: list[KubeEvent | Change] = [c for c in changes if c.what in types]
        rows += [
            e
            for e in self._events
            if e.type.lower() in types and (e.at, e.kind, e.name, e.message) not in told
        ]
        inside = [
            row for row in rows if window.start <= row.at <= window.end and namespace in (None, row.namespace)
        ]
        missing = sorted(set(_STATES) & set(types)) if self._states is None else []
        notes = [f"this bundle was recorded without {', '.join(missing)} events"] if missing else []
        return Answer(inside, "bundle", warnings=notes)

    async def workloads(self) -> Answer[Workload]:
        return Answer(list(self._workloads), "bundle")
