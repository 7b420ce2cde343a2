"""Groups of cells for `CellMap`: the clusters of a fleet, and its GPUs by use or temperature."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from aiops_cli.models.findings import Finding
from aiops_cli.models.gpu import Gpu, GpuThresholds
from aiops_cli.render.fleet_views import alerts_text, endpoints_text, why
from aiops_cli.render.text import age
from aiops_cli.services.fleet_status import FleetRow, GpuReading
from aiops_cli.tui.themes import SIGNS, level
from aiops_cli.tui.widgets.cells import Cell, Group

USE_WARNING, USE_CRITICAL = 75.0, 90.0
"""Percent (specs/07-interface.md)."""
MEASURES = ("use", "temperature")


def cluster_groups(rows: Iterable[FleetRow], order: Mapping[str, int]) -> list[Group]:
    """A cell a cluster, where it always was: a map is learned by heart."""
    ordered = sorted(rows, key=lambda r: order.get(r.cluster, len(order)))
    return [Group("", [[_cluster(r) for r in ordered]])] if ordered else []


def _cluster(row: FleetRow) -> Cell:
    word = level(row.state) or "unknown"
    sign = SIGNS.get(word, SIGNS["unknown"])
    if word == "ok" and row.alerts is not None and row.alerts[0]:
        word, sign = "fatal", "!"  # it answers, and something critical fires on it
    return Cell(row.cluster, sign, word, dim=row.waiting is not None)


def cluster_words(row: FleetRow) -> str:
    """What a cell of the map stands for."""
    parts = [row.cluster, row.state]
    if row.health is not None and row.health.score is not None:
        parts.append(f"score {row.health.score}")
    if endpoints := endpoints_text(row.health):
        parts.append(endpoints)
    if row.alerts is not None and any(row.alerts):
        parts.append(f"alerts {alerts_text(row.alerts)}")
    if row.age is not None:
        parts.append(f"{age(row.age)} old")
    if told := why(row):
        parts.append(told)
    return " · ".join(parts)


GpuKey = tuple[str, str]
"""Cluster, and NODE/INDEX as findings name it."""


def gpu_groups(readings: Sequence[GpuReading], measure: str, limits: GpuThresholds) -> list[Group]:
    """A group a cluster, a part a node, a cell a GPU: the tens of its percent or °C, `✖` where a critical finding
    tells of it and `-` where nothing is known."""
    known = [r for r in readings if r.gpus]
    if not known:
        return []
    from aiops_cli.analysis.gpu_findings import name, names  # loads NumPy: not for a fleet that has none

    groups = []
    for reading in known:
        broken = {f.entity.name for f in reading.findings if f.severity == "critical"}
        nodes = groupby(reading.gpus, key=lambda g: g.node)
        parts = [
            [_gpu((g.cluster, name(g)), g, measure, limits, not broken.isdisjoint(names(g))) for g in found]
            for _, found in nodes
        ]
        groups.append(Group(reading.gpus[0].cluster, parts))
    return groups


def _gpu(key: GpuKey, gpu: Gpu, measure: str, limits: GpuThresholds, broken: bool) -> Cell:
    value, warning, critical = gpu.utilization, USE_WARNING, USE_CRITICAL
    if measure != MEASURES[0]:
        value, warning, critical = gpu.temperature_c, limits.temperature_warning, limits.temperature_critical
    if broken:
        return Cell(key, SIGNS["fatal"], "fatal")
    if value is None:
        return Cell(key, "-", "unknown")
    word = "error" if value >= critical else "warn" if value >= warning else "ok"
    return Cell(key, str(min(max(int(value // 10), 0), 9)), word)


def gpu_words(key: GpuKey, readings: Sequence[GpuReading]) -> str:
    """What a cell of the heat map stands for."""
    from aiops_cli.analysis.gpu_findings import name, names

    for reading in readings:
        for gpu in reading.gpus:
            if (gpu.cluster, name(gpu)) == key:
                return _words(key, gpu, [f for f in reading.findings if f.entity.name in names(gpu)])
    return ""


def _words(key: GpuKey, gpu: Gpu, findings: Sequence[Finding]) -> str:
    use = "-" if gpu.utilization is None else f"{gpu.utilization:.0f} %"
    heat = "-" if gpu.temperature_c is None else f"{gpu.temperature_c:.0f} °C"
    parts = [" ".join(key), (gpu.model or "").removeprefix("NVIDIA "), use, heat]
    if gpu.memory_used_mib is not None and gpu.memory_total_mib:
        parts.append(f"memory {100 * gpu.memory_used_mib / gpu.memory_total_mib:.0f} %")
    if gpu.pod:
        parts.append(f"{gpu.namespace}/{gpu.pod}")
    parts += [f.text for f in findings[:1]]
    return " · ".join(filter(None, parts))
