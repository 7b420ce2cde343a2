"""What one GPU did over a window, from series as a Prometheus answers them."""

from __future__ import annotations

import numpy as np

from aiops_cli.analysis.gpu_course import Throttled, course
from aiops_cli.models.signals import Series

TIMES = np.arange(0.0, 300.0, 60.0)


def _series(name: str, *values: float, **labels: str) -> Series:
    return Series({"__name__": name, **labels}, TIMES[: len(values)], np.array(values))


def test_an_instance_has_its_own_use_and_memory_and_the_boards_heat() -> None:
    part = {"GPU_I_ID": "7"}
    found = course(
        [
            _series("DCGM_FI_PROF_GR_ENGINE_ACTIVE", 0.5, 0.25, **part),
            _series("DCGM_FI_PROF_GR_ENGINE_ACTIVE", 0.9, 0.9, GPU_I_ID="9"),
            _series("DCGM_FI_DEV_FB_USED", 100, 200, **part),
            _series("DCGM_FI_DEV_FB_USED", 5_000, 5_000),
            _series("DCGM_FI_DEV_GPU_TEMP", 40, 2_147_483_632),  # DCGM's blank: not known
        ],
        ("GPU-1", "7"),
    )
    assert {m: s.values.tolist() for m, s in found.gauges.items()} == {
        "utilization": [0.5, 0.25],
        "memory": [100 * 2**20, 200 * 2**20],
        "temperature": [40],
    }


def test_reasons_say_what_lowered_the_clocks_and_when() -> None:
    found = course([_series("DCGM_FI_DEV_CLOCKS_EVENT_REASONS", 0, 0x20, 0x24, 0x4, 0x8)], ("GPU-1", ""))
    assert found.throttled == [
        Throttled("thermal", 60, 120),
        Throttled("power", 120, 180),
        Throttled("hardware", 240, 240),
    ]


def test_counters_of_violations_say_so_where_there_are_no_reasons() -> None:
    """One that falls was set back with the driver."""
    found = course(
        [
            _series("DCGM_FI_DEV_POWER_VIOLATION", 10, 10, 90, 90, 5),
            _series("dcgm_gpu_utilization", 97, 96),
        ],
        ("GPU-1", ""),
    )
    assert found.throttled == [Throttled("power", 120, 120)]
    assert found.gauges["utilization"].values.tolist() == [0.97, 0.96], "exporter 1.x"
