"""The part of LogQL that pod logs can answer: which containers, and which of their lines.

Stream selectors over `namespace`, `pod`, `container` and `app`, and the line filters |= != |~ !~.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn

from aiops_cli.errors import ErrorCode, UsageError
from aiops_cli.sources.re2 import compiled

LABELS = ("app", "container", "namespace", "pod")
_ALIASES = {
    "kubernetes_namespace_name": "namespace",
    "kubernetes_pod_name": "pod",
    "kubernetes_container_name": "container",
    "k8s_namespace_name": "namespace",
    "k8s_pod_name": "pod",
    "k8s_container_name": "container",
}
_TEXT = r'("(?:[^"\\]|\\.)*"|`[^`]*`)'
_MATCHER = re.compile(rf"\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*{_TEXT}\s*(,|(?=\}}))")
_END = re.compile(r"\s*\}")
_FILTER = re.compile(rf"\s*(\|=|!=|\|~|!~)\s*{_TEXT}")


@dataclass(slots=True)
class PodQuery:
    """What to read: tests of labels, and of lines. `exact` has the values that `=` demands."""

    exact: dict[str, str] = field(default_factory=dict)
    _labels: list[tuple[str, Callable[[str], bool]]] = field(default_factory=list)
    _lines: list[Callable[[str], bool]] = field(default_factory=list)

    @property
    def filters(self) -> bool:
        """Whether lines may be left out."""
        return bool(self._lines)

    def selects(self, labels: dict[str, str]) -> bool:
        return all(test(labels.get(name, "")) for name, test in self._labels)

    def shows(self, line: str) -> bool:
        return all(test(line) for test in self._lines)


def parse(expr: str) -> PodQuery:
    """Raises UsageError (INVALID_LOGQL) for other labels, other stages, and what is no LogQL."""
    query = PodQuery()
    text = expr.strip()
    if not text.startswith("{"):
        _refuse("it has no stream selector in braces", expr)
    at = 1
    while not (end := _END.match(text, at)):
        found = _MATCHER.match(text, at)
        if not found:
            _refuse(f"its selector can't be read at {text[at : at + 30].strip()!r}", expr)
        name = _ALIASES.get(found[1], found[1])
        if name not in LABELS:
            _refuse(f"pod logs know namespace, pod, container and app, but no {found[1]!r}", expr)
        value = _unquoted(found[3], expr)
        if found[2] == "=":
            query.exact[name] = value
        query._labels.append((name, _test(found[2], value, expr, whole=True)))
        at = found.end()
    if not query._labels:
        _refuse("its selector is empty", expr)
    at = end.end()
    while at < len(text):
        found = _FILTER.match(text, at)
        if not found:
            _refuse(f"pod logs take the filters |= != |~ !~ only, not {text[at : at + 30].strip()!r}", expr)
        query._lines.append(_test(found[1], _unquoted(found[2], expr), expr, whole=False))
        at = found.end()
    return query


def _test(op: str, value: str, expr: str, *, whole: bool) -> Callable[[str], bool]:
    if op == "|=":
        return lambda text: value in text
    if op == "=":
        return lambda text: text == value
    if op == "!=":
        return (lambda text: text != value) if whole else (lambda text: value not in text)
    try:
        pattern = compiled(value, re.S if whole else re.NOFLAG)
    except ValueError as error:
        _refuse(f"bad regex {value!r}: {error}", expr)
    matches = pattern.fullmatch if whole else pattern.search
    if op in ("=~", "|~"):
        return lambda text: matches(text) is not None
    return lambda text: matches(text) is None


def _unquoted(text: str, expr: str) -> str:
    """A Go string: raw between backquotes; between quotes JSON's escapes are those in use."""
    if text[0] == "`":
        return text[1:-1]
    try:
        value: str = json.loads(text, strict=False)
    except ValueError:
        _refuse(f"the string {text} has an unknown escape (a backslash is written \\\\)", expr)
    return value


def _refuse(why: str, expr: str) -> NoReturn:
    raise UsageError(
        f"without a Loki this query can't be answered: {why}", hint=expr, code=ErrorCode.INVALID_LOGQL
    )
