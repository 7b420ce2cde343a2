"""A clue: one observation that speaks for one entity, and how loudly."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from aiops_cli.models.analysis import Entity, Evidence

ClueKind = Literal["origin", "symptom", "hint"]
"""origin: says where the trouble starts (a full resource, own time, the deepest error); symptom: may come
from further down (latency, error rate, an error line); hint: something happened there (event, rollout)."""


@dataclass(frozen=True, slots=True)
class Clue:
    """`strength` is 0 to 1, `onset` unix seconds, `topic` the runbook's key, `change` the absolute rise of
    a symptom (seconds, or share of failing requests) by which callers and callees are compared."""

    entity: Entity
    kind: ClueKind
    signal: str
    indicator: str
    topic: str
    strength: float
    onset: float | None
    evidence: Evidence
    change: float | None = None


def rfc3339(seconds: float | None) -> str | None:
    """Unix seconds as RFC 3339 in UTC, or None for None or what is no time."""
    if seconds is None:
        return None
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    text = moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds")
    return text.replace("+00:00", "Z")


def sortable(entity: Entity) -> tuple[str, str, str, str]:
    """What entities are sorted by: they don't compare where one has a namespace and the other has none."""
    return entity.kind, entity.name, entity.namespace or "", entity.cluster or ""


def far(sigmas: float) -> str:
    """Sigmas as text; where a series hardly moved before, the number means no more than "far"."""
    return f"{abs(sigmas):.1f}" if abs(sigmas) < 100 else ">100"


def number(value: float) -> str:
    """A number as a person reads it: three significant digits."""
    if 1000 <= abs(value) < 1e6:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) < 1e6 else f"{value:.3e}"
