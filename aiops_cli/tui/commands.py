"""From a command line of aiops, as `--related` and next steps tell it, to the place that shows the same."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field

from aiops_cli.services.related_commands import quoted
from aiops_cli.tui.place import Place

_VALUED = frozenset(
    ("-c", "-l", "-g", "-n", "--from", "--to", "--since", "--at", "--limit", "--namespace", "--service",
     "--status", "--bundle", "--config", "--kubeconfig", "--type", "--kind", "--node", "-o")
)  # fmt: skip
_TOLD = re.compile(r"\baiops .+")


@dataclass(slots=True)
class _Said:
    """The words of a command: its own, and its options by name."""

    words: list[str] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)


def place_of(command: str, at: str | None = None) -> Place | None:
    """Where the dashboard shows what `aiops …` would print; `at` (RFC 3339) is the moment to look at. None for
    a command that is no screen's, or none of aiops. It may stand at the end of a sentence."""
    found = _TOLD.search(command)
    if found is None:
        return None
    try:
        said = _read(shlex.split(found[0])[1:])
    except ValueError:
        return None
    for words, make in _MADE.items():
        if tuple(said.words[: len(words)]) == words:
            said.words = said.words[len(words) :]
            view, text, args = make(said)
            moment = at or said.options.get("--at") or said.options.get("--to")
            if moment and "trace" not in args:
                args["at"] = moment
            contexts = (said.options["-c"],) if "-c" in said.options else ()
            return Place(view, text, args, contexts)
    return None


def _read(words: list[str]) -> _Said:
    said = _Said()
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            said.words.append(word)
        elif word.startswith("--") and equals:
            said.options[name] = value
        else:
            said.options[word] = next(rest, "") if word in _VALUED else "yes"
    return said


_Made = tuple[str, str, dict[str, str]]


def _spaced(said: _Said) -> dict[str, str]:
    namespace = said.options.get("-n") or said.options.get("--namespace")
    return {"ns": namespace} if namespace else {}


def _query(view: str) -> Callable[[_Said], _Made]:
    return lambda said: (view, " ".join(said.words), _spaced(said))


def _trace(said: _Said) -> _Made:
    return "traces", "", {"trace": said.words[0]} if said.words else {}


def _traces(said: _Said) -> _Made:
    if said.words:
        return "traces", said.words[0], {}
    parts = []
    if service := said.options.get("--service"):
        parts.append(f"resource.service.name = {quoted(service)}")
    if "--error" in said.options or said.options.get("--status") == "error":
        parts.append("status = error")
    return "traces", f"{{ {' && '.join(parts)} }}" if parts else "", {}


def _tab(view: str, tab: str) -> Callable[[_Said], _Made]:
    return lambda said: (view, " ".join(said.words), {"tab": tab, **_spaced(said), **_node(said)})


def _node(said: _Said) -> dict[str, str]:
    return {"node": said.options["--node"]} if "--node" in said.options else {}


_MADE: dict[tuple[str, ...], Callable[[_Said], _Made]] = {
    ("metrics", "range"): _query("metrics"),
    ("metrics", "query"): _query("metrics"),
    ("metrics", "series"): _query("metrics"),
    ("logs", "query"): _query("logs"),
    ("traces", "show"): _trace,
    ("traces", "search"): _traces,
    ("alerts", "history"): lambda said: ("alerts", "", {"tab": "history"}),
    ("alerts",): lambda said: ("alerts", " ".join(said.words[1:]), _spaced(said)),
    ("events",): _tab("cluster", "events"),
    ("gpu",): lambda said: ("gpu", "", _node(said)),
    ("cnf", "ptp"): lambda said: ("cnf", "", {"tab": "ptp", **_node(said)}),
    ("cnf", "sriov"): lambda said: ("cnf", "", {"tab": "sriov", **_node(said)}),
    ("cnf",): lambda said: ("cnf", "", _node(said)),
}
"""By the command's first words, the longer ones first."""
