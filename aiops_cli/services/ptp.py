"""PTP clocks of the fleet: from each cluster's Prometheus, else from the exporters that config names,
with what the PTP operator's objects say of profiles and thresholds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from aiops_cli.analysis.finding_order import worst_first
from aiops_cli.analysis.ptp import Board, Clock, Rules
from aiops_cli.analysis.ptp_codes import PREFIX, aliases
from aiops_cli.analysis.ptp_findings import CLOCK_CODES, findings
from aiops_cli.analysis.ptp_readings import Readings, read
from aiops_cli.analysis.ptp_verdict import span
from aiops_cli.config.settings import PtpSettings
from aiops_cli.errors import AiopsError, ErrorCode, NotAvailableError, UsageError
from aiops_cli.models.findings import Finding
from aiops_cli.models.metric_row import MetricRow
from aiops_cli.models.ptp import BUDGETS, PtpClock, PtpSetup
from aiops_cli.models.result import Answer, FleetResult, Origin
from aiops_cli.models.samples import Sample
from aiops_cli.models.signals import Series
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.bundle import not_recorded
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.fleet import LiveMember, Member
from aiops_cli.services.metrics import CachePolicy, range_answer
from aiops_cli.services.ptp_between import FINE, between, edges
from aiops_cli.services.ptp_selectors import NOW, OVER_TIME, selector
from aiops_cli.services.replay_metrics import RecordedMetrics

_EARLIER = 86_400.0  # s before the window in which the beginning of what it begins with is looked for
_EARLIER_STEP = 120.0
_FINEST = 86_400.0  # s: of longer windows not every sample is counted
_SETTLED = 300.0  # the newest minutes are asked each time: a loss must not be told late by a cache
_NOW = 60.0  # s before now, from which on a window's end is the past
_SETUP_SECONDS = 5.0
_COARSE = 60.0  # s between recorded samples, from which on what happened between them matters


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which clocks: globs of nodes and interfaces, a process; all where None."""

    node: str | None = None
    process: str | None = None
    interface: str | None = None

    def has(self, clock: PtpClock) -> bool:
        """Whether it is asked for; a NIC's alias is found by its ports too."""
        names = (clock.interface, clock.port or "")
        return (
            (self.node is None or fnmatchcase(clock.node, self.node))
            and (self.process is None or clock.process == self.process)
            and (self.interface is None or any(fnmatchcase(n, self.interface) for n in names))
        )


@dataclass(slots=True)
class Clocks:
    """Rows with every cluster's status, what findings are made of, and findings."""

    result: FleetResult[PtpClock]
    clocks: list[Clock]
    findings: list[Finding]


def rules_of(settings: PtpSettings, profile: str | None) -> Rules:
    """The rules of config, with the profile of the command line. Raises UsageError for an unknown one."""
    name = settings.profile if profile is None else profile.lower()
    if name not in BUDGETS:
        raise UsageError(f"no profile is called {profile!r}", hint=f"one of: {', '.join(BUDGETS)}")
    return Rules(
        name, settings.max_offset_ns, settings.holdover_timeout, settings.stuck_after, settings.flaps
    )


async def list_clocks(
    members: Sequence[Member],
    window: TimeRange,
    step: float,
    now: float,
    rules: Rules,
    *,
    wanted: Wanted | None = None,
    policy: CachePolicy | None = None,
    watch: Watcher | None = None,
) -> Clocks:
    """Every clock of every cluster at the end of the window, and what it did in it, at `step` seconds.

    A cluster without PTP has no rows and says so in a warning.
    """
    choice = wanted or Wanted()

    async def ask(member: Member) -> Answer[tuple[list[Clock], list[Finding]]]:
        return await _cluster(member, window, step, now, rules, policy or CachePolicy(), choice)

    found = await fan_out(members, ask, watch=watch)
    clocks = [clock for _, (some, _) in found.rows for clock in some]
    listed = worst_first(finding for _, (_, some) in found.rows for finding in some)
    return Clocks(found.with_rows([c.row for c in clocks]), clocks, listed)


async def _cluster(
    member: Member,
    window: TimeRange,
    step: float,
    now: float,
    rules: Rules,
    policy: CachePolicy,
    wanted: Wanted,
) -> Answer[tuple[list[Clock], list[Finding]]]:
    setup, seen = await asyncio.gather(_setup(member), _seen(member, window, step, now, policy))
    warnings = [*seen.warnings, *setup.warnings]
    known = setup.rows[0] if setup.rows else PtpSetup()
    if not seen.samples and not seen.series and not known.nodes:
        warnings.append(f"{ErrorCode.NO_PTP_CLOCKS}: {seen.nothing}")
        return Answer([], seen.origin, warnings=warnings, partial=seen.partial)
    readings = read(seen.samples, seen.series, window.end, seen.losses)
    board = Board(member.name, readings, window, known, rules, seen.source)
    if isinstance(member, LiveMember) and step > FINE and seen.source == "prometheus":
        found = await between(member, board, seen.samples, seen.series, step, now, policy)
        warnings += found.warnings
        board.unread = found.unread
        if found.series:
            extremes = readings.extremes
            readings = read(seen.samples, [*seen.series, *found.series], window.end)
            board.readings, readings.extremes = readings, extremes
    elif seen.step > _COARSE:
        note = f"recorded at steps of {span(seen.step)}: what was between them is not known"
        warnings.append(note)
        board.unread = {"": note}
    await _look_back(member, seen.samples, readings, window, step, now, policy)
    every = board.clocks()
    clocks = [c for c in every if wanted.has(c.row)]
    told = findings(board, every)
    if wanted != Wanted():
        told = [f for f in told if _is_about(f, clocks, wanted)]
    return Answer([(clocks, told)], seen.origin, 0, warnings, seen.partial)


def _is_about(finding: Finding, clocks: list[Clock], wanted: Wanted) -> bool:
    """Whether a finding is about one of these clocks, about their processes or ports, or, where nothing but
    the node was named, about anything of it."""
    node, _, rest = finding.entity.name.partition("/")
    if finding.code in CLOCK_CODES:
        return any(rest == f"{c.row.process}/{c.row.interface}" and node == c.row.node for c in clocks)
    if wanted.process is None and wanted.interface is None:
        return wanted.node is None or fnmatchcase(node, wanted.node)
    here = [c.row for c in clocks if c.row.node == node]
    if finding.entity.kind in ("port", "gnss"):
        named = wanted.interface is not None and fnmatchcase(rest, wanted.interface)
        return bool(here) and (named or any(c.interface in aliases(rest) for c in here))
    return any(c.process == rest.partition("/")[0] for c in here)


async def _look_back(
    member: Member,
    samples: list[Sample],
    readings: Readings,
    window: TimeRange,
    step: float,
    now: float,
    policy: CachePolicy,
) -> None:
    """What is wrong at the window's first sample began then or earlier: ask what was before, and for the
    scrapes where it began. Where that can't be had, its beginning stays unknown."""
    metrics = sorted(readings.wrong_from_the_start())
    if not metrics:
        return
    if "clock_state" in metrics:
        metrics.append("phase_status")
    coarse = max(step, _EARLIER_STEP)
    # Past the window's start by a step: a series may begin a little later than asked.
    earlier = TimeRange(window.start - _EARLIER, min(window.start + coarse, window.end)).aligned(coarse)
    try:
        answer = await range_answer(member, selector(metrics), earlier, coarse, now, policy)
    except AiopsError:
        return
    readings.look_back(answer.rows, 2.5 * coarse)
    if isinstance(member, LiveMember):
        readings.sharpen(await edges(member, samples, readings, coarse))


@dataclass(slots=True)
class _Seen:
    """What a cluster's metrics say; `losses` is how often clocks lost their lock, `nothing` says where nothing
    was found, `step` at which steps (s) a bundle has them."""

    samples: list[Sample]
    series: list[Series]
    source: str = "prometheus"
    origin: Origin = "live"
    warnings: list[str] = field(default_factory=list)
    partial: bool = False
    nothing: str = "no openshift_ptp metrics in its Prometheus"
    losses: list[Sample] = field(default_factory=list)
    step: float = 0


async def _seen(member: Member, window: TimeRange, step: float, now: float, policy: CachePolicy) -> _Seen:
    """Prometheus, else the exporters, whose pages are of now: a window that ended before is not asked of them.
    Raises why Prometheus can't be asked where there are none."""
    exporters = member.exporters("ptp") if isinstance(member, LiveMember) else []
    failed: AiopsError | None = None
    try:
        seen = await _prometheus(member, window, step, now, policy)
        if seen.samples or seen.series or not exporters:
            return seen
    except AiopsError as error:
        if not exporters:
            raise
        failed = error
    if now - window.end > _NOW:
        if failed is None:
            seen.nothing += " then, and its exporters know only now"
            return seen
        if not isinstance(failed, NotAvailableError):
            raise failed
        raise NotAvailableError(
            "its exporters know only now, and this window ended before",
            hint="leave --to out, or name a Prometheus that scraped them then",
            code=ErrorCode.PROMETHEUS_NOT_AVAILABLE,
        )
    direct = await _exporters(member)
    if failed is not None and not isinstance(failed, NotAvailableError):
        direct.warnings.append(f"what was before now is missing: {failed.message}")
        direct.partial = True
    return direct


async def _prometheus(
    member: Member, window: TimeRange, step: float, now: float, policy: CachePolicy
) -> _Seen:
    source = await member.metrics()
    recorded = source.coarsest(OVER_TIME) if isinstance(source, RecordedMetrics) else 0
    step = min(step, recorded) if recorded else step
    try:
        newest, parts, losses = await asyncio.gather(
            source.instant(NOW, window.end),
            asyncio.gather(*_parts(member, window, step, now, policy)),
            _losses(member, window, step),
        )
    except NotAvailableError as error:
        if error.code is ErrorCode.NOT_RECORDED:
            raise not_recorded("any PTP metric", []) from None
        raise
    return _Seen(
        _samples(newest),
        [s for part in parts for s in part.rows],
        "bundle" if recorded else "prometheus",
        "bundle" if recorded else "live",
        list(dict.fromkeys([*newest.warnings, *(w for p in parts for w in p.warnings)])),
        newest.partial or any(p.partial for p in parts),
        "no PTP metric was recorded" if recorded else "no openshift_ptp metrics in its Prometheus",
        losses,
        recorded,
    )


def _samples(answer: Answer[MetricRow]) -> list[Sample]:
    return [
        Sample(r.labels.get("__name__", ""), r.labels, float(r.values[-1]))
        for r in answer.rows
        if len(r.values)
    ]


async def _losses(member: Member, window: TimeRange, step: float) -> list[Sample]:
    """How often each clock lost its lock by every sample, where a Prometheus can tell: LOCKED is 1, FREERUN 0
    and HOLDOVER 2, so that the state falls once a loss, into it or out of it. At longer steps all that happened
    between them is read."""
    if not isinstance(member, LiveMember) or step > FINE or not 1 <= window.seconds <= _FINEST:
        return []
    expr = f"resets({PREFIX}clock_state[{int(window.seconds)}s]) > 0"
    try:
        return _samples(await (await member.metrics()).instant(expr, window.end))
    except AiopsError:
        return []


def _parts(
    member: Member, window: TimeRange, step: float, now: float, policy: CachePolicy
) -> list[Awaitable[Answer[Series]]]:
    """The window's series: what is settled may come from the cache, the newest minutes never do."""

    async def fresh(start: float) -> Answer[Series]:
        part = TimeRange(start, window.end).aligned(step)
        return await (await member.metrics()).query_range(OVER_TIME, part, step)

    settled = min(window.end, now - _SETTLED)
    if policy.cache is None or settled - window.start < 2 * _SETTLED:
        return [fresh(window.start)]
    kept = TimeRange(window.start, settled).aligned(step)
    parts: list[Awaitable[Answer[Series]]] = [range_answer(member, OVER_TIME, kept, step, now, policy)]
    return [*parts, fresh(kept.end + step)] if kept.end + step <= window.end else parts


async def _exporters(member: Member) -> _Seen:
    """What the exporters' pages say now. Raises the first error if none can be read."""
    from aiops_cli.sources.exposition import Page, read_page

    clients = member.exporters("ptp") if isinstance(member, LiveMember) else []

    async def page(i: int) -> Page | AiopsError:
        try:
            return await read_page(clients[i], "the PTP exporter")
        except AiopsError as error:
            return error

    pages = await asyncio.gather(*(page(i) for i in range(len(clients))))
    errors = [p for p in pages if isinstance(p, AiopsError)]
    if len(errors) == len(pages):
        raise errors[0]
    return _Seen(
        [
            _placed(s, c.endpoint)
            for p, c in zip(pages, clients, strict=True)
            if isinstance(p, Page)
            for s in p.samples
            if s.name.startswith(PREFIX)
        ],
        [],
        "exporter",
        warnings=[f"{e.message} [{e.endpoint}]" for e in errors],
        partial=bool(errors),
        nothing="no openshift_ptp metrics on its exporters' pages",
    )


def _placed(sample: Sample, endpoint: str) -> Sample:
    """A sample with its page's address, for exporters that don't name their node."""
    if "node" in sample.labels:
        return sample
    return sample._replace(labels={**sample.labels, "instance": urlsplit(endpoint).netloc})


async def _setup(member: Member) -> Answer[PtpSetup]:
    """The operator's objects, if the API server gives them in time: rows without them are still rows."""
    if not isinstance(member, LiveMember) or member.context is None:
        return Answer([])
    from aiops_cli.sources.ptp import read_setup

    try:
        found = await asyncio.wait_for(read_setup(await member.kube()), _SETUP_SECONDS)
    except TimeoutError:
        return Answer([], warnings=["PtpConfigs: the API server did not answer in time"])
    except AiopsError as error:
        return Answer([], warnings=[f"PtpConfigs: {error.message}"])
    return Answer([found] if found is not None else [])
