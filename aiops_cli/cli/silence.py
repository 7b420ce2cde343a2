"""`aiops alerts silence`: the silences of the fleet. `add`, `expire` and `import` write to Alertmanagers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from aiops_cli.cli.runtime import Session, execute

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiops_cli.models.alerts import SilenceResult
    from aiops_cli.models.result import FleetResult
    from aiops_cli.services.silences import Draft

app = typer.Typer(
    add_completion=False,
    help="Silences of the fleet, as amtool's: add, list, expire, export, import.",
    no_args_is_help=True,
)

Matchers = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[MATCHER]...",
        help="alertname=Down 'instance=~\"a.*\"'. A first one without an operator is an alertname.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and write nothing.")]


@app.command()
def add(
    ctx: typer.Context,
    matchers: Matchers = None,
    comment: Annotated[str | None, typer.Option("--comment", help="Why; required.")] = None,
    author: Annotated[
        str | None, typer.Option("--author", "-a", help="Who; by default this user and host.")
    ] = None,
    duration: Annotated[str, typer.Option("--duration", "-d", help="How long: 30m, 2h, 1d.")] = "1h",
    start: Annotated[
        str | None, typer.Option("--start", help="From when: RFC 3339, 23:40 or now+1h; by default now.")
    ] = None,
    end: Annotated[str | None, typer.Option("--end", help="Until when, in place of --duration.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the alerts it would cover, and write nothing.")
    ] = False,
) -> None:
    """Make a silence in every chosen cluster, and print its id in each."""

    async def body(session: Session) -> int:
        from aiops_cli.services import silences, times
        from aiops_cli.services.matchers import parse_matchers

        members = session.live
        parsed = parse_matchers(matchers or [])
        starts = times.parse_time(start, session.now, session.zone, ahead=True) if start else session.now
        ends = (
            times.parse_time(end, session.now, session.zone, ahead=True)
            if end
            else starts + times.parse_duration(duration, "--duration")
        )
        draft = silences.Draft(
            [m.wire for m in parsed], starts, ends, author or silences.author(), comment or ""
        )
        draft.check(session.now)
        if not dry_run:
            return await _write(session, [draft])

        from aiops_cli.render.alert_views import alert_view

        found = await silences.covered(members, parsed)
        code = session.emit(alert_view(session.now), found)
        if not session.options.quiet:
            for status in found.clusters:
                count = sum(a.cluster == status.name for a in found.rows)
                if status.error is None:
                    what = f"{count} alert{'' if count == 1 else 's'}" if count else "no alert"
                    _say(f"{status.name}: it would cover {what} now")
            _say("dry run: nothing was written")
        return code

    execute(ctx, body)


@app.command("list")
def list_(
    ctx: typer.Context,
    matchers: Matchers = None,
    within: Annotated[
        str | None, typer.Option("--within", help="Those that end this soon, or with --expired ended.")
    ] = None,
    expired: Annotated[bool, typer.Option("--expired", help="Those that are over instead.")] = False,
    created_by: Annotated[str | None, typer.Option("--created-by", help="Only this author's.")] = None,
    unmatched: Annotated[bool, typer.Option("--unmatched", help="Those that keep no alert quiet.")] = False,
) -> None:
    """Silences that are not over, soonest end first. `-o name` prints ids, for `expire`."""

    async def body(session: Session) -> int:
        from aiops_cli.render.silence_views import silence_view
        from aiops_cli.services import silences, times
        from aiops_cli.services.matchers import parse_matchers

        wanted = silences.SilenceFilter(
            parse_matchers(matchers or []),
            times.parse_duration(within, "--within") if within else 0.0,
            expired,
            created_by,
            unmatched,
        )
        found = await silences.list_silences(session.live, wanted, session.now, watch=session.watcher())
        return session.emit(silence_view(session.now), found)

    execute(ctx, body)


@app.command()
def expire(
    ctx: typer.Context,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID...", help="Ids, of whichever cluster.")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """End silences now, in whichever of the chosen clusters they are."""

    async def body(session: Session) -> int:
        from aiops_cli.errors import ExitCode, UsageError
        from aiops_cli.render.silence_views import result_view
        from aiops_cli.services import silence_writes

        members = session.live
        if not ids:
            raise UsageError("no silence is named", hint="aiops alerts silence list -o name prints ids")
        _ensure_printable(session)
        with _told_if_interrupted("ended", dry_run) as done:
            found, missing = await silence_writes.expire(
                members, ids, dry_run=dry_run, done=done, watch=session.watcher()
            )
        code = session.emit(result_view(), found) if found.rows else _told(session, found)
        who = "no cluster that answered" if found.failed else "no chosen cluster"
        for one in missing:
            _say(f"error: {who} has silence {one}")
        if missing:
            _say("hint: aiops alerts silence list -o name prints ids")
        return code or (int(ExitCode.UNREACHABLE) if missing else 0)

    execute(ctx, body)


@app.command()
def export(ctx: typer.Context, matchers: Matchers = None) -> None:
    """Print the silences that are not over as amtool's JSON, for `import` or `amtool silence import`."""

    async def body(session: Session) -> int:
        import json

        import msgspec

        from aiops_cli.errors import UsageError
        from aiops_cli.services import silence_files, silences
        from aiops_cli.services.matchers import parse_matchers

        if session.options.output not in (None, "json"):
            raise UsageError("silences are exported as JSON", hint="leave -o out")
        wanted = silences.SilenceFilter(parse_matchers(matchers or []))
        found = await silences.list_silences(session.live, wanted, session.now, watch=session.watcher())
        text = json.dumps(msgspec.to_builtins(silence_files.exported(found.rows)), indent=2)
        print(text.replace("\x7f", "\\u007f"), flush=True)  # the rest that a terminal obeys is escaped
        session.explain(found)
        return int(session.exit_code(found))

    execute(ctx, body)


@app.command("import")
def import_(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(help="A file of silences; - for standard input.")] = "-",
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Make new ones, although their ids are known.")
    ] = False,
    everywhere: Annotated[
        bool,
        typer.Option("--everywhere", help="To every chosen cluster, whichever the file names."),
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Make the silences of an export, each in its cluster, or in all where the file names none.

    One whose id is known there is updated. Those that are over are left out.
    """

    async def body(session: Session) -> int:
        from dataclasses import replace

        from aiops_cli.errors import ErrorCode, UsageError
        from aiops_cli.services import silence_files

        members = session.live
        drafts, over = silence_files.read_silences(_read(file), session.now, _named(file))
        if everywhere:
            drafts = [replace(d, cluster=None) for d in drafts]
        strange = sorted({d.cluster for d in drafts if d.cluster} - {m.name for m in members})
        if strange:
            raise UsageError(
                f"{_named(file)} has silences of clusters that are not chosen: {', '.join(strange)}",
                hint="choose them with -c, or give --everywhere",
                code=ErrorCode.FILE_INVALID,
            )
        if over and not session.options.quiet:
            _say(f"{over} {'silence is' if over == 1 else 'silences are'} over and left out")
        return await _write(session, drafts, update=not force, dry_run=dry_run)

    execute(ctx, body)


async def _write(
    session: Session, drafts: Sequence[Draft], *, update: bool = False, dry_run: bool = False
) -> int:
    """Make silences and print them."""
    from aiops_cli.render.silence_views import result_view
    from aiops_cli.services import silence_writes

    _ensure_printable(session)
    with _told_if_interrupted("made", dry_run) as done:
        found = await silence_writes.create(
            session.live, drafts, update=update, dry_run=dry_run, done=done, watch=session.watcher()
        )
    return session.emit(result_view(), found) if found.rows else _told(session, found)


def _ensure_printable(session: Session) -> None:
    """Raises UsageError for columns and fields that there are not, before anything is written."""
    from aiops_cli.models.alerts import SilenceResult
    from aiops_cli.models.result import FleetResult
    from aiops_cli.render.output import render
    from aiops_cli.render.silence_views import result_view

    render(result_view(), FleetResult([SilenceResult("", "", "")], []), session.style())


@contextmanager
def _told_if_interrupted(what: str, dry_run: bool) -> Iterator[list[SilenceResult]]:
    """A list for what is written; an interrupted run says what was, so that nobody has to guess."""
    import asyncio

    done: list[SilenceResult] = []
    try:
        yield done
    except asyncio.CancelledError:
        if not dry_run:
            for row in done:
                _say(f"{row.cluster}: {row.id} was {what} before the interrupt")
            _say(f"one may have been {what} just then: aiops alerts silence list")
        raise


def _told(session: Session, found: FleetResult[SilenceResult]) -> int:
    """The exit code of a run that wrote nothing, and why."""
    session.explain(found)
    return int(session.exit_code(found))


def _named(file: str) -> str:
    return "standard input" if file == "-" else file


def _read(file: str) -> bytes:
    from pathlib import Path

    from aiops_cli.errors import ErrorCode, UsageError

    try:
        if file != "-":
            return Path(file).read_bytes()
        return sys.stdin.buffer.read() if sys.stdin else b""
    except OSError as error:
        raise UsageError(
            f"{_named(file)} can't be read: {error.strerror or error}",
            hint="check the path",
            code=ErrorCode.FILE_INVALID,
        ) from None


def _say(text: str) -> None:
    from aiops_cli.render.text import one_line

    print(one_line(text), file=sys.stderr)
