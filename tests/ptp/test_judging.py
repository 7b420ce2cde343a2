"""What clocks are judged by, on series whose answer is known: no source is asked."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from aiops_cli.analysis.ptp import Board, Clock, Rules
from aiops_cli.analysis.ptp_findings import findings
from aiops_cli.analysis.ptp_readings import read
from aiops_cli.models.findings import Finding
from aiops_cli.models.ptp import PtpSetup
from aiops_cli.models.samples import Sample
from aiops_cli.models.signals import Series
from aiops_cli.models.timerange import TimeRange

END, STEP, SPAN = 1.7e9, 15, 3600
AGO = np.arange(SPAN, -1, -STEP)  # s before the end
Value = float | Callable[[int], float]
Said = tuple[str, dict[str, str], Value]


def noise(t: int) -> float:
    """Between -40 and 40, never twice the same in a row."""
    return float((t // STEP * 37) % 81 - 40)


def ptp4l(offset: Value = noise, state: Value = 1.0, process: str = "ptp4l") -> list[Said]:
    clock = {"process": process, "iface": "ens1fx"}
    return [
        ("offset_ns", {**clock, "from": "master"}, offset),
        ("frequency_adjustment_ns", {**clock, "from": "master"}, lambda t: noise(t) - 4000),
        ("clock_state", clock, state),
    ]


def limits(low: float, high: float, profile: str = "p") -> list[Said]:
    return [
        ("threshold", {"profile": profile, "threshold": f"{name}OffsetThreshold"}, value)
        for name, value in (("Min", low), ("Max", high))
    ]


def judge(*said: Said) -> tuple[list[Clock], dict[str, Finding]]:
    """Clocks of the node n1, and findings by code."""
    series, now = [], []
    for name, labels, value in said:
        labels = {"__name__": f"openshift_ptp_{name}", "node": "n1", **labels}
        values = np.array([value(int(t)) if callable(value) else value for t in AGO], float)
        series.append(Series(labels, END - AGO.astype(float), values))
        now.append(Sample(labels["__name__"], labels, float(values[-1])))
    window = TimeRange(END - SPAN, END)
    board = Board("c", read(now, series, END), window, PtpSetup(), Rules(), "prometheus")
    clocks = board.clocks()
    return clocks, {f.code: f for f in findings(board, clocks)}


def stamp(ago: float) -> str:
    return str(np.datetime64(int((END - ago) * 1000), "ms")) + "Z"


def test_a_state_that_is_no_number_is_unknown_and_costs_no_other_clock() -> None:
    clocks, _ = judge(*ptp4l(state=lambda t: float("nan") if t < 60 else 1.0), *ptp4l(process="ts2phc"))
    assert [(c.row.process, c.row.state) for c in clocks] == [("ptp4l", None), ("ts2phc", "LOCKED")]


def test_a_grandmaster_tells_holdover_by_its_dpll_alone() -> None:
    lost = ptp4l(state=lambda t: 0.0 if t < 60 else 1.0, process="T-GM")
    [clock], found = judge(*lost)
    assert (clock.row.state, clock.sure) == ("FREERUN", False)
    assert "FREERUN or HOLDOVER" in clock.row.reason
    assert "FREERUN or HOLDOVER" in found["PTP_FREERUN"].text
    phase = ("phase_status", {"process": "dpll", "iface": "ens1f0", "from": "dpll"}, 1.0)
    [clock], found = judge(*lost, phase)
    assert clock.sure and "HOLDOVER" not in found["PTP_FREERUN"].text


@pytest.mark.parametrize(
    ("metric", "code", "labels", "values"),
    [
        ("clock_class", "PTP_GRANDMASTER_FLAPPING", {"process": "ptp4l", "config": "c"}, (6.0, 135.0)),
        ("interface_role", "PTP_PORT_FLAPPING", {"process": "ptp4l", "iface": "ens1f0"}, (1.0, 5.0)),
    ],
)
def test_what_flapped_and_has_calmed_is_over(
    metric: str, code: str, labels: dict[str, str], values: tuple[float, float]
) -> None:
    def calmed(t: int) -> float:
        return values[t // 150 % 2] if 1200 < t <= 2400 else values[0]

    def flapping(t: int) -> float:
        return values[t // 150 % 2]

    _, found = judge(*ptp4l(), (metric, labels, calmed))
    assert found[code].since == stamp(_first(calmed))
    assert found[code].until == stamp(_last(calmed))
    _, found = judge(*ptp4l(), (metric, labels, flapping))
    assert (found[code].since, found[code].until) == (stamp(_first(flapping)), None)


def _changes(value: Callable[[int], float]) -> list[int]:
    return [int(t) for t in AGO[1:] if value(int(t)) != value(int(t) + STEP)]


def _first(value: Callable[[int], float]) -> int:
    return _changes(value)[0]


def _last(value: Callable[[int], float]) -> int:
    return _changes(value)[-1]


def lopsided(t: int) -> float:
    """A third of the samples at -80, the others within 40 of 0."""
    return -80.0 if t // STEP % 3 == 1 else noise(t)


def test_each_side_has_its_own_bound() -> None:
    """Two profiles, of which the tightest bound of each side counts."""
    [clock], found = judge(*ptp4l(lopsided), *limits(-50, 100, "a"), *limits(-200, 200, "b"))
    assert (clock.row.verdict, clock.row.low_limit_ns, clock.row.limit_ns) == ("FAIL", -50, 100)
    assert clock.row.reason.startswith("p99 30 ns beyond, allowed are -50 ns to 100 ns")
    off = found["PTP_OFFSET"]
    assert off.text.startswith("-80 ns off at the worst, -50 ns to 100 ns are allowed")
    assert (off.value, off.threshold) == (80, 50)
    [clock], found = judge(*ptp4l(lambda t: -lopsided(t)), *limits(-50, 100))
    assert (clock.row.verdict, found) == ("PASS", {})
    assert clock.row.reason.startswith("at the nearest -40 ns of -50 ns to 100 ns")


def test_one_sample_beyond_the_lower_bound_is_a_doubt() -> None:
    [clock], _ = judge(*ptp4l(lambda t: -60.0 if t == 600 else noise(t)), *limits(-50, 100))
    assert clock.row.verdict == "WARN"
    assert clock.row.reason.startswith("at most -60 ns, allowed are -50 ns to 100 ns")


def test_of_two_references_the_one_that_moves_is_measured() -> None:
    """Though the gauge that stands still is the one that a clock usually has."""
    system = {"process": "phc2sys", "iface": "CLOCK_REALTIME"}
    [clock], _ = judge(
        ("offset_ns", {**system, "from": "phc"}, 77.0),
        ("offset_ns", {**system, "from": "sys"}, noise),
        ("clock_state", system, 1.0),
    )
    assert (clock.row.offset_from, clock.row.state) == ("sys", "LOCKED")
    assert clock.row.max_offset_ns is not None and clock.row.max_offset_ns <= 40


def test_what_has_no_sign_is_judged_by_the_nearer_bound() -> None:
    reference = {"process": "ptp4l", "iface": "ens1fx", "from": "master"}
    [clock], found = judge(
        ("offset_ns", reference, lambda t: 30 + noise(t) / 10),
        ("max_offset_ns", reference, lambda t: 80 + noise(t) / 10),
        *limits(-50, 100),
    )
    assert (clock.row.offset_kind, clock.row.verdict) == ("rms", "WARN")
    assert (found["PTP_OFFSET"].value, found["PTP_OFFSET"].threshold) == (84, 50)
