"""What one GPU did over a window, asked of its cluster."""

from __future__ import annotations

from aiops_cli.analysis.gpu import key_of
from aiops_cli.analysis.gpu_course import METRICS, Course, course
from aiops_cli.analysis.gpu_findings import key
from aiops_cli.errors import NotAvailableError
from aiops_cli.models.gpu import Gpu
from aiops_cli.models.result import Answer
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.fleet import LiveMember, Member
from aiops_cli.services.metrics import CachePolicy, range_answer
from aiops_cli.sources import dcgm


async def gpu_course(
    member: Member, gpu: Gpu, window: TimeRange, step: float, now: float, policy: CachePolicy
) -> Answer[Course]:
    """Gauges and throttling of this GPU. Raises ClusterError; NotAvailableError where it was not read from a
    Prometheus, or has no UUID to ask by."""
    if gpu.source != "prometheus":
        raise NotAvailableError(f"no past: it was read from {gpu.source}, which knows this moment alone")
    if gpu.uuid is None:
        raise NotAvailableError("no past: its exporter tells no UUID, by which it could be asked")
    live = isinstance(member, LiveMember)
    expr = dcgm.of_one(METRICS, gpu.uuid) if live else dcgm.EVERYTHING
    answer = await range_answer(member, expr, window.aligned(step), step, now, policy)
    rows = answer.rows
    if not live:  # a bundle has series as they are, of all GPUs
        rows = [s for s in rows if (found := key_of(s.labels)) is not None and found[0] == gpu.uuid]
    return Answer(
        [course(rows, key(gpu))], answer.source, answer.age_seconds, answer.warnings, answer.partial
    )
