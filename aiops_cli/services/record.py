"""Recording a bundle: the golden signals, raw series, logs, traces, alerts and Kubernetes objects of a
window, written aside and renamed, so that a bundle is whole or not there."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import secrets
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from aiops_cli import __version__
from aiops_cli.errors import AiopsError, ErrorCode, UsageError
from aiops_cli.models.result import Answer, FleetResult
from aiops_cli.models.signals import LogEntry, Series, Span
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
from aiops_cli.services.evidence import SUSPICIOUS, owner_label
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.fleet import Member
from aiops_cli.services.queries import CATALOGUE
from aiops_cli.sources.base import TraceQuery

RAW = (
    '{__name__=~"up|ALERTS|ALERTS_FOR_STATE|http_.*|grpc_.*|.*pool.*|.*queue.*|.*volume.*|process_(cpu|resident|open|max).*|'
    "node_(load1|cpu_seconds_total|memory_MemTotal_bytes|memory_MemAvailable_bytes|filesystem_(avail|size)_bytes)|"
    'kube_pod_container_status_restarts_total|DCGM_FI_DEV_.*|openshift_ptp_.*"}'
)
_SLICES = 8
_SUSPECT_LINES, _OTHER_LINES = 4000, 2000
_TRACES, _FAILED_TRACES = 40, 20

# Anything that looks like a secret, in lines, annotations and attributes: the value goes, the key stays.
_SECRETS = re.compile(
    r"(?i)(\b(?:password|passwd|secret|token|api[_-]?key|authorization|credential)\b[\"']?\s*[:=]\s*[\"']?(?:bearer\s+|basic\s+)?)[^\s\"',;&}]+"
    r"|\bBearer\s+[A-Za-z0-9._~+/-]{8,}=*|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
)


@dataclass(slots=True)
class Recording:
    """What to record. `redact` names labels and attributes whose values are left out."""

    window: TimeRange
    step: float
    queries: list[str] = field(default_factory=list)
    selectors: list[str] = field(default_factory=list)
    redact: list[str] = field(default_factory=list)
    scenario: dict[str, Any] | None = None


def scrub(text: str) -> str:
    """A text with what looks like a secret replaced."""
    return _SECRETS.sub(lambda m: (m[1] or "") + "[redacted]", text)


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
        told = [
            f"{f.source}: {f.message}"
            for f in failed
            if not f.code.endswith(("NOT_AVAILABLE", "NOT_RECORDED"))
        ]
        return Answer([parts], warnings=told, partial=bool(told))

    result = await fan_out(members, ask, watch=watch)
    got = dict(result.rows)
    failures += [
        Failure(c.name, "all", c.error.code, c.error.message) for c in result.clusters if c.error is not None
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
    return RecordedCluster(member.name, member.cluster.server, dict(member.cluster.labels), counts)


async def _cluster(member: Member, recording: Recording) -> tuple[ClusterParts, list[Failure]]:
    parts = ClusterParts()
    failed: list[Failure] = []

    async def guard(source: str, work: Any) -> None:
        try:
            await work
        except AiopsError as error:
            failed.append(Failure(member.name, source, str(error.code), error.message))

    await asyncio.gather(
        guard("prometheus", _metrics(member, recording, parts, failed)),
        guard("loki", _logs(member, recording, parts)),
        guard("traces", _traces(member, recording, parts)),
        guard("alerts", _alerts(member, parts)),
        guard("kubernetes", _kube(member, recording, parts)),
    )
    if len(failed) >= 5 and not parts.queries:
        from aiops_cli.errors import ClusterError

        raise ClusterError(
            failed[0].message, hint="aiops clusters health shows what answers", code=ErrorCode(failed[0].code)
        )
    _redact(parts, recording.redact)
    return parts, failed


async def _metrics(member: Member, recording: Recording, parts: ClusterParts, failed: list[Failure]) -> None:
    source = await member.metrics()
    window = recording.window.aligned(recording.step)
    exprs = [*dict.fromkeys([*(q.expr for q in CATALOGUE.values()), *recording.queries, RAW])]

    async def one(expr: str) -> RecordedQuery | None:
        try:
            answer = await source.query_range(expr, window, recording.step)
        except AiopsError as error:
            failed.append(
                Failure(member.name, "prometheus", str(error.code), f"{error.message} (query {expr})")
            )
            return None
        return RecordedQuery(expr, recording.step, [_series(s) for s in answer.rows])

    parts.queries = [q for q in await asyncio.gather(*(one(e) for e in exprs)) if q is not None]


def _series(series: Series) -> RecordedSeries:
    return RecordedSeries(
        series.labels, series.timestamps.astype("<f8").tobytes(), series.values.astype("<f8").tobytes()
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
    size = window.seconds / _SLICES
    slices = [TimeRange(window.start + i * size, window.start + (i + 1) * size) for i in range(_SLICES)]
    for expr, limit in asks:
        answers = await asyncio.gather(
            *(source.query_range(expr, s, limit // _SLICES, "backward") for s in slices)
        )
        entries = sorted((e for a in answers for e in a.rows), key=lambda e: e.ns)
        full = any(len(a.rows) >= limit // _SLICES for a in answers)
        parts.logs.append(_recorded_logs(expr, entries, full))


def _recorded_logs(expr: str, entries: list[LogEntry], truncated: bool) -> RecordedLogs:
    index: dict[tuple[tuple[str, str], ...], int] = {}
    lines = []
    for entry in entries:
        stream = index.setdefault(tuple(sorted(entry.labels.items())), len(index))
        lines.append(
            RecordedLine(
                entry.ns, stream, scrub(entry.line), {k: scrub(v) for k, v in entry.metadata.items()}
            )
        )
    return RecordedLogs(expr, [dict(k) for k in index], lines, truncated)


async def _traces(member: Member, recording: Recording, parts: ClusterParts) -> None:
    source = await member.traces()
    window = recording.window
    size = window.seconds / _SLICES
    slices = [TimeRange(window.start + i * size, window.start + (i + 1) * size) for i in range(_SLICES)]
    asks = [source.spans(TraceQuery(limit=_TRACES), s) for s in slices]
    asks += [source.spans(TraceQuery(limit=_FAILED_TRACES, errors=True), s) for s in slices]
    seen: dict[tuple[str, str], Span] = {}
    for answer in await asyncio.gather(*asks):
        for span in answer.rows:
            seen.setdefault((span.trace_id, span.span_id), span)
    parts.spans = [
        RecordedSpan(
            s.trace_id,
            s.span_id,
            s.parent_id,
            s.service,
            s.name,
            s.kind,
            s.start_ns,
            s.duration_ns,
            s.status,
            _scrubbed(s.attributes),
            _scrubbed(s.resource),
            [_scrubbed(e) for e in s.events],
        )
        for s in sorted(seen.values(), key=lambda s: (s.start_ns, s.trace_id, s.span_id))
    ]


def _scrubbed(values: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, str):
            out[key] = scrub(value)
        elif isinstance(value, dict):
            out[key] = _scrubbed(value)
        elif isinstance(value, (int, float, bool)) or value is None:
            out[key] = value
        else:
            out[key] = scrub(str(value))
    return out


async def _alerts(member: Member, parts: ClusterParts) -> None:
    answer = await (await member.alerts()).alerts()
    parts.alerts = [
        msgspec.structs.replace(
            a, cluster=member.name, annotations={k: scrub(v) for k, v in a.annotations.items()}
        )
        for a in answer.rows
    ]


async def _kube(member: Member, recording: Recording, parts: ClusterParts) -> None:
    source = await member.kube()
    window = recording.window
    version = await source.version()
    events, changes, workloads = await asyncio.gather(
        source.events(window), source.changes(window), source.workloads()
    )
    parts.kube = RecordedKube(
        version,
        [msgspec.structs.replace(e, message=scrub(e.message)) for e in events.rows],
        [msgspec.structs.replace(c, detail=scrub(c.detail)) for c in changes.rows],
        list(workloads.rows),
    )


def _redact(parts: ClusterParts, names: list[str]) -> None:
    """Replace the values of chosen labels and attributes everywhere."""
    hidden = set(names)
    if not hidden:
        return

    def hide(values: dict[str, Any]) -> None:
        for name in hidden & values.keys():
            values[name] = "[redacted]"

    for query in parts.queries:
        for series in query.series:
            hide(series.labels)
    for logs in parts.logs:
        for stream in logs.streams:
            hide(stream)
        for line in logs.lines:
            hide(line.metadata)
    for span in parts.spans:
        hide(span.attributes)
        hide(span.resource)
    for alert in parts.alerts:
        hide(alert.labels)
        hide(alert.annotations)
    if parts.kube:
        for pod in parts.kube.workloads:
            hide(pod.labels)
