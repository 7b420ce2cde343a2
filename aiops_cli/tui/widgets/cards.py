"""The fleet in four cards: clusters by state, alerts by severity, GPUs, and how health is spread."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from rich.text import Text
from textual import events
from textual.message import Message
from textual.widget import Widget

from aiops_cli.render.text import cells, cut, one_line
from aiops_cli.services.fleet_status import Totals
from aiops_cli.tui.themes import SIGNS, style_of

_TROUBLE = (("OFFLINE", "fatal"), ("DEGRADED", "warn"), ("UNKNOWN", "unknown"))
_SEVERITIES = (("critical", "fatal"), ("warning", "warn"), ("info", "debug"), ("other", "debug"))
_BANDS = ((100, 100), (80, 99), (50, 79), (0, 49))
NAMES = ("clusters", "alerts", "gpus", "health")
_WIDE = 110  # cells from which on the four stand side by side

Part = tuple[str, str | None]
"""Words and the level that colours them."""


class Cards(Widget):
    """Each is a title with a headline, and a line below it; a click on one is told."""

    DEFAULT_CSS = """
    Cards { height: 4; width: 1fr; background: $surface; padding: 0 1; }
    Cards.-wide { height: 2; }
    """

    class Chosen(Message):
        """A click on the card of this name (`NAMES`)."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._cards: list[tuple[str, list[Part], list[Part]]] = [(n, [("…", None)], []) for n in NAMES]

    def show(self, totals: Totals, *, gpus_unknown: str = "") -> None:
        """`gpus_unknown` says why no GPU is known, where none is."""
        cards = [_clusters(totals), _alerts(totals), _gpus(totals, gpus_unknown), _health(totals)]
        if cards != self._cards:
            self._cards = cards
            self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width >= _WIDE, "-wide")

    def _columns(self) -> int:
        return 4 if self.size.width >= _WIDE else 2

    def render(self) -> Text:
        columns = self._columns()
        width = max((self.size.width - 2 * (columns - 1)) // columns, 8)
        variables = self.app.theme_variables
        text = Text(no_wrap=True)
        for first in range(0, len(self._cards), columns):
            row = self._cards[first : first + columns]
            for line in (0, 1):
                if text:
                    text.append("\n")
                for name, head, below in row:
                    parts = [(f"{name.upper()}  ", "title"), *head] if line == 0 else _apart(below)
                    left = width
                    for words, level in parts:
                        if left <= 0:
                            break
                        shown = cut(words, left)
                        left -= cells(shown)
                        text.append(shown, "bold" if level == "title" else style_of(level, variables))
                    text.append(" " * (left + 2))
        return text

    def on_click(self, event: events.Click) -> None:
        columns = self._columns()
        at = (event.y // 2) * columns + min(event.x * columns // max(self.size.width, 1), columns - 1)
        if 0 <= at < len(self._cards):
            self.post_message(self.Chosen(NAMES[at]))


def _clusters_of(count: int) -> str:
    return "1 cluster" if count == 1 else f"{count} clusters"


def _apart(parts: Sequence[Part]) -> list[Part]:
    """Two blanks between."""
    return [(words if i == 0 else f"  {words}", level) for i, (words, level) in enumerate(parts)]


def _clusters(t: Totals) -> tuple[str, list[Part], list[Part]]:
    total, well = sum(t.states.values()), t.states.get("ONLINE", 0)
    below: list[Part] = [
        (f"{SIGNS[level]} {t.states[state]} {state.lower()}", level)
        for state, level in _TROUBLE
        if t.states[state]
    ]
    return "clusters", [(f"{total}, ", None), (f"{SIGNS['ok']} {well} online", "ok")], below


def _alerts(t: Totals) -> tuple[str, list[Part], list[Part]]:
    firing, known = sum(t.alerts), sum(t.states.values()) - t.unknown_alerts
    if not known:
        return "alerts", [("not known", "unknown")], []
    head: list[Part] = [(f"{firing} firing on {_clusters_of(t.alerting)}" if firing else "none fires", None)]
    if t.unknown_alerts:
        head.append((f", {t.unknown_alerts} not known", "unknown"))
    below: list[Part] = [
        (f"{SIGNS[level]} {count} {name}", level)
        for (name, level), count in zip(_SEVERITIES, t.alerts, strict=True)
        if count
    ]
    return "alerts", head, below


def _gpus(t: Totals, unknown: str) -> tuple[str, list[Part], list[Part]]:
    if not t.gpus:
        return "gpus", [(unknown or "none known", "unknown")], []
    head: list[Part] = [(f"{t.gpus_used}/{t.gpus} used on {_clusters_of(t.gpu_clusters)}", None)]
    if t.worst is None:
        return "gpus", head, [(f"{SIGNS['ok']} no finding", "ok")]
    level = {"critical": "fatal", "warning": "warn"}.get(t.worst.severity, "debug")
    about = one_line(f"{SIGNS[level]} {t.worst.cluster}: {t.worst.text}")
    return "gpus", head, [(about, level)]


def _health(t: Totals) -> tuple[str, list[Part], list[Part]]:
    if not t.scores:
        return "health", [("not known", "unknown")], []
    head: list[Part] = [(f"median score {median(t.scores):g}", None)]
    lowest = t.lowest
    if lowest is not None and t.scores[0] < 100:
        head.append((f", lowest {t.scores[0]} {one_line(lowest.cluster)}", None))
    below: list[Part] = []
    if t.scores[0] == 100 and any(t.ablaze):  # a score is of what answers: it does not say that all is well
        head.append((", alerts apart", None))
        graver = zip(t.ablaze, _SEVERITIES, strict=False)
        below += [(f"{SIGNS[lv]} {name} on {n}", lv) for n, (name, lv) in graver if n]
    for low, high in _BANDS:
        if count := sum(low <= s <= high for s in t.scores):
            level = "ok" if low == 100 else "warn" if low >= 50 else "fatal"
            below.append((f"{SIGNS[level]} {low if low == high else f'{low}–{high}'}: {count}", level))
    return "health", head, below
