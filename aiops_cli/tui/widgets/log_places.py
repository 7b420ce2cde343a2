"""Queries for what one comes with, and the places that a log line leads to."""

from __future__ import annotations

import re
from collections.abc import Mapping

from aiops_cli.analysis.merge import Line
from aiops_cli.services.log_syntax import quoted, selector
from aiops_cli.services.times import rfc3339
from aiops_cli.tui.place import Place

_NAMESPACES = ("namespace", "k8s_namespace_name", "exported_namespace")
_TELLING, _MOST_WORDS = 3, 8  # letters of a word, words of a pattern
_PODS = ("pod", "k8s_pod_name", "instance")


def query_of(text: str, args: Mapping[str, str]) -> str:
    """The LogQL of a place: its text, or what namespace, name and trace say; nothing where they say nothing."""
    expr = text
    if not expr and ("ns" in args or "name" in args):
        parts = [f"namespace={quoted(args['ns'])}"] if "ns" in args else []
        if name := args.get("name"):
            exact = args.get("kind", "").lower() == "pod"
            parts.append(f"pod={quoted(name)}" if exact else f"pod=~{quoted(re.escape(name) + '.*')}")
        expr = "{" + ", ".join(parts) + "}"
    if expr and (trace := args.get("trace")):
        expr = f"{expr} |= {quoted(trace)}"
    return expr


def stream_query(line: Line) -> str:
    """All lines of the line's pod, or of its stream where no label names a pod."""
    labels = line[1][2]
    namespace, pod = _first(labels, _NAMESPACES), _first(labels, _PODS)
    if pod:
        return selector(dict(filter(None, (namespace, pod))))
    return selector({k: v for k, v in labels.items() if not k.startswith("__")})


def pattern_query(expr: str, pattern: str) -> str:
    """Lines of a query that have the words of a pattern, the longest of them.

    Their order and what stands between is not asked for: patterns of JSON put message and error side by side.
    """
    words = {w.strip(":=,;()[]{}") for w in re.split(r"<\*>|\s+", pattern) if '"' not in w and "\\" not in w}
    told = sorted((w for w in words if len(w) >= _TELLING), key=lambda w: (-len(w), w))[:_MOST_WORDS]
    return " ".join([expr, *(f"|= {quoted(w)}" for w in told)])


def place_beside(view: str, line: Line) -> Place:
    """Another screen at the line's time and namespace."""
    cluster, (ns, _, labels, _) = line
    args = {"at": rfc3339(ns / 1e9)}
    if namespace := _first(labels, _NAMESPACES):
        args["ns"] = namespace[1]
    pod = _first(labels, _PODS)
    if view == "cluster":
        return Place(view, f"pod/{pod[1]}" if pod else "", {**args, "tab": "events"}, (cluster,))
    return Place(view, "@service-errors" if view == "metrics" else "", args, (cluster,))


def _first(labels: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, str] | None:
    return next(((n, labels[n]) for n in names if n in labels), None)
