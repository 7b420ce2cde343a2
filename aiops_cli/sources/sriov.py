"""Series of sriov-network-metrics-exporter, from a Prometheus.

All are counters. What is dropped is asked for VF by VF, all else summed by PF at the server: a fleet has
tens of thousands of VFs. An exporter that was restarted has two series of a VF for some minutes: the larger
rate is taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from aiops_cli.errors import NotAvailableError

if TYPE_CHECKING:
    from aiops_cli.sources.base import MetricsSource

Readings = list[tuple[Mapping[str, str], float]]
_USERS = "sriov_kubepoddevice"
_PF = "node, exported_node, instance, pf, numa_node"
_SERIES = f"count by ({_PF}) (group by ({_PF}, pciAddr) (sriov_vf_rx_packets))"
_JOIN = "node, exported_node, instance, pciAddr"
_HELD = f"count by ({_PF}) (group by ({_PF}, pciAddr) (sriov_vf_rx_packets) and on ({_JOIN}) {_USERS})"
_PLACE = "node, exported_node, instance, pf, pciAddr"
_WINDOW = "5m"


class ExporterReadings(NamedTuple):
    """`drops` is dropped packets a second by direction, of VFs where that is not 0; `series` counts a PF's VFs, and
    `held` those that a pod has."""

    users: Readings
    series: Readings
    of_pfs: dict[str, Readings]
    of_vfs: dict[str, Readings]
    drops: dict[str, Readings]
    held: Readings
    warnings: list[str]


def _rates(fields: Sequence[str], place: str = _PLACE) -> dict[str, str]:
    return {f: f"max by ({place}) (rate(sriov_vf_{f}[{_WINDOW}]))" for f in fields}


def _sums(rates: Mapping[str, str]) -> list[str]:
    return [f"sum by (node, exported_node, instance, pf) ({expr})" for expr in rates.values()]


def _dropped(rates: Mapping[str, str]) -> dict[str, str]:
    return {field: f"{expr} > 0" for field, expr in rates.items() if field.endswith("_dropped")}


def expressions(fields: Sequence[str]) -> list[str]:
    """All that `read_exporter` asks without `vfs`, for recording; the first tells whether there is any."""
    rates = _rates(fields)
    return [_SERIES, _USERS, _HELD, *_sums(rates), *_dropped(rates).values()]


def dropping(limit: float) -> str:
    """VFs that drop more packets a second than this, both ways together."""
    received, sent = _rates(("rx_dropped", "tx_dropped")).values()
    return f"({received} + {sent}) > {limit!r}"


async def read_exporter(
    source: MetricsSource, fields: Sequence[str], *, vfs: bool, every: bool = False
) -> ExporterReadings:
    """Rates of `sriov_vf_FIELD` for each of `fields`, of PFs, and with `vfs` of each VF that a pod has (of
    all with `every`, and where the exporter knows no pods)."""
    warnings: dict[str, None] = {}

    async def ask(expr: str) -> Readings:
        answer = await source.instant(expr)
        warnings.update(dict.fromkeys(answer.warnings))
        return [(row.labels, value) for row in answer.rows if (value := row.last) is not None]

    rates = _rates(fields)
    users, series = await asyncio.gather(ask(_USERS), ask(_SERIES))
    if not series:
        return ExporterReadings(users, series, {}, {}, {}, [], list(warnings))
    try:
        held = await ask(_HELD) if users else []
    except NotAvailableError:  # a bundle of an older release
        held = []
    sums, dropped = _sums(rates), _dropped(rates)
    only = f" and on ({_JOIN}) {_USERS}" if users and not every else ""
    single = [expr + only for expr in _rates(fields, f"{_PLACE}, vf").values()] if vfs else []
    answers = await asyncio.gather(*(ask(expr) for expr in (*sums, *dropped.values(), *single)))
    of_pfs = dict(zip(fields, answers, strict=False))
    drops = dict(zip(dropped, answers[len(sums) :], strict=False))
    of_vfs = dict(zip(fields, answers[len(sums) + len(dropped) :], strict=False))
    return ExporterReadings(users, series, of_pfs, of_vfs, drops, held, list(warnings))
