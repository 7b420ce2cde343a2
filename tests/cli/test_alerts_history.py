"""`alerts history` from the series of a real Prometheus, and from what earlier lists saw."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiops_cli.services.alert_memory import SeenAlert
from aiops_cli.services.times import rfc3339
from aiops_cli.store.paths import data_dir
from aiops_cli.store.state import State
from tests.cli.alert_servers import AlertPair, alerts_of, post_alerts, resolve_alert, wait_until
from tests.conftest import Aiops, Standalone
from tests.faults.fixtures import Here
from tests.faults.stub import Stub, answer, relay
from tests.servers.prometheus import Prometheus

START = 1_767_322_800  # 2026-01-02T03:00:00Z
BEAT = 30


@pytest.fixture
def aiops(here: Here) -> Here:
    return here


def _samples(
    labels: str, state: str, active: float, begin: int, end: int
) -> list[tuple[str, float, float, int]]:
    """As Prometheus writes them at each evaluation: (labels, ALERTS, ALERTS_FOR_STATE, unix seconds)."""
    return [(f'{labels},alertstate="{state}"', 1, active, t) for t in range(begin, end, BEAT)]


@pytest.fixture(scope="session")
def past(standalone: Standalone) -> Prometheus:
    """Two alerts of a day: one pending for five minutes and firing for twenty, and firing again an hour
    later through a gap of ten minutes in which Prometheus stood still; one firing all the time."""
    server = Prometheus(standalone.home / "past", cluster="past")
    standalone.start(server)
    web = 'alertname="Down",job="web",severity="critical"'
    rows = [
        *_samples(web, "pending", START, START, START + 300),
        *_samples(web, "firing", START, START + 300, START + 1500),
        *_samples(web, "firing", START + 5000, START + 5100, START + 5700),
        *_samples(web, "firing", START + 5000, START + 6300, START + 6600),
        *_samples('alertname="Watchdog"', "firing", START - 7200, START - 3600, START + 10800),
    ]
    alerts = [f"ALERTS{{{labels}}} {value} {t}" for labels, value, _, t in rows]
    since = [
        f"ALERTS_FOR_STATE{{{labels.split(',alertstate')[0]}}} {active} {t}" for labels, _, active, t in rows
    ]
    text = ["# TYPE ALERTS gauge", *sorted(alerts), "# TYPE ALERTS_FOR_STATE gauge", *sorted(since), "# EOF"]
    server.backfill("\n".join(text) + "\n")
    return server


@pytest.fixture
def env(past: Prometheus, home: Path) -> dict[str, str]:
    config = home / "config.toml"
    config.write_text(f'[clusters.past.endpoints]\nprometheus = "{past.url}"\n')
    return {"AIOPS_CONFIG": str(config)}


WINDOW = ("--from", str(START - 600), "--to", str(START + 7800))


@pytest.mark.parametrize("window", [WINDOW, ("--from", str(START - 600), "--to", str(START + 4 * 86400))])
def test_periods_have_their_start_end_and_pending_time(
    aiops: Aiops, env: dict[str, str], window: tuple[str, ...]
) -> None:
    """Over a few hours from every sample; over days from a grid of steps, where a sample counts for five
    minutes unless Prometheus marked its end, which backfilled ones lack."""
    found = aiops("alerts", "history", "Down", *window, "-o", "json", env=env)
    assert found.returncode == 0, found.stderr
    second, first = found.json["items"]
    slack, late = (0, 0) if window == WINDOW else (40, 300)
    assert first["startsAt"][:19] == "2026-01-02T03:05:00" or slack
    assert 1200 - slack <= first["durationSeconds"] <= 1200 + slack + late
    assert first["pendingSeconds"] == pytest.approx(300, abs=slack)
    # one period: it was active since the same time before and after the gap
    assert 1500 - slack <= second["durationSeconds"] <= 1500 + slack + late
    assert second["pendingSeconds"] == pytest.approx(100, abs=slack)
    assert (first["severity"], first["source"]) == ("critical", "prometheus")
    assert first["labels"]["cluster"] == "past"  # as Alertmanager would have seen it


def test_what_fires_through_the_window_is_said_to(aiops: Aiops, env: dict[str, str]) -> None:
    found = aiops("alerts", "history", "Watchdog", *WINDOW, "-o", "json", env=env).json["items"]
    (watchdog,) = found
    assert watchdog["endsAt"] is None and watchdog["startedBefore"] and watchdog["pendingSeconds"] is None
    table = aiops("alerts", "history", "Watchdog", *WINDOW, env=env).stdout
    assert "≤ 01-02 02:50" in table and "firing" in table


def test_matchers_choose_by_external_labels_too(aiops: Aiops, env: dict[str, str]) -> None:
    def count(*words: str) -> int:
        return len(aiops("alerts", "history", *words, *WINDOW, "-o", "name", env=env).stdout.split())

    assert count() == 3
    assert (count("cluster=past"), count("cluster=other")) == (3, 0)
    assert (count("job=~w.*"), count("Down", "job!=web")) == (2, 0)


def test_resolved_alerts_are_listed_with_all(aiops: Aiops, env: dict[str, str]) -> None:
    only = aiops("alerts", "list", "--state", "resolved", *WINDOW, "-o", "json", env=env).json["items"]
    assert [(a["name"], a["state"]) for a in only] == [("Down", "RESOLVED")]
    assert only[0]["endsAt"].startswith("2026-01-02T04:50:00")  # START + 6600
    table = aiops("alerts", "list", "--all", *WINDOW, env=env).stdout
    assert "RESOLVED" in table
    assert "RESOLVED" not in aiops("alerts", "list", *WINDOW, env=env).stdout


def test_the_bundle_has_its_own_history(aiops: Aiops) -> None:
    found = aiops("alerts", "history", "--bundle", "demo", "-o", "json")
    assert found.returncode == 0, found.stderr
    listed = aiops("alerts", "list", "--bundle", "demo", "-o", "json").json["items"]
    firing = {(p["cluster"], p["name"]) for p in found.json["items"] if p["endsAt"] is None}
    assert firing == {(a["cluster"], a["name"]) for a in listed}
    assert {p["fingerprint"] for p in found.json["items"] if p["endsAt"] is None} == {
        a["fingerprint"] for a in listed
    }


def test_an_alert_is_one_where_external_labels_are_not_told(
    aiops: Aiops, stub: Stub, pair: AlertPair, home: Path
) -> None:
    """As of a Thanos, or where one may not read the configuration."""
    stub.on("/", relay(pair.prometheus.url))
    stub.on("/api/v1/status/config", answer("not here", status=404))
    config = home / "config.toml"
    config.write_text(
        f'[clusters.east.endpoints]\nalertmanager = "{pair.a.url}"\nprometheus = "{stub.url}"\n'
    )
    env = {"AIOPS_CONFIG": str(config)}
    (listed,) = aiops("alerts", "list", "Always", "-o", "json", env=env).json["items"]
    (found,) = aiops("alerts", "history", "Always", "-o", "json", env=env).json["items"]
    assert found["source"] == "prometheus"
    del listed["labels"]["prometheus_replica"]  # of which there are two
    assert found["labels"] == listed["labels"]


def test_what_was_seen_is_history_where_there_is_no_prometheus(
    aiops: Aiops, pair: AlertPair, home: Path
) -> None:
    config = home / "config.toml"
    config.write_text(f'[clusters.west.endpoints]\nalertmanager = "{pair.apart.url}"\n')
    env = {"AIOPS_CONFIG": str(config)}
    post_alerts(pair.apart.url, {"alertname": "Remembered", "severity": "info"})
    listed = aiops("alerts", "list", "Remembered", "-o", "json", env=env).json["items"]
    aiops("alerts", "list", env=env)  # nothing changed: nothing more is kept
    resolve_alert(pair.apart.url, {"alertname": "Remembered", "severity": "info"})
    wait_until(lambda: not aiops("alerts", "list", "Remembered", "-o", "name", env=env).stdout, "its end")
    found = aiops("alerts", "history", "Remembered", "-o", "json", env=env)
    assert found.returncode == 3  # there is no Prometheus to know more
    (period,) = found.json["items"]
    assert period["source"] == "store" and period["endsAt"]
    assert period["startsAt"] == listed[0]["startsAt"]
    assert "earlier `alerts list` saw" in found.stderr


def test_what_ended_unseen_is_not_told_to_fire(aiops: Aiops, pair: AlertPair, home: Path) -> None:
    config = home / "config.toml"
    config.write_text(
        "[clusters.west.endpoints]\n"
        f'alertmanager = "{pair.apart.url}"\nprometheus = "{pair.prometheus.url}"\n'
    )
    env = {"AIOPS_CONFIG": str(config)}
    labels = {"alertname": "Unseen", "severity": "info"}
    post_alerts(pair.apart.url, labels)
    aiops("alerts", "list", env=env)
    (open_,) = aiops("alerts", "history", "Unseen", "-o", "json", env=env).json["items"]
    assert open_["endsAt"] is None
    resolve_alert(pair.apart.url, labels)
    wait_until(
        lambda: "Unseen" not in {a["labels"]["alertname"] for a in alerts_of(pair.apart.url)}, "its end"
    )
    done = aiops("alerts", "history", "Unseen", "-o", "json", env=env)
    assert done.returncode == 0, done.stderr
    (period,) = done.json["items"]
    assert period["endsAt"] is not None and period["source"] == "store"


def test_what_ended_before_the_window_is_not_in_it_however_late_that_was_seen(
    aiops: Aiops, env: dict[str, str]
) -> None:
    """Prometheus wrote down that Down ended; of an alert that a ruler sends it knows nothing."""

    def gone(name: str, **labels: str) -> tuple[str, SeenAlert]:
        labels = {"alertname": name, "cluster": "past", **labels}
        begin, end = rfc3339(START + 300), rfc3339(START + 9000)
        return f"past/{name}", SeenAlert("past", name, name, None, labels, {}, begin, end, end)

    State(data_dir()).append_all("alerts", [gone("Down", job="web", severity="critical"), gone("Ruled")])
    window = ("--from", str(START + 2000), "--to", str(START + 4900))
    found = aiops("alerts", "history", *window, "-o", "json", env=env)
    assert found.returncode == 0, found.stderr
    stored = [p["name"] for p in found.json["items"] if p["source"] == "store"]
    assert stored == ["Ruled"]


def test_a_restarted_prometheus_without_its_data_loses_no_history(
    aiops: Aiops, pair: AlertPair, home: Path
) -> None:
    """The store has it, and it is one period with what the new one knows."""
    env = pair.config(home / "config.toml")
    aiops("alerts", "list", env=env)
    for window in ("1d", "9d"):  # every sample, and a grid of steps
        periods = aiops("alerts", "history", "Always", "--since", window, "-o", "json", env=env).json["items"]
        assert [p["source"] for p in periods] == ["prometheus"]
    gone = pair.config(home / "gone.toml", prometheus=False)
    kept = aiops("alerts", "history", "Always", "-o", "json", env=gone)
    assert [p["source"] for p in kept.json["items"]] == ["store"]
    assert kept.json["items"][0]["fingerprint"] == periods[0]["fingerprint"]
