"""The traces screen: search, one trace as a waterfall, the service graph, and what they lead to."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aiops_cli.errors import ClusterError, ErrorCode
from aiops_cli.models.options import Options
from aiops_cli.services.traces import SpanItem
from aiops_cli.tui.app import Dashboard
from aiops_cli.tui.place import Place, parse
from aiops_cli.tui.screens import traces
from aiops_cli.tui.screens.traces import Traces
from aiops_cli.tui.widgets.dialogs import Detail
from tests.servers.fleet import Fleet
from tests.spans import Sent, new_trace_id, push
from tests.tui.conftest import NARROW, WIDE, Driver, driving, in_state, screen_text, until

FAILED = "6dea5561384da2eb2def346e7c5fe262"


def board(pilot: Driver) -> Traces:
    assert isinstance(pilot.app.screen, Traces)
    return pilot.app.screen


def told(pilot: Driver) -> str:
    return "\n".join(n.message for n in pilot.app._notifications)


async def test_failed_traces_come_first_and_open_as_a_waterfall() -> None:
    async with driving("traces", bundle="demo", size=WIDE) as pilot:
        await until(pilot, "150 traces · failed first")
        rows = board(pilot)._list.rows
        assert rows[0].trace_id == FAILED
        assert [r.duration_ms for r in rows] == sorted((r.duration_ms for r in rows), reverse=True)
        await pilot.press("o", "o")
        await until(pilot, "newest")
        starts = [r.start_time for r in board(pilot)._list.rows]
        assert starts == sorted(starts, reverse=True)
        await pilot.press("o", "g", "enter")
        text = await until(pilot, "critical path 6.08s: ledger POST /entries")
        assert "▾ frontend POST /orders" in text
        await pilot.press("escape")
        await until(pilot, "[Search]")


async def test_a_moment_holds_until_another_range_is_chosen_and_esc_goes_back() -> None:
    async with driving("alerts", bundle="demo", size=WIDE) as pilot:
        await until(pilot, "CheckoutErrors")
        await pilot.press("t")
        await until(pilot, '{ resource.service.name = "checkout" } · 2026-11-24')
        await pilot.press("T", "home", "enter")
        await until(pilot, lambda: board(pilot).around is None)
        await pilot.press("escape")
        await until(pilot, "[alerts]")


async def test_branches_close_and_failed_spans_are_found(home: Path) -> None:
    async with driving(f"traces {FAILED[:12]}", bundle="demo", size=WIDE) as pilot:
        await until(pilot, "23 spans")
        await pilot.press("down", "down", "left")
        text = await until(pilot, "▸ checkout POST /orders (20)")
        assert "ledger" not in text.split("SPAN")[1].split("\n", 1)[1]
        await pilot.press("n")  # the branch opens for it
        await until(pilot, "checkout POST · client · error")
        await pilot.press("slash", *"ledger.*entries", "enter")
        await until(pilot, lambda: len(board(pilot)._waterfall._seen) == 3)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: list(home.glob("aiops-spans-*.csv")))
        assert len(next(home.glob("*.csv")).read_text().splitlines()) == 4
        await pilot.press("enter")
        await until(pilot, "k8s.pod.name: ledger-")
        assert isinstance(pilot.app.screen, Detail)
        await pilot.press("escape", "escape")
        await until(pilot, "▾ frontend POST /orders")


async def test_the_form_narrows_and_refuses_what_cannot_be_read() -> None:
    async with driving("traces", bundle="demo") as pilot:
        await until(pilot, "150 traces")
        await pilot.press("s")
        await until(pilot, lambda: "settlement" in board(pilot)._services)
        await pilot.press(*"settl", "right", "enter")
        await until(pilot, "failed first · settlement")
        assert {r.root_service for r in board(pilot)._list.rows} == {"settlement"}
        await pilot.press("f")
        await until(pilot, "settlement · only failed")
        assert board(pilot).place().written() == "traces name=settlement sev=error"
        board(pilot).arrive(parse("traces min=5"))
        await until(pilot, "min 5 has no unit")
        board(pilot).arrive(parse('traces { resource.service.name = "cart" && '))
        await until(pilot, "TraceQL")
        board(pilot).arrive(parse("traces name=nosuch"))
        await until(pilot, "no trace was found for nosuch")


async def test_traceql_that_is_typed_first_is_no_service_and_its_fault_is_pointed_at() -> None:
    async with driving("traces { duration > 1s }", bundle="demo", size=WIDE) as pilot:
        await until(pilot, " traces · failed first")
        await pilot.press("s", *"{ duration > 5s", "enter")
        text = await until(pilot, "TraceQL at column")
        form = board(pilot)._form.search
        assert (form.service, form.traceql) == ("", "{ duration > 5s")
        lines = text.splitlines()
        at = next(n for n, line in enumerate(lines) if line.strip() == "^")
        assert lines[at].index("^") == lines[at - 1].index("{ duration") + len("{ duration > 5s")
        assert "⏎" not in text


async def test_the_name_above_is_of_what_is_shown() -> None:
    async with driving(f"traces trace={FAILED}", bundle="demo", size=WIDE) as pilot:
        await until(pilot, f"Traces {FAILED}")
        await until(pilot, "23 spans")
        await pilot.press("v", "v")
        text = await until(pilot, lambda: f"Traces {FAILED}" not in screen_text(pilot))
        assert "Search" in text
        board(pilot).arrive(parse("traces name=settlement"))
        await until(pilot, "Traces settlement")


async def test_the_graph_leads_to_traces_of_a_service() -> None:
    async with driving("traces tab=graph", bundle="demo") as pilot:
        text = await until(pilot, "└─ east/catalog")
        assert "spans of" in text
        assert board(pilot)._feeds["Search"].reading.at is None  # nothing hidden is asked
        await pilot.press("down", "enter")
        await until(pilot, "failed first · checkout")


async def test_an_id_that_no_cluster_has_and_one_that_is_none() -> None:
    async with driving("traces trace=0123456789abcdef0123456789abcdef", bundle="demo") as pilot:
        await until(pilot, "no chosen cluster has trace")
        board(pilot).arrive(Place("traces", "", {"trace": "nothex"}))
        await until(pilot, "'nothex' is no trace id")


async def test_a_span_leads_to_logs_metrics_and_causes(monkeypatch: pytest.MonkeyPatch) -> None:
    gone: list[Place] = []
    monkeypatch.setattr(Traces, "go", lambda self, place: gone.append(place))
    async with driving(f"traces trace={FAILED}", bundle="demo") as pilot:
        await until(pilot, "23 spans")
        await pilot.press("G", "l")
        await until(pilot, lambda: gone)
        await pilot.press("L")
        await until(pilot, lambda: len(gone) == 2)
        await pilot.press("m", "x", "a")
        await until(pilot, lambda: len(gone) == 5)
    logs, lines, metrics, cause, alerts = gone
    assert logs.text.startswith('{namespace="shop",pod=~"ledger-')
    assert "trace" not in logs.args
    assert lines.args["trace"] == FAILED
    assert metrics.args["name"] == "ledger"
    assert (cause.view, alerts.view, alerts.args["ns"]) == ("rca", "alerts", "shop")
    assert {p.contexts for p in gone} == {("west",)}
    assert {p.args["at"][:16] for p in gone} == {"2026-11-24T23:23"}


async def test_keys_stay_with_the_table_while_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    real, gate = traces.ask_traces, asyncio.Event()

    async def ask(*args: Any) -> Any:
        while not gate.is_set():
            await asyncio.sleep(0.01)
        return await real(*args)

    async with driving("traces", bundle="demo") as pilot:
        await until(pilot, "150 traces")
        monkeypatch.setattr(traces, "ask_traces", ask)
        await pilot.press("f")
        await until(pilot, "loading…")
        await until(pilot, lambda: not board(pilot)._list.has_focus)
        gate.set()
        await until(pilot, lambda: board(pilot)._list.has_focus)


def _many(count: int) -> list[SpanItem]:
    """A trace of so many spans, each the parent of the next three."""
    depth = [0]
    for i in range(1, count):
        depth.append(min(depth[(i - 1) // 3] + 1, 6))
    return [
        SpanItem("east", "t", f"{i:x}", None, d, f"svc{i % 7}", f"call {i}", "server", "2026-11-24T23:00:00Z",
                 float(i), 5.0, 1.0, "error" if i == count - 1 else "ok", False, 0.0, [], False, ["east"])
        for i, d in enumerate(depth)
    ]  # fmt: skip


async def test_of_two_thousand_spans_only_those_seen_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    from aiops_cli.tui.widgets.waterfall import Waterfall

    async with driving("traces", bundle="demo", size=WIDE) as pilot:
        await until(pilot, "150 traces")
        board(pilot).open(FAILED)
        await until(pilot, "23 spans")
        fall = board(pilot)._waterfall
        fall.show(_many(2000))
        drawn: list[int] = []
        real = Waterfall._segments
        monkeypatch.setattr(
            Waterfall, "_segments", lambda self, i, *a: (drawn.append(i), real(self, i, *a))[1]
        )
        await pilot.press("n")
        await until(pilot, lambda: fall.selected is not None and fall.selected.name == "call 1999")
        await until(pilot, "call 1999")
        assert len(drawn) < 4 * WIDE[1]


async def test_live_jaegers_and_a_cluster_that_is_gone(
    fleet3: Fleet, clusters: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in fleet3.env.items():
        monkeypatch.setenv(key, value)
    trace, origin = new_trace_id(), time.time() - 5
    push(fleet3["east"].jaeger, [Sent(trace, "a" * 16, None, "tui-front", "GET /pay", 0, 900),
                                 Sent(trace, "b" * 16, "a" * 16, "tui-front", "call", 10, 850, "client")],
         origin=origin)  # fmt: skip
    push(fleet3["west"].jaeger,
         [Sent(trace, "c" * 16, "b" * 16, "tui-pay", "POST /pay", 20, 800, error="card declined")],
         origin=origin)  # fmt: skip
    async with driving("traces name=tui-front", size=WIDE) as pilot:
        await until(pilot, "GET /pay")
        await pilot.press("enter")
        text = await until(pilot, "west/tui-pay POST /pay")
        assert "3 spans, 2 services, 1 error, in east, west" in text
        fleet3["west"].jaeger.kill()
        await pilot.press("escape", "r")
        await until(pilot, "without west")
        assert "GET /pay" in screen_text(pilot)


PICTURES = {
    "search": ("traces name=settlement", NARROW, "40 traces"),
    "search-wide": ("traces", WIDE, "150 traces"),
    "trace": (f"traces trace={FAILED}", NARROW, "23 spans"),
    "trace-wide": (f"traces trace={FAILED}", WIDE, "23 spans"),
    "graph": ("traces tab=graph", NARROW, "└─ east/catalog"),
    "empty": ("traces name=nosuch", NARROW, "no trace was found"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_picture(name: str, snap_compare: Any, still: float) -> None:
    line, size, seen = PICTURES[name]

    async def before(pilot: Driver) -> None:
        await until(pilot, "3 clusters")  # of the bar above, which is told a second later
        await until(pilot, seen)

    app = Dashboard(Options(bundle="demo"), start=parse(line))
    assert snap_compare(app, terminal_size=size, run_before=before)


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize("state", ["loading", "error", "stale"])
def test_picture_of_a_state(
    state: str, size: tuple[int, int], snap_compare: Any, still: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = ClusterError(
        "can't be reached", hint="aiops clusters health", code=ErrorCode.CLUSTER_UNREACHABLE
    )
    monkeypatch.setattr(traces, "ask_traces", in_state(state, traces.ask_traces, failed))

    async def before(pilot: Driver) -> None:
        await until(pilot, "3 clusters")
        await until(pilot, {"loading": "loading…", "error": "can't be reached", "stale": "150 traces"}[state])
        if state == "stale":
            feed = board(pilot)._feeds["Search"]
            feed._tell(replace(feed.reading, at=still - 300, error=failed))
            await until(pilot, "stale")

    app = Dashboard(Options(bundle="demo"), start=parse("traces"))
    assert snap_compare(app, terminal_size=size, run_before=before)
