"""The CNF screen: clocks, VFs, data planes and network functions of real servers, and the ways from each."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aiops_cli.errors import ClusterError, ErrorCode
from aiops_cli.models.options import Options
from aiops_cli.models.result import FleetResult
from aiops_cli.services.ptp import Clocks
from aiops_cli.services.times import rfc3339
from aiops_cli.tui.app import Dashboard
from aiops_cli.tui.place import Place, parse
from aiops_cli.tui.screens.cnf import CnfBoard
from aiops_cli.tui.widgets.cnf_dpdk import DpdkTab
from aiops_cli.tui.widgets.cnf_ptp import PtpTab
from aiops_cli.tui.widgets.cnf_sriov import SriovTab
from aiops_cli.tui.widgets.cnf_workloads import WorkloadsTab
from aiops_cli.tui.widgets.views import Views
from tests.cnf.conftest import UPF_VF
from tests.cnf.conftest import telecom as telecom
from tests.cnf.telemetry import telemetry
from tests.cnf.test_dpdk import kubelet as kubelet
from tests.cnf.test_dpdk import pod as pod
from tests.ptp.history import LOST_AT, history
from tests.servers.binaries import MissingServer, locate
from tests.servers.cluster import Cluster, temporary_root
from tests.servers.fleet import Fleet
from tests.servers.prometheus import Prometheus
from tests.tui import cnf_pictures as pictures
from tests.tui.conftest import NARROW, WIDE, Driver, driving, in_state, screen_text, until


@pytest.fixture(scope="module")
def past() -> Iterator[tuple[str, int]]:
    """A Prometheus with two hours of clocks that each have one trap: its URL, and the history's end."""
    try:
        locate("prometheus")
        locate("promtool")
    except MissingServer as error:
        pytest.skip(str(error))
    end = (int(time.time()) - 600) // 60 * 60
    prometheus = Prometheus(temporary_root() / "prometheus", cluster="edge")
    prometheus.start()
    prometheus.backfill(history(end))
    yield prometheus.url, end
    prometheus.stop()


@pytest.fixture
def hour(past: tuple[str, int], home: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Options for the last hour of that history, whose cluster is `edge`."""
    url, end = past
    config = home / "edge.toml"
    config.write_text(f'[clusters.edge.endpoints]\nprometheus = "{url}"\n')
    monkeypatch.setenv("AIOPS_CONFIG", str(config))
    return {"start": str(end - 3600), "end": str(end), "tz": "UTC"}


@pytest.fixture
def ran(telecom: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """The telecom cluster, and `gone`, of which nothing can be asked."""
    fleet = Fleet([telecom], root=telecom.home)
    fleet.write()
    config = Path(fleet.env["AIOPS_CONFIG"])
    config.write_text(config.read_text() + '\n[clusters.gone.endpoints]\nprometheus = "http://127.0.0.1:9"\n')
    for name, value in fleet.env.items():
        monkeypatch.setenv(name, value)
    return telecom


def _places(pilot: Driver) -> list[Place]:
    """Where the screen wants to go from now on."""
    found: list[Place] = []
    pilot.app.screen.go = found.append  # type: ignore[attr-defined]
    return found


def _told(pilot: Driver) -> str:
    return "\n".join(n.message for n in pilot.app._notifications)


def _board(pilot: Driver) -> CnfBoard:
    assert isinstance(pilot.app.screen, CnfBoard)
    return pilot.app.screen


# Clocks


async def test_a_finding_leads_to_its_clock_and_what_that_did(
    hour: dict[str, str], past: tuple[str, int]
) -> None:
    async with driving("ptp @edge", size=WIDE, **hour) as pilot:
        for seen in ("PTP clocks 30 ✖ 12 ▲ 8", "[ptp ✖9 ▲20]", "135 holdover"):
            await until(pilot, seen)
        board = _board(pilot)
        board.tab.findings.focus()
        expired = next(f for f in board.tab.told if f.code == "PTP_HOLDOVER_EXPIRED")
        assert board.tab.findings.select(f"edge/clock/{expired.entity.name}/PTP_HOLDOVER_EXPIRED")
        await pilot.press("enter")
        for seen in (
            "HOLDOVER → FREERUN for 39 min until now",
            "LOCKED → HOLDOVER for 1 min",
            "edge/holdover/ptp4l/",
        ):
            await until(pilot, seen)
        await until(pilot, "100ns ┤")
        lane = next(line for line in screen_text(pilot).splitlines() if " state ┤" in line)
        assert lane.index("LOCKED") < lane.index("▒") < lane.index("FREERUN")
        assert board.place().args["name"] == "edge/holdover/ptp4l/ens1fx"
        places = _places(pilot)
        await pilot.press("m", "x", "a", "e")
        began = rfc3339(past[1] - LOST_AT + 60)
        query = 'openshift_ptp_offset_ns{node="holdover", process="ptp4l", iface="ens1fx"} > -999999 < 999999'
        assert [(p.view, p.text, p.contexts) for p in places] == [
            ("metrics", query, ("edge",)),
            ("rca", "", ("edge",)),
            ("alerts", "-l node=holdover", ("edge",)),
            ("cluster", "Node/holdover", ("edge",)),
        ]
        assert {p.args.get("at") for p in places if p.view != "alerts"} == {began}
        await pilot.press("left")
        await until(pilot, " a -  b 100ns  c -100ns")
        await pilot.press("m")
        assert places[-1].args["at"] != began, "the time under the plot's cursor goes before"
        await pilot.press("escape")
        await until(pilot, lambda: board.tab.grid.has_focus)
        assert "name" not in board.place().args


async def test_one_budget_or_another_judges_the_clocks(hour: dict[str, str]) -> None:
    async with driving("cnf tab=ptp kind=g8275.1", **hour) as pilot:
        for seen in ("PTP clocks 30 ✖ 10", "budget g8275.1"):
            await until(pilot, seen)
        board = _board(pilot)
        verdicts = {c.node: c.verdict for c in board.tab.found.rows}
        assert verdicts["over"] == "PASS", "350 ns are within 1,100"
        assert board.place().written() == "cnf tab=ptp kind=g8275.1"
        await pilot.press("b")
        await until(pilot, "what [ptp] of the config says")
        await pilot.press("home", "enter")
        await until(pilot, "PTP clocks 30 ✖ 12 ▲ 8")
        pilot.app.run_line("cnf tab=ptp kind=g99")  # type: ignore[attr-defined]
        await until(pilot, lambda: "no budget is called 'g99'" in _told(pilot))


async def test_little_room_shows_one_thing_at_a_time_in_full(hour: dict[str, str]) -> None:
    async with driving("ptp ^over", **hour) as pilot:
        for seen in ("/^over · 1 of 30", "Findings 29", "FREERUN for 39 min after its"):
            await until(pilot, seen)
        await pilot.press("enter")
        for seen in ("budget operator: ±100 ns", "350ns"):
            await until(pilot, seen)
        assert "Findings" not in screen_text(pilot)
        await pilot.press("escape")
        await until(pilot, "Findings 29")


# VFs, data planes, network functions


async def test_a_pf_opens_to_its_vfs_and_who_has_them(ran: Cluster) -> None:
    async with driving("sriov", size=WIDE) as pilot:
        for seen in ("SR-IOV PFs 4 ✖ 2 ▲ 1", "without gone: ", "Idle→Drain_Required"):
            await until(pilot, seen)
        board: Any = _board(pilot)
        drops = next(f for f in board.tab.told if f.code == "SRIOV_VF_DROPS")
        board.tab.findings.focus()
        board.tab.findings.select(f"telecom/VF/{drops.entity.name}/SRIOV_VF_DROPS")
        await pilot.press("enter")
        for seen in ("policy fronthaul: intel_fh, priority 10, 8 VFs, applied", "VLAN 7, trust on", "25Gb/s"):
            await until(pilot, seen)
        await until(pilot, lambda: board.tab.vfs.has_focus)
        assert board.tab.vfs.selected[1].pci_address == UPF_VF
        await until(pilot, lambda: any(vf.rates and vf.rates.rx_dropped for _, vf in board.tab.vfs.rows))
        held = {vf.vf: vf.used_by.pod for _, vf in board.tab.vfs.rows if vf.used_by}
        assert held == {0: "vdu-0", 2: "vdu-1"}
        places = _places(pilot)
        await pilot.press("a", "m", "e")
        assert [p.written() for p in places[:1]] == ["alerts ns=ran @telecom"]
        assert 'node="worker-0", pciAddr="0000:3b:02.0"' in places[1].text
        assert places[2].text == "Pod/vdu-0"
        await pilot.press("escape")
        waiting = next(f for f in board.tab.told if f.code == "SRIOV_POD_WITHOUT_VF")
        board.tab.findings.focus()
        board.tab.findings.select(f"telecom/Pod/{waiting.entity.name}/SRIOV_POD_WITHOUT_VF")
        await pilot.press("enter")
        assert places[-1].written() == "cluster Pod/vdu-2 tab=events ns=ran @telecom", "it is on no node yet"


async def test_a_node_narrows_the_tables_until_it_is_left(ran: Cluster) -> None:
    async with driving("cnf node=worker-1 tab=sriov") as pilot:
        await until(pilot, "SR-IOV PFs 2 ✖ 1 · on node worker-1")
        board = _board(pilot)
        assert {f.entity.name for f in board.tab.findings.rows} >= {"worker-1/ens1f0"}
        assert not [f for f in board.tab.findings.rows if f.entity.name.startswith(("worker-0", "worker-2"))]
        assert board.place().written() == "cnf tab=sriov node=worker-1"
        await pilot.press("escape")
        await until(pilot, "SR-IOV PFs 4 ✖ 2 ▲ 1")


async def test_the_log_of_a_clock_or_pf_is_its_daemons(ran: Cluster) -> None:
    kube = ran.kube
    kube.namespace("openshift-ptp")
    owner = kube.create(
        "DaemonSet",
        {
            "metadata": {"name": "linuxptp-daemon", "namespace": "openshift-ptp"},
            "spec": {
                "selector": {"matchLabels": {"app": "linuxptp"}},
                "template": {
                    "metadata": {"labels": {"app": "linuxptp"}},
                    "spec": {
                        "containers": [
                            {"name": "linuxptp-daemon-container", "image": "registry.example/ptp:1"}
                        ]
                    },
                },
            },
        },
    )
    kube.pod("openshift-ptp", "linuxptp-daemon-x2x2x", node="worker-1", owner=owner)
    async with driving("ptp worker-1", size=WIDE) as pilot:
        await until(pilot, "of 2")
        places = _places(pilot)
        await pilot.press("l")
        await until(pilot, lambda: places)
        assert (places[0].view, places[0].contexts) == ("logs", ("telecom",))
        assert '"linuxptp-daemon-x2x2x"' in places[0].text
        await pilot.press("v", "l")
        await until(pilot, "SR-IOV PFs 4")
        await pilot.press("l")
        await until(pilot, lambda: "no pod of sriov-network-config-daemon is known" in _told(pilot))


async def test_a_network_functions_pods_with_their_interfaces(ran: Cluster) -> None:
    async with driving("cnf ns=ran", size=WIDE) as pilot:
        await until(pilot, " · in ran")
        board: Any = _board(pilot)
        assert {r.namespace for r in board.tab.grid.rows} == {"ran"}
        clock = next(f for f in board.tab.told if f.code == "CNF_CLOCK_NOT_LOCKED")
        assert (clock.entity.name, board.tab.concerned(clock).ptp_state) == ("vdu-0", "HOLDOVER")
        board.tab.grid.select("telecom/ran/vdu-0")
        await until(pilot, "eth0 ovn-kubernetes 10.1.0.7, net1 ran/fronthaul 0000:3b:02.0")
        (du,) = board.tab.pods.rows
        assert (du.cpus, du.qos_class, du.hugepages_bytes, du.restarts) == (8, "Guaranteed", 4 << 30, 3)
        places = _places(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: board.tab.pods.has_focus)
        await pilot.press("m", "l")
        assert 'namespace="ran", pod=~"vdu' in places[0].text
        await until(pilot, lambda: len(places) == 2)
        assert '"vdu-0"' in places[1].text


async def test_a_data_plane_is_read_inside_when_one_agrees(
    ran: Cluster, pod: Callable[[str], None], tmp_path: Path
) -> None:
    answers = {
        "/ethdev/list": lambda: [3],
        "/ethdev/stats,3": lambda: {
            "ipackets": int(1e6 * time.monotonic()),
            "imissed": int(500 * time.monotonic()),
        },
        "/ethdev/link_status,3": lambda: {"status": "DOWN"},
        "/ethdev/info,3": lambda: {"name": UPF_VF, "numa_node": 1},
        "/mempool/list": lambda: ["mb_pool_0"],
        "/mempool/info,mb_pool_0": lambda: {"name": "mb_pool_0", "size": 2048, "common_pool_count": 11},
    }
    pod("upf-tui")
    with telemetry(tmp_path / "dpdk" / "upf" / "dpdk_telemetry.v2", answers):
        async with driving("dpdk name=run/upf-tui", size=WIDE) as pilot:
            await until(pilot, "telecom/run/upf-tui · X reads inside")
            board: Any = _board(pilot)
            await pilot.press("X")
            await until(pilot, "Nothing is written")
            await pilot.press("n")
            assert not board.tab.ports.items
            await pilot.press("X", "y")
            await until(pilot, "mempool mb_pool_0 11 free of 2048")
            (port,) = board.tab.ports.items
            assert (port[1].name, port[1].link_status) == (UPF_VF, "DOWN") and port[
                1
            ].imissed_per_second > 100
            await until(pilot, "NO MBUF")
            assert "DPDK_LINK_DOWN" in {f.code for f in board.tab.told}
            board.action_refresh()
            asked = board.tab.feed.reading.at
            await until(pilot, lambda: board.tab.feed.reading.at != asked)
            assert board.tab.ports.items, "what was read inside stays"


# What is not there, and what is no place


@pytest.mark.parametrize(
    ("tab", "said"),
    [
        ("ptp", "no openshift_ptp_* metrics"),
        ("sriov", "no SriovNetworkNodeState in these clusters"),
        ("dpdk", "no pod asks for huge pages"),
        ("workloads", "no pod is named like a network function"),
    ],
)
async def test_a_bundle_without_devices_says_what_was_looked_for(tab: str, said: str) -> None:
    async with driving(f"cnf tab={tab}", bundle="demo") as pilot:
        for seen in (said, "there is nothing to judge"):
            await until(pilot, seen)
        await pilot.press("X", "m", "enter")
        await until(pilot, lambda: "there is nothing under the cursor" in _told(pilot))


async def test_what_is_no_place_is_said_in_a_line(ran: Cluster) -> None:
    async with driving("cnf tab=nope") as pilot:
        await until(
            pilot, lambda: "cnf has no view 'nope'; there are ptp, sriov, dpdk, workloads" in _told(pilot)
        )
        app: Any = pilot.app
        app.run_line("cnf tab=sriov name=ens99")
        await until(pilot, lambda: "there is no ens99 among SR-IOV PFs" in _told(pilot))
        app.run_line("cnf tab=sriov (")
        await until(pilot, lambda: "this regex can't be read" in _told(pilot))
        assert _board(pilot).tab.grid.row_count == 4


async def test_only_the_view_that_is_seen_asks_also_after_coming_back(ran: Cluster) -> None:
    async with driving("cnf tab=ptp", size=WIDE) as pilot:
        await until(pilot, lambda: re.search(r"\[ptp .1\]", screen_text(pilot)))
        board: Any = _board(pilot)
        assert [name for name, tab in board.by_name.items() if tab.feed] == ["ptp"]
        await pilot.click(Views, offset=(12, 0))
        await until(pilot, "SR-IOV PFs 4")
        for there, back in (("question_mark", "escape"), ("1", "8")):
            await pilot.press(there)
            await until(pilot, lambda: pilot.app.screen is not board)
            await pilot.press(back)
            await until(pilot, lambda: pilot.app.screen is board and board.by_name["sriov"].feed._task)
            assert not board.by_name["ptp"].feed._task


async def test_the_view_is_that_of_the_last_time() -> None:
    async with driving("cnf tab=dpdk", bundle="demo") as pilot:
        await until(pilot, "[dpdk]")
    async with driving(None, bundle="demo") as pilot:
        await until(pilot, "[dpdk]")
        await pilot.press("shift+left", "shift+left")
        await until(pilot, "[ptp]")


# Pictures


@pytest.fixture
def drawn(home: Path, still: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that nobody asks, and answers that stand."""
    config = home / "one.toml"
    config.write_text('[clusters.ran.endpoints]\nprometheus = "http://127.0.0.1:9"\n')
    monkeypatch.setenv("AIOPS_CONFIG", str(config))
    for tab, question, answer in (
        (PtpTab, "ask", pictures.clocks(still)),
        (SriovTab, "ask", pictures.pfs()),
        (SriovTab, "_ask_rates", pictures.pfs()[0]),
        (DpdkTab, "ask", pictures.planes()),
        (WorkloadsTab, "ask", pictures.workloads()),
        (WorkloadsTab, "_ask_pods", pictures.pods()),
    ):

        async def ask(self: Any, session: Any, answer: Any = answer) -> Any:
            return answer

        monkeypatch.setattr(tab, question, ask)


def _taken(place: str) -> Dashboard:
    return Dashboard(Options(tz="UTC", since="1h"), start=parse(place))


_SEEN = {
    "ptp": "100ns ┤",
    "sriov": "VLAN 7, trust on",
    "dpdk": "NO MBUF",
    "workloads": "net1 ran/fronthaul",
}


async def _still(pilot: Driver) -> None:
    """The scope is read, and plots and texts are laid out."""
    await until(pilot, lambda: "1 cluster" in screen_text(pilot).splitlines()[1])
    pilot.app.refresh_css(animate=False)  # of a head whose panel has the focus, which it is not told
    await pilot.pause()
    await pilot.app.workers.wait_for_complete()


@pytest.mark.parametrize("tab", list(_SEEN))
def test_picture(tab: str, snap_compare: Any, drawn: None) -> None:
    async def before(pilot: Driver) -> None:
        await until(pilot, "Findings 2")
        for name in ("ran/du-1/ens1f0", "ran/du-2/ptp4l/ens1fx"):
            _board(pilot).tab.grid.select(name)
        await until(pilot, "→ FREERUN" if tab == "ptp" else _SEEN[tab])
        await until(pilot, _SEEN[tab])
        await _still(pilot)

    assert snap_compare(_taken(f"cnf tab={tab}"), terminal_size=WIDE, run_before=before)


@pytest.mark.parametrize("tab", list(_SEEN))
def test_picture_of_little_room(tab: str, snap_compare: Any, drawn: None) -> None:
    async def before(pilot: Driver) -> None:
        await until(pilot, "Findings 2")
        await _still(pilot)

    assert snap_compare(_taken(f"cnf tab={tab}"), terminal_size=NARROW, run_before=before)


_NAMES = {"ptp": "du-2/ptp4l/ens1fx", "sriov": "du-1/ens1f0", "dpdk": "vdu-0", "workloads": "vdu"}


@pytest.mark.parametrize("tab", list(_SEEN))
def test_picture_of_a_row_in_full(tab: str, snap_compare: Any, drawn: None) -> None:
    async def before(pilot: Driver) -> None:
        await until(pilot, _SEEN[tab])
        await until(pilot, lambda: "Findings" not in screen_text(pilot))
        await until(pilot, lambda: _board(pilot).tab.within().has_focus and "━" in screen_text(pilot))
        await _still(pilot)

    assert snap_compare(_taken(f"cnf tab={tab} name={_NAMES[tab]}"), terminal_size=NARROW, run_before=before)


@pytest.mark.parametrize("state", ["empty", "loading", "error", "stale"])
def test_picture_of_a_state(
    state: str, snap_compare: Any, still: float, drawn: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = ClusterError(
        "can't be reached", hint="aiops clusters health", code=ErrorCode.CLUSTER_UNREACHABLE
    )
    real = in_state(state, PtpTab.ask, failed)

    async def ask(self: PtpTab, session: Any) -> Any:
        seen = await real(self, session)
        empty = Clocks(FleetResult([], pictures.STATUS), [], [])
        return replace(seen, clocks=empty) if state == "empty" else seen

    monkeypatch.setattr(PtpTab, "ask", ask)
    words = {
        "empty": "no openshift_ptp_*",
        "loading": "loading…",
        "error": "can't be reached",
        "stale": "Findings 2",
    }

    async def before(pilot: Driver) -> None:
        await until(pilot, words[state])
        if state == "stale":
            feed: Any = _board(pilot).tab.feed
            feed._tell(replace(feed.reading, at=still - 300, error=failed))
            await until(pilot, "stale")
            await until(pilot, lambda: _board(pilot).tab.grid.has_focus and "━ PTP" in screen_text(pilot))
        await _still(pilot)

    assert snap_compare(_taken("cnf tab=ptp"), terminal_size=NARROW, run_before=before)
