"""What a cluster's own Korrel8r knows of a place, in aiops' words and commands."""

from __future__ import annotations

import json
import re
from typing import Any

from aiops_cli.analysis.subjects import Place
from aiops_cli.models.related import Signal, Subject
from aiops_cli.services.fleet import LiveMember, Member
from aiops_cli.services.related_commands import Commands, option, quoted, second
from aiops_cli.services.related_found import Found
from aiops_cli.services.times import rfc3339
from aiops_cli.sources.korrel8r import Neighbour

_MOST = 10
_GROUP = {"Deployment": ".apps", "StatefulSet": ".apps", "DaemonSet": ".apps", "ReplicaSet": ".apps"}
_GROUP |= {"Job": ".batch", "CronJob": ".batch"}
_SIGNALS: dict[str, Signal] = {"metric": "metric", "alert": "alert", "log": "log", "trace": "trace"}


async def neighbours_of(
    member: Member, place: Place, subject: Subject, commands: Commands
) -> list[tuple[Signal, Found]]:
    """Its neighbours that aiops can show; nothing where the cluster is not known to run it.

    A cluster is not searched for it here: most have none, and other searches find it.
    Raises ClusterError.
    """
    query = start_query(place, subject)
    if query is None or not isinstance(member, LiveMember) or not member.knows("korrel8r"):
        return []
    source = await member.korrel8r()
    found = await source.neighbours(query, rfc3339(subject.start), rfc3339(subject.end))
    told = [(t[0], t[1]) for n in found if (t := told_as(n, subject, commands)) is not None]
    return told[:_MOST]


def start_query(place: Place, subject: Subject) -> str | None:
    """The query whose object is the subject's: the alert itself, else the Kubernetes object."""
    if subject.origin == "alert" and "alertname" in subject.labels:
        return f"alert:alert:{json.dumps(subject.labels, sort_keys=True)}"
    if place.about == "node":
        return f"k8s:Node:{json.dumps({'name': place.name})}"
    if place.about in ("workload", "pod") and place.kind and place.namespace:
        named = json.dumps({"namespace": place.namespace, "name": place.name})
        return f"k8s:{place.kind}{_GROUP.get(place.kind, '')}:{named}"
    return None


def told_as(neighbour: Neighbour, subject: Subject, commands: Commands) -> tuple[Signal, Found] | None:
    """A neighbour as an item with a command that shows it; None for what no command here can show."""
    signal = _SIGNALS.get(neighbour.domain)
    selector = neighbour.selector
    words: tuple[str, ...] | None = None
    timed = True
    if neighbour.domain == "metric":
        words = ("metrics", "query", re.sub(r"\?namespace=[^{}\"']*$", "", selector))
    elif neighbour.domain == "log":
        expr = selector if re.match(r"\s*\{\s*[A-Za-z_]\w*\s*(=|!)", selector) else _logql(_object(selector))
        words = ("logs", "query", expr) if expr else None
    elif neighbour.domain == "trace" and re.fullmatch(r"[0-9a-fA-F]{16,32}(,[0-9a-fA-F]{16,32})*", selector):
        words, timed = ("traces", "show", selector.partition(",")[0].lower()), False
    elif neighbour.domain == "trace":
        words = ("traces", "search", selector)
    elif neighbour.domain == "alert":
        words, timed = ("alerts", "list", *_alert_options(_first_object(selector))), False
    elif neighbour.domain == "k8s":
        signal, words = _kubernetes(neighbour.kind.partition(".")[0], _object(selector), subject)
    if signal is None or words is None or selector.startswith("-"):  # which would be read as an option
        return None
    summary = f"{neighbour.count} of {neighbour.domain}:{neighbour.kind} {' '.join(selector.split())}"
    summary = summary if len(summary) <= 160 else summary[:159] + "…"
    command = commands.timed(*words) if timed else commands.plain(*words)
    return signal, Found(neighbour.count, None, summary, command)


def _kubernetes(
    kind: str, wanted: dict[str, Any], subject: Subject
) -> tuple[Signal | None, tuple[str, ...] | None]:
    space, name = wanted.get("namespace"), wanted.get("name")
    options = (option("--namespace", str(space)),) if space else ()
    if kind == "Event":
        return "event", ("events", *options)
    if kind in ("Pod", "Node", "Namespace", "Job", "CronJob", *_GROUP) and name:
        return "object", ("related", f"{kind}/{name}", *options, option("--at", second(subject.at)))
    return None, None


def _logql(wanted: dict[str, Any]) -> str | None:
    """A container selector in the labels of OpenShift Logging, which Korrel8r itself makes of it."""
    space, name = wanted.get("namespace"), wanted.get("name")
    if not space:
        return None
    pod = f", kubernetes_pod_name={quoted(str(name))}" if name else ""
    return f"{{kubernetes_namespace_name={quoted(str(space))}{pod}}}"


def _alert_options(labels: dict[str, Any]) -> tuple[str, ...]:
    said = (("--name", labels.get("alertname")), ("--namespace", labels.get("namespace")))
    return tuple(option(name, str(value)) for name, value in said if value)


def _first_object(text: str) -> dict[str, Any]:
    found = _json(text)
    first = found[0] if isinstance(found, list) and found else found
    return first if isinstance(first, dict) else {}


def _object(text: str) -> dict[str, Any]:
    found = _json(text)
    return found if isinstance(found, dict) else {}


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
