"""The dashboard's app: the session behind it, where one is and was, the range, the clusters, the theme."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

from textual import events
from textual.app import SystemCommand
from textual.binding import BindingType
from textual.screen import ModalScreen, Screen

from aiops_cli.errors import AiopsError
from aiops_cli.models.options import Options
from aiops_cli.services.session import Session, open_session
from aiops_cli.tui import ranges, tidy
from aiops_cli.tui.actions import act, active, group, run
from aiops_cli.tui.asking import Asking
from aiops_cli.tui.backend import Backend
from aiops_cli.tui.board import Board
from aiops_cli.tui.in_order import InOrder
from aiops_cli.tui.kept import Kept
from aiops_cli.tui.place import Place
from aiops_cli.tui.remembered import Remembered
from aiops_cli.tui.saving import brief
from aiops_cli.tui.screens import SCREENS
from aiops_cli.tui.themes import DEFAULT, NAMES, PLAIN, THEMES
from aiops_cli.tui.trail import Trail
from aiops_cli.tui.widgets.bars import Where
from aiops_cli.tui.widgets.grid import Grid

_SERVER_SECONDS = 2.0  # between looks whether the server of --serve still runs
_WRITE_SECONDS = 2.0  # for what is yet to be remembered, at the end
_PAUSE_SECONDS = 1.0  # what tables look like is written this often at most, not at each letter of a filter
_END_SECONDS = 5.0  # for what is left to do once the terminal is gone


async def _nothing() -> None:
    return None


class Dashboard(Asking):
    """`aiops tui`. Returns an error where the session can't be opened."""

    TITLE = "aiops"
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_BINDING = "ctrl+p"
    CSS = """
    ToastRack { dock: bottom; align: right bottom; }
    Toast { max-width: 70%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            act(f"go.{e.name}", e.key, f"go('{e.name}')", e.title, e.meaning)
            for e in SCREENS.values()
        ),
        act("app.prompt", "colon", "prompt", "Go", "`view filter key=value @context`.", show=True),
        act("app.palette", "ctrl+p", "command_palette", "Palette", "Every action, by name."),
        act("app.help", "question_mark,f1", "help", "Keys", "The keys that do something here.", show=True),
        act("app.back", "escape", "back", "Back", "Leave the filter or detail, then the screen.", show=True),
        act("app.older", "left_square_bracket", "history(-1)", "Older place", "As in a browser."),
        act("app.newer", "right_square_bracket", "history(1)", "Newer place"),
        act("app.last", "minus", "last", "Last screen", "The screen before this one, and back."),
        act("app.range", "T", "range", "Range", "How far back is looked, or from when to when.", show=True),
        act("app.scope", "at", "scope", "Clusters", "Only some clusters: globs.", show=True),
        act("app.theme", "ctrl+t,f2", "theme", "Theme", "The next theme."),
        act("app.jump", "ctrl+o,J", "jump", "Jump", "A letter on each thing; press it to go there."),
        act("app.suspend", "alt+z", "suspend_process", "Suspend", "To the shell; `fg` comes back."),
        act("app.quit", "q,ctrl+c,ctrl+q", "quit", "Quit", show=True),
    ]  # fmt: skip

    def __init__(self, options: Options, *, start: Place | None = None) -> None:
        # Textual takes all colours out only where they are the terminal's own.
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        self.options = options
        self.backend = Backend()
        self.remembered = Remembered(
            trouble=self._cannot_remember, bundle=options.bundle is not None, beside=True
        )
        self.kept = Kept(options)
        self.ready = asyncio.Event()
        self.trail = Trail()
        self._in_order = InOrder(self, super().on_event, self.backend.hold, self.backend.release)
        self._last = ""
        self._arranged: dict[str, dict[str, Any]] = {}  # tables whose state is yet to be written
        self._close: Callable[[], Awaitable[None]] = _nothing
        self._start = start
        for theme in THEMES:
            self.register_theme(theme)
        theme_name = self.remembered.text("theme")
        self.theme = theme_name if theme_name in self.available_themes else DEFAULT
        if not (options.since or options.start or options.end) and options.bundle is None:
            self.options = replace(options, since=ranges.remembered(self.remembered.text("since"), "1h"))

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key | events.Paste) and not event.is_forwarded:
            await self._in_order.take(event)
        else:
            await super().on_event(event)

    async def on_mount(self) -> None:
        self.set_interval(tidy.EVERY, lambda: tidy.in_pause(self._in_order.at))
        if self.is_web:
            server = os.getppid()
            self.set_interval(_SERVER_SECONDS, lambda: None if os.getppid() == server else self.exit())
        elif not self.is_headless:
            self._end_by_signals()
            few_colours = self.console.color_system == "standard" and not self.remembered.text("theme")
            if self.no_color or few_colours:
                self.theme = PLAIN
        if self.remembered.aside is not None:
            self.notify(
                f"what was remembered could not be read and is now {brief(self.remembered.aside)}; all is as at first",
                severity="warning",
                markup=False,
            )
        if self._start is None:
            name = self.remembered.text("screen", "fleet")
            self._start = self._place_of(name if name in SCREENS else "fleet")
        self.go(self._start if "at" not in self._start.args else replace(self._start, args={}))
        self.call_after_refresh(lambda: self.run_worker(self._open(), exclusive=True, group="open"))

    async def _open(self) -> None:
        """Read config and kubeconfig beside the first paint: it shows what the store kept."""
        try:
            session, close = await self.backend.compute(
                lambda: open_session(Session, self.options, say=self._say)
            )
        except AiopsError as error:
            self.exit(error)
            return
        self.session, self._close, self._members = session, close, session.members
        if keys := session.settings.keys:
            from aiops_cli.tui.keymap import check

            try:
                clashes = await self.backend.compute(lambda: check(keys, session.settings.path))
            except AiopsError as error:
                self.exit(error)
                return
            self.set_keymap(keys)
            for clash in clashes:
                self.notify(clash, severity="warning", markup=False)
        try:
            self._members = self.matching(self.contexts)
        except AiopsError as error:
            self.exit(error)
            return
        if self._start is not None and "at" in self._start.args:
            self.go(self._start)  # a bundle's day is known by now
        self.ready.set()
        self._tell_where()

    def _tell_where(self) -> None:
        for bar in self.screen.query(Where):
            bar.refresh()

    def _say(self, line: str) -> None:
        self.call_from_thread(self.notify, line, markup=False)

    def _cannot_remember(self, error: OSError) -> None:
        why = f"screens, filters and history can't be remembered: {error.strerror or error}"
        self.call_later(self.notify, why, severity="warning", markup=False)

    def _end_by_signals(self) -> None:
        """SIGTERM ends as `q` does. So does SIGHUP, whose terminal is gone: nothing may wait for it long."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, lambda: self.exit(return_code=128 + signal.SIGTERM))

        def hung_up() -> None:
            guard = threading.Timer(_END_SECONDS, os._exit, (128 + signal.SIGHUP,))
            guard.daemon = True
            guard.start()
            self.exit(return_code=128 + signal.SIGHUP)

        loop.add_signal_handler(signal.SIGHUP, hung_up)

    def exit(self, result: AiopsError | None = None, return_code: int = 0, message: Any = None) -> None:
        """End, with the place remembered."""
        with contextlib.suppress(Exception):  # whatever a screen is in the middle of, the program ends
            self.remember_place()
        super().exit(result, return_code, message)

    async def on_unmount(self) -> None:
        await self.backend.close(self._close)
        self.remembered.close(_WRITE_SECONDS)

    def _fatal_error(self) -> None:
        """Textual's own prints a traceback with the values of variables."""
        from rich.text import Text

        from aiops_cli.tui.crash import told

        if self._exception is not None:
            self._exit_renderables.append(Text(told(self._exception)))
        self._close_messages_no_wait()

    # What is remembered

    def restore_grid(self, name: str, grid: Grid[Any]) -> None:
        """As it was left: filter, order, columns, faults only."""
        said = self.remembered.mapping("grids").get(name)
        if not isinstance(said, dict):
            return
        grid.wide, grid.faults = said.get("wide") is True, said.get("faults") is True
        grid.set_order(str(said.get("order", "")))
        try:
            grid.set_filter(str(said.get("filter", "")), left=True)
        except AiopsError:
            grid.set_filter("")

    def remember_grid(self, name: str, grid: Grid[Any]) -> None:
        state = {"filter": grid.filter_text, "order": grid.order, "wide": grid.wide, "faults": grid.faults}
        if (self.remembered.mapping("grids") | self._arranged).get(name) == state:
            return
        if not self._arranged:
            self.set_timer(_PAUSE_SECONDS, self._remember_grids)
        self._arranged[name] = state

    def _remember_grids(self) -> None:
        arranged, self._arranged = self._arranged, {}
        for name, state in arranged.items():
            self.remembered.put("grids", name, state)

    def remember_place(self) -> None:
        """What is shown of the screen, for its name above and the way back; its filter or query also for when it
        is opened again."""
        self._remember_grids()
        board = next((s for s in reversed(self.screen_stack) if isinstance(s, Board)), None)
        if board is not None and board.is_attached:
            place, here = board.place(), self.trail.here
            self.remembered.put("places", board.NAME, place.text)
            if here is not None and here.view == place.view:
                self.trail.left_as(replace(place, contexts=self.contexts or ("*",)))

    # Where one is

    @property
    def crumbs(self) -> list[str]:
        """The way here: the last few places, this one last."""
        titles: list[str] = []
        for place in self.trail.way:
            shown = " ".join(
                filter(None, (SCREENS[place.view].title, place.text or next(iter(place.args.values()), "")))
            )
            if not titles or titles[-1] != shown:
                titles.append(shown)
        return titles or [self.TITLE or ""]

    def go(self, place: Place) -> None:
        """Open a place; the one left can be come back to, with the clusters it had."""
        self._leave()
        self.trail.visit(place)
        self._show(place)

    def _leave(self) -> None:
        while isinstance(self.screen, ModalScreen):
            self.pop_screen()
        if isinstance(self.screen, Board) and self.screen.is_attached:
            self.remember_place()

    def _show(self, place: Place) -> None:
        if place.contexts:
            self.set_scope(place.contexts)
        board = self._board(place.view)
        if self.screen is not board:
            if isinstance(self.screen, Board):
                self._last = self.screen.NAME
                self.switch_screen(board)
            else:
                self.push_screen(board)
        self.remembered.set("screen", place.view)
        self.call_after_refresh(board.arrive, place)
        self.call_after_refresh(self._tell_where)

    def _board(self, name: str) -> Board:
        if not self.is_screen_installed(name):
            self.install_screen(SCREENS[name].load()(), name)
        found = self.get_screen(name)
        assert isinstance(found, Board)
        return found

    def range_chosen(self) -> None:
        if self.options.since:
            self.remembered.set("since", self.options.since)

    def scope_changed(self) -> None:
        for name in SCREENS:
            if self.is_screen_installed(name):
                board = self.get_screen(name)
                if isinstance(board, Board) and board.is_attached:
                    board.scope_changed()
        self._tell_where()

    @property
    def way_out(self) -> str:
        found = (keys for binding, keys in active(self.screen) if binding.id == "go.fleet")
        key = next(found, "").partition(" ")[0]
        return f"{key} {' '.join(self._chosen) or 'all'}" if key else ""

    # Actions

    def action_go(self, name: str) -> None:
        if not isinstance(self.screen, Board):
            return
        if name == self.screen.NAME:
            if name == "fleet":
                self.set_scope(self._chosen)
            return
        place, here = self._place_of(name), self.screen.cluster_here()
        if name == "cluster" and here and here != place.args.get("name"):
            place = Place(name, args={"name": here})
        self.go(place)

    def _place_of(self, name: str) -> Place:
        """A screen as it was left, also by an earlier start. The fleet is all of it again."""
        fleet = (self._chosen or ("*",)) if name == "fleet" and self.trail.here else ()
        last = self.trail.last_of(name)
        text = last.text if last else str(self.remembered.mapping("places").get(name, ""))
        if self.is_screen_installed(name):
            board = self.get_screen(name)
            if isinstance(board, Board) and board.is_attached:
                return replace(board.place(), contexts=fleet)
        return Place(name, text, contexts=fleet)

    async def action_back(self) -> None:
        if isinstance(self.screen, Board) and self.screen.leave_inside():
            return
        self.action_history(-1)

    def action_history(self, by: int) -> None:
        self._leave()
        if (place := self.trail.step(by)) is None:
            self.notify("there is no older place" if by < 0 else "there is no newer place")
        else:
            self._show(place)

    def action_last(self) -> None:
        if self._last:
            self.action_go(self._last)

    def action_prompt(self) -> None:
        from aiops_cli.tui.prompts import ask_place

        ask_place(self)

    def run_line(self, line: str) -> None:
        """As the `:` prompt does."""
        from aiops_cli.tui.prompts import run_line

        run_line(self, line)

    def action_range(self) -> None:
        from aiops_cli.tui.prompts import ask_range

        ask_range(self)

    def action_scope(self) -> None:
        from aiops_cli.tui.prompts import ask_scope

        ask_scope(self)

    def action_help(self) -> None:
        from aiops_cli.tui.widgets.dialogs import Help

        if isinstance(self.screen, Board):
            self.push_screen(Help(self.screen))

    def action_theme(self) -> None:
        at = NAMES.index(self.theme) if self.theme in NAMES else -1
        self._take_theme(NAMES[(at + 1) % len(NAMES)])
        self.notify(f"theme {self.theme}")

    def action_jump(self) -> None:
        from aiops_cli.tui.widgets.jump import Jump

        self.push_screen(Jump(self.screen))

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        for binding, keys in active(screen):
            later = partial(self.call_later, run, screen, str(binding.id))
            screen_name = "Screen " if group(binding) == "go" else ""  # an action may have a screen's name
            yield SystemCommand(f"{screen_name}{binding.description}", f"{keys}  {binding.tooltip}", later)
        for name in self.available_themes:
            yield SystemCommand(f"Theme {name}", "", lambda name=name: self._take_theme(name))

    def _take_theme(self, name: str) -> None:
        self.theme = name
        self.remembered.set("theme", name)
