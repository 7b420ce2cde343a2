"""PTP clocks as `cnf ptp` shows them, the budgets they are judged by, and what the PTP operator was told."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

ClockState = Literal["LOCKED", "HOLDOVER", "FREERUN"]
Verdict = Literal["PASS", "WARN", "FAIL"]


class Budget(Struct, frozen=True):
    """How far a clock may be off: `low` and `high` in ns, and where that is from."""

    low: float
    high: float
    source: str


def _within(limit: float, source: str) -> Budget:
    return Budget(-limit, limit, source)


OPERATOR = "operator"
# Single samples of a servo's offset are no conformance test, which filters and lasts 1,000 s: against
# these a clock can fail, but it can't be certified.
BUDGETS: dict[str, Budget] = {
    OPERATOR: _within(100, "the PTP operator's default for ptpClockThreshold"),
    "g8275.1": _within(1100, "ITU-T G.8271.1, network limit at reference point C"),
    "g8271.1-end": _within(1500, "ITU-T G.8271.1, at the end application, holdover included"),
    "g8271-6a": _within(260, "ITU-T G.8271, level 6A"),
    "g8271-6b": _within(130, "ITU-T G.8271, level 6B"),
    "g8271-6c": _within(65, "ITU-T G.8271, level 6C"),
    "g8272-prtc-a": _within(100, "ITU-T G.8272, PRTC-A against UTC"),
    "g8272-prtc-b": _within(40, "ITU-T G.8272, PRTC-B against UTC"),
    "g8272.1-eprtc": _within(30, "ITU-T G.8272.1, ePRTC against UTC"),
    "g8273.2-class-a": _within(100, "ITU-T G.8273.2, max|TE| of a class A T-BC or T-TSC"),
    "g8273.2-class-b": _within(70, "ITU-T G.8273.2, max|TE| of class B"),
    "g8273.2-class-c": _within(30, "ITU-T G.8273.2, max|TE| of class C"),
    "g8273.2-class-d": _within(5, "ITU-T G.8273.2, max|TE_L| of class D"),
    "oran-c1": _within(1420, "O-RAN LLS-C1: 1.5 us at the antenna, less 80 ns of a regular O-RU"),
    "oran-c2": _within(1420, "O-RAN LLS-C2: 1.5 us at the antenna, less 80 ns of a regular O-RU"),
    "oran-c3": _within(1100, "O-RAN LLS-C3: ITU-T G.8271.1, network limit at reference point C"),
    "oran-c4": _within(100, "O-RAN LLS-C4: a PRTC-A at the O-RU, ITU-T G.8272"),
}


class TimeInState(Struct, frozen=True, rename="camel"):
    """Seconds of the window in each state; `unknown` are those without a sample of a living process."""

    locked: float
    holdover: float
    freerun: float
    unknown: float


class PtpClock(Struct, frozen=True, rename="camel"):
    """An item of `cnf ptp`: one clock that one process of one node keeps, such as the NIC's or the system's.

    `interface` is the metrics' own, which is mostly the alias of a NIC (ens1fx); `port` is the real port
    that is known to belong to it. Offsets are ns: `offsetNs` is signed unless `offsetKind` is rms,
    `p99OffsetNs` and `maxOffsetNs` are of absolute values over the window, without sentinels. `state` is
    null where nobody can know it (a dead process, no samples); `since` is when it began, if in the window.
    `lowLimitNs` and `limitNs` are the bounds of `budget`. `source` is prometheus, exporter or bundle.
    """

    cluster: str
    node: str
    process: str
    interface: str
    state: ClockState | None
    offset_ns: float | None
    max_offset_ns: float | None
    clock_class: int | None
    verdict: Verdict | None
    reason: str
    p99_offset_ns: float | None = None
    offset_kind: Literal["signed", "rms"] | None = None
    offset_from: str | None = None
    since: str | None = None
    time_in_state: TimeInState | None = None
    clock_class_text: str | None = None
    grandmaster: str | None = None
    role: str | None = None
    port: str | None = None
    process_up: bool | None = None
    clock_type: str | None = None
    profile: str | None = None
    budget: str = OPERATOR
    limit_ns: float | None = None
    source: str = "prometheus"
    low_limit_ns: float | None = None


class PtpProfile(Struct, frozen=True):
    """A profile of a PtpConfig. Thresholds in ns, timeout in s; None for what it leaves to the default."""

    name: str
    interfaces: tuple[str, ...] = ()
    clock_type: str | None = None
    low: float | None = None
    high: float | None = None
    holdover_timeout: float | None = None


class PtpSetup(Struct, frozen=True):
    """What the API server says of PTP: profiles, those of each node, its devices, and whether the sidecar
    serves the metrics (None where it does not say)."""

    profiles: dict[str, PtpProfile] = {}
    nodes: dict[str, tuple[str, ...]] = {}
    devices: dict[str, tuple[str, ...]] = {}
    events: bool | None = None
