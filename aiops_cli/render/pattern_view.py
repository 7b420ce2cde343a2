"""How patterns of log lines look in tables."""

from __future__ import annotations

from collections.abc import Collection

from aiops_cli.models.patterns import PatternItem
from aiops_cli.render.output import Column, View
from aiops_cli.render.views import ago
from aiops_cli.services.times import unix


def pattern_view(now: float, asked: int, sampled: Collection[str] = ()) -> View[PatternItem]:
    """`now` is what ages are told from (unix seconds), `asked` how many clusters were, `sampled` the names of
    those of which not all lines were read: counts then are the least there are, shares an estimate."""

    def age_of(text: str) -> str:
        seen = unix(text)
        return ago(None if seen is None else now - seen)

    def count(p: PatternItem) -> str:
        least = any(c.cluster in sampled for c in p.clusters)
        return f"≥{p.count}" if least else str(p.count)

    def share(p: PatternItem) -> str:
        return f"~{_percent(p.share)}" if sampled else _percent(p.share)

    return View(
        "LogPatternList",
        [
            Column("clusters", lambda p: _clusters(p, asked), plain=lambda p: _counts(p, ",")),
            Column("level", lambda p: p.level),
            Column("count", count, right=True, plain=lambda p: p.count),
            Column("share", share, right=True, plain=lambda p: p.share),
            Column("growth", _growth, right=True, plain=_growth_value),
            Column("first", lambda p: age_of(p.first_seen), right=True, plain=lambda p: p.first_seen),
            Column("last", lambda p: age_of(p.last_seen), right=True, plain=lambda p: p.last_seen),
            Column("pattern", lambda p: p.pattern),
            Column(
                "baseline",
                lambda p: _number(p.baseline_count),
                right=True,
                wide=True,
                plain=lambda p: p.baseline_count,
            ),
            Column("by cluster", lambda p: _counts(p, " "), wide=True),
            Column("example", lambda p: p.example, wide=True),
            Column("id", lambda p: p.id, wide=True),
        ],
        lambda p: p.pattern,
    )


def _clusters(p: PatternItem, asked: int) -> str:
    names = [c.cluster for c in p.clusters if c.count]
    return names[0] if len(names) == 1 else f"{len(names)} of {asked}"


def _counts(p: PatternItem, separator: str) -> str:
    return separator.join(f"{c.cluster}={c.count}" for c in p.clusters if c.count)


def _growth(p: PatternItem) -> str:
    if p.new:
        return "NEW"
    return "-" if p.ratio is None else f"×{p.ratio:.3g}"


def _growth_value(p: PatternItem) -> float | None:
    """For sorting and CSV: what is new grew without end."""
    return float("inf") if p.new else p.ratio


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.001 else "<0.1%"


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)
