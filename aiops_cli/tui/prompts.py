"""What is typed to go somewhere: the `:` prompt, the clusters, the time range. What can't be taken stays in
its line, with the reason below it."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import TYPE_CHECKING

from aiops_cli.errors import AiopsError, UsageError
from aiops_cli.tui import ranges
from aiops_cli.tui.actions import active, run
from aiops_cli.tui.place import Place, parse, words
from aiops_cli.tui.telling import error_line
from aiops_cli.tui.widgets.dialogs import Ask, Choice

if TYPE_CHECKING:
    from aiops_cli.tui.app import Dashboard


def ask_place(app: Dashboard) -> None:
    """The `:` line."""

    def done(line: str | None) -> None:
        if line and line.strip():
            app.remembered.add_line("prompt", line.strip())
            run_line(app, line)

    screen = app.screen
    ids = [b.id for b, _ in active(screen) if b.id]
    app.push_screen(
        Ask(
            "Go to :",
            history=app.remembered.texts("prompt"),
            words=lambda line: words(line, ids, app.cluster_names),
            hint="view filter key=value @context · or an action's id",
            check=lambda line: refusal(lambda: _place(app, line, ids)),
        ),
        done,
    )


def run_line(app: Dashboard, line: str) -> None:
    """What the prompt was given: a place, `@contexts`, or the id of an action. What it can't be is told."""
    try:
        place = _place(app, line, ids := [b.id for b, _ in active(app.screen) if b.id])
    except AiopsError as error:
        app.notify(error_line(error), severity="warning", markup=False)
        return
    if place is None:
        word = line.strip().removeprefix(":")
        app.call_later(run, app.screen, word if word in ids else "app.quit")
    elif place.view:
        app.go(place)
    else:
        app.choose_scope(place.contexts)


def _place(app: Dashboard, line: str, ids: list[str]) -> Place | None:
    """The place that a line names; None for an action. Raises UsageError."""
    word = line.strip().removeprefix(":")
    if word in (*ids, "q", ""):
        return None
    if "." in word and " " not in word and not word.startswith("@"):
        near = difflib.get_close_matches(word, ids, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "? lists those that do something here, by id"
        raise UsageError(f"there is no action {word!r} here", hint=hint)
    place = parse(word)
    app.matching(place.contexts)
    return place


def ask_range(app: Dashboard) -> None:
    """One of the usual ranges, or one that is typed."""

    def own(text: str | None) -> None:
        if text:
            app.set_range(text)

    def chosen(id: str | None) -> None:
        if id == "own":
            app.push_screen(
                Ask(
                    "Time range",
                    ranges.typed(app.options),
                    hint=ranges.FORMS,
                    check=lambda text: refusal(lambda: app.check_range(text)) if text.strip() else None,
                ),
                own,
            )
        elif id is not None:
            app.set_range(id)

    options = [(r, f"last {r}") for r in ranges.RANGES]
    app.push_screen(Choice("Time range", [*options, ("own", "another…")], app.options.since), chosen)


def ask_scope(app: Dashboard) -> None:
    """Globs of clusters."""

    def globs(text: str) -> list[str]:
        return [w.removeprefix("@") for w in text.split()]

    def done(text: str | None) -> None:
        if text is not None:
            app.choose_scope(globs(text))

    app.push_screen(
        Ask(
            "Clusters @",
            " ".join(app.contexts),
            words=app.cluster_names,
            hint="globs, !glob leaves out · empty: all",
            check=lambda text: refusal(lambda: app.matching(globs(text))),
        ),
        done,
    )


def refusal(take: Callable[[], object]) -> str | None:
    """Why it can't be taken, in a line; None if it can."""
    try:
        take()
    except AiopsError as error:
        return error_line(error)
    return None
