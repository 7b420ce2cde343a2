"""What happened to GPUs, sample by sample: between the steps of a window, and at the edges of what is told."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from aiops_cli.analysis import gpu_history, gpu_stretches
from aiops_cli.analysis.gpu import Key, Labels, key_of
from aiops_cli.analysis.gpu_history import Past
from aiops_cli.models.signals import Series
from aiops_cli.sources import dcgm

if TYPE_CHECKING:
    from aiops_cli.models.metric_row import MetricRow
    from aiops_cli.models.result import Answer
    from aiops_cli.sources.base import MetricsSource

CLOSELY = 86_400.0
"""Seconds up to now in which XIDs are looked for sample by sample; before them, step by step."""
_AT_ONCE = 50  # GPUs of a query, which has to fit into a URL
_LOOKS = 300  # how often within the window it is looked which GPUs are there
_GOES_ON = 300.0  # seconds that a server answers with the last sample of what has ended
_EDGES = 20  # times that are looked at closely, the newest first
_SAFE = re.compile(r"[\w.-]{1,100}")
Lost = tuple[Labels, float]
"""A GPU's labels, and when it was measured last."""


async def xids(source: MetricsSource, seconds: float, at: float) -> list[Series]:
    """Every sample of the XIDs of those GPUs that had one: what comes and goes between two steps is seen too."""
    had = await source.instant(dcgm.once(gpu_history.XIDS, seconds), at)
    return await _scraped(source, gpu_history.XIDS, [r.labels for r in had.rows], seconds, at)


async def _scraped(
    source: MetricsSource, metrics: Sequence[str], gpus: Sequence[Labels], seconds: float, at: float
) -> list[Series]:
    found: list[Series] = []
    for label in ("UUID", "uuid"):
        uuids = sorted({u for labels in gpus if _SAFE.fullmatch(u := labels.get(label, ""))})
        for first in range(0, len(uuids), _AT_ONCE):
            some = uuids[first : first + _AT_ONCE]
            answer = await source.instant(dcgm.scraped(metrics, label, some, seconds), at)
            found += as_series(answer)
    return found


def as_series(answer: Answer[MetricRow]) -> list[Series]:
    """The samples of an instant answer's rows, as arrays."""
    import numpy as np

    return [Series(r.labels, np.asarray(r.times), np.asarray(r.values)) for r in answer.rows]


async def lost(source: MetricsSource, seconds: float, at: float) -> list[Lost]:
    """GPUs that had metrics within the last `seconds` and have none now. In windows over a day, those that were
    there for less than a 300th of it are found only if they ended within the last one."""
    each = max(60.0, seconds / _LOOKS)
    if each <= _GOES_ON:
        return _labelled(await source.instant(dcgm.gone(seconds, each), at))
    reach = each + _GOES_ON

    async def finer(moment: float) -> list[Lost]:
        return _labelled(await source.instant(dcgm.gone(reach + _GOES_ON, 60.0), moment))

    answer, recent = await asyncio.gather(source.instant(dcgm.gone(seconds, each), at), finer(at))
    found = _labelled(answer)
    newest = sorted({when for _, when in found if when + reach < at}, reverse=True)[:_EDGES]
    closer = [*await asyncio.gather(*(finer(when + reach) for when in newest))]
    last = {_id(labels): when for one in (*reversed(closer), recent) for labels, when in one}
    whole = {_id(labels): (labels, when) for labels, when in (*recent, *found)}
    return [(labels, last.get(which, when)) for which, (labels, when) in whole.items()]


def _labelled(answer: Answer[MetricRow]) -> list[Lost]:
    return [(r.labels, float(r.values[-1])) for r in answer.rows]


def _id(labels: Labels) -> frozenset[tuple[str, str]]:
    return frozenset(labels.items())


async def edges(
    source: MetricsSource,
    series: Sequence[Series],
    pasts: dict[Key, Past],
    judge: Callable[[Sequence[Series]], dict[Key, Past]],
    at: float,
    step: float,
) -> list[str]:
    """Puts the times in `pasts` that are those of steps right, by the samples before them; returns what is left
    to say."""
    wanted: dict[float, set[str]] = {}
    for (board, _), past in pasts.items():
        for when in _coarse(past, at, step):
            wanted.setdefault(when, set()).add(board)
    if not wanted:
        return []
    labels_of = {key[0]: s.labels for s in series if (key := key_of(s.labels)) is not None}
    metrics = (*gpu_history.USE, *gpu_history.XIDS, *gpu_stretches.METRICS)
    newest = sorted(wanted, reverse=True)
    answers = await asyncio.gather(
        *(
            _scraped(source, metrics, [labels_of[b] for b in wanted[when]], step + 1, when)
            for when in newest[:_EDGES]
        )
    )
    boards = {board for when in newest[:_EDGES] for board in wanted[when]}
    some = [s for s in series if (key := key_of(s.labels)) is not None and key[0] in boards]
    for key, finer in judge([*some, *(s for a in answers for s in a)]).items():
        if (one := pasts.get(key)) is not None:
            one.idle_since, one.idle_before = finer.idle_since, finer.idle_before
            one.xids, one.stretches = finer.xids, finer.stretches
    if len(newest) <= _EDGES:
        return []
    return [f"of {len(newest) - _EDGES} older times only the sample is told, one each {step / 60:g} min"]


def _coarse(past: Past, at: float, step: float) -> list[float]:
    """The steps of what happened before them, or before the next one."""
    found = [when for when, _ in past.xids or () if when < at - CLOSELY]
    if past.idle_since is not None and not past.idle_before:
        found.append(past.idle_since)
    for stretch in past.stretches.values():
        if stretch.since is not None:
            found.append(stretch.since)
        if stretch.until is not None:
            found.append(min(stretch.until + step, at))
    return found
