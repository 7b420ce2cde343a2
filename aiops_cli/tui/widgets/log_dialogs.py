"""What opens over the log lines: a choice of several, a line in full, the lines around it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import OptionList, Static

from aiops_cli.analysis.merge import Line
from aiops_cli.render.text import one_line
from aiops_cli.services.fanout import failure_of
from aiops_cli.services.session import Session
from aiops_cli.tui.actions import act
from aiops_cli.tui.widgets.dialogs import Detail, Dialog, as_text
from aiops_cli.tui.widgets.log_buffer import Buffer, held
from aiops_cli.tui.widgets.log_lines import LogLines
from aiops_cli.tui.working import start

BESIDE = 20  # lines before and after


class Several(Dialog):
    """Some of several; returns the chosen ids in their order, or None. Space chooses, enter takes."""

    DEFAULT_CSS = """
    Several > .box { max-width: 76; }
    Several OptionList, Several OptionList:focus { border: none; height: auto; max-height: 16; background: $surface; padding: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        act("choice.one", "space", "choose", "Choose", show=True, priority=True),
        act("choice.all", "a", "all", "All or none", show=True),
    ]

    def __init__(self, title: str, options: Sequence[tuple[str, str]], chosen: Sequence[str]) -> None:
        """`options` are (id, text)."""
        super().__init__()
        self._title, self._options = title, options
        self._chosen = {id for id, _ in options if id in chosen}

    def compose(self) -> ComposeResult:
        with Vertical(classes="box") as box:
            box.border_title = self._title
            box.border_subtitle = "space chooses · enter takes · a all or none · esc leaves"
            yield OptionList(*(self._prompt(i) for i in range(len(self._options))))

    def _prompt(self, index: int) -> Text:
        id, text = self._options[index]
        return Text(f"[{'x' if id in self._chosen else ' '}] {one_line(text)}")

    def on_mount(self) -> None:
        self.query_one(OptionList).highlighted = 0

    def action_choose(self) -> None:
        offered = self.query_one(OptionList)
        if (index := offered.highlighted) is not None:
            self._chosen ^= {self._options[index][0]}
            offered.replace_option_prompt_at_index(index, self._prompt(index))

    def action_all(self) -> None:
        self._chosen = set() if self._chosen else {id for id, _ in self._options}
        for i in range(len(self._options)):
            self.query_one(OptionList).replace_option_prompt_at_index(i, self._prompt(i))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss([id for id, _ in self._options if id in self._chosen])


def in_full(line: Line, zone: tzinfo | None) -> str:
    """The whole line, and all that is known of it: when, where, level, trace, labels, metadata, fields."""
    from aiops_cli.analysis.trace_ids import trace_id_in
    from aiops_cli.render.text import clock
    from aiops_cli.services.log_fields import level_of, parse_line
    from aiops_cli.services.times import rfc3339_ns

    cluster, (ns, text, labels, metadata) = line
    known = {
        "time": f"{clock(ns / 1e9, zone)} ({rfc3339_ns(ns)})",
        "cluster": cluster,
        "level": level_of(line[1]),
        "trace": trace_id_in(text, labels | metadata),
        "labels": labels,
        "structured metadata": metadata,
        "fields": parse_line(text),
    }
    return f"{text}\n\n{as_text(known)}"


class Around(Dialog):
    """The lines before and after one, of its own stream, as they were stored."""

    DEFAULT_CSS = """
    Around > .box { width: 96%; max-width: 200; height: 85%; }
    Around .notice { height: auto; padding: 1 1; }
    Around LogLines { display: none; background: $surface; }
    Around.-found LogLines { display: block; }
    Around.-found .notice { display: none; }
    """

    def __init__(self, line: Line, expr: str, zone: tzinfo | None) -> None:
        super().__init__()
        self._line, self._expr = line, expr
        self._lines = LogLines(Buffer(), id="around")
        self._lines.look.zone = zone
        self._lines.look.changed()

    def compose(self) -> ComposeResult:
        with Vertical(classes="box") as box:
            box.border_title = Text(f"{BESIDE} lines before and after · {one_line(self._line[0])}")
            box.border_subtitle = "looking…"
            yield Static("looking…", classes="notice", markup=False)
            yield self._lines

    def on_mount(self) -> None:
        start(self, self._look, group="around")

    async def _look(self) -> None:
        app: Any = self.app
        try:
            rows, at, missing = await app.backend.ask(around(app.asked(), self._line, self._expr))
        except Exception as error:
            failed = failure_of("", error)
            self.query_one(".notice", Static).update(
                one_line(f"✖ {failed.message}") + f"\n{one_line(failed.hint)}"
            )
            return
        if not rows:
            self.query_one(".notice", Static).update(one_line(missing or "its stream has no line around it"))
            return
        self._lines.buffer.append(held(rows))
        self.add_class("-found")
        self._lines.focus()
        self._lines.sync()
        self._lines.select(self._lines.buffer.first + at)
        self.query_one(".box").border_subtitle = Text(one_line(missing or "esc closes · w wraps"))

    def on_log_lines_detail(self) -> None:
        if (line := self._lines.selected) is not None:
            self.app.push_screen(Detail("log line", in_full(line, self._lines.look.zone)))


async def around(session: Session, line: Line, expr: str) -> tuple[list[Line], int, str]:
    """The lines around one, where it is among them, and what went wrong."""
    from aiops_cli.models.timerange import TimeRange
    from aiops_cli.services.log_context import with_context

    cluster, row = line
    members = [m for m in session.members if m.name == cluster]
    at = row[0] / 1e9
    window = TimeRange(at - 3600, at + 3600)
    found = await with_context(members, expr, window, {cluster: [row]}, BESIDE)
    failed = next((c.error.message for c in found.failed if c.error is not None), "")
    if not found.rows:
        return [], 0, failed
    group = found.rows[0][1]
    return [(cluster, r) for r in group.rows], group.matched.index(True), failed
