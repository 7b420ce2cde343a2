"""The log lines of a place: how many, how many of them errors, and which error is the most frequent."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from contextlib import aclosing

from aiops_cli.analysis.logs import Templates
from aiops_cli.analysis.subjects import Place, literal
from aiops_cli.errors import NotAvailableError
from aiops_cli.models.signals import LogEntry
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.fleet import Member
from aiops_cli.services.related_commands import Commands, matcher, one_of, quoted, selector
from aiops_cli.services.related_found import Found, counted
from aiops_cli.sources.base import PagedLines

LINES = 1000
"""Lines read of each kind; more are told as so many and more."""
ERRORS = r"(?i)(error|exception|fatal|panic|critical|fail|refused|timed out|exhausted|denied|oom|killed)"
_LEVELS = "(?i)(error|err|fatal|critical|crit|panic|severe|emerg|alert)"
_PODS = (
    ("namespace", "pod"),
    ("kubernetes_namespace_name", "kubernetes_pod_name"),
    ("k8s_namespace_name", "k8s_pod_name"),
)
_NAMED = (
    "service_name",
    "k8s_deployment_name",
    "app",
    "job",
    "container",
    "kubernetes_container_name",
    "k8s_container_name",
)
_GIST = 140
_ALL = 0  # `logs query --limit 0` gives all lines


def selectors(place: Place, names: set[str]) -> list[list[str]]:
    """Matchers of stream selectors for a place, the surest first; `names` are the stream labels there are."""
    found: list[list[str]] = []
    space_label = next((s for s, _ in _PODS if s in names), None)
    space = [matcher(space_label, place.namespace)] if space_label and place.namespace else []
    if pattern := place.pod_pattern:
        pod_label = next((p for _, p in _PODS if p in names), None)
        if pod_label:
            found.append([*space, _matched(pod_label, [pattern], exact=place.about == "pod")])
        called = [literal(n) for n in place.names]
        if called and place.about == "workload":
            found += [[*space, _matched(label, called)] for label in _NAMED if label in names]
    elif place.about == "node":
        for label in ("node", "node_name", "kubernetes_host", "k8s_node_name", "hostname", "host"):
            if label in names:
                found.append([matcher(label, place.name)])
    elif place.about == "namespace" and space:
        found.append(space)
    return found


def _matched(label: str, patterns: list[str], *, exact: bool = False) -> str:
    plain = exact or (len(patterns) == 1 and patterns[0].replace("-", "").isalnum())
    if plain:
        return matcher(label, patterns[0].replace("[.]", "."))
    return one_of(label, patterns)


async def logs_of(
    member: Member, place: Place, trace_id: str | None, window: TimeRange, commands: Commands
) -> list[Found]:
    """Lines that name the trace, errors, all lines; nothing where the place wrote none. Raises
    ClusterError."""
    source = await member.log_lines()
    for matchers in selectors(place, await stream_labels(member, window))[:3]:
        every = selector("", matchers)
        lines = await _read(source, every, window)
        if lines:
            found = await _told(source, matchers, lines, window, commands)
            return [*(await _of_trace(source, every, trace_id, window, commands)), *found]
    return []


async def stream_labels(member: Member, window: TimeRange) -> set[str]:
    """The stream labels there are; pod logs by the Kubernetes API have these two."""
    try:
        return set((await (await member.logs()).labels(window)).rows)
    except NotAvailableError:
        return {"namespace", "pod"}


async def _read(source: PagedLines, expr: str, window: TimeRange) -> list[LogEntry]:
    entries: list[LogEntry] = []
    async with aclosing(source.pages(expr, window, LINES)) as pages:
        async for page in pages:
            entries += [LogEntry(ns, labels, line, metadata) for ns, line, labels, metadata in page.rows]
    return entries


async def _of_trace(
    source: PagedLines, every: str, trace_id: str | None, window: TimeRange, commands: Commands
) -> list[Found]:
    if trace_id is None:
        return []
    # Lines may have ids of 64 bits without the zeros that ids of traces are filled up with.
    expr = f"{every} |= {quoted(trace_id.lstrip('0'))}"
    lines = await _read(source, expr, window)
    if not lines:
        return []
    text, _ = await asyncio.to_thread(most_frequent, lines)
    summary = f"{counted(len(lines), 'line', LINES)} of trace {trace_id}, such as: {text}"
    return [_found(lines, summary, expr, commands)]


async def _told(
    source: PagedLines, matchers: list[str], lines: list[LogEntry], window: TimeRange, commands: Commands
) -> list[Found]:
    every = selector("", matchers)
    if sum("level" in line.labels for line in lines) * 2 > len(lines):
        bad = sorted({v for line in lines if re.fullmatch(_LEVELS, v := line.labels.get("level", ""))})
        known = bad if bad and len(lines) < LINES else [_LEVELS]
        failing = selector("", [*matchers, _matched("level", known)])
    else:
        failing = f"{every} |~ {quoted(ERRORS)}"
    errors = await _read(source, failing, window)
    found: list[Found] = []
    if errors:
        text, often = await asyncio.to_thread(most_frequent, errors)
        summary = f"{counted(len(errors), 'error line', LINES)}, {often} like: {text}"
        found.append(_found(errors, summary, failing, commands))
    found.append(_found(lines, f"{counted(len(lines), 'line', LINES)} in all", every, commands))
    return found


def _found(lines: list[LogEntry], summary: str, expr: str, commands: Commands) -> Found:
    limit = _ALL if len(lines) >= LINES else max(100, len(lines))
    first = min(e.ns for e in lines) / 1e9
    return Found(len(lines), first, summary, commands.timed("logs", "query", expr, "--limit", str(limit)))


def most_frequent(entries: list[LogEntry]) -> tuple[str, int]:
    """The newest line of the template that most lines have, in short, and how many have it."""
    templates = Templates()
    counts: Counter[int] = Counter()
    newest: dict[int, LogEntry] = {}
    for entry in entries:
        index, _ = templates.add(entry.line, error=True)
        counts[index] += 1
        if index not in newest or entry.ns > newest[index].ns:
            newest[index] = entry
    index, often = counts.most_common(1)[0]
    return gist(newest[index].line), often


def gist(line: str) -> str:
    """What a line says, without the frame that structured lines have around it."""
    text = line.strip()
    if text.startswith("{"):
        try:
            fields = json.loads(text)
        except ValueError:
            fields = None
        if isinstance(fields, dict):
            said = [
                next((str(fields[k]) for k in keys if fields.get(k)), "")
                for keys in (("msg", "message", "event", "body"), ("error", "err", "exception", "cause"))
            ]
            text = ": ".join(s for s in said if s) or text
    text = " ".join(text.split())
    return text if len(text) <= _GIST else text[: _GIST - 1] + "…"
