"""A real ptp4l loses its real master: what `cnf ptp` says before, meanwhile and after."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Aiops
from tests.ptp.conftest import HOLDOVER, Lab

DAEMON, SIDECAR = "node-daemon", "node-sidecar"
WINDOW = ("--since", "2m", "--step", "1s")
LATE = 8.0  # seconds: scrapes, on a machine with other work


def unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


class View:
    """`cnf ptp -o json` with its rows by (node, process) and its findings by (node, code)."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.rows = {(r["node"], r["process"]): r for r in answer["items"]}
        self.all = answer["findings"]

    def findings(self, node: str, code: str) -> list[dict[str, Any]]:
        return [f for f in self.all if f["code"] == code and f["entity"]["name"].startswith(node)]


@pytest.fixture
def look(aiops: Aiops, lab: Lab) -> Any:
    def look(*args: str) -> View:
        done = aiops("cnf", "ptp", *WINDOW, "-o", "json", *args, env=lab.env)
        assert done.returncode == 0, done.stderr
        return View(done.json)

    return look


def locked(lab: Lab) -> None:
    lab.wait('count(openshift_ptp_clock_state{process="ptp4l"} == 1) == 2')


def test_the_programs_run_and_cant_set_the_clock(lab: Lab) -> None:
    assert not lab.master.may_set_the_clock()
    assert not lab.slave.may_set_the_clock()
    locked(lab)
    assert "failed to adjust the clock: Operation not permitted" in lab.slave.log.read_text()


def test_phc2sys_has_no_clock_to_read_and_is_told_as_down(lab: Lab, look: Any) -> None:
    assert "no suitable ports available" in lab.phc2sys.log.read_text()
    locked(lab)
    (down,) = look().findings(DAEMON, "PTP_PROCESS_DOWN")
    assert down["severity"] == "critical"
    assert down["entity"]["name"] == f"{DAEMON}/phc2sys"
    assert down["until"] is None


def test_a_lost_master_is_a_finding_with_its_times(lab: Lab, look: Any, aiops: Aiops, tmp_path: Path) -> None:
    locked(lab)
    before = look()
    for node in (DAEMON, SIDECAR):
        row = before.rows[node, "ptp4l"]
        assert (row["state"], row["interface"], row["port"], row["role"]) == (
            "LOCKED",
            "ens1fx",
            "ens1f0",
            "SLAVE",
        )
        assert row["clockClass"] == 6
        assert row["clockClassText"] == "locked to a primary reference (GNSS)"
        assert row["processUp"] is True
        assert row["offsetNs"] is not None and abs(row["offsetNs"]) < 500_000
        assert row["maxOffsetNs"] < 999_999
        assert row["source"] == "prometheus"

    cut = lab.link.down()
    lab.wait(f'openshift_ptp_clock_state{{node="{SIDECAR}"}} == 2')
    held = look("--node", SIDECAR)
    row = held.rows[SIDECAR, "ptp4l"]
    # Holdover may be over by the time that the command asks.
    assert row["state"] in ("HOLDOVER", "FREERUN")
    assert row["verdict"] == "FAIL"
    (holdover,) = held.findings(SIDECAR, "PTP_HOLDOVER")
    assert cut - 1 <= unix(holdover["since"]) <= cut + LATE
    assert holdover["threshold"] == HOLDOVER

    lab.wait(f'openshift_ptp_clock_state{{node="{SIDECAR}"}} == 0')
    lost = look()
    row = lost.rows[SIDECAR, "ptp4l"]
    assert (row["state"], row["verdict"], row["offsetNs"]) == ("FREERUN", "FAIL", None)
    assert row["maxOffsetNs"] < 500_000, "no sentinel in a statistic"
    (expired,) = lost.findings(SIDECAR, "PTP_HOLDOVER_EXPIRED")
    assert expired["severity"] == "critical"
    assert expired["until"] is None
    assert cut + HOLDOVER - 1 <= unix(expired["since"]) <= cut + HOLDOVER + LATE

    row = lost.rows[DAEMON, "ptp4l"]
    assert (row["state"], row["offsetNs"], row["role"]) == ("FREERUN", None, "FAULTY")
    assert "FREERUN or HOLDOVER, the daemon's own metrics do not tell" in row["reason"]
    assert not lost.findings(DAEMON, "PTP_HOLDOVER")
    free = [f for f in lost.findings(DAEMON, "PTP_FREERUN") if f["until"] is None]
    assert len(free) == 1
    assert cut - 1 <= unix(free[0]["since"]) <= cut + LATE
    (port,) = lost.findings(DAEMON, "PTP_PORT_FAULTY")
    assert port["entity"]["name"] == f"{DAEMON}/ens1f0", "the port has its real name"
    realtime = lost.rows[DAEMON, "phc2sys"]
    assert (realtime["interface"], realtime["offsetNs"]) == ("CLOCK_REALTIME", None)

    back = lab.link.up()
    locked(lab)
    after = look()
    for node in (DAEMON, SIDECAR):
        row = after.rows[node, "ptp4l"]
        assert row["state"] == "LOCKED"
        assert unix(row["since"]) >= back - 1
        assert row["timeInState"]["freerun"] > 0
        assert "was not locked for" in row["reason"]
    assert after.rows[SIDECAR, "ptp4l"]["timeInState"]["holdover"] > 0
    assert after.rows[DAEMON, "ptp4l"]["timeInState"]["holdover"] == 0
    (expired,) = after.findings(SIDECAR, "PTP_HOLDOVER_EXPIRED")
    assert expired["severity"] == "warning"
    assert unix(expired["until"]) >= back - 1

    # What was recorded says the same. A recording ends at a whole step: what began just now is not in it.
    lab.wait(f'openshift_ptp_clock_state{{node="{SIDECAR}", process="ptp4l"}} offset 3s == 1')
    bundle = tmp_path / "ptp.bundle"
    made = aiops("bundle", "record", "-o", str(bundle), *WINDOW, env=lab.env)
    assert bundle.exists(), made.stderr
    done = aiops("cnf", "ptp", "--bundle", str(bundle), "-o", "json")
    assert done.returncode == 0, done.stderr
    recorded = View(done.json)
    assert recorded.rows[SIDECAR, "ptp4l"]["state"] == "LOCKED"
    assert recorded.rows[SIDECAR, "ptp4l"]["source"] == "bundle"
    (expired,) = recorded.findings(SIDECAR, "PTP_HOLDOVER_EXPIRED")
    assert cut <= unix(expired["since"]) <= cut + HOLDOVER + LATE


def test_a_grandmaster_that_loses_its_reference_is_told_in_words(lab: Lab, look: Any) -> None:
    locked(lab)
    lab.master.announce(7)
    lab.wait('openshift_ptp_clock_class{node="node-daemon"} == 7')
    seen = look("--node", DAEMON)
    row = seen.rows[DAEMON, "ptp4l"]
    assert row["state"] == "LOCKED"
    assert row["clockClass"] == 7
    assert row["clockClassText"] == "grandmaster in holdover, within specification"
    assert [f["value"] for f in seen.findings(DAEMON, "PTP_CLOCK_CLASS") if f["until"] is None] == [7]
    lab.master.announce(6)
    lab.wait('openshift_ptp_clock_class{node="node-daemon"} == 6')


def test_a_grandmaster_that_gives_utc_for_tai_is_found_out(lab: Lab, look: Any) -> None:
    locked(lab)
    began = time.time()
    lab.master.announce(6, tai=True)
    lab.wait('abs(openshift_ptp_offset_ns{node="node-daemon", process="ptp4l"}) > 30e9')
    seen = look("--node", DAEMON)
    lab.master.announce(6)
    (leap,) = seen.findings(DAEMON, "PTP_LEAP")
    assert "UTC offset" in leap["text"]
    assert began - 1 <= unix(leap["since"]) <= began + LATE
    assert seen.rows[DAEMON, "ptp4l"]["maxOffsetNs"] < 500_000
    lab.wait('abs(openshift_ptp_offset_ns{node="node-daemon", process="ptp4l"}) < 1e6')


def test_a_critical_finding_fails_a_pipeline(lab: Lab, aiops: Aiops) -> None:
    locked(lab)
    assert aiops("cnf", "ptp", *WINDOW, "--fail-on", "critical", env=lab.env).returncode == 1
    done = aiops("cnf", "ptp", *WINDOW, "--fail-on", "sometimes", env=lab.env)
    assert done.returncode == 2
    assert "critical or warning" in done.stderr
