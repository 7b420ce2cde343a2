"""A GPU, a clock, a VF and a data plane that fail: does aiops find them in a real Prometheus that scrapes it happen?

The pages are written by hand in the exporters' documented formats; the four incidents run at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Aiops
from tests.gpu.pages import BUSY, holder, labels, page, uuid_of
from tests.ptp.exporter import Pages
from tests.servers.binaries import MissingServer, locate
from tests.servers.cluster import temporary_root
from tests.servers.process import bring_up, stop_all
from tests.servers.prometheus import Prometheus

BEFORE, AFTER = 20, 16  # scrapes, of one second each
CLUSTERS = ("gpu", "ran", "core", "edge")
BOUNDS = (0.1, 0.5, 2.0, 10.0)
FREERUN = -9999999999999999


class Happening:
    """What the pages tell: all is well until `break_`."""

    def __init__(self) -> None:
        self.begun = time.time()
        self.broken: float | None = None

    def break_(self) -> None:
        self.broken = time.time()

    def grown(self, usual: float, then: float) -> float:
        """A counter with these rates a second."""
        now = time.time()
        cut = self.broken or now
        return 1000 + usual * (cut - self.begun) + then * (now - cut)

    def service(self, bad: float, *, first_token: bool = False) -> str:
        """A service's requests, 100 a second; `bad` is the share that is failed and slow once it broke."""
        lines = ["# TYPE http_requests_total counter"]
        lines.append(f'http_requests_total{{code="200"}} {self.grown(100, 100 * (1 - bad))}')
        lines.append(f'http_requests_total{{code="500"}} {self.grown(0.01, 100 * bad)}')
        names = ["http_request_duration_seconds"]
        names += ["vllm:time_to_first_token_seconds"] if first_token else []
        for name in names:
            lines.append(f"# TYPE {name} histogram")
            for bound in BOUNDS:
                fast = bound >= 10 or bound >= 0.5
                share = 1.0 if bound >= 10 else (1 - bad) if fast else 0.5 * (1 - bad)
                count = self.grown(100 if fast else 50, 100 * share)
                lines.append(f'{name}_bucket{{le="{bound}"}} {count}')
            lines.append(f'{name}_bucket{{le="+Inf"}} {self.grown(100, 100)}')
        return "\n".join(lines) + "\n"

    def gpus(self) -> str:
        """GPU 0 falls off the bus; GPU 1 is well, and by turns idle and at its limits."""
        lost = {"DCGM_FI_DEV_XID_ERRORS": 79, "DCGM_FI_DEV_GPU_UTIL": 0, "DCGM_FI_DEV_POWER_USAGE": 70}
        turn = int(time.time()) % 3
        noisy = {
            "DCGM_FI_DEV_GPU_UTIL": (3, 60, 100)[turn],
            "DCGM_FI_DEV_GPU_TEMP": (41, 63, 79)[turn],
            "DCGM_FI_DEV_POWER_USAGE": (90, 400, 699)[turn],
            "DCGM_FI_DEV_SM_CLOCK": (600, 1500, 1980)[turn],
        }
        return page(
            (labels("gpu-1", 0, **holder("llm-0")), BUSY | (lost if self.broken else {})),
            (labels("gpu-1", 1, **holder("train-0")), BUSY | noisy),
        )

    def clocks(self) -> str:
        """ran-1 loses its master and holds over; the clock of ran-2 is noisy, within its limits."""
        lines = []
        for node in ("ran-1", "ran-2"):
            held = node == "ran-1" and self.broken is not None
            wander = (time.time() * 37) % (140 if node == "ran-2" else 20) - 10
            where = f'node="{node}",process="ptp4l",iface="ens1fx"'
            lines += [
                f'openshift_ptp_offset_ns{{from="master",{where}}} {FREERUN if held else wander}',
                f'openshift_ptp_frequency_adjustment_ns{{from="master",{where}}} {-4000 + wander}',
                f"openshift_ptp_clock_state{{{where}}} {2 if held else 1}",
                f'openshift_ptp_process_status{{node="{node}",process="ptp4l",config="ptp4l.0.config"}} 1',
            ]
            limits = f'node="{node}",profile="slave"'
            for name, value in (
                ("HoldOverTimeout", 14400),
                ("MaxOffsetThreshold", 200),
                ("MinOffsetThreshold", -200),
            ):
                lines.append(f'openshift_ptp_threshold{{{limits},threshold="{name}"}} {value}')
        return "\n".join(lines) + "\n"

    def vfs(self) -> str:
        """The UPF's VF drops; that of the SMF always dropped a little."""
        lines = []
        for pod, pci, usual, then in (("upf-0", "0000:3b:02.1", 0, 3e4), ("smf-0", "0000:3b:02.2", 20, 20)):
            where = f'node="core-1",numa_node="0",pciAddr="{pci}",pf="ens1f0",vf="{pci[-1]}"'
            lines += [
                f"sriov_vf_rx_packets{{{where}}} {self.grown(1e5, 1e5)}",
                f"sriov_vf_rx_dropped{{{where}}} {self.grown(usual, then)}",
                f"sriov_vf_tx_dropped{{{where}}} 0",
                f'sriov_kubepoddevice{{node="core-1",container="app",dev_type="openshift.io/intel_fh",'
                f'namespace="core",pciAddr="{pci}",pod="{pod}"}} 1',
            ]
        return "\n".join(lines) + "\n"

    def ports(self) -> str:
        """The UPF is too slow for what its port gets; that of the SMF always missed a little."""
        lines = []
        for pod, usual, then in (("upf-0", 0, 8e3), ("smf-0", 30, 30)):
            where = f'namespace="core",pod="{pod}",command="/ethdev/stats",params="0"'
            lines += [
                f"dpdk_ipackets{{{where}}} {self.grown(1e6, 1e6)}",
                f"dpdk_imissed{{{where}}} {self.grown(usual, then)}",
                f"dpdk_rx_nombuf{{{where}}} 0",
            ]
        return "\n".join(lines) + "\n"


def pods(**nodes: str) -> str:
    """kube-state-metrics' word on pods NAME-0 of stateful sets, in the namespace `app`."""
    return "".join(
        f'kube_pod_info{{namespace="{namespace}",pod="{name}-0",node="{node}",'
        f'created_by_kind="StatefulSet",created_by_name="{name}"}} 1\n'
        for name, (namespace, node) in ((n, where.split("/")) for n, where in nodes.items())
    )


@pytest.fixture(scope="module")
def incident() -> Iterator[tuple[dict[str, str], Happening, float]]:
    """The environment for aiops, what happened, and when the window ends."""
    try:
        locate("prometheus")
    except MissingServer as error:
        pytest.skip(str(error))
    home, pages, it = temporary_root(), Pages(), Happening()
    servers = {name: Prometheus(home / name, cluster=name) for name in CLUSTERS}
    targets: dict[str, dict[str, Callable[[], str]]] = {
        "gpu": {
            "dcgm": it.gpus,
            "llm": lambda: it.service(0.6, first_token=True),
            "train": lambda: it.service(0.0),
            "ksm-gpu": lambda: pods(llm="ml/gpu-1", train="ml/gpu-1"),
        },
        "ran": {
            "ptp": it.clocks,
            "vdu": lambda: it.service(0.4),
            "vdu2": lambda: it.service(0.0),
            "ksm-ran": lambda: pods(vdu="ran/ran-1", vdu2="ran/ran-2"),
        },
        "core": {
            "sriov": it.vfs,
            "upf": lambda: it.service(0.4),
            "smf": lambda: it.service(0.0),
            "ksm-core": lambda: pods(upf="core/core-1", smf="core/core-1"),
        },
        "edge": {
            "dpdk": it.ports,
            "upf": lambda: it.service(0.4),
            "smf": lambda: it.service(0.0),
            "ksm-edge": lambda: pods(upf="core/edge-1", smf="core/edge-1"),
        },
    }
    try:
        bring_up(list(servers.values()))
        for cluster, jobs in targets.items():
            for job, text in jobs.items():
                pages.pages[job] = text
                more = {"pod": "llm-0", "namespace": "ml"} if job == "llm" else {}
                servers[cluster].add_targets(
                    job, [f"{pages.host}:{pages.port}"], {"__metrics_path__": f"/{job}/metrics", **more}
                )
        for name, count in (("before", BEFORE), ("after", BEFORE + AFTER)):
            for cluster, jobs in targets.items():
                for job in jobs:
                    servers[cluster].wait_for(
                        f'count_over_time(up{{job="{job}"}}[10m]) >= {count}', seconds=60
                    )
            if name == "before":
                it.break_()
        config = home / "config.toml"
        config.write_text(
            "".join(f'[clusters.{n}.endpoints]\nprometheus = "{s.url}"\n' for n, s in servers.items())
        )
        yield {"AIOPS_CONFIG": str(config)}, it, time.time()
    finally:
        stop_all(list(servers.values()))
        pages.close()


Ask = Callable[..., Any]


@pytest.fixture
def ask(aiops: Aiops, incident: tuple[dict[str, str], Happening, float]) -> Ask:
    env, it, end = incident

    def run(*args: str) -> Any:
        window = ("--from", f"{it.begun:.0f}", "--to", f"{end:.0f}", "--step", "1s")
        done = aiops(*args, *window, env=env)
        assert done.returncode in (0, 3), done.stderr
        return done

    return run


def causes(ask: Ask, cluster: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = ask("rca", "analyze", "-c", cluster, "-o", "json").json["items"]
    assert items
    return items


def test_an_xid_is_the_cause_of_the_model_server_s_latency(ask: Ask) -> None:
    found = causes(ask, "gpu")
    best = found[0]
    assert (best["entity"]["kind"], best["entity"]["name"]) == ("gpu", "gpu-1/0"), found
    assert best["indicator"] == "GPU_XID"
    assert "XID 79" in best["evidence"][0]["text"] and uuid_of("gpu-1", 0) in best["evidence"][0]["text"]
    assert [e["name"] for e in best["chain"]] == ["gpu-1/0", "llm"]
    assert "cordon gpu-1" in " ".join(best["nextSteps"])
    scores = {c["entity"]["name"]: c["score"] for c in found}
    assert scores["llm"] < best["score"] and scores.get("gpu-1/1", 0) < scores["llm"]


def test_a_lost_master_is_the_cause_of_the_vdu_s_errors(
    ask: Ask, incident: tuple[dict[str, str], Happening, float]
) -> None:
    found = causes(ask, "ran")
    best = found[0]
    assert (best["entity"]["kind"], best["entity"]["name"]) == ("clock", "ran-1/ptp4l/ens1fx"), found
    assert best["indicator"] == "PTP_HOLDOVER"
    assert [e["name"] for e in best["chain"]] == ["ran-1/ptp4l/ens1fx", "vdu"]
    assert not [c for c in found if c["entity"]["name"].startswith("ran-2")]


def test_a_vf_that_drops_is_the_cause_of_the_upf_s_errors(ask: Ask) -> None:
    found = causes(ask, "core")
    best = found[0]
    assert (best["entity"]["kind"], best["entity"]["name"]) == ("vf", "core-1/0000:3b:02.1"), found
    assert best["indicator"] == "rx_dropped_packets"
    assert best["evidence"][0]["baseline"] == 0 and best["evidence"][0]["value"] > 100
    assert [e["name"] for e in best["chain"]] == ["core-1/0000:3b:02.1", "upf"]


def test_a_port_that_misses_packets_is_the_cause_of_the_upf_s_errors(ask: Ask) -> None:
    best = causes(ask, "edge")[0]
    assert (best["entity"]["kind"], best["entity"]["name"]) == ("port", "core/upf-0"), best
    assert [e["name"] for e in best["chain"]] == ["core/upf-0", "upf"]
    assert best["indicator"] == "dpdk_imissed_drops"
    assert best["evidence"][0]["baseline"] == 0 and best["evidence"][0]["value"] > 100
    assert "cnf dpdk core/upf-0 --exec" in " ".join(best["nextSteps"])


def test_the_report_has_what_was_found_of_them(ask: Ask, tmp_path: Path) -> None:
    text = ask("report", "generate", "--type", "incident", "-o", "md").stdout
    section = text.partition("## GPUs, clocks and network devices")[2].partition("\n## ")[0]
    assert "GPU\\_XID" in section or "GPU_XID" in section
    assert "HOLDOVER" in section and "ran-1/ptp4l/ens1fx" in section
