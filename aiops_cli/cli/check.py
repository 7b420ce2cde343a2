"""`aiops check`: assertions for CI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aiops_cli.cli.runtime import Session, execute
from aiops_cli.errors import UsageError
from aiops_cli.models.options import FORMATS, Options

if TYPE_CHECKING:
    from aiops_cli.services.assertions import Check

_FORMATS = (*FORMATS, "junit")

app = typer.Typer(
    add_completion=False,
    help="Assertions for CI: PromQL, alerts; JUnit, exit codes.",
    epilog="Exit codes: 0 all pass, 1 a check failed, 2 a bad file or expression, 3 some clusters could not "
    "be asked, 4 none could, 5 not allowed. Shared options (-c, -o, …): aiops --help",
)


@app.command()
def check(
    ctx: typer.Context,
    files: Annotated[
        list[Path] | None, typer.Argument(help="YAML files of checks.", metavar="FILE…", show_default=False)
    ] = None,
    expr: Annotated[
        str | None,
        typer.Option(
            "--expr", help="PromQL that must hold, such as 'up{job=\"api\"} == 1'.", metavar="PROMQL"
        ),
    ] = None,
    held: Annotated[
        str | None, typer.Option("--for", help="--expr must have held this long: 30s, 5m.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="The name of --expr in results.")] = None,
    severity: Annotated[
        str | None, typer.Option("--severity", help="Of --expr: critical (default), warning or info.")
    ] = None,
    all_clusters: Annotated[
        bool, typer.Option("--all-clusters", help="Every known cluster, whatever the config's default.")
    ] = False,
    junit: Annotated[
        Path | None, typer.Option("--junit", help="Write JUnit XML here as well.", metavar="FILE")
    ] = None,
) -> None:
    """Assert on every chosen cluster: a comparison must hold for each of its series; no data is a failure."""
    options: Options = ctx.obj
    if options.output is not None and options.output not in _FORMATS:
        raise UsageError(f"unknown output format {options.output!r}", hint=f"one of: {', '.join(_FORMATS)}")
    if all_clusters:
        if options.contexts or options.selector or options.group:
            raise UsageError("--all-clusters and -c, -l or -g say different things", hint="drop one of them")
        options.contexts = ["*"]

    async def body(session: Session) -> int:
        import sys

        from aiops_cli.cli.output_file import ensure_writable, write_text
        from aiops_cli.render.check_view import CHECKS
        from aiops_cli.render.junit import junit as to_xml
        from aiops_cli.services import check as service
        from aiops_cli.services import times

        checks = _checks(session, files or [], expr, held, name, severity)
        if junit is not None:
            ensure_writable(junit, "--junit")
        bundle = session.bundle
        end = session.options.end
        moment = service.Moment(
            times.parse_time(end, session.now, session.zone) if end else session.now,
            bool(end or bundle),
            times.parse_duration(session.options.step, "--step") if session.options.step else None,
            bundle.step if bundle else None,
        )
        found = await service.run(session.members, checks, session.settings, moment, watch=session.watcher())
        if session.format == "junit":
            sys.stdout.write(to_xml(found.rows))
            session.explain(found)
        else:
            session.emit(CHECKS, found, extra={"summary": service.counts(found.rows)})
        if junit is not None:
            write_text(junit, to_xml(found.rows), "--junit")
        return int(service.exit_code(found, allow_partial=session.options.allow_partial))

    execute(ctx, body, free_output=True)


def _checks(
    session: Session,
    files: list[Path],
    expr: str | None,
    held: str | None,
    name: str | None,
    severity: str | None,
) -> list[Check]:
    """All checks asked for. Raises UsageError for none, a bad file or expression, or a name used twice."""
    from aiops_cli.services import assertions

    if expr is None:
        for flag, value in (("--for", held), ("--name", name), ("--severity", severity)):
            if value is not None:
                raise UsageError(f"{flag} belongs to --expr", hint="in a file it is a key of each check")
        if not files:
            raise UsageError(
                "nothing to check", hint="aiops check FILE…, or aiops check --expr 'up{job=\"api\"} == 1'"
            )
    checks = [c for file in files for c in assertions.load(file, session.settings)]
    if expr is not None:
        checks.append(assertions.inline(expr, held, name, severity, session.settings))
    assertions.unique(checks)
    return checks
