"""A view of the GPU or CNF screen: a table, the chosen row in full, and what is wrong, which leads to its row."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from textual.app import ComposeResult
from textual.containers import Container
from textual.widget import Widget

from aiops_cli.models.findings import Finding
from aiops_cli.models.result import FleetResult
from aiops_cli.render.finding_views import finding_view
from aiops_cli.render.output import Column, View
from aiops_cli.services.session import Session
from aiops_cli.tui.feed import Feed
from aiops_cli.tui.themes import SIGNS, level, sign
from aiops_cli.tui.widgets.grid import Grid
from aiops_cli.tui.widgets.panel import Panel
from aiops_cli.tui.widgets.part import part

if TYPE_CHECKING:
    from aiops_cli.services.fleet import Member
    from aiops_cli.tui.app import Dashboard

T = TypeVar("T")
Answer = tuple[FleetResult[T], Sequence[Finding]]
_RANKS = {"fatal": 0, "error": 0, "warn": 1, "ok": 3}
NARROW = 110  # cells from which on all columns have room
_SETTLED = 0.25  # seconds that the cursor rests before more is asked of its row
_FEWEST, _AROUND = 2, 2  # rows at least; lines of titles


@dataclass(frozen=True, slots=True)
class Thing:
    """What a row is about, for the ways to other screens. `daemon` is the DaemonSet whose pod on the node of that
    name logs about it, `query` the PromQL that measures it."""

    cluster: str
    kind: str
    name: str
    namespace: str | None = None
    daemon: str = ""
    query: str = ""


class DeviceTab(Container, Generic[T]):
    """A subclass asks (`ask`), says which row a finding is about (`concerned`) and what a row is (`thing`), and
    shows one in full (`inside`, `follow`). `second` is what is asked of the chosen row alone."""

    DEFAULT_CSS = """
    DeviceTab { layout: vertical; height: 1fr; }
    DeviceTab > .detail { display: none; }
    DeviceTab > .findings { max-height: 40%; height: 4; }
    """
    NAME: ClassVar[str]
    TITLE: ClassVar[str]
    EMPTY: ClassVar[str]
    WELL: ClassVar[str]

    def __init__(self, view: View[T], *, judge: Callable[[T], str | None] | None = None) -> None:
        super().__init__(id=f"{self.NAME}-tab", classes=f"tab -of-{self.NAME}")
        self.key = view.name
        self.found: FleetResult[T] = FleetResult([], [])
        self.told: Sequence[Finding] = ()
        self.wanted: dict[str, str] = {}
        self.wanted_name = ""
        self.feed: Feed[Any] | None = None
        self.second: Feed[Any] | None = None
        self.chosen: T | None = None
        self._worst: dict[Hashable, Finding] = {}
        self._judge = judge or self._severity
        self._settling: Any = None
        self.grid: Grid[T] = Grid(self._marked(view, judge is None), judge=self._judge, id=self.NAME)
        self.findings: Grid[Finding] = Grid(
            finding_view(None), judge=lambda f: f.severity, id=f"{self.NAME}-findings"
        )

    # What a subclass says

    async def ask(self, session: Session) -> Any:
        """On the backend."""
        raise NotImplementedError

    def split(self, answer: Any) -> Answer[T]:
        """Rows and findings of an answer."""
        return cast("Answer[T]", answer)

    def view(self, rows: Sequence[T], zone: tzinfo | None, *, narrow: bool) -> View[T]:
        raise NotImplementedError

    def inside(self) -> ComposeResult:
        raise NotImplementedError

    def follow(self, item: T | None) -> None:
        """Show this one in full."""
        raise NotImplementedError

    def ask_more(self) -> Callable[[Session], Coroutine[Any, Any, Any]] | None:
        """What is asked of the chosen row alone."""
        return None

    def show_more(self, answer: Any) -> None:
        """Show that."""

    def places(self, item: T) -> tuple[set[str], set[str]]:
        """Nodes and namespaces that a row is on and in."""
        raise NotImplementedError

    def concerned(self, finding: Finding) -> T | None:
        raise NotImplementedError

    def thing(self, item: T) -> Thing:
        raise NotImplementedError

    def thing_inside(self, grid: Grid[Any]) -> Thing | None:
        """Of the cursor in a table of the detail; None where it is on nothing but the row."""
        return None

    def within(self) -> Widget:
        """Of the detail what has the keys first."""
        raise NotImplementedError

    def lead_inside(self, finding: Finding) -> None:
        """Put the cursor, in the detail, on what a finding is about."""

    # What is shown

    def compose(self) -> ComposeResult:
        yield Panel(self.TITLE, self.grid, empty=self.EMPTY, id=f"on-{self.NAME}", classes="list")
        yield Panel(
            "Detail", *self.inside(), empty="nothing is chosen", id=f"{self.NAME}-detail", classes="detail",
            names_gaps=False,
        )  # fmt: skip
        yield Panel(
            "Findings", self.findings, empty=self.WELL, id=f"{self.NAME}-told", classes="findings",
            names_gaps=False,
        )  # fmt: skip

    @property
    def dashboard(self) -> Dashboard:
        return cast("Dashboard", self.app)

    def member(self, session: Session, cluster: str) -> Member | None:
        return next((m for m in session.members if m.name == cluster), None)

    def follow_feed(self, feed: Feed[Any]) -> None:
        """Let the panels tell the state of this feed."""
        self.feed = feed
        rows = part(feed, lambda a: self.split(a)[0])
        self.query_one(f"#on-{self.NAME}", Panel).follow(rows)
        self.query_one(f"#{self.NAME}-detail", Panel).follow(rows)
        findings = part(feed, lambda a: self.split(a)[0].with_rows(list(self.split(a)[1])))
        self.query_one(f"#{self.NAME}-told", Panel).follow(findings)

    def take(self, answer: Any) -> None:
        self.found, self.told = self.split(answer)
        self.index(self.found.rows)
        self._worst = {}
        for finding in self.told:  # the worst come first
            if (item := self.concerned(finding)) is not None:
                self._worst.setdefault(self.key(item), finding)
        self.put()

    def index(self, rows: Sequence[T]) -> None:
        """Make what `concerned` looks rows up by."""

    def put(self) -> None:
        """The rows that are wanted, those that are wrong first, and titles that say so."""
        zone, narrow = self.dashboard.zone, self.dashboard.size.width < NARROW
        rows = sorted((r for r in self.found.rows if self._fits(r)), key=self._rank)
        told = [f for f in self.told if self._is_here(f)]
        view = self.view(rows, zone, narrow=narrow)
        self.grid.show(rows, self._marked(view, self._judge == self._severity))
        self.findings.show(told, _finding_view(zone, told, narrow=narrow))
        panel = self.query_one(f"#{self.NAME}-told", Panel)
        panel.styles.height = max(len(told), _FEWEST) + _AROUND
        panel.empty = self.WELL if self.found.rows else "there is nothing to judge"
        panel.retitle(f"Findings {len(told) or ''}".strip())
        table = self.query_one(f"#on-{self.NAME}", Panel)
        table.retitle(self._title(rows))
        table.styles.height = max(len(rows), _FEWEST) + _AROUND if self.screen.has_class("-tall") else "1fr"
        if self.wanted_name and self.found.clusters:
            self._open_wanted()
        elif not rows:
            self.choose(None)

    def _title(self, rows: Sequence[T]) -> str:
        count = f"{self.TITLE} {len(rows)}" if rows else self.TITLE
        levels = [level(self._judge(r)) for r in rows]
        bad, doubtful = sum(lv in ("fatal", "error") for lv in levels), levels.count("warn")
        marks = [f"{SIGNS['fatal']} {bad}"] * bool(bad) + [f"{SIGNS['warn']} {doubtful}"] * bool(doubtful)
        said = [f"on node {self.wanted['node']}"] if "node" in self.wanted else []
        said += [f"in {self.wanted['ns']}"] if "ns" in self.wanted else []
        return " · ".join([" ".join([count, *marks]), *said, *self.extra()])

    def heading(self, item: T) -> str:
        """The title of the detail."""
        return self.key(item)

    def extra(self) -> Iterable[str]:
        """What more the title of the table says."""
        return ()

    @property
    def note(self) -> str:
        """How much is wrong, for the line of views."""
        critical = sum(f.severity == "critical" for f in self.told)
        warning = sum(f.severity == "warning" for f in self.told)
        return " ".join(
            [f"{SIGNS['fatal']}{critical}"] * bool(critical) + [f"{SIGNS['warn']}{warning}"] * bool(warning)
        )

    def _marked(self, view: View[T], marks: bool) -> View[T]:
        """With the sign of its worst finding before each row, where the row has no verdict of its own."""
        if not marks:
            return view
        column: Column[T] = Column(
            "!",
            lambda i: sign(self._severity(i)) if self._severity(i) else SIGNS["ok"],
            plain=lambda i: _RANKS.get(level(self._severity(i)) or "", 2),
        )
        return replace(view, columns=[column, *view.columns])

    def _severity(self, item: T) -> str | None:
        finding = self._worst.get(self.key(item))
        return finding.severity if finding is not None else None

    def _rank(self, item: T) -> int:
        return _RANKS.get(level(self._judge(item)) or "", 2)

    def _fits(self, item: T) -> bool:
        nodes, spaces = self.places(item)
        return (not nodes or self.wanted.get("node") in (None, *nodes)) and (
            not spaces or self.wanted.get("ns") in (None, *spaces)
        )

    def _is_here(self, finding: Finding) -> bool:
        """As its row; what is about no row is on no node yet."""
        if (item := self.concerned(finding)) is not None:
            return self._fits(item)
        return "node" not in self.wanted and self.wanted.get("ns") in (None, finding.entity.namespace)

    # The chosen row

    def choose(self, item: T | None) -> None:
        """Show a row in full, and ask what more there is of it once the cursor rests."""
        other = item is None or self.chosen is None or self.key(item) != self.key(self.chosen)
        self.chosen = item
        self.follow(item)
        self.query_one(f"#{self.NAME}-detail", Panel).retitle(
            "Detail" if item is None else self.heading(item)
        )
        if other and self.second is not None:
            self.second.pause()
            if self._settling is not None:
                self._settling.stop()
            self._settling = self.set_timer(_SETTLED, self.more)

    def more(self) -> None:
        """Ask of the chosen row, if it is seen in full."""
        if self.second is not None and self.is_full and self.screen.is_current:
            self.second.refresh(anew=True)
            self.second.start()

    @property
    def is_full(self) -> bool:
        """Whether a row is seen in full."""
        shown = self.display and self.query_one(f"#{self.NAME}-detail").display
        return self.chosen is not None and shown

    def select(self, item: T) -> None:
        """Put the cursor on it; a filter that hides it ends."""
        if not self.grid.select(self.key(item)):
            self.wanted, self.grid.faults = {}, False
            self.grid.set_filter("")
            self.put()
            self.grid.select(self.key(item))
        self.choose(item)

    def _open_wanted(self) -> None:
        name, self.wanted_name = self.wanted_name, ""
        item = next((r for r in self.found.rows if self.key(r) == name), None)
        item = item or next((r for r in self.found.rows if self.key(r).endswith(f"/{name}")), None)
        if item is None:
            self.app.notify(f"there is no {name} among {self.TITLE}", severity="warning", markup=False)
        else:
            self.select(item)
            self.screen.open_detail()  # type: ignore[attr-defined]

    # What the keys are about

    def pointed(self) -> tuple[Thing | None, str | None]:
        """What the cursor is on, in the table that has the keys, and when it went wrong (RFC 3339)."""
        focused = self.screen.focused
        if focused is self.findings and (finding := self.findings.selected) is not None:
            item = self.concerned(finding)
            return (_of(finding) if item is None else self.thing(item)), finding.since
        if isinstance(focused, Grid) and focused is not self.grid and (inner := self.thing_inside(focused)):
            return inner, self.moment()
        item = self.chosen if self._is_inside(focused) else self.grid.selected
        return (None, None) if item is None else (self.thing(item), self.moment())

    def _is_inside(self, widget: Widget | None) -> bool:
        return widget is not None and self.query_one(f"#{self.NAME}-detail") in widget.ancestors

    def moment(self) -> str | None:
        """When the chosen row's worst finding began."""
        finding = None if self.chosen is None else self._worst.get(self.key(self.chosen))
        return finding.since if finding is not None else None


def narrowed(view: View[T], clusters: int, keep: Iterable[str], hide: Iterable[str] = ()) -> View[T]:
    """For little room: names whole (`keep`), without an only cluster and what can be done without (`hide`)."""
    hidden = {*hide, *(("cluster",) if clusters < 2 else ())}
    columns = [
        replace(c, wide=c.wide or c.title in hidden, keep=c.keep or c.title in keep) for c in view.columns
    ]
    return replace(view, columns=columns)


def _finding_view(zone: tzinfo | None, told: Sequence[Finding], *, narrow: bool) -> View[Finding]:
    """Where there is little room the text goes before code and end, which it tells."""
    view = finding_view(zone, told, brief=True)
    if not narrow:
        return view
    return replace(
        view, columns=[replace(c, wide=c.wide or c.title in ("code", "until")) for c in view.columns]
    )


def _of(finding: Finding) -> Thing:
    entity = finding.entity
    kind = entity.kind if entity.kind[:1].isupper() else "Node"
    return Thing(finding.cluster, kind, entity.name.partition("/")[0], entity.namespace)
