"""From an alert to metrics, logs, a trace and events by `--related` alone, on real servers with a real fault.

Each step runs the command that the step before told.
"""

from __future__ import annotations

import shlex
import time
from typing import Any

import pytest

from tests.conftest import INCIDENT_SECONDS, Aiops, Finished
from tests.servers.fleet import Fleet

pytestmark = pytest.mark.timeout(900)  # the waits of the fixture


def until(aiops: Aiops, incident: Fleet, *args: str, text: str = "") -> list[dict[str, Any]]:
    """The items of a command once it has some, one with `text` among them: alerts and lines are sent on
    after a while, and a median follows what it is of."""
    deadline = time.monotonic() + INCIDENT_SECONDS
    while True:
        found = items(aiops(*args, "-o", "json", env=incident.env))
        if any(text in r.get("summary", "") for r in found):
            return found
        assert time.monotonic() < deadline, f"nothing with {text!r} by {args} in {found}"


def items(done: Finished) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = done.json["items"]
    return found


def follow(aiops: Aiops, incident: Fleet, row: dict[str, Any], *flags: str) -> list[dict[str, Any]]:
    program, *words = shlex.split(row["command"])
    assert program == "aiops"
    return items(aiops(*words, *flags, "-o", "json", env=incident.env))


def first(rows: list[dict[str, Any]], signal: str, subject: str, text: str = "") -> dict[str, Any]:
    found = [r for r in rows if (r["signal"], r["subject"]) == (signal, subject) and text in r["summary"]]
    assert found, f"no {signal} of {subject} with {text!r} in {[(r['signal'], r['summary']) for r in rows]}"
    return found[0]


def test_from_the_alert_to_the_events_by_related_alone(aiops: Aiops, incident: Fleet) -> None:
    rows = until(aiops, incident, "alerts", "list", "--name", "CheckoutErrors", "--related")
    metric = first(rows, "metric", "shop/checkout", "@service-errors")
    assert 'namespace="shop",pod=~"checkout-' in metric["command"], "the server is asked for it alone"

    rows = follow(aiops, incident, metric, "--related")
    lines = first(rows, "log", "shop/checkout", "error line")
    assert "order not placed" in lines["summary"]
    assert len(follow(aiops, incident, lines)) >= lines["count"]

    rows = follow(aiops, incident, lines, "--related")
    trace = first(rows, "trace", "shop/checkout", "failed")
    spans = follow(aiops, incident, trace)
    assert {"frontend", "checkout", "payment", "ledger"} <= {s["service"] for s in spans}

    # Of six connections: that is their median once the pool has been empty for long enough.
    filled = "→ 6 (connections of a pool in use)"
    rows = until(aiops, incident, *shlex.split(trace["command"])[1:], "--related", text=filled)
    assert rows[0]["subject"] == "shop/ledger", "where the failure comes from is told first"
    assert first(rows, "metric", "shop/ledger", "@pool-in-use")["summary"].endswith(filled)
    assert "pool ledger-db is exhausted" in first(rows, "log", "shop/ledger", "error line")["summary"]

    event = first(rows, "event", "shop/ledger")
    told = follow(aiops, incident, event)
    assert {e["name"].partition("-")[0] for e in told} == {"ledger"}
    back = follow(aiops, incident, event, "--related")
    assert {"metric", "log", "trace", "object"} <= {
        r["signal"] for r in back if r["subject"] == "shop/ledger"
    }


def test_a_rollout_is_told_of_its_workload_alone(aiops: Aiops, incident: Fleet) -> None:
    rows = until(aiops, incident, "related", "deploy/catalog", "-n", "shop")
    assert "registry.example/shop/catalog:7.3.1" in first(rows, "event", "shop/catalog", "rollout")["summary"]
    rows = until(aiops, incident, "related", "deploy/cart", "-n", "shop")
    assert not [r for r in rows if r["signal"] == "event" and "catalog" in r["summary"]]


def test_every_command_that_is_told_runs(aiops: Aiops, incident: Fleet) -> None:
    rows = until(aiops, incident, "related", "deploy/ledger", "-n", "shop")
    rows += until(aiops, incident, "related", "node/jumps-b")
    assert {r["signal"] for r in rows} == {"metric", "log", "trace", "event", "object"}
    for command in {r["command"]: None for r in rows}:
        done = aiops(*shlex.split(command)[1:], "-o", "json", env=incident.env)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        assert done.json["items"] or "node/" in command, command


def test_a_source_that_is_away_costs_its_own_rows_alone(aiops: Aiops, incident: Fleet) -> None:
    incident["jumps"].jaeger.kill()
    done = aiops("related", "deploy/ledger", "-n", "shop", "-o", "json", env=incident.env)
    assert done.returncode == 3
    assert {r["signal"] for r in done.json["items"]} == {"metric", "log", "event", "object"}
    [cluster] = done.json["clusters"]
    assert cluster["status"] == "PARTIAL"
    assert any(w.startswith("traces: ") for w in cluster["warnings"])
