"""What the other signals know of a row, as `--related` of the command line: a list whose rows jump.

    show_related(board, "alert X", lambda horizon: related_subjects.of_alerts([alert], horizon))
    show_related(board, "node west-a", node("west", "Node", "west-a", None, at))

`board` is the screen that asks. The second text says what the rows are about. The third makes subjects
(`services.related_subjects.of_alerts`, `of_metrics`, `of_logs`, `of_traces`, `of_spans`, `of_events`, or
`thing` here for a Kubernetes object); it runs on the backend and gets the times that may be looked at.
`enter` on a row opens its screen at its time, and `esc` there comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from aiops_cli.models.related import RelatedItem, Subject
from aiops_cli.models.result import FleetResult
from aiops_cli.render.text import one_line
from aiops_cli.services.fanout import Progress, failure_of
from aiops_cli.tui.commands import place_of
from aiops_cli.tui.place import Place
from aiops_cli.tui.watching import Watched, so_far, watched
from aiops_cli.tui.widgets.dialogs import Detail, Dialog
from aiops_cli.tui.widgets.grid import Grid
from aiops_cli.tui.widgets.panel import gaps
from aiops_cli.tui.working import start

if TYPE_CHECKING:
    from aiops_cli.services.related_subjects import Horizon
    from aiops_cli.tui.board import Board

Subjects = Callable[["Horizon"], Sequence[Subject]]
_MOST = 5  # things that are followed at once


def show_related(board: Board, about: str, subjects: Subjects) -> None:
    """Open the list over `board`, and what is chosen in it."""

    def chosen(place: Place | None) -> None:
        if place is not None:
            board.go(place)

    board.app.push_screen(Related(about, subjects), chosen)


def thing(
    cluster: str, kind: str, name: str, namespace: str | None = None, at: float | None = None
) -> Subjects:
    """The subject of a Kubernetes object, at a moment (unix seconds; now or a bundle's end without one)."""

    def made(horizon: Horizon) -> list[Subject]:
        from aiops_cli.analysis.subjects import subject_of_object

        times = horizon.around(horizon.limits.end if at is None else at)
        return [subject_of_object(cluster, "object", kind, name, namespace, *times)]

    return made


async def look(session: Watched, subjects: Subjects) -> FleetResult[RelatedItem]:
    """Ask the clusters that the subjects are of; around each row's moment, whatever range is shown."""
    from aiops_cli.models.timerange import TimeRange
    from aiops_cli.services.related import Scene, related
    from aiops_cli.services.related_subjects import Horizon, distinct

    limits = TimeRange(0.0, session.now)
    if session.bundle is not None:
        limits = TimeRange(session.bundle.manifest.start, session.bundle.manifest.end)
    chosen, _ = distinct(subjects(Horizon(limits)), _MOST)
    if not chosen:
        return FleetResult([], [])
    window = TimeRange(min(s.start for s in chosen), max(s.end for s in chosen))
    scene = Scene(session.step(window), session.now, session.given, session.cache_policy())
    return await related(session.members, chosen, scene, watch=session.watcher())


class Related(Dialog):
    """Returns the place of the row that was opened, or None."""

    DEFAULT_CSS = """
    Related > .box { width: 94%; max-width: 170; height: 85%; }
    Related .notice { padding: 1 1; height: auto; }
    Related Grid { display: none; background: $surface; }
    Related.-found Grid { display: block; }
    Related.-found .notice { display: none; }
    """

    def __init__(self, about: str, subjects: Subjects) -> None:
        super().__init__()
        self._about, self._subjects = about, subjects
        self._grid: Grid[RelatedItem] = Grid(
            _view(None, several=False), key=lambda i: i.command, id="related"
        )

    def compose(self) -> ComposeResult:
        with Vertical(classes="box") as box:
            box.border_title = Text(f"Related to {one_line(self._about)}")
            box.border_subtitle = "looking…"
            yield Static("looking…", classes="notice", markup=False)
            yield self._grid

    def on_mount(self) -> None:
        self._ask()

    def _ask(self) -> None:
        self.remove_class("-found")
        start(self, self._look, group="related")

    async def _look(self) -> None:
        app: Any = self.app
        session = watched(app.asked(), self._told)
        try:
            found = await app.backend.ask(look(session, self._subjects))
        except Exception as error:
            failed = failure_of("", error)
            self._say(f"✖ {failed.message}", failed.hint)
            return
        missing = gaps(found)
        if not found.rows:
            nothing = "no other signal knows anything of it around its time"
            self._say(nothing if found.clusters else "there is nothing here to start from", missing)
            return
        several = len({r.subject for r in found.rows}) > 1
        self._grid.show(found.rows, _view(session.zone, several=several))
        self.add_class("-found")
        self._grid.focus()
        self._subtitle(
            " · ".join(
                filter(
                    None, ("enter opens", "space detail", "c copies the command", missing and f"▲ {missing}")
                )
            )
        )

    def _told(self, progress: Progress) -> None:
        if self.is_attached and not self.has_class("-found"):
            self._say(f"looking… {so_far(progress)}")

    def _say(self, *lines: str) -> None:
        self.query_one(".notice", Static).update("\n".join(one_line(line) for line in lines if line))
        self._subtitle("esc closes")

    def _subtitle(self, text: str) -> None:
        self.query_one(".box").border_subtitle = Text(one_line(text))

    def on_grid_opened(self, event: Grid.Opened) -> None:
        item: RelatedItem = event.item
        if (place := place_of(item.command, item.at)) is not None:
            self.dismiss(place)
        elif (object_ := _object(item)) is not None:
            self._about, self._subjects = object_
            self.query_one(".box").border_title = Text(f"Related to {one_line(self._about)}")
            self._ask()
        else:
            self.app.push_screen(Detail(item.summary, item))


def _object(item: RelatedItem) -> tuple[str, Subjects] | None:
    """What a row about a Kubernetes object leads to: what is related to that."""
    import shlex

    from aiops_cli.services.times import unix

    words = shlex.split(item.command)
    if words[:2] != ["aiops", "related"]:
        return None
    kind, _, name = words[2].partition("/")
    options = dict(w.split("=", 1) for w in words[3:] if w.startswith("--") and "=" in w)
    at = unix(options.get("--at"))
    return f"{kind} {name}", thing(item.cluster, kind, name, options.get("--namespace"), at)


def _view(zone: Any, *, several: bool) -> Any:
    """`--related`'s columns; whose each row is only where there are several."""
    from dataclasses import replace

    from aiops_cli.render.related_view import related_view

    view = related_view(zone)
    hidden = () if several else ("cluster", "subject")
    return replace(view, columns=[c for c in view.columns if c.title not in hidden])
