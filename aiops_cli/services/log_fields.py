"""Fields of log lines, read on the client: out of JSON and logfmt, structured metadata and labels.

So they work on any Loki and on bundles. A name is looked for in the line, then in its structured
metadata, then in its labels; `labels.NAME` and `metadata.NAME` name the place, `a.b` goes into JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from aiops_cli.analysis.log_levels import LEVELS, named, said
from aiops_cli.errors import UsageError
from aiops_cli.services.times import rfc3339_ns
from aiops_cli.sources.base import LogRow

_KEYS = ("level", "detected_level", "severity", "lvl", "severity_text", "loglevel", "levelname")
_LOGFMT = re.compile(r'(?:^|(?<=\s))([A-Za-z_@][\w.@/-]*)=("(?:[^"\\]|\\.)*"|[^\s"]*)')


def level_of(row: LogRow) -> str | None:
    """One of LEVELS, None if nothing says it: by its labels and metadata, a field, klog's prefix, a word."""
    _, line, labels, metadata = row
    for source in (metadata, labels):
        for key in _KEYS:
            if (value := source.get(key)) and (level := named(value)):
                return level
    return said(line)


def parse_levels(text: str) -> frozenset[str]:
    """What `--level error,warn` asks for. Raises UsageError for a word that is no level."""
    chosen = set()
    for word in text.split(","):
        if not (level := named(word.strip())):
            raise UsageError(f"--level {word.strip()!r} is no level", hint=f"some of: {', '.join(LEVELS)}")
        chosen.add(level)
    return frozenset(chosen)


def parse_line(line: str) -> dict[str, Any]:
    """The fields of a line: of its JSON object, which text may precede, or of its logfmt pairs."""
    start = line.find("{")
    if start >= 0 and line.rstrip().endswith("}"):
        try:
            found = msgspec.json.decode(line[start:])
        except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError):
            found = None
        if isinstance(found, dict):
            return found
    if "=" not in line:
        return {}
    return {key: _unquoted(value) for key, value in _LOGFMT.findall(line)}


class FieldReader:
    """Reads the chosen fields of rows. A line is parsed once, and only if a field needs it."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)

    def read(self, cluster: str, row: LogRow) -> list[Any]:
        """A value for each name, as JSON has it; None for what the row has not."""
        parsed: dict[str, Any] | None = None
        values: list[Any] = []
        for name in self.names:
            if name in ("cluster", "timestamp", "line", "labels"):
                values.append(_own(name, cluster, row))
                continue
            place, _, rest = name.partition(".")
            if place in ("labels", "metadata") and rest:
                values.append((row[2] if place == "labels" else row[3]).get(rest))
                continue
            if parsed is None:
                parsed = parse_line(row[1])
            value = _inside(parsed, name)
            if value is None:
                value = row[3].get(name, row[2].get(name))
            if value is None and name == "level":
                value = level_of(row)
            values.append(value)
        return values


def as_text(value: Any) -> str | None:
    """A field's value in a table: text as it is, anything else as JSON."""
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def errors_among(rows: Iterable[tuple[str, LogRow]]) -> dict[tuple[str, str], int]:
    """How many lines of a cluster a pipeline stage failed on, by the `__error__` it left."""
    counts: dict[tuple[str, str], int] = {}
    for cluster, row in rows:
        if error := row[2].get("__error__"):
            counts[cluster, error] = counts.get((cluster, error), 0) + 1
    return counts


def _own(name: str, cluster: str, row: LogRow) -> Any:
    if name == "cluster":
        return cluster
    if name == "timestamp":
        return rfc3339_ns(row[0])
    return row[1] if name == "line" else row[2] | row[3]


def _inside(found: Any, name: str) -> Any:
    """The value at a path; a key may itself hold dots, and a number counts into a list."""
    if isinstance(found, list):
        head, _, rest = name.partition(".")
        if not head.isdecimal() or int(head) >= len(found):
            return None
        return _inside(found[int(head)], rest) if rest else found[int(head)]
    if not isinstance(found, dict):
        return None
    if name in found:
        return found[name]
    dot = name.find(".")
    while dot >= 0:
        head, rest = name[:dot], name[dot + 1 :]
        if head in found and (value := _inside(found[head], rest)) is not None:
            return value
        dot = name.find(".", dot + 1)
    return None


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    try:
        return str(msgspec.json.decode(value))
    except msgspec.MsgspecError:
        return value[1:-1]
