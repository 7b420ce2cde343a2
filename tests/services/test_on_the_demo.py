"""Commands on the shipped bundle, as a person without a cluster would use them."""

from __future__ import annotations

import pytest

from tests.conftest import Aiops


def test_an_alert_is_shown_by_the_start_of_its_fingerprint(aiops: Aiops) -> None:
    listed = aiops("alerts", "list", "--bundle", "demo", "--severity", "critical", "-o", "json").json["items"]
    chosen = listed[0]
    shown = aiops("alerts", "show", chosen["fingerprint"][:8], "--bundle", "demo")
    assert shown.returncode == 0
    assert chosen["name"] in shown.stdout
    assert chosen["annotations"]["summary"] in shown.stdout


def test_an_alert_is_shown_by_its_name(aiops: Aiops) -> None:
    shown = aiops("alerts", "show", "CatalogErrors", "--bundle", "demo", "-o", "json")
    assert shown.returncode == 0
    assert {(a["name"], a["cluster"]) for a in shown.json["items"]} == {
        ("CatalogErrors", cluster) for cluster in ("east", "north", "west")
    }


def test_what_is_related_to_alerts_comes_in_their_order_and_names_all_of_them(aiops: Aiops) -> None:
    found = aiops("alerts", "list", "--related", "--bundle", "demo", "-o", "json").json["items"]
    origins = list(dict.fromkeys((i["cluster"], i["origin"]) for i in found))
    assert origins == [
        ("west", "alert CheckoutErrors"),
        ("west", "alert FrontendLatency, alert FrontendErrors"),
        *(("east", "alert CatalogErrors"), ("west", "alert CatalogErrors"), ("north", "alert CatalogErrors")),
    ]


def test_kinds_and_namespaces_that_nothing_is_of_are_told_with_those_there_are(aiops: Aiops) -> None:
    kind = aiops("events", "--kind", "Bogus", "--bundle", "demo")
    assert kind.returncode == 0
    assert "nothing is of kind 'Bogus'; there are: " in kind.stderr and "'Pod'" in kind.stderr
    namespace = aiops("events", "-n", "nosuch", "--bundle", "demo")
    assert (
        "nothing is of namespace 'nosuch'; there are: " in namespace.stderr and "'shop'" in namespace.stderr
    )
    assert "there are" not in aiops("events", "--kind", "Bogus", "--bundle", "demo", "-q").stderr


def test_an_alert_that_is_not_there_is_not_found(aiops: Aiops) -> None:
    shown = aiops("alerts", "show", "ffffffffffff", "--bundle", "demo")
    assert shown.returncode == 4
    assert "no chosen cluster has an active alert" in shown.stderr and "alerts list" in shown.stderr
    related = aiops("alerts", "show", "ffffffffffff", "--related", "--bundle", "demo")
    assert (related.returncode, related.stderr) == (4, shown.stderr)


def test_a_slow_trace_is_found_and_shown_as_a_waterfall(aiops: Aiops) -> None:
    found = aiops(
        "traces", "search", "--service", "ledger", "--error", "--slowest", "--bundle", "demo", "-o", "name"
    )
    trace_id = found.stdout.split()[0]
    shown = aiops("traces", "show", trace_id, "--bundle", "demo")
    assert shown.returncode == 0
    assert "ledger POST /entries" in shown.stdout and "━" in shown.stdout and "✗" in shown.stdout


def test_a_search_for_a_part_of_traces_says_so(aiops: Aiops) -> None:
    search = ("traces", "search", "--bundle", "demo")
    note = "note: parts of a trace in clusters where nothing matched are not counted"
    assert note in aiops(*search, "--service", "checkout").stderr
    assert note not in aiops(*search, "--service", "checkout", "-q").stderr
    assert note not in aiops(*search, "--service", "checkout", "-c", "west").stderr
    assert note not in aiops(*search).stderr


def test_a_trace_that_is_not_there_is_said(aiops: Aiops) -> None:
    shown = aiops("traces", "show", "00000000000000000000000000000001", "--bundle", "demo")
    assert shown.returncode == 4
    assert "no chosen cluster has trace" in shown.stderr


def test_a_query_that_was_not_recorded_is_refused_with_what_was(aiops: Aiops) -> None:
    asked = aiops("metrics", "query", "sum(rate(never_recorded_total[5m]))", "--bundle", "demo")
    assert asked.returncode == 4
    assert "this bundle does not hold the query 'sum(rate(never_recorded_total[5m]))'" in asked.stderr
    assert "recorded: @" in asked.stderr and "@service-errors" in asked.stderr
    assert "raw series" in asked.stderr and "__name__=~" not in asked.stderr
    assert "Traceback" not in asked.stderr


def test_a_bare_selector_is_answered_from_the_raw_series(aiops: Aiops) -> None:
    asked = aiops("metrics", "query", 'up{job="ledger"}', "--bundle", "demo", "-o", "json").json
    assert {item["labels"]["job"] for item in asked["items"]} == {"ledger"}
    assert {cluster["source"] for cluster in asked["clusters"]} == {"bundle"}


def test_sql_sees_the_analyses_that_were_made(aiops: Aiops) -> None:
    assert aiops("rca", "analyze", "--bundle", "demo", "-o", "json").returncode == 0
    rows = aiops("sql", "select cluster, name from rca where rank = 1", "-o", "json").json["items"]
    assert rows and rows[0]["name"]
    listed = aiops("rca", "list", "-o", "json").json["items"]
    shown = aiops("rca", "show", listed[0]["id"], "-o", "json").json
    assert shown["items"][0]["entity"]["name"] == rows[0]["name"]


@pytest.mark.parametrize("trigger", ["--alert", "--at"])
def test_a_moment_outside_of_the_range_is_looked_at_around_itself(aiops: Aiops, trigger: str) -> None:
    alerts = aiops("alerts", "list", "--bundle", "demo", "-c", "west", "-o", "json").json["items"]
    alert = next(a for a in alerts if a["name"] == "CheckoutErrors")
    named = alert["fingerprint"] if trigger == "--alert" else alert["startsAt"]
    found = aiops("rca", "analyze", trigger, named, "--since", "1m", "--bundle", "demo", "-o", "json").json
    assert found["window"]["start"] < alert["startsAt"] < found["window"]["end"]
    assert found["items"][0]["entity"]["name"] == "ledger"
