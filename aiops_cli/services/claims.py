"""What a PromQL expression claims, and the queries that show whether the claim holds.

A comparison in PromQL is a filter: `up == 1` gives the targets that are up and is silent about the
others. As an assertion it says that *every* series of its left-hand side passes, so the series that
went in have to be known too. The split is lexical and keeps the user's text as it is: comparisons bind
weaker than arithmetic and stronger than `and`, `unless` and `or`, and are left-associative
(https://prometheus.io/docs/prometheus/latest/querying/operators/#binary-operator-precedence).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from aiops_cli.errors import ErrorCode, UsageError
from aiops_cli.services.promql import check_promql

Op = Literal["==", "!=", "<", "<=", ">", ">="]
OPS: tuple[Op, ...] = ("==", "!=", "<", "<=", ">", ">=")
_FLIPPED: dict[Op, Op] = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_SET_OPERATORS = frozenset({"and", "or", "unless"})

_TOKEN = re.compile(
    r"""(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)
    |(?P<comment>\#[^\n]*)
    |(?P<open>[({\[])|(?P<close>[)}\]])
    |(?P<comparison>==|!=|<=|>=|<|>)
    |(?P<number>\d[\w.]*)
    |(?P<word>[A-Za-z_:][\w:.]*)""",
    re.X | re.S,
)
_MATCHING = re.compile(r"\s*(on|ignoring)\s*\(([^)]*)\)", re.I)
_GROUPING = re.compile(r"\s*(group_left|group_right)\b\s*(?:\(([^)]*)\))?", re.I)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|inf|nan)", re.I)


@dataclass(frozen=True, slots=True)
class Claim:
    """How an expression is judged; `series` is the query for the series that have to pass.

    - `values`: it compares nothing. Each value has to be a number other than 0.
    - `conditions`: each value of `series` has to satisfy every (operator, number) of `conditions`.
    - `survivors`: `violators` is a query for the series of `series` that the expression filters out.
    """

    kind: Literal["values", "conditions", "survivors"]
    expr: str
    series: str
    conditions: tuple[tuple[Op, float], ...] = ()
    violators: str = ""


def claim_of(expr: str, op: Op | None = None, threshold: float | None = None) -> Claim:
    """The claim of `expr`, or of `expr op threshold`. Raises UsageError (INVALID_PROMQL)."""
    check_promql(expr)
    if op is not None and threshold is not None:
        return Claim("conditions", f"{expr} {op} {threshold:g}", expr, ((op, threshold),))
    text = _stripped(_without_comments(expr))
    base, conditions = _chain(text)
    if conditions:
        return Claim("conditions", expr, base, tuple(conditions))
    candidates = _candidates(text)
    if candidates is None:
        return Claim("values", expr, expr)
    series, matching = candidates
    clause = f"{matching} " if matching else ""
    return Claim("survivors", expr, series, violators=f"({series}) unless {clause}({text})")


@dataclass(frozen=True, slots=True)
class _Comparison:
    """A filtering comparison. `matching` and `grouping` are (keyword, labels) of its modifiers."""

    left: str
    op: Op
    right: str
    matching: tuple[str, str] | None
    grouping: tuple[str, str] | None


def _chain(text: str) -> tuple[str, list[tuple[Op, float]]]:
    """`x > 1 < 5` to (`x`, [> 1, < 5]); without conditions if not all of it is that simple.

    An operand in parentheses is no part of the chain: it says which series are meant.
    """
    split = _comparison(text)
    if split is None or split.matching or split.grouping:
        return text, []
    left, right = _number(split.left), _number(split.right)
    if left is not None and right is None:
        inner, condition = split.right, (_FLIPPED[split.op], left)
    elif right is not None and left is None:
        inner, condition = split.left, (split.op, right)
    else:
        return text, []
    base, before = _chain(inner)
    if not before and _comparison(inner) is not None:
        return text, []
    return base, [*before, condition]


def _candidates(text: str) -> tuple[str, str] | None:
    """The series that a filter starts from, and the `on (…)` or `ignoring (…)` with which a survivor is
    known to be one of them; None if nothing is filtered by a comparison."""
    first = next((t for t in _top_level(text) if t.group().lower() in _SET_OPERATORS), None)
    if first is not None:
        return _candidates(_stripped(text[: first.start()]))
    split = _comparison(text)
    if split is None:
        return None
    if split.grouping is not None:
        side = split.right if split.grouping[0] == "group_right" else split.left
        included = split.grouping[1].strip()
        matching = f"ignoring ({included})" if included else ""
    else:
        side = split.right if _is_scalar(split.left) else split.left
        matching = f"{split.matching[0]} ({split.matching[1]})" if split.matching else ""
    deeper = _candidates(side)
    if deeper is None:
        return side.strip(), matching
    if deeper[1] and matching and deeper[1] != matching:
        raise UsageError(
            f"can't tell which series have to pass: {text}",
            hint="its comparisons match by different labels: write one check for each",
            code=ErrorCode.INVALID_PROMQL,
        )
    return deeper[0], matching or deeper[1]


def _comparison(text: str) -> _Comparison | None:
    """The comparison that an expression is at its top, unless it is one with `bool`."""
    operators = []
    for token in _top_level(text):
        if token.lastgroup == "comparison":
            operators.append(token)
        elif token.group().lower() in _SET_OPERATORS:
            return None
    if not operators:
        return None
    last = operators[-1]
    rest = text[last.end() :]
    if re.match(r"\s*bool\b", rest, re.I):
        return None
    matching, grouping = None, None
    if found := _MATCHING.match(rest):
        matching, rest = (found[1].lower(), found[2].strip()), rest[found.end() :]
        if found := _GROUPING.match(rest):
            grouping, rest = (found[1].lower(), found[2] or ""), rest[found.end() :]
    op = next(o for o in OPS if o == last.group())
    return _Comparison(text[: last.start()].strip(), op, rest.strip(), matching, grouping)


def _top_level(text: str) -> Iterator[re.Match[str]]:
    """The tokens outside of all brackets, strings left out."""
    depth = 0
    for token in _TOKEN.finditer(text):
        if token.lastgroup == "open":
            depth += 1
        elif token.lastgroup == "close":
            depth -= 1
        elif depth == 0 and token.lastgroup in ("comparison", "word"):
            yield token


def _without_comments(text: str) -> str:
    return _TOKEN.sub(lambda t: "" if t.lastgroup == "comment" else t.group(), text)


def _stripped(text: str) -> str:
    """Without the parentheses around the whole."""
    text = text.strip()
    while text.startswith("("):
        depth = 0
        for token in _TOKEN.finditer(text):
            depth += (token.lastgroup == "open") - (token.lastgroup == "close")
            if depth == 0:
                if token.end() < len(text):
                    return text
                break
        text = text[1:-1].strip()
    return text


def _number(text: str) -> float | None:
    text = _stripped(text)
    return float(text) if _NUMBER.fullmatch(text) else None


def _is_scalar(text: str) -> bool:
    """Whether one side is a scalar; what the parser does not know is taken for a vector."""
    import promql_parser

    def scalar(node: object) -> bool:
        if isinstance(node, promql_parser.ParenExpr | promql_parser.UnaryExpr):
            return scalar(node.expr)
        if isinstance(node, promql_parser.BinaryExpr):
            return scalar(node.lhs) and scalar(node.rhs)
        if isinstance(node, promql_parser.Call):
            return node.func.name in ("scalar", "time", "pi")
        return isinstance(node, promql_parser.NumberLiteral)

    try:
        return scalar(promql_parser.parse(text))
    except ValueError:
        return False
