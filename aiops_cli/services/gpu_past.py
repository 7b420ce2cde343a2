"""The past of one cluster's GPUs: what they did over the window, when an XID came, and which are gone."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiops_cli.analysis import gpu_history
from aiops_cli.analysis.gpu import Key, Labels, key_of
from aiops_cli.analysis.gpu_gone import Gone, gone
from aiops_cli.analysis.gpu_history import Past
from aiops_cli.models.gpu import Gpu
from aiops_cli.models.result import Answer
from aiops_cli.models.samples import Sample
from aiops_cli.models.signals import Series
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.fleet import LiveMember, Member
from aiops_cli.services.metrics import CachePolicy, range_answer
from aiops_cli.sources import dcgm

if TYPE_CHECKING:
    from aiops_cli.sources.base import MetricsSource

_CLOSELY = 86_400.0
"""Seconds of a window in which XIDs are looked for sample by sample; in a longer one, step by step."""
_AT_ONCE = 50  # GPUs of a query, which has to fit into a URL
_LOOKS = 300  # how often within the window it is looked which GPUs are there
_SAFE = re.compile(r"[\w.-]{1,100}")


@dataclass(slots=True)
class Times:
    """When to look at. `at` is the instant that the present is of, `now` the clock's."""

    window: TimeRange
    step: float
    at: float
    now: float
    policy: CachePolicy


@dataclass(slots=True)
class Known:
    """What a cluster's GPUs did, and those that are gone."""

    pasts: dict[Key, Past] = field(default_factory=dict)
    gone: list[Gone] = field(default_factory=list)


async def known(
    member: Member,
    rows: Sequence[Gpu],
    samples: Sequence[Sample],
    exporters: Collection[str],
    times: Times,
    idle_below: float,
) -> Answer[Known]:
    """The past of these GPUs and of those that are gone; `samples` are what is measured now. Raises
    ClusterError."""
    window = times.window.aligned(times.step)
    source = await member.metrics()
    live = isinstance(member, LiveMember)
    seconds = max(times.at - window.start, times.step)

    async def lost() -> list[Labels]:
        if not live:
            return []
        return [
            r.labels
            for r in (
                await source.instant(dcgm.gone(seconds, max(times.step, seconds / _LOOKS)), times.at)
            ).rows
        ]

    if live and not rows and not await lost():
        return Answer([Known()])
    expr = dcgm.values(gpu_history.METRICS, more=False) if live else dcgm.EVERYTHING
    closely = _closely(source, seconds, times.at) if live and seconds <= _CLOSELY else _nothing()
    past = range_answer(member, expr, window, times.step, times.now, times.policy)
    ended, history, xids = await asyncio.gather(lost(), past, closely)
    series = [*history.rows, *xids, *_present(samples, times.at)]
    pasts = gpu_history.past(series, window, times.step, idle_below, exporters)
    labels = ended if live else [s.labels for s in history.rows if key_of(s.labels)]
    found = Known(pasts, gone(labels, rows, pasts, member.name))
    return Answer([found], history.source, history.age_seconds, history.warnings, history.partial)


async def _nothing() -> list[Series]:
    return []


async def _closely(source: MetricsSource, seconds: float, at: float) -> list[Series]:
    """Every sample of the XIDs of those GPUs that had one: what comes and goes between two steps is seen too."""
    import numpy as np

    had = await source.instant(dcgm.once(gpu_history.XIDS, seconds), at)
    found: list[Series] = []
    for label in ("UUID", "uuid"):
        uuids = sorted({u for r in had.rows if _SAFE.fullmatch(u := r.labels.get(label, ""))})
        for first in range(0, len(uuids), _AT_ONCE):
            some = uuids[first : first + _AT_ONCE]
            answer = await source.instant(dcgm.scraped(gpu_history.XIDS, label, some, seconds), at)
            found += [Series(r.labels, np.asarray(r.times), np.asarray(r.values)) for r in answer.rows]
    return found


def _present(samples: Sequence[Sample], at: float) -> list[Series]:
    """What is measured now is the last point."""
    import numpy as np

    wanted = frozenset(gpu_history.METRICS)
    when = np.array([at])
    return [
        Series({**labels, "__name__": name}, when, np.array([value]))
        for name, labels, value in samples
        if name in wanted
    ]
