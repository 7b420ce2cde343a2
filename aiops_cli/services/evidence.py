"""What analysis asks of one cluster, live or recorded: golden signals, spans, suspicious log lines,
alerts, events, changes, and what is wrong with GPUs, clocks and VFs. A source that fails leaves a gap that is told; the others are still read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiops_cli.config.settings import Settings
from aiops_cli.errors import AiopsError, NotAvailableError
from aiops_cli.models.analysis import Entity
from aiops_cli.models.result import Answer, ErrorInfo
from aiops_cli.models.signals import AlertItem, Change, KubeEvent, LogEntry, Series, Span, Workload
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.device_evidence import Asking, Devices, devices, kinds
from aiops_cli.services.fleet import Member
from aiops_cli.services.metrics import CachePolicy, range_answer
from aiops_cli.services.queries import CATALOGUE, NamedQuery
from aiops_cli.sources.base import LogsSource, TraceQuery, TracesSource

T = TypeVar("T")

# Stream labels that name who wrote a line, best first.
_OWNERS = (
    "service_name",
    "app",
    "job",
    "kubernetes_container_name",
    "container",
    "k8s_container_name",
    "pod",
)
SUSPICIOUS = (
    r"(?i)(error|exception|fatal|panic|critical|warn|fail|timeout|timed out|refused|exhaust|denied|"
    r"unavailable|no space|out of memory|oom|killed|too many|deadlock|corrupt|retry|slow)"
)
_LINES = 3000
_TRACES = 60
_SLICES = 4


@dataclass(frozen=True, slots=True)
class AskedQuery:
    """A query as it was asked, so that a reader can repeat it."""

    cluster: str
    source: str
    query: str
    window: TimeRange


@dataclass(slots=True)
class Evidence:
    """Everything read from one cluster. `gaps` are (source, why)."""

    cluster: str
    series: list[tuple[str, NamedQuery, Series]] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    logs: list[tuple[Entity, LogEntry]] = field(default_factory=list)
    alerts: list[AlertItem] = field(default_factory=list)
    events: list[KubeEvent] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    workloads: list[Workload] = field(default_factory=list)
    devices: Devices = field(default_factory=Devices)
    gaps: list[tuple[str, ErrorInfo]] = field(default_factory=list)
    asked: list[AskedQuery] = field(default_factory=list)
    answered: int = 0
    missing: bool = False
    """A source that the cluster has did not answer, as against one that it does not have."""


async def collect(
    member: Member,
    window: TimeRange,
    step: float,
    now: float,
    policy: CachePolicy | None = None,
    settings: Settings | None = None,
) -> Evidence:
    """Read all signals of one cluster side by side. Raises only if nothing at all could be read."""
    found = Evidence(member.name)
    errors: list[AiopsError] = []
    there, *_ = await asyncio.gather(
        kinds(member, window),
        _guard(
            found, errors, "prometheus", _metrics(member, found, window, step, now, policy or CachePolicy())
        ),
        _guard(found, errors, "traces", _traces(member, found, window)),
        _guard(found, errors, "logs", _logs(member, found, window)),
        _guard(found, errors, "alerts", _alerts(member, found)),
        _guard(found, errors, "kubernetes", _kube(member, found, window)),
    )
    if errors and not found.answered:
        raise next((e for e in errors if not e.code.endswith("NOT_AVAILABLE")), errors[0])
    if there:
        asking = Asking(
            member, window.aligned(step), step, now, policy or CachePolicy(), settings or Settings()
        )
        found.devices = await devices(asking, there, found.workloads)
        found.gaps += found.devices.gaps
        found.missing = found.missing or bool(found.devices.gaps)
        found.asked += [AskedQuery(member.name, "prometheus", e, asking.window) for e in found.devices.asked]
    return found


async def _guard(found: Evidence, errors: list[AiopsError], source: str, reading: Awaitable[None]) -> None:
    try:
        await reading
        found.answered += 1
    except AiopsError as error:
        errors.append(error)
        found.gaps.append((source, ErrorInfo.of(error)))
        found.missing = found.missing or not isinstance(error, NotAvailableError)


async def _metrics(
    member: Member, found: Evidence, window: TimeRange, step: float, now: float, policy: CachePolicy
) -> None:
    aligned = window.aligned(step)
    failures: list[AiopsError] = []

    async def one(name: str, query: NamedQuery) -> None:
        found.asked.append(AskedQuery(member.name, "prometheus", query.expr, aligned))
        try:
            answer = await range_answer(member, query.expr, aligned, step, now, policy)
        except AiopsError as error:
            failures.append(error)
            return
        found.series += [(name, query, s) for s in answer.rows]

    await member.metrics()
    await asyncio.gather(*(one(n, q) for n, q in CATALOGUE.items()))
    order = list(CATALOGUE)
    found.series.sort(key=lambda r: (order.index(r[0]), sorted(r[2].labels.items())))
    if failures and len(failures) == len(CATALOGUE):
        raise failures[0]
    if failures:
        found.gaps += [
            ("prometheus", ErrorInfo.of(e)) for e in failures if not isinstance(e, NotAvailableError)
        ][:3]
        found.missing = found.missing or any(not isinstance(e, NotAvailableError) for e in failures)


async def _traces(member: Member, found: Evidence, window: TimeRange) -> None:
    """Spans from slices of the window, so that a healthy stretch to compare with is among them, and
    failed traces apart, since a sample of all would hardly hold any."""
    source = await member.traces()
    found.asked.append(AskedQuery(member.name, "traces", "all traces, and failed ones, sampled", window))
    found.spans = await sampled_spans(source, slices(window, _SLICES), _TRACES)


async def sampled_spans(source: TracesSource, parts: list[TimeRange], limit: int) -> list[Span]:
    """Each span once, by start: of `limit` traces of each part, and of half as many failed ones."""
    asks = [source.spans(TraceQuery(limit=limit), part) for part in parts]
    asks += [source.spans(TraceQuery(limit=limit // 2, errors=True), part) for part in parts]
    seen: dict[tuple[str, str], Span] = {}
    for answer in await asyncio.gather(*asks):
        for span in answer.rows:
            seen.setdefault((span.trace_id, span.span_id), span)
    return sorted(seen.values(), key=lambda s: (s.start_ns, s.trace_id, s.span_id))


async def _logs(member: Member, found: Evidence, window: TimeRange) -> None:
    source = await member.logs()
    owner = await owner_label(source, window)
    if owner is None:
        return
    expr = f'{{{owner}=~".+"}} |~ "{SUSPICIOUS}"'
    found.asked.append(AskedQuery(member.name, "loki", expr, window))
    parts = await asyncio.gather(
        *(source.query_range(expr, s, _LINES // _SLICES, "backward") for s in slices(window, _SLICES))
    )
    lines = {(e.ns, str(sorted(e.labels.items())), e.line): e for p in parts for e in p.rows}
    for key in sorted(lines):
        entry = lines[key]
        namespace = entry.labels.get("namespace") or entry.labels.get("kubernetes_namespace_name")
        kind = "pod" if owner == "pod" else "service"
        found.logs.append((Entity(kind, entry.labels.get(owner, ""), namespace, member.name), entry))


async def owner_label(source: LogsSource, window: TimeRange) -> str | None:
    """The stream label that names who wrote a line; None where there are no streams."""
    names = set((await source.labels(window)).rows)
    others = sorted(n for n in names if not n.startswith("__"))
    return next((n for n in _OWNERS if n in names), None) or next(iter(others), None)


async def _alerts(member: Member, found: Evidence) -> None:
    import msgspec

    answer = await (await member.alerts()).alerts()
    found.alerts = [msgspec.structs.replace(a, cluster=member.name) for a in answer.rows]


async def _kube(member: Member, found: Evidence, window: TimeRange) -> None:
    source = await member.kube()
    readers: tuple[tuple[str, Callable[[], Awaitable[Answer[Any]]]], ...] = (
        ("events", lambda: source.events(window)),
        ("changes", lambda: source.changes(window)),
        ("workloads", source.workloads),
    )
    failures: list[AiopsError] = []

    async def one(name: str, read: Callable[[], Awaitable[Answer[Any]]]) -> None:
        try:
            setattr(found, name, list((await read()).rows))
        except AiopsError as error:
            failures.append(error)

    await asyncio.gather(*(one(n, r) for n, r in readers))
    if failures and len(failures) == len(readers):
        raise failures[0]
    if failures:
        found.gaps += [("kubernetes", ErrorInfo.of(e)) for e in failures]
        found.missing = True


def slices(window: TimeRange, parts: int) -> list[TimeRange]:
    """The window in parts of one length."""
    size = window.seconds / parts
    return [TimeRange(window.start + i * size, window.start + (i + 1) * size) for i in range(parts)]
