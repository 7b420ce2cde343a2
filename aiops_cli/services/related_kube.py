"""What Kubernetes says of a place: its events and changes, and the objects themselves."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from aiops_cli.analysis.subjects import Place, literal
from aiops_cli.models.events import CHANGES
from aiops_cli.models.related import Subject
from aiops_cli.models.signals import Change, KubeEvent, Workload
from aiops_cli.services.related_commands import Commands, option, second
from aiops_cli.services.related_found import Found, counted

_CHANGES = 3
_PODS = 3
_NODES = 3


def concerns(place: Place, kind: str, name: str, namespace: str) -> bool:
    """Whether an event or change of this object is one of the place: of the workload, what it makes (its
    ReplicaSets, Jobs and pods), or a node it runs on."""
    if kind == "Node":
        return name in place.nodes
    if place.about == "cluster":
        return False
    if place.about == "namespace":
        return namespace == place.name
    if kind == "Pod":
        return place.has_pod(name, namespace or None)
    if place.about != "workload" or (place.namespace and namespace and namespace != place.namespace):
        return False
    made = kind in ("ReplicaSet", "Job") and re.fullmatch(f"{literal(place.name)}-[a-z0-9]{{5,10}}", name)
    return name == place.name or bool(made)


def events_of(
    rows: Sequence[KubeEvent | Change], place: Place, subject: Subject, commands: Commands
) -> list[Found]:
    """Each change, then the events in one line; those of the place's nodes apart."""
    if place.about == "cluster":
        return []
    inside = [row for row in rows if subject.start <= row.at <= subject.end]
    ours = [r for r in inside if r.kind != "Node" and _told_of(place, r)]
    found = _in_short(ours, subject, commands.timed("events", *_events_words(place)))
    for node in place.nodes[:_NODES]:
        of_node = [r for r in inside if r.kind == "Node" and r.name == node]
        found += _in_short(of_node, subject, commands.timed("events", f"node/{node}"))
    return found


def _told_of(place: Place, row: KubeEvent | Change) -> bool:
    if concerns(place, row.kind, row.name, row.namespace):
        return True
    about = row.workloads if isinstance(row, Change) else []
    return place.about == "workload" and place.name in about and place.namespace in (None, row.namespace)


def _events_words(place: Place) -> list[str]:
    space = [option("--namespace", place.namespace)] if place.namespace and place.about != "node" else []
    if place.about == "namespace":
        return space
    kind = "Node" if place.about == "node" else place.kind
    return [f"{kind}/{place.name}" if kind else place.name, *space]


def _in_short(rows: Sequence[KubeEvent | Change], subject: Subject, command: str) -> list[Found]:
    changed = sorted((r for r in rows if isinstance(r, Change)), key=lambda c: abs(c.at - subject.at))
    events = [r for r in rows if isinstance(r, KubeEvent)]
    found = [Found(1, c.at, _cut(_change(c)), command) for c in changed[:_CHANGES]]
    if len(changed) > _CHANGES:
        more = len(changed) - _CHANGES
        found.append(Found(more, None, counted(more, "more change"), command))
    if events:
        warnings = [e for e in events if e.type == "Warning"]
        reasons = Counter(e.reason for e in warnings or events)
        telling = next(e for e in warnings or events if e.reason == reasons.most_common(1)[0][0])
        bad = f", {len(warnings)} of them warnings" if warnings else ""
        summary = (
            f"{counted(len(events), 'event')}{bad}; {telling.reason} of {telling.kind} {telling.name}: "
            f"{telling.message}"
        )
        found.append(Found(len(events), telling.at, _cut(summary), command))
    return found


def _change(change: Change) -> str:
    """`rollout of Deployment x: …`; a state that an object remembers speaks for itself."""
    what = f"{change.what} of " if change.what in CHANGES else ""
    return f"{what}{change.kind} {change.name}: {change.detail}".rstrip(": ")


def objects_of(place: Place, subject: Subject, commands: Commands) -> list[Found]:
    """The workload, its pods that are not well (else one), its nodes; not the object that was asked about."""
    found: list[Found] = []

    def add(kind: str, name: str, namespace: str | None, summary: str, count: int | None = None) -> None:
        if subject.origin == "object" and (place.kind, place.name) == (kind, name):
            return
        space = (option("--namespace", namespace),) if namespace else ()
        at = option("--at", second(subject.at))
        found.append(Found(count, None, summary, commands.timed("related", f"{kind}/{name}", *space, at)))

    if place.about == "workload" and place.pods and place.kind not in (None, "Pod"):
        summary = f"{place.kind} {place.text}: {_pods_in_short(place.pods)}"
        add(str(place.kind), place.name, place.namespace, summary, len(place.pods))
    if place.about == "pod" and place.pods and place.names[0] != place.name:
        pod = place.pods[0]
        kind = "Deployment" if pod.owner_kind == "ReplicaSet" else pod.owner_kind or "Pod"
        add(kind, place.names[0], place.namespace, f"{kind} {place.names[0]}, which owns it")
    pods = sorted(place.pods, key=lambda p: (_well(p), -p.restarts, p.pod))
    several = _PODS if place.about in ("node", "namespace") else 1
    shown = [p for p in pods if not _well(p)][:_PODS] or pods[:several]
    for pod in shown if place.about in ("workload", "pod", "node", "namespace") else []:
        where = f" on {pod.node}" if pod.node else ""
        add(
            "Pod",
            pod.pod,
            pod.namespace,
            f"Pod {pod.pod}: {pod.phase}{where}, {counted(pod.restarts, 'restart')}",
        )
    for node in place.nodes[:_NODES] if place.pods else ():
        add("Node", node, None, f"Node {node}")
    return found


def _well(pod: Workload) -> bool:
    return pod.phase in ("Running", "Succeeded") and pod.restarts == 0


def _pods_in_short(pods: Iterable[Workload]) -> str:
    listed = list(pods)
    phases = Counter(p.phase for p in listed)
    nodes = sorted({p.node for p in listed if p.node})
    on = f" on {', '.join(nodes[:3])}{' …' if len(nodes) > 3 else ''}" if nodes else ""
    states = ", ".join(f"{n} {phase}" for phase, n in phases.most_common())
    return (
        f"{counted(len(listed), 'pod')} ({states}){on}, {counted(sum(p.restarts for p in listed), 'restart')}"
    )


def _cut(text: str, length: int = 240) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
