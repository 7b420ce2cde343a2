"""The traces through a place: how many, how many failed, the slowest; and the one that a row names."""

from __future__ import annotations

import asyncio

from aiops_cli.analysis.subjects import Place
from aiops_cli.analysis.trace_ids import trace_id_in
from aiops_cli.errors import AiopsError
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.fleet import Member
from aiops_cli.services.related_commands import Commands, matcher, one_of, option, selector
from aiops_cli.services.related_found import Found, counted
from aiops_cli.sources.base import TraceQuery, TracesSource, TraceSummary

TRACES = 100
"""Traces searched for of each kind; more are told as so many and more."""
_NAMES = 3


async def traces_of(source: TracesSource, place: Place, window: TimeRange, commands: Commands) -> list[Found]:
    """The slowest trace, the slowest failed one, the failed ones, all; nothing where no span of the place
    was kept."""
    if place.about not in ("workload", "pod"):
        return []
    for name in place.names[:_NAMES]:
        newest, slowest, failed = await asyncio.gather(
            source.search(TraceQuery(service=name, limit=TRACES), window),
            source.search(TraceQuery(service=name, limit=1, slowest=True), window),
            source.search(TraceQuery(service=name, errors=True, limit=TRACES, slowest=True), window),
        )
        every = {t.trace_id: t for t in (*newest.rows, *slowest.rows, *failed.rows)}
        if every:
            return _told(name, list(every.values()), len(newest.rows), failed.rows, commands)
    return []


async def trace_named(
    source: TracesSource, trace_id: str, commands: Commands, called: str = "its trace"
) -> list[Found]:
    """The trace with this id; nothing where this store has no span of it."""
    spans = (await source.trace(trace_id)).rows
    if not spans:
        return []
    first = min(spans, key=lambda s: s.start_ns)
    took = (max(s.start_ns + s.duration_ns for s in spans) - first.start_ns) / 1e6
    failed = sum(s.status == "error" for s in spans)
    services = len({s.service for s in spans})
    root = next((s for s in spans if s.parent_id is None), first)
    summary = (
        f"{called} {trace_id}: {root.service} {root.name}, {_ms(took)}, "
        f"{counted(len(spans), 'span')} of {counted(services, 'service')}, {failed} failed"
    )
    return [Found(len(spans), first.start_ns / 1e9, summary, _show(trace_id, commands))]


async def trace_of_exemplar(
    member: Member, source: TracesSource, place: Place, window: TimeRange, commands: Commands
) -> list[Found]:
    """The newest trace that an exemplar of the place's series names and this store has."""
    if place.pod_pattern is None:
        return []
    space = [matcher("namespace", place.namespace)] if place.namespace else []
    expr = selector("", [*space, one_of("pod", [place.pod_pattern])])
    try:
        answer = await (await member.metrics()).exemplars(expr, window)
    except AiopsError:  # an extra that many servers do not have; what else there is of metrics is told
        return []
    named = [
        (e.timestamp, trace_id, s.series_labels.get("__name__", "a series"))
        for s in answer.rows
        for e in s.exemplars
        if (trace_id := trace_id_in("", e.labels)) is not None
    ]
    for _, trace_id, name in sorted(named, reverse=True)[:_NAMES]:
        if found := await trace_named(source, trace_id, commands, f"exemplar of {name}: trace"):
            return found
    return []


def _told(
    service: str, every: list[TraceSummary], newest: int, failed: list[TraceSummary], commands: Commands
) -> list[Found]:
    search = ("traces", "search", option("--service", service))
    slowest = max(every, key=lambda t: t.duration_ms)
    worst = max(failed, key=lambda t: t.duration_ms, default=None)
    found: list[Found] = []
    if worst is None or slowest.trace_id != worst.trace_id:
        found.append(_one("slowest trace", slowest, commands))
    if worst is not None:
        found.append(_one("slowest failed trace", worst, commands))
        first = min(t.start_ns for t in failed) / 1e9
        summary = f"{counted(len(failed), 'failed trace', TRACES)} through {service}"
        command = commands.timed(*search, "--error", "--slowest", "--limit", str(TRACES))
        found.append(Found(len(failed), first, summary, command))
    first = min(t.start_ns for t in every) / 1e9
    count = max(newest, len(failed))
    summary = f"{counted(count, 'trace', TRACES)} through {service} in all"
    found.append(Found(count, first, summary, commands.timed(*search, "--limit", str(TRACES))))
    return found


def _one(what: str, trace: TraceSummary, commands: Commands) -> Found:
    spans = f", {counted(trace.span_count, 'span')}" if trace.span_count else ""
    broken = f", {trace.error_count} failed" if trace.error_count else ""
    root = " ".join(filter(None, (trace.root_service, trace.root_name)))
    summary = f"{what} {trace.trace_id}: {_ms(trace.duration_ms)} {root}{spans}{broken}"
    return Found(1, trace.start_ns / 1e9, summary, _show(trace.trace_id, commands))


def _show(trace_id: str, commands: Commands) -> str:
    return commands.plain("traces", "show", trace_id)


def _ms(ms: float) -> str:
    return f"{ms / 1000:.3g} s" if ms >= 1000 else f"{ms:.3g} ms"
