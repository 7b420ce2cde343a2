"""What root-cause analysis looks at: everything the services collected around one moment.

Each part may be empty: the analysis works with any subset and is less sure with less.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from aiops_cli.models.analysis import Entity
    from aiops_cli.models.findings import Finding
    from aiops_cli.models.signals import AlertItem, Change, KubeEvent, LogEntry, Series, Span, Workload
    from aiops_cli.models.timerange import TimeRange

BadDirection = Literal["up", "down", "both"]


@dataclass(frozen=True, slots=True)
class Indicator:
    """One metric series that says something about one entity.

    `name` is a short snake-case word such as "latency_p95", "error_rate", "cpu", "memory", "disk_used",
    "pool_in_use", "queue_depth" or "restarts"; its words decide whether it is read as a symptom
    (latency, errors, traffic) or as saturation of a resource. `bad` is the direction that hurts, `query`
    what gets the series again.
    """

    entity: Entity
    name: str
    series: Series
    query: str = ""
    unit: str = ""
    bad: BadDirection = "up"


@dataclass(slots=True, kw_only=True)
class Observations:
    """The signals of `window`, and for comparison those of a fault-free stretch where there is one.

    `at` is the trigger's time (the alert), unix seconds. `baseline` is the fault-free reference inside
    the indicators' own series or, with the `reference*` lists, the stretch those were read from; when it
    is None and `reference` is empty, the time before the onset is the reference. Pairs carry the cluster
    first. `findings` are what is wrong with devices (GPUs, clocks, VFs). `edges` are (caller, callee), or (who
    depends, on what), for a graph known beforehand.
    """

    window: TimeRange
    at: float
    baseline: TimeRange | None = None
    indicators: list[Indicator] = field(default_factory=list)
    reference: list[Indicator] = field(default_factory=list)
    spans: list[tuple[str, Span]] = field(default_factory=list)
    reference_spans: list[tuple[str, Span]] = field(default_factory=list)
    logs: list[tuple[Entity, LogEntry]] = field(default_factory=list)
    reference_logs: list[tuple[Entity, LogEntry]] = field(default_factory=list)
    alerts: list[AlertItem] = field(default_factory=list)
    events: list[tuple[str, KubeEvent]] = field(default_factory=list)
    changes: list[tuple[str, Change]] = field(default_factory=list)
    workloads: list[tuple[str, Workload]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    edges: list[tuple[Entity, Entity]] = field(default_factory=list)
