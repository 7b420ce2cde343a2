"""The range cache: series by aligned step, of which only the missing steps are fetched again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aiops_cli.models.signals import Series
from aiops_cli.models.timerange import TimeRange
from aiops_cli.store.notices import Notices


@dataclass(frozen=True, slots=True)
class RangeKey:
    """Everything that changes the answer of a range query, besides its window.

    `identity` is a hash of who asks (never a secret itself), `flags` names dedup, partial response
    and the like; `step` is in seconds.
    """

    cluster: str
    endpoint: str
    tenant: str
    identity: str
    expr: str
    step: float
    flags: str = ""


@dataclass(frozen=True, slots=True)
class Hit:
    """What the cache has of a window.

    `missing` are the aligned ranges to fetch, both ends asked for. `age_seconds` is how long ago the
    oldest part that is served was fetched; 0 when nothing is.
    """

    series: list[Series] = field(default_factory=list)
    missing: list[TimeRange] = field(default_factory=list)
    age_seconds: float = 0


class RangeCache:
    """Cached range answers under `root`, shared with every other process without a lock."""

    def __init__(
        self,
        root: Path,
        *,
        max_bytes: int = 2 * 2**30,
        unsettled: float = 300.0,
        notices: Notices | None = None,
    ) -> None:
        raise NotImplementedError

    def lookup(self, key: RangeKey, window: TimeRange, now: float, max_age: float | None = None) -> Hit:
        """The cached steps of `window`, cut to multiples of the step, and the ranges to fetch."""
        raise NotImplementedError

    def add(self, key: RangeKey, window: TimeRange, series: Sequence[Series], now: float) -> None:
        """Keep a complete answer for `window`, asked at `now` (before the request was sent).

        Never raises on disk trouble: it says so once and the command goes on without a cache.
        """
        raise NotImplementedError


def merge(cached: Sequence[Series], fetched: Sequence[Series]) -> list[Series]:
    """Both by labels, each time once, `fetched` winning; in Prometheus's order of labels."""
    raise NotImplementedError
