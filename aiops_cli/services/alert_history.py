"""When alerts fired: from the ALERTS and ALERTS_FOR_STATE series that Prometheus writes of its rules,
and from what `alerts list` saw and the local store kept.

Prometheus writes a sample at each evaluation while an alert is pending or firing, and none after. The
value of ALERTS_FOR_STATE is since when the alert is active (unix seconds), pending included.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from aiops_cli.errors import AiopsError, ErrorCode
from aiops_cli.models.alerts import AlertPeriod
from aiops_cli.models.result import Answer, FleetResult
from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.alert_memory import SeenAlert
from aiops_cli.services.alert_merge import Key, fingerprint, identity, learned
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.fleet import Member
from aiops_cli.services.matchers import Matcher
from aiops_cli.services.times import rfc3339, unix

if TYPE_CHECKING:
    from aiops_cli.models.signals import Series
    from aiops_cli.sources.base import MetricsSource

_RAW_SECONDS = 2 * 86400.0
"""Up to this window every sample is read, beyond it a grid of steps."""
_STEPS = 10_000
_MISSED = 2.5
"""So many evaluations without a sample end a period; one alone may be late."""
_Labels = dict[str, str]


async def history(
    members: Sequence[Member],
    window: TimeRange,
    *,
    matchers: Sequence[Matcher] = (),
    remembered: Sequence[SeenAlert] = (),
    step: float = 0.0,
    watch: Watcher | None = None,
) -> FleetResult[AlertPeriod]:
    """Every time that an alert fired in the window, newest first. `step` is a bundle's.

    What the store remembers fills in what Prometheus does not have; where there is no Prometheus, it is
    all there is, and the answer is partial.
    """

    async def ask(member: Member) -> Answer[AlertPeriod]:
        own = [s for s in remembered if s.cluster == member.name]
        try:
            answer = await _of_prometheus(member, window, matchers, step, own)
            own = await _reaching(await member.metrics(), own, answer.rows, window)
        except AiopsError as error:
            if not own or error.code is ErrorCode.NOT_RECORDED:
                raise
            told = f"Prometheus: {error.message}; this is what earlier `alerts list` saw"
            answer = Answer([], "cache", warnings=[told], partial=True)
        answer.rows = _joined(answer.rows, own, window, member.name)
        return answer

    result = await fan_out(members, ask, watch=watch)
    rows = [row for _, row in result.rows if all(m.matches(row.labels) for m in matchers)]
    rows.sort(key=lambda r: (r.starts_at, r.cluster, r.fingerprint), reverse=True)
    return result.with_rows(rows)


async def _of_prometheus(
    member: Member, window: TimeRange, matchers: Sequence[Matcher], step: float, own: Sequence[SeenAlert]
) -> Answer[AlertPeriod]:
    source = await member.metrics()
    # Other matchers may be about external labels, which the series lack.
    name = next((m.wire for m in matchers if m.name == "alertname" and m.op == "="), None)
    chosen = f"{{{name}}}" if name else ""
    alerts = await _samples(source, f"ALERTS{chosen}", window, step, live=member.origin == "live")
    actives = await _samples(source, f"ALERTS_FOR_STATE{chosen}", window, step, live=member.origin == "live")
    known = await member.alerts()
    external = await known.external_labels()
    if not external:  # not told, so learned from alerts that have them
        labels = (
            [s.labels for s in own]
            if member.origin == "live"
            else [a.labels for a in (await known.alerts()).rows]
        )
        firing = [_bare(s.labels) for s in alerts.rows if s.labels.get("alertstate") == "firing"]
        external = learned(labels, firing)
    rows = _periods(alerts.rows, actives.rows, window, member.name, external)
    warnings = list(dict.fromkeys([*alerts.warnings, *actives.warnings]))
    return Answer(rows, alerts.source, warnings=warnings, partial=alerts.partial or actives.partial)


async def _samples(
    source: MetricsSource, selector: str, window: TimeRange, step: float, *, live: bool
) -> Answer[Series]:
    """Every sample of the window where that is not too much, else one a step."""
    if live and window.seconds <= _RAW_SECONDS:
        return await source.query(f"{selector}[{round(window.seconds * 1000)}ms]", window.end)
    return await source.query_range(selector, window, step or max(window.seconds / _STEPS, 1.0))


def _periods(
    alerts: Sequence[Series],
    actives: Sequence[Series],
    window: TimeRange,
    cluster: str,
    external: _Labels,
) -> list[AlertPeriod]:
    """The periods of each label set. Times of a sample are those of its evaluation."""
    import numpy as np

    since = {tuple(sorted(_bare(s.labels).items())): s for s in actives}
    rows = []
    for series in alerts:
        if series.labels.get("alertstate") != "firing" or not len(series.timestamps):
            continue
        own = _bare(series.labels)
        times = series.timestamps
        active = since.get(tuple(sorted(own.items())))
        beat = _interval([times] + ([active.timestamps] if active is not None else []))
        breaks = np.flatnonzero(np.diff(times) > _MISSED * beat) + 1
        runs = [(float(run[0]), float(run[-1])) for run in np.split(times, breaks)]
        labels = external | own
        for begin, last, activated in _reconnected(runs, active, beat):
            ongoing = window.end - last < _MISSED * beat
            end = None if ongoing else last + beat
            before = begin - window.start < _MISSED * beat
            rows.append(
                AlertPeriod(
                    cluster,
                    fingerprint(labels),
                    labels.get("alertname", ""),
                    labels.get("severity"),
                    labels,
                    rfc3339(begin),
                    None if end is None else rfc3339(end),
                    round((window.end if end is None else end) - begin, 3),
                    None if activated is None or before else round(max(begin - activated, 0.0), 3),
                    before,
                )
            )
    return rows


def _bare(labels: _Labels) -> _Labels:
    return {k: v for k, v in labels.items() if k not in ("__name__", "alertstate")}


def _reconnected(
    runs: Sequence[tuple[float, float]], active: Series | None, beat: float
) -> list[tuple[float, float, float | None]]:
    """Runs of samples as (first, last, active since): one period where the alert was active since the same
    time on both sides of a gap, which is then a Prometheus that stood still."""
    found: list[tuple[float, float, float | None]] = []
    for begin, last in runs:
        activated = _value_at(active, begin, beat)
        if found and activated is not None and found[-1][2] == activated:
            found[-1] = (found[-1][0], last, activated)
        else:
            found.append((begin, last, activated))
    return found


def _value_at(series: Series | None, at: float, beat: float) -> float | None:
    import numpy as np

    if series is None or not len(series.timestamps):
        return None
    i = int(np.searchsorted(series.timestamps, at + 0.001, side="right")) - 1
    return float(series.values[i]) if i >= 0 and at - series.timestamps[i] < _MISSED * beat else None


def _interval(times: Sequence[object]) -> float:
    """The usual distance of samples in seconds, a minute where there are too few to tell."""
    import numpy as np

    steps = [np.diff(np.asarray(t, np.float64)) for t in times]
    joined = np.concatenate(steps) if steps else np.array([])
    return float(np.median(joined)) if len(joined) else 60.0


async def _reaching(
    source: MetricsSource, remembered: Sequence[SeenAlert], rows: Sequence[AlertPeriod], window: TimeRange
) -> list[SeenAlert]:
    """Without what ended before the window. The store only knows when somebody saw that an alert was gone; one
    that Prometheus wrote down before the window and not in it had ended by then."""
    firing = {identity(row.labels) for row in rows}
    doubtful = {
        id(seen): (begin, seen)
        for seen in remembered
        if (begin := unix(seen.starts_at)) is not None
        and begin < window.start < (unix(seen.ends_at) or 0.0)
        and identity(seen.labels) not in firing
    }
    if not doubtful:
        return list(remembered)
    names = "|".join(sorted({re.escape(seen.name) for _, seen in doubtful.values()}))
    quoted = names.replace("\\", "\\\\").replace('"', '\\"')
    span = window.start - min(begin for begin, _ in doubtful.values())
    expr = f'count_over_time(ALERTS{{alertstate="firing",alertname=~"{quoted}"}}[{max(span, 1):.0f}s])'
    try:
        before = (await source.instant(expr, window.start)).rows
    except AiopsError:
        return list(remembered)
    written = [_bare(row.labels).items() for row in before]
    return [
        seen
        for seen in remembered
        if id(seen) not in doubtful or not any(labels <= seen.labels.items() for labels in written)
    ]


def _joined(
    rows: Sequence[AlertPeriod], remembered: Sequence[SeenAlert], window: TimeRange, cluster: str
) -> list[AlertPeriod]:
    """Prometheus' periods, and those of the store that none of them covers, as exactly as its samples say.
    The store knows when a period began that reaches into the window."""
    found = list(rows)
    of_alert: dict[Key, list[int]] = defaultdict(list)
    for i, row in enumerate(found):
        of_alert[identity(row.labels)].append(i)
    late = 1.0 if window.seconds <= _RAW_SECONDS else _MISSED * window.seconds / _STEPS
    for seen in remembered:
        begin = unix(seen.starts_at) or unix(seen.seen_at)
        end = unix(seen.ends_at)
        if begin is None or begin > window.end or (end is not None and end < window.start):
            continue
        until = min(end if end is not None else unix(seen.seen_at) or begin, window.end)
        known = of_alert[identity(seen.labels)]
        covering = [
            i
            for i in known
            if (unix(found[i].starts_at) or 0) <= until + late
            and (found[i].ends_at is None or (unix(found[i].ends_at) or 0) >= begin - late)
        ]
        for i in covering:
            row = found[i]
            if row.started_before and begin < window.start:
                longer = (unix(row.starts_at) or begin) - begin
                found[i] = replace(
                    row,
                    starts_at=rfc3339(begin),
                    started_before=False,
                    duration_seconds=round(row.duration_seconds + longer, 3),
                )
        if not covering:
            known.append(len(found))
            found.append(
                AlertPeriod(
                    cluster,
                    seen.fingerprint,
                    seen.name,
                    seen.severity,
                    seen.labels,
                    rfc3339(begin),
                    rfc3339(end) if end is not None else None,
                    round(max((end if end is not None else window.end) - begin, 0.0), 3),
                    None,
                    source="store",
                )
            )
    return found
