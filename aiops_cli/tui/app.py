"""The dashboard's app: the session behind it, where one is and was, the range, the clusters, the theme."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from datetime import tzinfo
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from textual import events
from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.screen import ModalScreen, Screen

from aiops_cli.errors import AiopsError
from aiops_cli.models.options import Options
from aiops_cli.services.session import Session, open_session
from aiops_cli.tui import clock
from aiops_cli.tui.actions import act, active, run
from aiops_cli.tui.backend import Backend
from aiops_cli.tui.board import Board
from aiops_cli.tui.in_order import InOrder
from aiops_cli.tui.kept import Kept
from aiops_cli.tui.place import Place, parse, words
from aiops_cli.tui.remembered import Remembered
from aiops_cli.tui.screens import SCREENS
from aiops_cli.tui.telling import error_line
from aiops_cli.tui.themes import DEFAULT, NAMES, PLAIN, THEMES
from aiops_cli.tui.trail import Trail
from aiops_cli.tui.widgets.bars import Where
from aiops_cli.tui.widgets.grid import Grid

if TYPE_CHECKING:
    from aiops_cli.services.fleet import Member

T = TypeVar("T")
RANGES = ("5m", "15m", "1h", "3h", "6h", "12h", "24h", "2d", "7d")
_SERVER_SECONDS = 2.0  # between looks whether the server of --serve still runs
_END_SECONDS = 5.0  # for what is left to do once the terminal is gone


async def _nothing() -> None:
    return None


class Dashboard(App[AiopsError]):
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
        self.remembered = Remembered(trouble=self._cannot_remember)
        self.kept = Kept(options)
        self.ready = asyncio.Event()
        self.session: Session | None = None
        self.contexts: tuple[str, ...] = ()
        self.trail = Trail()
        self._in_order = InOrder(self, super().on_event)
        self._chosen: tuple[str, ...] = ()  # by `@`; a place may narrow it to its own cluster
        self._last = ""
        self._members: Sequence[Member] = ()
        self._close: Callable[[], Awaitable[None]] = _nothing
        self._start = start
        for theme in THEMES:
            self.register_theme(theme)
        theme_name = self.remembered.text("theme")
        self.theme = theme_name if theme_name in self.available_themes else DEFAULT
        if not (options.since or options.start or options.end) and options.bundle is None:
            self.options = replace(options, since=_duration(self.remembered.text("since"), "1h"))

    # What is asked

    @property
    def live(self) -> bool:
        """Whether clusters are asked, not a bundle."""
        return self.options.bundle is None

    @property
    def now(self) -> float:
        """Unix seconds; on a bundle its end."""
        return (
            self.session.now if self.session is not None and self.session.bundle is not None else clock.now()
        )

    @property
    def zone(self) -> tzinfo | None:
        """The time zone of what is shown; None for this machine's."""
        return self.session.zone if self.session is not None else None

    def asked(self) -> Session:
        """The session as it is asked now: the clusters in scope, the time range up to now."""
        assert self.session is not None, "feeds wait for `ready`"
        return replace(
            self.session,
            now=self.now,
            options=self.options,
            members=self._members,
            clusters=[m.cluster for m in self._members],
        )

    @property
    def members(self) -> Sequence[Member]:
        """The clusters in scope."""
        return self._members

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key | events.Paste) and not event.is_forwarded:
            await self._in_order.take(event)
        else:
            await super().on_event(event)

    async def on_mount(self) -> None:
        if self.is_web:
            server = os.getppid()
            self.set_interval(_SERVER_SECONDS, lambda: None if os.getppid() == server else self.exit())
        elif not self.is_headless:
            self._end_by_signals()
            few_colours = self.console.color_system == "standard" and not self.remembered.text("theme")
            if self.no_color or few_colours:
                self.theme = PLAIN
        if self._start is None:
            name = self.remembered.text("screen", "fleet")
            self._start = self._place_of(name if name in SCREENS else "fleet")
        self.go(self._start)
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
        if self.contexts:
            self._choose(self.contexts)
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
            grid.set_filter(str(said.get("filter", "")))
        except AiopsError:
            grid.set_filter("")

    def remember_grid(self, name: str, grid: Grid[Any]) -> None:
        state = {"filter": grid.filter_text, "order": grid.order, "wide": grid.wide, "faults": grid.faults}
        self.remembered.put("grids", name, state)

    def remember_place(self) -> None:
        """The text of the screen that is shown: its filter or query, for when it is opened again."""
        board = next((s for s in reversed(self.screen_stack) if isinstance(s, Board)), None)
        if board is not None and board.is_attached:
            self.remembered.put("places", board.NAME, board.place().text)

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

    @property
    def scope_text(self) -> str:
        if self.contexts:
            return " ".join(f"@{c}" for c in self.contexts)
        n = len(self._members)
        return f"{n} cluster{'s' * (n != 1)}" if self.session else ""

    @property
    def range_text(self) -> str:
        o = self.options
        if o.since:
            return f"last {o.since}"
        if o.start or o.end:
            return " to ".join(filter(None, (o.start, o.end or "now")))
        if self.session is None or self.session.bundle is None:
            return ""
        manifest = self.session.bundle.manifest
        return f"{clock.text(manifest.start)} to {clock.text(manifest.end)}"

    @property
    def origin_text(self) -> str:
        return "" if self.live else f"bundle {Path(str(self.options.bundle)).name}"

    def go(self, place: Place) -> None:
        """Open a place; the one left can be come back to, with the clusters it had."""
        self._leave()
        self.trail.visit(place)
        self._show(place)

    def _leave(self) -> None:
        while isinstance(self.screen, ModalScreen):
            self.pop_screen()
        if isinstance(self.screen, Board) and self.screen.is_attached:
            self.trail.left_as(replace(self.screen.place(), contexts=self.contexts or ("*",)))
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

    def _choose_scope(self, contexts: Sequence[str]) -> None:
        self.set_scope(contexts)
        self._chosen = self.contexts

    def set_scope(self, contexts: Sequence[str]) -> None:
        """Ask only clusters that match; none, all again."""
        chosen = () if tuple(contexts) in ((), ("*",)) else tuple(contexts)
        if chosen == self.contexts:
            return
        if self.session is not None and not self._choose(chosen):
            return
        self.contexts = chosen
        self._scope_changed()

    def _choose(self, contexts: Sequence[str]) -> bool:
        from aiops_cli.services.selection import select

        assert self.session is not None
        try:
            names = {c.name for c in select(self.session.clusters, self.session.settings, contexts=contexts)}
        except AiopsError as error:
            self.notify(error_line(error), severity="warning", markup=False)
            return False
        self._members = (
            [m for m in self.session.members if m.name in names] if contexts else self.session.members
        )
        return True

    def set_range(self, text: str) -> None:
        """`1h`, or `FROM to TO` in the forms of --from and --to; nothing where it can't be read."""
        from aiops_cli.services import times

        start, _, end = (p.strip() for p in text.partition(" to "))
        spans = bool(end) or not start[:1].isdigit() or ":" in start or "-" in start
        try:
            if spans:
                times.parse_window(None, start or None, end or None, clock.now())
            else:
                times.parse_duration(start, "the range")
        except AiopsError as error:
            self.notify(error_line(error), severity="warning", markup=False)
            return
        self.options = replace(
            self.options,
            since=None if spans else start,
            start=start or None if spans else None,
            end=end or None,
        )
        if not spans:
            self.remembered.set("since", start)
        self._scope_changed()

    def _scope_changed(self) -> None:
        for name in SCREENS:
            if self.is_screen_installed(name):
                board = self.get_screen(name)
                if isinstance(board, Board) and board.is_attached:
                    board.scope_changed()
        self._tell_where()

    # Actions

    def action_go(self, name: str) -> None:
        if not isinstance(self.screen, Board) or name == self.screen.NAME:
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
        from aiops_cli.tui.widgets.dialogs import Ask

        def done(line: str | None) -> None:
            if line and line.strip():
                self.remembered.add_line("prompt", line.strip())
                self.run_line(line)

        ids = [b.id for b, _ in active(self.screen) if b.id]
        names = [c.name for c in self.session.clusters] if self.session else []
        self.push_screen(
            Ask("Go to :", history=self.remembered.texts("prompt"), words=lambda line: words(line, ids, names),
                hint="view filter key=value @context · or an action's id"),
            done,
        )  # fmt: skip

    def run_line(self, line: str) -> None:
        """What the prompt was given: a place, `@contexts`, or the id of an action."""
        word = line.strip().removeprefix(":")
        for binding, _ in active(self.screen):
            if binding.id == word or (word == "q" and binding.id == "app.quit"):
                self.call_later(run, self.screen, str(binding.id))
                return
        try:
            place = parse(word)
        except AiopsError as error:
            self.notify(error_line(error), severity="warning", markup=False)
            return
        self.go(place) if place.view else self._choose_scope(place.contexts)

    def action_help(self) -> None:
        from aiops_cli.tui.widgets.dialogs import Help

        if isinstance(self.screen, Board):
            self.push_screen(Help(self.screen))

    def action_range(self) -> None:
        from aiops_cli.tui.widgets.dialogs import Ask, Choice

        def own(text: str | None) -> None:
            if text:
                self.set_range(text)

        def chosen(id: str | None) -> None:
            if id == "own":
                self.push_screen(Ask("Time range", self.range_text.removeprefix("last "),
                                     hint="90m · now-6h to now-5h · 2026-11-24T10:00Z to now"), own)  # fmt: skip
            elif id is not None:
                self.set_range(id)

        options = [(r, f"last {r}") for r in RANGES]
        self.push_screen(Choice("Time range", [*options, ("own", "another…")], self.options.since), chosen)

    def action_scope(self) -> None:
        from aiops_cli.tui.widgets.dialogs import Ask

        def done(text: str | None) -> None:
            if text is not None:
                self._choose_scope([w.removeprefix("@") for w in text.split()])

        names = [c.name for c in self.session.clusters] if self.session else []
        self.push_screen(
            Ask(
                "Clusters @",
                " ".join(self.contexts),
                words=names,
                hint="globs, !glob leaves out · empty: all",
            ),
            done,
        )

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
            yield SystemCommand(binding.description, f"{keys}  {binding.tooltip}", later)
        for name in self.available_themes:
            yield SystemCommand(f"Theme {name}", "", lambda name=name: self._take_theme(name))

    def _take_theme(self, name: str) -> None:
        self.theme = name
        self.remembered.set("theme", name)


def _duration(text: str, default: str) -> str:
    """A duration that was remembered, where it is one."""
    from aiops_cli.services.times import parse_duration

    try:
        return text if text and parse_duration(text) > 0 else default
    except AiopsError:
        return default
