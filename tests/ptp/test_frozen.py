"""Gauges that stand still while the state moves: what cloud-event-proxy leaves of a clock without a master."""

from __future__ import annotations

import numpy as np
import pytest

from aiops_cli.analysis.ptp import Board, Rules
from aiops_cli.analysis.ptp_findings import findings
from aiops_cli.analysis.ptp_readings import read
from aiops_cli.models.ptp import PtpSetup
from aiops_cli.models.samples import Sample
from aiops_cli.models.signals import Series
from aiops_cli.models.timerange import TimeRange

BEGAN, STEP, POINTS, LOST = 1.7e9, 30.0, 121, 100  # the master is lost 10 minutes before the end
TIMES = BEGAN + STEP * np.arange(POINTS)


def board(states: np.ndarray) -> Board:
    """One ptp4l clock; its offset and frequency move until the loss and stand still from then on."""
    measured = 8.0 * np.sin(np.arange(POINTS) * 1.7)
    measured[LOST:] = measured[LOST - 1]
    clock = {"process": "ptp4l", "iface": "ens1fx", "node": "n1"}
    series, now = [], []
    for name, labels, values in (
        ("offset_ns", {**clock, "from": "master"}, measured),
        ("frequency_adjustment_ns", {**clock, "from": "master"}, measured - 4000),
        ("clock_state", clock, states),
        ("threshold", {"node": "n1", "profile": "p", "threshold": "HoldOverTimeout"}, np.full(POINTS, 5.0)),
        ("process_status", {"node": "n1", "process": "ptp4l", "config": "ptp4l.0.config"}, np.ones(POINTS)),
    ):
        name = f"openshift_ptp_{name}"
        series.append(Series({"__name__": name, **labels}, TIMES, values))
        now.append(Sample(name, {"__name__": name, **labels}, float(values[-1])))
    end = float(TIMES[-1])
    return Board("c", read(now, series, end), TimeRange(BEGAN, end), PtpSetup(), Rules(), "prometheus")


@pytest.mark.parametrize(("after", "state"), [(0.0, "FREERUN"), (2.0, "HOLDOVER")])
def test_a_lost_master_stays_lost_however_long(after: float, state: str) -> None:
    states = np.ones(POINTS)
    states[LOST:] = after
    found = board(states)
    [clock] = found.clocks()
    codes = {f.code: f for f in findings(found, [clock])}
    assert (clock.row.state, clock.row.verdict) == (state, "FAIL")
    assert f"PTP_{state}" in codes and "PTP_STUCK_GAUGE" not in codes
    assert codes[f"PTP_{state}"].until is None


def test_a_locked_clock_whose_gauges_stand_still_is_not_believed() -> None:
    found = board(np.ones(POINTS))
    [clock] = found.clocks()
    assert (clock.row.state, clock.row.verdict) == (None, None)
    assert "PTP_STUCK_GAUGE" in {f.code for f in findings(found, [clock])}
