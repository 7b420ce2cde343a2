"""How GPUs, their processes and model servers look in tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from aiops_cli.models.gpu import Gpu, GpuInference, GpuProcess, GpuSummary
from aiops_cli.render.output import Column, View
from aiops_cli.render.text import duration, si

# What stands behind a number for people, as CSV's titles end with it.
_UNITS = {"%": "percent", "°C": "celsius", "W": "watts", "MHz": "mhz"}


def _number(
    title: str, pick: Callable[[Any], float | None], unit: str, digits: int = 0, *, wide: bool = False
) -> Column[Any]:
    def text(item: Any) -> str | None:
        value = pick(item)
        return None if value is None else f"{value:.{digits}f}{unit}"

    return Column(title, text, right=True, wide=wide, plain=pick, unit=_UNITS.get(unit, ""))


def _rate(title: str, pick: Callable[[Any], float | None]) -> Column[Any]:
    return Column(
        title, lambda g: _si(pick(g), "B/s"), right=True, wide=True, plain=pick, unit="bytes_per_second"
    )


def _si(value: float | None, unit: str) -> str | None:
    return None if value is None else si(value, unit)


def _ratio(title: str, pick: Callable[[Any], float | None], *, wide: bool = True) -> Column[Any]:
    """A ratio of 0 to 1: people read percent, machines the ratio."""

    def text(item: Any) -> str | None:
        value = pick(item)
        return None if value is None else f"{100 * value:.0f}%"

    return Column(title, text, right=True, wide=wide, plain=pick, unit="ratio")


def _gib(used: float | None, total: float | None) -> str | None:
    if used is None and total is None:
        return None
    parts = [
        "?" if v is None else f"{v / 1024:.1f}" if v < 10_240 else f"{v / 1024:.0f}" for v in (used, total)
    ]
    return f"{parts[0]}/{parts[1]}GiB" if total is not None else f"{parts[0]}GiB"


def _memory(title: str, *, wide: bool = False) -> Column[Any]:
    return Column(
        title,
        lambda g: _gib(g.memory_used_mib, g.memory_total_mib),
        right=True,
        wide=wide,
        plain=lambda g: g.memory_used_mib,
        unit="mib",
    )


def _total(pick: Callable[[Any], float | None]) -> Column[Any]:
    """Of machines alone: people read it beside what is used."""
    return Column(
        "memory-total", lambda g: _gib(pick(g), None), right=True, wide=True, plain=pick, unit="mib"
    )


def _part(gpu: Any) -> str:
    index = "?" if gpu.index is None else str(gpu.index)
    return f"{index}:{gpu.mig_instance}" if gpu.mig_instance else index


def _model(item: Any) -> str | None:
    return (item.model or "").removeprefix("NVIDIA ") or None


def _pod(gpu: Gpu) -> str | None:
    if gpu.pod is None:
        return None
    more = f" +{len(gpu.users) - 1}" if len(gpu.users) > 1 else ""
    return gpu.pod + more


GPUS: View[Gpu] = View(
    "GpuList",
    [
        Column("cluster", lambda g: g.cluster),
        Column("node", lambda g: g.node),
        Column("gpu", _part, right=True),
        Column("model", _model, plain=lambda g: g.model),
        Column("mig", lambda g: g.mig_profile, wide=True),
        _number("util", lambda g: g.utilization, "%"),
        _memory("memory"),
        _number("temp", lambda g: g.temperature_c, "°C"),
        _number("power", lambda g: g.power_w, "W"),
        Column("xid", lambda g: str(g.xid) if g.xid else None, right=True, plain=lambda g: g.xid),
        Column("pod", _pod, plain=lambda g: g.pod),
        Column("namespace", lambda g: g.namespace, wide=True),
        Column("container", lambda g: g.container, wide=True),
        _ratio("sm", lambda g: g.sm_active),
        _ratio("tensor", lambda g: g.tensor_active),
        _ratio("dram", lambda g: g.dram_active),
        _number("power-limit", lambda g: g.power_limit_w, "W", wide=True),
        _number("sm-clock", lambda g: g.sm_clock_mhz, "MHz", wide=True),
        Column(
            "throttle",
            lambda g: None if g.throttle_reasons is None else ",".join(g.throttle_reasons) or "none",
            wide=True,
        ),
        _rate("pcie-tx", lambda g: g.pcie_tx_bytes_per_second),
        _rate("pcie-rx", lambda g: g.pcie_rx_bytes_per_second),
        _rate("nvlink-tx", lambda g: g.nvlink_tx_bytes_per_second),
        _rate("nvlink-rx", lambda g: g.nvlink_rx_bytes_per_second),
        _number("ecc", lambda g: g.ecc_uncorrectable, "", wide=True),
        _number("remapped", lambda g: g.remapped_rows_uncorrectable, "", wide=True),
        Column("driver", lambda g: g.driver, wide=True),
        Column("uuid", lambda g: g.uuid, wide=True),
        Column("util-of", lambda g: g.utilization_of, wide=True),
        Column("source", lambda g: g.source, wide=True),
        _total(lambda g: g.memory_total_mib),
    ],
    lambda g: f"{g.cluster}/{g.node}/{_part(g)}",
)

PROCESSES: View[GpuProcess] = View(
    "GpuProcessList",
    [
        Column("cluster", lambda p: p.cluster),
        Column("node", lambda p: p.node),
        Column("gpu", _part, right=True),
        Column("pid", lambda p: str(p.pid), right=True, plain=lambda p: p.pid),
        Column(
            "memory",
            lambda p: _gib(p.memory_used_mib, None),
            right=True,
            plain=lambda p: p.memory_used_mib,
            unit="mib",
        ),
        Column("namespace", lambda p: p.namespace),
        Column("pod", lambda p: p.pod),
        Column("name", lambda p: p.name),
        Column("type", lambda p: p.type, wide=True),
        Column("container", lambda p: p.container, wide=True),
        Column("uuid", lambda p: p.uuid, wide=True),
    ],
    lambda p: f"{p.cluster}/{p.node}/{p.pid}",
)


def _count(title: str, pick: Callable[[GpuSummary], int | None], *, wide: bool = False) -> Column[GpuSummary]:
    def text(item: GpuSummary) -> str | None:
        value = pick(item)
        return None if value is None else str(value)

    return Column(title, text, right=True, wide=wide, plain=pick)


SUMMARY: View[GpuSummary] = View(
    "GpuSummaryList",
    [
        Column("cluster", lambda s: s.cluster),
        Column("model", _model, plain=lambda s: s.model),
        _count("gpus", lambda s: s.gpus),
        _count("mig", lambda s: s.mig_instances, wide=True),
        _count("units", lambda s: s.units),
        _count("alloc", lambda s: s.allocated),
        _count("used", lambda s: s.used),
        _count("idle", lambda s: s.idle_allocated),
        _count("free", lambda s: s.free),
        _number("idle-h", lambda s: s.idle_gpu_hours, "h", 1),
        _count("hot", lambda s: s.hot),
        _count("err", lambda s: s.erroring),
        _count("gone", lambda s: s.gone, wide=True),
        _number("util", lambda s: s.utilization, "%"),
        _memory("memory", wide=True),
        _number("power", lambda s: s.power_w, "W", wide=True),
        _number("alloc-h", lambda s: s.allocated_gpu_hours, "h", 1, wide=True),
        _total(lambda s: s.memory_total_mib),
    ],
    lambda s: f"{s.cluster}/{s.model}",
)


def summary_view(rows: Sequence[GpuSummary]) -> View[GpuSummary]:
    """GPUs that are gone have a column where there are any."""
    if not any(s.gone for s in rows):
        return SUMMARY
    columns = [replace(c, wide=False) if c.title == "gone" else c for c in SUMMARY.columns]
    return replace(SUMMARY, columns=columns)


def _seconds(title: str, pick: Callable[[GpuInference], float | None], *, wide: bool) -> Column[GpuInference]:
    def text(item: GpuInference) -> str | None:
        value = pick(item)
        return None if value is None else duration(value * 1000)

    return Column(title, text, right=True, wide=wide, plain=pick, unit="seconds")


INFERENCE: View[GpuInference] = View(
    "GpuInferenceList",
    [
        Column("cluster", lambda i: i.cluster),
        Column("namespace", lambda i: i.namespace, wide=True),
        Column("pod", lambda i: i.pod or i.instance, plain=lambda i: i.pod),
        Column("model", lambda i: i.model),
        _number("running", lambda i: i.running, ""),
        _number("waiting", lambda i: i.waiting, ""),
        _ratio("kv-cache", lambda i: i.kv_cache_usage, wide=False),
        _seconds("ttft-p50", lambda i: i.first_token_p50_seconds, wide=True),
        _seconds("ttft-p95", lambda i: i.first_token_p95_seconds, wide=False),
        Column(
            "tokens/s",
            lambda i: _si(i.tokens_per_second, ""),
            right=True,
            plain=lambda i: i.tokens_per_second,
        ),
        _number("util", lambda i: i.gpu_utilization, "%"),
        Column("gpus", lambda i: ",".join(i.gpus) or None, plain=lambda i: ",".join(i.gpus)),
        Column("server", lambda i: i.server, wide=True),
    ],
    lambda i: f"{i.cluster}/{i.namespace}/{i.pod or i.instance}",
)
