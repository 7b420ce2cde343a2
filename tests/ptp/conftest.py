"""Two linuxptp clocks over a veth pair, their logs as the metrics of two nodes, and a Prometheus over both."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ptp.exporter import Daemon, Pages, Sidecar, Watched
from tests.servers.binaries import MissingServer, locate
from tests.servers.cluster import temporary_root
from tests.servers.linuxptp import Link, NoNamespaces, Phc2sys, Ptp4l
from tests.servers.process import bring_up, stop_all
from tests.servers.prometheus import Prometheus

THRESHOLD = 500_000  # ns: software time stamps on a busy machine are no hardware ones
HOLDOVER = 5.0


@dataclass
class Lab:
    """`daemon` and `sidecar` are two nodes that read the same slave; `config` names the Prometheus."""

    link: Link
    master: Ptp4l
    slave: Ptp4l
    phc2sys: Phc2sys
    prometheus: Prometheus
    pages: Pages
    env: dict[str, str]

    def wait(self, expr: str, seconds: float = 60.0) -> float:
        """When Prometheus first had a series for the expression, in unix seconds."""
        self.prometheus.wait_for(expr, seconds=seconds)
        return time.time()


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    home = temporary_root()
    try:
        for program in ("ptp4l", "phc2sys", "pmc", "prometheus"):
            locate(program)
        link = Link("ens1f0")
    except (MissingServer, NoNamespaces) as error:
        pytest.skip(str(error))
    pages = Pages()
    master = Ptp4l(home / "gm", link.master, "gm0", slave=False)
    slave = Ptp4l(home / "s", link.slave, "ens1f0", slave=True)
    phc2sys = Phc2sys(home / "p", slave)
    prometheus = Prometheus(home / "prometheus", cluster="edge")
    try:
        bring_up([master, slave, prometheus])
        phc2sys.run_to_its_end()
        nodes = [Daemon("node-daemon"), Sidecar("node-sidecar", threshold=THRESHOLD, timeout=HOLDOVER)]
        watched = Watched(slave, {"phc2sys": phc2sys}, nodes)
        for node in nodes:
            pages.pages[node.node] = lambda node=node: watched.page(node)
            prometheus.add_targets(
                node.node, [f"{pages.host}:{pages.port}"], {"__metrics_path__": f"/{node.node}/metrics"}
            )
        config = home / "config.toml"
        config.write_text(f'[clusters.edge.endpoints]\nprometheus = "{prometheus.url}"\n')
        yield Lab(link, master, slave, phc2sys, prometheus, pages, {"AIOPS_CONFIG": str(config)})
    finally:
        stop_all([slave, master, prometheus])
        pages.close()
        link.close()


@pytest.fixture
def exporter(home: Path) -> Iterator[Callable[..., dict[str, str]]]:
    """Serves text as one or more nodes' metrics pages, read directly: returns the environment for aiops."""
    pages = Pages()

    def serve(*texts: str, more: str = "") -> dict[str, str]:
        for i, text in enumerate(texts):
            pages.pages[f"n{i}"] = lambda text=text: text
        urls = ", ".join(f'"{pages.url(f"n{i}")}"' for i in range(len(texts)))
        config = home / "ptp.toml"
        config.write_text(f"[clusters.edge.endpoints]\nptp = [{urls}]\n{more}")
        return {"AIOPS_CONFIG": str(config)}

    yield serve
    pages.close()
