"""What a container and its cluster's series say of a DPDK program, before it is joined.

Shapes: telemetry's replies as DPDK sends them (doc/guides/howto/telemetry.rst), files of /sys and /proc.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

Map = dict[str, Any]


class PortReply(msgspec.Struct):
    """Two readings of a port, `seconds` apart. Replies are None where DPDK does not know the command."""

    port: int
    before: Map | None = None
    after: Map | None = None
    seconds: float = 0.0
    link: Map | None = None
    info: Map | None = None


class TelemetryReply(msgspec.Struct):
    """What one telemetry socket said; `error` is why it stopped."""

    socket: str
    hello: Map = {}
    ports: list[PortReply] = []
    pools: list[Map | None] = []
    lcores: Map | None = None
    error: str | None = None


@dataclass(slots=True)
class Inside:
    """What a container's files say; None or missing for what it does not have.

    `cpus`, `mems` are lists such as 2-5; `nodes` are CPU lists by NUMA node; `pages_free` bytes by page size
    and NUMA node; `pci_numa` and `pci_driver` by PCI address."""

    cpus: str | None = None
    mems: str | None = None
    nodes: dict[int, str] = field(default_factory=dict)
    pages_free: dict[str, dict[int, int]] = field(default_factory=dict)
    pci_numa: dict[str, int] = field(default_factory=dict)
    pci_driver: dict[str, str] = field(default_factory=dict)


Readings = list[tuple[Mapping[str, str], float]]
COUNTERS = (
    "ipackets",
    "opackets",
    "ibytes",
    "obytes",
    "imissed",
    "ierrors",
    "oerrors",
    "rx_nombuf",
)


@dataclass(slots=True)
class DpdkReadings:
    """Series of pods: throttled periods a second by container, CPUs of the SR-IOV exporter with their NUMA
    node, free huge pages of nodes and bytes of one (node_exporter knows the default size only), counters of
    ports, and rates of some of them."""

    throttled: Readings = field(default_factory=list)
    cpus: Readings = field(default_factory=list)
    vf_numa: Readings = field(default_factory=list)
    pages_free: Readings = field(default_factory=list)
    page_bytes: Readings = field(default_factory=list)
    counters: dict[str, Readings] = field(default_factory=dict)
    rates: dict[str, Readings] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
