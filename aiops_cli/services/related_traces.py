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
    """The worst trace, the failed ones, all; nothing where no span of the place was kept."""
    if place.about not in ("workload", "pod"):
        return []
    for name in place.names[:_NAMES]:
        every, failed = await asyncio.gather(
            source.search(TraceQuery(service=name, limit=TRACES), window),
            source.search(TraceQuery(service=name, errors=True, limit=TRACES, slowest=True), window),
        )
        if every.rows or failed.rows:
            return _told(name, every.rows, failed.rows, commands)
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
    service: str, every: list[TraceSummary], failed: list[TraceSummary], commands: Commands
) -> list[Found]:
    search = ("traces", "search", option("--service", service))
    found: list[Found] = []
    worst = max(failed or every, key=lambda t: t.duration_ms)
    what = "slowest failed trace" if failed else "slowest trace"
    spans = f", {counted(worst.span_count, 'span')}" if worst.span_count else ""
    broken = f", {worst.error_count} failed" if worst.error_count else ""
    root = " ".join(filter(None, (worst.root_service, worst.root_name)))
    summary = f"{what} {worst.trace_id}: {_ms(worst.duration_ms)} {root}{spans}{broken}"
    found.append(Found(1, worst.start_ns / 1e9, summary, _show(worst.trace_id, commands)))
    if failed:
        first = min(t.start_ns for t in failed) / 1e9
        summary = f"{counted(len(failed), 'failed trace', TRACES)} through {service}"
        command = commands.timed(*search, "--error", "--slowest", "--limit", str(TRACES))
        found.append(Found(len(failed), first, summary, command))
    if every:
        first = min(t.start_ns for t in every) / 1e9
        summary = f"{counted(len(every), 'trace', TRACES)} through {service} in all"
        command = commands.timed(*search, "--limit", str(TRACES))
        found.append(Found(len(every), first, summary, command))
    return found


def _show(trace_id: str, commands: Commands) -> str:
    return commands.plain("traces", "show", trace_id)


def _ms(ms: float) -> str:
    return f"{ms / 1000:.3g} s" if ms >= 1000 else f"{ms:.3g} ms"
