"""dcgm-exporter pages, written by hand in the documented format: no capture of a real GPU.

Names, labels and quirks are those of dcgm-exporter's internal/pkg/rendermetrics, etc/default-counters.csv and
etc/1.x-compatibility-metrics.csv: 1.x has its own names and `uuid`; 2.x and 3.x have `UUID` and `Hostname`,
with empty pod labels while idle; 4.6 and newer have `hostname`.
"""

from __future__ import annotations

from collections.abc import Mapping

MIB = {"DCGM_FI_DEV_FB_USED": 40_000.0, "DCGM_FI_DEV_FB_FREE": 40_559.0, "DCGM_FI_DEV_FB_RESERVED": 1_000.0}
BUSY: dict[str, float] = {
    "DCGM_FI_DEV_SM_CLOCK": 1_980,
    "DCGM_FI_DEV_MEM_CLOCK": 2_619,
    "DCGM_FI_DEV_GPU_TEMP": 64,
    "DCGM_FI_DEV_POWER_USAGE": 612.5,
    "DCGM_FI_DEV_GPU_UTIL": 97,
    "DCGM_FI_DEV_MEM_COPY_UTIL": 41,
    "DCGM_FI_DEV_XID_ERRORS": 0,
    **MIB,
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE": 0.96,
    "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": 0.55,
    "DCGM_FI_PROF_DRAM_ACTIVE": 0.31,
    "DCGM_FI_PROF_PCIE_TX_BYTES": 12_500_000,
}
IDLE = BUSY | {
    "DCGM_FI_DEV_GPU_UTIL": 0,
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE": 0,
    "DCGM_FI_DEV_POWER_USAGE": 72,
    "DCGM_FI_DEV_FB_USED": 0,
    "DCGM_FI_DEV_FB_FREE": 80_559,
}
NOBODY = {"container": "", "namespace": "", "pod": ""}


def holder(pod: str, namespace: str = "ml", container: str = "main") -> dict[str, str]:
    return {"container": container, "namespace": namespace, "pod": pod}


def labels(
    node: str, index: int, *, host: str = "Hostname", uuid: str = "UUID", **more: str
) -> dict[str, str]:
    """What each series of a GPU has."""
    return {
        "gpu": str(index),
        uuid: uuid_of(node, index),
        "pci_bus_id": f"00000000:{index:02X}:00.0",
        "device": f"nvidia{index}",
        "modelName": "NVIDIA H100 80GB HBM3",
        host: node,
        "DCGM_FI_DRIVER_VERSION": "550.90.07",
        **more,
    }


def uuid_of(node: str, index: int) -> str:
    return f"GPU-{abs(hash_of(node)):08x}-0000-4000-8000-{index:012x}"


def hash_of(text: str) -> int:
    """The same in every process."""
    value = 7
    for c in text:
        value = (value * 31 + ord(c)) % 0xFFFFFFFF
    return value


def page(*blocks: tuple[Mapping[str, str], Mapping[str, float]]) -> str:
    """Blocks of (labels, values by metric) as a page, metric by metric as the exporter renders them."""
    names = dict.fromkeys(name for _, values in blocks for name in values)
    lines = []
    for name in names:
        lines += [f"# HELP {name} as documented", f"# TYPE {name} gauge"]
        for found, values in blocks:
            if name in values:
                inner = ",".join(f'{k}="{v}"' for k, v in found.items())
                lines.append(f"{name}{{{inner}}} {values[name]}")
    return "\n".join(lines) + "\n"
