"""How PFs and VFs look in tables."""

from __future__ import annotations

from aiops_cli.models.cnf import SriovPf, SriovVf, VfRates
from aiops_cli.render.output import Column, View
from aiops_cli.render.text import one_line, si

Vf = tuple[SriovPf, SriovVf]


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def _link(pf: SriovPf) -> str | None:
    """The speed of what is up, else the state."""
    if pf.link_state == "UP" and pf.link_speed_mbps is not None:
        return si(pf.link_speed_mbps * 1e6, "b/s")
    return pf.link_state


def _drops(rates: VfRates | None) -> float | None:
    known = [v for v in (rates.rx_dropped, rates.tx_dropped) if v is not None] if rates else []
    return sum(known) if known else None


def _rx(rates: VfRates | None) -> float | None:
    """Bits a second."""
    return rates.rx_bytes * 8 if rates and rates.rx_bytes is not None else None


def _tx(rates: VfRates | None) -> float | None:
    """Bits a second."""
    return rates.tx_bytes * 8 if rates and rates.tx_bytes is not None else None


def _users(pf: SriovPf) -> str:
    names = dict.fromkeys(f"{v.used_by.namespace}/{v.used_by.pod}" for v in pf.vfs if v.used_by)
    return ",".join(names)


def _drain(pf: SriovPf) -> str:
    return "→".join(dict.fromkeys(s for s in (pf.drain_state, pf.drain_desired) if s))


PFS: View[SriovPf] = View(
    "SriovPfList",
    [
        Column("cluster", lambda p: p.cluster),
        Column("node", lambda p: p.node),
        Column("pf", lambda p: p.pf),
        Column("used", lambda p: _number(p.vfs_used), right=True, plain=lambda p: p.vfs_used),
        Column("vfs", lambda p: _number(p.vfs_configured), right=True, plain=lambda p: p.vfs_configured),
        Column("of", lambda p: _number(p.vfs_total), right=True, plain=lambda p: p.vfs_total),
        Column("link", _link, right=True, plain=lambda p: p.link_state),
        Column("mtu", lambda p: _number(p.mtu), right=True, plain=lambda p: p.mtu),
        Column("sync", lambda p: p.sync_status),
        Column(
            "drops",
            lambda p: si(_drops(p.rates), "/s"),
            right=True,
            plain=lambda p: _drops(p.rates),
            unit="per_second",
        ),
        Column("driver", lambda p: p.driver, wide=True),
        Column("pci", lambda p: p.pci_address, wide=True),
        Column(
            "rx",
            lambda p: si(_rx(p.rates), "b/s"),
            right=True,
            wide=True,
            plain=lambda p: _rx(p.rates),
            unit="bits_per_second",
        ),
        Column(
            "tx",
            lambda p: si(_tx(p.rates), "b/s"),
            right=True,
            wide=True,
            plain=lambda p: _tx(p.rates),
            unit="bits_per_second",
        ),
        Column("numa", lambda p: _number(p.numa_node), right=True, wide=True, plain=lambda p: p.numa_node),
        Column("eswitch", lambda p: p.eswitch_mode, wide=True),
        Column("drain", _drain, wide=True),
        Column("policies", lambda p: ",".join(q.name for q in p.policies), wide=True),
        Column(
            "resources",
            lambda p: ",".join(f"{r.name} {_number(r.requested)}/{r.allocatable}" for r in p.resources),
            wide=True,
        ),
        Column("pods", _users, wide=True),
        Column("source", lambda p: p.source, wide=True),
        Column("error", lambda p: p.last_sync_error, wide=True),
    ],
    lambda p: f"{p.cluster}/{p.node}/{p.pf}",
)


def detail(pf: SriovPf) -> str:
    """A PF in full: what its node's operator does, the policies that fit, resources and networks."""
    sync = ": ".join(filter(None, (pf.sync_status or "sync not known", pf.last_sync_error)))
    drain = _drain(pf)
    lines = [f"{pf.node} {pf.pf} ({pf.cluster}), node {sync}" + (f", drain {drain}" if drain else "")]
    card = [pf.driver, pf.pci_address, f"{pf.vendor}:{pf.device_id}" if pf.vendor else None, pf.eswitch_mode,
            None if pf.numa_node is None else f"NUMA {pf.numa_node}"]  # fmt: skip
    mtu = f"MTU {_number(pf.mtu)}" + (f", wanted {pf.wanted_mtu}" if pf.wanted_mtu else "")
    vfs = f"VFs {_number(pf.vfs_used)} used, {_number(pf.vfs_configured)} configured, {_number(pf.vfs_wanted)} wanted"
    lines.append(
        ", ".join([" ".join(filter(None, card)) or "card not known", f"link {_link(pf) or '-'}", mtu, vfs])
    )
    lines += [
        f"policy {p.name}: {p.resource}, priority {_number(p.priority)}, {_number(p.num_vfs)} VFs, "
        + ("applied" if p.applied else "NOT applied")
        for p in pf.policies
    ]
    lines += [f"resource {r.name}: {_number(r.requested)} asked for of {r.allocatable}" for r in pf.resources]
    for n in pf.networks:
        said = [f"in {n.target_namespace}" if n.target_namespace else "", f"VLAN {n.vlan}" if n.vlan else ""]
        said += [f"trust {n.trust}" if n.trust else "", f"spoof check {n.spoof_chk}" if n.spoof_chk else ""]
        lines.append(f"network {n.name}: " + ", ".join([n.resource, *filter(None, said)]))
    lines += [f"{name} not known: {why}" for name, why in pf.missing.items()]
    return "".join(one_line(line) + "\n" for line in lines)


VFS: View[Vf] = View(
    "SriovVfList",
    [
        Column("cluster", lambda i: i[0].cluster),
        Column("node", lambda i: i[0].node),
        Column("pf", lambda i: i[0].pf),
        Column("vf", lambda i: _number(i[1].vf), right=True),
        Column("pci", lambda i: i[1].pci_address),
        Column("name", lambda i: i[1].name),
        Column("driver", lambda i: i[1].driver),
        Column("vlan", lambda i: _number(i[1].vlan), right=True),
        Column("mtu", lambda i: _number(i[1].mtu), right=True),
        Column("resource", lambda i: i[1].resource),
        Column("pod", lambda i: f"{i[1].used_by.namespace}/{i[1].used_by.pod}" if i[1].used_by else None),
        Column("rx", lambda i: si(_rx(i[1].rates), "b/s"), right=True),
        Column("tx", lambda i: si(_tx(i[1].rates), "b/s"), right=True),
        Column(
            "drops", lambda i: si(_drops(i[1].rates), "/s"), right=True, plain=lambda i: _drops(i[1].rates)
        ),
        Column("interface", lambda i: i[1].used_by.interface if i[1].used_by else None, wide=True),
        Column("network", lambda i: i[1].used_by.network if i[1].used_by else None, wide=True),
    ],
    lambda i: f"{i[0].cluster}/{i[0].node}/{i[1].pci_address}",
)
