"""What commands share: the session of a run (config, clusters, window, cache), progress, output, exit."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from aiops_cli.cli.options import FORMATS, Options
from aiops_cli.errors import ErrorCode, ExitCode, UsageError
from aiops_cli.models.result import FleetResult
from aiops_cli.models.timerange import TimeRange, default_step
from aiops_cli.render.colour import wanted
from aiops_cli.render.output import Style, View, pieces
from aiops_cli.render.text import one_line, sanitize
from aiops_cli.services import times
from aiops_cli.services.fanout import Progress

if TYPE_CHECKING:
    from aiops_cli.config.kubeconfig import Kubeconfig
    from aiops_cli.config.settings import Settings
    from aiops_cli.models.fleet import Cluster
    from aiops_cli.services.bundle import Bundle
    from aiops_cli.services.fleet import LiveMember, Member
    from aiops_cli.services.metrics import CachePolicy
    from aiops_cli.services.registry import Registry
    from aiops_cli.store.state import State

T = TypeVar("T")
_MACHINE = ("json", "ndjson", "yaml", "csv")
_NO_COLUMNS = ("json", "ndjson", "yaml", "name", "raw")
_NAMED = 5  # clusters that one warning names


@dataclass(slots=True)
class Session:
    """One run. Everything is read when first asked for; `members` are the chosen clusters."""

    options: Options
    settings: Settings
    registry: Registry
    state: State
    now: float
    members: Sequence[Member]
    clusters: list[Cluster]
    kubeconfig: Kubeconfig | None
    bundle: Bundle | None = None

    @property
    def format(self) -> str:
        return self.options.output or self.settings.defaults.output

    @property
    def zone(self) -> tzinfo | None:
        return times.parse_zone(self.options.tz, machine=self.format in _MACHINE)

    def window(self, default: float = 3600.0) -> TimeRange:
        o = self.options
        window = times.parse_window(o.since, o.start, o.end, self.now, default=default, zone=self.zone)
        return window if self.bundle is None else self.bundle.within(window)

    def unused_window(self, advice: str) -> None:
        """Tell that --since and --from change nothing of what is asked now; `advice` says what would."""
        o = self.options
        if not o.quiet and (flag := "--since" if o.since else "--from" if o.start else None):
            print(f"note: {flag} changes nothing here: {advice}", file=sys.stderr)

    def step(self, window: TimeRange) -> float:
        if self.options.step:
            step = times.parse_duration(self.options.step, "--step")
            if step <= 0:
                raise UsageError(
                    "--step must be greater than 0",
                    hint="leave it out for about 250 points",
                    code=ErrorCode.INVALID_TIME,
                )
            if step > window.seconds:
                raise UsageError(
                    "--step is longer than the window",
                    hint="lower --step, or look further back with --since",
                    code=ErrorCode.INVALID_TIME,
                )
            return step
        if self.bundle is not None:
            return self.bundle.step
        return min(default_step(window.seconds), max(window.seconds // 1, 1.0))

    @property
    def live(self) -> list[LiveMember]:
        """The members as live ones, for commands that make no sense on a bundle. Raises UsageError."""
        if self.bundle is not None:
            raise UsageError("this command asks live clusters", hint="leave --bundle out")
        return list(self.members)  # type: ignore[arg-type]

    def cache_policy(self) -> CachePolicy:
        from aiops_cli.services.metrics import CachePolicy
        from aiops_cli.store.answers import AnswerCache
        from aiops_cli.store.paths import cache_dir
        from aiops_cli.store.ranges import RangeCache

        if self.options.no_cache or not self.settings.cache.enabled or self.bundle is not None:
            return CachePolicy()
        age = times.parse_duration(self.options.max_age, "--max-age") if self.options.max_age else None
        cache = RangeCache(
            cache_dir() / "samples", max_bytes=self.settings.cache.max_bytes, notices=self.state.notices
        )
        answers = AnswerCache(cache_dir() / "answers", notices=self.state.notices)
        return CachePolicy(cache, answers, self.options.refresh, age)

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
    session, close = open_session(options, select=select)
    try:
        return await body(session)
    finally:
        await close()


def open_session(options: Options, *, select: bool = True) -> tuple[Session, Callable[[], Awaitable[None]]]:
    """The session of these options, and what closes it. `select=False` chooses no clusters.

    Raises UsageError for a config, kubeconfig, selection or bundle that can't be used.
    """
    from aiops_cli.config.settings import load_settings
    from aiops_cli.services.registry import Registry
    from aiops_cli.store.notices import Notices
    from aiops_cli.store.paths import data_dir
    from aiops_cli.store.state import State

    settings = load_settings(Path(options.config) if options.config else None)
    timeout = _timeout(options, settings.defaults.timeout)
    _check_times(options)
    notices = Notices(
        None if options.quiet else lambda line: print(f"note: {sanitize(line)}", file=sys.stderr)
    )
    form = options.output or settings.defaults.output
    if options.columns and form in _NO_COLUMNS:
        notices.say(f"--columns is for tables, CSV and Markdown; -o {form} goes without it")
    state = State(data_dir(), notices=notices)
    registry = Registry(state)
    if options.bundle:
        return _bundle_session(options, settings, registry, state)

    async def nothing() -> None:
        return None

    if not select:
        return Session(options, settings, registry, state, time.time(), [], [], None), nothing
    from aiops_cli.config.kubeconfig import load_kubeconfig
    from aiops_cli.services.fleet import close_all, known_clusters, live_members
    from aiops_cli.services.selection import select as choose

    kubeconfig = load_kubeconfig(Path(options.kubeconfig) if options.kubeconfig else None)
    for warning in kubeconfig.warnings:
        notices.say(warning)
    clusters = known_clusters(kubeconfig, settings, registry)
    chosen = choose(
        clusters, settings, contexts=options.contexts, selector=options.selector, group=options.group
    )
    for cluster in chosen:
        named = [*cluster.endpoints.items(), *(("alertmanager", e) for e in cluster.alertmanagers[1:])]
        if unverified := dict.fromkeys(signal for signal, endpoint in named if endpoint.insecure):
            notices.say(
                f"{cluster.name}: the certificate of {', '.join(unverified)} is not verified (insecure in the config)"
            )
    members = live_members(chosen, kubeconfig, settings, registry, timeout)

    async def close() -> None:
        await close_all(members)

    return Session(options, settings, registry, state, time.time(), members, chosen, kubeconfig), close


def _bundle_session(
    options: Options, settings: Settings, registry: Registry, state: State
) -> tuple[Session, Callable[[], Awaitable[None]]]:
    from aiops_cli.services.bundle import open_bundle
    from aiops_cli.services.selection import select as choose

    bundle = open_bundle(str(options.bundle))
    chosen = choose(
        [m.cluster for m in bundle.members],
        settings,
        contexts=options.contexts,
        selector=options.selector,
        group=options.group,
    )
    names = {c.name for c in chosen}
    members = [m for m in bundle.members if m.name in names]

    async def close() -> None:
        bundle.close()

    return Session(options, settings, registry, state, bundle.end, members, chosen, None, bundle), close


def _check_times(options: Options) -> None:
    """A time that can't be read is wrong usage, whether or not the command goes on to use it."""
    if options.since or options.start or options.end:
        times.parse_window(options.since, options.start, options.end, time.time())
    for text, flag in ((options.step, "--step"), (options.max_age, "--max-age")):
        if text:
            times.parse_duration(text, flag)


def _timeout(options: Options, default: float) -> float:
    if not options.timeout:
        return default
    seconds = times.parse_duration(options.timeout, "--timeout")
    if not 0.001 <= seconds <= 300:
        raise UsageError(
            "--timeout must lie between 1ms and 300s", hint="--timeout 30s", code=ErrorCode.INVALID_TIME
        )
    return seconds


def _listed(names: Sequence[str]) -> str:
    """Names as one word of a sentence; of many the first few and how many more."""
    shown = ", ".join(names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} more"


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(p.strip() for p in (text or "").split(",") if p.strip())
