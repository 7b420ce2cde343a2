"""Making a silence, and ending one: nothing is written before a person has read what it would do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widget import Widget
from textual.widgets import Input, Label, Static, TextArea

from aiops_cli.errors import AiopsError, UsageError
from aiops_cli.models.alerts import SilenceItem, SilenceResult
from aiops_cli.models.result import FleetResult
from aiops_cli.models.signals import AlertItem
from aiops_cli.render.silence_views import matchers_text
from aiops_cli.render.text import clock as clock_text
from aiops_cli.render.text import one_line
from aiops_cli.services.fanout import failure_of
from aiops_cli.services.fleet import LiveMember
from aiops_cli.services.matchers import Matcher
from aiops_cli.services.session import Session
from aiops_cli.services.silences import Draft
from aiops_cli.tui import clock
from aiops_cli.tui.actions import act
from aiops_cli.tui.telling import error_line
from aiops_cli.tui.widgets.dialogs import Confirm, Dialog
from aiops_cli.tui.working import start

_LISTED = 40  # alerts that a preview names


@dataclass(frozen=True, slots=True)
class Plan:
    """What a form says, checked, and what a dry run found that it would do."""

    draft: Draft
    members: list[LiveMember]
    covered: FleetResult[AlertItem]
    places: FleetResult[SilenceResult]


def matchers_of(labels: dict[str, str]) -> str:
    """Labels as matchers, one a line, the name of the alert first."""
    from aiops_cli.models.alerts import SilenceMatcher

    names = sorted(labels, key=lambda n: (n != "alertname", n))
    return "\n".join(str(SilenceMatcher(n, labels[n])) for n in names)


def read_matchers(text: str) -> list[Matcher]:
    """The matchers of the form: one a line, or several in braces. Raises UsageError."""
    from aiops_cli.services.matchers import parse_matchers

    return parse_matchers([line.strip() for line in text.splitlines() if line.strip()])


def read_end(text: str, start: float, zone: Any) -> float:
    """Until when, in unix seconds: `2h` from `start`, or a time. Raises UsageError."""
    from aiops_cli.services import times

    said = text.strip()
    if said[:1].isdigit() and not set(said) & set("-:"):
        return start + times.parse_duration(said, "the duration")
    try:
        return times.parse_time(said, start, zone, ahead=True)
    except UsageError:
        raise UsageError(
            f"{said!r} does not say how long: write 30m, 2h or 1d, or until when: 18:00 or 2026-11-25T18:00Z"
        ) from None


async def plan(session: Session, draft: Draft, matchers: Sequence[Matcher], globs: Sequence[str]) -> Plan:
    """A dry run: the alerts it would cover, and the Alertmanagers it would be written to. Raises UsageError."""
    from aiops_cli.services import silence_writes, silences
    from aiops_cli.services.selection import select

    live = session.live
    names = {c.name for c in select(session.clusters, session.settings, contexts=globs)}
    members = [m for m in live if m.name in names]
    places = await silence_writes.create(members, [draft], dry_run=True)
    return Plan(draft, members, await silences.covered(members, matchers), places)


def told(plan: Plan, zone: Any) -> str:
    """A plan in words, for a person to agree to."""
    draft, covered = plan.draft, plan.covered
    lines = [
        f"until {clock_text(draft.ends, zone)}, by {draft.author}: {draft.comment}",
        *(f"  {m}" for m in draft.matchers),
        "",
        f"It would be written to {_many(len(plan.places.rows), 'Alertmanager')}:",
        *(f"  {p.cluster}  {p.endpoint}" for p in plan.places.rows),
    ]
    lines += [f"  {c.name}: {w}" for c in plan.places.clusters for w in c.warnings]
    lines += [f"  ✖ {c.name}: {c.error.message}; not silenced there" for c in plan.places.failed if c.error]
    lines += ["", f"It would cover {_many(len(covered.rows), 'alert')} now:"]
    lines += [
        f"  {a.cluster}  {a.severity or '-'}  {a.state}  {a.name}  {a.labels.get('namespace', '')}  "
        f"{a.annotations.get('summary', '')}".rstrip()
        for a in covered.rows[:_LISTED]
    ]
    if len(covered.rows) > _LISTED:
        lines.append(f"  and {len(covered.rows) - _LISTED} more")
    known = {c.name for c in plan.places.failed}
    lines += [
        f"  ▲ {c.name}: which alerts is not known: {c.error.message}"
        for c in covered.failed
        if c.error and c.name not in known
    ]
    return "\n".join(one_line(line) for line in lines)


def _many(count: int, what: str) -> str:
    return f"no {what}" if not count else f"{count} {what}{'' if count == 1 else 's'}"


class SilenceForm(Dialog):
    """Returns True once a silence was made everywhere it was to be."""

    DEFAULT_CSS = """
    SilenceForm > .box { width: 96%; max-width: 100; height: auto; max-height: 100%; }
    SilenceForm TextArea { height: 6; border: none; padding: 0; background: $panel; }
    SilenceForm Input { border: none; height: 1; padding: 0; background: $panel; width: 1fr; }
    SilenceForm Input:focus { background: $primary 20%; }
    SilenceForm Label { width: 10; color: $primary; }
    SilenceForm Horizontal { height: 1; margin-top: 1; }
    SilenceForm .state { height: auto; max-height: 6; margin-top: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        act("silence.preview", "ctrl+s", "preview", "Preview", "What it would cover, then whether to write it."),
    ]  # fmt: skip

    def __init__(
        self, matchers: str, clusters: str, author: str, made: Callable[[], None] = lambda: None
    ) -> None:
        """`matchers` one a line; `clusters` globs of those it is made in; `made` is called where it was made
        anywhere, also while the form stays for the rest."""
        super().__init__()
        self._made = made
        self._values = {"for": "2h", "clusters": clusters, "author": author, "comment": ""}
        self._matchers = matchers
        self._asking = self._writing = False
        self._typed_in: Widget | None = None

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="box") as box:
            box.border_title = "Silence · matchers, one a line"
            box.border_subtitle = "tab next field · ctrl+s previews (nothing is written) · esc leaves"
            yield TextArea(self._matchers, id="matchers", show_line_numbers=False, compact=True)
            for name, hint in (
                ("for", "30m, 2h, 1d, or until when: 18:00, 2026-11-25T18:00Z"),
                ("clusters", "globs of clusters"),
                ("comment", "why; required"),
                ("author", ""),
            ):
                with Horizontal():
                    yield Label(name)
                    yield Input(
                        self._values[name], placeholder=hint, id=name, compact=True, select_on_focus=False
                    )
            yield Static("", classes="state", markup=False)

    def on_mount(self) -> None:
        self.query_one("#comment" if self._matchers else "#matchers").focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_preview()

    def action_close(self) -> None:
        if self._writing:
            self._say("it is being written: wait for what becomes of it")
            return
        super().action_close()

    def action_preview(self) -> None:
        if self._asking or self._writing:
            return
        app: Any = self.app
        session: Session = app.asked()
        try:
            matchers = read_matchers(self.query_one("#matchers", TextArea).text)
            now = clock.now()
            draft = Draft(
                [m.wire for m in matchers],
                now,
                read_end(self._value("for"), now, session.zone),
                self._value("author"),
                self._value("comment"),
            )
            draft.check(now)
        except UsageError as error:
            self._say(f"✖ {error.message}{_hint(error)}")
            return
        globs = self._value("clusters").replace(",", " ").split()
        self._say("asking what it would cover…")
        self._hold(True)
        start(self, lambda: self._preview(session, draft, matchers, globs), group="silence")

    async def _preview(
        self, session: Session, draft: Draft, matchers: list[Matcher], globs: list[str]
    ) -> None:
        app: Any = self.app
        try:
            made: Plan = await app.backend.ask(plan(session, draft, matchers, globs or ["*"]))
        except Exception as error:
            failed = failure_of("", error)
            self._say(f"✖ {error_line(failed)}")
            return
        finally:
            self._hold(False)
        if not self.is_current:
            self._say("not asked, since something else was open: ctrl+s previews anew")
            return
        if not made.places.rows:
            why = [f"✖ {c.name}: {error_line(c.error)}" for c in made.places.failed if c.error]
            self._say("\n".join(why[:4]) or "✖ no cluster to write to")
            return
        self._say("")

        def answered(yes: bool | None) -> None:
            if yes:
                self._writing = True
                self._say("writing…")
                start(self, lambda: self._write(made), group="write", exclusive=False)

        app.push_screen(Confirm("Make this silence?", told(made, session.zone)), answered)

    async def _write(self, made: Plan) -> None:
        from aiops_cli.services import silence_writes

        app: Any = self.app
        done: list[SilenceResult] = []
        draft = replace(made.draft, starts=clock.now())
        try:
            result = await app.backend.ask(silence_writes.create(made.members, [draft], done=done))
        except Exception as error:
            failed = failure_of("", error)
            self._writing = False
            self._say(f"{_done(done)}✖ {error_line(failed)}")
            if done:
                self._made()
            return
        self._writing = False
        if result.rows:
            self._made()
        troubles = [f"✖ {c.name}: {c.error.message}" for c in result.failed if c.error]
        troubles += [f"▲ {c.name}: {w}" for c in result.clusters for w in c.warnings if c.status == "PARTIAL"]
        app.notify("\n".join(f"{r.cluster}: silence {r.id} made" for r in result.rows), markup=False)
        if not troubles:
            self.dismiss(True)
            return
        # Once more would make a second one where the first was made.
        clusters = self.query_one("#clusters", Input)
        clusters.value = " ".join(c.name for c in result.failed)
        clusters.focus()
        self.query_one(".box").border_subtitle = "ctrl+s tries the clusters that are left · esc leaves it so"
        self._say("\n".join([_done(result.rows).strip(), *troubles]))

    def _hold(self, asking: bool) -> None:
        """What is typed while it asks would change neither what was asked nor what is agreed to."""
        if asking:
            self._typed_in = self.focused
        self._asking = asking
        if not self.is_attached:
            return
        self.query_one(".box").disabled = asking
        if not asking and self._typed_in is not None:
            self._typed_in.focus()

    def _value(self, name: str) -> str:
        return self.query_one(f"#{name}", Input).value.strip()

    def _say(self, text: str) -> None:
        shown = "\n".join(one_line(line) for line in text.split("\n"))
        self.query_one(".state", Static).update(shown)


def _hint(error: UsageError) -> str:
    """Its hint, unless that is about the command line."""
    return "" if "--" in error.hint or "aiops " in error.hint else f"; {error.hint}"


def _done(rows: Sequence[SilenceResult]) -> str:
    return "".join(f"{r.cluster}: {r.id} was made\n" for r in rows)


def expiry(silence: SilenceItem, dry: FleetResult[SilenceResult], now: float) -> str:
    """What ending a silence would do, for a person to agree to."""
    from aiops_cli.render.silence_views import distance

    kept = "not known how many" if silence.alerts is None else str(silence.alerts)
    lines = [
        f"{silence.id} by {silence.created_by}: {silence.comment}",
        f"  {matchers_text(silence.matchers)}",
        f"  it ends {distance(silence.ends_at, now)}; alerts it keeps quiet now: {kept}",
        "",
        *(f"{r.cluster}  {r.endpoint}  {r.result}" for r in dry.rows),
        *(f"✖ {c.name}: {c.error.message}" for c in dry.failed if c.error),
    ]
    return "\n".join(one_line(line) for line in lines)


async def expire(session: Session, silence: SilenceItem, *, dry_run: bool) -> FleetResult[SilenceResult]:
    """End it in its cluster, whose Alertmanagers pass it on. Raises AiopsError where nothing was done."""
    from aiops_cli.services import silence_writes

    members = [m for m in session.live if m.name == silence.cluster]
    found, missing = await silence_writes.expire(members, [silence.id], dry_run=dry_run)
    if missing and not found.failed:
        raise UsageError(f"silence {silence.id} is not there any more", hint="r reads the list again")
    return found


def ask_expiry(board: Any, silence: SilenceItem, ended: Any) -> None:
    """Ask whether to end a silence, end it, and call `ended` then."""
    app = board.dashboard

    async def ask() -> None:
        session = app.asked()
        try:
            dry = await app.backend.ask(expire(session, silence, dry_run=True))
        except AiopsError as error:
            board.notify(error_line(error), severity="warning", markup=False)
            return
        if not board.is_current:
            board.notify(
                "the silence goes on: one was elsewhere before it could be asked", severity="warning"
            )
            return

        def answered(yes: bool | None) -> None:
            if yes:
                start(board, lambda: end(session), group="expire", exclusive=False)

        app.push_screen(Confirm("End this silence now?", expiry(silence, dry, session.now)), answered)

    async def end(session: Session) -> None:
        try:
            done = await app.backend.ask(expire(session, silence, dry_run=False))
        except AiopsError as error:
            board.notify(f"✖ {error_line(error)}", severity="error", markup=False)
            return
        for c in done.failed:
            board.notify(f"✖ {c.name}: {c.error.message if c.error else ''}", severity="error", markup=False)
        if done.rows:
            board.notify(
                "\n".join(f"{r.cluster}: silence {r.id} {r.result.lower()}" for r in done.rows), markup=False
            )
        ended()

    start(board, ask, group="expire-ask")
