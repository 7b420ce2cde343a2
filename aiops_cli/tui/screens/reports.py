"""Reports: what was written down, earlier analyses, and the settings in force."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, tzinfo
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from aiops_cli.render.output import Column, View
from aiops_cli.render.report_view import REPORTS, ReportEntry
from aiops_cli.render.views import when
from aiops_cli.services.session import Session
from aiops_cli.store.state import Analysis
from aiops_cli.tui.actions import act
from aiops_cli.tui.board import Board
from aiops_cli.tui.feed import Feed
from aiops_cli.tui.place import Place
from aiops_cli.tui.widgets.document import Document
from aiops_cli.tui.widgets.evidence import analyses_view
from aiops_cli.tui.widgets.grid import Grid
from aiops_cli.tui.widgets.panel import Panel
from aiops_cli.tui.widgets.settings import SETTINGS, Setting, read_settings
from aiops_cli.tui.widgets.views import Views

TABS = ("reports", "analyses", "settings")
_BROAD = 120  # cells from which the text stands beside the list


class Reports(Board):
    NAME = "reports"
    DEFAULT_CSS = """
    Reports #lists { height: 1fr; }
    Reports #lists > Panel { display: none; }
    Reports.-reports #kept, Reports.-analyses #analyses, Reports.-settings #settings { display: block; }
    Reports.-broad.-reports #shown, Reports.-broad.-analyses #shown { display: block; width: 2fr; }
    Reports.-open #shown { display: block; }
    Reports.-open #kept, Reports.-open #analyses { display: none; }
    Reports.-broad.-open.-reports #kept, Reports.-broad.-open.-analyses #analyses { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        act("reports.view", "v,shift+right", "view(1)", "View", "Reports, analyses, settings.", show=True),
        act("reports.view-back", "shift+left", "view(-1)", "View before"),
        act("reports.export", "ctrl+e", "export", "To a file", "Write the report to a file of this folder.", show=True),
    ]  # fmt: skip

    def content(self) -> ComposeResult:
        self._documents: dict[str, Any] = {}
        self._wanted = ""
        self._feeds_of: dict[str, Feed[Any]] = {}
        self._reports: Grid[ReportEntry] = Grid(listed_view(None), id="reports")
        self._analyses: Grid[Analysis] = Grid(analyses_view(None), id="analysed")
        self._settings: Grid[Setting] = Grid(SETTINGS, id="set")
        self._text = Document(id="text")
        self._views = Views(TABS)
        yield self._views
        with Horizontal(id="lists"):
            yield Panel(
                "Reports",
                self._reports,
                empty="no report is kept yet: on the RCA screen (9), x finds the cause and ctrl+e writes one",
                id="kept",
            )
            yield Panel(
                "Analyses",
                self._analyses,
                empty="no analysis is kept yet: x on the RCA screen (9) makes one",
                id="analyses",
            )
            yield Panel("Settings", self._settings, id="settings")
            yield Panel("Text", self._text, id="shown")

    def on_mount(self) -> None:
        super().on_mount()
        self._feeds_of = {
            "reports": self.feed(read_reports, self._show_reports),
            "analyses": self.feed(read_analyses, self._show_analyses),
            "settings": self.feed(self._ask_settings, self._settings.show),
        }
        for name, panel in zip(TABS, ("#kept", "#analyses", "#settings"), strict=True):
            self.query_one(panel, Panel).follow(self._feeds_of[name])
        self._open_tab("reports")

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width >= _BROAD, "-broad")

    def on_screen_resume(self) -> None:
        """What was written meanwhile is there."""
        for feed in self.feeds:
            feed.refresh()

    def _open_tab(self, name: str) -> None:
        self.remove_class(*(f"-{t}" for t in TABS), "-open")
        self.add_class(f"-{name}")
        self._views.current = name
        self._grid().focus()
        self._tell_selected()

    def _grid(self) -> Grid[Any]:
        grids: dict[str, Grid[Any]] = {
            "reports": self._reports,
            "analyses": self._analyses,
            "settings": self._settings,
        }
        return grids[self._views.current]

    async def _ask_settings(self, session: Session) -> list[Setting]:
        app = self.dashboard
        origin = "remembered" if app.remembered.text("theme") else "default"
        return await read_settings(session, app.theme, origin)

    # What is shown

    def _show_reports(self, found: Kept) -> None:
        from aiops_cli.render.report_view import row

        self._documents = {d.items[0].id: d for d in found}
        self._reports.show([row(d) for d in found], listed_view(self.dashboard.asked().zone))
        title = f"Reports {len(found)}"
        if found.problems:
            title += f" · ▲ {len(found.problems)} unread: {found.problems[0]}"
        self.query_one("#kept", Panel).retitle(title)
        if self._wanted and self._reports.select(self._wanted):
            self._wanted = ""
        self._tell_selected()

    def _show_analyses(self, rows: list[Analysis]) -> None:
        self._analyses.show(rows, analyses_view(self.dashboard.asked().zone))
        self._tell_selected()

    def on_grid_highlighted(self, event: Grid.Highlighted) -> None:
        if event.grid is self._grid():
            self._tell_selected()

    def on_grid_arranged(self, event: Grid.Arranged) -> None:
        if event.grid is self._grid():
            self._tell_selected()

    def _tell_selected(self) -> None:
        """The text of what the cursor is on."""
        item = self._grid().selected
        if isinstance(item, ReportEntry) and item.id in self._documents:
            text, title = self._markdown(item.id), item.title
        elif isinstance(item, Analysis):
            text, title = self._causes(item), item.id
        else:
            text, title = "", "Text"
        self.query_one("#shown", Panel).retitle(title)
        if text != self._text.text:
            self._text.show_markdown(text) if isinstance(item, ReportEntry) else self._text.show(text)

    def _markdown(self, id: str) -> str:
        from aiops_cli.render.markdown_report import markdown

        session = self.dashboard.asked()
        return markdown(self._documents[id].items[0], session.zone if session.options.tz else UTC)

    def _causes(self, analysis: Analysis) -> str:
        from aiops_cli.render.causes import causes_text

        return causes_text(analysis.causes, self.dashboard.asked().zone, 400)

    # Coming and going

    def arrive(self, place: Place) -> None:
        tab = place.args.get("tab", "reports")
        if tab not in TABS:
            self.notify(f"reports has no view {tab!r}; there are {', '.join(TABS)}", markup=False)
            tab = "reports"
        self._open_tab(tab)
        self._wanted = place.args.get("name", "")
        if self._wanted and self._reports.select(self._wanted):
            self._wanted = ""
        self._filter(self._grid(), place.text)

    def place(self) -> Place:
        tab = self._views.current
        return Place(self.NAME, self._grid().filter_text, {"tab": tab} if tab != "reports" else {})

    def leave_inside(self) -> bool:
        if self.has_class("-open") or self._text.has_focus:
            self.remove_class("-open")
            self._grid().focus()
            return True
        if (grid := self._grid()).filter_text:
            self._filter(grid, "")
            return True
        return False

    # Actions

    def on_views_chosen(self, event: Views.Chosen) -> None:
        self._open_tab(event.name)

    def action_view(self, by: int) -> None:
        self._open_tab(self._views.after(by))

    def on_grid_opened(self, event: Grid.Opened) -> None:
        if event.grid is self._analyses:
            self.go(Place("rca", event.item.id))
        elif event.grid is self._settings:
            self._change(event.item)
        else:
            self._tell_selected()
            self.add_class("-open")
            self._text.focus()

    def _change(self, setting: Setting) -> None:
        from aiops_cli.tui.widgets.dialogs import Choice

        if setting.group == "theme":
            app = self.dashboard

            def taken(name: str | None) -> None:
                if name is not None:
                    app.theme = name
                    app.remembered.set("theme", name)
                    self._feeds_of["settings"].refresh()

            names = [(n, n) for n in app.available_themes]
            app.push_screen(Choice("Theme", names, app.theme), taken)
        elif (setting.group, setting.name) == ("time", "range"):
            self.dashboard.action_range()
        else:
            self._settings.action_detail()

    def action_export(self) -> None:
        """The report under the cursor as Markdown, in this folder."""
        from aiops_cli.tui.saving import save_text

        item = self._reports.selected if self._views.current == "reports" else None
        if item is None:
            self.notify("ctrl+e writes the report under the cursor: v for the view of reports")
            return
        text = self._markdown(item.id)
        self.notify(save_text(f"aiops-{item.id}", "md", text, "report", dated=False)[0], markup=False)


def listed_view(zone: tzinfo | None) -> View[ReportEntry]:
    """`report list`'s columns: when and what first, the rest where there is room."""
    created: Column[ReportEntry] = Column(
        "created", lambda r: when(r.created_at, zone)[5:16], plain=lambda r: r.created_at
    )
    title: Column[ReportEntry] = Column("title", lambda r: r.title)
    rest = [replace(c, wide=True) for c in REPORTS.columns if c.title not in ("created", "title")]
    return replace(REPORTS, columns=[created, title, *rest])


class Kept(list[Any]):
    """The reports, newest first; `problems` tells of files that can't be read."""

    problems: list[str]


async def read_reports(session: Session) -> Kept:
    from aiops_cli.services.report_files import kept

    documents, problems = kept()
    found = Kept(documents)
    found.problems = problems
    return found


async def read_analyses(session: Session) -> list[Analysis]:
    return sorted(session.state.analyses(), key=lambda a: a.at, reverse=True)


SCREEN = Reports
