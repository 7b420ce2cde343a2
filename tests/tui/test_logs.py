"""The logs screen: recorded lines, real Lokis, and what it is built of."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest

from aiops_cli.analysis.merge import Line
from aiops_cli.errors import ClusterError, ErrorCode
from aiops_cli.models.options import Options
from aiops_cli.services.times import rfc3339
from aiops_cli.tui import clock
from aiops_cli.tui.app import Dashboard
from aiops_cli.tui.place import Place, parse
from aiops_cli.tui.screens.logs import Logs
from aiops_cli.tui.widgets import log_pages
from aiops_cli.tui.widgets.log_buffer import Buffer, held
from aiops_cli.tui.widgets.log_places import pattern_query, query_of, stream_query
from aiops_cli.tui.widgets.log_query import QueryLine, wanted
from tests.cli.kubelet import kubelet_of
from tests.conftest import Clusters
from tests.faults.files import write_config
from tests.servers.loki import Loki
from tests.servers.push import push_logs
from tests.tui.conftest import NARROW, WIDE, Driver, driving, screen_text, until

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
NAMES = ["tail1", "tail2"]


@pytest.fixture
def lokis(clusters: Clusters, home: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Loki]:
    """Two Lokis that are asked from here on."""
    found = {c.name: c.loki for c in clusters.together(NAMES, {"loki"})}
    config = write_config(home, {name: {"loki": loki.url} for name, loki in found.items()})
    monkeypatch.setenv("AIOPS_CONFIG", str(config))
    return found


@pytest.fixture
def labels(request: pytest.FixtureRequest) -> dict[str, str]:
    """Of this test's own streams: the servers are shared."""
    return {"app": request.node.name.partition("[")[0], "run": str(time.time_ns())}


def selector(labels: Mapping[str, str]) -> str:
    return "{" + ", ".join(f'{k}="{v}"' for k, v in labels.items()) + "}"


def write(loki: Loki, labels: Mapping[str, str], *lines: str, at: float | None = None) -> None:
    start = time.time_ns() if at is None else int(at * 1e9)
    push_logs(loki, [(labels, [(start + i, line) for i, line in enumerate(lines)])])


def logs(pilot: Driver) -> Logs:
    board = pilot.app.screen
    assert isinstance(board, Logs)
    return board


async def test_a_tail_of_two_clusters_shows_what_is_written_pauses_filters_and_leads_to_a_trace(
    lokis: dict[str, Loki], labels: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(lokis["tail1"], labels, "level=info msg=before")
    async with driving(f"logs {selector(labels)}", size=WIDE) as pilot:
        await until(pilot, "msg=before")
        await pilot.press("f")
        await until(pilot, "following 2 of 2 clusters")
        write(lokis["tail1"], labels, "level=info msg=one", f"level=error msg=broken trace_id={TRACE}")
        write(lokis["tail2"], labels | {"pod": "web-7"}, "level=warn msg=two")
        await until(pilot, "msg=one")
        text = await until(pilot, "msg=two")
        assert [text.count(f"msg={m}") for m in ("before", "one", "broken", "two")] == [1, 1, 1, 1]
        assert re.search(r"✖ tail1 .*msg=broken", text)
        assert re.search(r"▲ tail2 +web-7 +level=warn msg=two", text)

        await pilot.press("p")
        write(lokis["tail2"], labels | {"pod": "web-7"}, *(f"level=info msg=held-{i}" for i in range(3)))
        text = await until(pilot, "paused, 3 lines wait")
        assert "held" not in text
        await pilot.press("p")
        await until(pilot, "held-2")

        await pilot.press("slash", *"broken|held-1", "enter")
        text = await until(
            pilot, lambda: not logs(pilot).buffer.unseen and "Lines 2 of 7" in screen_text(pilot)
        )
        assert "msg=broken" in text
        assert "msg=one" not in text
        went: list[Place] = []
        monkeypatch.setattr(Logs, "go", lambda self, place: went.append(place))
        await pilot.press("g", "t")
        assert went == [Place("traces", "", {"trace": TRACE}, ("tail1",))]


async def test_older_lines_come_page_by_page_and_none_is_missing_between_a_busy_and_a_quiet_cluster(
    lokis: dict[str, Loki], labels: dict[str, str]
) -> None:
    end = time.time() - 60
    busy = [(int((end - 2500 + i) * 1e9), f"busy {i}") for i in range(2500)]
    quiet = [(int((end - 2500 + 100 * i) * 1e9) + 1, f"quiet {i}") for i in range(25)]
    push_logs(lokis["tail1"], [(labels, busy)])
    push_logs(lokis["tail2"], [(labels, quiet)])
    wanted_lines = [text for _, text in sorted(busy + quiet)]
    async with driving(f"logs {selector(labels)}") as pilot:
        await until(pilot, "busy 2499")
        board = logs(pilot)
        while "all of the range" not in screen_text(pilot):
            held = [board.buffer[n][1][1] for n in range(board.buffer.first, board.buffer.end)]
            assert held == wanted_lines[-len(held) :]
            count = len(held)
            await pilot.press("g", "g")
            await until(pilot, lambda count=count: len(board.buffer) > count or board._edge is None)
        held = [board.buffer[n][1][1] for n in range(board.buffer.first, board.buffer.end)]
        assert held == wanted_lines


async def test_lines_of_a_cluster_do_not_wait_for_one_that_hangs_and_one_that_is_gone_is_told(
    lokis: dict[str, Loki], labels: dict[str, str], home: Any
) -> None:
    urls = {name: {"loki": loki.url} for name, loki in lokis.items()}
    write_config(home, urls | {"gone": {"loki": "http://127.0.0.1:1"}})
    write(lokis["tail1"], labels, "level=info msg=here")
    write(lokis["tail2"], labels, "level=info msg=late")
    lokis["tail2"].pause()
    async with driving(f"logs {selector(labels)}", size=WIDE) as pilot:
        await until(pilot, "msg=here")
        await until(pilot, "waiting for tail2")
        lokis["tail2"].resume()
        text = await until(pilot, "msg=late")
        assert "msg=here" in text
        await until(pilot, "without gone: cluster unreachable")


async def test_a_dialog_that_opens_while_lines_are_read_does_not_lose_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, reading, go_on = log_pages.read, asyncio.Event(), threading.Event()

    async def read(*args: Any, **more: Any) -> log_pages.Page:
        reading.set()
        while not go_on.is_set():
            await asyncio.sleep(0.01)
        return await real(*args, **more)

    monkeypatch.setattr(log_pages, "read", read)
    async with driving('logs {namespace="shop"}', bundle="demo") as pilot:
        await until(pilot, reading.is_set)
        await pilot.press("question_mark")
        await until(pilot, "Keys")
        go_on.set()
        await pilot.press("escape")
        await until(pilot, "Lines 1,")


async def test_the_query_line_offers_labels_and_values_and_says_what_is_wrong(
    lokis: dict[str, Loki], labels: dict[str, str]
) -> None:
    write(lokis["tail1"], labels, "level=error msg=found")
    async with driving("logs", size=WIDE) as pilot:
        await until(pilot, lambda: logs(pilot).expr)
        await pilot.press("i", "ctrl+u", *'{app="', labels["app"][0])
        await until(pilot, lambda: logs(pilot).query_one(QueryLine).offering)
        await until(pilot, labels["app"])
        words = logs(pilot).query_one(QueryLine)._words
        while words[0] != labels["app"]:
            await pilot.press("down")
            words = words[1:]
        if logs(pilot).query_one(QueryLine).chosen is not None:
            await pilot.press("down")
        await pilot.press("tab", "enter")
        await until(pilot, "msg=found")
        assert logs(pilot).expr == f'{{app="{labels["app"]}"}}'
        await pilot.press("i", *" |= ", "enter")
        await until(pilot, "syntax error")
        await pilot.press("i", "ctrl+u", *'{app="', "enter")
        await until(pilot, "never closed")
        await pilot.press("i", "up", "up", "up", "enter")
        await until(pilot, "msg=found")


async def test_where_there_is_no_loki_the_logs_of_pods_are_read_and_followed(
    clusters: Clusters, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = clusters("podlogs", {"apiserver"})
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    namespace = f"shop-{time.time_ns()}"
    with kubelet_of(cluster, f"node-{time.time_ns()}") as kubelet:
        kubelet.pod(namespace, "web-1")
        kubelet.write(f"{namespace}/web-1/main", "before", "ERROR broken\x1b[2J")
        async with driving(f"logs ns={namespace}", size=WIDE) as pilot:
            text = await until(pilot, "before")
            assert r"ERROR broken\x1b[2J" in text
            assert "no Loki: pod logs" in text
            await pilot.press("f")
            await until(pilot, "following podlogs")
            kubelet.write(f"{namespace}/web-1/main", "and now this")
            await until(pilot, "and now this")


async def test_a_recording_is_filtered_by_words_and_levels_and_is_not_followed() -> None:
    async with driving('logs {namespace="shop"}', bundle="demo", size=WIDE) as pilot:
        await until(pilot, "Lines 1,")
        await pilot.press("f")
        await until(pilot, "a recording does not go on")
        await pilot.press("slash", *"-l cluster=west", "enter", "ctrl+z")
        text = await until(pilot, "levels warn and worse")
        await until(pilot, lambda: not logs(pilot).buffer.unseen)
        text = screen_text(pilot)
        assert " east " not in text
        assert "order placed" not in text
        assert "charge failed" in text
        await pilot.press("escape")
        await until(pilot, "order placed")
        await pilot.press("L", *["down"] * 2, "space", "enter")
        await until(pilot, lambda: not logs(pilot).buffer.unseen and "levels" in screen_text(pilot))
        assert "▲" not in "".join(line for line in screen_text(pilot).splitlines() if "checkout" in line)


async def test_a_moment_is_reached_though_more_lines_came_after_it_than_a_page_has() -> None:
    line = 'logs {namespace="shop"} at=2026-11-24T23:21:00Z @west'
    async with driving(line, bundle="demo", size=WIDE) as pilot:
        await until(pilot, "up to 23:22:00: T takes another range")
        selected = logs(pilot)._lines.selected
        assert selected is not None and rfc3339(selected[1][0] / 1e9).startswith("2026-11-24T23:21:00")
        await pilot.press("T", "end", "up", "enter")
        await until(pilot, lambda: (page := logs(pilot)._page) is not None and not page.cut)
        assert "up to" not in screen_text(pilot)


async def test_a_line_that_names_no_trace_leads_to_those_of_its_workload() -> None:
    line = 'logs {pod=~"checkout-.*"} |= "trying again" at=2026-11-24T23:22:48Z @west'
    async with driving(line, bundle="demo", size=WIDE) as pilot:
        await until(pilot, "charge failed, trying again")
        await pilot.press("t")
        text = await until(pilot, 'failed first · { resource.service.name = "checkout" }')
        assert "@west" in text and "names no trace" in "".join(n.message for n in pilot.app._notifications)


async def test_marks_fields_context_zone_and_detail_of_recorded_lines() -> None:
    async with driving('logs {namespace="shop"} |= "pool"', bundle="demo", size=WIDE) as pilot:
        await until(pilot, "all of the range")
        at = logs(pilot)._lines.at
        await pilot.press("H", *"in_use", "enter")
        await until(pilot, lambda: logs(pilot)._lines.at == at - 1)
        await pilot.press("n")
        await until(pilot, lambda: logs(pilot)._lines.at == at)
        await pilot.press("F")
        await until(pilot, "[ ] msg")
        await pilot.press("down", "space", "enter")
        text = await until(pilot, lambda: "MSG" in screen_text(pilot) and "[x]" not in screen_text(pilot))
        assert re.search(r"ledger-\S+ +no database connection *$", screen_text(pilot), re.M)
        await pilot.press("enter")
        text = await until(pilot, "labels:")
        assert "in_use: 6" in text
        await pilot.press("escape", "C")
        text = await until(pilot, "20 lines before and after")
        await until(pilot, "esc closes · w wraps")
        await pilot.press("escape", "z")
        await until(pilot, "times in UTC")


async def test_a_pattern_leads_to_its_lines() -> None:
    async with driving('logs {namespace="shop"}', bundle="demo", size=WIDE) as pilot:
        await until(pilot, "Lines 1,")
        await pilot.press("v")
        await until(pilot, "no database connection")
        await pilot.press("slash", *"charge not booked", "enter", "enter")
        await until(pilot, lambda: logs(pilot).expr.startswith('{namespace="shop"} |= "UpstreamError"'))
        text = await until(pilot, "Lines 4")
        assert text.count("charge not booked") > 10
        assert "order placed" not in text


def test_a_full_buffer_drops_the_oldest_and_its_filter_sees_every_line() -> None:
    def line(n: int) -> Line:
        return "west", (n, f"line {n}", {}, {})

    async def here(work: Any) -> list[int]:
        await asyncio.sleep(0)
        return work()  # type: ignore[no-any-return]

    async def run() -> None:
        buffer = Buffer(10_000)
        buffer.append(held(map(line, range(8_000))))
        buffer.prepend(held(map(line, range(-1_000, 0))))
        buffer.set_filter(lambda one: one[1][0] % 10 == 0)
        added = 8_000
        while await buffer.sift(here):
            if added < 12_000:  # more come while it looks
                buffer.append(held(map(line, range(added, added + 1_000))))
                added += 1_000
        assert (len(buffer), buffer.dropped, buffer.room) == (10_000, 3_000, 0)
        shown = [buffer[n][1][0] for n in buffer.shown]
        assert shown == list(range(2_000, 12_000, 10))
        buffer.set_filter(None)
        assert [buffer[n][1][0] for n in buffer.shown] == list(range(2_000, 12_000))

    asyncio.run(run())


@pytest.mark.parametrize(
    ("before", "label", "typed"),
    [
        ("{", "", ""),
        ('{app="x", na', "", "na"),
        ("{app=", "app", ""),
        ('{app="x", pod=~"we', "pod", "we"),
        ('{app="a{b}", na', "", "na"),
        ('{app="x"} |= ', None, "|= "),
        ('{app="x"} | js', None, "| js"),
        ("", None, ""),
    ],
)
def test_what_may_stand_at_the_cursor(before: str, label: str | None, typed: str) -> None:
    assert wanted(before) == (label, typed)


@pytest.mark.parametrize(
    ("text", "args", "expr"),
    [
        ('{app="x"}', {"trace": TRACE}, f'{{app="x"}} |= "{TRACE}"'),
        ("", {"ns": "shop"}, '{namespace="shop"}'),
        ("", {"ns": "shop", "name": "web-1", "kind": "Pod"}, '{namespace="shop", pod="web-1"}'),
        ("", {"ns": "shop", "name": "web"}, '{namespace="shop", pod=~"web.*"}'),
        ("", {"at": "now"}, ""),
    ],
)
def test_a_place_is_a_query(text: str, args: dict[str, str], expr: str) -> None:
    assert query_of(text, args) == expr


def test_a_line_leads_to_its_stream_and_a_pattern_to_a_regex() -> None:
    row = (1, "x", {"namespace": "shop", "pod": "web-1", "level": "info"}, {})
    assert stream_query(("west", row)) == '{namespace="shop", pod="web-1"}'
    assert (
        pattern_query("{a=~`.+`}", 'GET <*> failed: no such "x" path= <*>')
        == '{a=~`.+`} |= "failed" |= "path" |= "such" |= "GET"'
    )


def _seen(words: str) -> Any:
    async def before(pilot: Driver) -> None:
        await until(pilot, words)
        await until(pilot, "3 clusters")
        await until(pilot, "recorded" if pilot.app.size.width >= 100 else "info")

    return before


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize("view", ["lines", "patterns", "typing"])
def test_picture(size: tuple[int, int], view: str, snap_compare: Any, still: float) -> None:
    async def before(pilot: Driver) -> None:
        await _seen("Lines 1,")(pilot)
        if view == "patterns":
            await pilot.press("v")
            await until(pilot, "no database connect")
        if view == "typing":
            await pilot.press("i", *' |= "pool"')
            await until(pilot, '{namespace="shop"} |= "pool"')

    app = Dashboard(Options(bundle="demo"), start=parse('logs {namespace="shop"}'))
    assert snap_compare(app, terminal_size=size, run_before=before)


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize("state", ["empty", "loading", "error", "stale"])
def test_picture_of_a_state(
    state: str, size: tuple[int, int], snap_compare: Any, still: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failed = log_pages.read, False

    async def read(*args: Any, **more: Any) -> log_pages.Page:
        if state == "loading":
            await asyncio.Event().wait()
        if state == "error" or failed:
            raise ClusterError(
                "can't be reached", hint="check the way to it", code=ErrorCode.CLUSTER_UNREACHABLE
            )
        return await real(*args, **more)

    monkeypatch.setattr(log_pages, "read", read)

    async def before(pilot: Driver) -> None:
        nonlocal failed
        await until(
            pilot,
            {"empty": "no line of", "loading": "loading…", "error": "check the way"}.get(state, "Lines 1,"),
        )
        await until(pilot, "3 clusters")
        if state == "stale":
            failed = True
            query = logs(pilot)._query
            assert query is not None
            query.refresh()
            await until(pilot, "stale")

    text = '{app="nosuch"}' if state == "empty" else '{namespace="shop"}'
    app = Dashboard(Options(bundle="demo"), start=parse(f"logs {text}"))
    assert snap_compare(app, terminal_size=size, run_before=before)


async def test_where_no_cluster_could_be_asked_nothing_is_said_to_be_all(
    home: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = {name: {"loki": "http://127.0.0.1:1"} for name in ("d1", "d2")}
    monkeypatch.setenv("AIOPS_CONFIG", str(write_config(home, dead)))
    async with driving('logs {app="shop"}', size=WIDE) as pilot:
        await until(pilot, "not known: no cluster could be asked")
        text = await until(pilot, "no cluster answered")
        assert re.search(r"✖ could not ask d1, d2: could not connect: \w+", text)
        for fine in ("no line of", "all lines", "all of the range", "CLUSTER_UNREACHABLE"):
            assert fine not in text


async def test_what_a_recording_does_not_hold_is_told_with_why_where_there_is_no_line() -> None:
    line = 'logs {namespace="shop"} |= "charge" | json | attempt > 1'
    async with driving(line, bundle="demo", size=WIDE) as pilot:
        text = await until(pilot, "no cluster answered")
        assert "✖ could not ask east, west, north: this bundle does not hold the LogQL stage" in text
        assert "recorded: stream selectors" in text


async def test_a_query_that_was_guessed_is_guessed_anew_once_there_are_labels(
    clusters: Clusters, home: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = clusters.together([f"fresh{time.time_ns()}"], {"loki"})
    config = write_config(home, {"fresh": {"loki": one.loki.url}})
    monkeypatch.setenv("AIOPS_CONFIG", str(config))
    async with driving("logs", size=WIDE) as pilot:
        await until(pilot, "all of the range")
        write(one.loki, {"tier": "web"}, "level=info msg=first")
        await pilot.press("r")
        await until(pilot, "msg=first")


async def test_what_is_followed_is_counted_too_and_its_rate_is_no_moments(
    lokis: dict[str, Loki], labels: dict[str, str]
) -> None:
    write(lokis["tail1"], labels, "level=info msg=before")
    async with driving(f"logs {selector(labels)}", size=WIDE) as pilot:
        await until(pilot, "1 info")
        await pilot.press("f")
        await until(pilot, "following 2 of 2 clusters")
        write(lokis["tail2"], labels, *(f"level=error msg=no-{i}" for i in range(4)))
        await until(pilot, "msg=no-3")
        text = await until(pilot, "✖4 error")
        assert "1 info" in text
        await until(pilot, lambda: re.search(r"Lines 5 ─.* following · live", screen_text(pilot)))
        board = logs(pilot)
        seen = board._ticks
        await until(pilot, lambda: board._ticks > seen + 20)
        rate = re.search(r" · ([\d.]+)/s · ", screen_text(pilot))
        assert rate is not None and float(rate[1]) > 0


async def test_lines_that_grew_old_elsewhere_are_read_anew_unless_one_looks_at_older_ones(
    lokis: dict[str, Loki], labels: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, later = clock.now, 0.0
    monkeypatch.setattr(clock, "now", lambda: real() + later)
    write(lokis["tail1"], labels, "level=info msg=one", "level=info msg=two")
    async with driving(f"logs {selector(labels)}", size=WIDE) as pilot:
        await until(pilot, "msg=two")
        for keys, said in (([], "msg=new"), (["g", "g"], "▲ read 11m ago, r reads again")):
            await pilot.press(*keys, "1")
            await until(pilot, "Clusters 2")
            write(lokis["tail1"], labels, "level=info msg=newest" if keys else "level=info msg=new")
            later += 700
            await pilot.press("4")
            text = await until(pilot, said)
        assert "msg=newest" not in text
        await pilot.press("r")
        await until(pilot, "msg=newest")


async def test_that_there_is_no_line_at_a_moment_is_told_with_how_far_the_next_is() -> None:
    line = 'logs {namespace="shop"} |= "pool" at=2026-11-24T23:23:25Z @west'
    async with driving(line, bundle="demo", size=WIDE) as pilot:
        text = await until(pilot, "▲ no line at 23:23:25: the next is ")
        assert re.search(r"the next is \d+(\.\d+)?s later", text)
