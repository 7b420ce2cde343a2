"""What one feed shows, under a line with its title, how old it is, and what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.text import Text
from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import Static

from aiops_cli.models.result import FleetResult
from aiops_cli.render.text import age, cells, cut, one_line
from aiops_cli.tui import clock
from aiops_cli.tui.feed import Feed, Reading
from aiops_cli.tui.telling import hint_lines

_NAMED = 3
_REASONS = 6
_STEP = 5.0  # seconds


class Head(Widget):
    """The line above a panel: title on the left, age and state on the right. A line of its own, since a
    border that changed each second would have all that is inside painted anew."""

    DEFAULT_CSS = "Head { height: 1; width: 1fr; color: $primary; background: $background; }"

    def __init__(self) -> None:
        super().__init__()
        self.title_text = ""
        self.note = ""
        self.state = ""

    def render(self) -> Text:
        width = self.size.width
        lead = "━ " if isinstance(self.parent, Widget) and self.parent.has_class("-focused") else "─ "
        title = " · ".join(filter(None, (self.title_text, self.note)))
        right = f" {cut(self.state, max(width - cells(title) - 8, width // 3))} ─" if self.state else ""
        left = cut(f"{lead}{title} ", max(width - cells(right), 4))
        return Text(left + "─" * max(width - cells(left) - cells(right), 0) + right, no_wrap=True)


class Panel(Vertical):
    """`follow(feed)` makes it tell the feed's age and state: loading, empty, error, stale. Content is greyed
    while it is older than it should be; a word says so too."""

    DEFAULT_CSS = """
    Panel { height: 1fr; }
    Panel.-focused > Head { text-style: bold; background: $panel; }
    Panel.-stale > Head { color: $warning; }
    Panel.-error > Head { color: $error; }
    Panel.-stale > .body { opacity: 65%; }
    Panel > .notice { display: none; width: 1fr; height: auto; padding: 1 2; color: $foreground 75%; }
    Panel.-blank > .notice { display: block; }
    Panel.-blank > .body { display: none; }
    """

    def __init__(
        self,
        title: str,
        *body: Widget,
        empty: str = "nothing found",
        id: str | None = None,
        classes: str | None = None,
        names_gaps: bool = True,
        absent: bool = True,
    ) -> None:
        """`empty` is said where an answer has no rows: what was looked for, and what to try. `names_gaps` is for
        the one panel of a screen that tells which clusters did not answer; `absent` as in `unasked`."""
        for widget in body:
            widget.add_class("body")
        self._notice = Static("", classes="notice", markup=False)
        self._head = Head()
        super().__init__(self._head, self._notice, *body, id=id, classes=classes)
        self.empty = empty
        self.going = ""
        """In place of the age, where what is shown goes on by itself."""
        self._names_gaps, self._absent = names_gaps, absent
        self._feed: Feed[Any] | None = None
        self._said_last = ""
        self._held: Widget | None = None
        self.retitle(title)

    def retitle(self, title: str) -> None:
        """Another title; nothing is painted where it is the same."""
        if self._head.title_text != (title := one_line(title)):
            self._head.title_text = title
            self._head.refresh()

    def on_grid_arranged(self, event: Any) -> None:
        """The filter and order of the table inside stand beside the title."""
        if event.grid.display and self._head.note != (note := event.grid.note):
            self._head.note = note
            self._head.refresh()

    def follow(self, feed: Feed[Any]) -> None:
        """Tell the state of this feed from now on."""
        self._feed = feed
        self.tell()

    def on_mount(self) -> None:
        self.set_interval(1.0, self.tell)
        self.tell()

    # A class, since Textual draws no parts anew for `:focus-within`.

    def on_descendant_focus(self) -> None:
        self.add_class("-focused")
        self._head.refresh()

    def on_descendant_blur(self) -> None:
        self.remove_class("-focused")
        self._head.refresh()

    def tell(self) -> None:
        """Say age and state anew; nothing is painted where nothing changed."""
        if self._feed is None or not self.screen.is_current:
            return
        reading, now = self._feed.reading, clock.now()
        blank = reading.value is None or is_empty(reading.value)
        self.set_class(reading.stale(now), "-stale")
        self.set_class(
            (reading.error is not None and reading.value is None) or (blank and nobody(reading.value)),
            "-error",
        )
        self._hold(blank)
        self.set_class(blank, "-blank")
        told = one_line(self._state(reading, now))
        if told != self._head.state:
            self._head.state = told
            self._head.refresh()
        if blank and (said := self._said(reading)) != self._said_last:
            self._said_last = said
            self._notice.update(said)

    def _hold(self, blank: bool) -> None:
        """What is hidden for want of rows loses the keys; it gets them back with rows, unless one has gone
        elsewhere since."""
        focused = self.screen.focused
        if blank and focused is not None and self in focused.ancestors:
            self._held = focused
        elif not blank and self._held is not None:
            held, self._held = self._held, None
            if focused is None:
                self.call_after_refresh(held.focus)

    def _state(self, reading: Reading[Any], now: float) -> str:
        if reading.at is None:
            return "failed" if reading.error else "loading…"
        parts = []
        if reading.kept:
            parts.append("from the store")
        if reading.stale(now):
            parts.append("stale")
        parts.append(self.going or _ago(now - reading.at + _oldest(reading.value)))
        if not reading.kept and (origin := _origin(reading.value)):
            parts.append(origin)
        if reading.error is not None:
            parts.append(f"✖ {''.join(_lines(reading.error.message)[:1])}")
        elif self._names_gaps and (missing := gaps(reading.value)):
            parts.append(f"{'✖' if nobody(reading.value) else '▲'} {missing}")
        return " · ".join(parts)

    def _said(self, reading: Reading[Any]) -> str:
        if reading.error is not None and reading.value is None:
            first, *rest = _lines(reading.error.message) or [""]
            return "\n".join([f"✖ {first}", *rest, *hint_lines(reading.error.hint)])
        if reading.value is None:
            return "loading…"
        if not self._names_gaps:
            return one_line("not known: no cluster could be asked" if unasked(reading.value) else self.empty)
        return without_rows(reading.value, self.empty, absent=self._absent)


def _lines(text: str) -> list[str]:
    """Each line of a text that may have a caret below what is wrong."""
    return [one_line(line) for line in text.splitlines()]


def _ago(seconds: float) -> str:
    """An age in steps that are worth a paint."""
    if seconds < _STEP:
        return "now"
    return f"{age(seconds - seconds % _STEP if seconds < 60 else seconds)} ago"


def is_empty(value: object) -> bool:
    """Whether an answer has no rows."""
    if isinstance(value, FleetResult):
        return not value.rows
    return isinstance(value, (list, tuple, dict, str)) and not value


def _result(value: object) -> FleetResult[Any] | None:
    result = value if isinstance(value, FleetResult) else getattr(value, "result", None)
    return result if isinstance(result, FleetResult) else None


def nobody(value: object) -> bool:
    """Whether clusters were asked and none of them answered."""
    result = _result(value)
    return result is not None and bool(result.clusters) and len(result.failed) == len(result.clusters)


def unasked(value: object, *, absent: bool = True) -> bool:
    """Whether no cluster could be asked; those that simply have no such source may count as asked (`absent`)."""
    result = _result(value)
    return nobody(value) and not (
        absent and result is not None and all(c.error is not None and c.error.absent for c in result.failed)
    )


def _listed(names: Sequence[str], most: int) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def gaps(value: object, most: int = _NAMED) -> str:
    """Which clusters an answer lacks, and why in a word or two, in a line; nothing where it lacks none."""
    result = _result(value)
    why: dict[str, list[str]] = {}
    for cluster in result.failed if result is not None else ():
        if cluster.error is not None:
            why.setdefault(cluster.error.code.replace("_", " ").lower(), []).append(cluster.name)
    told = [f"{_listed(names, most)}: {reason}" for reason, names in why.items()]
    return one_line(f"without {'; '.join(told)}") if told else ""


def without_rows(value: object, empty: str, *, absent: bool = True) -> str:
    """What is said in place of rows: `empty`, then which clusters it is not known of, and why. Where none of them
    could be asked (`unasked`), only that."""
    result = _result(value)
    failed = [] if result is None else [c for c in result.failed if c.error is not None]
    why: dict[tuple[str, str], list[str]] = {}
    for cluster in failed:
        assert cluster.error is not None, "left out above"
        why.setdefault((cluster.error.message, cluster.error.hint), []).append(cluster.name)
    none = unasked(value, absent=absent)
    told = [] if none else _lines(empty)
    lead = "✖ could not ask" if none else "▲ not known of"
    for (message, hint), names in list(why.items())[:_REASONS]:
        first, *rest = _lines(message) or [""]
        told += [
            f"{lead} {one_line(_listed(names, _NAMED))}: {first}",
            *rest,
            *(f"  {h}" for h in hint_lines(hint)),
        ]
    if len(why) > _REASONS:
        told.append(f"and {len(why) - _REASONS} more reasons")
    return "\n".join(told)


def _oldest(value: object) -> float:
    """How old an answer was when it came, in seconds: that of the cache the longest ago."""
    result = _result(value)
    if result is None:
        return 0.0
    return max((c.age_seconds for c in result.clusters if c.error is None), default=0.0)


def _origin(value: object) -> str:
    result = _result(value)
    if result is None:
        return ""
    return "/".join(sorted({c.source for c in result.clusters if c.status in ("SUCCESS", "PARTIAL")}))
