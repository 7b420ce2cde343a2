"""Starts of alerts that Prometheus and Alertmanager both tell."""

from __future__ import annotations

from aiops_cli.models.alerts import AlertPeriod
from aiops_cli.models.signals import AlertItem
from aiops_cli.services.events import without_active
from aiops_cli.services.times import rfc3339

AT = 1.764e9


def period(labels: dict[str, str], at: float = AT) -> AlertPeriod:
    return AlertPeriod("c", "f", labels["alertname"], None, labels, rfc3339(at), None, 60.0, None)


def alert(labels: dict[str, str]) -> AlertItem:
    return AlertItem("c", "f", labels["alertname"], "FIRING", None, labels, {}, rfc3339(AT))


def test_one_start_told_twice_is_one() -> None:
    slow, down = {"alertname": "Slow", "pod": "a"}, {"alertname": "Down", "pod": "a"}
    periods = [period(slow), period(down), period(slow, AT - 3600), period({"alertname": "Slow", "pod": "b"})]
    left = without_active(periods, [(AT + 30, alert({**slow, "cluster": "c"}))])
    assert [p for _, p in left] == periods[1:]


def test_a_storm_of_one_rule_costs_no_square() -> None:
    storm = [{"alertname": "PodDown", "pod": f"web-{i}"} for i in range(60_000)]
    firing = [(AT, alert({**labels, "cluster": "c"})) for labels in storm[1:]]
    left = without_active([period(labels) for labels in storm], firing)
    assert [p.labels["pod"] for _, p in left] == ["web-0"]
