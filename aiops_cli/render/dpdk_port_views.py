"""How the ports of DPDK processes look in a table of the dashboard."""

from __future__ import annotations

from aiops_cli.models.cnf import DpdkPort, DpdkProcess
from aiops_cli.render.output import Column, View
from aiops_cli.render.text import si

Port = tuple[DpdkProcess, DpdkPort]


def _rate(title: str, field: str, unit: str) -> Column[Port]:
    def value(port: Port) -> float | None:
        found: float | None = getattr(port[1], field)
        return found

    return Column(title, lambda p: si(value(p), unit), right=True, plain=value)


def _speed(port: DpdkPort) -> str | None:
    return None if port.link_speed_mbps is None else si(port.link_speed_mbps * 1e6, "b/s")


PORTS: View[Port] = View(
    "DpdkPortList",
    [
        Column("container", lambda p: p[0].container, wide=True),
        Column("port", lambda p: p[1].port),
        Column("name", lambda p: p[1].name),
        Column("state", lambda p: p[1].link_status, keep=True),
        Column("speed", lambda p: _speed(p[1]), right=True, plain=lambda p: p[1].link_speed_mbps),
        _rate("rx", "rx_packets_per_second", "p/s"),
        _rate("tx", "tx_packets_per_second", "p/s"),
        _rate("missed", "imissed_per_second", "/s"),
        _rate("no mbuf", "rx_nombuf_per_second", "/s"),
        _rate("errors", "ierrors_per_second", "/s"),
        Column("received", lambda p: si(p[1].ipackets), right=True, wide=True, plain=lambda p: p[1].ipackets),
        Column("sent", lambda p: si(p[1].opackets), right=True, wide=True, plain=lambda p: p[1].opackets),
        Column("numa", lambda p: None if p[1].numa_node is None else str(p[1].numa_node), wide=True),
    ],
    lambda p: f"{p[0].container}/{p[0].socket}/{p[1].port}",
)
