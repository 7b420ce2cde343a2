"""One alert in full: rule, expression, what it measures against its threshold, runbook, silences."""

from __future__ import annotations

from typing import Any

from aiops_cli.errors import AiopsError, ErrorCode
from aiops_cli.models.alerts import AlertDetail
from aiops_cli.models.signals import AlertItem
from aiops_cli.render.text import one_line
from aiops_cli.services.fanout import failure_of
from aiops_cli.services.session import Session
from aiops_cli.tui.widgets.document import Document
from aiops_cli.tui.working import start

_SETTLED = 0.25  # seconds that the cursor rests before a row's rule is asked for
_BEFORE, _LONGEST = 1800.0, 6 * 3600.0  # seconds of the series: before the alert began, and in all
_PLOT_LINES = 9


class AlertPane(Document):
    """Follows the alert it is given; what is known already is shown at once."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._alert: AlertItem | None = None
        self.known: AlertDetail | None = None

    def follow(self, alert: AlertItem | None) -> None:
        """Show this alert. One that is shown already stays as it is."""
        before = self._alert
        if alert is not None and before is not None and _key(before) == _key(alert):
            self._alert = alert
            return
        self._alert, self.known = alert, None
        if alert is None:
            self.show("")
            return
        self.show(_text(_unread(alert), self._session()))
        start(self, lambda: self._read(alert), group="detail")

    def reread(self) -> None:
        """Ask again for what is shown."""
        if (alert := self._alert) is not None:
            start(self, lambda: self._read(alert), group="detail")

    def _session(self) -> Session | None:
        app: Any = self.app
        return app.asked() if app.session is not None else None

    async def _read(self, alert: AlertItem) -> None:
        import asyncio

        app: Any = self.app
        await asyncio.sleep(_SETTLED)
        session = app.asked()
        width = max(self.size.width - 2, 40)
        try:
            detail = await app.backend.ask(read_detail(session, alert))
        except Exception as error:
            failed = failure_of("", error)
            self.show(f"{_text(_unread(alert), session)}\n✖ {failed.message}\n{failed.hint}")
            return
        self.known = detail
        text = _text(detail, session)
        self.show(f"{text}\n  reading the series of its rule…", top=False)
        try:
            chart = await app.backend.ask(read_chart(session, alert, detail, width))
        except Exception as error:
            chart = f"  series: ✖ {one_line(failure_of('', error).message)}"
        self.show(f"{text}\n{chart}", top=False)


def _key(alert: AlertItem) -> tuple[str, str, str, int]:
    """What tells one alert from another, and from itself in another state."""
    return alert.cluster, alert.fingerprint, alert.state, len(alert.silenced_by)


async def read_detail(session: Session, alert: AlertItem) -> AlertDetail:
    """All that its cluster knows of it; what is on the row already, where it is active no longer."""
    from aiops_cli.services.alert_detail import details

    members = [m for m in session.members if m.name == alert.cluster]
    found = await details(members, [alert.fingerprint])
    error = next((c.error for c in found.failed if c.error is not None), None)
    lacking = f"rule: {error.message}" if error else "rule: the alert is not active now"
    return next(iter(found.rows), None) or _unread(alert, lacking)


async def read_chart(session: Session, alert: AlertItem, detail: AlertDetail, width: int) -> str:
    """What the rule measures around the alert's start, with its threshold as a line; or why there is none."""
    import numpy as np

    from aiops_cli.models.signals import Series
    from aiops_cli.models.timerange import TimeRange
    from aiops_cli.render.plot import plot
    from aiops_cli.render.text import si
    from aiops_cli.services.alert_series import expression, measured, threshold
    from aiops_cli.services.times import unix

    member = next((m for m in session.members if m.name == alert.cluster), None)
    expr = expression(detail) or expression(alert)
    if member is None or expr is None:
        return "  series: the expression of its rule is not known"
    began = unix(alert.starts_at) or session.now
    start = began - _BEFORE
    window = TimeRange(start, min(max(session.now, began), start + _LONGEST))
    asked = threshold(expr)
    try:
        if session.bundle is not None:
            window = session.bundle.within(window)
        rows, result = await measured(
            member, asked, alert.labels, window, session.now, session.cache_policy()
        )
    except AiopsError as error:
        return f"  series: {one_line(error.message)}"
    failed = next((c.error for c in result.failed if c.error is not None), None)
    if failed is not None and failed.code == ErrorCode.NOT_RECORDED:
        return "  series: the bundle does not hold what the rule asks"
    if not rows:
        why = failed.message if failed else "no sample in that time"
        return f"  series of {one_line(asked.expr)}: {one_line(why)}"
    shown = [(alert.cluster, s) for s in rows]
    if asked.op is not None and asked.value is not None:
        ends = np.array([window.start, window.end])
        line = Series({"fires": f"{asked.op} {si(asked.value)}"}, ends, np.full(2, asked.value))
        shown.append(("threshold", line))
    return plot(
        shown,
        title=one_line(asked.expr),
        width=width,
        height=_PLOT_LINES,
        zone=session.zone,
        span=(window.start, window.end),
    )


def _unread(alert: AlertItem, lacking: str = "rule, series, silences: being read…") -> AlertDetail:
    return AlertDetail(
        cluster=alert.cluster,
        fingerprint=alert.fingerprint,
        name=alert.name,
        state=alert.state,
        severity=alert.severity,
        labels=alert.labels,
        annotations=alert.annotations,
        starts_at=alert.starts_at,
        source=alert.source,
        receivers=alert.receivers,
        generator_url=alert.generator_url,
        runbook=None,
        value=None,
        rule=None,
        metrics=[],
        silences=[],
        inhibited_by=alert.inhibited_by,
        missing=[lacking],
    )


def _text(detail: AlertDetail, session: Session | None) -> str:
    from aiops_cli.render.alert_views import detail_text
    from aiops_cli.services.alert_series import expression, threshold
    from aiops_cli.tui import clock

    text = detail_text(detail, session.now if session else clock.now(), session.zone if session else None)
    if detail.rule is None and detail.generator_url and (expr := expression(detail)):
        asked = threshold(expr)
        said = f"{asked.expr} {asked.op} {asked.value:g}" if asked.value is not None else asked.expr
        text = text.replace(one_line(detail.generator_url), one_line(said))  # the link says no more
    return text
