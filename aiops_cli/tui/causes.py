"""Questions of the RCA screen: what explains the trouble, what is unusual, and the report of both."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from aiops_cli.models.analysis import Anomaly
from aiops_cli.models.result import FleetResult
from aiops_cli.services.session import Session
from aiops_cli.store.state import Analysis
from aiops_cli.tui.telling import error_line
from aiops_cli.tui.watching import Watched
from aiops_cli.tui.widgets.panel import gaps

_LINES = 4  # clusters that are named with what they failed with


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be explained: an alert by fingerprint, a moment (RFC 3339), a namespace; none: the worst."""

    alert: str | None = None
    at: str | None = None
    namespace: str | None = None

    @property
    def args(self) -> dict[str, str]:
        said = {"name": self.alert, "at": self.at, "ns": self.namespace}
        return {k: v for k, v in said.items() if v}


def whose(scope: str, start: float, end: float, now: float, zone: tzinfo | None) -> str:
    """Of which clusters an answer is, and of when: `of @west, 23:18 to 23:24`; with the day where it is another
    than that of `now`. Times are unix seconds."""
    days = [datetime.fromtimestamp(t, zone).date() for t in (start, end, now)]
    form = "%H:%M" if len(set(days)) == 1 else "%m-%d %H:%M"
    first, last = (datetime.fromtimestamp(t, zone).strftime(form) for t in (start, end))
    return f"of {scope}, {first} to {last}"


def lacking(found: Any) -> str:
    """What an investigation could not read: clusters, and single signals of others; nothing where all was."""
    from aiops_cli.render.causes import unread_text

    return "; ".join(filter(None, (gaps(found.causes), unread_text(found.unread))))


def unasked(found: Any) -> list[str]:
    """Why nothing is known, in lines, where no cluster could be asked; nothing where one could."""
    if found.evidence:
        return []
    failed = [(c.name, c.error) for c in found.causes.failed if c.error is not None]
    lines = [f"✖ {name}: {error_line(error)}" for name, error in failed[:_LINES]]
    rest = [f"and {len(failed) - _LINES} more"] if len(failed) > _LINES else []
    return ["✖ no cluster could be asked: whether something deviates is not known", *lines, *rest]


async def ask_causes(session: Watched, question: Question) -> tuple[Any, Analysis]:
    """Investigate, and keep what was found."""
    from aiops_cli.services.investigation import investigate, keep

    found = await investigate(
        session,
        alert=question.alert,
        at=None if question.alert else question.at,
        namespace=question.namespace,
    )
    return found, keep(session, found)


async def ask_anomalies(session: Watched) -> FleetResult[Anomaly]:
    """Every named query of the catalogue in the dashboard's range."""
    from aiops_cli.services import anomalies, queries

    default = session.bundle.end - session.bundle.manifest.start if session.bundle else 86400.0
    window = session.window(default)
    found = await anomalies.detect(
        session.members,
        [q.expr for q in queries.CATALOGUE.values()],
        window,
        session.step(window),
        session.now,
        skip_missing=True,
        policy=session.cache_policy(),
        watch=session.watcher(),
    )
    if session.bundle is None:
        session.state.add_anomalies(found.rows)
    return found


async def make_report(session: Session, found: Any, form: str) -> tuple[str, str, str]:
    """Its id, its text, and where it is kept. Raises StoreError."""
    from datetime import UTC

    import msgspec

    from aiops_cli.render.markdown_report import markdown
    from aiops_cli.services import anomalies, queries, report_files
    from aiops_cli.services.incident import document

    unusual = await anomalies.detect(
        session.members,
        [q.expr for q in queries.CATALOGUE.values()],
        found.window,
        found.step,
        session.now,
        skip_missing=True,
        policy=session.cache_policy(),
    )
    made = await document(session, found, unusual)
    path = report_files.save(made)
    if form == "json":
        text = msgspec.json.format(msgspec.json.encode(made), indent=2).decode() + "\n"
    else:
        text = markdown(made.items[0], session.zone if session.options.tz else UTC)
    return made.items[0].id, text, str(path)
