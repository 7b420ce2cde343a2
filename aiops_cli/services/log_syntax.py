"""What can be said of LogQL without a server: is it whole, does it count or show lines, what it selects.

Only what no LogQL can be is refused: servers know functions and stages that this does not.
"""

from __future__ import annotations

from collections.abc import Iterator

from aiops_cli.errors import ErrorCode, UsageError
from aiops_cli.sources.loki import invalid_logql

_CLOSING = {")": "(", "]": "[", "}": "{"}
EXAMPLE = 'aiops logs query \'{namespace="shop"} |= "error"\''


def check_logql(expr: str) -> None:
    """Raises UsageError (INVALID_LOGQL), with a caret, for quotes and brackets that don't close, and for
    what has no stream selector."""
    if not expr.strip():
        raise UsageError("the LogQL query is empty", hint=EXAMPLE, code=ErrorCode.INVALID_LOGQL)
    opened: list[tuple[str, int]] = []
    selects = False
    for at, c in _code(expr):
        if c in "([{":
            opened.append((c, at))
            selects |= c == "{"
        elif c in _CLOSING:
            if not opened or opened[-1][0] != _CLOSING[c]:
                raise _at(expr, at, f"unexpected {c!r}")
            opened.pop()
    if opened:
        raise _at(expr, opened[-1][1], f"{opened[-1][0]!r} is never closed")
    if not selects and not expr.lstrip(" (").startswith("vector"):
        raise UsageError(
            "LogQL needs a stream selector in braces", hint=EXAMPLE, code=ErrorCode.INVALID_LOGQL
        )


def is_metric(expr: str) -> bool:
    """Whether a query gives numbers, not lines: lines start with the selector, numbers with a function."""
    first = next((c for _, c in _code(expr) if not c.isspace() and c != "("), "{")
    return first != "{"


def selector_of(expr: str) -> str:
    """The first stream selector of a query that was checked, with its braces."""
    start = next(at for at, c in _code(expr) if c == "{")
    end = next(at for at, c in _code(expr) if c == "}" and at > start)
    return expr[start : end + 1]


def has_stages(expr: str) -> bool:
    """Whether anything comes after the selector that may change labels: a parser, a format."""
    code = "".join(c for at, c in _code(expr) if at > expr.find("}"))
    return any(part.strip() and part.strip()[0] not in "=~" for part in code.split("|")[1:])


def quoted(text: str) -> str:
    """A LogQL string of this very text (Go's syntax of strings)."""
    import json

    return json.dumps(text, ensure_ascii=False)


def selector(labels: dict[str, str]) -> str:
    """The stream selector of exactly these labels."""
    return "{" + ", ".join(f"{k}={quoted(v)}" for k, v in sorted(labels.items())) + "}"


def _code(expr: str) -> Iterator[tuple[int, str]]:
    """The characters that are neither in quotes nor in comments, with their places.

    Raises UsageError (INVALID_LOGQL) for a quote that is never closed.
    """
    at = 0
    while at < len(expr):
        c = expr[at]
        if c in '"`':
            end = _quote_end(expr, at)
            if end < 0:
                raise _at(expr, at, "this quote is never closed")
            at = end
        elif c == "#":
            at = expr.find("\n", at)
            if at < 0:
                return
        else:
            yield at, c
        at += 1


def _quote_end(expr: str, start: int) -> int:
    """Where the quote that opens at `start` closes; -1 if it does not."""
    if expr[start] == "`":
        return expr.find("`", start + 1)
    at = start + 1
    while at < len(expr) and expr[at] != '"':
        at += 2 if expr[at] == "\\" else 1
    return at if at < len(expr) else -1


def _at(expr: str, at: int, message: str) -> UsageError:
    line = expr.count("\n", 0, at) + 1
    column = at - (expr.rfind("\n", 0, at) + 1) + 1
    return invalid_logql(expr, f"parse error at line {line}, col {column}: {message}")
