"""What `cnf ptp` makes of each trap in the metrics, out of two hours in a real Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aiops_cli.analysis.ptp_codes import aliases
from aiops_cli.analysis.ptp_verdict import ns
from tests.conftest import Aiops
from tests.ptp.history import HELD_AT, LOST_AT, LOST_FOR, SPAN, STEP, history
from tests.servers.binaries import MissingServer, locate
from tests.servers.cluster import temporary_root
from tests.servers.prometheus import Prometheus


class Told:
    """One answer over the last hour: rows by node, findings by node."""

    def __init__(self, answer: dict[str, Any], end: int) -> None:
        self.end = end
        self.rows: dict[str, list[dict[str, Any]]] = {}
        for row in answer["items"]:
            self.rows.setdefault(row["node"], []).append(row)
        self.all = answer["findings"]
        self.age = answer["clusters"][0]["ageSeconds"]

    def row(self, node: str) -> dict[str, Any]:
        (row,) = self.rows[node]
        return row

    def findings(self, node: str) -> dict[str, dict[str, Any]]:
        found = [f for f in self.all if f["entity"]["name"].partition("/")[0] == node]
        return {f["code"]: f for f in found}

    def at(self, before_end: float) -> str:
        moment = datetime.fromtimestamp(self.end - before_end, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.fixture(scope="module")
def past() -> Iterator[tuple[Prometheus, int, dict[str, str]]]:
    """The Prometheus, the history's end, and the environment for aiops."""
    home = temporary_root()
    try:
        locate("prometheus")
        locate("promtool")
    except MissingServer as error:
        pytest.skip(str(error))
    end = (int(time.time()) - 600) // 60 * 60
    prometheus = Prometheus(home / "prometheus", cluster="edge")
    prometheus.start()
    prometheus.backfill(history(end))
    config = home / "config.toml"
    config.write_text(f'[clusters.edge.endpoints]\nprometheus = "{prometheus.url}"\n')
    yield prometheus, end, {"AIOPS_CONFIG": str(config)}
    prometheus.stop()


def ask(aiops: Aiops, past: tuple[Prometheus, int, dict[str, str]], *args: str) -> Told:
    _, end, env = past
    window = ("--from", str(end - 3600), "--to", str(end), "--step", f"{STEP}s")
    done = aiops("cnf", "ptp", *window, "-o", "json", *args, env=env)
    assert done.returncode == 0, done.stderr
    return Told(done.json, end)


_asked: list[Told] = []


@pytest.fixture
def told(aiops: Aiops, past: tuple[Prometheus, int, dict[str, str]]) -> Told:
    """The same answer for every test: it costs a process each time."""
    if not _asked:
        _asked.append(ask(aiops, past))
    return _asked[0]


def test_a_good_clock(told: Told) -> None:
    row = told.row("good")
    assert (row["state"], row["verdict"], row["budget"], row["limitNs"]) == (
        "LOCKED",
        "PASS",
        "operator",
        100,
    )
    assert 0 < row["p99OffsetNs"] <= row["maxOffsetNs"] <= 60
    assert row["offsetKind"] == "signed"
    assert row["timeInState"] == {"locked": 3600, "holdover": 0, "freerun": 0, "unknown": 0}
    assert told.findings("good") == {}


def test_an_alias_finds_its_nics_ports_and_no_others(told: Told) -> None:
    row = told.row("good")
    assert (row["interface"], row["port"], row["role"]) == ("ens1fx", "ens1f0", "SLAVE")


@pytest.mark.parametrize("node", ["sentinel", "faulty", "absent", "holdover"])
def test_no_sentinel_is_in_a_statistic(told: Told, node: str) -> None:
    row = told.row(node)
    assert row["p99OffsetNs"] <= 60
    assert row["maxOffsetNs"] <= 60
    assert "no measurements and left out" in row["reason"]


def test_a_sentinel_now_is_no_offset_and_no_pass(told: Told) -> None:
    row = told.row("faulty")
    assert (row["offsetNs"], row["state"], row["verdict"]) == (None, None, "FAIL")
    assert "nothing to measure against" in row["reason"]


def test_the_daemon_cannot_tell_holdover(told: Told) -> None:
    found = told.findings("sentinel")["PTP_FREERUN"]
    assert "FREERUN or HOLDOVER, the daemon's own metrics do not tell" in found["text"]
    assert (found["since"], found["until"]) == (told.at(LOST_AT), told.at(LOST_AT - LOST_FOR))
    assert told.row("sentinel")["timeInState"]["freerun"] == LOST_FOR


def test_the_sidecars_holdover_that_ran_out(told: Told) -> None:
    row = told.row("holdover")
    assert (row["state"], row["offsetNs"], row["since"]) == ("FREERUN", None, told.at(LOST_AT - 60 - 0))
    assert row["timeInState"]["holdover"] == 60
    found = told.findings("holdover")
    assert (found["PTP_HOLDOVER"]["since"], found["PTP_HOLDOVER"]["until"]) == (
        told.at(LOST_AT),
        told.at(LOST_AT - 60),
    )
    assert found["PTP_HOLDOVER_EXPIRED"]["severity"] == "critical"
    assert found["PTP_HOLDOVER_EXPIRED"]["until"] is None


def test_a_holdover_that_is_running_out_is_critical(told: Told) -> None:
    assert told.row("holding")["state"] == "HOLDOVER"
    found = told.findings("holding")["PTP_HOLDOVER"]
    assert (found["severity"], found["threshold"], found["until"]) == ("critical", 125, None)


def test_gauges_of_a_dead_process_are_its_last_words(told: Told) -> None:
    row = told.row("dead")
    assert (row["state"], row["offsetNs"], row["processUp"], row["verdict"]) == (None, None, False, "FAIL")
    assert "its gauges still say LOCKED" in row["reason"]
    assert row["timeInState"]["unknown"] == pytest.approx(LOST_AT - STEP, abs=STEP * 3)
    assert told.findings("dead")["PTP_PROCESS_DOWN"]["since"] == told.at(LOST_AT - STEP)


def test_gauges_that_stand_still_are_stale(told: Told) -> None:
    row = told.row("stuck")
    assert (row["state"], row["offsetNs"], row["processUp"], row["verdict"]) == (None, None, None, None)
    assert "have not moved" in row["reason"]
    assert told.findings("stuck")["PTP_STUCK_GAUGE"]["since"] == told.at(LOST_AT)


def test_a_steady_grandmaster_is_not_stale(told: Told) -> None:
    row = told.row("still")
    assert (row["state"], row["offsetNs"], row["verdict"]) == ("LOCKED", 0, "PASS")
    assert row["grandmaster"] == "still"


def test_a_clock_whose_series_ended_is_unknown(told: Told) -> None:
    row = told.row("gone")
    assert (row["state"], row["offsetNs"], row["verdict"]) == (None, None, None)
    assert told.findings("gone")["PTP_NO_SAMPLES"]["since"] is not None


def test_rms_has_no_sign_and_its_peak_counts(told: Told) -> None:
    assert told.row("rms")["offsetKind"] == "rms"
    assert told.row("rms")["maxOffsetNs"] == 90
    assert told.row("rms")["verdict"] == "PASS"
    peak = told.row("peak")
    assert (peak["maxOffsetNs"], peak["verdict"]) == (150, "WARN")
    assert peak["p99OffsetNs"] <= 50


def test_the_systems_clock(told: Told) -> None:
    row = told.row("realtime")
    assert (row["process"], row["interface"], row["offsetFrom"]) == ("phc2sys", "CLOCK_REALTIME", "phc")
    assert row["clockClass"] is None, "a clock class is PTP's, not the system clock's"
    assert row["maxOffsetNs"] <= 60, "the gauge against another reference stands still"


def test_a_clock_class_without_a_config_label(told: Told) -> None:
    row = told.row("old")
    assert (row["clockClass"], row["clockClassText"]) == (248, "free running, or never synchronised")
    assert row["verdict"] == "WARN"
    assert told.findings("old")["PTP_CLOCK_CLASS"]["value"] == 248


def test_two_configs_of_one_node(told: Told) -> None:
    row = told.row("dual")
    assert row["clockClass"] is None, "the clock does not say which config is its own"
    assert row["processUp"] is True
    assert "ptp4l is down for ptp4l.1.config" in row["reason"]
    assert told.findings("dual")["PTP_PROCESS_DOWN"]["since"] == told.at(600 - STEP)


def test_flapping(told: Told) -> None:
    found = told.findings("flapping")
    assert found["PTP_FLAPPING"]["value"] >= 5
    assert found["PTP_GRANDMASTER_FLAPPING"]["value"] >= 5
    assert found["PTP_PORT_FLAPPING"]["value"] >= 10


def test_restarts_between_scrapes(told: Told) -> None:
    found = told.findings("restarting")["PTP_PROCESS_RESTARTED"]
    assert (found["value"], found["severity"]) == (3, "warning"), "the one before the window does not count"
    assert (found["since"], found["until"]) == (told.at(1500 - STEP), told.at(900 - STEP))


def test_a_lost_satellite_and_the_dpll_that_holds(told: Told) -> None:
    found = told.findings("gm")
    assert (found["PTP_GNSS_LOST"]["since"], found["PTP_GNSS_LOST"]["until"]) == (
        told.at(LOST_AT),
        told.at(LOST_AT - LOST_FOR),
    )
    assert told.row("gm")["timeInState"]["holdover"] == LOST_FOR, "its DPLL tells what clock_state can't"
    assert found["PTP_HOLDOVER"]["threshold"] == 14400


def test_whole_seconds_are_leaps(told: Told) -> None:
    leap = told.findings("leap")["PTP_LEAP"]
    assert "leap second" in leap["text"]
    assert leap["since"] == told.at(600 - STEP)
    assert "UTC offset" in told.findings("utc")["PTP_LEAP"]["text"]
    assert told.row("leap")["maxOffsetNs"] <= 60
    assert told.row("leap")["verdict"] == "FAIL"


def test_a_far_offset_is_shown_and_left_out_of_statistics(told: Told) -> None:
    row = told.row("far")
    assert row["offsetNs"] > 2_000_000
    assert (row["maxOffsetNs"], row["verdict"]) == (60, "FAIL")


def test_an_offset_over_the_threshold_has_its_times(told: Told) -> None:
    found = told.findings("over")["PTP_OFFSET"]
    assert (found["value"], found["threshold"], found["severity"]) == (350, 100, "warning")
    assert (found["since"], found["until"]) == (told.at(1200 - STEP), told.at(600))
    assert told.row("over")["verdict"] == "FAIL"


def test_two_offsets_far_apart_are_two_findings(told: Told) -> None:
    found = [f for f in told.all if f["code"] == "PTP_OFFSET" and f["entity"]["name"].startswith("twice/")]
    assert [(f["since"], f["until"]) for f in found] == [
        (told.at(3000), told.at(2940)),
        (told.at(600), told.at(540)),
    ]


def test_a_holdover_from_before_the_window_has_its_own_beginning(told: Told) -> None:
    found = told.findings("longer")
    held = found["PTP_HOLDOVER"]
    assert (held["value"], held["since"]) == (HELD_AT, told.at(HELD_AT)), "the scrape's, not the step's"
    assert held["text"] == "HOLDOVER for 1.5 h of 4.0 h, 2.5 h left"
    assert told.row("longer")["since"] == held["since"]
    assert told.row("longer")["timeInState"]["holdover"] == 3600, "only the window's"
    assert told.at(SPAN) <= found["PTP_GNSS_LOST"]["since"] <= told.at(SPAN - 120), (
        "the oldest sample there is"
    )


def test_what_is_older_than_every_sample_is_at_least_so_old(told: Told) -> None:
    held = told.findings("oldest")["PTP_HOLDOVER"]
    assert held["text"] == "HOLDOVER for at least 2.0 h of 4.0 h, at most 2.0 h left"
    assert told.row("oldest")["since"] is None
    lost = told.findings("longer")["PTP_GNSS_LOST"]
    assert lost["text"] == "GNSS has no fix for at least 2.0 h", "its since is the oldest sample's"


def test_a_process_that_was_dead_midway_was_not_locked_there(told: Told) -> None:
    row = told.row("midway")
    assert (row["timeInState"]["locked"], row["timeInState"]["unknown"]) == (2400, 1200)
    assert (row["verdict"], row["reason"]) == ("WARN", "ptp4l was down for a part of the window")


def test_a_clock_that_flaps_between_the_steps_is_told(
    aiops: Aiops, past: tuple[Prometheus, int, dict[str, str]]
) -> None:
    _, end, env = past
    window = ("--from", str(end - 3600), "--to", str(end), "--step", "60s", "--node", "flicker")
    found = Told(aiops("cnf", "ptp", *window, "-o", "json", env=env).json, end)
    flapping = found.findings("flicker")["PTP_FLAPPING"]
    assert 59 <= flapping["value"] <= 60
    assert "shown" not in flapping["text"] and flapping["since"] is not None


def test_of_two_daemons_the_newer_one_is_believed(told: Told) -> None:
    row = told.row("handover")
    assert (row["state"], row["timeInState"]["locked"]) == ("LOCKED", 3600)


def test_the_clusters_own_threshold_is_the_budget(told: Told) -> None:
    row = told.row("wide")
    assert (row["limitNs"], row["verdict"]) == (200, "PASS")
    assert "the cluster's threshold" in row["reason"]


def test_one_clock_over_pods_and_replicas(told: Told) -> None:
    row = told.row("moved")
    assert row["state"] == "LOCKED"
    assert row["timeInState"] == {"locked": 3600, "holdover": 0, "freerun": 0, "unknown": 0}


@pytest.mark.parametrize(
    ("profile", "limit", "verdict"),
    [
        ("g8275.1", 1100, "PASS"),
        ("g8273.2-class-c", 30, "FAIL"),
        ("oran-c1", 1420, "PASS"),
        ("G8271-6C", 65, "PASS"),
    ],
)
def test_named_budgets(
    aiops: Aiops, past: tuple[Prometheus, int, dict[str, str]], profile: str, limit: float, verdict: str
) -> None:
    row = ask(aiops, past, "--profile", profile, "--node", "good").row("good")
    assert (row["budget"], row["limitNs"], row["verdict"]) == (profile.lower(), limit, verdict)


def test_an_unknown_budget_is_wrong_usage(aiops: Aiops, past: tuple[Prometheus, int, dict[str, str]]) -> None:
    done = aiops("cnf", "ptp", "--profile", "g8273", env=past[2])
    assert done.returncode == 2
    assert "g8273.2-class-a" in done.stderr


def test_a_table_and_a_plot_fit_a_terminal(
    aiops: Aiops, past: tuple[Prometheus, int, dict[str, str]]
) -> None:
    _, end, env = past
    window = ("--from", str(end - 3600), "--to", str(end))
    done = aiops("cnf", "ptp", *window, "--node", "sentinel", "--plot", env=env)
    assert done.returncode == 0, done.stderr
    assert "offset from the reference [ns]" in done.stdout
    assert "1M" not in done.stdout, "no sentinel is drawn"
    assert "LOCKED" in done.stdout


def test_findings_alone(aiops: Aiops, past: tuple[Prometheus, int, dict[str, str]]) -> None:
    _, end, env = past
    window = ("--from", str(end - 3600), "--to", str(end))
    done = aiops("cnf", "ptp", *window, "--findings", "-o", "json", "--node", "gm", env=env)
    assert done.json["kind"] == "FindingList"
    assert {f["code"] for f in done.json["items"]} == {"PTP_GNSS_LOST", "PTP_HOLDOVER"}


def test_asked_again_the_cache_says_the_same(
    aiops: Aiops, past: tuple[Prometheus, int, dict[str, str]], told: Told
) -> None:
    first = ask(aiops, past)
    again = ask(aiops, past)
    assert (first.age, again.age) == (0, 0), "what is settled does not age"
    assert first.rows == again.rows == told.rows
    assert first.all == again.all


def test_the_history_is_longer_than_the_window(past: tuple[Prometheus, int, dict[str, str]]) -> None:
    prometheus, end, _ = past
    assert prometheus.query(f'openshift_ptp_offset_ns{{node="good"}} @ {end - SPAN + 60}')


def test_a_long_name_has_its_aliases_at_once() -> None:
    name = "1" * 200_000 + "a1"  # the square of its length would take an hour
    assert f"{name[:-1]}x" in aliases(name)


@pytest.mark.parametrize(
    ("value", "said"),
    [(-999_999_400.0, "-1 s"), (999_999.0, "1 ms"), (-999_400.0, "-999 µs"), (12.3e12, "12300 s")],
)
def test_offsets_have_three_digits_and_no_exponent(value: float, said: str) -> None:
    assert ns(value) == said


def test_hostile_names_do_no_harm(exporter: Any, aiops: Aiops, tmp_path: Path) -> None:
    evil = "a\\u001b[31m\\nb"
    text = f'openshift_ptp_clock_state{{process="ptp4l",node="x\x1b[31m",iface="{evil}"}} 1\n'
    done = aiops("cnf", "ptp", env=exporter(text))
    assert "\x1b" not in done.stdout
    assert "LOCKED" in done.stdout
