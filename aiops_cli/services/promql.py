"""PromQL parsed here before it is sent, with a caret where the parser's message lets us find the place."""

from __future__ import annotations

import re
from collections.abc import Callable

from aiops_cli.errors import ErrorCode, UsageError
from aiops_cli.sources.prometheus import invalid_promql

# What the parser is not sure of: newer servers know functions, their arguments and syntax that it does
# not, and VictoriaMetrics takes `rate(up)`, of a range that it chooses itself.
_DOUBTFUL = re.compile(
    r"unknown function|invalid promql query|expected .* argument\(s\) in call to"
    r"|expected type matrix in call to .*, got vector|expected type vector in call to .*, got scalar"
)


def check_promql(expr: str) -> None:
    """Parse locally, so that a typo costs no round trip to a hundred clusters.

    Only what the parser is sure of is refused. Raises UsageError (INVALID_PROMQL).
    """
    if not expr.strip():
        raise UsageError(
            "the PromQL expression is empty", hint="aiops metrics query 'up'", code=ErrorCode.INVALID_PROMQL
        )
    parse(expr, doubtful=True)


def parse(expr: str, *, doubtful: bool = False) -> None:
    """Raises UsageError (INVALID_PROMQL) for what is no PromQL, unless it is only doubtful, if that is
    allowed."""
    import promql_parser

    try:
        promql_parser.parse(expr)
    except ValueError as error:
        text = str(error)
        if doubtful and _DOUBTFUL.search(text):
            return
        raise with_caret(expr, text) from None


def with_caret(expr: str, text: str) -> UsageError:
    """The parser gives no position: its message says what to look for."""
    at = _place(expr, text)
    if at is None:
        return invalid_promql(expr, text)
    line = expr.count("\n", 0, at) + 1
    column = at - (expr.rfind("\n", 0, at) + 1) + 1
    return invalid_promql(expr, f"{line}:{column}: {text}")


def fault(expr: str) -> tuple[str, int | None] | None:
    """What is surely wrong with an expression, as one types it, and where (an index of `expr`, None where the
    parser's message does not tell). None for one that may be run."""
    import promql_parser

    try:
        promql_parser.parse(expr)
    except ValueError as error:
        text = str(error)
        if not _DOUBTFUL.search(text):
            return invalid_promql(expr, text).message, _place(expr, text)
    return None


def _place(expr: str, text: str) -> int | None:
    """Where the parser's message `text` points to."""
    for pattern, place in _PLACES:
        if found := re.match(pattern, text, re.S):
            at = place(expr, found[1] if found.groups() else "")
            return at if at >= 0 else None
    return None


def _bare(expr: str) -> str:
    """The expression with blanks in place of what is quoted, so that places stay the same."""
    quoted = r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`'
    return re.sub(quoted, lambda m: " " * len(m[0]), expr)


def _unclosed(expr: str, _: str) -> int:
    depth: list[int] = []
    for i, c in enumerate(_bare(expr)):
        if c == "(":
            depth.append(i)
        elif c == ")" and depth:
            depth.pop()
    return depth[-1] if depth else -1


def _first_closing(opening: str, closing: str) -> Callable[[str, str], int]:
    """The first bracket that closes none."""

    def place(expr: str, _: str) -> int:
        depth = 0
        for i, c in enumerate(_bare(expr)):
            depth += (c == opening) - (c == closing)
            if depth < 0:
                return i
        return -1

    return place


def _inside(opening: str) -> Callable[[str, str], int]:
    """A character or word after the last such bracket."""
    return lambda expr, what: _bare(expr).find(what, _bare(expr).rfind(opening) + 1)


def _called(expr: str, name: str) -> int:
    """The first call of a function."""
    found = re.search(rf"\b{re.escape(name)}\s*\(", expr)
    return found.start() if found else -1


def _end(expr: str, _: str) -> int:
    return len(expr.rstrip())


_PLACES: tuple[tuple[str, Callable[[str, str], int]], ...] = (
    (r"unclosed left parenthesis", _unclosed),
    (r"unexpected right parenthesis", _first_closing("(", ")")),
    (r"unexpected right brace", _first_closing("{", "}")),
    (r"unexpected right bracket", _first_closing("[", "]")),
    (r"unexpected end of input", _end),
    (r"unexpected character inside brackets: '(.)'", _inside("[")),
    (r"missing unit character in duration", lambda expr, _: _bare(expr).find("]")),
    (r"unexpected character inside braces: '(.)'", _inside("{")),
    (r"unexpected identifier '([^']+)' in label matching", _inside("{")),
    (r"unexpected character: '(.)'", lambda expr, what: _bare(expr).find(what)),
    (r"unterminated quoted string (.)", lambda expr, quote: _bare(expr).rfind(quote)),
    (r"illegal regex for (.+)", lambda expr, regex: expr.find(regex)),
    (r"(?:no arguments|wrong number of arguments) for aggregate expression(?: '(\w+)')?",
     lambda expr, name: expr.find(name) if name else -1),
    (r"expected type \w+ in call to function '(\w+)'",
     lambda expr, name: _called(_bare(expr), name)),
    (r"set operator '(\w+)' not allowed", lambda expr, name: _bare(expr).find(name)),
)  # fmt: skip
