"""What nvidia-smi prints: XML (`-q -x`) and CSV, and the cgroups that say whose a process is.

Only the argument lists of this module are ever run in a container (`check`): all of them read. Element
names: nvsmi_device.dtd; older drivers call some otherwise. A field that the driver can't tell is `N/A`,
`[N/A]`, `[Not Supported]` and the like, and is None here; lines that make no sense are counted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiops_cli.models.gpu import Gpu, GpuProcess

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

QUERY_XML = ("nvidia-smi", "-q", "-x")
# Names may hold the separator: they come last.
_GPU_COLUMNS = (
    "index",
    "uuid",
    "pci.bus_id",
    "driver_version",
    "utilization.gpu",
    "utilization.memory",
    "memory.used",
    "memory.free",
    "memory.total",
    "temperature.gpu",
    "power.draw",
    "power.limit",
    "clocks.sm",
    "clocks.mem",
    "fan.speed",
    "name",
)
_PROCESS_COLUMNS = ("gpu_uuid", "pid", "used_gpu_memory", "process_name")
_CSV = "--format=csv,noheader,nounits"
QUERY_GPUS = ("nvidia-smi", f"--query-gpu={','.join(_GPU_COLUMNS)}", _CSV)
QUERY_PROCESSES = ("nvidia-smi", f"--query-compute-apps={','.join(_PROCESS_COLUMNS)}", _CSV)
_CGROUP = re.compile(r"/proc/[1-9][0-9]{0,9}/cgroup")
_MOST_PIDS = 200

_NUMBER = re.compile(r"[+-]?\d[\d.,]*")
_UUID = re.compile(r"(?:GPU|MIG)-[0-9A-Za-z/-]+")
_POD = re.compile(r"pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})")
_CONTAINER = re.compile(r"[0-9a-f]{64}")
_REASONS = {
    "gpu_idle": "gpu_idle",
    "applications_clocks_setting": "clocks_setting",
    "sw_power_cap": "power_cap",
    "hw_slowdown": "hw_slowdown",
    "sync_boost": "sync_boost",
    "sw_thermal_slowdown": "sw_thermal",
    "hw_thermal_slowdown": "hw_thermal",
    "hw_power_brake_slowdown": "hw_power_brake",
    "display_clocks_setting": "display_clocks",
}
_UNCORRECTABLE = (
    "dram_uncorrectable",
    "sram_uncorrectable",
    "sram_uncorrectable_parity",
    "sram_uncorrectable_secded",
    "double_bit/total",
)
_CORRECTED = ("dram_correctable", "sram_correctable", "single_bit/total")


class NoXml(Exception):
    """It is no XML of nvidia-smi."""


@dataclass(slots=True)
class Reading:
    """What one node's nvidia-smi told; `skipped` are the lines or elements that made no sense."""

    gpus: list[Gpu] = field(default_factory=list)
    processes: list[GpuProcess] = field(default_factory=list)
    skipped: int = 0


def check(argv: Sequence[str]) -> None:
    """Raises ValueError for anything but what this module reads with."""
    words = tuple(argv)
    if words in (QUERY_XML, QUERY_GPUS, QUERY_PROCESSES):
        return
    if words[:3] == ("grep", "-sH", "kubepods") and len(words) > 3 and all(map(_CGROUP.fullmatch, words[3:])):
        return
    raise ValueError(f"this is never run in a container: {' '.join(words)}")


def cgroups_of(pids: Iterable[int]) -> list[tuple[str, ...]]:
    """What prints the cgroups of processes in pods, each line after its file's name: so many at once as
    fit into a URL."""
    files = [f"/proc/{pid}/cgroup" for pid in sorted(set(pids)) if 0 < pid < 1 << 32]
    return [
        ("grep", "-sH", "kubepods", *files[first : first + _MOST_PIDS])
        for first in range(0, len(files), _MOST_PIDS)
    ]


def number(text: str | None) -> float | None:
    """A number with a unit, as any locale writes it: 1.5 W, 1,5 W, 1.234,5, 1,234.5; None for what is none.

    A single comma or point before three digits is a thousands separator only where it is a comma that no 0
    stands before: nvidia-smi itself writes 1.234.
    """
    found = _NUMBER.match((text or "").strip())
    if not found:
        return None
    digits = found[0].rstrip(".,")
    comma, point = digits.rfind(","), digits.rfind(".")
    if comma >= 0 and point >= 0:
        thousands, decimal = (",", ".") if point > comma else (".", ",")
        digits = digits.replace(thousands, "").replace(decimal, ".")
    elif comma >= 0:
        whole = re.fullmatch(r"[+-]?[1-9]\d{0,2}(,\d{3})+", digits)
        digits = digits.replace(",", "" if whole else ".")
    elif digits.count(".") > 1:
        digits = digits.replace(".", "")
    try:
        value = float(digits)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def parse_xml(text: str, cluster: str, node: str | None, at: str | None = None) -> Reading:
    """`nvidia-smi -q -x`. Raises NoXml."""
    from xml.etree import ElementTree

    if "<!ENTITY" in text:
        raise NoXml("it declares entities")
    try:
        root = ElementTree.fromstring(text[max(text.find("<"), 0) :])
    except (ElementTree.ParseError, ValueError) as error:
        raise NoXml(str(error)) from None
    found = Reading()
    driver, cuda = _text(root, "driver_version"), _text(root, "cuda_version")
    for index, gpu in enumerate(root.iter("gpu")):
        uuid = _text(gpu, "uuid")
        if uuid is None or not _UUID.fullmatch(uuid):
            found.skipped += 1
            continue
        common = _common(gpu, cluster, node, index, uuid, driver, cuda, at)
        # A GPU instance may hold several compute instances, which share its memory: it is one row.
        parts: dict[str, Element] = {}
        for part in gpu.iterfind("mig_devices/mig_device"):
            if instance := _text(part, "gpu_instance_id"):
                parts.setdefault(instance, part)
        for instance, part in parts.items():
            found.gpus.append(Gpu(**common, **_memory(part), mig_instance=instance))
        if not parts:
            percent = _number(gpu, "utilization/gpu_util")
            found.gpus.append(
                Gpu(
                    **common,
                    **_memory(gpu),
                    utilization=percent,
                    utilization_of=None if percent is None else "utilization.gpu",
                    memory_utilization=_number(gpu, "utilization/memory_util"),
                )
            )
        for process in gpu.iterfind("processes/process_info"):
            pid = _text(process, "pid") or ""
            if not _integer(pid):
                found.skipped += 1
                continue
            found.processes.append(
                GpuProcess(
                    cluster,
                    node,
                    index,
                    uuid,
                    _text(process, "gpu_instance_id"),
                    int(pid),
                    _text(process, "process_name") or "?",
                    _text(process, "type"),
                    _number(process, "used_memory"),
                )
            )
    return found


def _common(
    gpu: Element,
    cluster: str,
    node: str | None,
    index: int,
    uuid: str,
    driver: str | None,
    cuda: str | None,
    at: str | None,
) -> dict[str, Any]:
    """What is of the board, and of each instance of it."""
    power = _first(gpu, "gpu_power_readings", "power_readings")
    remapped = gpu.find("remapped_rows")
    return {
        "cluster": cluster,
        "holders_known": False,
        "node": node,
        "index": index,
        "uuid": uuid,
        "source": "nvidia-smi",
        "at": at,
        "model": _text(gpu, "product_name"),
        "pci_bus_id": gpu.get("id"),
        "driver": driver,
        "cuda": cuda,
        "temperature_c": _number(gpu, "temperature/gpu_temp"),
        "memory_temperature_c": _number(gpu, "temperature/memory_temp"),
        "fan_percent": _number(gpu, "fan_speed"),
        "power_w": _any(power, "power_draw", "instant_power_draw", "average_power_draw"),
        "power_limit_w": _any(power, "current_power_limit", "enforced_power_limit", "power_limit"),
        "sm_clock_mhz": _number(gpu, "clocks/sm_clock"),
        "memory_clock_mhz": _number(gpu, "clocks/mem_clock"),
        "throttle_reasons": _reasons(_first(gpu, "clocks_event_reasons", "clocks_throttle_reasons")),
        "ecc_uncorrectable": _sum(gpu, "ecc_errors/volatile", _UNCORRECTABLE),
        "ecc_corrected": _sum(gpu, "ecc_errors/volatile", _CORRECTED),
        "remapped_rows_corrected": _any(remapped, "remapped_row_corr"),
        "remapped_rows_uncorrectable": _any(remapped, "remapped_row_unc"),
        "row_remap_pending": _yes(remapped, "remapped_row_pending"),
        "row_remap_failed": _yes(remapped, "remapped_row_failure"),
        "pcie_replays": _number(gpu, "pci/replay_counter"),
    }


def _memory(part: Element) -> dict[str, Any]:
    return {
        f"memory_{what}_mib": _number(part, f"fb_memory_usage/{what}")
        for what in ("used", "free", "reserved", "total")
    }


def parse_gpus_csv(text: str, cluster: str, node: str | None, at: str | None = None) -> Reading:
    """What QUERY_GPUS prints."""
    found = Reading()
    for line in _lines(text):
        values = _fields(line, len(_GPU_COLUMNS))
        if values is None or not _integer(values[0]) or not _UUID.fullmatch(values[1]):
            found.skipped += 1
            continue
        index, uuid, bus, driver, *numbers, name = values
        busy, memory_busy, used, free, total, heat, power, limit, sm, mem, fan = map(number, numbers)
        found.gpus.append(
            Gpu(
                cluster=cluster,
                holders_known=False,
                node=node,
                index=int(index),
                uuid=uuid,
                model=_known(name),
                source="nvidia-smi",
                at=at,
                pci_bus_id=_known(bus),
                driver=_known(driver),
                utilization=busy,
                utilization_of=None if busy is None else "utilization.gpu",
                memory_utilization=memory_busy,
                memory_used_mib=used,
                memory_free_mib=free,
                memory_total_mib=total,
                temperature_c=heat,
                power_w=power,
                power_limit_w=limit,
                sm_clock_mhz=sm,
                memory_clock_mhz=mem,
                fan_percent=fan,
            )
        )
    return found


def parse_processes_csv(text: str, cluster: str, node: str | None) -> Reading:
    """What QUERY_PROCESSES prints. On a divided GPU it names the parent, and no instance."""
    found = Reading()
    for line in _lines(text):
        values = _fields(line, len(_PROCESS_COLUMNS))
        if values is None or not _integer(values[1]) or not _UUID.fullmatch(values[0]):
            found.skipped += 1
            continue
        uuid, pid, memory, name = values
        found.processes.append(
            GpuProcess(cluster, node, None, uuid, None, int(pid), _known(name) or "?", "C", number(memory))
        )
    return found


def parse_cgroups(text: str) -> dict[int, tuple[str, str | None]]:
    """Of each process the UID of its pod and the id of its container, from what `cgroups_of` prints."""
    found: dict[int, tuple[str, str | None]] = {}
    for line in text.splitlines():
        file, _, group = line.partition("/cgroup:")
        pid = file.removeprefix("/proc/")
        pod = _POD.search(group)
        if not pod or not _integer(pid):
            continue
        uid = pod[1].replace("_", "-")
        container = _CONTAINER.search(group, pod.end())
        found[int(pid)] = uid, container[0] if container else None
    return found


def _lines(text: str) -> Iterable[str]:
    return (line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#"))


def _fields(line: str, count: int) -> list[str] | None:
    """The fields of a line, a comma and a space between; without spaces a comma would be a decimal one."""
    values = [v.strip() for v in line.split(", ", count - 1)]
    return values if len(values) == count else None


def _integer(text: str) -> bool:
    return text.isdecimal() and len(text) <= 10


def _known(text: str | None) -> str | None:
    """None for what nvidia-smi writes where it has nothing to say."""
    words = (text or "").strip()
    if not words or words == "N/A" or words.startswith("["):
        return None
    return None if words.startswith("Requested functionality") else words


def _first(gpu: Element, *names: str) -> Element | None:
    return next((e for n in names if (e := gpu.find(n)) is not None), None)


def _text(parent: Element, path: str) -> str | None:
    return _known(parent.findtext(path))


def _number(parent: Element, path: str) -> float | None:
    return number(_text(parent, path))


def _any(parent: Element | None, *names: str) -> float | None:
    if parent is None:
        return None
    return next((v for n in names if (v := _number(parent, n)) is not None), None)


def _sum(gpu: Element, path: str, names: Sequence[str]) -> float | None:
    parent = gpu.find(path)
    found = [v for n in names if parent is not None and (v := _number(parent, n)) is not None]
    return sum(found) if found else None


def _yes(parent: Element | None, name: str) -> bool | None:
    said = None if parent is None else _text(parent, name)
    return None if said is None else said.lower() == "yes"


def _reasons(parent: Element | None) -> list[str] | None:
    """Only single reasons: `hw_slowdown` covers others, which are listed too."""
    if parent is None:
        return None
    found = []
    for element in parent.iter():
        name = re.sub(r"^clocks_(event|throttle)_reason_", "", element.tag)
        if name in _REASONS and (element.text or "").strip() == "Active":
            found.append(_REASONS[name])
    return found
