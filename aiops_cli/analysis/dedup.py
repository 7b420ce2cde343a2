"""One series out of those that replicas of one Prometheus took of the same thing.

Raw samples are joined as Thanos does (thanos-io/thanos pkg/dedup/iter.go): stay with one replica; where
it has a gap, go over to the other, and leave the first alone for twice the time between the last two
samples, so that two replicas that scrape at different moments never make the samples denser than either
took them.

The steps of an evaluated range are the same for all replicas, so there is nothing to make denser, and a
penalty would only leave holes that the other replica fills. There we change replicas at a gap and stay
until the next one: what a replica computes just after its restart (a rate over two samples) is not taken
while the other one runs on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aiops_cli.models.signals import Series

Times = list[float]
_FIRST_PENALTY = 5.0  # seconds, while no gap has been seen
_TICK = 0.001  # times are milliseconds


def one_of(replicas: Sequence[Series], *, raw: bool = False) -> Series:
    """The joined series, with the labels of the first. `raw` is for samples, not steps.

    Native histograms are joined by themselves, as floats are.
    """
    first, *others = replicas
    for other in others:
        first = _joined(first, other, _of_samples if raw else _of_steps)
    return first


def _joined(a: Series, b: Series, choose: Callable[[Times, Times], list[int]]) -> Series:
    import numpy as np

    histograms = a.histograms or b.histograms
    if a.histograms and b.histograms:
        both = (*a.histograms, *b.histograms)
        histograms = tuple(
            both[i] for i in choose([t for t, _ in a.histograms], [t for t, _ in b.histograms])
        )
    if not len(b.timestamps) or np.array_equal(a.timestamps, b.timestamps):
        return Series(a.labels, a.timestamps, a.values, histograms)
    if not len(a.timestamps):
        return Series(a.labels, b.timestamps, b.values, histograms)
    stamps, values = np.concatenate((a.timestamps, b.timestamps)), np.concatenate((a.values, b.values))
    taken = choose(a.timestamps.tolist(), b.timestamps.tolist())
    return Series(a.labels, stamps[taken], values[taken], histograms)


def _of_steps(first: Times, second: Times) -> list[int]:
    """Which of the times, `second` after `first`, are kept, in time order: each step once."""
    there = (
        {round(t / _TICK): i for i, t in enumerate(first)},
        {round(t / _TICK): len(first) + i for i, t in enumerate(second)},
    )
    taken, now = [], 0
    for step in sorted(there[0].keys() | there[1].keys()):
        if step not in there[now]:
            now = 1 - now
        taken.append(there[now][step])
    return taken


def _of_samples(first: Times, second: Times) -> list[int]:
    """The same for samples that were taken at different moments: Thanos' penalties."""
    taken: list[int] = []
    i = j = 0
    last = float("-inf")
    penalty_first = penalty_second = 0.0
    while True:
        while i < len(first) and first[i] < last + _TICK / 2 + penalty_first:
            i += 1
        while j < len(second) and second[j] < last + _TICK / 2 + penalty_second:
            j += 1
        if i == len(first) and j == len(second):
            return taken
        if j == len(second) or (i < len(first) and first[i] <= second[j]):
            penalty_second = 0.0 if j == len(second) else _penalty(first[i], last)
            penalty_first, last = 0.0, first[i]
            taken.append(i)
        else:
            penalty_first = 0.0 if i == len(first) else _penalty(second[j], last)
            penalty_second, last = 0.0, second[j]
            taken.append(len(first) + j)


def _penalty(time: float, last: float) -> float:
    return _FIRST_PENALTY if last == float("-inf") else 2 * (time - last)
