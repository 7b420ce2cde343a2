"""What is wrong with GPUs: thresholds that were crossed, with their evidence."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

from msgspec.structs import replace

from aiops_cli.analysis.finding_order import worst_first
from aiops_cli.analysis.gpu import Key
from aiops_cli.analysis.gpu_codes import POWER, SLOWDOWN, THERMAL, xid
from aiops_cli.analysis.gpu_history import Past
from aiops_cli.analysis.gpu_stretches import Wrong
from aiops_cli.models.analysis import Entity
from aiops_cli.models.findings import Finding, FindingSeverity
from aiops_cli.models.gpu import Gpu, GpuThresholds

_MAD_TO_SIGMA = 1.4826
# Pods of one job: a Deployment's or Job's hash, an index, and the roles of the training operators.
_SUFFIX = re.compile(
    r"(-[a-f0-9]{8,10}-[a-z0-9]{5}|-(?:worker|master|launcher|chief|ps|replica|executor)(?:-\d+)*|(?:-\d+)+(?:-[a-z0-9]{5})?|-[bcdfghjklmnpqrstvwxz2456789]{5})$"
)
_LONGEST = 253  # of a pod's name; the expression is quadratic


def key(gpu: Gpu) -> Key:
    """What joins a row with its past."""
    return gpu.uuid or f"{gpu.node}/{gpu.index}", gpu.mig_instance or ""


def name(gpu: Gpu) -> str:
    """NODE/INDEX, and the instance of a divided GPU."""
    part = f":{gpu.mig_instance}" if gpu.mig_instance else ""
    return f"{gpu.node or '?'}/{'?' if gpu.index is None else gpu.index}{part}"


def names(gpu: Gpu) -> tuple[str, ...]:
    """What findings about it are about: its own name, and that of its whole GPU."""
    own = name(gpu)
    return (own, own.rpartition(":")[0]) if gpu.mig_instance else (own,)


def findings(
    gpus: Sequence[Gpu], pasts: Mapping[Key, Past], window_end: float, limits: GpuThresholds
) -> list[Finding]:
    """All findings of one cluster's GPUs, worst first. What is of a board is told once, not for each
    instance of it."""
    found: list[Finding] = []
    boards: dict[str, list[Gpu]] = {}
    for gpu in gpus:
        found += _of_part(gpu, pasts.get(key(gpu)) or Past(), window_end, limits)
        boards.setdefault(key(gpu)[0], []).append(gpu)
    for board, parts in boards.items():
        then = pasts.get((board, "")) or pasts.get(key(parts[0])) or Past()
        codes = {g.xid for g in parts if g.xid}
        found += _of_board(_whole(parts), then, limits, codes)
    found += _stragglers(gpus, pasts, limits)
    return worst_first(found)


_MOST = ("temperature_c", "ecc_uncorrectable", "row_remap_failed", "row_remap_pending", "pages_pending")


def _whole(parts: Sequence[Gpu]) -> Gpu:
    """The board of these instances, of whichever of them something bad is told. Its holder is one if it is
    that of all."""
    if len(parts) == 1 and not parts[0].mig_instance:
        return parts[0]
    first = parts[0]
    worst = {n: max((v for g in parts if (v := getattr(g, n)) is not None), default=None) for n in _MOST}
    reasons = [r for g in parts for r in g.throttle_reasons or ()]
    counts: dict[str, int] = {}
    health: dict[str, str] = {}
    for gpu in parts:
        for code, times in gpu.xid_counts.items():
            counts[code] = max(counts.get(code, 0), times)
        for watch, verdict in gpu.health.items():
            health[watch] = min(health.get(watch, verdict), verdict)  # FAIL is before WARN
    holders = {(g.namespace, g.pod) for g in parts}
    return replace(
        first,
        mig_instance=None,
        mig_profile=None,
        throttle_reasons=None
        if first.throttle_reasons is None and not reasons
        else list(dict.fromkeys(reasons)),
        xid_counts=counts,
        health=health,
        namespace=first.namespace if len(holders) == 1 else None,
        **worst,
    )


def _of_part(gpu: Gpu, then: Past, end: float, limits: GpuThresholds) -> Iterable[Finding]:
    if gpu.pod and then.idle_since is not None:
        minutes = (end - then.idle_since) / 60
        if minutes >= limits.idle_minutes:
            least = "at least " if then.idle_before else ""
            yield finding(
                gpu,
                "GPU_IDLE_ALLOCATED",
                "warning",
                f"idle for {least}{minutes:.0f} min (from {limits.idle_minutes:g} min below "
                f"{limits.idle_utilization:g} %), held by {_holders(gpu)}",
                "give it back, or share the GPU (MIG, time-slicing)",
                since=None if then.idle_before else then.idle_since,
                value=minutes,
                threshold=limits.idle_minutes,
                unit="min",
            )
    if gpu.memory_used_mib is not None and gpu.memory_total_mib:
        full = 100 * gpu.memory_used_mib / gpu.memory_total_mib
        if full >= limits.memory_full:
            yield finding(
                gpu,
                "GPU_MEMORY_FULL",
                "warning",
                f"{full:.0f} % of memory used ({gpu.memory_used_mib:.0f} of {gpu.memory_total_mib:.0f} MiB; "
                f"from {limits.memory_full:g} %)",
                "model servers fill it on purpose; else lower batch size or cache",
                value=full,
                threshold=limits.memory_full,
                unit="%",
            )


def _of_board(gpu: Gpu, then: Past, limits: GpuThresholds, codes: Collection[int]) -> Iterable[Finding]:
    yield from _heat(gpu, then, limits)
    yield from _throttling(gpu, then, limits)
    yield from xids(gpu, then, codes)
    yield from _memory_errors(gpu, then)
    if then.nvlink_errors is not None and then.nvlink_errors >= limits.nvlink_errors:
        yield finding(
            gpu,
            "GPU_NVLINK_ERRORS",
            "warning",
            f"{then.nvlink_errors:.0f} NVLink errors within the window (told from {limits.nvlink_errors:g})",
            "check NVLink cables, switches and the fabric manager (nvidia-smi nvlink -s)",
            value=then.nvlink_errors,
            threshold=limits.nvlink_errors,
            unit="errors",
        )
    for watch, verdict in sorted(gpu.health.items()):
        if watch == "ALL" and len(gpu.health) > 1:
            continue
        yield finding(
            gpu,
            "GPU_UNHEALTHY",
            "critical" if verdict.startswith("FAIL") else "warning",
            f"DCGM's health check {watch} says {verdict}",
            "drain the node, and run DCGM's diagnosis there",
        )


def _heat(gpu: Gpu, then: Past, limits: GpuThresholds) -> Iterable[Finding]:
    """Now, with since when; or before, where it has cooled down."""
    stretch = then.stretches.get("hot")
    now = gpu.temperature_c
    hot = now is not None and now >= limits.temperature_warning
    heat = now if hot else stretch.value if stretch is not None and stretch.until is not None else None
    if heat is None:
        return
    critical = heat >= limits.temperature_critical
    limit = limits.temperature_critical if critical else limits.temperature_warning
    severity: tuple[FindingSeverity, FindingSeverity] = (
        ("critical", "warning") if hot else ("warning", "info")
    )
    yield finding(
        gpu,
        "GPU_HOT",
        severity[0] if critical else severity[1],
        f"{heat:.0f} °C ({'critical' if critical else 'warning'} from {limit:g} °C)"
        + ("" if hot else ", not any more"),
        "check fans, airflow and the room",
        since=None if stretch is None else stretch.since,
        until=None if hot or stretch is None else stretch.until,
        value=heat,
        threshold=limit,
        unit="°C",
    )


def _throttling(gpu: Gpu, then: Past, limits: GpuThresholds) -> Iterable[Finding]:
    reasons = set(gpu.throttle_reasons or ())
    shares = then.throttled or {}
    hot = reasons & THERMAL
    kinds: tuple[tuple[Literal["thermal", "power"], str, set[str]], ...] = (
        ("thermal", "GPU_THROTTLED_THERMAL", hot),
        ("power", "GPU_THROTTLED_POWER", reasons & POWER),
    )
    for kind, code, bad in kinds:
        share = 100 * shares.get(kind, 0.0)
        stretch = then.stretches.get(kind)
        over = kind == "thermal" and stretch is not None and stretch.until is not None  # it was hot
        if not bad and share < limits.throttled and not over:
            continue
        braked = "hw_power_brake" in bad
        severity: FindingSeverity = "warning" if kind == "thermal" or braked else "info"
        if not bad and share < limits.throttled:
            severity = "info"
        said = f"{', '.join(sorted(bad))}: clocks are lowered now" if bad else "clocks were lowered"
        if shares.get(kind) is not None:
            said += f"; for {share:.0f} % of the window (told from {limits.throttled:g} %)"
        action = {
            "thermal": "check fans, airflow and the room",
            "power": "the power limit is reached: usual at full load, unless it was set too low",
        }[kind]
        yield finding(
            gpu,
            code,
            severity,
            said,
            "check power supplies and cables" if braked else action,
            since=None if stretch is None else stretch.since,
            until=None if bad or stretch is None else stretch.until,
            value=share if kind in shares else None,
            threshold=limits.throttled if kind in shares else None,
            unit="%",
        )
    stretch = then.stretches.get("hardware")
    slowed = SLOWDOWN in reasons and not hot and "hw_power_brake" not in reasons
    if slowed or (stretch is not None and stretch.until is not None):
        yield finding(
            gpu,
            "GPU_THROTTLED_HARDWARE",
            "warning" if slowed else "info",
            f"the hardware {'lowers' if slowed else 'lowered'} its clocks (hw_slowdown)",
            "check temperature, power supplies and cables",
            since=None if stretch is None else stretch.since,
            until=None if slowed or stretch is None else stretch.until,
        )


def xids(gpu: Gpu, then: Past, codes: Collection[int] = ()) -> Iterable[Finding]:
    """`codes` are those that the gauges of the GPU or its instances have now. The gauge is the last code and
    stays until the driver is loaded anew: one that did not change within the window is old. Where nobody
    knows the past, one that asks for a reset still does."""
    recent = {code: at for at, code in then.xids or ()}
    for code in dict.fromkeys([*recent, *map(int, gpu.xid_counts)]):
        meaning, action, severity = xid(code)
        times = gpu.xid_counts.get(str(code))
        text = f"XID {code}: {meaning}" + (f", {times} times in the exporter's window" if times else "")
        yield finding(gpu, "GPU_XID", severity, text, action, since=recent.get(code), value=float(code))
    for code in sorted(codes):
        if code in recent or str(code) in gpu.xid_counts:
            continue
        meaning, action, severity = xid(code)
        known = then.xids is not None
        when = "before the window, and no other since" if known else "when is not known"
        text = f"last XID {code}: {meaning}; {when}"
        bad: FindingSeverity = "warning" if known else "critical"
        yield finding(
            gpu,
            "GPU_XID",
            bad if severity == "critical" else "info",
            text,
            action,
            value=float(code),
        )


def _memory_errors(gpu: Gpu, then: Past) -> Iterable[Finding]:
    def began(what: Wrong) -> float | None:
        return None if (stretch := then.stretches.get(what)) is None else stretch.since

    if gpu.ecc_uncorrectable:
        grown = then.uncorrectable
        when = f", {grown:.0f} of them within the window" if grown else ""
        yield finding(
            gpu,
            "GPU_ECC_UNCORRECTABLE",
            "critical",
            f"{gpu.ecc_uncorrectable:.0f} uncorrectable memory errors since the driver was loaded{when}",
            "drain the node and reset the GPU; if it comes back, have the board replaced",
            value=gpu.ecc_uncorrectable,
            threshold=0.0,
            unit="errors",
        )
    if gpu.row_remap_failed:
        yield finding(
            gpu,
            "GPU_ROW_REMAP_FAILED",
            "critical",
            "a memory row could not be remapped",
            "drain the node, and have the board replaced",
            since=began("remap_failed"),
        )
    if gpu.row_remap_pending or gpu.pages_pending:
        yield finding(
            gpu,
            "GPU_ROW_REMAP_PENDING",
            "warning",
            "memory rows wait to be remapped" if gpu.row_remap_pending else "memory pages wait to be retired",
            "reset the GPU at the next occasion",
            since=began("remap_pending"),
        )


def job_of(gpu: Gpu) -> tuple[str, str] | None:
    """Namespace and job of who holds a GPU alone, by the pod's name without index, hash and role."""
    if gpu.pod is None or len(gpu.users) > 1 or len(gpu.pod) > _LONGEST:
        return None
    stem, before = gpu.pod, ""
    while stem != before:
        stem, before = _SUFFIX.sub("", stem), stem
    return gpu.namespace or "", stem


def _stragglers(gpus: Sequence[Gpu], pasts: Mapping[Key, Past], limits: GpuThresholds) -> Iterable[Finding]:
    """GPUs that differ from the others of one job: in its pace the slowest decides."""
    jobs: dict[tuple[str, str, str | None, str | None], list[Gpu]] = {}
    for gpu in gpus:
        if (whose := job_of(gpu)) is not None:
            jobs.setdefault((*whose, gpu.model, gpu.mig_profile), []).append(gpu)

    def utilization(gpu: Gpu) -> float | None:
        then = pasts.get(key(gpu))
        return then.held_utilization if then and then.held_utilization is not None else gpu.utilization

    measures: tuple[tuple[str, str, Callable[[Gpu], float | None], float], ...] = (
        ("utilisation", "%", utilization, 10.0),
        ("SM clock", "MHz", lambda g: g.sm_clock_mhz, 0.05),
        ("power", "W", lambda g: g.power_w, 0.15),
    )
    for (namespace, job, *_), members in jobs.items():
        if len(members) < limits.straggler_peers:
            continue
        worst: dict[str, tuple[float, Finding]] = {}
        for what, unit, measure, least in measures:
            seen = [(g, v) for g in members if (v := measure(g)) is not None]
            if len(seen) < limits.straggler_peers:
                continue
            middle = statistics.median(v for _, v in seen)
            floor = least if unit == "%" else least * abs(middle)
            spread = _MAD_TO_SIGMA * statistics.median(abs(v - middle) for _, v in seen)
            for gpu, value in seen:
                away = abs(value - middle)
                if away < max(floor, limits.straggler * spread):
                    continue
                deviation = away / max(spread, floor / limits.straggler)
                if name(gpu) in worst and worst[name(gpu)][0] >= deviation:
                    continue
                worst[name(gpu)] = (
                    deviation,
                    finding(
                        gpu,
                        "GPU_STRAGGLER",
                        "warning",
                        f"{what} {value:.0f} {unit}, {len(seen) - 1} peers {middle:.0f} {unit} (job {namespace}/{job})",
                        "compare clocks, temperature, NVLink and the node with those of its peers",
                        value=value,
                        threshold=middle,
                        unit=unit,
                    ),
                )
        yield from (found for _, found in worst.values())


def _holders(gpu: Gpu) -> str:
    more = f" and {len(gpu.users) - 1} more" if len(gpu.users) > 1 else ""
    return f"{gpu.namespace}/{gpu.pod}{more}" if gpu.namespace else f"{gpu.pod}{more}"


def finding(
    gpu: Gpu,
    code: str,
    severity: FindingSeverity,
    text: str,
    action: str,
    *,
    since: float | None = None,
    until: float | None = None,
    value: float | None = None,
    threshold: float | None = None,
    unit: str = "",
) -> Finding:
    """A finding about a GPU; `since` and `until` in unix seconds."""
    return Finding(
        gpu.cluster,
        code,
        severity,
        Entity("gpu", name(gpu), gpu.namespace, gpu.cluster),
        text,
        action,
        _rfc3339(since),
        _rfc3339(until),
        None if value is None else round(value, 3),
        threshold,
        unit,
        gpu.source,
    )


def _rfc3339(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
