"""TraceQL: built from plain filters for Tempo, and its common subset read for servers without it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from aiops_cli.errors import ErrorCode, UsageError
from aiops_cli.sources.base import TraceQuery

_TRACE_ID = re.compile(r"[0-9a-fA-F]{1,32}")
_HINTS = re.compile(r"\s+with\s*\([^()]*\)\s*$")
_PLAIN_KEY = re.compile(r"[\w.:/-]+")
_SERVICE = ("resource.service.name", ".service.name", "service.name")
_KINDS = frozenset({"internal", "server", "client", "producer", "consumer"})
_UNITS = {"ns": 1e-3, "us": 1.0, "µs": 1.0, "μs": 1.0, "ms": 1e3, "s": 1e6, "m": 6e7, "h": 3.6e9}
_DURATION = r"(?:\d+(?:\.\d+)?(?:ns|us|µs|μs|ms|s|m|h))+"
_TOKEN = re.compile(
    rf"""(?:
      (?P<text>"(?:[^"\\]|\\.)*"|`[^`]*`)
    | (?P<duration>{_DURATION})(?![\w.])
    | (?P<number>-?\d+(?:\.\d+)?)(?![\w.])
    | (?P<word>[A-Za-z_.](?:[\w.:/-]|"(?:[^"\\]|\\.)*")*)
    | (?P<sign>&&|\|\||=~|!~|!=|>=|<=|>>|<<|[{{}}()=<>!|~+*/^-])
    )\s*""",
    re.X,
)


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
    if query.errors:
        conditions.append("status = error")
    conditions += [_tag(key, value) for key, value in query.tags.items()]
    filters = f"{{ {' && '.join(conditions)} }}" if conditions else ""
    if not query.traceql:
        return filters or "{ }"
    if not filters:
        return query.traceql
    hints = _HINTS.search(query.traceql)
    given = query.traceql[: hints.start()] if hints else query.traceql
    return f"({given.strip()}) && ({filters}){hints[0].rstrip() if hints else ''}"


def quote(text: str) -> str:
    """A TraceQL string. `%` and `+` are escaped: gateways with query RBAC unescape a query twice."""
    quoted = json.dumps(text, ensure_ascii=False)
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


@dataclass(slots=True)
class Selection:
    """What one span must be: all conditions at once. Durations in microseconds, both ends included."""

    service: str | None = None
    operation: str | None = None
    min_us: int | None = None
    max_us: int | None = None
    tags: dict[str, str] = field(default_factory=dict)

    def at_least(self, us: int) -> None:
        self.min_us = us if self.min_us is None else max(self.min_us, us)

    def at_most(self, us: int) -> None:
        self.max_us = us if self.max_us is None else min(self.max_us, us)


def parse(text: str) -> Selection:
    """`{ a = "x" && b = 1 && duration > 100ms }` to what Jaeger can search for.

    Raises UsageError (INVALID_TRACEQL) that names what is no TraceQL, or what Jaeger has no search for.
    """
    tokens = _tokens(text)
    if not tokens or tokens[0][1] != "{":
        raise _unsupported(text, "only one set of conditions in braces")
    selection = Selection()
    at = 1
    more = tokens[at : at + 1] != [("sign", "}")]
    while more:
        name, sign, value = (tokens[at : at + 3] + [("end", "")] * 3)[:3]
        if name[0] != "word" or sign[0] != "sign" or value[0] not in ("text", "duration", "number", "word"):
            raise _unsupported(text, f'conditions such as name = "x", not {name[1]}{sign[1]}{value[1]}')
        _apply(selection, text, name[1], sign[1], value)
        at += 3
        joint = tokens[at : at + 1]
        more = joint == [("sign", "&&")]
        at += more
        if not more and joint != [("sign", "}")]:
            raise _unsupported(
                text, f"conditions joined by &&, not {joint[0][1] if joint else 'an open brace'}"
            )
    if at + 1 < len(tokens):
        raise _unsupported(text, f"one set of conditions, with nothing behind it such as {tokens[at + 1][1]}")
    return selection


def _apply(selection: Selection, text: str, name: str, sign: str, value: tuple[str, str]) -> None:
    kind, word = value
    if name in ("duration", "span:duration"):
        if kind != "duration":
            raise _unsupported(text, "duration with a unit, such as 100ms")
        us = _microseconds(word)
        if sign in (">", ">=", "="):
            selection.at_least(round(us) + (sign == ">"))
        if sign in ("<", "<=", "="):
            selection.at_most(round(us) - (sign == "<"))
        if sign not in (">", ">=", "<", "<=", "="):
            raise _unsupported(text, f"duration with = < <= > or >=, not {sign}")
        return
    if sign != "=":
        raise _unsupported(text, f"{name} with =, not {sign}")
    plain = _plain(word) if kind == "text" else word
    if name in _SERVICE:
        selection.service = plain
    elif name in ("name", "span:name"):
        selection.operation = plain
    elif name in ("status", "span:status"):
        if word not in ("error", "ok"):
            raise _unsupported(text, "status = error and status = ok")
        selection.tags |= {"error": "true"} if word == "error" else {"otel.status_code": "OK"}
    elif name in ("kind", "span:kind"):
        if word not in _KINDS:
            raise _unsupported(text, f"kind = {', '.join(sorted(_KINDS))}")
        selection.tags["span.kind"] = word
    elif name.startswith(("span.", "resource.", ".")):
        key = name.partition(".")[2]
        selection.tags[_plain(key) if key.startswith('"') else key] = plain
    else:
        raise _unsupported(text, f"service, name, duration, status, kind and tags, not {name}")


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens = []
    stripped = text.rstrip()
    at = len(stripped) - len(stripped.lstrip())
    while at < len(stripped):
        found = _TOKEN.match(stripped, at)
        if not found:
            raise UsageError(
                f"invalid TraceQL at column {at + 1}",
                hint=f"{stripped}\n      {' ' * at}^",
                code=ErrorCode.INVALID_TRACEQL,
            )
        tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
        at = found.end()
    return tokens


def _plain(quoted: str) -> str:
    if quoted.startswith("`"):
        return quoted[1:-1]
    try:
        return str(json.loads(quoted))
    except ValueError:
        return quoted[1:-1]


def _microseconds(text: str) -> float:
    return sum(float(n) * _UNITS[u] for n, u in re.findall(r"([\d.]+)(ns|us|µs|μs|ms|s|m|h)", text))


def _unsupported(text: str, can: str) -> UsageError:
    return UsageError(
        f"Jaeger can't run this TraceQL: it can search by {can}",
        hint=f'try {{ resource.service.name = "x" && duration > 100ms && status = error }}; given: {text}',
        code=ErrorCode.INVALID_TRACEQL,
    )
