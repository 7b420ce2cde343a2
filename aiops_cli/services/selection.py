"""Which clusters a command asks: by glob, by label, by group."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from aiops_cli.errors import ErrorCode, UsageError
from aiops_cli.models.fleet import Cluster

if TYPE_CHECKING:
    from aiops_cli.config.settings import Settings


def parse_selector(text: str) -> list[tuple[str, str, bool]]:
    """`a=b,c!=d` to (key, value, equal). Raises UsageError."""
    terms = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        key, sep, value = part.partition("!=") if "!=" in part else part.partition("=")
        if not sep or not key.strip():
            raise UsageError(f"selector {part!r} is no key=value", hint="write -l environment=lab,region!=eu")
        if value.startswith("~"):
            raise UsageError(f"selector {part!r} is a regex", hint="-l compares whole values: = or !=")
        terms.append((key.strip(), value.lstrip("=").strip(), sep == "="))
    return terms


def select(
    clusters: Sequence[Cluster],
    settings: Settings,
    *,
    contexts: Sequence[str] = (),
    selector: str | None = None,
    group: str | None = None,
) -> list[Cluster]:
    """The chosen clusters, in kubeconfig order.

    Two contexts of one API server (URL, proxy, TLS name) are one cluster unless they are asked for by
    name: the first, or each that has endpoints in the config. Raises UsageError (CONTEXT_UNKNOWN) if a
    name or glob matches nothing.
    """
    globs = list(contexts)
    selectors = [selector] if selector else []
    if group is not None:
        if group not in settings.groups:
            near = difflib.get_close_matches(group, settings.groups, n=1)
            hint = (
                f"did you mean {near[0]!r}?"
                if near
                else f"there are: {', '.join(map(repr, settings.groups))}"
                if settings.groups
                else "the config has no group: [groups.NAME] makes one"
            )
            raise UsageError(f"unknown group {group!r}", hint=hint, code=ErrorCode.CONTEXT_UNKNOWN)
        globs += settings.groups[group].contexts
        if extra := settings.groups[group].selector:
            selectors.append(extra)
    if not globs and not selectors:
        globs = list(settings.defaults.contexts)
    chosen = _by_glob(clusters, globs)
    for text in selectors:
        terms = parse_selector(text)
        chosen = [c for c in chosen if all((c.labels.get(k) == v) is equal for k, v, equal in terms)]
    if not chosen:
        if not clusters:
            raise UsageError(
                "no clusters: no kubeconfig context and none in the config",
                hint="set KUBECONFIG, name one with --kubeconfig, or try: aiops demo",
                code=ErrorCode.CONTEXT_UNKNOWN,
            )
        raise UsageError(
            "no cluster matches the selection",
            hint="aiops clusters list shows all, with their labels",
            code=ErrorCode.CONTEXT_UNKNOWN,
        )
    return chosen


def _by_glob(clusters: Sequence[Cluster], globs: Sequence[str]) -> list[Cluster]:
    wanted = [g for g in globs if not g.startswith("!")]
    unwanted = [g[1:] for g in globs if g.startswith("!")]
    named = {c.name for c in clusters}
    for glob in wanted:
        if not any(fnmatchcase(c.name, glob) for c in clusters):
            near = difflib.get_close_matches(glob, named, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "aiops clusters list shows what there is"
            if "," in glob:
                hint = "repeat -c for each: " + " ".join(f"-c {part.strip()}" for part in glob.split(","))
            raise UsageError(
                f"no context or cluster matches {glob!r}", hint=hint, code=ErrorCode.CONTEXT_UNKNOWN
            )
    fitting = [
        c
        for c in clusters
        if (not wanted or any(fnmatchcase(c.name, g) for g in wanted))
        and not any(fnmatchcase(c.name, g) for g in unwanted)
    ]
    kept: dict[str, str] = {}
    for cluster in sorted(
        fitting, key=lambda c: not (c.endpoints or c.exporters)
    ):  # one that the config knows goes first
        kept.setdefault(_way(cluster), cluster.name)
    return [c for c in fitting if c.endpoints or c.exporters or kept[_way(c)] == c.name or c.name in wanted]


def _way(cluster: Cluster) -> str:
    return cluster.way or cluster.server or cluster.name
