"""Answers of a small GPU cluster, for pictures of the GPU screen: nothing in them moves."""

from __future__ import annotations

from typing import Any

import numpy as np

from aiops_cli.analysis import gpu_summary
from aiops_cli.analysis.gpu import Key
from aiops_cli.analysis.gpu_course import Course, Throttled
from aiops_cli.analysis.gpu_findings import finding, key, name
from aiops_cli.analysis.gpu_history import Past
from aiops_cli.models.gpu import Gpu, GpuInference, GpuProcess, GpuThresholds, GpuUser
from aiops_cli.models.result import ClusterStatus, ErrorInfo, FleetResult
from aiops_cli.models.signals import Series
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.gpu import GpuFleet
from aiops_cli.tui.widgets.gpu_tab import Seen

LOST = ErrorInfo("CLUSTER_UNREACHABLE", "could not connect: connection refused", "aiops clusters health")
STATUS = [ClusterStatus("ai", "SUCCESS"), ClusterStatus("old", "ERROR", error=LOST)]
STEP = 60.0


def _gpu(cluster: str, node: str, index: int, pod: str | None, use: float, **more: Any) -> Gpu:
    users = [GpuUser("ml", pod, "main")] if pod else []
    said: dict[str, Any] = {
        "model": "NVIDIA H100 80GB HBM3", "uuid": f"GPU-{node}-{index}", "utilization": use, "memory_used_mib": 700 * use,
        "memory_total_mib": 81_559.0, "temperature_c": 30 + use / 2, "power_w": 70 + 5.5 * use, "power_limit_w": 700.0,
        "xid": 0, "sm_active": use / 120, "tensor_active": use / 200, "dram_active": use / 300, "sm_clock_mhz": 1980.0,
        "throttle_reasons": [], "driver": "550.90.07", "cuda": "12.4", "ecc_uncorrectable": 0.0, "nvlink_errors": 0.0,
        "utilization_of": "GPU_UTIL",
    }  # fmt: skip
    return Gpu(cluster=cluster, node=node, index=index, users=users, pod=pod, namespace="ml" if pod else None,
               container="main" if pod else None, **said | more)  # fmt: skip


def seen(end: float) -> Seen:
    """One with an XID, one too hot, one held and idle, a divided one; and those of a cluster that is gone."""
    part = {
        "temperature_c": 41.0,
        "power_w": 310.0,
        "utilization_of": "GR_ENGINE_ACTIVE",
        "memory_total_mib": 40_000.0,
    }
    gpus = [
        _gpu("ai", "gpu-a", 0, "train-0", 96.0),
        _gpu("ai", "gpu-a", 1, "notebook-0", 0.0),
        _gpu("ai", "gpu-a", 2, "train-1", 93.0, xid=79),
        _gpu("ai", "gpu-a", 3, "render-0", 88.0, temperature_c=91.0, throttle_reasons=["sw_thermal"]),
        _gpu("ai", "gpu-b", 0, "llama-0", 40.0, mig_instance="7", mig_profile="3g.40gb", **part),
        _gpu("ai", "gpu-b", 0, None, 0.0, mig_instance="9", mig_profile="4g.40gb", **part),
        _gpu("old", "gpu-z", 0, "batch-0", 55.0, power_limit_w=None),
    ]
    told = [
        finding(gpus[2], "GPU_XID", "critical", "XID 79: GPU has fallen off the bus",
                "reboot the node; check power, seating and PCIe", since=end - 1200, value=79.0),
        finding(gpus[3], "GPU_HOT", "critical", "91 °C", "check fans, airflow and the room", value=91.0),
        finding(gpus[1], "GPU_IDLE_ALLOCATED", "warning", "idle for 59 min, held by ml/notebook-0",
                "give it back, or share the GPU (MIG, time-slicing)", since=end - 3540, value=59.0),
    ]  # fmt: skip
    pasts: dict[tuple[str, Key], Past] = {
        (g.cluster, key(g)): Past(3540.0, 3540.0 if g.utilization == 0 else 0.0, utilization=g.utilization)
        for g in gpus
    }
    pasts["ai", key(gpus[2])].xids = ((end - 1200, 79),)
    pasts["ai", key(gpus[3])].throttled = {"thermal": 0.2, "power": 0.0}
    limits = GpuThresholds()
    models, _ = gpu_summary.summary(gpus, pasts, told, limits)
    nodes = gpu_summary.nodes(gpus, pasts, told, limits)
    return Seen(
        GpuFleet(FleetResult(gpus, STATUS), told, pasts),
        nodes,
        models,
        TimeRange(end - 3600, end),
        STEP,
        frozenset({"old"}),
        {(g.cluster, name(g)): g for g in gpus},
    )


def course(gpu: Gpu, end: float) -> Course:
    """Busy until its XID where it had one; hot for ten minutes where it is."""
    times = np.arange(end - 3600, end + 1, STEP)
    busy = (gpu.utilization or 0.0) / 100 * (0.95 + 0.05 * np.sin(np.arange(len(times)) / 5))
    if gpu.xid:
        busy = np.where(times > end - 1200, 0.0, busy)
    hot = (times > end - 1800) & (times < end - 1200) if gpu.throttle_reasons else times < 0
    heat = 30 + 50 * busy + np.where(hot, 10, 0)
    memory = np.full(len(times), (gpu.memory_used_mib or 0.0) * 2.0**20)
    lines = {"utilization": busy, "memory": memory, "temperature": heat, "power": 70 + 550 * busy}
    found = Course({m: Series({"line": m}, times, v) for m, v in lines.items()})  # type: ignore[misc]
    if hot.any():
        found.throttled = [Throttled("thermal", end - 1740, end - 1260)]
    return found


def servers() -> FleetResult[GpuInference]:
    rows = [
        GpuInference(
            "ai", "ml", "llama-0", "vLLM", "llama-70b", 22, 3, 0.91, 0.21, 1.4, 1840.0, ["gpu-b/0:7"], 40.0
        ),
        GpuInference(
            "ai", "ml", "train-0", "SGLang", "qwen-32b", 4, 0, 0.12, 0.08, 0.3, 310.0, ["gpu-a/0"], 96.0
        ),
    ]
    return FleetResult(rows, STATUS[:1])


def running() -> FleetResult[GpuProcess]:
    def row(index: int, pid: int, command: str, pod: str | None, part: str | None = None) -> GpuProcess:
        return GpuProcess("ai", "gpu-b" if part else "gpu-a", index, f"GPU-gpu-a-{index}", part, pid, command, "C",
                          39_000.0, "ml" if pod else None, pod, "main" if pod else None)  # fmt: skip

    rows = [
        row(0, 4242, "python3 train.py", "train-0"),
        row(2, 4310, "python3 train.py", "train-1"),
        row(0, 977, "vllm serve llama-70b", "llama-0", "7"),
        row(3, 5120, "blender --background", None),
    ]
    partial = ClusterStatus("ai", "PARTIAL", warnings=["gpu-c: nvidia-smi failed on gpu-c (9): no devices"])
    return FleetResult(rows, [partial])
