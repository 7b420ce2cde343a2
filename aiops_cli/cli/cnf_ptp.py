"""`aiops cnf ptp`: the clocks of the fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from aiops_cli.cli.findings import FailOn, FindingsFlag, check_fail_on, emit_findings, ensure_matched, narrow
from aiops_cli.cli.runtime import Session, execute

if TYPE_CHECKING:
    from aiops_cli.services.ptp import Clocks

app = typer.Typer(add_completion=False)


@app.command()
def ptp(
    ctx: typer.Context,
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile",
            help="The budget to judge by: operator (the cluster's own thresholds, else ±100 ns), g8275.1, "
            "g8273.2-class-a, -b, -c, -d, g8272-prtc-a, -b, g8271-6a, -6b, -6c, oran-c1 to oran-c4, …",
        ),
    ] = None,
    node: Annotated[str | None, typer.Option("--node", help="Only nodes of this glob.")] = None,
    process: Annotated[
        str | None, typer.Option("--process", help="Only this one: ptp4l, phc2sys, ts2phc, dpll, …")
    ] = None,
    interface: Annotated[
        str | None, typer.Option("--interface", "-i", help="Only interfaces of this glob, alias or port.")
    ] = None,
    plot: Annotated[bool, typer.Option("--plot", help="Draw the offsets over the window.")] = False,
    findings: FindingsFlag = False,
    fail_on: FailOn = None,
) -> None:
    """PTP clocks, one a row: state and offset now, p99 and maximum over the window (--since, 1 h), clock class,
    and whether that is within the budget of --profile. Below them what is, or was, wrong.

    Read from the metrics of linuxptp-daemon or cloud-event-proxy in Prometheus, else from the `ptp` exporters
    that the config names. Only the latter program tells HOLDOVER from FREERUN.
    """

    async def body(session: Session) -> int:
        from aiops_cli.render.ptp_views import ptp_view
        from aiops_cli.services import ptp as service

        check_fail_on(fail_on)
        rules = service.rules_of(session.settings.ptp, profile)
        window = session.window()
        found = await service.list_clocks(
            session.members,
            window,
            session.step(window),
            session.now,
            rules,
            wanted=service.Wanted(node, process, interface),
            policy=session.cache_policy(),
            watch=session.watcher(),
        )
        flags = {"--node": node, "--process": process, "--interface": interface}
        ensure_matched(found.result, found.findings, flags, "aiops cnf ptp -o wide shows what there is")
        if plot and session.format in ("table", "wide"):
            _plot(session, found)
        view = ptp_view(found.result.rows, session.zone, narrow=narrow(session))
        return emit_findings(session, view, found.result, found.findings, only=findings, fail_on=fail_on)

    execute(ctx, body)


def _plot(session: Session, found: Clocks) -> None:
    """Offsets without sentinels, above the table; nothing where no clock has any."""
    import shutil
    import sys

    from aiops_cli.render.plot import plot
    from aiops_cli.render.ptp_views import plotted

    size = shutil.get_terminal_size()
    text = plot(
        plotted(found.clocks),
        title="offset from the reference [ns]",
        width=size.columns,
        height=max(8, min(size.lines - 12, 20)),
        zone=session.zone,
        colour=sys.stdout.isatty(),
    )
    if text:
        sys.stdout.write(text + "\n")
