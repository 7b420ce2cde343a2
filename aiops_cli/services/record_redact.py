"""`--redact`: taking the values of chosen labels out of what was recorded."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from aiops_cli.models.signals import Change
from aiops_cli.services.bundle import ClusterParts
from aiops_cli.services.scrub import REDACTED

S = TypeVar("S", bound=msgspec.Struct)
_WORKLOADS = {"deployment", "statefulset", "daemonset", "service", "app", "workload"}
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
"""A name as Kubernetes has them, in a text: `pod web-0_shop(…)` and `shop/web-0.` have two."""


def redact(parts: ClusterParts, names: list[str]) -> None:
    """Replace the values of chosen labels and attributes everywhere: also where the recording has a
    field of its own for one, such as a pod's name, and where what is said of an object has it as a word."""
    hidden = set(names)
    if not hidden:
        return
    said: set[str] = set()

    def hide(values: dict[str, Any]) -> None:
        for name, value in values.items():
            if name in hidden:
                if isinstance(value, str):
                    said.add(value)
                values[name] = REDACTED
            elif isinstance(value, dict):
                hide(value)

    for query in parts.queries:
        for series in query.series:
            hide(series.labels)
    for logs in parts.logs:
        for stream in logs.streams:
            hide(stream)
        for line in logs.lines:
            hide(line.metadata)
    for span in parts.spans:
        hide(span.attributes)
        hide(span.resource)
        for event in [*span.events, *span.links]:
            hide(event)
        if hidden & {"service", "service.name", "service_name"}:
            span.service = REDACTED
    for alert in parts.alerts:
        hide(alert.labels)
        hide(alert.annotations)
    parts.alerts = [
        _without(a, hidden, said, {"alertname": "name", "severity": "severity"}) for a in parts.alerts
    ]
    if parts.kube:
        for pod in parts.kube.workloads:
            hide(pod.labels)
        places = {"namespace": "namespace", "pod": "pod", "node": "node"}
        parts.kube.workloads = [_without(w, hidden, said, places) for w in parts.kube.workloads]
        parts.kube.events = [_without(e, hidden, said, _naming(e.kind)) for e in parts.kube.events]
        parts.kube.changes = [_without(c, hidden, said, _naming(c.kind)) for c in parts.kube.changes]
        parts.kube.states = [_without(c, hidden, said, _naming(c.kind)) for c in parts.kube.states or []]
        if hidden & _WORKLOADS:
            parts.kube.changes = [_without_workloads(c) for c in parts.kube.changes]
            parts.kube.states = [_without_workloads(c) for c in parts.kube.states]

    def silent(text: str) -> str:
        return _NAME.sub(lambda match: REDACTED if match[0] in said else match[0], text)

    for alert in parts.alerts:
        alert.annotations.update({name: silent(text) for name, text in alert.annotations.items()})
    if parts.kube:
        replace = msgspec.structs.replace
        parts.kube.events = [replace(e, message=silent(e.message)) for e in parts.kube.events]
        parts.kube.changes = [replace(c, detail=silent(c.detail)) for c in parts.kube.changes]
        parts.kube.states = [replace(c, detail=silent(c.detail)) for c in parts.kube.states or []]


def _naming(kind: str) -> dict[str, str]:
    """Which field of an object's event or change says what a label of its kind's name says."""
    return {"namespace": "namespace", kind.lower(): "name"}


def _without_workloads(change: Change) -> Change:
    detail = change.detail
    for name in change.workloads:
        detail = detail.replace(name, REDACTED)
    return msgspec.structs.replace(change, detail=detail, workloads=[])


def _without(item: S, hidden: set[str], said: set[str], fields: dict[str, str]) -> S:
    """An item without the fields that say what a hidden label says; what they said is added to `said`."""
    told = {f: str(getattr(item, f)) for label, f in fields.items() if label in hidden and getattr(item, f)}
    said.update(told.values())
    return msgspec.structs.replace(item, **dict.fromkeys(told, REDACTED)) if told else item
