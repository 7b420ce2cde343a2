"""What objects remember of themselves beside their revisions: nodes, quotas, autoscalers and ended containers.

Each has the time of its own last transition, so that it has a place on the axis of time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from aiops_cli.models.signals import Change
from aiops_cli.models.timerange import TimeRange
from aiops_cli.sources.kubernetes_objects import (
    Autoscaler,
    AutoscalerMetric,
    Condition,
    ContainerStatus,
    Node,
    Pod,
    ResourceQuota,
    unix,
)

NEAR_THE_LIMIT = 0.9
"""The used share of a quota's resource from which on it is told."""

AUTOSCALER, RESCALED = "HorizontalPodAutoscaler", "scaled"
"""The kind, and the first word of what is told of an autoscaler's last scaling."""

_UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_NEW_SECONDS = 300.0
"""A node or autoscaler that is no older than this gets all of its conditions: only what is wrong is told."""
_QUANTITY = re.compile(r"([+-]?[\d.]+)([eE][+-]?\d+|[KMGTPE]i|[numkMGTPE])?")
_SUFFIXES = {suffix: 1000.0**i for i, suffix in enumerate("num", start=-3)} | {"": 1.0, "k": 1e3}
_SUFFIXES |= {s: 1000.0**i for i, s in enumerate("MGTPE", start=2)}
_SUFFIXES |= {f"{s}i": 1024.0**i for i, s in enumerate("KMGTPE", start=1)}


def node_states(nodes: Iterable[Node], window: TimeRange, now: float) -> list[Change]:
    """Nodes that came, that were cordoned, and each condition's last transition.

    Where nothing tells when a node was cordoned, it is told as of now if the window reaches up to that.
    """
    found = []
    for node in nodes:
        meta = node.metadata
        created = unix(meta.creation_timestamp)
        found.append(Change(created, "Node", meta.name, "", "node", "joined the cluster"))
        if node.spec.unschedulable:
            at, detail = _cordoned_at(node), "cordoned: no new pods come here"
            if not at and _reaches(window, now):
                at, detail = window.end, f"{detail}; as of now"
            found.append(Change(at, "Node", meta.name, "", "node", detail))
        for condition in node.status.conditions:
            at = unix(condition.last_transition_time)
            well = condition.status == ("True" if condition.type == "Ready" else "False")
            if not at or (well and condition.type != "Ready" and at < created + _NEW_SECONDS):
                continue
            found.append(Change(at, "Node", meta.name, "", "node", _said(condition)))
    return found


def _cordoned_at(node: Node) -> float:
    """When: by the taint, else by the last write of that field; 0 where neither tells."""
    for taint in node.spec.taints:
        if taint.key == _UNSCHEDULABLE and taint.time_added is not None:
            return unix(taint.time_added)
    writes = (w for w in node.metadata.managed_fields if b'"f:unschedulable"' in bytes(w.fields))
    return max((unix(w.time) for w in writes), default=0.0)


def _reaches(window: TimeRange, now: float) -> bool:
    """Whether a window is about the present, which is all that a state without a time tells of."""
    return window.end >= now - 60


def _said(condition: Condition) -> str:
    why = ": ".join(part for part in (condition.reason, condition.message) if part)
    return f"{condition.type}={condition.status}" + (f" {why}" if why else "")


def quota_states(quotas: Iterable[ResourceQuota], window: TimeRange, now: float) -> list[Change]:
    """Quotas near or at a limit, at the last time that their use changed.

    Where that lies before a window that reaches up to now, the state is told as of now. Unix seconds.
    """
    found = []
    for quota in quotas:
        meta = quota.metadata
        full: list[tuple[float, str]] = []
        for resource, limit in sorted(quota.status.hard.items()):
            hard, used = quantity(limit), quantity(quota.status.used.get(resource, "0"))
            if hard is None or used is None or used < NEAR_THE_LIMIT * hard or used <= 0:
                continue
            share = used / hard if hard else 1.0
            state = "at the limit" if share >= 1 else f"{share:.0%}"
            full.append((share, f"{resource} {quota.status.used[resource]} of {limit} ({state})"))
        if not full:
            continue
        writes = [unix(w.time) for w in meta.managed_fields if w.subresource == "status"]
        at = max(writes, default=0.0)
        detail = "; ".join(text for _, text in sorted(full, key=lambda f: -f[0]))
        if at < window.start and _reaches(window, now):
            since = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else ""
            at, detail = window.end, detail + (f"; so since {since}" if since else "; as of now")
        found.append(Change(at, "ResourceQuota", meta.name, meta.namespace, "quota", detail))
    return found


def quantity(text: str) -> float | None:
    """A Kubernetes quantity such as 250m, 4Gi or 1e3 as a number; None for what is none."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return None
    number, suffix = match[1], match[2] or ""
    try:
        return (
            float(number + suffix)
            if suffix[:1] in ("e", "E") and suffix[1:]
            else float(number) * _SUFFIXES[suffix]
        )
    except (ValueError, OverflowError):
        return None


def autoscaler_states(autoscalers: Iterable[Autoscaler]) -> list[Change]:
    """Each HorizontalPodAutoscaler's last scaling, last edit of its target and bounds, and conditions."""
    found = []
    for autoscaler in autoscalers:
        meta, spec, status = autoscaler.metadata, autoscaler.spec, autoscaler.status
        target = spec.scale_target_ref
        bounds = f"{spec.min_replicas} to {spec.max_replicas} allowed"
        replicas = f"{status.current_replicas} current, {status.desired_replicas} desired, {bounds}"
        state = "; ".join([f"{target.kind}/{target.name}: {replicas}", *_metrics(autoscaler)])
        told: list[tuple[float, str]] = []
        edits = [w for w in meta.managed_fields if not w.subresource and w.time is not None]
        if edits:
            last = max(edits, key=lambda w: unix(w.time))
            verb = "created" if unix(last.time) - meta.created < 2 else "edited"
            told.append((unix(last.time), f"{verb} by {last.manager}; {state}"))
        if status.last_scale_time is not None:
            told.append((unix(status.last_scale_time), f"{RESCALED} {state}"))
        for condition in status.conditions:
            at = unix(condition.last_transition_time)
            well = condition.status == ("False" if condition.type == "ScalingLimited" else "True")
            if at and not (well and at < meta.created + _NEW_SECONDS):
                told.append((at, _said(condition)))
        found += [
            Change(at, AUTOSCALER, meta.name, meta.namespace, "autoscaler", detail, workloads=[target.name])
            for at, detail in told
        ]
    return found


def _metrics(autoscaler: Autoscaler) -> list[str]:
    """`cpu 180% of 80%` for each metric that it goes by."""
    now = {_metric_name(m): m.part.current for m in autoscaler.status.current_metrics or []}
    found = []
    for metric in autoscaler.spec.metrics:
        name, target = _metric_name(metric), metric.part.target
        current = now.get(name)
        is_now = (current.text if current else None) or "unknown"
        found.append(f"{name} {is_now} of {(target.text if target else None) or 'unknown'}")
    return found


def _metric_name(metric: AutoscalerMetric) -> str:
    return metric.part.name or metric.part.metric.name


def ended_containers(pods: Iterable[tuple[Pod, str | None]]) -> list[Change]:
    """Containers that ended and were started again or not, and pods that were evicted; with each pod the
    name of what made it."""
    found = []
    for pod, owner in pods:
        meta, status = pod.metadata, pod.status
        told = [(at, text, 1) for at, text in _evicted(pod)]
        for container in [*status.init_container_statuses, *status.container_statuses]:
            told += [(at, text, max(container.restart_count, 1)) for at, text in _ends(container)]
        found += [
            Change(
                at,
                "Pod",
                meta.name,
                meta.namespace,
                "restart",
                text,
                workloads=[owner] if owner else [],
                count=count,
            )
            for at, text, count in told
        ]
    return found


def _evicted(pod: Pod) -> list[tuple[float, str]]:
    """When and why a pod was sent away: by the kubelet, the eviction API, the scheduler or a taint."""
    status = pod.status
    disrupted = [c for c in status.conditions if c.type == "DisruptionTarget" and c.status == "True"]
    if status.reason != "Evicted" and not disrupted:
        return []
    moved = max((unix(c.last_transition_time) for c in disrupted or status.conditions), default=0.0)
    words = [status.reason, status.message] if status.reason else [disrupted[0].reason, disrupted[0].message]
    return [(moved or unix(status.start_time) or pod.metadata.created, ": ".join(w for w in words if w))]


def _ends(container: ContainerStatus) -> list[tuple[float, str]]:
    """(unix seconds, words) of the last end before the present run, and of a present one that failed."""
    found = []
    last, present = container.last_state.terminated, container.state.terminated
    waits = container.state.waiting.reason if container.state.waiting else ""
    for end, verb in ((last, "restarted after"), (present, "ended with")):
        if end is None or end.finished_at is None or (end is present and not end.exit_code):
            continue
        text = f"container {container.name} {verb} {end.reason or 'Error'} (exit code {end.exit_code})"
        if end is last and waits and waits != "ContainerCreating":
            text += f", now {waits}"
        found.append((unix(end.finished_at), text))
    return found
