"""The GPU screen: GPUs of a real Prometheus and of exporters' pages, processes by exec, and the ways from each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aiops_cli.errors import ClusterError, ErrorCode
from aiops_cli.models.options import Options
from aiops_cli.models.result import FleetResult
from aiops_cli.services.gpu import GpuFleet
from aiops_cli.services.times import unix
from aiops_cli.sources import nvidia_smi
from aiops_cli.tui.app import Dashboard
from aiops_cli.tui.place import Place, parse
from aiops_cli.tui.screens import gpu as gpu_screen
from aiops_cli.tui.screens.gpu import GpuBoard
from aiops_cli.tui.widgets.gpu_gauges import bar, level_of
from aiops_cli.tui.widgets.gpu_gpus import GpusTab
from aiops_cli.tui.widgets.gpu_groups import InferenceTab, ProcessesTab
from aiops_cli.tui.widgets.gpu_tab import Seen
from tests.conftest import Aiops
from tests.gpu import pages
from tests.gpu.exporter import Exporter
from tests.gpu.kubelet_exec import ExecKubelet, Program
from tests.gpu.smi_text import XML, cgroup_v1, cgroup_v2
from tests.gpu.test_exec import PIDS, driver
from tests.gpu.test_exec import cluster as cluster
from tests.gpu.test_exec import kubelet as kubelet
from tests.servers.binaries import MissingServer, locate
from tests.servers.cluster import Cluster, temporary_root
from tests.servers.prometheus import Prometheus
from tests.tui import gpu_pictures as pictures
from tests.tui.conftest import NARROW, WIDE, Driver, driving, in_state, screen_text, until
from tests.tui.gpu_history import HOT_AGO, XID_AGO, history


@pytest.fixture(scope="module")
def past() -> Iterator[tuple[str, int]]:
    """A Prometheus with an hour of GPUs: its URL, and the history's end."""
    try:
        locate("prometheus")
        locate("promtool")
    except MissingServer as error:
        pytest.skip(str(error))
    end = (int(time.time()) - 600) // 60 * 60
    prometheus = Prometheus(temporary_root() / "prometheus", cluster="ai")
    prometheus.start()
    prometheus.backfill(history(end))
    yield prometheus.url, end
    prometheus.stop()


@pytest.fixture
def hour(past: tuple[str, int], home: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Options for that hour, whose cluster is `ai`; `gone` can't be asked."""
    url, end = past
    config = home / "ai.toml"
    config.write_text(
        f'[clusters.ai.endpoints]\nprometheus = "{url}"\n'
        '[clusters.gone.endpoints]\nprometheus = "http://127.0.0.1:9"\n'
    )
    monkeypatch.setenv("AIOPS_CONFIG", str(config))
    return {"start": str(end - 3600), "end": str(end), "tz": "UTC"}


@pytest.fixture
def page(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Exporter]:
    """An exporter that is read directly, of the cluster `lab`."""
    text = pages.page(
        (pages.labels("node-a", 0) | pages.holder("train-0"), pages.BUSY),
        (pages.labels("node-a", 1) | pages.NOBODY, pages.IDLE),
        (pages.labels("node-b", 0) | pages.holder("web-0", "web"), pages.BUSY),
    )
    with Exporter(text).running() as exporter:
        config = home / "lab.toml"
        config.write_text(f'[clusters.lab.endpoints]\ndcgm = ["{exporter.url}"]\n')
        monkeypatch.setenv("AIOPS_CONFIG", str(config))
        yield exporter


def _places(pilot: Driver) -> list[Place]:
    """Where the screen wants to go from now on."""
    found: list[Place] = []
    pilot.app.screen.go = found.append  # type: ignore[attr-defined]
    return found


def _told(pilot: Driver) -> str:
    return "\n".join(n.message for n in pilot.app._notifications)


def _board(pilot: Driver) -> Any:
    assert isinstance(pilot.app.screen, GpuBoard)
    return pilot.app.screen


def _select(board: Any, name: str) -> None:
    assert board.tab.grid.select(name), [board.tab.key(r) for r in board.tab.grid.rows]


@pytest.mark.parametrize(
    ("number", "unit", "level"),
    [
        (74.9, "%", "ok"),
        (75, "%", "warn"),
        (90, "%", "error"),
        (69.9, "°C", "ok"),
        (70, "°C", "warn"),
        (80, "°C", "error"),
    ],
)
def test_gauges_have_a_level(number: float, unit: str, level: str) -> None:
    assert level_of(number, unit) == level


def test_gauges_have_a_length() -> None:
    assert [bar(share, 4) for share in (None, -1, 0, 0.5, 1, 7)] == [
        "    ",
        "░░░░",
        "░░░░",
        "██░░",
        "████",
        "████",
    ]


# GPUs of a Prometheus


async def test_a_finding_leads_to_its_gpu_and_what_that_did(
    hour: dict[str, str], past: tuple[str, int]
) -> None:
    began = float(past[1] - XID_AGO + 30)
    async with driving("gpu @ai", size=WIDE, **hour) as pilot:
        for seen in ("GPUs 7 ✖ 1 ▲ 2", "[gpus ✖1 ▲2]", "███████▌  93%", "59/80GiB"):
            await until(pilot, seen)
        board = _board(pilot)
        board.tab.findings.focus()
        assert board.tab.findings.select("ai/gpu/gpu-a/2/GPU_XID")
        await pilot.press("enter")
        await until(pilot, "━ ai/gpu-a/2")
        text = await until(pilot, lambda: screen_text(pilot).count("✖─") >= 4)
        assert "reboot the node; check power, seating and PCIe" in " ".join(text.split())
        assert "held by ml/train-1 (main)" in text and "SM 80%, tensor 55%" in text
        assert board.place().written() == "gpu tab=gpus name=ai/gpu-a/2"
        places = _places(pilot)
        await pilot.press("m", "x", "a", "e", "l")
        await until(pilot, lambda: len(places) == 5)
        await pilot.press("t")
        await until(pilot, lambda: len(places) == 6)
        uuid = pages.uuid_of("gpu-a", 2)
        assert [(p.view, p.text, unix(p.args.get("at")), p.contexts) for p in places[:4]] == [
            ("metrics", f'DCGM_FI_DEV_GPU_UTIL{{UUID="{uuid}"}}', began, ("ai",)),
            ("rca", "", began, ("ai",)),
            ("alerts", "", None, ("ai",)),
            ("cluster", "Pod/train-1", began, ("ai",)),
        ]
        assert places[2].args == {"ns": "ml"}
        assert [p.text for p in places[4:]] == [
            '{namespace="ml",pod="train-1"}',
            '{ resource.service.name = "train" }',
        ]
        assert {unix(p.args["at"]) for p in places[4:]} == {began}
        await pilot.press("left")
        await until(pilot, lambda: board.tab.plots.cursor is not None)
        await pilot.press("m")
        assert unix(places[-1].args["at"]) == past[1], "the time under the cursor goes before"
        await pilot.press("escape")
        await until(pilot, lambda: board.tab.grid.has_focus)
        assert board.tab.plots.cursor is None and "name" not in board.place().args


async def test_heat_and_lowered_clocks_are_marked_where_they_were(
    hour: dict[str, str], past: tuple[str, int]
) -> None:
    async with driving("gpu name=gpu-a/3", size=WIDE, **hour) as pilot:
        text = await until(pilot, lambda: screen_text(pilot).count("─tttttt") >= 4)
        began = time.strftime("%m-%d %H:%M", time.gmtime(past[1] - HOT_AGO + 60))
        assert f"{began}:00  t clocks lowered by heat for 9m" in text
        board = _board(pilot)
        course = board.tab._course[1]
        assert [t.kind for t in course.throttled] == ["thermal"]
        assert course.gauges["temperature"].values.max() == 86
        board.tab.findings.focus()
        board.tab.findings.select("ai/gpu/gpu-a/3/GPU_HOT")
        places = _places(pilot)
        await pilot.press("m")
        assert places[0].text.startswith("DCGM_FI_DEV_GPU_TEMP{"), "what the finding is about"


async def test_little_room_shows_one_plot_after_the_other(hour: dict[str, str]) -> None:
    async with driving("gpu tab=gpus", size=NARROW, **hour) as pilot:
        for seen in ("GPUs 7 ✖ 1 ▲ 2", "███▊  93%", "XID 79: GPU has fallen off the bus"):
            await until(pilot, seen)
        await pilot.press("enter")
        await until(pilot, "utilisation 93")
        assert "Findings" not in screen_text(pilot)
        await pilot.press("p")
        await until(pilot, "memory 73.6%")
        await pilot.press("p", "p")
        await until(pilot, "p next plot")
        places = _places(pilot)
        await pilot.press("m")
        assert places[0].text.startswith("DCGM_FI_DEV_POWER_USAGE{"), "the plot that is seen"
        await pilot.press("escape")
        await until(pilot, "Findings 4")


async def test_an_instance_has_its_own_use_and_the_boards_heat(hour: dict[str, str]) -> None:
    async with driving("gpu name=gpu-b/1:7", size=WIDE, **hour) as pilot:
        await until(pilot, "utilisation 40%")
        text = await until(pilot, "temperature 34°C")
        assert "MIG 3g.40gb" in text and "held by serving/llama-0 (main)" in text
        board = _board(pilot)
        places = _places(pilot)
        await pilot.press("m")
        uuid = pages.uuid_of("gpu-b", 1)
        assert places[0].text == f'DCGM_FI_PROF_GR_ENGINE_ACTIVE{{UUID="{uuid}", GPU_I_ID="7"}}'
        _select(board, "ai/gpu-b/1:9")
        board.tab.grid.focus()
        await until(pilot, "held by no pod")
        await pilot.press("l")
        await until(pilot, lambda: "no pod holds it" in _told(pilot))


async def test_nodes_and_models_open_to_their_gpus(hour: dict[str, str]) -> None:
    async with driving("gpu tab=nodes", size=WIDE, **hour) as pilot:
        await until(pilot, "Nodes with GPUs 2 ✖ 1")
        board = _board(pilot)
        await until(pilot, "ai/gpu-a · 4 GPUs")
        places = _places(pilot)
        await pilot.press("a", "e", "m")
        assert [p.written() for p in places[:2]] == [
            "alerts -l node=gpu-a @ai",
            f"cluster Node/gpu-a tab=events at={places[1].args['at']} @ai",
        ]
        assert all(pages.uuid_of("gpu-a", i) in places[2].text for i in range(4))
        await pilot.press("enter", "down", "enter")
        await until(pilot, "━ ai/gpu-a/1")
        assert board.tab.NAME == "gpus"
        await pilot.press("escape", "shift+right", "shift+right")
        await until(pilot, "ai/NVIDIA H100 80GB HBM3 · 7 GPUs")
        await pilot.press("R")
        await until(pilot, lambda: "this row is about several things" in _told(pilot))
        board.tab.findings.focus()
        board.tab.findings.select("ai/gpu/gpu-a/3/GPU_HOT")
        await pilot.press("enter")
        await until(pilot, "━ ai/gpu-a/3")


async def test_a_cluster_that_fails_leaves_its_gpus_grey(
    page: Exporter, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Exporter(pages.page((pages.labels("far-0", 0), pages.BUSY))).running() as far:
        config = home / "two.toml"
        config.write_text(
            f'[clusters.lab.endpoints]\ndcgm = ["{page.url}"]\n[clusters.far.endpoints]\ndcgm = ["{far.url}"]\n'
        )
        monkeypatch.setenv("AIOPS_CONFIG", str(config))
        async with driving("gpu") as pilot:
            await until(pilot, "GPUs 4")
            far.status = 500
            board = _board(pilot)
            board.action_refresh()
            await until(pilot, "without far: ")
            assert [(g.cluster, board.tab._is_old(g)) for g in board.tab.grid.rows if g.cluster == "far"] == [
                ("far", True)
            ]
            assert not any(board.tab._is_old(g) for g in board.tab.grid.rows if g.cluster == "lab")
            pilot.app.run_line("@lab")  # type: ignore[attr-defined]
            await until(pilot, "GPUs 3")


# GPUs of an exporter's page; places


async def test_a_page_has_no_past_and_says_so(page: Exporter) -> None:
    async with driving("gpu", size=WIDE) as pilot:
        await until(pilot, "GPUs 3")
        await until(pilot, "no past: it was read from dcgm")
        await until(pilot, "no utilisation in this range")


async def test_places_narrow_and_filter(page: Exporter) -> None:
    async with driving("gpu node=node-a train") as pilot:
        await until(pilot, "GPUs 2 · on node node-a · /train · 1 of 2")
        board = _board(pilot)
        assert board.place().written() == "gpu train tab=gpus node=node-a"
        app: Any = pilot.app
        app.run_line("gpu ns=web")
        await until(pilot, "GPUs 1 · in web")
        assert [g.pod for g in board.tab.grid.rows] == ["web-0"]
        app.run_line("gpu node=nope")
        await until(pilot, "none of 3 GPUs is on node nope; esc shows all")
        await pilot.press("escape")
        await until(pilot, "GPUs 3")
        app.run_line("gpu -l namespace=web")
        await until(pilot, "1 of 3")
        app.run_line("gpu name=node-c/0")
        await until(pilot, lambda: "there is no node-c/0 among GPUs" in _told(pilot))
        app.run_line("gpu tab=nope")
        await until(pilot, lambda: "gpu has no view 'nope'; there are gpus, nodes," in _told(pilot))
        app.run_line("gpu (")
        await until(pilot, lambda: "this regex can't be read" in _told(pilot))
        assert board.tab.grid.row_count == 3


async def test_the_view_is_that_of_the_last_time(page: Exporter) -> None:
    async with driving("gpu tab=models") as pilot:
        await until(pilot, "[models]")
    async with driving(None) as pilot:
        await until(pilot, "[models]")
        await pilot.press("shift+left", "shift+left")
        await until(pilot, "[gpus]")
        app: Any = pilot.app
        app.run_line("gpu tab=processes")
        await until(pilot, "[processes]")
        app.run_line("gpu node=node-b")
        await until(pilot, "GPUs 1 · on node node-b")


# Model servers and processes


async def test_model_servers_with_their_gpus(hour: dict[str, str]) -> None:
    async with driving("gpu tab=inference", size=WIDE, **hour) as pilot:
        await until(pilot, "Model servers 1")
        await until(pilot, "ai/serving/llama-0 · 1 GPU ")
        text = screen_text(pilot)
        assert "llama-70b" in text and "gpu-b/1:7" in text
        places = _places(pilot)
        await pilot.press("m", "e")
        assert places[0].text.endswith('pod="llama-0"}')
        assert places[1].text == "Pod/llama-0"
        await pilot.press("enter", "enter")
        await until(pilot, "━ ai/gpu-b/1:7")


async def test_processes_are_run_when_one_agrees(
    cluster: Cluster, kubelet: ExecKubelet, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = driver(kubelet)
    train = kubelet.pod("ml", f"train-{time.time_ns()}", "sidecar", "main")
    serve = kubelet.pod("ml", f"serve-{time.time_ns()}", "server")
    kubelet.program(container, nvidia_smi.QUERY_XML, Program(XML))
    kubelet.program(container, PIDS, Program(cgroup_v2(4242, train, 1) + cgroup_v1(4343, serve, 0)))
    text = pages.page((pages.labels(kubelet.name, 0), pages.BUSY))
    with Exporter(text).running() as exporter:
        config = home / "exec.toml"
        config.write_text(f'[clusters.{cluster.name}.endpoints]\ndcgm = ["{exporter.url}"]\n')
        monkeypatch.setenv("AIOPS_CONFIG", str(config))
        monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
        async with driving("gpu tab=processes", size=WIDE) as pilot:
            await until(pilot, "only nvidia-smi knows processes: X runs it")
            board = _board(pilot)
            await until(pilot, lambda: board._fleet.reading.value is not None)
            await pilot.press("X")
            await until(pilot, f"on the GPU node of {cluster.name}")
            await pilot.press("n")
            assert kubelet.ran == []
            await pilot.press("shift+right")
            await until(pilot, "[gpus")
            await pilot.press("X")
            await until(pilot, f"on {kubelet.name} of {cluster.name}")
            await pilot.press("y")
            await until(pilot, "Processes 2")
            assert [(p.pid, (p.pod or "")[:5]) for p in board.tab.grid.rows] == [
                (4242, "train"),
                (4343, "serve"),
            ]
            assert {argv for _, argv in kubelet.ran} == {nvidia_smi.QUERY_XML, PIDS}
            await until(pilot, "· 1 GPU ")
            places = _places(pilot)
            await pilot.press("e")
            assert places[0].text.startswith("Pod/train-")
            ran = len(kubelet.ran)
            pilot.app.run_line("@*")  # type: ignore[attr-defined]
            await pilot.press("v", "shift+left")
            await until(pilot, "[processes]")
            assert len(kubelet.ran) == ran, "it is run when somebody says so, and only then"


# A bundle


@pytest.mark.parametrize(
    ("tab", "said"),
    [
        ("gpus", "no dcgm-exporter"),
        ("nodes", "no dcgm-exporter"),
        ("inference", "no metrics of vLLM"),
        ("processes", "only nvidia-smi knows processes"),
    ],
)
async def test_a_bundle_without_gpus_says_what_was_looked_for(tab: str, said: str) -> None:
    async with driving(f"gpu tab={tab}", bundle="demo") as pilot:
        await until(pilot, said)
        await pilot.press("X", "m", "enter")
        await until(pilot, lambda: "a bundle holds no process lists" in _told(pilot))
        await until(pilot, lambda: "there is nothing under the cursor" in _told(pilot))


async def test_a_bundle_has_what_its_gpus_did(
    aiops: Aiops, past: tuple[str, int], home: Path, tmp_path: Path
) -> None:
    config = home / "ai.toml"
    config.write_text(f'[clusters.ai.endpoints]\nprometheus = "{past[0]}"\n')
    bundle, end = tmp_path / "gpu.aiops", past[1]
    made = aiops("bundle", "record", str(bundle), "--from", str(end - 3600), "--to", str(end),
                 env={"AIOPS_CONFIG": str(config)})  # fmt: skip
    assert made.returncode == 0, made.stderr
    async with driving("gpu name=gpu-a/3", bundle=str(bundle), size=WIDE) as pilot:
        await until(pilot, "GPUs 7")
        await until(pilot, lambda: "ttttt" in screen_text(pilot))


# Pictures


@pytest.fixture
def drawn(home: Path, still: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that nobody asks, and answers that stand."""
    config = home / "one.toml"
    config.write_text('[clusters.ai.endpoints]\nprometheus = "http://127.0.0.1:9"\n')
    monkeypatch.setenv("AIOPS_CONFIG", str(config))

    async def ask_gpus(session: Any, before: Any) -> Seen:
        return pictures.seen(still)

    async def ask_course(self: GpusTab, session: Any) -> Any:
        if self.chosen is None:
            return FleetResult([], [])
        return FleetResult([(self.key(self.chosen), pictures.course(self.chosen, still), "")], [])

    async def ask_servers(self: InferenceTab, session: Any) -> Any:
        return pictures.servers()

    async def ask_processes(self: ProcessesTab, session: Any) -> Any:
        return pictures.running()

    monkeypatch.setattr(gpu_screen, "ask_gpus", ask_gpus)
    monkeypatch.setattr(GpusTab, "_ask_course", ask_course)
    monkeypatch.setattr(InferenceTab, "ask", ask_servers)
    monkeypatch.setattr(ProcessesTab, "ask", ask_processes)


def _taken(place: str) -> Dashboard:
    return Dashboard(Options(tz="UTC", since="1h"), start=parse(place))


_SEEN = {
    "gpus": "GPUs 7 ✖ 2",
    "nodes": "Nodes with GPUs 3",
    "models": "GPU models 2",
    "inference": "Model servers 2",
    "processes": "Processes 4",
}


async def _settled(pilot: Driver, *, rows: bool = True) -> None:
    """The scope is told, and the keys are where they stay; where there are no rows nothing has them."""
    await until(pilot, lambda: "1 cluster" in screen_text(pilot).splitlines()[1])
    if rows:
        await until(pilot, lambda: pilot.app.focused is not None)
    else:
        pilot.app.set_focus(None)
        await pilot.pause()


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize("tab", list(_SEEN))
def test_picture(tab: str, size: tuple[int, int], snap_compare: Any, drawn: None) -> None:
    async def before(pilot: Driver) -> None:
        await until(pilot, _SEEN[tab])
        if size == WIDE:
            await until(pilot, "✖─" if tab == "gpus" else "CLUSTER   NODE")
        await _settled(pilot)

    assert snap_compare(_taken(f"gpu tab={tab}"), terminal_size=size, run_before=before)


_NAMES = {"gpus": ("ai/gpu-a/3", "tttt"), "nodes": ("ai/gpu-a", "4 GPUs")}


@pytest.mark.parametrize("tab", list(_NAMES))
def test_picture_of_a_row_in_full(tab: str, snap_compare: Any, drawn: None) -> None:
    name, seen = _NAMES[tab]

    async def before(pilot: Driver) -> None:
        await until(pilot, seen)
        await until(pilot, lambda: "Findings" not in screen_text(pilot))
        await _settled(pilot)

    assert snap_compare(_taken(f"gpu tab={tab} name={name}"), terminal_size=NARROW, run_before=before)


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize("state", ["empty", "loading", "error", "stale"])
def test_picture_of_a_state(
    state: str,
    size: tuple[int, int],
    snap_compare: Any,
    still: float,
    drawn: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failed = ClusterError(
        "can't be reached", hint="aiops clusters health", code=ErrorCode.CLUSTER_UNREACHABLE
    )

    async def drawn_gpus(session: Any, before: Any) -> Seen:
        seen = pictures.seen(still)
        empty = GpuFleet(FleetResult([], pictures.STATUS), [], {})
        return replace(seen, fleet=empty, nodes=[], models=[]) if state == "empty" else seen

    monkeypatch.setattr(gpu_screen, "ask_gpus", in_state(state, drawn_gpus, failed))
    words = {
        "empty": "no dcgm-exporter metrics",
        "loading": "loading…",
        "error": "can't be reached",
        "stale": "Findings 3",
    }

    async def before(pilot: Driver) -> None:
        await until(pilot, words[state])
        if state == "stale":
            if size == WIDE:
                await until(pilot, "✖─")
            feed: Any = _board(pilot)._fleet
            feed._tell(replace(feed.reading, at=still - 300, error=failed))
            await until(pilot, "stale")
        await _settled(pilot, rows=state == "stale")

    assert snap_compare(_taken("gpu tab=gpus"), terminal_size=size, run_before=before)
