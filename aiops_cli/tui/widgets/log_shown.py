"""What is shown of the log lines: filter, levels, fields, marks, time zone; and the line below that tells of it."""

from __future__ import annotations

import re
import time
from datetime import UTC, tzinfo
from typing import ClassVar

from rich.text import Text
from textual.binding import BindingType
from textual.widgets import Static

from aiops_cli.analysis.log_levels import LEVELS
from aiops_cli.errors import AiopsError
from aiops_cli.render.text import age, clock, one_line
from aiops_cli.tui.actions import act
from aiops_cli.tui.board import Board
from aiops_cli.tui.filtering import regex
from aiops_cli.tui.telling import error_line
from aiops_cli.tui.widgets.log_buffer import Buffer
from aiops_cli.tui.widgets.log_filter import Wanted, matching
from aiops_cli.tui.widgets.log_following import Following
from aiops_cli.tui.widgets.log_lines import LogLines
from aiops_cli.tui.widgets.log_pages import Page
from aiops_cli.tui.widgets.log_volume import Volume
from aiops_cli.tui.widgets.panel import Panel, nobody
from aiops_cli.tui.working import start

_AGED = 60.0  # seconds from which on it is said how old lines are
_PAINT = 0.2  # seconds between two paints of what a filter has found so far
_WORSE = frozenset(LEVELS[LEVELS.index("warn") :])


class Shown(Board):
    """A screen of log lines, as far as it is about those that are held."""

    BINDINGS: ClassVar[list[BindingType]] = [
        act("logs.levels", "L", "levels", "Levels", "Show lines of some levels only.", show=True),
        act("logs.mark", "H", "mark", "Highlight", "Mark what matches a regex; nothing is left out."),
        act("logs.next", "n", "match(1)", "Next match", "Towards the newest."),
        act("logs.previous", "N", "match(-1)", "Previous match"),
        act("logs.fields", "F", "fields", "Fields", "JSON and logfmt fields, labels and metadata as columns."),
        act("logs.zone", "z", "zone", "UTC", "Times in UTC, or of this machine."),
        act("table.save", "ctrl+s", "save", "Save", "Write the lines shown to a CSV file in this folder."),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.expr = ""
        self.zone: tzinfo | None = None
        self.buffer = Buffer()
        self._page: Page | None = None
        self._edge: float | None = None
        self._follow = self._paused = False
        self._following: Following | None = None
        self._rate = 0.0  # lines a second
        self._apart = ""
        self._told = ""
        self._levels: frozenset[str] | None = None
        self._sifting = False
        self._lines = LogLines(self.buffer, id="log")

    def on_log_lines_filtered(self) -> None:
        self._filter_changed()

    def on_log_lines_faults(self) -> None:
        self._set_levels(None if self._levels == _WORSE else _WORSE)

    def _set_levels(self, levels: frozenset[str] | None) -> None:
        self._levels = levels
        volume = self.query_one(Volume)
        volume.levels = levels
        volume.refresh()
        self._filter_changed()

    def _filter_changed(self) -> None:
        wanted = Wanted(self._lines.test, self._levels, labels=self._lines.filter_text.startswith("-l"))
        self.buffer.set_filter(wanted if wanted else None)
        self._lines.sync()
        self._sift_on()
        self._status()

    def _sift_on(self) -> None:
        if self.buffer.unseen and not self._sifting:
            self._sifting = True
            start(self, self._sift, group="sift", exclusive=False)

    async def _sift(self) -> None:
        due = time.monotonic()
        try:
            while await self.buffer.sift(self.dashboard.backend.compute):
                if (now := time.monotonic()) >= due:
                    due = now + _PAINT
                    self._lines.sync()
        finally:
            self._sifting = False
        self._lines.sync()
        self._status()

    def action_levels(self) -> None:
        from aiops_cli.tui.widgets.log_dialogs import Several

        def chosen(levels: list[str] | None) -> None:
            if levels is not None:
                self._set_levels(None if len(levels) in (0, len(options)) else frozenset(levels))

        options = [*((lv, lv) for lv in reversed(LEVELS)), ("", "other: lines that say none")]
        now = [lv for lv, _ in options] if self._levels is None else list(self._levels)
        self.app.push_screen(Several("Levels", options, now), chosen)

    def action_fields(self) -> None:
        from aiops_cli.tui.widgets.log_dialogs import Several
        from aiops_cli.tui.widgets.log_filter import fields_of

        look, shown = self._lines.look, self.buffer.shown
        found = fields_of([self.buffer[n] for n in shown[-200:]])
        if not found:
            self.app.notify(
                "these lines have no fields: they are neither JSON nor logfmt, and have no labels"
            )
            return

        def chosen(fields: list[str] | None) -> None:
            if fields is not None:
                look.fields = (
                    *(f for f in look.fields if f in fields),
                    *(f for f in fields if f not in look.fields),
                )
                self._lines.changed()

        options = [(f, f) for f in dict.fromkeys([*look.fields, *found])]
        self.app.push_screen(Several("Fields as columns", options, look.fields), chosen)

    def action_zone(self) -> None:
        self.zone = UTC if self.zone is not UTC else None
        self._lines.look.zone = self.zone
        self._lines.changed()
        self.query_one(Volume).refresh()
        self.app.notify("times in UTC" if self.zone is UTC else "times of this machine")

    def action_mark(self) -> None:
        from aiops_cli.tui.widgets.dialogs import Ask

        def live(text: str) -> str | None:
            try:
                self._lines.highlight(regex(text) if text else None)
            except AiopsError as error:
                return error.message
            return None

        def done(text: str | None) -> None:
            if text is None:
                self._lines.highlight(before)
            elif text:
                self.dashboard.remembered.add_line("filters", text)
                self.action_match(-1)

        before = self._lines.look.mark
        history = self.dashboard.remembered.texts("filters")
        self.app.push_screen(
            Ask("Highlight H", history=history, hint="regex · n next · N previous", live=live), done
        )

    def action_match(self, by: int) -> None:
        if (mark := self._lines.look.mark) is None:
            self.action_mark()
            return
        start(self, lambda: self._match(mark, by), group="match")

    async def _match(self, mark: re.Pattern[str], by: int) -> None:
        found = await matching(self.buffer, mark, self._lines.at, by, self.dashboard.backend.compute)
        if found is None:
            self.app.notify(f"no {'newer' if by > 0 else 'older'} line matches {mark.pattern}", markup=False)
        else:
            self._lines.select(found)

    def action_save(self) -> None:
        start(self, self._save, group="save")

    async def _save(self) -> None:
        from aiops_cli.render.log_views import log_view
        from aiops_cli.services import logs
        from aiops_cli.tui.saving import save_rows

        lines, zone = [self.buffer[n] for n in self.buffer.shown], self.zone
        told: list[str] = []

        def write() -> None:
            told.extend(save_rows(log_view(zone), [logs.item(*line) for line in lines]))

        await self.dashboard.backend.aside(write)
        self.app.notify(told[0], markup=False)

    # The line below

    @property
    def age(self) -> float:
        """How old (seconds) the lines are, where newer ones may be had."""
        raise NotImplementedError

    def _status(self, doing: str = "") -> None:
        if not self.is_attached:
            return
        buffer, shown = self.buffer, len(self.buffer.shown)
        panel = self.query_one("#lines", Panel)
        newest = " · the newest" if self._edge is not None or buffer.dropped else ""
        count = f"{shown:,} of {len(buffer):,}" if buffer.filtered else f"{len(buffer):,}"
        panel.retitle(f"Lines {count}{newest}")
        panel.going = "following" if self._following is not None and self._following.error is None else ""
        parts = [doing, self._apart, *self._of_tail(), *self._of_filter()]
        if self.age > _AGED:
            parts.insert(1, f"▲ read {age(self.age)} ago, r reads again")
        if buffer.dropped:
            parts.append(f"oldest {buffer.dropped:,} left the buffer")
        elif self._page is not None:
            whole = "no cluster answered" if nobody(self._page) else "all of the range"
            parts.append("older lines: page up at the top" if self._edge is not None else whole)
            if self._page.cut:
                parts.append(f"up to {clock(self._page.window.end, self.zone)[11:19]}: T takes another range")
            parts += [f"▲ {note}" for note in self._page.notes[:1]]
        told = " · ".join(one_line(p) for p in parts if p)
        if told != self._told:
            self._told = told
            self.query_one("#status", Static).update(Text(told, no_wrap=True, overflow="ellipsis"))

    def _of_tail(self) -> list[str]:
        following = self._following
        if following is None:
            return ["▶ f follows" if self.dashboard.live and not self._follow else ""]
        if following.error is not None:
            return [f"✖ {following.said}"]
        parts = [f"‖ paused, {following.waiting:,} lines wait: p goes on"] if self._paused else [
            f"▶ {following.said or 'connecting…'}", f"{self._rate:,.{int(0 < self._rate < 10)}f}/s", "p pauses"]  # fmt: skip
        if not self._paused and not self._lines.stick:
            parts.append("scroll lock: G goes to the newest")
        if following.lost:
            parts.append(f"▲ {following.lost:,} came too fast and were left out")
        return parts

    def _of_filter(self) -> list[str]:
        parts = []
        if text := self._lines.filter_text:
            parts.append(f"/{text}")
        if self._levels is not None:
            names = (
                "warn and worse"
                if self._levels == _WORSE
                else " ".join(sorted(lv or "other" for lv in self._levels))
            )
            parts.append(f"levels {names}")
        if self.buffer.unseen:
            parts.append(f"filtering, {self.buffer.unseen:,} to go")
        return parts

    def _warn(self, error: AiopsError) -> None:
        self.app.notify(error_line(error), severity="warning", markup=False)
