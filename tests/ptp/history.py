"""Two hours of `openshift_ptp_*` of nodes that each have one trap, as OpenMetrics text for a real Prometheus.

Series are in the daemon's and the sidecar's documented shapes (see tests/ptp/exporter.py); values are made
up so that what has to come out is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

STEP = 15
SPAN = 2 * 3600
LOST_AT, LOST_FOR = 2400, 300  # before the end; how long
HELD_AT = 5415  # between two steps of the look back

Value = Callable[
    [int], float | None
]  # of the seconds before the end (positive); None where there is no sample


def noise(t: int) -> float:
    """Between -60 and 60, never twice the same in a row."""
    return float((t // STEP * 37) % 121 - 60)


def lost(t: int) -> bool:
    return LOST_AT - LOST_FOR < t <= LOST_AT


class Text:
    """Series by family, to be written as OpenMetrics wants them."""

    def __init__(self, end: int, span: int = SPAN) -> None:
        self.end, self.span = end, span
        self.families: dict[str, list[str]] = {}

    def add(self, metric: str, value: Value | float, **labels: str) -> None:
        inner = ",".join(f'{"from" if k == "origin" else k}="{v}"' for k, v in labels.items())
        name = f"openshift_ptp_{metric}"
        rows = self.families.setdefault(name, [])
        for t in range(self.span, -1, -STEP):
            now = value(t) if callable(value) else value
            if now is not None:
                rows.append(f"{name}{{{inner}}} {now!r} {self.end - t}")

    def clock(
        self,
        node: str,
        offset: Value | float,
        *,
        state: Value | float | None = 1,
        most: Value | float | None = None,
        process: str = "ptp4l",
        iface: str = "ens1fx",
        origin: str = "master",
        freq: Value | float | None = None,
        up: Value | float | None = 1,
        **more: str,
    ) -> None:
        """A clock as one process exports it, and the process's status."""
        labels = {"node": node, "process": process, "iface": iface}
        self.add("offset_ns", offset, origin=origin, **labels, **more)
        self.add("max_offset_ns", offset if most is None else most, origin=origin, **labels, **more)
        steering: Value | float = (lambda t: -4000.0 + noise(t)) if freq is None else freq
        self.add("frequency_adjustment_ns", steering, origin=origin, **labels, **more)
        if state is not None:
            self.add("clock_state", state, **labels, **more)
        if up is not None:
            self.add("process_status", up, node=node, process=process, config="ptp4l.0.config")

    def thresholds(self, node: str, most: float, profile: str = "slave", timeout: float = 5) -> None:
        for name, value in (
            ("MinOffsetThreshold", -most),
            ("MaxOffsetThreshold", most),
            ("HoldOverTimeout", timeout),
        ):
            self.add("threshold", value, node=node, profile=profile, threshold=name)

    def lines(self) -> Iterable[str]:
        for name, rows in self.families.items():
            yield f"# TYPE {name} gauge"
            yield from rows
        yield "# EOF"


def history(end: int) -> str:
    """Every node, up to `end` (unix seconds)."""
    text = Text(end)
    text.clock("good", noise)
    text.add("clock_class", 6, node="good", process="ptp4l", config="ptp4l.0.config")
    text.add("interface_role", 1, node="good", process="ptp4l", iface="ens1f0")
    text.add("interface_role", 2, node="good", process="ptp4l", iface="ens1f1")
    text.add("interface_role", 1, node="good", process="ptp4l", iface="ens2f0")

    text.clock("sentinel", lambda t: 999999.0 if lost(t) else noise(t), state=lambda t: 0 if lost(t) else 1)
    text.clock("faulty", lambda t: 999999.0 if t < LOST_AT else noise(t), state=None)
    text.clock("absent", lambda t: 99999999999.0 if lost(t) else noise(t))
    text.clock(
        "holdover",
        lambda t: -9999999999999999.0 if t < LOST_AT - 60 else noise(t),
        state=lambda t: 1 if t > LOST_AT else 2 if t > LOST_AT - 60 else 0,
        most=60,
    )
    text.thresholds("holdover", 100, timeout=60)
    text.clock("holding", noise, state=lambda t: 2 if t < 120 else 1)
    text.thresholds("holding", 100, timeout=125)

    text.clock(
        "dead",
        lambda t: noise(max(t, LOST_AT)),
        freq=lambda t: noise(max(t, LOST_AT)),
        up=lambda t: 0 if t < LOST_AT else 1,
    )
    text.clock("stuck", lambda t: noise(max(t, LOST_AT)), freq=lambda t: noise(max(t, LOST_AT)), up=None)
    text.clock(
        "still", 0.0, process="ts2phc", iface="ens7fx", freq=0.0
    )  # a steady grandmaster is no dead one
    text.clock(
        "gone",
        lambda t: None if t < LOST_AT else noise(t),
        state=lambda t: None if t < LOST_AT else 1,
        up=None,
    )

    text.clock("rms", lambda t: 40.0 + noise(t) / 6, most=lambda t: 80.0 + noise(t) / 6, state=None)
    text.clock("peak", lambda t: 40.0 + noise(t) / 6, most=lambda t: 140.0 + noise(t) / 6, state=None)

    text.clock("realtime", noise, iface="CLOCK_REALTIME", process="phc2sys", origin="phc")
    text.add("clock_class", 6, node="realtime", process="ptp4l", config="ptp4l.0.config")
    # It once measured against sys: that gauge stands still beside the living one.
    text.add("offset_ns", -77777.0, node="realtime", process="phc2sys", iface="CLOCK_REALTIME", origin="sys")

    text.clock("old", noise)
    text.add("clock_class", 248, node="old", process="ptp4l")  # no config label
    text.clock("dual", noise)
    text.add("clock_class", 6, node="dual", process="ptp4l", config="ptp4l.0.config")
    text.add("clock_class", 248, node="dual", process="ptp4l", config="ptp4l.1.config")
    text.add(
        "process_status", lambda t: 0 if t < 600 else 1, node="dual", process="ptp4l", config="ptp4l.1.config"
    )

    text.clock("flapping", noise, state=lambda t: 0 if t % 600 < 60 else 1)
    text.add(
        "clock_class", lambda t: 6 if t // 600 % 2 else 135, node="flapping", process="ptp4l", config="c"
    )
    text.add(
        "interface_role", lambda t: 1 if t // 300 % 2 else 5, node="flapping", process="ptp4l", iface="ens1f0"
    )

    text.clock(
        "gm",
        lambda t: 0.0 if not lost(t) else 12.0,
        process="ts2phc",
        iface="ens7fx",
        freq=0.0,
        state=lambda t: 0 if lost(t) else 1,
    )
    text.add(
        "gnss_status", lambda t: 0 if lost(t) else 3, node="gm", process="gnss", iface="ens7fx", origin="gnss"
    )
    text.add("nmea_status", lambda t: 0 if lost(t) else 1, node="gm", process="ts2phc", iface="ens7fx")
    text.add(
        "phase_status",
        lambda t: 4 if lost(t) else 3,
        node="gm",
        process="dpll",
        iface="ens7fx",
        origin="dpll",
    )

    text.clock("restarting", noise)
    text.add(
        "process_restart_count",
        lambda t: float(1 + sum(t < at for at in (900, 1200, 1500, 5000))),
        node="restarting",
        process="ptp4l",
        config="ptp4l.0.config",
    )
    text.clock("leap", lambda t: 1_000_000_012.0 if t < 600 else noise(t))
    text.clock(
        "utc", lambda t: -37_000_000_000.0 + noise(t), iface="CLOCK_REALTIME", process="phc2sys", origin="phc"
    )
    text.clock("far", lambda t: 2_162_130.0 + noise(t) if t < 600 else noise(t))
    text.clock("over", lambda t: 350.0 if 600 < t < 1200 else noise(t))
    text.clock("twice", lambda t: 350.0 if 2940 < t <= 3000 or 540 < t <= 600 else noise(t))
    text.clock("midway", noise, up=lambda t: 0 if 1200 < t <= 2400 else 1)  # its gauges go on saying LOCKED
    # HOLDOVER from before the hour that tests ask for: since half an hour, or from before all samples.
    text.clock("longer", noise, state=lambda t: 2 if t <= HELD_AT else 1)
    text.clock("oldest", noise, state=2)
    for node in ("longer", "oldest"):
        text.thresholds(node, 100, timeout=14_400)
    text.add("gnss_status", 0, node="longer", process="gnss", iface="ens7fx", origin="gnss")
    text.clock("flicker", noise, state=lambda t: 0 if t % 60 == 15 else 1)  # not at whole minutes
    text.clock("wide", lambda t: 3 * noise(t))
    text.thresholds("wide", 200)

    # The pod was replaced, and two replicas of Prometheus sent the same: one clock.
    for pod, alive in (("daemon-a", lambda t: t >= LOST_AT), ("daemon-b", lambda t: t < LOST_AT)):
        for replica in ("a", "b"):
            text.clock(
                "moved",
                lambda t, alive=alive: noise(t) if alive(t) else None,
                state=lambda t, alive=alive: 1.0 if alive(t) else None,
                freq=lambda t, alive=alive: noise(t) if alive(t) else None,
                up=None,
                pod=pod,
                prometheus_replica=replica,
            )
    # The new pod came before the old one went, whose last words were FREERUN.
    for pod, alive, state in (
        ("daemon-a", lambda t: t >= 600, lambda t: 0.0 if t < LOST_AT else 1.0),
        ("daemon-b", lambda t: t < LOST_AT, lambda t: 1.0),
    ):
        text.clock(
            "handover",
            lambda t, alive=alive: noise(t) if alive(t) else None,
            state=lambda t, alive=alive, state=state: state(t) if alive(t) else None,
            freq=lambda t, alive=alive: noise(t) if alive(t) else None,
            up=None,
            pod=pod,
        )
    return "\n".join([*text.lines(), ""])
