"""Starting a root-cause analysis from a session: what triggers it, which window, and keeping the result."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from aiops_cli.errors import AiopsError, UsageError
from aiops_cli.services import alerts as alert_service
from aiops_cli.services import rca, times
from aiops_cli.store.state import Analysis

if TYPE_CHECKING:
    from aiops_cli.models.result import FleetResult
    from aiops_cli.models.signals import AlertItem
    from aiops_cli.models.timerange import TimeRange
    from aiops_cli.services.session import Session


async def investigate(
    session: Session,
    *,
    alert: str | None = None,
    at: str | None = None,
    namespace: str | None = None,
    limit: int = 10,
) -> rca.Investigation:
    """Analyse the session's window. The moment is `at`, else the start of the alert named or of the
    oldest of the worst that began in the window, else the window's end. A moment that is named and lies outside
    of the window, or `at` without a range, is looked at from three quarters of the usual span before it to one
    after. Raises UsageError for an unknown alert."""
    o = session.options
    window = session.window(_span(session))
    moment = times.parse_time(at, session.now, session.zone) if at else None
    fingerprint = None
    if moment is None:
        listed = await alert_service.list_alerts(session.members, namespace=namespace)
        rows = listed.rows
        if alert:
            rows = [a for a in rows if a.fingerprint.startswith(alert)]
            if not rows:
                raise _unknown(alert, listed)
            fingerprint = rows[0].fingerprint
            moment = rca.alert_time(rows)
        else:
            inside = [a for a in rows if (t := rca.alert_time([a])) is not None and t >= window.start]
            # Rows come worst first: the moment is the oldest of the worst.
            moment = rca.alert_time([a for a in inside if a.severity == inside[0].severity])
    if moment is None:
        moment = window.end
    elif not window.start <= moment <= window.end or (at and not (o.since or o.start or o.end)):
        around = _around(session, moment)
        window, moment = (around, moment) if around else (window, window.end)
    step = (
        session.step(window)
        if session.bundle or o.step
        else max(5.0, session.step(window) if window.seconds > 7200 else 15.0)
    )
    return await rca.investigate(
        session.members,
        window,
        moment,
        step,
        session.now,
        namespace=namespace,
        alert=fingerprint,
        limit=limit,
        policy=session.cache_policy(),
        settings=session.settings,
        watch=session.watcher(),
    )


def _unknown(alert: str, listed: FleetResult[AlertItem]) -> AiopsError:
    """Why an alert can't be explained: no cluster could be asked, or none that answered has it."""
    failed = [c for c in listed.failed if c.error is not None]
    if failed and len(failed) == len(listed.clusters):
        assert failed[0].error is not None
        return failed[0].error.as_error()
    rest = f" where alerts could be read (not of {', '.join(c.name for c in failed)})" if failed else ""
    return UsageError(
        f"no active alert has fingerprint {alert!r}{rest}", hint="aiops alerts list -o wide shows them"
    )


def _span(session: Session) -> float:
    """How long is looked at where nothing is said, in seconds."""
    return session.bundle.end - session.bundle.manifest.start if session.bundle else 3600.0


def _around(session: Session, moment: float) -> TimeRange | None:
    """The window of a moment (unix seconds); None where a bundle does not reach there."""
    from aiops_cli.models.timerange import TimeRange

    first = session.bundle.manifest.start if session.bundle else 0.0
    if not first <= moment <= session.now:
        return None
    span = _span(session)
    return TimeRange(max(moment - span * 0.75, first), min(moment + span * 0.25, session.now))


def keep(session: Session, found: rca.Investigation) -> Analysis:
    """Keep the result in the history, unless no cluster could be asked; what came of a bundle is kept too, its clusters say from where."""
    analysis = Analysis(
        time.strftime("%Y%m%d-%H%M%S", time.gmtime()) + "-" + secrets.token_hex(2),
        times.rfc3339(time.time()),
        [c.name for c in found.causes.clusters],
        times.rfc3339(found.window.start),
        times.rfc3339(found.window.end),
        found.causes.rows,
    )
    if found.evidence:
        session.state.add_analysis(analysis)
    return analysis
