"""An hour of a small GPU cluster, in dcgm-exporter's documented form (tests/gpu/pages.py): no capture of a GPU."""

from __future__ import annotations

import math

from tests.gpu.pages import holder, labels

HOUR, STEP = 3600, 30
XID_AGO, HOT_AGO = 1200, 1800
_TRAIN = {"DCGM_FI_DEV_GPU_UTIL": 96.0, "DCGM_FI_DEV_FB_USED": 60_000.0, "DCGM_FI_DEV_FB_FREE": 21_559.0,
          "DCGM_FI_DEV_GPU_TEMP": 66.0, "DCGM_FI_DEV_POWER_USAGE": 610.0, "DCGM_FI_DEV_POWER_MGMT_LIMIT": 700.0,
          "DCGM_FI_DEV_SM_CLOCK": 1_980.0, "DCGM_FI_DEV_XID_ERRORS": 0.0, "DCGM_FI_DEV_CLOCKS_EVENT_REASONS": 0.0,
          "DCGM_FI_PROF_SM_ACTIVE": 0.8, "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": 0.55,
          "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL": 0.0}  # fmt: skip
_IDLE = _TRAIN | {"DCGM_FI_DEV_GPU_UTIL": 0.0, "DCGM_FI_DEV_GPU_TEMP": 34.0, "DCGM_FI_DEV_POWER_USAGE": 71.0,
                  "DCGM_FI_DEV_FB_USED": 400.0, "DCGM_FI_DEV_FB_FREE": 81_159.0, "DCGM_FI_PROF_SM_ACTIVE": 0.0,
                  "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": 0.0}  # fmt: skip
_PART = {"DCGM_FI_PROF_GR_ENGINE_ACTIVE": 0.4, "DCGM_FI_DEV_FB_USED": 6_000.0, "DCGM_FI_DEV_FB_FREE": 4_000.0}


def _value(name: str, base: float, busy: bool, at: float, end: float) -> float:
    """Busy GPUs breathe a little."""
    if name in ("DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_POWER_USAGE") and busy:
        return round(base * (0.97 + 0.03 * math.sin((end - at) / 300)), 1)
    return base


def history(end: float) -> str:
    """OpenMetrics text up to `end`. gpu-a: 0 trains, 1 is held and idle, 2 had XID 79 20 min ago, 3 was throttled by
    heat for ten minutes and is hot; gpu-b: 0 is free, 1 is divided, a part of it serves."""
    lines: dict[str, list[str]] = {}

    def add(of: dict[str, str], name: str, at: int, value: float) -> None:
        inner = ",".join(f'{k}="{v}"' for k, v in of.items())
        lines.setdefault(name, [f"# TYPE {name} gauge"]).append(f"{name}{{{inner}}} {value} {at}")

    gpus = {
        ("gpu-a", 0): ("train-0", _TRAIN),
        ("gpu-a", 1): ("notebook-0", _IDLE),
        ("gpu-a", 2): ("train-1", _TRAIN),
        ("gpu-a", 3): ("render-0", _TRAIN),
        ("gpu-b", 0): (None, _IDLE),
        ("gpu-b", 1): (None, {k: v for k, v in _IDLE.items() if "UTIL" not in k and "FB_" not in k}),
    }
    for (node, index), (pod, values) in gpus.items():
        of = labels(node, index) | (holder(pod) if pod else {})
        for at in range(int(end) - HOUR, int(end) + 1, STEP):
            for name, base in values.items():
                value = _value(name, base, values is _TRAIN, at, end)
                if (node, index) == ("gpu-a", 2) and "XID" in name and at > end - XID_AGO:
                    value = 79
                if (node, index) == ("gpu-a", 3):
                    hot = end - HOT_AGO < at <= end - HOT_AGO + 600
                    value = 0x20 if "REASONS" in name and hot else 86 if "TEMP" in name and hot else value
                    value = 83 if "TEMP" in name and not hot else value
                add(of, name, at, value)
            if (node, index) == ("gpu-b", 1):
                for part, profile, who in (("7", "3g.40gb", "llama-0"), ("9", "4g.40gb", None)):
                    own = labels(node, index, GPU_I_ID=part, GPU_I_PROFILE=profile)
                    for name, base in _PART.items():
                        add(own | (holder(who, "serving") if who else {}), name, at, base)
    server = {
        "pod": "llama-0",
        "namespace": "serving",
        "instance": "10.0.0.1:8000",
        "model_name": "llama-70b",
    }
    for at in range(int(end) - HOUR, int(end) + 1, STEP):
        for name, value in (("running", 12), ("waiting", 3)):
            add(server, f"vllm:num_requests_{name}", at, value)
    return "\n".join(line for found in lines.values() for line in found) + "\n# EOF\n"
