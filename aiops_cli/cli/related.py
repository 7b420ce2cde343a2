"""`--related` of other commands, and `aiops related KIND/NAME`: from one thing to all signals about it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aiops_cli.cli.runtime import Session, execute

if TYPE_CHECKING:
    from aiops_cli.models.related import RelatedItem, Subject
    from aiops_cli.models.result import FleetResult
    from aiops_cli.services.related_subjects import Horizon

app = typer.Typer(add_completion=False)

RelatedFlag = Annotated[
    bool,
    typer.Option("--related", help="Show what the other signals know of these, each with its command."),
]
SUBJECTS = 5
"""Distinct things that one `--related` follows."""


@app.command()
def related(
    ctx: typer.Context,
    thing: Annotated[
        str,
        typer.Argument(help="deployment/checkout, pod/NAME, node/NAME, namespace/NAME.", metavar="KIND/NAME"),
    ],
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="Its namespace; without one, wherever it is.")
    ] = None,
    at: Annotated[str | None, typer.Option("--at", help="The moment in question; default: now.")] = None,
) -> None:
    """What metrics, alerts, logs, traces and events know of a Kubernetes object."""

    async def body(session: Session) -> int:
        from aiops_cli.services import times
        from aiops_cli.services.related_objects import find, parse_thing

        kind, name = parse_thing(thing)
        moment = times.parse_time(at, session.now, session.zone) if at else session.now
        found = await find(
            session.members, kind, name, namespace, moment, horizon(session), watch=session.watcher()
        )
        return await emit_related(session, found.rows, found)

    execute(ctx, body)


async def emit_related(session: Session, subjects: Sequence[Subject], asked: FleetResult[Any]) -> int:
    """Print what the other signals know of these subjects, and return the exit code. `asked` is the
    answer that they come from: what failed there is told too."""
    from aiops_cli.models.result import FleetResult
    from aiops_cli.models.timerange import TimeRange
    from aiops_cli.render.related_view import related_text, related_view
    from aiops_cli.services.related import Scene, joined
    from aiops_cli.services.related import related as look
    from aiops_cli.services.related_subjects import distinct

    chosen, there = distinct(subjects, SUBJECTS)
    found: FleetResult[RelatedItem] = asked.with_rows([])
    if chosen:
        window = TimeRange(min(s.start for s in chosen), max(s.end for s in chosen))
        scene = Scene(session.step(window), session.now, session.given, session.cache_policy())
        looked = await look(session.members, chosen, scene, watch=session.watcher())
        order = {(s.cluster, s.title): i for i, s in enumerate(chosen)}
        rows = sorted(looked.rows, key=lambda r: order.get((r.cluster, r.origin), len(order)))
        found = FleetResult(rows, joined(asked.clusters, looked.clusters))
    o, quiet = session.options, session.options.quiet
    if there > len(chosen) and not quiet:
        print(
            f"note: the first {len(chosen)} of {there} things these rows are about; narrow the query for others",
            file=sys.stderr,
        )
    if session.format != "table" or o.columns or o.fields or o.sort:
        return session.emit(related_view(session.zone), found)
    sys.stdout.write(related_text(found.rows, chosen, session.zone, session.style().width))
    if not found.rows and not found.failed and not quiet:
        nothing = "no other signal knows anything of it in this window" if chosen else "nothing to start from"
        print(nothing, file=sys.stderr)
    session.explain(found)
    return int(session.exit_code(found))


def horizon(session: Session) -> Horizon:
    """The times to look at: the window that was asked for, else a quarter of an hour around each row."""
    from aiops_cli.models.timerange import TimeRange
    from aiops_cli.services.related_subjects import Horizon

    o = session.options
    limits = TimeRange(0.0, session.now)
    if session.bundle is not None:
        limits = TimeRange(session.bundle.manifest.start, session.bundle.manifest.end)
    return Horizon(limits, session.window() if o.since or o.start or o.end else None)
