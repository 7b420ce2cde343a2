"""Where one is in the dashboard, as the `:` prompt writes it: `view words key=value @context`.

`:logs {app="shop"} at=23:40 @west` is the logs screen with that query on cluster west. Words that are no
`key=value` of the keys below are the view's own text: a query, a filter, an id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from aiops_cli.errors import UsageError
from aiops_cli.tui.screens import SCREENS, named

KEYS = ("ns", "at", "since", "sev", "trace", "node", "tab", "name", "kind", "state", "op", "min")
_CONTEXT = re.compile(r"(?:^|(?<=\s))@(\S+)(?=\s|$)")
_PAIR = re.compile(rf"(?:^|(?<=\s))({'|'.join(KEYS)})=(\"[^\"]*\"|\S+)(?=\s|$)")


@dataclass(frozen=True, slots=True)
class Place:
    """A screen and what it shows: `text` is its query or filter, `args` the `key=value` words, `contexts`
    globs of clusters (none: as before)."""

    view: str
    text: str = ""
    args: dict[str, str] = field(default_factory=dict)
    contexts: tuple[str, ...] = ()

    def written(self) -> str:
        """As the prompt takes it."""
        pairs = [f'{k}="{v}"' if re.search(r"\s", v) else f"{k}={v}" for k, v in self.args.items()]
        return " ".join(filter(None, (self.view, self.text, *pairs, *(f"@{c}" for c in self.contexts))))


def of_cluster(view: str, cluster: str, args: Mapping[str, str] = MappingProxyType({})) -> Place:
    """A cluster's part of a screen: of logs all lines, and not those of the query that was shown before."""
    text = "{}" if view == "logs" and "ns" not in args else ""
    return Place(view, text, dict(args), (cluster,))


def parse(line: str) -> Place:
    """What was typed behind `:`. Raises UsageError for a view that there is not, and a time that can't be read.

    `@` names a cluster only as a word of its own and the last: PromQL has an `@` too (`up @ 1609746000`),
    and it is left alone there because a space follows it.
    """
    head, _, rest = line.strip().removeprefix(":").strip().partition(" ")
    if head.startswith("@"):
        return Place("", contexts=tuple(_CONTEXT.findall(f"{head} {rest}")))
    entry = named(head)
    if entry is None:
        import difflib

        known = [*SCREENS, *(a for e in SCREENS.values() for a in e.aliases)]
        near = difflib.get_close_matches(head, known, n=1)
        raise UsageError(
            f"there is no view {head!r}",
            hint=f"did you mean {near[0]!r}?" if near else f"views: {', '.join(SCREENS)}",
        )
    query = _named_query(rest) if entry.name == "metrics" else ""
    rest = rest.strip().removeprefix(query)
    contexts = tuple(_CONTEXT.findall(rest))
    rest = query + _CONTEXT.sub("", rest)
    # Within braces and quotes of a query, `name="x"` is the query's.
    bare = re.sub(r"\{[^}]*\}|\([^)]*\)", lambda m: " " * len(m.group()), rest)
    args = {m[1]: rest[m.start(2) : m.end(2)].strip('"') for m in _PAIR.finditer(bare)}
    for m in reversed(list(_PAIR.finditer(bare))):
        rest = rest[: m.start()] + rest[m.end() :]
    if head.lower() in entry.aliases and "tab" not in args and head.lower() in _TABS:
        args["tab"] = head.lower()
    _check_times(args)
    return Place(entry.name, " ".join(rest.split()) if '"' not in rest else rest.strip(), args, contexts)


def _check_times(args: Mapping[str, str]) -> None:
    from aiops_cli.services.times import parse_time
    from aiops_cli.tui import clock
    from aiops_cli.tui.ranges import check_length

    if at := args.get("at"):
        parse_time(at, clock.now())
    if since := args.get("since"):
        check_length(since)


def _named_query(rest: str) -> str:
    """`@cpu-by-node` at the head, if that is a query of the catalogue and not a cluster."""
    from aiops_cli.services.queries import is_ours

    head = rest.split()[:1]
    return head[0] if head and head[0].startswith("@") and is_ours(head[0][1:]) else ""


def words(line: str, ids: Sequence[str], clusters: Sequence[str]) -> list[str]:
    """What the last word of a prompt's line may become: a view or an action's id first, then keys and
    clusters."""
    if line.rpartition(" ")[2].startswith("@"):
        return [f"@{name}" for name in clusters]
    if " " in line.lstrip():
        return [f"{key}=" for key in KEYS]
    return [*SCREENS, *(a for e in SCREENS.values() for a in e.aliases if len(a) > 2), *ids]


_TABS = ("events", "silences", "ptp", "sriov", "dpdk", "settings", "anomalies", "tail")
