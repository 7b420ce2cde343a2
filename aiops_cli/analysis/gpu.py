"""dcgm-exporter's samples to GPUs: one row a GPU or MIG instance, whatever the version calls things.

Names, labels, units and traps: dcgm-exporter's etc/default-counters.csv, 1.x-compatibility-metrics.csv and
internal/pkg/rendermetrics. What joins samples is (UUID, GPU_I_ID).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from aiops_cli.analysis.gpu_codes import throttle_reasons, xid
from aiops_cli.models.gpu import Gpu, GpuSource, GpuUser
from aiops_cli.models.samples import Sample

Labels = dict[str, str]
Key = tuple[str, str]
"""UUID (NODE/INDEX where there is none) and GPU instance, "" for a whole GPU."""
User = tuple[str, str, str]
"""Namespace, pod, container."""

_OWN = {  # of the part itself; the parent's are not those of a MIG instance
    "DCGM_FI_DEV_GPU_UTIL": "utilization",
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE": "engine_active",
    "DCGM_FI_DEV_MEM_COPY_UTIL": "memory_utilization",
    "DCGM_FI_DEV_FB_USED": "memory_used",
    "DCGM_FI_DEV_FB_FREE": "memory_free",
    "DCGM_FI_DEV_FB_RESERVED": "memory_reserved",
    "DCGM_FI_DEV_FB_TOTAL": "memory_total",
    "DCGM_FI_PROF_SM_ACTIVE": "sm_active",
    "DCGM_FI_PROF_SM_OCCUPANCY": "sm_occupancy",
    "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": "tensor_active",
    "DCGM_FI_PROF_DRAM_ACTIVE": "dram_active",
}
_BOARD = {  # of the whole GPU, and of each of its instances
    "DCGM_FI_DEV_GPU_TEMP": "temperature_c",
    "DCGM_FI_DEV_MEMORY_TEMP": "memory_temperature_c",
    "DCGM_FI_DEV_POWER_USAGE": "power_w",
    "DCGM_FI_DEV_POWER_MGMT_LIMIT": "power_limit_w",
    "DCGM_FI_DEV_ENFORCED_POWER_LIMIT": "power_limit_w",
    "DCGM_FI_DEV_SM_CLOCK": "sm_clock_mhz",
    "DCGM_FI_DEV_MEM_CLOCK": "memory_clock_mhz",
    "DCGM_FI_DEV_FAN_SPEED": "fan_percent",
    "DCGM_FI_DEV_XID_ERRORS": "xid",
    "DCGM_FI_DEV_CLOCKS_EVENT_REASONS": "reasons",
    "DCGM_FI_DEV_CLOCK_THROTTLE_REASONS": "reasons",
    "DCGM_FI_DEV_PCIE_REPLAY_COUNTER": "pcie_replays",
    "DCGM_FI_PROF_PCIE_TX_BYTES": "pcie_tx_bytes_per_second",
    "DCGM_FI_PROF_PCIE_RX_BYTES": "pcie_rx_bytes_per_second",
    "DCGM_FI_PROF_NVLINK_TX_BYTES": "nvlink_tx_bytes_per_second",
    "DCGM_FI_PROF_NVLINK_RX_BYTES": "nvlink_rx_bytes_per_second",
    "DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL": "nvlink_crc_flit",
    "DCGM_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL": "nvlink_crc_data",
    "DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL": "nvlink_replay",
    "DCGM_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL": "nvlink_recovery",
    "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL": "ecc_corrected",
    "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL": "ecc_uncorrectable",
    "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS": "remapped_rows_corrected",
    "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS": "remapped_rows_uncorrectable",
    "DCGM_FI_DEV_ROW_REMAP_FAILURE": "row_remap_failed",
    "DCGM_FI_DEV_ROW_REMAP_PENDING": "row_remap_pending",
    "DCGM_FI_DEV_RETIRED_PENDING": "pages_pending",
}
LEGACY = {  # dcgm-exporter 1.x, and newer ones with its names
    "dcgm_sm_clock": "DCGM_FI_DEV_SM_CLOCK",
    "dcgm_memory_clock": "DCGM_FI_DEV_MEM_CLOCK",
    "dcgm_memory_temp": "DCGM_FI_DEV_MEMORY_TEMP",
    "dcgm_gpu_temp": "DCGM_FI_DEV_GPU_TEMP",
    "dcgm_power_usage": "DCGM_FI_DEV_POWER_USAGE",
    "dcgm_pcie_replay_counter": "DCGM_FI_DEV_PCIE_REPLAY_COUNTER",
    "dcgm_gpu_utilization": "DCGM_FI_DEV_GPU_UTIL",
    "dcgm_mem_copy_utilization": "DCGM_FI_DEV_MEM_COPY_UTIL",
    "dcgm_xid_errors": "DCGM_FI_DEV_XID_ERRORS",
    "dcgm_fb_free": "DCGM_FI_DEV_FB_FREE",
    "dcgm_fb_used": "DCGM_FI_DEV_FB_USED",
    "dcgm_ecc_sbe_volatile_total": "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL",
    "dcgm_ecc_dbe_volatile_total": "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL",
    "dcgm_retired_pages_pending": "DCGM_FI_DEV_RETIRED_PENDING",
    "dcgm_nvlink_flit_crc_error_count_total": "DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL",
    "dcgm_nvlink_data_crc_error_count_total": "DCGM_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL",
    "dcgm_nvlink_replay_error_count_total": "DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL",
    "dcgm_nvlink_recovery_error_count_total": "DCGM_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL",
    "dcgm_fi_prof_gr_engine_active": "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
    "dcgm_fi_prof_sm_active": "DCGM_FI_PROF_SM_ACTIVE",
    "dcgm_fi_prof_sm_occupancy": "DCGM_FI_PROF_SM_OCCUPANCY",
    "dcgm_fi_prof_pipe_tensor_active": "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE",
    "dcgm_fi_prof_dram_active": "DCGM_FI_PROF_DRAM_ACTIVE",
}
_FIELDS = _OWN | _BOARD
_FIELDS |= {old: _FIELDS[new] for old, new in LEGACY.items()}
_BOARD_FIELDS = frozenset(_BOARD.values())
PERCENT = frozenset(old for old in LEGACY if old.startswith("dcgm_fi_prof_"))
"""Ratios that 1.x calls percent, by name: a ratio itself may be a little above 1."""
_NVLINK = ("nvlink_crc_flit", "nvlink_crc_data", "nvlink_replay", "nvlink_recovery")
_XID_COUNT, _HEALTH = "DCGM_EXP_XID_ERRORS_COUNT", "DCGM_EXP_GPU_HEALTH_STATUS"
_COUNTED = frozenset({_XID_COUNT, _HEALTH})
METRICS = (*_FIELDS, *sorted(_COUNTED))
# DCGM writes what it does not know as numbers from these on (dcgm_structs.h), and says by the last digit why.
BLANK_FROM = float(0x7FFFFFF0)
_BLANKS = tuple((blank, blank + 16) for blank in (BLANK_FROM, 2.0**47))
_MOST = 2.0**62  # the 64-bit blanks are just below 2^63
_MODEL = ("modelName", "model_name", "modelname")
_DRIVER, _CUDA = "DCGM_FI_DRIVER_VERSION", "DCGM_FI_CUDA_DRIVER_VERSION"


@dataclass(slots=True)
class _Part:
    """What was said of one GPU or instance: of itself, and again for each user."""

    labels: Labels
    own: dict[str, float] = field(default_factory=dict)
    users: dict[User, dict[str, float]] = field(default_factory=dict)
    links: dict[tuple[str, str], float] = field(default_factory=dict)
    xid_counts: dict[str, int] = field(default_factory=dict)
    health: dict[str, str] = field(default_factory=dict)

    def values(self) -> dict[str, float]:
        """Of the part as a whole. Without a sample of its own, its users' are copies of one."""
        found: dict[str, float] = {}
        for copies in self.users.values():
            for name, value in copies.items():
                found[name] = max(found.get(name, value), value)
        for (name, _), value in self.links.items():
            found[name] = found.get(name, 0.0) + value
        return found | self.own


class Attribution:
    """Who holds a GPU, by the labels of its samples.

    Where Prometheus' target labels win, the pod that holds it is `exported_pod`, and `pod` the exporter's
    own, as is that of the other pods of its daemon set. Exporters write empty labels while a GPU is idle.
    """

    def __init__(self, samples: Iterable[Labels], exporters: Iterable[str] = ()) -> None:
        """`exporters` are pods that are known to be the exporter's."""
        own = {labels.get("pod", "") for labels in samples if "exported_pod" in labels}
        self.stems = {_stem(pod) for pod in (*own, *exporters) if pod}
        """How the exporters' own pods begin."""

    def user(self, labels: Labels) -> User | None:
        if pod := labels.get("exported_pod"):
            return labels.get("exported_namespace", ""), pod, labels.get("exported_container", "")
        pod = labels.get("pod") or labels.get("pod_name") or ""
        if not pod or "dcgm-exporter" in pod or _stem(pod) in self.stems:
            return None
        namespace = labels.get("namespace") or labels.get("pod_namespace") or ""
        return namespace, pod, labels.get("container") or labels.get("container_name") or ""


def _stem(pod: str) -> str:
    """What the pods of a daemon set have in common."""
    return pod.rpartition("-")[0] or pod


def blank(value: float) -> bool:
    """Whether a number is one of DCGM's for what it does not know, or no number."""
    return not -_MOST < value < _MOST or any(first <= value < end for first, end in _BLANKS)


def node_of(labels: Labels) -> str | None:
    """The node of a sample: the exporter's host label in both spellings, unless that is its pod's name, what
    scraping added, the address."""
    host = labels.get("Hostname") or labels.get("hostname")
    scraped = labels.get("node") or labels.get("kubernetes_node")
    if scraped and host and (host == labels.get("pod") or "dcgm-exporter" in host):
        return scraped
    if found := host or scraped:
        return found
    instance = labels.get("instance", "")
    address, colon, port = instance.rpartition(":")
    return (address if colon and port.isdigit() else instance) or None


def lacks_uuid(labels: Labels) -> bool:
    """Whether a sample is of a GPU whose exporter tells no UUID."""
    return bool(labels.get("gpu")) and not (
        labels.get("UUID") or labels.get("uuid") or labels.get("gpu_uuid")
    )


def key_of(labels: Labels) -> Key | None:
    """What joins samples; None for those that are of no GPU (NVSwitches, CPUs)."""
    uuid = labels.get("UUID") or labels.get("uuid") or labels.get("gpu_uuid")
    if not uuid:
        index = labels.get("gpu")
        if not index:
            return None
        uuid = f"{node_of(labels)}/{index}"
    return uuid, labels.get("GPU_I_ID", "")


def rows(
    samples: Sequence[Sample],
    cluster: str,
    source: GpuSource,
    at: str | None = None,
    exporters: Iterable[str] = (),
) -> list[Gpu]:
    """The GPUs that samples tell of, by node and index. What is in no sample is None."""
    attribution = Attribution((s.labels for s in samples), exporters)
    parts: dict[Key, _Part] = {}
    for name, labels, value in samples:  # 80,000 of 2,000 GPUs: what is done here counts
        what = _FIELDS.get(name)
        if what is None and name not in _COUNTED:
            continue
        if not -_MOST < value < BLANK_FROM and blank(value):
            continue
        key = key_of(labels)
        if key is None:
            continue
        part = parts.get(key)
        if part is None:
            part = parts[key] = _Part(labels)
        elif len(labels) > len(part.labels):
            part.labels = labels  # the one that says most
        if what is None:
            _count(part, name, labels, value)
            continue
        if name in PERCENT:
            value /= 100
        if link := labels.get("nvlink"):
            part.links[what, link] = value
            continue
        user = attribution.user(labels)
        if user is None:
            into = part.own
        elif (into := part.users.get(user)) is None:  # type: ignore[assignment]
            into = part.users[user] = {}
        if what not in into or value > into[what]:
            into[what] = value
    # Exporters that map pods write empty labels of a GPU that nobody holds, which a Prometheus drops.
    told = any(p.users or "" in (p.labels.get("pod"), p.labels.get("pod_name")) for p in parts.values())
    divided = {uuid for uuid, instance in parts if instance}
    found = [
        _row(key, part, parts.get((key[0], "")) if key[1] else None, cluster, source, at, told)
        for key, part in parts.items()
        if key[1] or key[0] not in divided
    ]
    found.sort(key=lambda g: (g.node or "", -1 if g.index is None else g.index, g.mig_instance or ""))
    return found


def _count(part: _Part, name: str, labels: Labels, value: float) -> None:
    """XIDs of the exporter's window, and what health checks found."""
    if value <= 0:
        return
    if name == _XID_COUNT and _integer(code := labels.get("xid", "")) is not None:
        part.xid_counts[code] = max(part.xid_counts.get(code, 0), int(value))
    elif name == _HEALTH and (watch := labels.get("health_watch")):
        verdict = "FAIL" if value >= 20 else "WARN"
        if not part.health.get(watch, "").startswith("FAIL"):
            part.health[watch] = f"{verdict} {labels.get('health_error_code', '')}".rstrip()


def _row(
    key: Key,
    part: _Part,
    parent: _Part | None,
    cluster: str,
    source: GpuSource,
    at: str | None,
    holders_known: bool,
) -> Gpu:
    values = part.values()
    labels = part.labels
    if parent is not None:
        board = parent.values()
        values = {k: v for k, v in board.items() if k in _BOARD_FIELDS} | values
        labels = parent.labels | labels
    whole = not key[1]
    percent, of = (values.get("utilization"), "GPU_UTIL") if whole else (None, "")
    if percent is None and (active := values.get("engine_active")) is not None:
        percent, of = min(active * 100, 100.0), "GR_ENGINE_ACTIVE"  # by rounding it may be 1.004
    used, free, reserved = (values.get(f"memory_{n}") for n in ("used", "free", "reserved"))
    total = values.get("memory_total")
    if total is None and used is not None and free is not None:
        total = used + free + (reserved or 0.0)
    users = _users(part)
    first = users[0] if users else None
    errors = [values[n] for n in _NVLINK if n in values]
    code = values.get("xid")
    return Gpu(
        cluster=cluster,
        node=node_of(labels),
        index=_integer(labels.get("gpu", "")),
        uuid=labels.get("UUID") or labels.get("uuid") or labels.get("gpu_uuid") or None,
        model=next((labels[n] for n in _MODEL if labels.get(n)), None),
        mig_profile=labels.get("GPU_I_PROFILE") or None if key[1] else None,
        utilization=percent,
        memory_used_mib=used,
        memory_total_mib=total,
        temperature_c=values.get("temperature_c"),
        power_w=values.get("power_w"),
        xid=None if code is None else int(code),
        namespace=first.namespace if first else None,
        pod=first.pod if first else None,
        source=source,
        at=at,
        container=first.container if first else None,
        users=users,
        mig_instance=key[1] or None,
        pci_bus_id=labels.get("pci_bus_id") or None,
        driver=labels.get(_DRIVER) or None,
        cuda=_cuda(labels.get(_CUDA, "")),
        utilization_of=of if percent is not None else None,
        memory_free_mib=free,
        memory_reserved_mib=reserved,
        memory_utilization=values.get("memory_utilization"),
        sm_active=values.get("sm_active"),
        sm_occupancy=values.get("sm_occupancy"),
        tensor_active=values.get("tensor_active"),
        dram_active=values.get("dram_active"),
        memory_temperature_c=values.get("memory_temperature_c"),
        power_limit_w=values.get("power_limit_w"),
        sm_clock_mhz=values.get("sm_clock_mhz"),
        memory_clock_mhz=values.get("memory_clock_mhz"),
        throttle_reasons=throttle_reasons(int(values["reasons"])) if "reasons" in values else None,
        fan_percent=values.get("fan_percent"),
        pcie_tx_bytes_per_second=values.get("pcie_tx_bytes_per_second"),
        pcie_rx_bytes_per_second=values.get("pcie_rx_bytes_per_second"),
        nvlink_tx_bytes_per_second=values.get("nvlink_tx_bytes_per_second"),
        nvlink_rx_bytes_per_second=values.get("nvlink_rx_bytes_per_second"),
        pcie_replays=values.get("pcie_replays"),
        nvlink_errors=sum(errors) if errors else None,
        ecc_corrected=values.get("ecc_corrected"),
        ecc_uncorrectable=values.get("ecc_uncorrectable"),
        remapped_rows_corrected=values.get("remapped_rows_corrected"),
        remapped_rows_uncorrectable=values.get("remapped_rows_uncorrectable"),
        row_remap_failed=_flag(values.get("row_remap_failed")),
        row_remap_pending=_flag(values.get("row_remap_pending")),
        pages_pending=values.get("pages_pending"),
        xid_meaning=xid(int(code)).meaning if code else None,
        xid_counts=part.xid_counts or (parent.xid_counts if parent else {}),
        health=part.health or (parent.health if parent else {}),
        holders_known=holders_known,
    )


def _users(part: _Part) -> list[GpuUser]:
    """Who holds the part, whoever uses most memory first. A number of its own has who is shown beside one
    of the whole; else it is a copy of that. A pod that one scrape names without its container is not another
    one."""

    def share(values: dict[str, float], what: str) -> float | None:
        return values.get(what) if what in part.own else None

    named = {(namespace, pod) for namespace, pod, container in part.users if container}
    found = [
        GpuUser(
            namespace or None,
            pod,
            container or None,
            share(values, "utilization"),
            share(values, "memory_used"),
        )
        for (namespace, pod, container), values in part.users.items()
        if container or (namespace, pod) not in named
    ]
    found.sort(key=lambda u: (-(u.memory_used_mib or 0.0), u.namespace or "", u.pod, u.container or ""))
    return found


def _flag(value: float | None) -> bool | None:
    return None if value is None else value != 0


def _integer(text: str) -> int | None:
    """A label's number; None for what is none, or longer than any that makes sense."""
    return int(text) if text.isdecimal() and len(text) <= 9 else None


def _cuda(text: str) -> str | None:
    """12040 is 12.4."""
    number = _integer(text) or 0
    return f"{number // 1000}.{number % 1000 // 10}" if number >= 1000 else text or None
