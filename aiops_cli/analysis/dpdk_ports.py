"""Ports, mempools and lcores of a DPDK pod: by its telemetry, else by an exporter of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from aiops_cli.models.cnf import DpdkLcore, DpdkMempool, DpdkPort, DpdkProcess
from aiops_cli.models.cnf_objects import CnfPod
from aiops_cli.models.dpdk import COUNTERS, DpdkReadings, Inside, Map, PortReply, Readings, TelemetryReply
from aiops_cli.models.numbers import amount

EXEC = "exec"
PROMETHEUS = "prometheus"
_PORT_LABELS = ("port", "port_id", "params", "device", "interface", "plugin_instance")
_RATES = {
    "ipackets": "rx_packets_per_second",
    "opackets": "tx_packets_per_second",
    "imissed": "imissed_per_second",
    "ierrors": "ierrors_per_second",
    "rx_nombuf": "rx_nombuf_per_second",
}


@dataclass(slots=True)
class Seen:
    """What was read in a pod's containers; `errors` says why not, by `files` and `telemetry`."""

    inside: Inside | None = None
    telemetry: dict[str, list[TelemetryReply]] | None = None
    errors: dict[str, str] = field(default_factory=dict)


def of_pod(readings: Readings, pod: CnfPod) -> Readings:
    """Of this pod; scraped without honorLabels it is `exported_pod`, and `pod` is the exporter's."""
    namespace, name = pod.key
    return [
        (labels, value)
        for labels, value in readings
        if (labels.get("exported_pod") or labels.get("pod")) == name
        and (labels.get("exported_namespace") or labels.get("namespace")) == namespace
    ]


def processes(
    pod: CnfPod,
    readings: DpdkReadings | None,
    no_readings: str,
    seen: Seen,
    sources: dict[str, str],
    missing: dict[str, str],
) -> list[DpdkProcess] | None:
    """What its telemetry says, else its exporter; None, and why in `missing`, where neither does."""
    if seen.telemetry and any(seen.telemetry.values()):
        sources["ports"] = f"{EXEC}, DPDK telemetry"
        failed = [r.error for replies in seen.telemetry.values() for r in replies if r.error]
        if failed:
            missing["ports"] = "; ".join(dict.fromkeys(failed))
        return [_process(name, r) for name, replies in seen.telemetry.items() for r in replies]
    exported = _exported(pod, readings)
    if exported:
        sources["ports"] = PROMETHEUS
        return exported
    told = seen.errors.get("telemetry")
    if told is None and seen.telemetry is not None:
        told = "no DPDK telemetry socket in its containers"
    none = no_readings or "no DPDK metrics of this pod in Prometheus"
    missing["ports"] = told or f"{none}; --exec asks its telemetry"
    return None


def _process(container: str, reply: TelemetryReply) -> DpdkProcess:
    return DpdkProcess(
        container,
        reply.socket,
        _text(reply.hello.get("version")),
        _whole(reply.hello.get("pid")),
        [_port(p) for p in reply.ports],
        [_pool(p) for p in reply.pools if p],
        _lcores(reply.lcores),
    )


def _port(reply: PortReply) -> DpdkPort:
    after, before = reply.after or {}, reply.before or {}
    link, info = reply.link or {}, reply.info or {}

    def rate(counter: str) -> float | None:
        new, old = _whole(after.get(counter)), _whole(before.get(counter))
        if new is None or old is None or reply.seconds <= 0 or new < old:  # its counters were cleared
            return None
        return round((new - old) / reply.seconds, 6)

    speed = _whole(link.get("speed"))
    counts: Map = {c: _whole(after.get(c)) for c in COUNTERS}
    rates: Map = {name: rate(c) for c, name in _RATES.items()}
    return DpdkPort(
        str(reply.port),
        _text(info.get("name")),
        _text(link.get("status")),
        speed if speed not in (None, 0, 0xFFFFFFFF) else None,
        _whole(info.get("numa_node")),
        **counts,
        **rates,
    )


def _pool(pool: Map) -> DpdkMempool:
    return DpdkMempool(
        str(pool.get("name", "")),
        _whole(pool.get("size")),
        _whole(pool.get("common_pool_count")),
        _whole(pool.get("socket_id")),
    )


def _lcores(usage: Map | None) -> list[DpdkLcore]:
    """Of /eal/lcore/usage: {"lcore_ids": […], "total_cycles": […], "busy_cycles": […]}."""
    lists = [usage.get(k) for k in ("lcore_ids", "total_cycles", "busy_cycles")] if usage else []
    if len(lists) != 3 or not all(isinstance(x, list) for x in lists):
        return []
    found = []
    for lcore, total, busy in zip(*lists, strict=False):
        cycles, worked = _whole(total), _whole(busy)
        share = 100 * worked / cycles if cycles and worked is not None else None
        if (number := _whole(lcore)) is not None:
            found.append(DpdkLcore(number, share))
    return found


def _whole(value: object) -> int | None:
    return amount(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _exported(pod: CnfPod, readings: DpdkReadings | None) -> list[DpdkProcess]:
    """Ports by the metrics of a telemetry exporter, such as Telegraf's dpdk input."""
    values: dict[str, dict[str, dict[str, float]]] = {}
    sources = ((readings.counters, "{}"), (readings.rates, "{}_per_second")) if readings else ()
    for of, field_of in sources:
        for counter, series in of.items():
            for labels, value in of_pod(series, pod):
                port = next((labels[p] for p in _PORT_LABELS if labels.get(p)), "-")
                container = labels.get("exported_container") or labels.get("container", "")
                ports = values.setdefault(container, {}).setdefault(port, {})
                ports[field_of.format(counter)] = value
    return [
        DpdkProcess(container, "", None, None, [_metric_port(p, v) for p, v in sorted(found.items())], [], [])
        for container, found in values.items()
    ]


def _metric_port(port: str, values: dict[str, float]) -> DpdkPort:
    counts: Map = {c: amount(values[c]) for c in COUNTERS if c in values}
    found = {name: values.get(f"{c}_per_second") for c, name in _RATES.items()}
    rates: Map = {name: None if rate is None else round(rate, 6) for name, rate in found.items()}
    return DpdkPort(port, **counts, **rates)
