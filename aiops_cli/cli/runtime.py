"""What commands share: the session of a run (config, clusters, window, cache), progress, output, exit."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import typer

from aiops_cli.errors import ExitCode, UsageError
from aiops_cli.models.options import FORMATS, Options
from aiops_cli.models.result import FleetResult
from aiops_cli.render.colour import wanted
from aiops_cli.render.output import Style, View, pieces
from aiops_cli.render.text import one_line, sanitize
from aiops_cli.services import session
from aiops_cli.services.fanout import Progress

T = TypeVar("T")
_NO_COLUMNS = ("json", "ndjson", "yaml", "name", "raw")
_NAMED = 5  # clusters that one warning names


class Session(session.Session):
    """One run of a command."""

    __slots__ = ()

    def unused_window(self, advice: str) -> None:
        """Tell that --since and --from change nothing of what is asked now; `advice` says what would."""
        o = self.options
        if not o.quiet and (flag := "--since" if o.since else "--from" if o.start else None):
            print(f"note: {flag} changes nothing here: {advice}", file=sys.stderr)

    def style(self) -> Style:
        o = self.options
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        return Style(
            self.format,
            width,
            not o.no_headers,
            _words(o.columns),
            o.sort,
            _words(o.fields),
            wanted(sys.stdout),
        )

    def watcher(self) -> Callable[[Progress], None] | None:
        """A progress line on stderr, once a fan-out takes longer than 300 ms; none unless it is a terminal."""
        if self.options.quiet or not sys.stderr.isatty():
            return None
        started = time.monotonic()

        def show(progress: Progress) -> None:
            if progress.done == progress.total:
                print("\r\033[K", end="", file=sys.stderr, flush=True)
            elif time.monotonic() - started > 0.3:
                slow = ", ".join(progress.waiting[:3])
                print(
                    f"\r\033[K{progress.done}/{progress.total} clusters, waiting for {sanitize(slow)}",
                    end="",
                    file=sys.stderr,
                    flush=True,
                )

        return show

    def emit(self, view: View[T], result: FleetResult[T], *, extra: dict[str, Any] | None = None) -> int:
        """Print the rows, tell on stderr what is missing, and return the exit code."""
        written = 0
        for piece in pieces(view, result, self.style(), extra=extra):
            written += sys.stdout.write(piece)
        sys.stdout.flush()
        if not written and not result.failed and not self.options.quiet:
            print("nothing found", file=sys.stderr)
        self.explain(result)
        return int(self.exit_code(result))

    def explain(self, result: FleetResult[Any]) -> None:
        """One line on stderr for each cluster that failed; unless quiet, one for each warning, with its clusters."""
        told: set[str] = set()
        warned: dict[str, list[str]] = {}
        for status in result.clusters:
            if status.error is not None:
                at = f" [{status.error.endpoint}]" if status.error.endpoint else ""
                advice = status.error.hint
                hint = f"; {advice}" if advice and "\n" not in advice and advice not in told else ""
                told.add(advice)
                print(
                    one_line(f"{status.name}: {status.error.code}: {status.error.message}{at}{hint}"),
                    file=sys.stderr,
                )
            for warning in dict.fromkeys(status.warnings):
                warned.setdefault(warning, []).append(status.name)
        for warning, names in {} if self.options.quiet else warned.items():
            print(one_line(f"{_listed(names)}: warning: {warning}"), file=sys.stderr)
        if self.options.timings:
            for status in sorted(result.clusters, key=lambda s: -s.duration_ms):
                print(
                    f"timing: {one_line(status.name)} {status.duration_ms:.0f} ms ({status.source}, {status.status})",
                    file=sys.stderr,
                )

    def exit_code(self, result: FleetResult[Any]) -> ExitCode:
        return result.exit_code(
            allow_partial=self.options.allow_partial, require_data=self.options.require_data
        )


def execute(
    ctx: typer.Context,
    body: Callable[[Session], Awaitable[int]],
    *,
    select: bool = True,
    free_output: bool = False,
) -> None:
    """Open a session, run `body` in it, close every connection, and exit with what it returns."""
    options: Options = ctx.obj
    if options.output is not None and options.output not in FORMATS and not free_output:
        raise UsageError(f"unknown output format {options.output!r}", hint=f"one of: {', '.join(FORMATS)}")
    if options.debug:
        from aiops_cli.transport.client import HttpClient

        HttpClient.on_reply = lambda line: print(sanitize(line), file=sys.stderr)
    from aiops_cli.transport.resolver import LookupLoop

    started = time.perf_counter()
    try:
        with asyncio.Runner(loop_factory=LookupLoop) as runner:
            code = runner.run(_run(options, body, select))
    except BrokenPipeError:
        # The reader has gone (`| head`): that is its right. What is still buffered goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    if options.timings:
        print(f"timing: total {(time.perf_counter() - started) * 1000:.0f} ms after start", file=sys.stderr)
    raise typer.Exit(code)


async def _run(options: Options, body: Callable[[Session], Awaitable[int]], select: bool) -> int:
    opened, close = open_session(options, select=select)
    try:
        return await body(opened)
    finally:
        await close()


def open_session(options: Options, *, select: bool = True) -> tuple[Session, Callable[[], Awaitable[None]]]:
    """The session of these options, and what closes it. Raises UsageError as `services.session` does."""
    opened, close = session.open_session(
        Session,
        options,
        select=select,
        say=None if options.quiet else lambda line: print(f"note: {sanitize(line)}", file=sys.stderr),
    )
    if options.columns and opened.format in _NO_COLUMNS:
        opened.state.notices.say(
            f"--columns is for tables, CSV and Markdown; -o {opened.format} goes without it"
        )
    return opened, close


def _listed(names: Sequence[str]) -> str:
    """Names as one word of a sentence; of many the first few and how many more."""
    shown = ", ".join(names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} more"


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(p.strip() for p in (text or "").split(",") if p.strip())
