"""Ways from what a row is about to its log lines and traces: the cluster's own labels decide the query, so
it is asked first, and the screen opens when that is known.

    follow(board, "logs", subject)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from aiops_cli.errors import AiopsError
from aiops_cli.models.related import Subject
from aiops_cli.services.times import rfc3339
from aiops_cli.tui.place import Place
from aiops_cli.tui.telling import error_line
from aiops_cli.tui.working import start

if TYPE_CHECKING:
    from aiops_cli.tui.board import Board


def follow(board: Board, view: Literal["logs", "traces"], subject: Subject, *, trace: bool = False) -> None:
    """Open `view` on what the subject is about, at its moment; with `trace` only lines that name its trace."""
    start(board, lambda: _follow(board, view, subject, trace), group="follow")


async def _follow(board: Board, view: Literal["logs", "traces"], subject: Subject, trace: bool) -> None:
    from aiops_cli.services.workload_queries import logs_query, traces_query

    app = board.dashboard
    member = next((m for m in app.asked().members if m.name == subject.cluster), None)
    if member is None:
        board.notify(f"cluster {subject.cluster} is not among those that are shown", markup=False)
        return
    ask = logs_query if view == "logs" else traces_query
    try:
        query = await app.backend.ask(ask(member, subject))
    except AiopsError as error:
        board.notify(error_line(error), severity="warning", markup=False)
        return
    if board.is_current:  # else one has gone elsewhere since
        args = {"at": rfc3339(subject.at)} | (
            {"trace": subject.trace_id} if trace and subject.trace_id else {}
        )
        board.go(Place(view, query, args, (subject.cluster,)))
