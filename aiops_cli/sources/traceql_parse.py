"""TraceQL read into a tree: what a store without TraceQL can be asked, and checked, by hand.

Read are span filters with all comparisons, their combination (`&&`, `||`, and the structural `>`, `>>`,
`<`, `<<`, `~`), scalar filters (`| count() > 2`), `select`, and metrics functions. As in Tempo's grammar
`&&` and `||` bind equally, from left to right. What is left out (arithmetic, `by`, negated structure) is
refused by name.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from aiops_cli.errors import ErrorCode, UsageError
from aiops_cli.sources.re2 import compiled

_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}  # fmt: skip
_DURATION = r"(?:\d+(?:\.\d+)?(?:ns|us|µs|μs|ms|s|m|h))+"
_TOKEN = re.compile(
    rf"""(?:
      (?P<text>"(?:[^"\\]|\\.)*"|`[^`]*`)
    | (?P<duration>-?{_DURATION})(?![\w.])
    | (?P<number>-?\d+(?:\.\d+)?)(?![\w.])
    | (?P<word>[A-Za-z_.](?:[\w.:/-]|"(?:[^"\\]|\\.)*")*)
    | (?P<sign>&&|\|\||=~|!~|!=|>=|<=|>>|<<|!>>|!<<|!>|!<|&>>|&<<|[{{}}()=<>!|~+*/^%,-])
    )\s*""",
    re.X,
)
COMPARISONS = frozenset({"=", "!=", ">", ">=", "<", "<=", "=~", "!~"})
_STRUCTURE = frozenset({">", ">>", "<", "<<", "~"})
_AGGREGATES = frozenset({"count", "avg", "min", "max", "sum"})
_METRICS = {
    "rate": 0,
    "count_over_time": 0,
    "quantile_over_time": 1,
    "min_over_time": 1,
    "max_over_time": 1,
    "avg_over_time": 1,
    "sum_over_time": 1,
}
_WORDS: dict[str, tuple[str, ...]] = {
    "status": ("error", "ok", "unset"),
    "kind": ("unspecified", "internal", "server", "client", "producer", "consumer"),
}
_INTRINSICS = {
    "name": "name",
    "span:name": "name",
    "duration": "duration",
    "span:duration": "duration",
    "status": "status",
    "span:status": "status",
    "statusMessage": "statusMessage",
    "span:statusMessage": "statusMessage",
    "kind": "kind",
    "span:kind": "kind",
    "span:id": "spanId",
    "parent": "parent",
    "span:parentID": "parent",
    "rootName": "rootName",
    "trace:rootName": "rootName",
    "rootServiceName": "rootService",
    "trace:rootService": "rootService",
    "traceDuration": "traceDuration",
    "trace:duration": "traceDuration",
    "trace:id": "traceId",
    "event:name": "eventName",
}
SERVICE = "service.name"


@dataclass(frozen=True, slots=True)
class Field:
    """An intrinsic (`scope` is empty) or an attribute; scope `any` looks at the span, then its resource."""

    scope: str
    name: str
    written: str


@dataclass(frozen=True, slots=True)
class Literal:
    """A value. `kind` is text, number, duration (nanoseconds), bool, nil, status or kind."""

    kind: str
    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Compare:
    field: Field
    sign: str
    value: Literal


@dataclass(frozen=True, slots=True)
class Joined:
    """Two conditions with `&&` or `||`."""

    sign: str
    left: Condition
    right: Condition


@dataclass(frozen=True, slots=True)
class Negated:
    inner: Condition


Condition = Compare | Joined | Negated


@dataclass(frozen=True, slots=True)
class Filter:
    """`{ … }`: the spans of a trace that meet a condition; None takes all."""

    condition: Condition | None


@dataclass(frozen=True, slots=True)
class Combined:
    """Two span sets with `&&`, `||` or a structural operator."""

    sign: str
    left: Spanset
    right: Spanset


Spanset = Filter | Combined


@dataclass(frozen=True, slots=True)
class Aggregate:
    """`| count() > 2`, `| avg(duration) > 1s`: which traces' span sets are kept."""

    function: str
    field: Field | None
    sign: str
    value: Literal


@dataclass(frozen=True, slots=True)
class Metrics:
    """`| quantile_over_time(duration, .95) by (name)`: a function over time, by fields."""

    function: str
    field: Field | None
    quantiles: tuple[float, ...]
    by: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """A whole query: what is piped on narrows it. `metrics` is None for a search."""

    spanset: Spanset
    filters: tuple[Aggregate | Filter, ...] = ()
    metrics: Metrics | None = None


@dataclass(slots=True)
class _Token:
    kind: str
    text: str
    at: int


def parse(text: str) -> Query:
    """The tree of a query. Raises UsageError (INVALID_TRACEQL) with a caret at what can't be read."""
    return _Parser(text).query()


@dataclass(slots=True)
class _Parser:
    text: str
    tokens: list[_Token] = field(default_factory=list)
    at: int = 0

    def __post_init__(self) -> None:
        place = len(self.text) - len(self.text.lstrip())
        while place < len(self.text):
            found = _TOKEN.match(self.text, place)
            if not found:
                raise _bad(self.text, place, "this character means nothing here")
            kind = str(found.lastgroup)
            self.tokens.append(_Token(kind, found[kind], place))
            place = found.end()
        self.tokens.append(_Token("end", "the end", len(self.text.rstrip())))

    @property
    def next(self) -> _Token:
        return self.tokens[self.at]

    def take(self) -> _Token:
        token = self.tokens[self.at]
        self.at = min(self.at + 1, len(self.tokens) - 1)
        return token

    def met(self, *signs: str) -> str | None:
        """The next sign if it is one of these, which is taken."""
        return self.take().text if self.next.kind == "sign" and self.next.text in signs else None

    def need(self, sign: str) -> None:
        if not self.met(sign):
            raise self.fail(f"expected {sign}, found {self.next.text}")

    def fail(self, why: str, at: int | None = None) -> UsageError:
        return _bad(self.text, self.next.at if at is None else at, why)

    def query(self) -> Query:
        spanset = self.spanset()
        filters: list[Aggregate | Filter] = []
        metrics: Metrics | None = None
        while self.met("|"):
            if metrics:
                raise self.fail("nothing can follow a metrics function here")
            stage = self.stage()
            if isinstance(stage, Metrics):
                metrics = stage
            elif stage is not None:
                filters.append(stage)
        if self.next.kind == "word" and self.next.text == "with":  # hints are the server's business
            self.take()
            self.need("(")
            while not self.met(")"):
                if self.take().kind == "end":
                    raise self.fail("expected )")
        if self.next.kind != "end":
            raise self.fail(f"expected a | or the end, found {self.next.text}")
        return Query(spanset, tuple(filters), metrics)

    def spanset(self) -> Spanset:
        left = self.related()
        while sign := self.met("&&", "||"):
            left = Combined(sign, left, self.related())
        return left

    def related(self) -> Spanset:
        left = self.single()
        while self.next.kind == "sign" and self.next.text in _STRUCTURE:
            left = Combined(self.take().text, left, self.single())
        return left

    def single(self) -> Spanset:
        if self.met("("):
            inner = self.spanset()
            self.need(")")
            return inner
        return self.braces()

    def braces(self) -> Filter:
        if not self.met("{"):
            raise self.fail(f"expected conditions in braces, found {self.next.text}")
        if self.met("}"):
            return Filter(None)
        if self.next.text == "true" and self.tokens[self.at + 1].text == "}":
            self.at += 2
            return Filter(None)
        condition = self.condition()
        self.need("}")
        return Filter(condition)

    def condition(self) -> Condition:
        left = self.term()
        while sign := self.met("&&", "||"):
            left = Joined(sign, left, self.term())
        return left

    def term(self) -> Condition:
        if self.met("!"):
            return Negated(self.term())
        if self.met("("):
            inner = self.condition()
            self.need(")")
            return inner
        name = self.field()
        sign = self.next
        if sign.kind != "sign" or sign.text not in COMPARISONS:
            raise self.fail(f"expected a comparison such as =, found {sign.text}")
        self.take()
        return Compare(name, sign.text, self.literal(name, sign.text))

    def field(self) -> Field:
        token = self.take()
        if token.kind != "word":
            raise self.fail(
                f"expected a field such as name or span.http.method, found {token.text}", token.at
            )
        written = token.text
        if written in _INTRINSICS:
            return Field("", _INTRINSICS[written], written)
        scope, dot, name = written.partition(".")
        if name.startswith('"'):
            name = _unquoted(name)
        if dot and name and scope in ("span", "resource", "event", "link", ""):
            return Field(scope or "any", name, written)
        raise self.fail(
            f"{written} is no field: name, duration, status, kind, span.…, resource.…, event.… or .…",
            token.at,
        )

    def literal(self, of: Field, sign: str) -> Literal:
        token = self.take()
        if sign in ("=~", "!~") and token.kind != "text":
            raise self.fail(f"{sign} wants a regular expression in quotes", token.at)
        if token.kind == "text":
            value = _unquoted(token.text)
            if sign in ("=~", "!~"):
                try:
                    compiled(value)
                except ValueError as error:
                    raise self.fail(f"bad regular expression: {error}", token.at) from None
            return Literal("text", value)
        if token.kind == "duration":
            return Literal("duration", nanoseconds(token.text))
        if token.kind == "number":
            if not of.scope and of.name in ("duration", "traceDuration"):
                raise self.fail(f"{of.written} wants a unit, such as 100ms", token.at)
            return Literal("number", float(token.text) if "." in token.text else int(token.text))
        if token.kind == "word":
            if token.text in ("true", "false"):
                return Literal("bool", token.text == "true")
            if token.text == "nil":
                return Literal("nil", None)
            if not of.scope and of.name in _WORDS:
                if token.text in _WORDS[of.name]:
                    return Literal(of.name, token.text)
                raise self.fail(f"{of.name} is one of {', '.join(_WORDS[of.name])}", token.at)
            raise self.fail(f"{token.text} is no value: text stands in double quotes", token.at)
        raise self.fail(f"expected a value, found {token.text}", token.at)

    def stage(self) -> Aggregate | Filter | Metrics | None:
        if self.next.text == "{":
            return self.braces()
        token = self.take()
        name = token.text
        if token.kind != "word" or name not in {*_AGGREGATES, *_METRICS, "select", "coalesce"}:
            raise self.fail(f"{name} can't be answered here: count, avg, min, max, sum, select, {', '.join(_METRICS)}", token.at)  # fmt: skip
        self.need("(")
        if name in ("select", "coalesce"):
            while not self.met(")"):
                if self.take().kind == "end":
                    raise self.fail("expected )")
            return None
        of = None if name == "count" or _METRICS.get(name) == 0 else self.field()
        quantiles = []
        while self.met(","):
            if name != "quantile_over_time":
                raise self.fail(f"{name} takes no second argument", self.tokens[self.at - 1].at)
            number = self.take()
            try:
                quantiles.append(float(number.text))
            except ValueError:
                raise self.fail("a quantile is a number from 0 to 1", number.at) from None
            if not 0 <= quantiles[-1] <= 1:
                raise self.fail("a quantile is a number from 0 to 1", number.at)
        self.need(")")
        if name in _METRICS:
            if name == "quantile_over_time" and not quantiles:
                raise self.fail("quantile_over_time wants a quantile: quantile_over_time(duration, 0.95)")
            return Metrics(name, of, tuple(quantiles), self.groups())
        sign = self.next
        if sign.kind != "sign" or sign.text not in COMPARISONS - {"=~", "!~"}:
            raise self.fail(f"{name}() wants a comparison, such as {name}() > 2")
        self.take()
        value = self.literal(Field("", name, name), sign.text)
        if value.kind not in ("number", "duration"):
            raise self.fail(f"{name}() is a number or a duration", self.tokens[self.at - 1].at)
        return Aggregate(name, of, sign.text, value)

    def groups(self) -> tuple[Field, ...]:
        if self.next.text != "by":
            return ()
        self.take()
        self.need("(")
        fields = [self.field()]
        while self.met(","):
            fields.append(self.field())
        self.need(")")
        return tuple(fields)


def nanoseconds(text: str) -> int:
    """`1m30s`, `2.5ms`, `-1s` in nanoseconds."""
    parts = re.findall(r"([\d.]+)(ns|us|µs|μs|ms|s|m|h)", text)
    total = sum(round(float(number) * _UNITS[unit]) for number, unit in parts)
    return -total if text.startswith("-") else total


def _unquoted(quoted: str) -> str:
    if quoted.startswith("`"):
        return quoted[1:-1]
    try:
        return str(json.loads(quoted))
    except ValueError:
        return quoted[1:-1]


def _bad(text: str, at: int, why: str) -> UsageError:
    flat = text.replace("\n", " ")
    return UsageError(
        f"TraceQL at column {at + 1}: {why}",
        hint=f"{flat}\n      {' ' * at}^",
        code=ErrorCode.INVALID_TRACEQL,
    )
