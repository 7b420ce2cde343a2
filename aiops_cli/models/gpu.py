"""GPUs, their processes, and what a fleet of them is doing. JSON shapes are a contract.

A field's name says its unit; what no source said is null, never zero.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

GpuSource = Literal["prometheus", "dcgm", "nvidia-smi"]


class GpuUser(Struct, frozen=True, rename="camel"):
    """A container that holds a GPU. `utilization` (0 to 100) and memory are its own share, where the
    exporter tells it (4.5 and newer, time-slicing)."""

    namespace: str | None
    pod: str
    container: str | None = None
    utilization: float | None = None
    memory_used_mib: float | None = field(default=None, name="memoryUsedMiB")


class Gpu(Struct, frozen=True, kw_only=True, rename="camel"):
    """An item of `gpu nodes` and `gpu top`: one GPU, or one MIG instance of it.

    `utilization` and `memoryUtilization` are percent; `smActive`, `smOccupancy`, `tensorActive` and
    `dramActive` ratios from 0 to 1. `xid` is the last code, however long ago; 0 is none. `pod` is the first
    of `users`. `utilizationOf` names the metric it was read from. `at` is when it was read (RFC 3339).
    Without `holdersKnown` nobody tells who holds it: no user is no answer then.
    Counters (ECC, remapped rows, replays, NVLink errors) count since the driver was loaded.
    """

    cluster: str
    node: str | None = None
    index: int | None = None
    uuid: str | None = None
    model: str | None = None
    mig_profile: str | None = None
    utilization: float | None = None
    memory_used_mib: float | None = field(default=None, name="memoryUsedMiB")
    memory_total_mib: float | None = field(default=None, name="memoryTotalMiB")
    temperature_c: float | None = None
    power_w: float | None = None
    xid: int | None = None
    namespace: str | None = None
    pod: str | None = None
    source: GpuSource = "prometheus"
    at: str | None = None
    container: str | None = None
    users: list[GpuUser] = []
    mig_instance: str | None = None
    pci_bus_id: str | None = None
    driver: str | None = None
    cuda: str | None = None
    utilization_of: str | None = None
    memory_free_mib: float | None = field(default=None, name="memoryFreeMiB")
    memory_reserved_mib: float | None = field(default=None, name="memoryReservedMiB")
    memory_utilization: float | None = None
    sm_active: float | None = None
    sm_occupancy: float | None = None
    tensor_active: float | None = None
    dram_active: float | None = None
    memory_temperature_c: float | None = None
    power_limit_w: float | None = None
    sm_clock_mhz: float | None = field(default=None, name="smClockMHz")
    memory_clock_mhz: float | None = field(default=None, name="memoryClockMHz")
    throttle_reasons: list[str] | None = None
    fan_percent: float | None = None
    pcie_tx_bytes_per_second: float | None = None
    pcie_rx_bytes_per_second: float | None = None
    nvlink_tx_bytes_per_second: float | None = None
    nvlink_rx_bytes_per_second: float | None = None
    pcie_replays: float | None = None
    nvlink_errors: float | None = None
    ecc_corrected: float | None = None
    ecc_uncorrectable: float | None = None
    remapped_rows_corrected: float | None = None
    remapped_rows_uncorrectable: float | None = None
    row_remap_failed: bool | None = None
    row_remap_pending: bool | None = None
    pages_pending: float | None = None
    xid_meaning: str | None = None
    xid_counts: dict[str, int] = {}
    health: dict[str, str] = {}
    holders_known: bool = True


class GpuProcess(Struct, frozen=True, rename="camel"):
    """An item of `gpu processes`. `type` is C (compute), G (graphics) or both; `pid` that of the host."""

    cluster: str
    node: str | None
    index: int | None
    uuid: str | None
    mig_instance: str | None
    pid: int
    name: str
    type: str | None
    memory_used_mib: float | None = field(name="memoryUsedMiB")
    namespace: str | None = None
    pod: str | None = None
    container: str | None = None
    source: GpuSource = "nvidia-smi"


class GpuSummary(Struct, frozen=True, rename="camel"):
    """An item of `gpu summary`: the GPUs of one model in one cluster; `*` in the totals.

    `gpus` counts physical ones, `migInstances` their parts. `units` are what can be scheduled, of which
    `allocated` to `free` count some (null where nobody tells who holds GPUs, or of no utilisation): a GPU that is
    not divided, or a MIG instance. `gone` were measured within the window, are not any more, and count in none
    of the others. GPU hours weigh an instance by its share of the GPU, and
    are null where no history could be had. `powerW` counts each physical GPU once.
    """

    cluster: str
    model: str
    gpus: int
    mig_instances: int
    units: int
    allocated: int | None
    used: int | None
    idle_allocated: int | None
    free: int | None
    hot: int
    erroring: int
    utilization: float | None
    memory_used_mib: float | None = field(name="memoryUsedMiB")
    memory_total_mib: float | None = field(name="memoryTotalMiB")
    power_w: float | None
    allocated_gpu_hours: float | None
    idle_gpu_hours: float | None
    gone: int = 0


class GpuInference(Struct, frozen=True, rename="camel"):
    """An item of `gpu inference`: a model server, and the GPUs its pod holds as NODE/INDEX.

    `kvCacheUsage` is a ratio from 0 to 1.
    """

    cluster: str
    namespace: str | None
    pod: str | None
    server: str
    model: str | None
    running: float | None
    waiting: float | None
    kv_cache_usage: float | None
    first_token_p50_seconds: float | None
    first_token_p95_seconds: float | None
    tokens_per_second: float | None
    gpus: list[str] = []
    gpu_utilization: float | None = None
    gpu_memory_used_mib: float | None = field(default=None, name="gpuMemoryUsedMiB")
    instance: str | None = None


class GpuThresholds(Struct, frozen=True):
    """What makes a finding; the keys of [gpu] in config. Utilisation and memory in percent, temperatures in
    °C, times in minutes, `throttled` as percent of the window, `straggler` in robust deviations."""

    idle_utilization: float = 5.0
    idle_minutes: float = 30.0
    memory_full: float = 95.0
    temperature_warning: float = 80.0
    temperature_critical: float = 90.0
    throttled: float = 10.0
    nvlink_errors: float = 1.0
    straggler: float = 6.0
    straggler_peers: int = 4
