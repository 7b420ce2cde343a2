"""One row for one alert: rules that no single set of servers shows all of."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aiops_cli.models.signals import AlertItem
from aiops_cli.services.alert_merge import fingerprint, merge

Labels = dict[str, str]


def managed(state: str = "FIRING", starts: str = "2026-01-01T00:00:00Z", **labels: str) -> AlertItem:
    named = {"alertname": "Down", **labels}
    return AlertItem("", fingerprint(named), "Down", state, labels.get("severity"), named, {}, starts)


def ruled(state: str = "FIRING", **labels: str) -> AlertItem:
    named = {"alertname": "Down", **labels}
    return AlertItem("", "", "Down", state, None, named, {}, "2026-01-01T00:00:00Z", source="prometheus")


def test_the_fingerprint_is_alertmanagers() -> None:
    """Taken from an Alertmanager 0.25."""
    assert fingerprint({"alertname": "Always", "severity": "critical"}) == "5b2477740f3a87a9"
    assert fingerprint({"alertname": "OnlyC", "severity": "info"}) == "6815846470762612"
    assert fingerprint({}) == "cbf29ce484222325"


def test_external_labels_are_learned_where_they_are_not_told() -> None:
    rows = merge(
        [managed(pod="a", cluster="east"), managed(pod="b", cluster="east")],
        [ruled(pod="a"), ruled(pod="b"), ruled("PENDING", pod="c")],
    )
    assert sorted((a.labels["pod"], a.state) for a in rows) == [
        ("a", "FIRING"),
        ("b", "FIRING"),
        ("c", "PENDING"),
    ]
    pending = next(a for a in rows if a.state == "PENDING")
    assert pending.fingerprint == managed(pod="c", cluster="east").fingerprint


def test_an_alert_with_more_labels_of_its_own_is_another() -> None:
    """`absent(up)` beside `up == 0`: what the one has more is no external label."""
    rows = merge([managed(pod="a", cluster="east")], [ruled(), ruled(pod="a")])
    assert sorted(len(a.labels) for a in rows) == [2, 3]
    assert {a.source for a in rows} == {"alertmanager", "prometheus"}


def test_another_clusters_alert_in_a_shared_alertmanager_is_another() -> None:
    rows = merge([managed(cluster="west")], [ruled()], {"cluster": "east"})
    assert sorted(a.labels["cluster"] for a in rows) == ["east", "west"]


def test_replicas_are_one_and_the_one_that_notifies_counts() -> None:
    pair = [managed("SUPPRESSED", prometheus_replica="a"), managed(prometheus_replica="b")]
    (one,) = merge(pair, [])
    assert (one.state, one.fingerprint) == ("FIRING", pair[0].fingerprint)
    assert merge(pair[::-1], []) == [one]


def test_a_plain_replica_label_is_a_replica_only_as_an_external_label() -> None:
    pair = [managed(replica="0"), managed(replica="1")]
    assert len(merge(pair, [])) == 2  # of a database, say
    assert len(merge(pair, [ruled()], {"replica": "0"})) == 1


def test_the_same_alert_at_two_alertmanagers_keeps_the_earlier_start() -> None:
    rows = merge([managed(starts="2026-01-01T00:00:09Z"), managed(starts="2026-01-01T00:00:03Z")], [])
    assert [a.starts_at for a in rows] == ["2026-01-01T00:00:03Z"]


def test_what_fires_on_one_replica_outweighs_what_is_pending_on_the_other() -> None:
    for rows in ([ruled("PENDING"), ruled()], [ruled(), ruled("PENDING")]):
        assert [a.state for a in merge([], rows, {})] == ["FIRING"]


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.sampled_from("xy")), max_size=6))
def test_merging_is_stable_and_keeps_every_label_set(sets: list[Labels]) -> None:
    unique = {fingerprint({"alertname": "Down"} | s) for s in sets}
    rows = merge([managed(**s) for s in sets], [ruled(**s) for s in sets], {})
    assert {a.fingerprint for a in rows} == unique and len(rows) == len(unique)
    assert merge([managed(**s) for s in reversed(sets)], [], {}) == rows
