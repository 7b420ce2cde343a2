"""What the analysis answers: anomalies, causes and their evidence. JSON shapes are a contract."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

AnomalyType = Literal["SPIKE", "DROP", "TREND_CHANGE", "PATTERN_BREAK", "THRESHOLD_BREACH"]
Severity = Literal["HIGH", "MEDIUM", "LOW"]


WEAK_CONFIDENCE = 0.15
"""A first cause below this is a hint, and is shown as no clear cause."""


class Anomaly(Struct, frozen=True, rename="camel"):
    """An item of `anomalies detect`; times are RFC 3339, `confidence` 0 to 1."""

    id: str
    cluster: str
    labels: dict[str, str]
    start: str
    end: str
    type: AnomalyType
    severity: Severity
    confidence: float
    expected: float | None
    actual: float | None
    reason: str
    expr: str = ""
    method: str = "STATISTICAL"
    deviation: float | None = None


class Entity(Struct, frozen=True, rename="camel", order=True):
    """What can be at fault: a service, pod, node, database, link or cluster."""

    kind: str
    name: str
    namespace: str | None = None
    cluster: str | None = None


class Evidence(Struct, frozen=True, rename="camel"):
    """One observation: which signal said what, when (RFC 3339), and from where it can be read again.

    `value` and `baseline` carry the number seen and the usual one, in `unit`; `query` repeats it.
    """

    signal: Literal["metric", "log", "trace", "alert", "event", "change", "topology"]
    text: str
    at: str | None = None
    value: float | None = None
    baseline: float | None = None
    unit: str | None = None
    query: str | None = None
    entity: Entity | None = None
    score: float | None = None


class Cause(Struct, frozen=True, rename="camel"):
    """An item of `rca analyze`, best first. `chain` runs from the cause to the loudest symptom."""

    rank: int
    score: float
    confidence: float
    entity: Entity
    indicator: str
    onset: str | None
    evidence: list[Evidence] = []
    against: list[Evidence] = []
    chain: list[Entity] = []
    next_steps: list[str] = []
    blast_radius: list[Entity] = []
