"""`aiops clusters`: the fleet registry."""

from __future__ import annotations

from typing import Annotated

import typer

from aiops_cli.cli.runtime import Session, execute

app = typer.Typer(
    add_completion=False,
    help="The fleet: kubeconfig contexts and what was learned of them.",
    no_args_is_help=True,
)


@app.command("list")
def list_(ctx: typer.Context) -> None:
    """The chosen clusters, their labels and known endpoints. Asks no cluster."""

    async def body(session: Session) -> int:
        from aiops_cli.render.cluster_views import CLUSTERS
        from aiops_cli.services.inventory import entries

        found = entries(session.members, session.registry)
        return session.emit(CLUSTERS, found)

    execute(ctx, body)


@app.command()
def show(
    ctx: typer.Context, name: Annotated[str, typer.Argument(help="A context or cluster name, or a glob.")]
) -> None:
    """Everything known of a cluster, with where each fact came from and when."""
    ctx.obj.contexts = [name]

    async def body(session: Session) -> int:
        from aiops_cli.render.cluster_views import CLUSTERS, cluster_text
        from aiops_cli.services.inventory import entries

        found = entries(session.members, session.registry)
        if session.format == "table":
            print("\n".join(cluster_text(e, session.now, session.zone) for e in found.rows), end="")
            return 0
        return session.emit(CLUSTERS, found)

    execute(ctx, body)


@app.command()
def discover(ctx: typer.Context) -> None:
    """Look for Prometheus, Alertmanager, Loki, Tempo and Jaeger by the Kubernetes API, and remember them."""

    async def body(session: Session) -> int:
        from aiops_cli.render.cluster_views import DISCOVERED
        from aiops_cli.services.inventory import discover_all

        found = await discover_all(session.live, watch=session.watcher())
        return session.emit(DISCOVERED, found)

    execute(ctx, body)


@app.command()
def health(
    ctx: typer.Context,
    history: Annotated[
        bool, typer.Option("--history", help="Earlier checks from the local store, oldest first.")
    ] = False,
) -> None:
    """Probe every component and score each cluster."""

    async def body(session: Session) -> int:
        from aiops_cli.models.result import ClusterStatus, FleetResult
        from aiops_cli.render.cluster_views import health_view
        from aiops_cli.services import health as service

        if history:
            names = {m.name for m in session.members}
            rows = [h for h in session.state.health(session.window(90 * 86400.0).start) if h.cluster in names]
            return session.emit(
                health_view(),
                FleetResult(rows, [ClusterStatus(n, "SUCCESS", "cache") for n in sorted(names)]),
            )
        if session.bundle is not None:
            from aiops_cli.services.inventory import recorded_health

            return session.emit(
                health_view(), recorded_health(session.bundle, [m.name for m in session.members])
            )
        found = await service.check(session.live, watch=session.watcher())
        session.state.add_health(found.rows)
        return session.emit(health_view(), found)

    execute(ctx, body)


@app.command()
def label(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="A context or cluster name.")],
    changes: Annotated[list[str], typer.Argument(help="key=value to set, key- to remove.")],
) -> None:
    """Set or remove fleet labels of a cluster, as kubectl label does."""
    ctx.obj.contexts = [name]

    async def body(session: Session) -> int:
        from aiops_cli.services.inventory import label_changes

        if session.bundle is not None:
            session.live  # noqa: B018 - refuses with a clear line
        wanted = label_changes(changes)
        for member in session.members:
            session.registry.set_labels(member.name, wanted)
            labels = session.registry.labels(member.name)
            print(
                f"{member.name} labeled: {','.join(f'{k}={v}' for k, v in sorted(labels.items())) or 'no labels'}"
            )
        return 0

    execute(ctx, body)
