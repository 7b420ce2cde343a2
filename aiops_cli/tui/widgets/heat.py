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
    word = level(row.state) or "unknown"
    sign = SIGNS.get(word, SIGNS["unknown"])
    if word == "ok" and row.alerts is not None and row.alerts[0]:
        word, sign = "fatal", "!"  # it answers, and something critical fires on it
    return Cell(row.cluster, sign, word, " · ".join(parts), dim=row.waiting is not None)


def gpu_groups(readings: Sequence[GpuReading], measure: str, limits: GpuThresholds) -> list[Group]:
    """A group a cluster, a part a node, a cell a GPU: the tens of its percent or °C, `✖` where a critical finding
    tells of it and `-` where nothing is known."""
    from aiops_cli.analysis.gpu_findings import name

    groups = []
    for reading in readings:
        if not reading.gpus:
            continue
        told: dict[str, Finding] = {}
        for finding in reading.findings:
            told.setdefault(finding.entity.name, finding)
        nodes = groupby(reading.gpus, key=lambda g: g.node)
        parts = [[_gpu(g, measure, limits, told.get(name(g))) for g in found] for _, found in nodes]
        groups.append(Group(reading.gpus[0].cluster, parts))
    return groups


def _gpu(gpu: Gpu, measure: str, limits: GpuThresholds, finding: Finding | None) -> Cell:
    from aiops_cli.analysis.gpu_findings import name

    value = gpu.utilization if measure == "use" else gpu.temperature_c
    warning, critical = (
        (USE_WARNING, USE_CRITICAL)
        if measure == "use"
        else (limits.temperature_warning, limits.temperature_critical)
    )
    sign, word = "-", "unknown"
    if value is not None:
        sign = str(min(max(int(value // 10), 0), 9))
        word = "error" if value >= critical else "warn" if value >= warning else "ok"
    if finding is not None and finding.severity == "critical":
        sign, word = SIGNS["fatal"], "fatal"
    parts = [f"{gpu.cluster} {name(gpu)}", (gpu.model or "").removeprefix("NVIDIA ")]
    parts += [
        "-" if gpu.utilization is None else f"{gpu.utilization:.0f} %",
        "-" if gpu.temperature_c is None else f"{gpu.temperature_c:.0f} °C",
    ]
    if gpu.memory_used_mib is not None and gpu.memory_total_mib:
        parts.append(f"memory {100 * gpu.memory_used_mib / gpu.memory_total_mib:.0f} %")
    if gpu.pod:
        parts.append(f"{gpu.namespace}/{gpu.pod}")
    if finding is not None:
        parts.append(finding.text)
    return Cell(
        (gpu.cluster, gpu.node, gpu.index, gpu.mig_instance), sign, word, " · ".join(filter(None, parts))
    )
