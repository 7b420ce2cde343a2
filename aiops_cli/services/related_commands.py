"""Command lines that show what `--related` found: complete, quoted for a shell, and nothing but reading."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aiops_cli.models.timerange import TimeRange
from aiops_cli.services.times import rfc3339


@dataclass(frozen=True, slots=True)
class Commands:
    """How a person would ask one cluster again. `given` are the shared options of this run that say where
    answers come from, such as `--bundle FILE`."""

    cluster: str
    window: TimeRange
    given: Sequence[str] = ()

    def timed(self, *words: str) -> str:
        """`aiops WORDS` for the window."""
        start, end = math.floor(self.window.start), math.ceil(self.window.end)
        return self.plain(*words, "--from", second(start), "--to", second(end))

    def plain(self, *words: str) -> str:
        """`aiops WORDS`, whatever the time."""
        return shlex.join(["aiops", *words, "-c", _exact(self.cluster), *self.given])


def second(at: float) -> str:
    """RFC 3339 to the second."""
    return rfc3339(at)[:19] + "Z"


def option(name: str, value: str) -> str:
    """An option with its value in one word, so that no value is taken for another option."""
    return f"{name}={value}"


def quoted(text: str) -> str:
    """A string of PromQL, LogQL or TraceQL."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def matcher(label: str, value: str) -> str:
    return f"{label}={quoted(value)}"


def one_of(label: str, patterns: Iterable[str]) -> str:
    """A matcher of any of these regular expressions."""
    return f"{label}=~{quoted('|'.join(patterns))}"


def selector(name: str, matchers: Iterable[str]) -> str:
    """`name{a="b",c="d"}`; the name may be empty."""
    return f"{name}{{{','.join(matchers)}}}"


def _exact(cluster: str) -> str:
    """`-c` takes globs: a name with their characters has to say that it means itself."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in cluster)
