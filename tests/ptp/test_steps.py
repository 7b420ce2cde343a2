"""However long the window and coarse its steps, what happened in it is told, and at its own time: a day in a real
Prometheus and in VictoriaMetrics."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Aiops
from tests.ptp.history import STEP, Text, noise
from tests.ptp.test_traps import Told
from tests.servers.binaries import MissingServer
from tests.servers.cluster import temporary_root
from tests.servers.prometheus import Prometheus
from tests.servers.victoriametrics import VictoriaMetrics

DAY = 86_400
BEGAN, ENDED = 2085, 1800  # seconds before the end: 285 s that no multiple of ten minutes falls into


def event(t: int) -> bool:
    return ENDED < t <= BEGAN


def quiet(t: int) -> float:
    return noise(t) / 8


def day(end: int) -> str:
    text = Text(end, DAY)
    text.clock("good", quiet)
    text.clock("lost", lambda t: 400.0 if event(t) else quiet(t), state=lambda t: 0 if event(t) else 1)
    text.clock("holding", quiet, state=lambda t: 2 if event(t) else 1)
    text.clock("faulty", lambda t: 999999.0 if event(t) else quiet(t))
    text.clock("freerun", lambda t: -9999999999999999.0 if event(t) else quiet(t))
    text.clock("spike", lambda t: 90.0 if t == ENDED + 105 else quiet(t))
    text.clock("over", lambda t: -250.0 if t == ENDED + 105 else quiet(t))
    text.clock("still", lambda t: quiet(max(t, 405)), freq=lambda t: noise(max(t, 405)))
    text.clock("class", quiet)
    text.add("clock_class", lambda t: 248 if event(t) else 6, node="class", process="ptp4l", config="c")
    text.clock("died", quiet, up=lambda t: 0 if event(t) else 1)
    for pod, alive, state in (  # of two daemons the newer one is believed, scrape by scrape too
        ("a", lambda t: t >= 600, lambda t: 0.0 if event(t) else 1.0),
        ("b", lambda t: t < BEGAN + 600, lambda t: 1.0),
    ):
        text.clock(
            "moved",
            lambda t, alive=alive: quiet(t) if alive(t) else None,
            state=lambda t, alive=alive, state=state: state(t) if alive(t) else None,
            freq=lambda t, alive=alive: noise(t) if alive(t) else None,
            up=None,
            pod=pod,
        )
    return "\n".join([*text.lines(), ""])


@pytest.fixture(scope="module", params=["prometheus", "victoriametrics"])
def yesterday(request: pytest.FixtureRequest) -> Iterator[tuple[int, dict[str, str]]]:
    """The end of the history, and the environment for aiops."""
    home = temporary_root()
    end = (int(time.time()) - 900) // 600 * 600
    server: Prometheus | VictoriaMetrics
    try:
        if request.param == "prometheus":
            server = Prometheus(home / "server", cluster="edge")
            server.start()
            server.backfill(day(end))
        else:
            server = VictoriaMetrics(home / "server")
            server.start()
            server.import_openmetrics(day(end))
    except MissingServer as error:
        pytest.skip(str(error))
    config = home / "config.toml"
    config.write_text(f'[clusters.edge.endpoints]\nprometheus = "{server.url}"\n')
    yield end, {"AIOPS_CONFIG": str(config)}
    server.stop()


@pytest.fixture(params=[(3600, STEP), (3600, 600), (DAY - 600, 600), (DAY - 600, 7200)], ids=str)
def told(request: pytest.FixtureRequest, aiops: Aiops, yesterday: tuple[int, dict[str, str]]) -> Told:
    end, env = yesterday
    seconds, step = request.param
    window = ("--from", str(end - seconds), "--to", str(end), "--step", f"{step}s")
    done = aiops("cnf", "ptp", *window, "-o", "json", env=env)
    assert done.returncode == 0, done.stderr
    return Told(done.json, end)


def times(told: Told, node: str, code: str) -> tuple[str, str]:
    found = told.findings(node)[code]
    return found["since"], found["until"]


def test_an_event_between_steps_is_told_at_its_own_time(told: Told) -> None:
    edges = told.at(BEGAN), told.at(ENDED)
    assert told.row("lost")["verdict"] != "PASS"
    assert told.row("lost")["maxOffsetNs"] == 400
    assert times(told, "lost", "PTP_FREERUN") == times(told, "lost", "PTP_OFFSET") == edges
    assert "for 5 min" in told.findings("lost")["PTP_FREERUN"]["text"]
    assert times(told, "holding", "PTP_HOLDOVER") == edges
    assert times(told, "class", "PTP_CLOCK_CLASS") == edges
    assert times(told, "died", "PTP_PROCESS_DOWN") == edges
    spent = told.row("lost")["timeInState"]
    assert (spent["freerun"], spent["unknown"]) == (BEGAN - ENDED, 0)
    assert times(told, "over", "PTP_OFFSET") == (told.at(ENDED + 105), told.at(ENDED + 90))


def test_one_scrape_counts_and_a_sentinel_never_does(told: Told) -> None:
    assert told.row("spike")["maxOffsetNs"] == 90
    assert (told.row("good")["verdict"], told.row("spike")["verdict"]) == ("PASS", "PASS")
    for node in ("faulty", "freerun"):
        row = told.row(node)
        assert row["verdict"] == "WARN" and "no measurements" in row["reason"]
        assert row["maxOffsetNs"] < 10 and row["p99OffsetNs"] < 10


def test_stuck_gauges_and_two_daemons_are_known_as_in_a_short_window(told: Told) -> None:
    assert set(told.findings("still")) == {"PTP_STUCK_GAUGE"}
    assert told.row("still")["verdict"] is None
    assert told.findings("moved") == {} and told.row("moved")["verdict"] == "PASS"


def test_a_check_fails_whatever_the_window(aiops: Aiops, yesterday: tuple[int, dict[str, str]]) -> None:
    end, env = yesterday
    for more in ((), ("--step", "2h")):
        window = ("--from", str(end - DAY + 600), "--to", str(end), *more)
        done = aiops("cnf", "ptp", *window, "--node", "lost", "--fail-on", "warning", env=env)
        assert done.returncode == 1, done.stdout


def test_what_a_bundle_has_at_coarse_steps_passes_nothing(
    aiops: Aiops, yesterday: tuple[int, dict[str, str]], tmp_path: Any
) -> None:
    end, env = yesterday
    file = tmp_path / "day.aiops"
    window = ("--from", str(end - DAY + 600), "--to", str(end))
    done = aiops("bundle", "record", str(file), *window, env=env)
    assert done.returncode in (0, 3), done.stderr
    done = aiops("cnf", "ptp", "--bundle", str(file), *window, "-o", "json", env=env)
    answer = Told(done.json, end)
    assert answer.row("good")["verdict"] is None
    assert "what was between them is not known" in answer.row("good")["reason"]
    assert "recorded at steps of" in " ".join(done.json["clusters"][0]["warnings"])
