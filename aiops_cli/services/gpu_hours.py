"""GPU hours in long windows: counted finer than the window's steps, by the server.

A sample each four hours says little of a job of two. What the server counts for each step comes from the
range cache as other ranges do; the pieces before the first step and after the last one are asked anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiops_cli.analysis.gpu import Key, key_of
from aiops_cli.errors import ClusterError
from aiops_cli.models.result import Answer
from aiops_cli.models.signals import Series
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.gpu_closely import as_series
from aiops_cli.sources import dcgm

if TYPE_CHECKING:
    from aiops_cli.sources.base import MetricsSource

FINE = 60.0
"""Seconds between the samples that hours are counted by."""
_FINER = (FINE, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0)
_MOST = 10_000_000
"""Samples of one query: a fifth of what a Prometheus allows by default."""
Ranged = Callable[[str, TimeRange, float], Awaitable[Answer[Series]]]


@dataclass(slots=True)
class Hours:
    """Allocated and idle seconds of each GPU and instance that was held, and what there is to say of them."""

    seconds: dict[Key, tuple[float, float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


async def hours(
    source: MetricsSource,
    ranged: Ranged,
    held: str,
    idle_below: float,
    window: TimeRange,
    at: float,
    step: float,
    gpus: int,
) -> Hours:
    """`held` is PromQL for the utilisation of held GPUs, of which there are about `gpus`. A server that can't
    count that much is no error: hours by steps are what is left."""
    wanted = gpus * window.seconds / _MOST
    fine = next((s for s in _FINER if s >= wanted and s < step and step % s == 0), step)
    inner = window.aligned(step)

    async def counted(expr: str) -> dict[Key, float]:
        buckets = dcgm.times_counted(expr, step, fine)
        asked = (
            [ranged(buckets, TimeRange(inner.start + step, inner.end), step)] if inner.seconds >= step else []
        )
        pieces = [(inner.start, inner.start - window.start), (at, at - inner.end)]
        answers = await asyncio.gather(
            _all(asked),
            *(_piece(source, dcgm.times_counted(expr, s, fine), t) for t, s in pieces if s >= fine),
        )
        found: dict[Key, float] = {}
        for one in (one for answer in answers for one in answer):
            if (key := key_of(one.labels)) is not None:
                found[key] = found.get(key, 0.0) + fine * float(one.values.sum())
        return found

    try:
        allocated, idle = await asyncio.gather(counted(held), counted(f"{held} < {idle_below:g}"))
    except ClusterError as error:
        return Hours(notes=[f"GPU hours are those of samples each {step / 60:.3g} min: {error.message}"])
    notes = [f"GPU hours are counted each {fine / 60:.3g} min"] if fine > FINE else []
    return Hours({key: (seconds, idle.get(key, 0.0)) for key, seconds in allocated.items()}, notes)


async def _all(asked: list[Awaitable[Answer[Series]]]) -> list[Series]:
    return [s for answer in await asyncio.gather(*asked) for s in answer.rows]


async def _piece(source: MetricsSource, expr: str, at: float) -> list[Series]:
    return as_series(await source.instant(expr, at))
