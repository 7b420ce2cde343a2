"""Questions of the alerts screen, and the ways from an alert to the other screens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiops_cli.errors import UsageError
from aiops_cli.models.alerts import AlertPeriod, SilenceItem
from aiops_cli.models.related import Subject
from aiops_cli.models.result import FleetResult
from aiops_cli.models.signals import AlertItem
from aiops_cli.services.session import Session
from aiops_cli.tui.board import Board
from aiops_cli.tui.place import Place

if TYPE_CHECKING:
    from aiops_cli.tui.widgets.alert_detail import AlertPane

_DAY = 86400.0


class AlertJumps(Board):
    """From the alert under the cursor to its logs, traces, metrics, events, cause, and what is related."""

    _pane: AlertPane

    def _chosen(self) -> AlertItem | None:
        raise NotImplementedError

    def _now(self) -> float:
        raise NotImplementedError

    def action_follow(self, view: str) -> None:
        from aiops_cli.tui.following import follow

        if (alert := self._chosen()) is not None:
            follow(self, view, self._subject(alert))  # type: ignore[arg-type]

    def _subject(self, alert: AlertItem) -> Subject:
        from aiops_cli.models.timerange import TimeRange
        from aiops_cli.services.related_subjects import Horizon, of_alerts

        return of_alerts([alert], Horizon(TimeRange(0.0, self._now())))[0]

    def action_metrics(self) -> None:
        from aiops_cli.services.alert_series import expression, threshold

        if (alert := self._chosen()) is None:
            return
        known = self._pane.known
        own = known is not None and (known.cluster, known.fingerprint) == (alert.cluster, alert.fingerprint)
        expr = (expression(known) if own and known is not None else None) or expression(alert)
        if expr is None:
            self.notify(f"the rule of {alert.name} is not known (yet): enter reads it", markup=False)
            return
        self.go(Place("metrics", threshold(expr).expr, at_start(alert), (alert.cluster,)))

    def action_events(self) -> None:
        if (alert := self._chosen()) is not None:
            space = {"ns": alert.labels["namespace"]} if "namespace" in alert.labels else {}
            self.go(Place("cluster", "", {"tab": "events", **space, **at_start(alert)}, (alert.cluster,)))

    def action_cause(self) -> None:
        if (alert := self._chosen()) is not None:
            active = {"name": alert.fingerprint} if alert.state != "RESOLVED" else {}
            self.go(Place("rca", "", {**active, **at_start(alert)}))

    def action_related(self) -> None:
        from aiops_cli.services import related_subjects
        from aiops_cli.tui.widgets.related import show_related

        if (alert := self._chosen()) is not None:
            show_related(
                self, f"alert {alert.name}", lambda horizon: related_subjects.of_alerts([alert], horizon)
            )


def at_start(alert: AlertItem) -> dict[str, str]:
    return {"at": alert.starts_at} if alert.starts_at else {}


def of_period(period: AlertPeriod) -> AlertItem:
    """A time that an alert fired as the alert it was."""
    return AlertItem(
        period.cluster,
        period.fingerprint,
        period.name,
        "FIRING" if period.ends_at is None else "RESOLVED",
        period.severity,
        period.labels,
        {},
        period.starts_at,
        source=period.source,
        ends_at=period.ends_at,
    )


async def ask_history(session: Session) -> FleetResult[AlertPeriod]:
    from aiops_cli.services.alert_history import history
    from aiops_cli.services.alert_memory import seen

    return await history(
        session.members,
        session.window(_DAY),
        remembered=[] if session.bundle else seen(session.state, [m.name for m in session.members]),
        step=session.bundle.step if session.bundle else 0.0,
    )


async def ask_silences(session: Session) -> FleetResult[SilenceItem]:
    from aiops_cli.services.silences import SilenceFilter, list_silences

    if session.bundle is not None:
        raise UsageError("a bundle holds no silences", hint="start aiops tui without --bundle to see them")
    return await list_silences(session.live, SilenceFilter(), session.now)
