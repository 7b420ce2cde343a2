"""What NVIDIA's numbers mean: XID codes, reasons for lower clocks.

XIDs: dcgm-exporter's internal/pkg/collector/xid_errors.go and NVIDIA's "Xid errors" guide; clock event
reasons: clock_events_collector.go, the bits of nvmlClocksEventReasons.
"""

from __future__ import annotations

from typing import NamedTuple

from aiops_cli.models.findings import FindingSeverity

_RESET = "drain the node and reset the GPU; if it comes back, have the board replaced"
_REPLACE = "drain the node, and have the board replaced"
_APP = "look at the application's own log first: mostly its bug"
_DRIVER = "reset the GPU; if it comes back, update driver and firmware"
_LINK = "check NVLink cables, switches and the fabric manager (nvidia-smi nvlink -s)"


class Xid(NamedTuple):
    """A code's meaning, what to do, and how bad it is."""

    meaning: str
    action: str
    severity: FindingSeverity


def _app(meaning: str) -> Xid:
    return Xid(meaning, _APP, "warning")


def _hardware(meaning: str, action: str = _RESET) -> Xid:
    return Xid(meaning, action, "critical")


_XIDS: dict[int, Xid] = {
    13: _app("graphics engine exception"),
    31: _app("GPU memory page fault"),
    32: _app("invalid or corrupted push buffer stream"),
    38: Xid("driver firmware error", _DRIVER, "warning"),
    43: _app("GPU stopped processing"),
    44: Xid("context switch fault", _DRIVER, "warning"),
    45: Xid("preemptive cleanup after earlier errors", "look at the XIDs before it", "warning"),
    48: _hardware("double-bit ECC error"),
    54: _hardware("auxiliary power is not connected", "check the power cables of the board"),
    59: _hardware("internal micro-controller error"),
    61: _hardware("internal micro-controller breakpoint"),
    62: _hardware("internal micro-controller halt"),
    63: Xid("a page was retired or a row remapped", "reset the GPU at the next occasion", "warning"),
    64: _hardware("page retirement or row remapping failed", _REPLACE),
    68: Xid("video decoder exception", _DRIVER, "warning"),
    69: Xid("graphics engine class error", _DRIVER, "warning"),
    74: _hardware("NVLink error", _LINK),
    79: _hardware("GPU has fallen off the bus", "reboot the node; check power, seating and PCIe"),
    92: Xid("high rate of single-bit ECC errors", "watch it; plan a replacement", "warning"),
    94: Xid("contained ECC error", "restart the application, and reset the GPU when it is free", "warning"),
    95: _hardware("uncontained ECC error"),
    109: Xid("context switch timeout", _DRIVER, "warning"),
    110: _hardware("security fault"),
    119: _hardware("GSP RPC timeout", _DRIVER),
    120: _hardware("GSP error", _DRIVER),
    121: _hardware("C2C link error"),
    123: _hardware("SPI PMU RPC write failure"),
    136: _hardware("link training failed", _LINK),
    137: Xid("NVLink privilege error", _APP, "warning"),
    140: _hardware("unrecovered ECC error"),
    143: _hardware("GPU initialization failure"),
    **{code: _hardware("NVLink 5 error", _LINK) for code in range(144, 151)},
    154: Xid("recovery action changed", "the kernel log says which: reset, reboot or drain", "critical"),
    155: Xid("NVLink error, defined by software", _LINK, "warning"),
    156: Xid("resource retirement", "reset the GPU at the next occasion", "warning"),
    157: _hardware("resource retirement failed", _REPLACE),
    158: _hardware("GPU fatal timeout"),
    167: _hardware("PCIe fatal timeout"),
    169: _hardware("internal micro-controller halt"),
    171: _hardware("uncorrectable DRAM error"),
    172: _hardware("uncorrectable SRAM error"),
}
_UNKNOWN = "look it up in NVIDIA's list of Xid errors, and read the kernel log (NVRM: Xid)"

_REASONS = (
    (0x1, "gpu_idle"),
    (0x2, "clocks_setting"),
    (0x4, "power_cap"),
    (0x8, "hw_slowdown"),
    (0x10, "sync_boost"),
    (0x20, "sw_thermal"),
    (0x40, "hw_thermal"),
    (0x80, "hw_power_brake"),
    (0x100, "display_clocks"),
)
THERMAL = frozenset({"sw_thermal", "hw_thermal"})
POWER = frozenset({"power_cap", "hw_power_brake"})
SLOWDOWN = "hw_slowdown"


def xid(code: int) -> Xid:
    """What a code means; an unknown one says so."""
    return _XIDS.get(code) or Xid("an error that is not in our table", _UNKNOWN, "warning")


def throttle_reasons(mask: int) -> list[str]:
    """The names of the bits that are set; an unknown one as its number."""
    named = [name for bit, name in _REASONS if mask & bit]
    rest = mask & ~0x1FF
    return [*named, *([hex(rest)] if rest else [])]
