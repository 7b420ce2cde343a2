"""A session: config, chosen clusters or a bundle, window and cache, for the command line and the dashboard."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from aiops_cli.errors import ErrorCode, UsageError
from aiops_cli.models.options import Options
from aiops_cli.models.timerange import TimeRange, default_step
from aiops_cli.services import times

if TYPE_CHECKING:
    from aiops_cli.config.kubeconfig import Kubeconfig
    from aiops_cli.config.settings import Settings
    from aiops_cli.models.fleet import Cluster
    from aiops_cli.services.bundle import Bundle
    from aiops_cli.services.fanout import Watcher
    from aiops_cli.services.fleet import LiveMember, Member
    from aiops_cli.services.metrics import CachePolicy
    from aiops_cli.services.registry import Registry
    from aiops_cli.store.state import State

_MACHINE = ("json", "ndjson", "yaml", "csv")


@dataclass(slots=True)
class Session:
    """What is asked, of whom, about when. Everything is read when first asked for; `members` are the chosen
    clusters, `now` is the end of a bundle where one is replayed."""

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
    def given(self) -> list[str]:
        """The options of this run without which its commands would ask something else."""
        o = self.options
        said = (("--bundle", o.bundle), ("--config", o.config), ("--kubeconfig", o.kubeconfig))
        return [word for name, value in said if value for word in (name, value)]

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

    def watcher(self) -> Watcher | None:
        """Who is told how far a question to the fleet is; nobody, unless a front end says so."""
        return None


S = TypeVar("S", bound=Session)


def open_session(
    kind: type[S], options: Options, *, select: bool = True, say: Callable[[str], None] | None = None
) -> tuple[S, Callable[[], Awaitable[None]]]:
    """The session of these options, and what closes it. `select=False` chooses no clusters; `say` is told
    what is noteworthy, a line at a time.

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
    notices = Notices(say)
    state = State(data_dir(), notices=notices)
    registry = Registry(state)
    if options.bundle:
        return _bundle_session(kind, options, settings, registry, state)

    async def nothing() -> None:
        return None

    if not select:
        return kind(options, settings, registry, state, time.time(), [], [], None), nothing
    from aiops_cli.config.kubeconfig import load_kubeconfig
    from aiops_cli.services.fleet import close_all, live_members
    from aiops_cli.services.known import known_clusters
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

    return kind(options, settings, registry, state, time.time(), members, chosen, kubeconfig), close


def _bundle_session(
    kind: type[S], options: Options, settings: Settings, registry: Registry, state: State
) -> tuple[S, Callable[[], Awaitable[None]]]:
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

    return kind(options, settings, registry, state, bundle.end, members, chosen, None, bundle), close


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
