"""One key, answer or row that nothing is prepared for is told, and never ends the dashboard."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aiops_cli.errors import StoreError, UsageError
from aiops_cli.models.options import Options
from aiops_cli.store.state import State
from aiops_cli.tui import app as tui_app
from aiops_cli.tui.app import Dashboard
from aiops_cli.tui.backend import Backend
from aiops_cli.tui.feed import Feed, Reading
from aiops_cli.tui.filtering import compile_filter
from aiops_cli.tui.place import parse
from aiops_cli.tui.saving import save_text
from aiops_cli.tui.widgets.dialogs import Detail, as_text
from tests.tui.conftest import WIDE, Driver, driving, until


def told(pilot: Driver, words: str) -> Any:
    """Whether a notification says so."""
    return lambda: any(words in n.message for n in pilot.app._notifications)


async def test_a_series_in_full() -> None:
    async with driving("metrics up", bundle="demo", size=WIDE) as pilot:
        board: Any = pilot.app.screen
        await until(pilot, lambda: any(g.row_count for g in board.grids()))
        grid = next(g for g in board.grids() if g.row_count)
        grid.focus()
        await pilot.press("space")
        await until(pilot, lambda: isinstance(pilot.app.screen, Detail))
        assert "labels" in as_text(grid.in_full(grid.rows[0]))


async def test_what_can_not_be_written_out_has_no_detail() -> None:
    async with driving("fleet", bundle="demo", size=WIDE) as pilot:
        board: Any = pilot.app.screen
        await until(pilot, lambda: board.grids()[0].row_count)
        grid = board.grids()[0]
        grid.in_full = lambda item: object()
        grid.focus()
        await pilot.press("space")
        await until(pilot, told(pilot, "could not be handled"))


async def test_an_alert_from_before_the_recording() -> None:
    async with driving("alerts", bundle="demo", size=WIDE) as pilot:
        board: Any = pilot.app.screen
        await until(pilot, lambda: board._pane.known is not None)
        old = msgspec.structs.replace(board._pane._alert, starts_at="2020-01-01T00:00:00Z", fingerprint="0")
        board._pane.follow(old)
        await until(pilot, lambda: "  series: " in board._pane.text and "outside" in board._pane.text)


@pytest.mark.parametrize("line", ["metrics up at=rubbish", "traces at=rubbish", "logs at=rubbish"])
async def test_a_moment_that_can_not_be_read(line: str) -> None:
    async with driving("fleet", bundle="demo", size=WIDE) as pilot:
        app: Any = pilot.app
        app.run_line(line)
        await until(pilot, told(pilot, "'rubbish'"))


@pytest.mark.parametrize("view", ["metrics up", "traces"])
async def test_a_span_that_can_not_be_read(view: str) -> None:
    async with driving("fleet", bundle="demo", size=WIDE) as pilot:
        app: Any = pilot.app
        app.run_line(f"{view} at=now since=zz")
        await until(pilot, told(pilot, "zz"))


async def test_a_moment_is_of_the_zone_that_is_shown() -> None:
    async with driving("fleet", bundle="demo", size=WIDE, tz="Asia/Tokyo") as pilot:
        board: Any = pilot.app.screen
        moment = board.moment_of(parse("metrics up at=2026-07-21T09:00:00"))
        assert moment == board.moment_of(parse("metrics up at=2026-07-21T00:00:00Z"))


@pytest.mark.parametrize("text", ["a{99999999999}", "!a{99999999999}", "(" * 5000])
def test_a_regex_that_python_refuses(text: str) -> None:
    with pytest.raises(UsageError, match="can't be read"):
        compile_filter(text)


async def test_a_mark_that_python_refuses() -> None:
    async with driving('logs {namespace="shop"}', bundle="demo", size=WIDE) as pilot:
        board: Any = pilot.app.screen
        await until(pilot, lambda: board._page is not None)
        await pilot.press("H", *"a{99999999999}")
        await until(pilot, "can't be read")


async def test_completion_outside_the_recording() -> None:
    async with driving('logs {namespace="shop"}', bundle="demo", size=WIDE) as pilot:
        board: Any = pilot.app.screen
        await until(pilot, lambda: board._page is not None)
        pilot.app.set_range("2020-01-01T00:00:00Z to 2020-01-02T00:00:00Z")  # type: ignore[attr-defined]
        assert await board._complete("namespace") == ()


def test_the_folder_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    assert "not saved" in save_text("x", "csv", "a", "1 row")[0]


async def test_a_folder_with_a_name_like_markup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "a[" / "b]c"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    async with driving("fleet", bundle="demo", size=WIDE) as pilot:
        board: Any = pilot.app.screen
        await until(pilot, lambda: board.grids()[0].row_count)
        board.grids()[0].focus()
        await pilot.press("ctrl+s")
        await until(pilot, told(pilot, "saved to"))
        assert list(folder.iterdir())


@pytest.mark.parametrize("place", ["cluster", "alerts"])
async def test_a_key_before_the_session(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a key starts waits for the session; clusters are asked after."""
    from aiops_cli.models.related import Subject
    from aiops_cli.tui.following import follow

    gate, real = threading.Event(), tui_app.open_session

    def slow(*args: Any, **options: Any) -> Any:
        gate.wait(30)
        return real(*args, **options)

    monkeypatch.setattr(tui_app, "open_session", slow)
    app = Dashboard(Options(bundle="demo"), start=parse(place))
    async with app.run_test(size=WIDE) as pilot:
        board: Any = app.screen
        await until(pilot, lambda: board.is_attached)
        if place == "cluster":
            monkeypatch.setattr(Dashboard, "live", True)
            await pilot.press("D")
        else:
            follow(board, "logs", Subject(cluster="nowhere", origin="alert", at=0.0, start=0.0, end=0.0))
        await pilot.pause()
        gate.set()
        await asyncio.wait_for(app.ready.wait(), 30)
        await until(pilot, lambda: app._notifications)


async def test_a_store_that_can_not_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: State, *args: Any) -> Any:
        raise StoreError("the disk is gone")

    monkeypatch.setattr(State, "analyses", broken)
    async with driving("fleet", bundle="demo", size=WIDE) as pilot:
        app: Any = pilot.app
        app.run_line("rca abc123")
        await until(pilot, told(pilot, "the disk is gone"))


async def test_lines_that_can_not_be_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    from aiops_cli.tui.screens import logs

    async def bad(*_: Any) -> Any:
        raise ValueError("surprise")

    monkeypatch.setattr(logs, "recorded_counts", bad)
    async with driving('logs {namespace=~".+"}', bundle="demo", size=WIDE) as pilot:
        await until(pilot, told(pilot, "surprise"))


@pytest.mark.parametrize("broken", ["keep", "recall", "show"])
async def test_a_feed_goes_on(broken: str) -> None:
    """Whatever can't be kept, recalled or shown: the panel asks on."""
    asked = asyncio.Event()
    backend, count = Backend(), 0

    async def ask() -> int:
        nonlocal count
        count += 1
        return count

    def fails(*_: Any) -> Any:
        raise ValueError("surrogates")

    def show(reading: Reading[int]) -> None:
        if reading.value == 3:
            asked.set()
        if broken == "show":
            fails()

    feed = Feed(
        backend,
        ask,
        show,
        every=0.01,
        keep=fails if broken == "keep" else None,
        recall=fails if broken == "recall" else None,
    )
    feed.start()
    await asyncio.wait_for(asked.wait(), 10)
    feed.pause()
    await backend.close(lambda: asyncio.sleep(0))


async def test_a_long_text_that_comes_late() -> None:
    """Is not laid under a short one that was opened since."""
    async with driving("reports", bundle="demo", size=WIDE) as pilot:
        board: Any = pilot.app.screen
        text = board._text
        text.parent.remove_class("-blank")
        board.add_class("-open")
        await until(pilot, lambda: text.size.width > 10)
        backend, gate, late = board.dashboard.backend, asyncio.Event(), asyncio.Event()
        compute = backend.compute

        async def held(work: Any) -> Any:
            found = await compute(work)
            late.set()
            await gate.wait()
            return found

        backend.compute = held
        text.show("LONG " * 2000)
        await asyncio.wait_for(late.wait(), 10)
        text.show("short")
        gate.set()
        await pilot.app.workers.wait_for_complete([w for w in pilot.app.workers if w.group == "lay"])
        assert [s.text.strip() for s in text._strips] == ["short"]


async def test_a_count_that_comes_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is not drawn above another query."""
    from aiops_cli.tui.screens import logs
    from aiops_cli.tui.widgets.log_volume import Volume

    gate, counting, done = asyncio.Event(), asyncio.Event(), asyncio.Event()
    real = logs.Logs._count

    async def held(board: Any, page: Any) -> None:
        counting.set()
        await gate.wait()
        await real(board, page)
        done.set()

    async def fails(*_: Any) -> Any:
        raise RuntimeError("no such query")

    monkeypatch.setattr(logs.Logs, "_count", held)
    async with driving('logs {namespace=~".+"}', bundle="demo", size=WIDE) as pilot:
        board: Any = pilot.app.screen
        await asyncio.wait_for(counting.wait(), 20)
        board._read = fails
        board._run('{namespace="nothing"}')
        await until(pilot, "no such query")
        gate.set()
        await asyncio.wait_for(done.wait(), 10)
        assert board.query_one(Volume)._counts is None


async def test_lines_in_a_dialog_are_not_filtered() -> None:
    """A key that would do nothing there is neither shown nor listed."""
    from aiops_cli.tui.actions import active
    from aiops_cli.tui.widgets.log_dialogs import Around

    async with driving('logs {namespace="shop"}', bundle="demo", size=WIDE) as pilot:
        board: Any = pilot.app.screen
        await until(pilot, lambda: board._page is not None)
        ids = {str(b.id) for b, _ in active(board)}
        assert ids >= {"lines.filter", "lines.faults"}
        pilot.app.push_screen(Around(board._lines.selected, board.expr, None))
        await until(pilot, lambda: pilot.app.screen.has_class("-found"))
        ids = {str(b.id) for b, _ in active(pilot.app.screen)}
        assert "lines.wrap" in ids and not ids & {"lines.filter", "lines.faults"}


async def test_a_look_at_anomalies_leaves_the_search_for_causes_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from aiops_cli.tui.screens import rca

    gate, real = threading.Event(), rca.ask_causes

    async def held(*args: Any) -> Any:
        await asyncio.to_thread(gate.wait, 30)
        return await real(*args)

    monkeypatch.setattr(rca, "ask_causes", held)
    async with driving("rca", bundle="demo", size=WIDE) as pilot:
        board: Any = pilot.app.screen
        await pilot.press("x", "v")
        await until(pilot, lambda: board._unusual is not None)
        gate.set()
        await until(pilot, lambda: board._found is not None)
        await pilot.press("shift+left")
        await until(pilot, "Evidence of west/shop/ledger")


async def test_a_question_that_failed_has_no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    from aiops_cli.tui.causes import Question
    from aiops_cli.tui.screens import rca

    async def fails(*_: Any) -> Any:
        raise RuntimeError("boom")

    async with driving("rca", bundle="demo", size=WIDE) as pilot:
        board: Any = pilot.app.screen
        await pilot.press("x")
        await until(pilot, "Evidence of west/shop/ledger")
        monkeypatch.setattr(rca, "ask_causes", fails)
        board._ask(Question(at="2026-11-24T23:30:00Z"))
        await until(pilot, "boom")
        await pilot.press("ctrl+e")
        await until(pilot, told(pilot, "nothing to report yet"))
        assert pilot.app.screen is board


async def test_a_kept_analysis_stays_as_it_was_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was being looked for before does not come over it."""
    from aiops_cli.tui.screens import rca

    looked = threading.Event()

    async def held(*_: Any) -> Any:
        looked.set()
        await asyncio.Event().wait()

    async with driving("rca", bundle="demo", size=WIDE) as pilot:
        board: Any = pilot.app.screen
        await pilot.press("x")
        await until(pilot, "Evidence of west/shop/ledger")
        kept = pilot.app.session.state.analyses()[0]  # type: ignore[attr-defined]
        monkeypatch.setattr(rca, "ask_causes", held)
        await pilot.press("x")
        await until(pilot, looked.is_set)
        working = board._working["causes"]
        board._reopen(kept)
        await until(pilot, lambda: working.is_cancelled and working.is_finished)
        assert board.place().text == kept.id and board._found is None
        await until(pilot, "Evidence of west/shop/ledger")


async def test_a_dialog_leaves_what_is_asked_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow question is not begun anew for a look at the keys; another screen drops it."""
    from aiops_cli.tui.widgets.dialogs import Help

    async with driving("rca", bundle="demo", size=WIDE) as pilot:
        board: Any = pilot.app.screen
        gate, asked = threading.Event(), 0
        shown: list[int] = []

        async def slow(_: Any) -> int:
            nonlocal asked
            asked += 1
            while not gate.is_set():
                await asyncio.sleep(0.01)
            return asked

        feed = board.feed(slow, shown.append)
        await until(pilot, lambda: asked == 1)
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(pilot.app.screen, Help))
        await pilot.press("escape", "question_mark")
        await until(pilot, lambda: isinstance(pilot.app.screen, Help))
        gate.set()
        await until(pilot, lambda: shown == [1])
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is board)
        gate.clear()
        feed.refresh()
        await until(pilot, lambda: asked == 2)
        await pilot.press("1")
        await until(pilot, lambda: not feed.asking)
        assert shown == [1]
