"""What can stand where the caret is in PromQL: metrics, functions, labels and their values, as the clusters
know them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from aiops_cli.errors import AiopsError

if TYPE_CHECKING:
    from aiops_cli.models.result import FleetResult
    from aiops_cli.services.session import Session
    from aiops_cli.tui.app import Dashboard

Kind = Literal["query", "metric", "label", "value", "duration"]
_CLUSTERS = 12  # of the fleet that are asked for words
_SHOWN = 50
_WORDS = 20_000  # of one kind that a cluster is asked for

# https://prometheus.io/docs/prometheus/latest/querying/functions/ and operators/#aggregation-operators
_AGGREGATIONS = (
    "sum avg min max count group stddev stdvar topk bottomk count_values quantile limitk limit_ratio"
)
_FUNCTIONS = """
    abs absent absent_over_time acos acosh asin asinh atan atanh avg_over_time ceil changes clamp clamp_max
    clamp_min cos cosh count_over_time day_of_month day_of_week day_of_year days_in_month deg delta deriv
    double_exponential_smoothing exp first_over_time floor histogram_avg histogram_count histogram_fraction
    histogram_quantile histogram_stddev histogram_stdvar histogram_sum holt_winters hour idelta increase info
    irate label_join label_replace last_over_time ln log10 log2 mad_over_time max_over_time min_over_time minute
    month pi predict_linear present_over_time quantile_over_time rad rate resets round scalar sgn sin sinh sort
    sort_by_label sort_by_label_desc sort_desc sqrt stddev_over_time stdvar_over_time sum_over_time tan tanh time
    timestamp ts_of_first_over_time ts_of_last_over_time ts_of_max_over_time ts_of_min_over_time vector year"""
_KEYWORDS = "by without on ignoring group_left group_right offset bool and or unless atan2"
_GRAMMAR = (
    *((w, "aggregation", w) for w in _AGGREGATIONS.split()),
    *((w, "function", f"{w}(") for w in _FUNCTIONS.split()),
    *((w, "keyword", w) for w in _KEYWORDS.split()),
)
CALLED = frozenset((_AGGREGATIONS + _FUNCTIONS).split())
KEYWORDS = frozenset(_KEYWORDS.split())
_DURATIONS = ("1m", "5m", "10m", "15m", "30m", "1h", "6h", "1d")
_LABELLED = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\($", re.I)
_OPEN_VALUE = re.compile(r"([A-Za-z_][\w.]*)\s*(=~|!~|!=|=)\s*$")
_MATCHER = re.compile(r"[A-Za-z_][\w.]*\s*(?:=~|!~|!=|=)\s*\"(?:[^\"\\]|\\.)*\"")
_NAME = re.compile(r"[A-Za-z_:][\w:.]*$")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is being written: `prefix` from `start` on; `metric` and `matchers` narrow labels and values to
    those of some series."""

    kind: Kind
    prefix: str
    start: int
    metric: str = ""
    label: str = ""
    matchers: tuple[str, ...] = ()

    @property
    def selector(self) -> str:
        """The series whose labels are asked for; empty for those of all."""
        return f"{self.metric}{{{','.join(self.matchers)}}}" if self.metric or self.matchers else ""


@dataclass(frozen=True, slots=True)
class Word:
    """A word that fits, what it is, and what taking it writes."""

    text: str
    about: str
    written: str


def wanted(text: str, at: int) -> Wanted | None:
    """What is written at the caret; None in numbers, durations of no bracket, and ordinary strings."""
    before = text[:at]
    if before.lstrip().startswith("@") and re.fullmatch(r"\s*@[\w.-]*", before):
        start = before.index("@") + 1
        return Wanted("query", before[start:], start)
    opened: list[tuple[str, int]] = []
    quote, quoted_at = "", -1
    i = 0
    while i < len(before):
        c = before[i]
        if quote:
            if c == "\\" and quote != "`":
                i += 1
            elif c == quote:
                quote = ""
        elif c in "\"'`":
            quote, quoted_at = c, i
        elif c in "({[":
            opened.append((c, i))
        elif c in ")}]" and opened:
            opened.pop()
        i += 1
    bracket, where = opened[-1] if opened else ("", -1)
    if quote:
        return _value(before, where, quoted_at) if bracket == "{" else None
    if bracket == "[":
        return Wanted("duration", before[where + 1 :], where + 1)
    found = _NAME.search(before)
    prefix = found[0] if found else ""
    start = at - len(prefix)
    if bracket == "{":
        if before[where + 1 : start].rstrip()[-1:] not in ("", ","):
            return None
        return Wanted("label", prefix, start, _metric_before(before, where), "", _matchers(before, where))
    if bracket == "(" and _LABELLED.search(before[: where + 1]):
        return Wanted("label", prefix, start)
    if before[:start][-1:].isdigit():
        return None
    return Wanted("metric", prefix, start)


def _value(before: str, brace: int, quoted_at: int) -> Wanted | None:
    label = _OPEN_VALUE.search(before[brace + 1 : quoted_at])
    if label is None:
        return None
    written = before[quoted_at + 1 :]
    start = quoted_at + 1
    if "~" in label[2]:  # of a|b|c the last is being written
        start += written.rfind("|") + 1
    return Wanted(
        "value", before[start:], start, _metric_before(before, brace), label[1], _matchers(before, brace)
    )


def _metric_before(before: str, brace: int) -> str:
    found = _NAME.search(before[:brace])
    return found[0] if found else ""


def _matchers(before: str, brace: int) -> tuple[str, ...]:
    return tuple(_MATCHER.findall(before[brace + 1 :]))


class Vocabulary:
    """Words that clusters know. Each kind is asked for once, of a few clusters at a time, and `told` is called
    as each answers: one that is dead holds nothing up."""

    def __init__(self, app: Dashboard, told: Callable[[], None]) -> None:
        self._app, self._told = app, told
        self._known: dict[tuple[str, str], dict[str, None]] = {}
        self._asking: set[asyncio.Task[None]] = set()

    def forget(self) -> None:
        """Other clusters or times: ask anew."""
        self._known.clear()

    def of(self, what: Wanted) -> list[Word]:
        """Words that fit, as far as they are known; what is not is asked for."""
        made: list[Word] = []
        if what.kind == "query":
            made = [Word(name, about, name) for name, about in self._named()]
        elif what.kind == "duration":
            made = [Word(d, "range", f"{d}]") for d in _DURATIONS]
        elif what.kind == "label":
            tail = '="' if what.metric or what.matchers else ""
            labels = self._words("", what.selector)
            made = [Word(w, "label", w + tail) for w in labels if w != "__name__"]
        elif what.kind == "value":
            made = [
                Word(w, f"value of {what.label}", _in_quotes(w))
                for w in self._words(what.label, what.selector)
            ]
        elif what.prefix:
            made = [Word(*w) for w in _GRAMMAR]
            made += [Word(w, "metric", w) for w in self._words("__name__", "")]
        return _fitting(made, what.prefix, sort=what.kind != "duration")

    def every_metric(self) -> list[Word]:
        """The names of all metrics, as far as they are known; what is not is asked for."""
        return _fitting([Word(w, "metric", w) for w in self._words("__name__", "")], "")

    def _named(self) -> list[tuple[str, str]]:
        from aiops_cli.services.queries import every

        session = self._app.session
        if session is None:
            return []
        return [(n, q.meaning or q.expr) for n, q in sorted(every(session.settings).items())]

    def _words(self, name: str, selector: str) -> Sequence[str]:
        """`name` is a label whose values are wanted, or empty for the labels themselves."""
        key = (name, selector)
        if key not in self._known:
            self._known[key] = {}
            task = asyncio.create_task(self._learn(key))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
        return list(self._known[key])

    async def _learn(self, key: tuple[str, str]) -> None:
        await self._app.ready.wait()
        session, known = self._app.asked(), self._known.get(key, {})
        asked = [self._app.backend.ask(_ask(session, member, *key)) for member in session.members[:_CLUSTERS]]
        for answer in asyncio.as_completed(asked):
            try:
                found = await answer
            except AiopsError:
                continue
            # What a terminal would obey has no place in a query.
            known.update(dict.fromkeys(word for _, word in found.rows if word.isprintable()))
            self._told()


async def _ask(session: Session, member: Any, name: str, selector: str) -> FleetResult[tuple[str, str]]:
    from aiops_cli.services import listings

    matchers = [selector] if selector else []
    window, policy = session.window(), session.cache_policy()
    made: Awaitable[FleetResult[tuple[str, str]]]
    if not name:
        made = listings.labels([member], matchers, window, session.now, policy, _WORDS)
    else:
        made = listings.label_values([member], name, matchers, window, session.now, policy, _WORDS)
    return await made


def _fitting(words: Sequence[Word], prefix: str, *, sort: bool = True) -> list[Word]:
    """Those that begin so first, then those that hold it; none where only what is written fits."""
    said = prefix.lower()
    begin = [w for w in words if w.text.lower().startswith(said)]
    hold = [w for w in words if said and said in w.text.lower()[1:] and not w.text.lower().startswith(said)]
    found = sorted(begin, key=lambda w: w.text) + sorted(hold, key=lambda w: w.text) if sort else begin + hold
    return [] if [w.text for w in found] == [prefix] else found[:_SHOWN]


def _in_quotes(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
