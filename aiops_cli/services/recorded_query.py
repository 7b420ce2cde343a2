"""The parts of PromQL and LogQL that a recording answers: bare selectors and line filters."""

from __future__ import annotations

import re
from collections.abc import Callable

from aiops_cli.errors import ErrorCode, UsageError
from aiops_cli.services.bundle import not_recorded
from aiops_cli.sources.re2 import compiled

Labels = dict[str, str]
Invalid = tuple[str, ErrorCode]
_PROMQL: Invalid = ("PromQL", ErrorCode.INVALID_PROMQL)
_LOGQL: Invalid = ("LogQL", ErrorCode.INVALID_LOGQL)


def check_syntax(expr: str) -> None:
    """Raises UsageError (INVALID_PROMQL) for what is no PromQL: no server will see it to say so."""
    from aiops_cli.services.promql import parse

    parse(expr)


def normal(expr: str) -> str:
    import promql_parser

    try:
        return promql_parser.parse(expr).prettify()
    except ValueError:
        return " ".join(expr.split())


def selector(expr: str) -> Callable[[Labels], bool] | None:
    """A test of labels for a bare selector such as `up{job="x"}`; None for anything more.

    Raises UsageError (INVALID_PROMQL) for a regex that can't be read.
    """
    import promql_parser

    try:
        parsed = promql_parser.parse(expr)
    except ValueError:
        return None
    if not isinstance(parsed, promql_parser.VectorSelector) or parsed.offset or parsed.at:
        return None
    tests = [(m.name, str(m.op), m.value) for m in parsed.matchers.matchers]
    if parsed.name:
        tests.append(("__name__", "MatchOp.Equal", parsed.name))
    compiled = [_test(n, op, v, _PROMQL) for n, op, v in tests]
    return lambda labels: all(t(labels) for t in compiled)


def _test(name: str, op: str, value: str, invalid: Invalid) -> Callable[[Labels], bool]:
    if op.endswith("NotEqual") or op == "!=":
        return lambda labels: labels.get(name, "") != value
    if op.endswith("Equal") or op == "=":
        return lambda labels: labels.get(name, "") == value
    matches = _regex(value, invalid, re.S).fullmatch
    if op.endswith("NotRe") or op == "!~":
        return lambda labels: not matches(labels.get(name, ""))
    return lambda labels: bool(matches(labels.get(name, "")))


def _regex(value: str, invalid: Invalid, flags: re.RegexFlag = re.NOFLAG) -> re.Pattern[str]:
    """A regex of the query. Raises UsageError for what can't be read here."""
    try:
        return compiled(value, flags)
    except ValueError as error:
        language, code = invalid
        raise UsageError(
            f"invalid {language}: bad regex {value!r}: {error}", hint="fix the regex", code=code
        ) from None


_MATCHER = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|`[^`]*`)\s*(,|$)')
_FILTER = re.compile(r'\s*(\|=|!=|\|~|!~)\s*("(?:[^"\\]|\\.)*"|`[^`]*`)')


def parse_logql(expr: str) -> tuple[Callable[[Labels], bool], list[Callable[[str], bool]]]:
    """A stream selector and line filters. Raises UsageError for other stages and broken syntax."""
    text = expr.strip()
    close = _closing_brace(text)
    if not text.startswith("{") or close < 0:
        raise UsageError(
            f"invalid LogQL: {expr!r} has no {{stream selector}}",
            hint='write {job="api"} |= "error"',
            code=ErrorCode.INVALID_LOGQL,
        )
    inside, rest = text[1:close], text[close + 1 :]
    tests = []
    while inside.strip():
        found = _MATCHER.match(inside)
        if not found:
            raise UsageError(
                f"invalid LogQL: can't read {inside.strip()!r}",
                hint='write {job="api", level=~"error|warn"}',
                code=ErrorCode.INVALID_LOGQL,
            )
        tests.append(_test(found[1], found[2], _unquote(found[3]), _LOGQL))
        inside = inside[found.end() :]
    filters: list[Callable[[str], bool]] = []
    while rest.strip():
        found = _FILTER.match(rest)
        if not found:
            raise not_recorded(
                f"the LogQL stage {rest.strip()!r}", ["stream selectors with the filters |= != |~ !~"]
            )
        filters.append(_line_filter(found[1], _unquote(found[2])))
        rest = rest[found.end() :]
    return (lambda labels: all(t(labels) for t in tests)), filters


def _closing_brace(text: str) -> int:
    quoted: str | None = None
    skip = False
    for i, c in enumerate(text):
        if skip:
            skip = False
        elif quoted:
            if c == "\\" and quoted == '"':
                skip = True
            elif c == quoted:
                quoted = None
        elif c in '"`':
            quoted = c
        elif c == "}":
            return i
    return -1


def _unquote(text: str) -> str:
    if text.startswith("`"):
        return text[1:-1]
    return re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t"}.get(m[1], m[1]), text[1:-1])


def _line_filter(op: str, value: str) -> Callable[[str], bool]:
    if op == "|=":
        return lambda line: value in line
    if op == "!=":
        return lambda line: value not in line
    pattern = _regex(value, _LOGQL)
    if op == "|~":
        return lambda line: bool(pattern.search(line))
    return lambda line: not pattern.search(line)
