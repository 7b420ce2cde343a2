"""`aiops alerts`: alerts of the fleet, their past, their changes, and silences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from aiops_cli.cli.related import RelatedFlag, emit_related, horizon
from aiops_cli.cli.runtime import Session, execute
from aiops_cli.cli.silence import app as silence_app

if TYPE_CHECKING:
    from aiops_cli.models.result import FleetResult
    from aiops_cli.models.signals import AlertItem
    from aiops_cli.services.alerts import AlertFilter

app = typer.Typer(
    add_completion=False,
    help="Alerts of the fleet: active and past ones, their changes, silences.",
    no_args_is_help=True,
)
app.add_typer(silence_app, name="silence")

_DAY = 86400.0

Matchers = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[MATCHER]...",
        help="Matchers as amtool's: severity=critical 'instance=~\"a.*\"'. A first one without an operator is an alertname.",
    ),
]
Severity = Annotated[str | None, typer.Option("--severity", help="critical, warning, info, or any other.")]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="Only alerts of this namespace.")]
Name = Annotated[str | None, typer.Option("--name", help="Only this alertname.")]


@app.command("list")
def list_(
    ctx: typer.Context,
    matchers: Matchers = None,
    state: Annotated[
        str | None, typer.Option("--state", help="FIRING, PENDING, SUPPRESSED or RESOLVED.")
    ] = None,
    severity: Severity = None,
    namespace: Namespace = None,
    name: Name = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Those too that were resolved within --since (1h).")
    ] = False,
    group_by: Annotated[
        list[str] | None,
        typer.Option("--group-by", help="Count by this label, over all clusters. Repeatable."),
    ] = None,
    related: RelatedFlag = False,
) -> None:
    """Alerts of every chosen cluster, worst first."""

    async def body(session: Session) -> int:
        from aiops_cli.render.alert_views import alert_view, group_view
        from aiops_cli.services import alerts

        chosen = _filter(matchers, state, severity, namespace, name)
        wanted = (chosen.state or "").upper()
        past = all_ or wanted == "RESOLVED"
        if not past and not related:
            session.unused_window("these are the alerts of now; --all adds what was resolved in a window")
        found = await alerts.active(session.members, pending=wanted == "PENDING", watch=session.watcher())
        _remember(session, found)
        everything = await _with_resolved(session, found) if past else found
        rows = [a for a in everything.rows if chosen(a)]
        if not rows and severity and not session.options.quiet:
            _tell_severities(severity, found)
        result = everything.with_rows(rows)
        if related:
            return await _related(session, result)
        if not group_by:
            return session.emit(alert_view(session.now), result)
        groups = alerts.grouped(rows, group_by)
        return session.emit(group_view(group_by, session.now), result.with_rows(groups))

    execute(ctx, body)


@app.command()
def show(
    ctx: typer.Context,
    alerts: Annotated[
        list[str],
        typer.Argument(metavar="ALERT...", help="Fingerprints, or the starts of them, or names."),
    ],
    related: RelatedFlag = False,
) -> None:
    """One alert in full: its rule, runbook and series, and what keeps it quiet."""

    async def body(session: Session) -> int:
        from aiops_cli.render.alert_views import detail_text, detail_view
        from aiops_cli.services.alert_detail import details, is_one_of
        from aiops_cli.services.alerts import active

        if related:
            there = await active(session.members)
            rows = [a for a in there.rows if is_one_of(a, alerts)]
            _ensure_found(alerts, there.with_rows(rows))
            return await _related(session, there.with_rows(rows))
        found = await details(session.members, alerts, watch=session.watcher())
        _ensure_found(alerts, found)
        if session.format != "table":
            return session.emit(detail_view(session.now), found)
        print("\n".join(detail_text(a, session.now, session.zone) for a in found.rows), end="")
        session.explain(found)
        return int(session.exit_code(found))

    execute(ctx, body)


@app.command()
def history(ctx: typer.Context, matchers: Matchers = None) -> None:
    """When alerts fired within --since (1d): since when, how long, and how long pending before."""

    async def body(session: Session) -> int:
        from aiops_cli.render.alert_views import history_view
        from aiops_cli.services.alert_history import history as ask
        from aiops_cli.services.alert_memory import seen
        from aiops_cli.services.alerts import active
        from aiops_cli.services.matchers import parse_matchers

        remembered = [] if session.bundle else seen(session.state, [m.name for m in session.members])
        if still := {s.cluster for s in remembered if s.ends_at is None}:  # which may be over by now
            holders = [m for m in session.members if m.name in still]
            _remember(session, await active(holders))
            remembered = seen(session.state, [m.name for m in session.members])
        found = await ask(
            session.members,
            session.window(_DAY),
            matchers=parse_matchers(matchers or []),
            remembered=remembered,
            step=session.bundle.step if session.bundle else 0.0,
            watch=session.watcher(),
        )
        return session.emit(history_view(session.zone), found)

    execute(ctx, body)


@app.command()
def watch(
    ctx: typer.Context,
    matchers: Matchers = None,
    severity: Severity = None,
    namespace: Namespace = None,
    interval: Annotated[str, typer.Option("--interval", help="How often to ask each cluster.")] = "5s",
) -> None:
    """Changes as they happen: lines on a terminal, NDJSON in a pipe or with -o ndjson."""

    async def body(session: Session) -> int:
        import sys
        from contextlib import aclosing

        from aiops_cli.errors import AiopsError, UsageError
        from aiops_cli.models.result import FleetResult
        from aiops_cli.render.alert_views import event_line, event_view
        from aiops_cli.render.output import Style, render
        from aiops_cli.render.text import one_line
        from aiops_cli.services import times
        from aiops_cli.services.alert_watch import watch_alerts

        members = session.live
        if session.options.output not in (None, "table", "ndjson"):
            raise UsageError("changes come as lines or as NDJSON", hint="-o table or -o ndjson")
        seconds = times.parse_duration(interval, "--interval")
        if seconds < 1:
            raise UsageError("--interval must be 1s or more", hint="--interval 5s")
        chosen = _filter(matchers, None, severity, namespace, None)
        lines = session.options.output == "table" or (session.options.output is None and sys.stdout.isatty())

        names, width = max(len(m.name) for m in members), session.style().width
        machine = Style("ndjson", fields=session.style().fields)

        def report(cluster: str, trouble: AiopsError | str | None) -> None:
            if session.options.quiet:
                return
            why = trouble.message if isinstance(trouble, AiopsError) else trouble
            told = f"does not answer fully, trying on: {why}" if trouble else "answers again"
            print(one_line(f"{cluster}: {told}"), file=sys.stderr, flush=True)

        async with aclosing(watch_alerts(members, chosen, seconds, report)) as events:
            async for event in events:
                if lines:
                    print(event_line(event, session.zone, names, width), flush=True)
                else:
                    text = render(event_view(), FleetResult([event], []), machine)
                    print(text, end="", flush=True)
        return 0

    execute(ctx, body)


def _ensure_found(words: list[str], found: FleetResult[Any]) -> None:
    """Raises ClusterError (NOT_FOUND) where every cluster answered and none has such an alert."""
    from aiops_cli.errors import ClusterError, ErrorCode

    if not found.rows and not found.failed:
        raise ClusterError(
            f"no chosen cluster has an active alert of name or fingerprint {' or '.join(map(repr, words))}",
            hint="aiops alerts list -o wide shows them",
            code=ErrorCode.NOT_FOUND,
        )


def _filter(
    matchers: list[str] | None,
    state: str | None,
    severity: str | None,
    namespace: str | None,
    name: str | None,
) -> AlertFilter:
    from aiops_cli.errors import UsageError
    from aiops_cli.services.alerts import STATES, AlertFilter
    from aiops_cli.services.matchers import parse_matchers

    if state is not None and state.upper() not in STATES:
        raise UsageError(f"unknown state {state!r}", hint="FIRING, PENDING, SUPPRESSED or RESOLVED")
    return AlertFilter(state, severity, namespace, name, parse_matchers(matchers or []))


async def _related(session: Session, found: FleetResult[AlertItem]) -> int:
    from aiops_cli.services import related_subjects

    return await emit_related(session, related_subjects.of_alerts(found.rows, horizon(session)), found)


def _remember(session: Session, found: FleetResult[AlertItem]) -> None:
    from aiops_cli.services.alert_memory import remember

    if session.bundle is None:
        remember(session.state, found, session.now)


async def _with_resolved(session: Session, found: FleetResult[AlertItem]) -> FleetResult[AlertItem]:
    from aiops_cli.services import alerts
    from aiops_cli.services.alert_history import history
    from aiops_cli.services.alert_memory import seen

    past = await history(
        session.members,
        session.window(),
        remembered=[] if session.bundle else seen(session.state, [m.name for m in session.members]),
        step=session.bundle.step if session.bundle else 0.0,
        watch=session.watcher(),
    )
    return alerts.with_resolved(found, past)


def _tell_severities(severity: str, found: FleetResult[AlertItem]) -> None:
    import sys

    from aiops_cli.render.text import one_line

    there = sorted({a.severity for a in found.rows if a.severity})
    if there and severity.lower() not in (s.lower() for s in there):
        print(
            one_line(f"no alert has severity {severity!r}; there are: {', '.join(map(repr, there))}"),
            file=sys.stderr,
        )
