"""GPUs counted: by model and cluster, allocated, used, idle, hot, erroring, and what idling costs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiops_cli.analysis.gpu import Key
from aiops_cli.analysis.gpu_findings import key, names
from aiops_cli.analysis.gpu_history import Past
from aiops_cli.models.findings import Finding
from aiops_cli.models.gpu import Gpu, GpuSummary, GpuThresholds

_SLICES = re.compile(r"(?<!\d)(\d{1,2})g\.")
ERRORS = frozenset(
    {"GPU_XID", "GPU_ECC_UNCORRECTABLE", "GPU_ROW_REMAP_FAILED", "GPU_NVLINK_ERRORS", "GPU_UNHEALTHY"}
)


@dataclass(frozen=True, slots=True)
class NodeSummary:
    """The GPUs of one node: counted as `summary` counts them, `total.model` names all of its models, and the
    temperature of the hottest in °C."""

    node: str | None
    total: GpuSummary
    hottest_c: float | None


def share_of(gpu: Gpu) -> float:
    """Which part of a GPU it is: 1g.10gb is a seventh, of an A30 a fourth."""
    found = _SLICES.search(gpu.mig_profile or "")
    if not found:
        return 1.0
    return min(int(found[1]) / (4 if "A30" in (gpu.model or "") else 7), 1.0)


def summary(
    gpus: Sequence[Gpu],
    pasts: Mapping[tuple[str, Key], Past],
    findings: Iterable[Finding],
    limits: GpuThresholds,
    gone: Sequence[Gpu] = (),
) -> tuple[list[GpuSummary], GpuSummary]:
    """One row a cluster and model, in that order, and the totals. `pasts` by (cluster, key)."""
    wrong = _wrong(findings)
    groups: dict[tuple[str, str], list[Gpu]] = {}
    for gpu in gpus:
        groups.setdefault((gpu.cluster, gpu.model or "unknown"), []).append(gpu)
    lost = Counter((gpu.cluster, gpu.model or "unknown") for gpu in gone)
    rows = [
        _row(c, m, groups.get((c, m), []), pasts, wrong, limits, lost[c, m])
        for c, m in sorted({*groups, *lost})
    ]
    return rows, _row("*", "*", gpus, pasts, wrong, limits, len(gone))


def nodes(
    gpus: Sequence[Gpu],
    pasts: Mapping[tuple[str, Key], Past],
    findings: Iterable[Finding],
    limits: GpuThresholds,
) -> list[NodeSummary]:
    """One row a cluster and node, in the order of the GPUs."""
    wrong = _wrong(findings)
    groups: dict[tuple[str, str | None], list[Gpu]] = {}
    for gpu in gpus:
        groups.setdefault((gpu.cluster, gpu.node), []).append(gpu)
    found = []
    for (cluster, node), there in groups.items():
        models = ", ".join(dict.fromkeys(g.model or "unknown" for g in there))
        heat = max(_numbers(g.temperature_c for g in there), default=None)
        found.append(NodeSummary(node, _row(cluster, models, there, pasts, wrong, limits), heat))
    return found


def _wrong(findings: Iterable[Finding]) -> set[tuple[str, str]]:
    """GPUs with errors, by cluster and name."""
    return {(f.cluster, f.entity.name) for f in findings if f.code in ERRORS and f.severity != "info"}


def _row(
    cluster: str,
    model: str,
    gpus: Sequence[Gpu],
    pasts: Mapping[tuple[str, Key], Past],
    wrong: set[tuple[str, str]],
    limits: GpuThresholds,
    gone: int = 0,
) -> GpuSummary:
    boards: dict[tuple[str, str], Gpu] = {}
    broken: set[tuple[str, str]] = set()
    for gpu in gpus:
        board = gpu.cluster, key(gpu)[0]
        boards.setdefault(board, gpu)
        if any((gpu.cluster, n) in wrong for n in names(gpu)):
            broken.add(board)
    held = [g for g in gpus if g.pod]
    told = all(g.pod or g.holders_known for g in gpus)
    measured = not gpus or any(g.utilization is not None for g in gpus)
    known = [
        (g, p) for g in gpus if (p := pasts.get((g.cluster, key(g)))) and p.allocated_seconds is not None
    ]

    def hours(what: str) -> float | None:
        if not known:
            return None
        return round(sum(share_of(g) * (getattr(p, what) or 0.0) for g, p in known) / 3600, 3)

    return GpuSummary(
        cluster,
        model,
        gpus=len(boards),
        mig_instances=sum(g.mig_instance is not None for g in gpus),
        units=len(gpus),
        allocated=len(held) if told else None,
        used=sum(_busy(g, limits) for g in gpus) if measured else None,
        idle_allocated=sum(not _busy(g, limits) and g.utilization is not None for g in held)
        if told and measured
        else None,
        free=len(gpus) - len(held) if told else None,
        hot=sum((g.temperature_c or 0) >= limits.temperature_warning for g in boards.values()),
        erroring=len(broken),
        utilization=_mean(g.utilization for g in gpus),
        memory_used_mib=_sum(g.memory_used_mib for g in gpus),
        memory_total_mib=_sum(g.memory_total_mib for g in gpus),
        power_w=_sum(g.power_w for g in boards.values()),
        allocated_gpu_hours=hours("allocated_seconds"),
        idle_gpu_hours=hours("idle_seconds"),
        gone=gone,
    )


def _busy(gpu: Gpu, limits: GpuThresholds) -> bool:
    return gpu.utilization is not None and gpu.utilization >= limits.idle_utilization


def _numbers(values: Iterable[Any]) -> list[float]:
    return [v for v in values if v is not None]


def _sum(values: Iterable[float | None]) -> float | None:
    found = _numbers(values)
    return sum(found) if found else None


def _mean(values: Iterable[float | None]) -> float | None:
    found = _numbers(values)
    return round(sum(found) / len(found), 3) if found else None
