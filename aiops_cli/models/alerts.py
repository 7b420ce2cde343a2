"""Alerts beyond the list: rules, detail, past periods, live changes, groups, and silences."""

from __future__ import annotations

import re
from typing import Literal

from msgspec import Struct

Labels = dict[str, str]
_CLASSIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
SilenceState = Literal["ACTIVE", "PENDING", "EXPIRED"]


class RuleAlert(Struct, frozen=True, rename="camel"):
    """An alert as its rule has it: without external labels. `value` is that of the expression."""

    labels: Labels
    annotations: Labels
    state: str
    active_at: str | None
    value: float | None


class AlertRule(Struct, frozen=True, rename="camel"):
    """An alerting rule of Prometheus; `for` in seconds. `labels` are those it adds to its alerts."""

    name: str
    group: str
    file: str
    expr: str
    for_seconds: float
    labels: Labels
    annotations: Labels
    health: str
    last_error: str
    last_evaluation: str | None
    alerts: list[RuleAlert] = []


class SilenceMatcher(Struct, frozen=True, rename="camel"):
    """One matcher as Alertmanager keeps it; its text is what `filter` takes. Old servers leave `isEqual` out, which means true."""

    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True

    def __str__(self) -> str:
        ops = {(False, True): "=", (False, False): "!=", (True, True): "=~", (True, False): "!~"}
        name = self.name if _CLASSIC.fullmatch(self.name) else _quoted(self.name)
        return f"{name}{ops[self.is_regex, self.is_equal]}{_quoted(self.value)}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


class SilenceItem(Struct, frozen=True, rename="camel"):
    """An item of `alerts silence list`. `alerts` counts those it keeps quiet now, null where not known.

    `endpoint` is the Alertmanager that holds it. Times are RFC 3339.
    """

    cluster: str
    id: str
    state: SilenceState
    matchers: list[SilenceMatcher]
    starts_at: str
    ends_at: str
    created_by: str
    comment: str
    updated_at: str | None = None
    alerts: int | None = None
    endpoint: str = ""


class RelatedMetric(Struct, frozen=True, rename="camel"):
    """A series of a rule's expression, and its value now."""

    selector: str
    labels: Labels
    value: float | None


class AlertDetail(Struct, frozen=True, rename="camel"):
    """An item of `alerts show`. What could not be read is null or empty, and `missing` says why."""

    cluster: str
    fingerprint: str
    name: str
    state: str
    severity: str | None
    labels: Labels
    annotations: Labels
    starts_at: str | None
    source: str
    receivers: list[str]
    generator_url: str | None
    runbook: str | None
    value: float | None
    rule: AlertRule | None
    metrics: list[RelatedMetric]
    silences: list[SilenceItem]
    inhibited_by: list[str]
    missing: list[str]


class AlertPeriod(Struct, frozen=True, rename="camel"):
    """An item of `alerts history`: once that an alert fired.

    `startsAt` is when it fired first in the window, and `startedBefore` says that it may have fired
    earlier. `endsAt` is null while it fires. `pendingSeconds` is how long it was pending before, null
    where that is not known. `source` is `prometheus` (ALERTS series) or `store` (what `alerts list` saw).
    """

    cluster: str
    fingerprint: str
    name: str
    severity: str | None
    labels: Labels
    starts_at: str
    ends_at: str | None
    duration_seconds: float
    pending_seconds: float | None
    started_before: bool = False
    source: str = "prometheus"


class AlertGroup(Struct, frozen=True, rename="camel"):
    """An item of `alerts list --group-by`: alerts that share the values of `labels`."""

    labels: Labels
    count: int
    firing: int
    pending: int
    suppressed: int
    resolved: int
    severity: str | None
    starts_at: str | None
    names: list[str]
    clusters: list[str]
    fingerprints: list[str]


class AlertEvent(Struct, frozen=True, rename="camel"):
    """A line of `alerts watch`. `event` is PRESENT (at the start), NEW, CHANGED or RESOLVED."""

    at: str
    event: str
    cluster: str
    fingerprint: str
    name: str
    state: str
    severity: str | None
    labels: Labels
    annotations: Labels
    starts_at: str | None
    was: str | None = None


class SilenceResult(Struct, frozen=True, rename="camel"):
    """An item of `alerts silence add`, `import` and `expire`: what became of one silence."""

    cluster: str
    id: str
    result: str
    starts_at: str | None = None
    ends_at: str | None = None
    matchers: list[SilenceMatcher] = []
    endpoint: str = ""
