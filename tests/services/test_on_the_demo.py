"""Commands on the shipped bundle, as a person without a cluster would use them."""

from __future__ import annotations

from tests.conftest import Aiops


def test_an_alert_is_shown_by_the_start_of_its_fingerprint(aiops: Aiops) -> None:
    listed = aiops("alerts", "list", "--bundle", "demo", "--severity", "critical", "-o", "json").json["items"]
    chosen = listed[0]
    shown = aiops("alerts", "show", chosen["fingerprint"][:8], "--bundle", "demo")
    assert shown.returncode == 0
    assert chosen["name"] in shown.stdout
    assert chosen["annotations"]["summary"] in shown.stdout


def test_an_alert_that_is_not_there_is_wrong_usage(aiops: Aiops) -> None:
    shown = aiops("alerts", "show", "ffffffffffff", "--bundle", "demo")
    assert shown.returncode == 2
    assert "no active alert" in shown.stderr and "alerts list" in shown.stderr
    related = aiops("alerts", "show", "ffffffffffff", "--related", "--bundle", "demo")
    assert (related.returncode, related.stderr) == (2, shown.stderr)


def test_a_slow_trace_is_found_and_shown_as_a_waterfall(aiops: Aiops) -> None:
    found = aiops(
        "traces", "search", "--service", "ledger", "--error", "--slowest", "--bundle", "demo", "-o", "name"
    )
    trace_id = found.stdout.split()[0]
    shown = aiops("traces", "show", trace_id, "--bundle", "demo")
    assert shown.returncode == 0
    assert "ledger POST /entries" in shown.stdout and "━" in shown.stdout and "✗" in shown.stdout


def test_a_trace_that_is_not_there_is_said(aiops: Aiops) -> None:
    shown = aiops("traces", "show", "00000000000000000000000000000001", "--bundle", "demo")
    assert shown.returncode == 2
    assert "no chosen cluster has trace" in shown.stderr


def test_a_query_that_was_not_recorded_is_refused_with_what_was(aiops: Aiops) -> None:
    asked = aiops("metrics", "query", "sum(rate(never_recorded_total[5m]))", "--bundle", "demo")
    assert asked.returncode == 4
    assert "NOT_RECORDED" in asked.stderr and "recorded:" in asked.stderr
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
