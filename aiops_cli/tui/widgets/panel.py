"""A titled box around what one feed shows: how old it is, and what is wrong, in its border."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import Static

from aiops_cli.models.result import FleetResult
from aiops_cli.render.text import age, one_line
from aiops_cli.tui import clock
from aiops_cli.tui.feed import Feed, Reading

_NAMED = 3


class Panel(Vertical):
    """`follow(feed)` makes it tell the feed's age and state: loading, empty, error, stale. Content is greyed
    while it is older than it should be; a word says so too."""

    DEFAULT_CSS = """
    Panel { border: round $primary 40%; border-title-color: $primary; border-subtitle-color: $foreground 70%;
            padding: 0 0; height: 1fr; }
    Panel:focus-within { border: round $primary; }
    Panel.-stale { border-subtitle-color: $warning; }
    Panel.-stale > .body { opacity: 65%; }
    Panel.-error { border: round $error 60%; border-subtitle-color: $error; }
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
    ) -> None:
        """`empty` is said where an answer has no rows: what was looked for, and what to try."""
        for widget in body:
            widget.add_class("body")
        self._notice = Static("", classes="notice", markup=False)
        super().__init__(self._notice, *body, id=id, classes=classes)
        self.border_title = title
        self.empty = empty
        self._feed: Feed[Any] | None = None
        self._told = ""

    def retitle(self, title: str) -> None:
        if self.border_title != title:
            self.border_title = title

    def follow(self, feed: Feed[Any]) -> None:
        """Tell the state of this feed from now on."""
        self._feed = feed
        self.tell()

    def on_mount(self) -> None:
        self.set_interval(1.0, self.tell)
        self.tell()

    def tell(self) -> None:
        """Say age and state anew; cheap where nothing changed."""
        if self._feed is None or not self.screen.is_current:
            return
        reading, now = self._feed.reading, clock.now()
        blank = reading.value is None or is_empty(reading.value)
        self.set_class(reading.stale(now), "-stale")
        self.set_class(reading.error is not None and reading.value is None, "-error")
        self.set_class(blank, "-blank")
        told = self._state(reading, now)
        if told != self._told:
            self._told = told
            self.border_subtitle = Text(one_line(told))
        if blank:
            self._notice.update(self._said(reading))

    def _state(self, reading: Reading[Any], now: float) -> str:
        if reading.at is None:
            return "failed" if reading.error else "loading…"
        parts = []
        if reading.kept:
            parts.append("from the store")
        if reading.stale(now):
            parts.append("stale")
        parts.append(f"{age(max(now - reading.at, 0))} ago" if now - reading.at >= 1 else "now")
        if origin := _origin(reading.value):
            parts.append(origin)
        if reading.error is not None:
            parts.append(f"✖ {reading.error.message}")
        elif missing := gaps(reading.value):
            parts.append(f"▲ {missing}")
        return " · ".join(parts)

    def _said(self, reading: Reading[Any]) -> str:
        if reading.error is not None and reading.value is None:
            return "\n".join(
                filter(None, (f"✖ {one_line(reading.error.message)}", one_line(reading.error.hint)))
            )
        if reading.value is None:
            return "loading…"
        failed = gaps(reading.value, most=8)
        return one_line(self.empty) + (f"\n▲ {failed}" if failed else "")


def is_empty(value: object) -> bool:
    """Whether an answer has no rows."""
    if isinstance(value, FleetResult):
        return not value.rows
    return isinstance(value, (list, tuple, dict, str)) and not value


def gaps(value: object, most: int = _NAMED) -> str:
    """Which clusters an answer lacks, and why, in a line; nothing where it lacks none."""
    result = value if isinstance(value, FleetResult) else getattr(value, "result", None)
    if not isinstance(result, FleetResult):
        return ""
    failed = [f"{c.name}: {c.error.code}" for c in result.failed if c.error is not None]
    if not failed:
        return ""
    rest = f" and {len(failed) - most} more" if len(failed) > most else ""
    return one_line(f"without {', '.join(failed[:most])}{rest}")


def _origin(value: object) -> str:
    result = value if isinstance(value, FleetResult) else getattr(value, "result", None)
    if not isinstance(result, FleetResult):
        return ""
    return "/".join(sorted({c.source for c in result.clusters if c.status in ("SUCCESS", "PARTIAL")}))
