"""Recording a bundle: the golden signals, raw series, logs, traces, alerts and Kubernetes objects of a
window, written aside and renamed, so that a bundle is whole or not there."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import zipfile
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from aiops_cli import __version__
from aiops_cli.analysis.sriov import RATES
from aiops_cli.errors import AiopsError, ErrorCode, UsageError
from aiops_cli.models.cnf_objects import CnfObjects
from aiops_cli.models.result import Answer, FleetResult
from aiops_cli.models.signals import Change, LogEntry, Series
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.bundle import (
    FORMAT,
    ClusterParts,
    Failure,
    Manifest,
    Part,
    RecordedCluster,
    RecordedKube,
    RecordedLine,
    RecordedLogs,
    RecordedQuery,
    RecordedSeries,
    RecordedSpan,
    part_name,
)
from aiops_cli.services.evidence import SUSPICIOUS, owner_label, sampled_spans, slices
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.fleet import Member
from aiops_cli.services.queries import CATALOGUE
from aiops_cli.services.record_redact import redact
from aiops_cli.services.scrub import scrub, scrub_attributes, scrub_labels
from aiops_cli.services.times import datable, unix
from aiops_cli.sources.sriov import expressions

RAW = (
    '{__name__=~"up|ALERTS|ALERTS_FOR_STATE|http_.*|grpc_.*|.*pool.*|.*queue.*|.*volume.*|process_(cpu|resident|open|max).*|'
    "node_(load1|cpu_seconds_total|memory_MemTotal_bytes|memory_MemAvailable_bytes|filesystem_(avail|size)_bytes)|"
    'kube_pod_container_status_restarts_total|DCGM_FI_DEV_.*|openshift_ptp_.*"}'
)
_SLICES = 8
_SUSPECT_LINES, _OTHER_LINES = 4000, 2000
_TRACES = 40
_STATES = ("node", "quota", "autoscaler", "restart")


@dataclass(slots=True)
class Recording:
    """What to record. `redact` names labels and attributes whose values are left out."""

    window: TimeRange
    step: float
    queries: list[str] = field(default_factory=list)
    selectors: list[str] = field(default_factory=list)
    redact: list[str] = field(default_factory=list)
    scenario: dict[str, Any] | None = None


async def record(
    members: Sequence[Member], recording: Recording, out: Path, *, watch: Watcher | None = None
) -> tuple[Manifest, FleetResult[Any]]:
    """Read everything and write the bundle. Clusters and sources that fail are named in the manifest.

    Raises UsageError if `out` can't be written, and the first cluster's error if none could be read.
    """
    if out.exists():
        raise UsageError(
            f"{out} exists already", hint="choose another name, or remove it", code=ErrorCode.FILE_INVALID
        )
    failures: list[Failure] = []

    async def ask(member: Member) -> Answer[ClusterParts]:
        parts, failed = await _cluster(member, recording)
        failures.extend(failed)
        told = [f"{f.source}: {f.message}" for f in failed if not _absent(f.code)]
        return Answer([parts], warnings=told, partial=bool(told))

    result = await fan_out(members, ask, watch=watch)
    got = dict(result.rows)
    failures += [
        Failure(c.name, "all", c.error.code, scrub(c.error.message))
        for c in result.clusters
        if c.error is not None
    ]
    clusters = [_described(m, got[m.name]) for m in members if m.name in got]
    window = recording.window
    manifest = Manifest(
        FORMAT,
        f"aiops {__version__}",
        window.start,
        window.end,
        recording.step,
        clusters,
        {},
        failures,
        recording.redact,
        recording.scenario,
    )
    if got:
        write(manifest, got, out)
    return manifest, result.with_rows(clusters)


def write(manifest: Manifest, parts: dict[str, ClusterParts], out: Path) -> None:
    """Write the file aside and rename it into place. Raises UsageError (FILE_INVALID)."""
    aside = out.with_name(f".{out.name}.{secrets.token_hex(4)}.tmp")
    try:
        with zipfile.ZipFile(aside, "x", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for cluster in manifest.clusters:
                name = part_name(manifest, cluster.name)
                data = msgspec.msgpack.encode(parts[cluster.name])
                manifest.parts[name] = Part(hashlib.sha256(data).hexdigest(), len(data))
                archive.writestr(name, data)
            archive.writestr("manifest.json", msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        aside.rename(out)
    except OSError as error:
        raise UsageError(
            f"{out} can't be written: {error.strerror or error}",
            hint="check the folder, its permissions and the disk",
            code=ErrorCode.FILE_INVALID,
        ) from None
    finally:
        aside.unlink(missing_ok=True)


def _described(member: Member, parts: ClusterParts) -> RecordedCluster:
    counts = {
        "prometheus": f"{len(parts.queries)} queries, {sum(len(q.series) for q in parts.queries)} series",
        "logs": f"{sum(len(p.lines) for p in parts.logs)} lines",
        "traces": f"{len({s.trace_id for s in parts.spans})} traces, {len(parts.spans)} spans",
        "alerts": f"{len(parts.alerts)} alerts",
        "kubernetes": f"{len(parts.kube.events)} events, {len(parts.kube.changes)} changes, {len(parts.kube.workloads)} pods"
        if parts.kube
        else "none",
    }
    server = scrub(member.cluster.server) if member.cluster.server else None
    return RecordedCluster(member.name, server, scrub_labels(member.cluster.labels), counts)


async def _cluster(member: Member, recording: Recording) -> tuple[ClusterParts, list[Failure]]:
    """All that a cluster's sources answer, and what they did not. Raises ClusterError if none answered."""
    parts = ClusterParts()
    failed: list[Failure] = []
    errors: list[AiopsError] = []

    async def guard(source: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except AiopsError as error:
            errors.append(error)
            failed.append(_failure(member, source, error))

    sources = {
        "prometheus": _metrics(member, recording, parts, failed),
        "loki": _logs(member, recording, parts),
        "traces": _traces(member, recording, parts),
        "alerts": _alerts(member, parts),
        "kubernetes": _kube(member, recording, parts),
    }
    await asyncio.gather(*(guard(source, work) for source, work in sources.items()))
    if len(errors) == len(sources):
        raise next((e for e in errors if not _absent(e.code)), errors[0])
    redact(parts, recording.redact)
    return parts, failed


def _absent(code: str) -> bool:
    """Whether the cluster merely has no such source."""
    return code.endswith(("NOT_AVAILABLE", "NOT_RECORDED"))


def _failure(member: Member, source: str, error: AiopsError, about: str = "") -> Failure:
    return Failure(member.name, source, str(error.code), scrub(error.message) + about)


async def _metrics(member: Member, recording: Recording, parts: ClusterParts, failed: list[Failure]) -> None:
    """Every query that is answered; the others are failures. Raises the first error if none is."""
    source = await member.metrics()
    window = recording.window.aligned(recording.step)
    exprs = [*dict.fromkeys([*(q.expr for q in CATALOGUE.values()), *recording.queries, RAW])]

    async def one(expr: str) -> RecordedQuery | AiopsError:
        try:
            answer = await source.query_range(expr, window, recording.step)
        except AiopsError as error:
            return error
        return RecordedQuery(expr, recording.step, [_series(s) for s in answer.rows])

    answers = await asyncio.gather(*(one(e) for e in exprs))
    if any(isinstance(a, RecordedQuery) and a.expr == RAW and _has_gpus(a) for a in answers):
        from aiops_cli.services.gpu_inference import RECORDED

        more = [e for e in RECORDED if e not in exprs]
        answers += await asyncio.gather(*(one(e) for e in more))
        exprs += more
    vfs = expressions(RATES)
    there = await one(vfs[0])
    if isinstance(there, RecordedQuery) and there.series:
        answers += [there, *await asyncio.gather(*(one(e) for e in vfs[1:]))]
        exprs += vfs
    parts.queries = [a for a in answers if isinstance(a, RecordedQuery)]
    errors = [(e, a) for e, a in zip(exprs, answers, strict=True) if isinstance(a, AiopsError)]
    if not parts.queries:
        raise errors[0][1]
    failed += [_failure(member, "prometheus", error, f" (query {expr})") for expr, error in errors]


def _has_gpus(raw: RecordedQuery) -> bool:
    return any(s.labels.get("__name__", "").startswith("DCGM_") for s in raw.series)


def _series(series: Series) -> RecordedSeries:
    return RecordedSeries(
        scrub_labels(series.labels),
        series.timestamps.astype("<f8").tobytes(),
        series.values.astype("<f8").tobytes(),
    )


async def _logs(member: Member, recording: Recording, parts: ClusterParts) -> None:
    source = await member.logs()
    window = recording.window
    owner = await owner_label(source, window)
    if owner is None:
        return
    everything = f'{{{owner}=~".+"}}'
    asks = [(f'{everything} |~ "{SUSPICIOUS}"', _SUSPECT_LINES), (everything, _OTHER_LINES)]
    asks += [(s, _SUSPECT_LINES) for s in recording.selectors]
    for expr, limit in asks:
        answers = await asyncio.gather(
            *(source.query_range(expr, s, limit // _SLICES, "backward") for s in slices(window, _SLICES))
        )
        entries = sorted((e for a in answers for e in a.rows if _storable(e.ns)), key=lambda e: e.ns)
        full = any(len(a.rows) >= limit // _SLICES for a in answers)
        parts.logs.append(_recorded_logs(expr, entries, full))


def _storable(ns: int) -> bool:
    """Whether msgpack has room for it. Servers' lies may be longer."""
    return -(2**63) <= ns < 2**63


def _recorded_logs(expr: str, entries: list[LogEntry], truncated: bool) -> RecordedLogs:
    index: dict[tuple[tuple[str, str], ...], int] = {}
    lines = []
    for entry in entries:
        stream = index.setdefault(tuple(sorted(entry.labels.items())), len(index))
        lines.append(RecordedLine(entry.ns, stream, scrub(entry.line), scrub_labels(entry.metadata)))
    return RecordedLogs(expr, [scrub_labels(dict(k)) for k in index], lines, truncated)


async def _traces(member: Member, recording: Recording, parts: ClusterParts) -> None:
    source = await member.traces()
    spans = await sampled_spans(source, slices(recording.window, _SLICES), _TRACES)
    parts.spans = [
        RecordedSpan(
            s.trace_id,
            s.span_id,
            s.parent_id,
            s.service,
            scrub(s.name),
            s.kind,
            s.start_ns,
            s.duration_ns,
            s.status,
            scrub_attributes(s.attributes),
            scrub_attributes(s.resource),
            [scrub_attributes(e) for e in s.events],
            [scrub_attributes(link) for link in s.links],
            s.follows,
        )
        for s in spans
        if _storable(s.start_ns) and _storable(s.duration_ns) and s.duration_ns >= 0
    ]


async def _alerts(member: Member, parts: ClusterParts) -> None:
    answer = await (await member.alerts()).alerts()
    parts.alerts = [
        msgspec.structs.replace(
            a,
            cluster=member.name,
            labels=scrub_labels(a.labels),
            annotations=scrub_labels(a.annotations),
            starts_at=a.starts_at if unix(a.starts_at) is not None else None,
            generator_url=scrub(a.generator_url) if a.generator_url else None,
        )
        for a in answer.rows
    ]


async def _kube(member: Member, recording: Recording, parts: ClusterParts) -> None:
    source = await member.kube()
    window = recording.window
    version = await source.version()
    events, changes, workloads, states, cnf = await asyncio.gather(
        source.events(window),
        source.changes(window),
        source.workloads(),
        source.timeline(window, _STATES),
        _telecom(member, recording),
    )
    parts.kube = RecordedKube(
        version,
        [msgspec.structs.replace(e, message=scrub(e.message)) for e in events.rows if datable(e.at)],
        [_scrubbed(c) for c in changes.rows if datable(c.at)],
        [msgspec.structs.replace(w, labels=scrub_labels(w.labels)) for w in workloads.rows],
        [_scrubbed(c) for c in states.rows if isinstance(c, Change) and datable(c.at)],
        cnf,
    )


async def _telecom(member: Member, recording: Recording) -> CnfObjects | None:
    """Objects of telecom APIs. With --redact they stay out: names of pods and nodes stand all over them."""
    if recording.redact:
        return None
    from aiops_cli.services.cnf_record import recorded_objects

    return await recorded_objects(member)


def _scrubbed(change: Change) -> Change:
    differences = [
        msgspec.structs.replace(d, before=d.before and scrub(d.before), after=d.after and scrub(d.after))
        for d in change.differences
    ]
    return msgspec.structs.replace(
        change, what=scrub(change.what), detail=scrub(change.detail), differences=differences
    )
