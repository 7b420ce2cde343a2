"""What Jaeger's search can be asked of a TraceQL query: one service, one operation, tags, durations.

A server's answer to it holds every trace that the query can match, and maybe more: what is beyond
Jaeger's search is checked on the spans that come.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from aiops_cli.sources.re2 import compiled
from aiops_cli.sources.traceql_parse import (
    SERVICE,
    Compare,
    Condition,
    Filter,
    Joined,
    Literal,
    Query,
    Spanset,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What one span must be, all at once. Durations in microseconds, both ends included. `service` and
    `operation` are regular expressions; `whole` says that nothing of the query is left to check."""

    service: str | None = None
    operation: str | None = None
    min_us: int | None = None
    max_us: int | None = None
    tags: dict[str, str] = field(default_factory=dict)
    whole: bool = True

    @property
    def exact(self) -> bool:
        """Whether Jaeger's answer is the query's. It looks for tags in events too, so those are checked."""
        return self.whole and not self.tags.keys() - {"error", "otel.status_code", "span.kind"}

    @property
    def weight(self) -> int:
        given = (self.operation, self.min_us, self.max_us)
        return 10 * (self.service is not None) + sum(g is not None for g in given) + len(self.tags)


def asked(query: Query) -> list[Asked]:
    """What to ask for: every match of the query meets one of these."""
    found = _of(query.spanset)
    return [replace(a, whole=False) for a in found] if query.filters else found


def names(pattern: str | None, known: list[str]) -> list[str]:
    """The names of those known that a regular expression matches whole; all if there is none."""
    if pattern is None:
        return known
    matches = compiled(pattern, re.S).fullmatch
    return [n for n in known if matches(n)]


def plain(pattern: str | None) -> str | None:
    """The name that an expression made by `re.escape` stands for; None if it is more than a name."""
    if pattern is None:
        return None
    text = re.sub(r"\\(.)", r"\1", pattern, flags=re.S)
    return text if re.escape(text) == pattern else None


def _of(spanset: Spanset) -> list[Asked]:
    if isinstance(spanset, Filter):
        return [_narrowed(Asked(), spanset.condition) if spanset.condition else Asked()]
    left, right = _of(spanset.left), _of(spanset.right)
    if spanset.sign == "||":
        return [*left, *right]
    # Both sides must match somewhere in the trace: it is enough to ask for the more telling one.
    best = max(left, right, key=lambda side: min(a.weight for a in side))
    return [replace(a, whole=False) for a in best]


def _narrowed(so_far: Asked, condition: Condition) -> Asked:
    if isinstance(condition, Joined) and condition.sign == "&&":
        return _narrowed(_narrowed(so_far, condition.left), condition.right)
    narrower = None
    if isinstance(condition, Compare):
        narrower = _compared(so_far, condition)
    elif isinstance(condition, Joined) and (same := _one_text(condition)) is not None:
        narrower = _compared(so_far, same)
    return replace(so_far, whole=False) if narrower is None else narrower


def _one_text(either: Joined) -> Compare | None:
    """`.a = "1" || .a = 1`: to Jaeger, which compares texts, one condition."""
    left, right = either.left, either.right
    if isinstance(left, Compare) and isinstance(right, Compare) and left.field == right.field:
        text = _tag_text(left.value.value)
        if (
            (left.sign, right.sign) == ("=", "=")
            and text is not None
            and text == _tag_text(right.value.value)
        ):
            return Compare(left.field, "=", Literal("text", text))
    return None


def _compared(so_far: Asked, c: Compare) -> Asked | None:
    """With this condition too; None where Jaeger can't be asked for it."""
    value = c.value.value
    if c.field.name == SERVICE and c.field.scope in ("resource", "any"):
        pattern = _pattern(c)
        known = pattern is not None and so_far.service is None
        return replace(so_far, service=pattern) if known else None
    if c.field.scope in ("span", "resource", "any"):
        text = _tag_text(value)
        taken = c.field.name in so_far.tags
        if c.sign != "=" or text is None or taken:
            return None
        # A tag is looked for on span and resource alike, whatever its scope, and by its text.
        exact = c.field.scope == "any" and c.value.kind == "text"
        return replace(so_far, tags=so_far.tags | {c.field.name: text}, whole=so_far.whole and exact)
    if c.field.scope:
        return None
    match c.field.name:
        case "name" if so_far.operation is None and (pattern := _pattern(c)) is not None:
            return replace(so_far, operation=pattern)
        case "duration" if c.value.kind == "duration" and isinstance(value, int):
            return _lasting(so_far, c.sign, value)
        case "status" if c.sign == "=" and value == "error":
            return replace(so_far, tags=so_far.tags | {"error": "true"})
        case "status" if c.sign == "=" and value == "ok":
            return replace(so_far, tags=so_far.tags | {"otel.status_code": "OK"})
        case "kind" if c.sign == "=" and value != "unspecified":
            return replace(so_far, tags=so_far.tags | {"span.kind": str(value)})
    return None


def _pattern(c: Compare) -> str | None:
    if c.value.kind != "text" or c.sign not in ("=", "=~"):
        return None
    return re.escape(str(c.value.value)) if c.sign == "=" else str(c.value.value)


def _tag_text(value: str | int | float | bool | None) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int) else None


def _lasting(so_far: Asked, sign: str, ns: int) -> Asked | None:
    """Jaeger keeps microseconds: the bound is widened to whole ones, and the rest is checked."""
    low, high = ns // 1000, -(-ns // 1000)
    exact = so_far.whole and not ns % 1000 and sign in (">=", "<=", "=")
    found = so_far
    if sign in (">", ">=", "="):
        found = replace(found, min_us=max(low, so_far.min_us or 0))
    if sign in ("<", "<=", "="):
        found = replace(found, max_us=high if so_far.max_us is None else min(high, so_far.max_us))
    return None if found is so_far else replace(found, whole=exact)
