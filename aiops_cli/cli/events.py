"""`aiops events`: what happened in the fleet, on one axis of time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from aiops_cli.cli.related import RelatedFlag, emit_related, horizon
from aiops_cli.cli.runtime import Session, execute

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiops_cli.models.events import EventItem
    from aiops_cli.services.events import Filter

app = typer.Typer(add_completion=False, help="What happened: Kubernetes events, rollouts, scalings, edits.")


@app.command()
def events(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            help="A workload, with its ReplicaSets, pods, autoscaler and config, or any object; KIND/NAME.",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="Only what is in this namespace.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", help="Only objects of this kind: Pod, deploy, node, …")
    ] = None,
    type_: Annotated[
        list[str] | None,
        typer.Option(
            "--type",
            help="Only these: warning, normal, change (rollout, scaling, config, autoscaler), condition, "
            "node, quota, restart, alert. Repeatable, or a,b.",
        ),
    ] = None,
    alerts: Annotated[bool, typer.Option("--alerts", help="Also when alerts began to fire.")] = False,
    related: RelatedFlag = False,
) -> None:
    """All that happened in the last hour (--since), oldest first: Kubernetes events, rollouts with what they
    changed, scalings, edits of ConfigMaps and Secrets (never their data), nodes, quotas, restarts.

    What you may not list is left out, and said (exit code 3); -n and --type ask for less.
    """

    async def body(session: Session) -> int:
        from aiops_cli.render.event_views import event_view
        from aiops_cli.services import events, related_subjects

        wanted = events.filter_of(name, namespace, kind, type_ or [], alerts=alerts)
        found = await events.list_events(
            session.members,
            session.window(),
            wanted,
            step=session.bundle.step if session.bundle else 0.0,
            watch=session.watcher(),
        )
        if related:
            return await emit_related(
                session, related_subjects.of_events(found.rows, horizon(session)), found
            )
        if not found.rows and (kind or namespace) and not session.options.quiet:
            anything = events.filter_of(None, None, None, type_ or [], alerts=alerts)
            broad = await events.list_events(session.members, session.window(), anything)
            _tell_what_there_is(wanted, broad.rows)
        view = event_view(found.rows, session.zone, brief=session.format == "table")
        return session.emit(view, found)

    execute(ctx, body)


def _tell_what_there_is(wanted: Filter, rows: Sequence[EventItem]) -> None:
    """Where nothing at all is of that kind or namespace: those that something is of."""
    import sys

    from aiops_cli.render.text import one_line

    asked = (
        ("kind", wanted.kind, {r.kind for r in rows}),
        ("namespace", wanted.namespace, {r.namespace for r in rows if r.namespace}),
    )
    for what, one, there in asked:
        if one and there and one.lower() not in {t.lower() for t in there}:
            listed = ", ".join(map(repr, sorted(there)))
            print(one_line(f"nothing is of {what} {one!r}; there are: {listed}"), file=sys.stderr)
