"""Clocks out of PTP readings: what each one does now, what it did over the window, and whether that will do.

Pure: no source is asked. Three things are told apart that gauges alone show alike: a clock that is not
locked, a process that is dead and whose gauges stand still, and an exporter that says nothing any more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from aiops_cli.analysis import ptp_codes as codes
from aiops_cli.analysis import ptp_offsets as offsets
from aiops_cli.analysis.ptp_offsets import Reach
from aiops_cli.analysis.ptp_readings import Floats, Key, Readings, Run, Track
from aiops_cli.analysis.ptp_verdict import judged
from aiops_cli.models.ptp import BUDGETS, OPERATOR, Budget, PtpClock, PtpProfile, PtpSetup, TimeInState
from aiops_cli.models.timerange import TimeRange

_HOLD = 2.5  # a sample stands for at most this many steps


@dataclass(frozen=True, slots=True)
class Rules:
    """How to judge: the settings of [ptp], with `profile` as asked."""

    profile: str = OPERATOR
    max_offset_ns: float | None = None
    holdover_timeout: float | None = None
    stuck_after: float = 300.0
    flaps: int = 3


@dataclass(slots=True)
class Clock:
    """A row, and what findings are made of. Times are unix seconds.

    `losses` is how often it lost its lock by every sample, 0 where that was not asked; `down` and `stuck` are
    since when its process is dead, and since when its gauges stand still.
    """

    row: PtpClock
    runs: list[Run] = field(default_factory=list)
    offsets: Track | None = None
    raw_offsets: Track | None = None
    peaks: Track | None = None
    budget: Budget = BUDGETS[OPERATOR]
    reach: Reach | None = None
    holdover_seconds: float = codes.HOLDOVER_SECONDS
    tells_holdover: bool = False
    has_dpll: bool = False
    losses: int = 0
    down: Run | None = None
    stuck: Run | None = None
    silent_since: float | None = None

    @property
    def current(self) -> bool:
        """Whether its gauges are about now."""
        return self.down is None and self.stuck is None and self.silent_since is None

    @property
    def sure(self) -> bool:
        """Whether FREERUN is told from HOLDOVER: by the sidecar, or a grandmaster's DPLL."""
        return self.tells_holdover or self.has_dpll

    @property
    def sourceless(self) -> bool:
        """Whether its offset is a sentinel now: there is nothing to measure against."""
        return (
            self.current
            and self.raw_offsets is not None
            and bool(len(self.raw_offsets.values))
            and self.raw_offsets.last in codes.SENTINELS
        )


@dataclass(frozen=True, slots=True)
class _Process:
    """Whether a process of a node runs; `down` is since when it does not."""

    up: bool | None
    down: Run | None = None
    note: str = ""


class Board:
    """The clocks of one cluster. `unread[node]` says what of the window is not known of a node ("" of all)."""

    def __init__(
        self, cluster: str, readings: Readings, window: TimeRange, setup: PtpSetup, rules: Rules, source: str
    ) -> None:
        self.cluster, self.readings, self.window = cluster, readings, window
        self.setup, self.rules, self.source = setup, rules, source
        self.step = _usual_step(readings)
        self.unread: dict[str, str] = {}

    def clocks(self) -> list[Clock]:
        """By node, then by process and interface, the system's clock last."""
        return [self._clock(node, *key) for node in self.readings.nodes() for key in self._keys(node)]

    def limits(self, node: str) -> tuple[float, float]:
        """The tightest budget of a node's clocks, in ns."""
        budgets = [self._budget(node, self._profile(node, iface))[1] for _, iface in self._keys(node)]
        return max((b.low for b in budgets), default=-math.inf), min(
            (b.high for b in budgets), default=math.inf
        )

    def _keys(self, node: str) -> list[tuple[str, str]]:
        found = {key[:2] for m in ("offset_ns", "clock_state") for key in self.readings.track(m, node)}
        return sorted(((p, i) for p, i in found if i), key=lambda k: (k[1] == codes.OS_CLOCK, k))

    def _clock(self, node: str, process: str, interface: str) -> Clock:
        running = self._process(node, process)
        profile = self._profile(node, interface)
        budget_name, budget, whose = self._budget(node, profile)
        offset_key, offset = self._offset(node, process, interface)
        state = self.readings.track("clock_state", node).get((process, interface))
        known = [t for t in (state, offset) if t is not None]
        silent = not any(t.last_at >= self.readings.at for t in known)
        died = running.down
        stuck = None if died or silent else self._stuck(node, process, offset_key, offset, state)
        ended = died.since if died is not None else stuck.since if stuck is not None else None
        tells = self._tells_holdover(node)
        phase = None if tells else self._phase(node, process, interface)
        state = _with_dpll_holdover(state, phase)
        state, offset, note = self._living(node, process, state, offset)
        lived = state.until(ended) if state is not None else None
        clock = Clock(
            PtpClock(self.cluster, node, process, interface, None, None, None, None, None, ""),
            runs=lived.runs() if lived is not None else [],
            offsets=offset.until(ended).usable() if offset is not None else None,
            raw_offsets=offset.until(ended) if offset is not None else None,
            holdover_seconds=self._holdover_seconds(node, process, profile),
            tells_holdover=tells,
            has_dpll=phase is not None,
            losses=self.readings.losses.get(node, {}).get((process, interface), 0),
            down=died,
            stuck=stuck,
            silent_since=max((t.last_at for t in known), default=None) if silent else None,
        )
        current = not silent and ended is None
        peaks = self.readings.track("max_offset_ns", node).get(offset_key) if offset_key else None
        peaks = peaks.until(ended).usable() if peaks is not None else None
        kind = offsets.kind(clock.offsets, peaks)
        clock.peaks, clock.budget = (peaks if kind == "rms" else None), budget
        port, role = self._port(node, process, interface)
        number = self._class(node, process) if interface != codes.OS_CLOCK else None
        now = state.last if state is not None and current else None
        clock.row = msgspec.structs.replace(
            clock.row,
            state=codes.STATES.get(int(now)) if now is not None and np.isfinite(now) else None,
            offset_ns=offsets.measured(offset) if offset is not None and current else None,
            max_offset_ns=offsets.most(
                clock.offsets,
                peaks,
                kind,
                (
                    self.readings.extreme("offset_ns", node, offset_key),
                    self.readings.extreme("max_offset_ns", node, offset_key),
                ),
            ),
            p99_offset_ns=offsets.p99(clock.offsets, _HOLD * self.step),
            offset_kind=kind,
            offset_from=offset_key[2] if offset_key and offset_key[2] else None,
            time_in_state=self._time_in_state(lived) if lived is not None else None,
            clock_class=number,
            clock_class_text=codes.class_text(number) if number is not None else None,
            grandmaster=node if process in codes.GRANDMASTER_PROCESSES else None,
            role=role,
            port=port,
            process_up=running.up,
            clock_type=profile.clock_type if profile else None,
            profile=profile.name if profile else ", ".join(self.setup.nodes.get(node, ())) or None,
            budget=budget_name,
            limit_ns=budget.high,
            low_limit_ns=budget.low,
            source=self.source,
        )
        farthest = clock.row.max_offset_ns
        clock.reach = offsets.reach(clock.offsets, clock.peaks, farthest, budget, kind, _HOLD * self.step)
        doubt = running.note or ("" if died is not None else note)
        unread = self.unread.get(node) or self.unread.get("", "")
        if max((len(t.times) for t in known), default=0) < 2:
            unread = unread or "one sample is no verdict"
        clock.row = judged(clock, self.window.start, self.readings.at, whose, doubt, unread)
        return clock

    # -- joins

    def _process(self, node: str, process: str) -> _Process:
        """A process may run once for each config; clocks don't say which is theirs."""
        status = {k: v for k, v in self.readings.track("process_status", node).items() if k[0] == process}
        current = {k: t for k, t in status.items() if t.last_at >= self.readings.at}
        if not current:
            return _Process(None)
        down = {k: t for k, t in current.items() if t.last == 0}
        if len(down) == len(current):
            return _Process(False, max((t.lasting() for t in down.values()), key=lambda r: r.since))
        if down:
            return _Process(True, note=f"{process} is down for {', '.join(sorted(k[1] for k in down))}")
        return _Process(True)

    def _offset(self, node: str, process: str, interface: str) -> tuple[Key | None, Track | None]:
        """Of several reference clocks the one that is measured now: the gauge of another one stands still."""
        several = [
            (key, track)
            for key, track in self.readings.track("offset_ns", node).items()
            if key[:2] == (process, interface)
        ]
        if not several:
            return None, None

        def order(pair: tuple[Key, Track]) -> tuple[bool, bool, int]:
            (_, _, origin), track = pair
            rank = codes.OFFSET_SOURCES.index(origin) if origin in codes.OFFSET_SOURCES else 99
            still = track.constant_since() <= track.last_at - self.rules.stuck_after
            return track.last_at < self.readings.at, still, rank

        return min(several, key=order)

    def _class(self, node: str, process: str) -> int | None:
        """The process's own, or the only one that the node has."""
        if process in codes.CLASSLESS:
            return None
        values = self.readings.value("clock_class", node)
        own = {v for k, v in values.items() if k[0] == process} or set(values.values())
        return int(next(iter(own))) if len(own) == 1 else None

    def _port(self, node: str, process: str, interface: str) -> tuple[str | None, str | None]:
        """The real port and its role: interface_role has real names, a clock its NIC's alias."""
        roles = {
            key[1]: int(value)
            for key, value in self.readings.value("interface_role", node).items()
            if interface in codes.aliases(key[1])
        }
        for wanted in (1, codes.FAULTY):
            named = sorted(port for port, role in roles.items() if role == wanted)
            if named:
                return named[0], codes.ROLES[wanted]
        if roles:
            port = min(roles)
            return port, codes.ROLES.get(roles[port])
        devices = [d for d in self.setup.devices.get(node, ()) if interface in codes.aliases(d)]
        return (devices[0] if len(devices) == 1 else None), None

    def _profile(self, node: str, interface: str) -> PtpProfile | None:
        """The node's profile; of several the one that names a port of this clock."""
        named = [self.setup.profiles[n] for n in self.setup.nodes.get(node, ()) if n in self.setup.profiles]
        if len(named) == 1:
            return named[0]
        own = [p for p in named if any(interface in codes.aliases(i) for i in p.interfaces)]
        return own[0] if len(own) == 1 else None

    def _thresholds(self, node: str, profile: PtpProfile | None, name: str) -> list[float]:
        """What the sidecar exports for this profile, else for every profile of the node."""
        values = self.readings.value("threshold", node)
        own = [v for (p, t), v in values.items() if t == name and profile is not None and p == profile.name]
        return own or [v for (_, t), v in values.items() if t == name]

    def _budget(self, node: str, profile: PtpProfile | None) -> tuple[str, Budget, str]:
        """The budget, and whose it is. A node with several profiles is judged by the tightest."""
        if self.rules.profile != OPERATOR:
            return self.rules.profile, BUDGETS[self.rules.profile], self.rules.profile
        if self.rules.max_offset_ns is not None:
            limit = self.rules.max_offset_ns
            return OPERATOR, Budget(-limit, limit, "config"), "config [ptp]"
        low, high = (self._thresholds(node, profile, f"{b}OffsetThreshold") for b in ("Min", "Max"))
        default = BUDGETS[OPERATOR]
        if high:
            bound = max(low) if low else -min(high)
            return OPERATOR, Budget(bound, min(high), "threshold"), "the cluster's threshold"
        if profile is not None and (profile.high is not None or profile.low is not None):
            high_ns = default.high if profile.high is None else profile.high
            low_ns = default.low if profile.low is None else profile.low
            return OPERATOR, Budget(low_ns, high_ns, "PtpConfig"), f"profile {profile.name}"
        return OPERATOR, default, "the operator's default"

    def _holdover_seconds(self, node: str, process: str, profile: PtpProfile | None) -> float:
        if self.rules.holdover_timeout is not None:
            return self.rules.holdover_timeout
        if process in codes.GRANDMASTER_PROCESSES:
            return codes.GNSS_HOLDOVER_SECONDS
        if told := self._thresholds(node, profile, "HoldOverTimeout"):
            return min(told)
        return (profile.holdover_timeout if profile else None) or codes.HOLDOVER_SECONDS

    def _tells_holdover(self, node: str) -> bool:
        """Only the sidecar exports thresholds and HOLDOVER; the daemon shows 0 for it."""
        if self.setup.events is not None:
            return self.setup.events
        states = self.readings.track("clock_state", node).values()
        return self.readings.has(node, "threshold") or any((t.values == 2).any() for t in states)

    def _phase(self, node: str, process: str, interface: str) -> Track | None:
        """The phase status of a grandmaster's DPLL."""
        if process not in codes.GRANDMASTER_PROCESSES:
            return None
        for (_, port), phase in self.readings.track("phase_status", node).items():
            if port == interface or interface in codes.aliases(port):
                return phase
        return None

    def _living(
        self, node: str, process: str, state: Track | None, offset: Track | None
    ) -> tuple[Track | None, Track | None, str]:
        """Without what gauges went on to say while the process was dead, and a note if it was: nobody knows
        the state then, and there were no offsets."""
        status = [t for k, t in self.readings.track("process_status", node).items() if k[0] == process]
        if not any((t.values == 0).any() for t in status):
            return state, offset, ""
        if offset is not None:
            offset = offset.only(~self._dead(status, offset.times))
        if state is not None:
            dead = self._dead(status, state.times)
            values = np.where(dead, np.nan, state.values)
            state = Track(state.times, values, None if dead[0] else state.began, state.whole and not dead[0])
            if dead.any():
                return state, offset, f"{process} was down for a part of the window"
        return state, offset, ""

    def _dead(self, status: list[Track], times: Floats) -> NDArray[np.bool_]:
        """At which times all of a process that is known was down."""
        down, up = np.zeros(len(times), bool), np.zeros(len(times), bool)
        for track in status:
            at = np.searchsorted(track.times, times, side="right") - 1
            known = (at >= 0) & (times - track.times[np.maximum(at, 0)] <= _HOLD * self.step)
            there = track.values[np.maximum(at, 0)] == 0
            down |= known & there
            up |= known & ~there
        return down & ~up

    def _stuck(
        self, node: str, process: str, key: Key | None, offset: Track | None, state: Track | None
    ) -> Run | None:
        """Since when a servo's gauges stand still: real offsets and frequencies never do for long.

        Of a clock that lost its master they do: cloud-event-proxy then moves the state alone. So only a
        locked one is stuck, and only since its state last changed.
        """
        if key is None or offset is None or process not in ("ptp4l", "phc2sys") or len(offset.values) < 5:
            return None
        if not abs(offset.last) < codes.UNUSABLE_NS:
            return None  # a sentinel stands still as long as the fault lasts
        since = offset.constant_since()
        frequency = self.readings.track("frequency_adjustment_ns", node).get(key)
        if frequency is not None:
            since = max(since, frequency.constant_since())
        elif offset.last == 0:
            return None
        if state is not None:
            if not np.isfinite(state.last) or codes.STATES.get(int(state.last)) != "LOCKED":
                return None
            since = max(since, state.constant_since())
        if offset.last_at - since < self.rules.stuck_after:
            return None
        return Run(None, since, offset.last_at, since > offset.times[0])

    # -- the window

    def _time_in_state(self, state: Track) -> TimeInState | None:
        """Each sample stands until the next one, but not over a gap. None where there is only now."""
        if len(state.times) < 2:
            return None
        start, end = self.window.start, max(self.window.end, self.readings.at)
        inside = state.times >= start - 1e-6
        times, values = state.times[inside], state.values[inside]
        gaps = np.minimum(np.diff(np.append(times, end)), _HOLD * self.step)
        spent = {code: float(gaps[values == code].sum()) for code in codes.STATES}
        unknown = max(end - start - sum(spent.values()), 0.0)
        if unknown <= _HOLD * self.step:
            unknown = 0.0  # before the first step
        return TimeInState(round(spent[1], 1), round(spent[2], 1), round(spent[0], 1), round(unknown, 1))


def _usual_step(readings: Readings) -> float:
    for metric in ("clock_state", "offset_ns"):
        for by_key in readings.tracks.get(metric, {}).values():
            for track in by_key.values():
                if len(track.times) > 2:
                    return float(np.median(np.diff(track.times)))
    return 60.0


def _with_dpll_holdover(state: Track | None, phase: Track | None) -> Track | None:
    """The daemon shows HOLDOVER as 0; a grandmaster's DPLL tells it by its phase status."""
    if state is None or phase is None:
        return state
    at = np.searchsorted(phase.times, state.times, side="right") - 1
    held = (at >= 0) & (phase.values[np.maximum(at, 0)] == codes.DPLL_HOLDOVER)
    joined = Track(state.times, np.where((state.values == 0) & held, 2.0, state.values))
    if state.began is not None and phase.began is not None:  # what it is now, both have to be
        last = max((state, phase), key=lambda t: t.began or 0.0)
        joined.began, joined.whole = last.began, last.whole
    return joined
