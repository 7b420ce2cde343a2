"""One GPU in words: which it is, who holds it, what it did over the range, what went wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING

from aiops_cli.models.findings import Finding
from aiops_cli.models.gpu import Gpu
from aiops_cli.render.text import age, clock, one_line, si
from aiops_cli.render.views import when
from aiops_cli.services.times import unix
from aiops_cli.tui.themes import sign

if TYPE_CHECKING:
    from aiops_cli.analysis.gpu_course import Course
    from aiops_cli.analysis.gpu_history import Past

_MOST = 4  # stretches or XIDs that are named one by one
_KINDS = {"thermal": "heat", "power": "the power limit", "hardware": "the hardware"}


def gpu_text(
    gpu: Gpu,
    past: Past | None,
    board: Past | None,
    course: Course | None,
    told: Sequence[Finding],
    zone: tzinfo | None,
) -> str:
    """`past` is of the GPU or instance over the range, `board` of the whole GPU, `told` what is wrong with it."""
    lines = [_told(f, zone) for f in told]
    lines += [*_held(gpu), *_past(past, board), *_happened(board, course, told, zone), *_hardware(gpu, told)]
    return "".join(one_line(line) + "\n" for line in lines)


def _told(finding: Finding, zone: tzinfo | None) -> str:
    since = f", since {when(finding.since, zone)[5:]}" if finding.since else ""
    return f"{sign(finding.severity)} {finding.text}{since}" + (
        f"; {finding.action}" if finding.action else ""
    )


def _held(gpu: Gpu) -> Iterator[str]:
    users = [
        f"{u.namespace or '?'}/{u.pod}"
        + (f" ({u.container})" if u.container else "")
        + (f" {u.utilization:.0f}%" if u.utilization is not None else "")
        + (f" {u.memory_used_mib / 1024:.1f} GiB" if u.memory_used_mib is not None else "")
        for u in gpu.users
    ]
    yield f"held by {', '.join(users)}" if users else "held by no pod"


def _past(past: Past | None, board: Past | None) -> Iterator[str]:
    if past is not None and past.utilization is not None:
        said = [f"{past.utilization:.0f}% used on average"]
        if past.allocated_seconds:
            said.append(
                f"held for {age(past.allocated_seconds)}"
                + (f", idle for {age(past.idle_seconds)} of it" if past.idle_seconds else "")
            )
        yield f"in this range: {'; '.join(said)}"
    shares = {} if board is None or board.throttled is None else board.throttled
    if lowered := [f"by {kind} {100 * share:.0f}%" for kind, share in shares.items() if share >= 0.005]:
        yield f"clocks lowered {', '.join(lowered)} of the range"


def _happened(
    board: Past | None, course: Course | None, told: Sequence[Finding], zone: tzinfo | None
) -> Iterator[str]:
    """XIDs that no finding tells of with its time, and stretches of lowered clocks, the newest first."""
    from aiops_cli.analysis.gpu_codes import xid

    known = {unix(f.since) for f in told if f.code == "GPU_XID"}
    xids = board.xids if board is not None and board.xids else ()
    for at, code in reversed([x for x in xids if int(x[0]) not in known][-_MOST:]):
        yield f"{clock(at, zone)[5:]}  ✖ XID {code}: {xid(code).meaning}"
    runs = course.throttled if course is not None else []
    for run in reversed(runs[-_MOST:]):
        yield f"{clock(run.start, zone)[5:]}  {run.kind[0]} clocks lowered by {_KINDS[run.kind]} for {age(run.end - run.start)}"
    if (more := len(runs) - _MOST) > 0:
        yield f"and {more} times before, within this range"


def _hardware(gpu: Gpu, told: Sequence[Finding]) -> Iterator[str]:
    clocks = [
        f"{name} {si(v)} MHz"
        for name, v in (("SM", gpu.sm_clock_mhz), ("memory", gpu.memory_clock_mhz))
        if v is not None
    ]
    if gpu.throttle_reasons is not None:
        clocks.append(
            f"lowered now by {', '.join(gpu.throttle_reasons)}" if gpu.throttle_reasons else "not lowered now"
        )
    if gpu.fan_percent is not None:
        clocks.append(f"fan {gpu.fan_percent:.0f}%")
    if clocks:
        yield f"clocks: {', '.join(clocks)}"
    rates = [
        (name, v)
        for name, v in (
            ("PCIe out", gpu.pcie_tx_bytes_per_second),
            ("in", gpu.pcie_rx_bytes_per_second),
            ("NVLink out", gpu.nvlink_tx_bytes_per_second),
            ("in", gpu.nvlink_rx_bytes_per_second),
        )
        if v is not None
    ]
    if rates:
        yield ", ".join(f"{name} {si(v, 'B/s')}" for name, v in rates)
    counted = (
        ("uncorrectable ECC", gpu.ecc_uncorrectable),
        ("corrected ECC", gpu.ecc_corrected),
        ("remapped rows", gpu.remapped_rows_uncorrectable),
        ("NVLink errors", gpu.nvlink_errors),
        ("PCIe replays", gpu.pcie_replays),
    )
    errors = [f"{name} {si(v)}" for name, v in counted if v]
    errors += ["a row remap waits for a reset"] * bool(gpu.row_remap_pending)
    errors += ["row remapping failed"] * bool(gpu.row_remap_failed)
    if gpu.xid and not any(f.code == "GPU_XID" for f in told):
        errors.append(f"last XID {gpu.xid} ({gpu.xid_meaning})")
    if errors:
        yield f"since the driver was loaded: {', '.join(errors)}"
    elif clean := [name for name, v in counted if v is not None]:
        yield f"none since the driver was loaded: {', '.join(clean)}"
    if gpu.health:
        yield f"DCGM health: {', '.join(f'{watch} {verdict}' for watch, verdict in sorted(gpu.health.items()))}"
    named = [
        gpu.model,
        gpu.mig_profile and f"MIG {gpu.mig_profile}",
        gpu.driver and f"driver {gpu.driver}",
        gpu.cuda and f"CUDA {gpu.cuda}",
        gpu.pci_bus_id and f"PCI {gpu.pci_bus_id}",
        gpu.uuid,
    ]
    if said := ", ".join(n for n in named if n):
        yield said
    if gpu.utilization_of == "GR_ENGINE_ACTIVE":
        yield "utilisation is that of the graphics engine: the exporter has no plain one of it"
    yield f"read from {gpu.source}"
