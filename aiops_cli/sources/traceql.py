"""TraceQL built from plain filters, so that one language says what is searched for on every store."""

from __future__ import annotations

import json
import re

from aiops_cli.errors import UsageError
from aiops_cli.sources.base import TraceQuery

_TRACE_ID = re.compile(r"[0-9a-fA-F]{1,32}")
_HINTS = re.compile(r"\s+with\s*\([^()]*\)\s*$")
_PIPE = re.compile(r"""\"(?:[^"\\]|\\.)*\"|`[^`]*`|\|\||\|""")
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_PLAIN_KEY = re.compile(r"[\w.:/-]+")


def build(query: TraceQuery) -> str:
    """The TraceQL of a query: one span must meet all plain filters; durations are the span's own.

    Given TraceQL and filters, a trace must hold a match of each. A service may have `*` and `?`.
    """
    conditions = []
    if query.service:
        conditions.append(_match("resource.service.name", query.service))
    if query.operation:
        conditions.append(_match("name", query.operation))
    if query.min_ms is not None:
        conditions.append(f"duration >= {round(query.min_ms * 1000)}us")
    if query.max_ms is not None:
        conditions.append(f"duration <= {round(query.max_ms * 1000)}us")
    if query.errors or query.status:
        conditions.append(f"status = {query.status or 'error'}")
    conditions += [_tag(key, value) for key, value in query.tags.items()]
    filters = f"{{ {' && '.join(conditions)} }}" if conditions else ""
    if not query.traceql:
        return filters or "{ }"
    given = _TEXT.sub(lambda text: _shielded(text[0]), query.traceql)
    return _and(given, filters) if filters else given


def lasting(expr: str, least_ms: float | None) -> str:
    """A query narrowed to traces that take at least so many milliseconds from first to last."""
    if least_ms is None:
        return expr
    return _and(expr, f"{{ traceDuration >= {round(least_ms * 1000)}us }}")


def has_hints(expr: str) -> bool:
    return _HINTS.search(expr) is not None


def _and(expr: str, filters: str) -> str:
    """Both must match somewhere in a trace. What is piped on stays behind, and hints at the end."""
    hints = _HINTS.search(expr)
    given = expr[: hints.start()] if hints else expr
    spanset, pipe = _before_pipe(given)
    return f"({spanset.strip()}) && ({filters}){pipe.rstrip()}{hints[0].rstrip() if hints else ''}"


def _before_pipe(expr: str) -> tuple[str, str]:
    """A query's span sets, and what it is piped into (` | count() > 2`)."""
    for found in _PIPE.finditer(expr):
        if found[0] == "|":
            return expr[: found.start()], f" {expr[found.start() :]}"
    return expr, ""


def quote(text: str) -> str:
    """A TraceQL string. `%` and `+` are escaped: gateways with query RBAC unescape a query twice."""
    return _shielded(json.dumps(text, ensure_ascii=False))


def _shielded(quoted: str) -> str:
    return quoted.replace("%", "\\u0025").replace("+", "\\u002b")


def glob_to_regex(glob: str) -> str:
    """The regular expression of `*` and `?`; every other character stands for itself."""
    return "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in glob)


def is_glob(text: str) -> bool:
    return "*" in text or "?" in text


def _match(attribute: str, text: str) -> str:
    if is_glob(text):
        return f"{attribute} =~ {quote(glob_to_regex(text))}"
    return f"{attribute} = {quote(text)}"


def _tag(key: str, value: str) -> str:
    """A tag on span or resource; a value that looks typed is tried as text and as what it looks like."""
    scope, dot, name = key.partition(".")
    scope = scope if dot and scope in ("span", "resource") else ""
    name = name if scope else key
    attribute = f"{scope}.{name if _PLAIN_KEY.fullmatch(name) else json.dumps(name, ensure_ascii=False)}"
    as_text = f"{attribute} = {quote(value)}"
    if re.fullmatch(r"-?\d+(\.\d+)?|true|false", value):
        return f"({as_text} || {attribute} = {value})"
    return as_text


def valid_trace_id(text: str) -> str:
    """A trace id as lower-case hex of 32 digits. Raises UsageError if it is none."""
    if not _TRACE_ID.fullmatch(text):
        raise UsageError(
            f"{text!r} is no trace id",
            hint="a trace id has up to 32 hexadecimal digits, as shown by a search",
        )
    return text.lower().zfill(32)
