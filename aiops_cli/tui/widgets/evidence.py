"""What speaks for a cause and against it: as rows that open where they were seen, and on one axis of time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Literal

from rich.text import Text
from textual.widget import Widget

from aiops_cli.models.analysis import Anomaly, Cause, Entity, Evidence
from aiops_cli.models.related import Subject
from aiops_cli.render.analysis_views import anomaly_view, cause_view
from aiops_cli.render.causes import entity_text, moment
from aiops_cli.render.output import Column, View
from aiops_cli.render.rca_views import ANALYSES
from aiops_cli.render.text import clock, cut
from aiops_cli.services.related_commands import quoted
from aiops_cli.services.times import unix
from aiops_cli.store.state import Analysis
from aiops_cli.tui.commands import place_of
from aiops_cli.tui.place import Place

_ALERT = re.compile(r"alert (\S+) is ")
_LABEL = 9  # cells of a lane's name
_PADDING = 0.05  # of the axis, before the first and after the last
SIGNALS = ("change", "event", "metric", "log", "trace", "alert", "topology")


@dataclass(frozen=True, slots=True)
class Row:
    """`side` is how it bears on the cause; `place` is where it is seen, None where the logs are asked first
    (`follow`) or there is nothing to open."""

    side: Literal["for", "against", "way", "affects", "next"]
    signal: str
    at: str | None
    text: str
    place: Place | None = None
    follow: bool = False


def rows_of(cause: Cause) -> list[Row]:
    """What speaks for it by time, what against, the way of the trouble, whom it affects, what to do next."""
    timed = sorted(cause.evidence, key=lambda e: (e.at is None, unix(e.at) or 0.0))
    rows = [_of_evidence("for", e, cause) for e in timed]
    rows += [_of_evidence("against", e, cause) for e in cause.against]
    if len(cause.chain) > 1:
        way = " → ".join(e.name for e in cause.chain)
        rows.append(Row("way", "", None, way, _traces(cause.chain[-1], cause)))
    rows += [Row("affects", e.kind, None, entity_text(e), _traces(e, cause)) for e in cause.blast_radius]
    rows += [Row("next", "", None, step, place_of(step, cause.onset)) for step in cause.next_steps]
    return rows


def ranked_view(zone: tzinfo | None) -> View[Cause]:
    """`rca analyze`'s columns, what it is about in one, the time without its day."""
    view = cause_view(zone)
    own = {c.title: c for c in view.columns}
    about: Column[Cause] = Column("what", lambda c: entity_text(c.entity), keep=True)
    onset: Column[Cause] = Column(
        "onset", lambda c: moment(c.onset, zone)[11:] if c.onset else None, plain=lambda c: c.onset
    )
    score = replace(own["score"], wide=True)
    columns = [own["rank"], own["conf"], about, own["indicator"], onset, own["evidence"], score]
    return replace(view, columns=columns)


def unusual_view(zone: tzinfo | None) -> View[Anomaly]:
    """`anomalies detect`'s columns: what it is and since when, first; the rest where there is room."""
    view = anomaly_view(zone)
    own = {c.title: c for c in view.columns}
    own["start"] = replace(own["start"], value=lambda a: moment(a.start, zone)[11:])
    shown = ("severity", "start", "cluster", "series", "type", "actual")
    rest = [replace(c, wide=True) for c in view.columns if c.title not in shown]
    return replace(view, columns=[*(own[t] for t in shown), *rest])


def analyses_view(zone: tzinfo | None) -> View[Analysis]:
    """`rca list`'s columns: when and what was found, first."""
    at: Column[Analysis] = Column("at", lambda a: moment(a.at, zone)[5:16], plain=lambda a: a.at)
    own = {c.title: c for c in ANALYSES.columns}
    columns = [at, own["first cause"], own["causes"], own["clusters"], replace(own["id"], wide=True)]
    return replace(ANALYSES, columns=columns)


def evidence_view(zone: tzinfo | None) -> View[Row]:
    return View(
        "Evidence",
        [
            Column("bears", lambda r: r.side),
            Column("signal", lambda r: r.signal or None),
            Column("at", lambda r: moment(r.at, zone)[11:] if r.at else None, plain=lambda r: r.at),
            Column("what", lambda r: r.text),
        ],
        lambda r: f"{r.side} {r.signal} {r.text}",
    )


def subject_of_entity(entity: Entity, at: str | None, origin: Literal["metric"] = "metric") -> Subject:
    """What an entity is, for the screens of logs and related; at the time of what was seen of it."""
    from aiops_cli.analysis.subjects import subject_of, subject_of_object

    seen = unix(at) or 0.0
    times = (seen, seen - 1800.0, seen + 900.0)
    cluster = entity.cluster or ""
    if entity.kind in ("pod", "node", "namespace"):
        return subject_of_object(
            cluster, origin, entity.kind.title(), entity.name, entity.namespace, *times, title=entity_text(entity)
        )  # fmt: skip
    labels = {"service": entity.name} | ({"namespace": entity.namespace} if entity.namespace else {})
    return subject_of(cluster, origin, labels, *times, title=entity_text(entity))


def _of_evidence(side: Literal["for", "against"], e: Evidence, cause: Cause) -> Row:
    entity = e.entity or cause.entity
    at = e.at or cause.onset
    when = {"at": at} if at else {}
    contexts = (entity.cluster,) if entity.cluster else ()
    space = {"ns": entity.namespace} if entity.namespace else {}
    place: Place | None = None
    if e.signal == "metric" and e.query:
        place = Place("metrics", e.query, when, contexts)
    elif e.signal == "log" and e.query:
        place = Place("logs", e.query, when, contexts)
    elif e.signal in ("trace", "topology"):
        place = _traces(entity, cause, at)
    elif e.signal == "alert":
        named = _ALERT.search(e.text)
        place = Place("alerts", re.escape(named[1]) if named else "", {} if named else space, contexts)
    elif e.signal in ("event", "change"):
        place = Place("cluster", entity.name, {"tab": "events", **space, **when}, contexts)
    return Row(side, e.signal, e.at, e.text, place, follow=e.signal == "log" and not e.query)


def _traces(entity: Entity, cause: Cause, at: str | None = None) -> Place:
    moment_ = at or cause.onset
    cluster = entity.cluster or cause.entity.cluster
    return Place(
        "traces",
        f"{{ resource.service.name = {quoted(entity.name)} }}",
        {"at": moment_} if moment_ else {},
        (cluster,) if cluster else (),
    )


class Lanes(Widget):
    """What happened when: a line for each signal, one axis for all. ● speaks for the cause, ○ against it, a
    digit counts what lies in one cell; ┊ is the cause's onset."""

    DEFAULT_CSS = "Lanes { height: auto; width: 1fr; padding: 0 1; background: $background; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._cause: Cause | None = None
        self._zone: tzinfo | None = None

    def show(self, cause: Cause | None, zone: tzinfo | None) -> None:
        self._cause, self._zone = cause, zone
        self.refresh(layout=True)

    def render(self) -> Text:
        return Text("\n".join(self.lines(max(self.size.width, 40))), no_wrap=True)

    def lines(self, width: int) -> list[str]:
        """The lanes and the axis, of so many cells."""
        if self._cause is None:
            return []
        cause = self._cause
        marks = [(e.signal, t, "●") for e in cause.evidence if (t := unix(e.at)) is not None]
        marks += [(e.signal, t, "○") for e in cause.against if (t := unix(e.at)) is not None]
        onset = unix(cause.onset)
        times = [t for _, t, _ in marks] + ([onset] if onset is not None else [])
        if not times:
            return []
        room = max(width - _LABEL - 2, 20)
        start, end = _span(times)

        def cell(t: float) -> int:
            return min(int((t - start) / (end - start) * room), room - 1)

        begun = None if onset is None else cell(onset)
        lines = []
        for signal in dict.fromkeys([*SIGNALS, *(s for s, _, _ in marks)]):
            own = [(cell(t), sign) for s, t, sign in marks if s == signal]
            if own:
                lines.append(f"{signal:<{_LABEL}}" + _lane(own, room, begun))
        return [*lines, " " * _LABEL + _axis((start, end), onset, begun, room, self._zone)]


def _span(times: Sequence[float]) -> tuple[float, float]:
    """The ends of the axis: all times and a little room; a minute at least."""
    length = max(max(times) - min(times), 60.0)
    return min(times) - length * _PADDING, min(times) + length * (1 + _PADDING)


def _lane(marks: Sequence[tuple[int, str]], room: int, onset: int | None) -> str:
    cells = ["┊" if i == onset else "─" for i in range(room)]
    count: dict[int, int] = {}
    for at, sign in marks:
        count[at] = count.get(at, 0) + 1
        cells[at] = sign if count[at] == 1 else str(min(count[at], 9))
    return "".join(cells)


def _axis(
    span: tuple[float, float], onset: float | None, at: int | None, room: int, zone: tzinfo | None
) -> str:
    """The times of both ends, and of the onset under its line, where there is room."""
    first, last = (clock(t, zone)[11:] for t in span)
    line = f"{first}{' ' * max(room - len(first) - len(last), 1)}{last}"
    if onset is not None and at is not None:
        said = f"┊ onset {clock(onset, zone)[11:]}"
        if at + len(said) >= room - len(last):
            said = f"onset {clock(onset, zone)[11:]} ┊"
            at -= len(said) - 1
        if at <= len(first):  # too near for its line
            said, at = f"  onset {clock(onset, zone)[11:]}", len(first)
        if at + len(said) < room - len(last):
            line = line[:at] + said + line[at + len(said) :]
    return cut(line, room)
