"""How PTP clocks look in tables and plots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import tzinfo

from aiops_cli.analysis.ptp import Clock
from aiops_cli.analysis.ptp_codes import OS_CLOCK, STATES, class_word
from aiops_cli.analysis.ptp_readings import Run
from aiops_cli.analysis.ptp_verdict import bounds, ns, span
from aiops_cli.models.ptp import PtpClock, TimeInState
from aiops_cli.models.signals import Series
from aiops_cli.render.output import Column, View
from aiops_cli.render.text import clock as time_of_day
from aiops_cli.render.text import one_line
from aiops_cli.render.views import when


def ptp_view(rows: Sequence[PtpClock], zone: tzinfo | None, *, narrow: bool = False) -> View[PtpClock]:
    """`narrow` leaves out what 80 cells have no room for: reasons, words of the class, an only cluster."""
    one_cluster = narrow and len({c.cluster for c in rows}) <= 1
    return View(
        "PtpClockList",
        [
            Column("cluster", lambda c: c.cluster, wide=one_cluster),
            Column("node", lambda c: c.node, keep=True),
            Column("process", lambda c: c.process, keep=True),
            Column(
                "interface",
                lambda c: _brief(c) if narrow else c.interface,
                plain=lambda c: c.interface,
                keep=True,
            ),
            Column("state", lambda c: c.state, keep=True),
            Column("offset", lambda c: _ns(c.offset_ns), right=True, plain=lambda c: c.offset_ns, unit="ns"),
            Column(
                "p99", lambda c: _ns(c.p99_offset_ns), right=True, plain=lambda c: c.p99_offset_ns, unit="ns"
            ),
            Column(
                "max", lambda c: _ns(c.max_offset_ns), right=True, plain=lambda c: c.max_offset_ns, unit="ns"
            ),
            Column("class", lambda c: _class(c, narrow), plain=lambda c: c.clock_class),
            Column("verdict", lambda c: c.verdict, keep=True),
            Column("reason", lambda c: c.reason, wide=narrow),
            Column("since", lambda c: when(c.since, zone), wide=True, plain=lambda c: c.since),
            *_spent(),
            Column("role", lambda c: c.role, wide=True),
            Column("port", lambda c: c.port, wide=True),
            Column("up", lambda c: _yes(c.process_up), wide=True),
            Column("type", lambda c: c.clock_type, wide=True),
            Column("profile", lambda c: c.profile, wide=True),
            Column("budget", lambda c: c.budget, wide=True),
            Column(
                "limit",
                lambda c: _ns(c.limit_ns),
                right=True,
                wide=True,
                plain=lambda c: c.limit_ns,
                unit="ns",
            ),
            Column("from", lambda c: c.offset_from, wide=True),
            Column("kind", lambda c: c.offset_kind, wide=True),
            Column("source", lambda c: c.source, wide=True),
        ],
        lambda c: f"{c.cluster}/{c.node}/{c.process}/{c.interface}",
    )


def plotted(clocks: Sequence[Clock]) -> list[tuple[str, Series]]:
    """Offsets in ns; who is worst comes first, for only a dozen lines are drawn."""
    known = [c for c in clocks if c.offsets is not None and len(c.offsets.values)]
    known.sort(key=lambda c: -(c.row.max_offset_ns or 0))
    return [
        (
            c.row.cluster,
            Series(
                {"node": c.row.node, "process": c.row.process, "iface": c.row.interface},
                c.offsets.times,
                c.offsets.values,
            ),
        )
        for c in known
        if c.offsets is not None
    ]


def clock_text(clock: Clock, zone: tzinfo | None, end: float) -> str:
    """A clock in words: what it is and does, why it is judged so, and when it changed; `end` is the window's,
    in unix seconds."""
    row = clock.row
    lines = [f"{row.node} {row.process} {row.interface} ({row.cluster})"]
    lasted = f" since {when(row.since, zone)}" if row.since else ""
    lines.append(
        f"{row.state or 'state not known'}{lasted}, verdict {row.verdict or 'not known'}: {row.reason}"
    )
    kind = f" {row.offset_kind}" if row.offset_kind == "rms" else ""
    lines.append(
        f"offset {_ns(row.offset_ns)}{kind} from {row.offset_from or '-'}, p99 {_ns(row.p99_offset_ns)}, "
        f"max {_ns(row.max_offset_ns)}; budget {row.budget}: {bounds(clock.budget)}"
    )
    if row.clock_class is not None:
        lines.append(f"clock class {row.clock_class}: {row.clock_class_text}")
    named = [("type", row.clock_type), ("profile", row.profile), ("port", row.port), ("role", row.role),
             (row.process, None if row.process_up is None else "up" if row.process_up else "DOWN")]  # fmt: skip
    if said := ", ".join(f"{what} {value}" for what, value in named if value):
        lines.append(said)
    if row.time_in_state is not None:
        lines.append(", ".join(f"{c.title} {c.value(row)}" for c in _spent()) + " of the range")
    lines += _changes(clock, zone, end)
    lines.append(f"read from {row.source}")
    return "".join(one_line(line) + "\n" for line in lines)


def _changes(clock: Clock, zone: tzinfo | None, end: float) -> Iterator[str]:
    """When its state became another, the newest first."""
    for i in range(len(clock.runs) - 1, 0, -1):
        before, run = clock.runs[i - 1], clock.runs[i]
        last = i + 1 == len(clock.runs)
        until = end if last else clock.runs[i + 1].since
        lasted = f"for {span(until - run.since)}" + (" until now" if last and clock.current else "")
        yield f"{time_of_day(run.since, zone)}  {state_word(before)} → {state_word(run)} {lasted}"


def state_word(run: Run) -> str:
    """The state of a stretch of time; what nobody knows is UNKNOWN."""
    return "UNKNOWN" if run.value is None else STATES.get(run.value, "UNKNOWN")


def _spent() -> list[Column[PtpClock]]:
    def column(name: str) -> Column[PtpClock]:
        def share(clock: PtpClock) -> float | None:
            spent: TimeInState | None = clock.time_in_state
            if spent is None:
                return None
            total = spent.locked + spent.holdover + spent.freerun + spent.unknown
            return round(100 * float(getattr(spent, name)) / total, 3) if total else None

        def text(clock: PtpClock) -> str:
            value = share(clock)
            return "-" if value is None else f"{value:.1f}%"

        return Column(name, text, right=True, wide=True, plain=share, unit="percent")

    return [column(name) for name in ("locked", "holdover", "freerun", "unknown")]


def _ns(value: float | None) -> str:
    return "-" if value is None else ns(value).replace(" ", "")


def _brief(clock: PtpClock) -> str:
    return "system" if clock.interface == OS_CLOCK else clock.interface


def _class(clock: PtpClock, narrow: bool) -> str:
    if clock.clock_class is None:
        return "-"
    return str(clock.clock_class) if narrow else f"{clock.clock_class} {class_word(clock.clock_class)}"


def _yes(value: bool | None) -> str:
    return "-" if value is None else "yes" if value else "no"
