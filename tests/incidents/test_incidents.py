"""The recorded incidents: does aiops find what was broken, and when, from what it recorded alone?"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from aiops_cli.services.bundle import open_bundle
from aiops_cli.services.queries import CATALOGUE
from tests.conftest import Aiops
from tests.incidents.bundles import BUNDLES, SHIPPED, manifest, without_scenario
from tests.incidents.deployment import INCIDENT_ALERTS
from tests.incidents.scenarios import SCENARIOS

MIB = 2**20
each_incident = pytest.mark.parametrize("name", BUNDLES)


def ranking(aiops: Aiops, bundle: Path) -> list[dict[str, Any]]:
    done = aiops("rca", "analyze", "--bundle", str(bundle), "-o", "json")
    assert done.returncode == 0, done.stderr
    items: list[dict[str, Any]] = done.json["items"]
    return items


def seconds(rfc3339: str) -> float:
    return datetime.fromisoformat(rfc3339).timestamp()


@each_incident
def test_the_injected_fault_is_the_first_cause(aiops: Aiops, name: str) -> None:
    told = manifest(BUNDLES[name])["scenario"]
    first = ranking(aiops, BUNDLES[name])[0]
    assert first["rank"] == 1
    assert {key: first["entity"][key] for key in ("cluster", "kind", "name")} == told["target"]
    assert abs(seconds(first["onset"]) - seconds(told["startedAt"])) <= 60
    assert len({found["signal"] for found in first["evidence"]}) >= 2
    assert all(found["text"] for found in first["evidence"])
    assert first["chain"][0]["name"] == told["target"]["name"]
    assert first["chain"][-1]["name"] in ("checkout", "frontend")
    assert {"checkout", "frontend"} <= {entity["name"] for entity in first["blastRadius"]}
    assert first["nextSteps"]


@each_incident
def test_the_ranking_does_not_depend_on_what_the_bundle_says_was_injected(
    aiops: Aiops, name: str, tmp_path: Path
) -> None:
    silent = without_scenario(BUNDLES[name], tmp_path / "silent.aiops")
    assert "scenario" not in manifest(silent)
    assert ranking(aiops, silent) == ranking(aiops, BUNDLES[name])


@each_incident
def test_symptoms_are_louder_than_the_cause(aiops: Aiops, name: str) -> None:
    """The alerts are about the frontend and checkout, and about a service that has nothing to do with it."""
    target = SCENARIOS[name].target
    alerts = aiops("alerts", "list", "--bundle", str(BUNDLES[name]), "-o", "json").json["items"]
    firing = {a["name"] for a in alerts if a["cluster"] == target["cluster"] and a["state"] == "FIRING"}
    assert firing & set(INCIDENT_ALERTS)
    assert "CatalogErrors" in firing
    assert target["name"] not in {alert["labels"].get("service") for alert in alerts}


@each_incident
def test_anomalies_show_the_cluster_of_the_fault(aiops: Aiops, name: str) -> None:
    done = aiops("anomalies", "detect", "--all-golden", "--bundle", str(BUNDLES[name]), "-o", "json")
    assert done.returncode == 0, done.stderr
    target = SCENARIOS[name].target
    found = [a for a in done.json["items"] if a["cluster"] == target["cluster"]]
    assert target["name"] in {anomaly["labels"].get("job") for anomaly in found}


@each_incident
def test_the_bundle_is_whole_and_was_recorded_from_this_scenario(aiops: Aiops, name: str) -> None:
    verified = aiops("bundle", "verify", str(BUNDLES[name]))
    assert verified.returncode == 0, verified.stderr
    told = manifest(BUNDLES[name])
    assert told["scenario"]["target"] == SCENARIOS[name].target
    assert {cluster["name"] for cluster in told["clusters"]} == {"east", "west", "north"}
    assert not told["failures"]
    assert BUNDLES[name].stat().st_size <= (4 if BUNDLES[name] == SHIPPED else 3) * MIB


def test_the_shipped_bundle_answers_every_named_query() -> None:
    bundle = open_bundle("demo")
    try:
        recorded = {query.expr for query in bundle.parts_of("west").queries}
    finally:
        bundle.close()
    assert not {name for name, query in CATALOGUE.items() if query.expr not in recorded}


def test_the_demo_shows_the_way_to_the_cause_and_writes_a_report(aiops: Aiops) -> None:
    done = aiops("demo", cwd=aiops.home)
    assert done.returncode == 0, done.stderr
    target = SCENARIOS["pool"].target
    told = done.stdout
    assert all(part in told for part in ("FrontendErrors", target["name"], target["cluster"], "pool"))
    [report] = [line.split(": ", 1)[1] for line in told.splitlines() if line.startswith("Report written: ")]
    text = (aiops.home / report).read_text()
    assert target["name"] in text and "exhausted" in text
