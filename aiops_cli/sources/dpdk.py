"""What only a container itself can say: its cpuset, its devices' NUMA nodes, and its DPDK telemetry.

Telemetry (DPDK doc/guides/howto/telemetry.rst): a unix SOCK_SEQPACKET socket `dpdk_telemetry.v2` (`:N` behind
it for more processes of a prefix) in <runtime dir>/dpdk/<file-prefix>; it greets with its version and pid,
and answers `/command,parameter` with JSON under that command. Because it is SEQPACKET, `nc -U` can't ask.
Programs that are run take nothing from the cluster but PCI addresses that were checked, and no shell.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from aiops_cli.errors import ClusterError, ErrorCode
from aiops_cli.models.dpdk import COUNTERS, DpdkReadings, Inside, Readings, TelemetryReply
from aiops_cli.models.numbers import whole
from aiops_cli.sources.pod_exec import exec_in_pod

if TYPE_CHECKING:
    from aiops_cli.sources.base import MetricsSource
    from aiops_cli.transport.client import HttpClient

_PCI = re.compile(r"[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]")
_NUMA_NODES = 8
_CPUSETS = ("/sys/fs/cgroup/cpuset.cpus.effective", "/sys/fs/cgroup/cpuset/cpuset.cpus")
_MEMS = ("/sys/fs/cgroup/cpuset.mems.effective", "/sys/fs/cgroup/cpuset/cpuset.mems")
_STATUS = "/proc/self/status"
_PAGES = {"1Gi": "hugepages-1048576kB", "2Mi": "hugepages-2048kB"}
_SIZES = {"1Gi": 1 << 30, "2Mi": 1 << 21}

_RISING = ("imissed", "ierrors", "rx_nombuf", "ipackets", "opackets")

_ALIASES = {
    "rx_packets": "ipackets",
    "tx_packets": "opackets",
    "rx_bytes": "ibytes",
    "tx_bytes": "obytes",
    "rx_errors": "ierrors",
    "tx_errors": "oerrors",
    "rx_good_packets": "ipackets",
    "tx_good_packets": "opackets",
    "rx_good_bytes": "ibytes",
    "tx_good_bytes": "obytes",
    "rx_missed_errors": "imissed",
    "rx_mbuf_allocation_errors": "rx_nombuf",
}
"""Names of /ethdev/xstats, and of exporters that use plain words."""
_NAMES = {**{c: c for c in COUNTERS}, **_ALIASES}
_LONGEST_FIRST = sorted(_NAMES, key=len, reverse=True)

READ_SECONDS = 1.0
"""Between the two readings of a port's counters."""

# Python is what dpdk-telemetry.py needs too. The pause between two readings gives rates.
CLIENT = r"""
import glob, json, os, socket, sys, time
roots = ["/var/run/dpdk", "/run/dpdk", "/tmp/dpdk", os.environ.get("XDG_RUNTIME_DIR", "/nowhere") + "/dpdk"]
seen, found = set(), []
for path in sorted(p for r in roots for p in glob.glob(r + "/*/dpdk_telemetry.v2*")):
    if os.path.realpath(path) in seen or len(found) > 15:
        continue
    seen.add(os.path.realpath(path))
    one = {"socket": path}
    found.append(one)
    try:
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.settimeout(5)
        s.connect(path)
        one["hello"] = json.loads(s.recv(1 << 16))
        size = max(1 << 16, int(one["hello"].get("max_output_len", 0)))
        def ask(command):
            s.send(command.encode())
            return json.loads(s.recv(size)).get(command.split(",")[0])
        ports = (ask("/ethdev/list") or [])[:64]
        first = {p: (time.monotonic(), ask("/ethdev/stats,%d" % p)) for p in ports}
        one["pools"] = [ask("/mempool/info," + n) for n in (ask("/mempool/list") or [])[:64]]
        one["lcores"] = ask("/eal/lcore/usage")
        time.sleep(float(sys.argv[1]))
        one["ports"] = [
            {"port": p, "before": first[p][1], "after": ask("/ethdev/stats,%d" % p),
             "seconds": time.monotonic() - first[p][0], "link": ask("/ethdev/link_status,%d" % p),
             "info": ask("/ethdev/info,%d" % p)}
            for p in ports
        ]
    except Exception as error:
        one["error"] = "%s: %s" % (type(error).__name__, error)
print(json.dumps(found))
"""


async def look_inside(
    client: HttpClient, namespace: str, pod: str, container: str, pci: Iterable[str], timeout: float
) -> Inside:
    """Read files of /sys and /proc by one `grep`, which every image with a shell has. Raises ClusterError."""
    devices = [p for p in pci if _PCI.fullmatch(p)]
    numa = [f"/sys/devices/system/node/node{n}" for n in range(_NUMA_NODES)]
    paths = [*_CPUSETS, *_MEMS, _STATUS, *(f"{n}/cpulist" for n in numa)]
    paths += [f"{n}/hugepages/{folder}/free_hugepages" for n in numa for folder in _PAGES.values()]
    paths += [f"/sys/bus/pci/devices/{d}/{name}" for d in devices for name in ("numa_node", "uevent")]
    argv = ["grep", "-s", "-H", "^", *paths]
    done = await exec_in_pod(client, namespace, pod, container, argv, timeout)
    if not done.stdout:
        raise ClusterError(
            f"the files of /sys can't be read in {namespace}/{pod}/{container}",
            hint="look at that container",
            code=ErrorCode.QUERY_FAILED,
        )
    return parse_files(done.stdout)


def parse_files(text: str) -> Inside:
    """`path:line` lines of grep -H; PCI addresses in paths have colons themselves."""
    found = Inside()
    files: dict[str, list[str]] = {}
    for line in text.splitlines():
        path, value = _split(line)
        files.setdefault(path, []).append(value)
    found.cpus = next((files[p][0] for p in _CPUSETS if files.get(p) and files[p][0]), None)
    found.mems = next((files[p][0] for p in _MEMS if files.get(p) and files[p][0]), None)
    status = dict(v.split(":", 1) for v in files.get(_STATUS, []) if ":" in v)
    found.cpus = found.cpus or status.get("Cpus_allowed_list", "").strip() or None
    found.mems = found.mems or status.get("Mems_allowed_list", "").strip() or None
    for path, lines in files.items():
        if match := re.fullmatch(r"/sys/devices/system/node/node(\d+)/cpulist", path):
            if (node := whole(match[1])) is not None:
                found.nodes[node] = lines[0]
        elif match := re.fullmatch(r"/sys/devices/system/node/node(\d+)/hugepages/(.+)/free_hugepages", path):
            size = next((s for s, folder in _PAGES.items() if folder == match[2]), None)
            node, pages = whole(match[1]), whole(lines[0])
            if size and node is not None and pages is not None:
                found.pages_free.setdefault(size, {})[node] = pages * _SIZES[size]
        elif match := re.fullmatch(r"/sys/bus/pci/devices/(.+)/(numa_node|uevent)", path):
            if match[2] == "numa_node" and (node := whole(lines[0])) is not None:  # -1: no such nodes here
                found.pci_numa[match[1]] = node
            for line in lines:
                if match[2] == "uevent" and line.startswith("DRIVER="):
                    found.pci_driver[match[1]] = line.removeprefix("DRIVER=")
    return found


def _split(line: str) -> tuple[str, str]:
    match = re.match(r"(/sys/bus/pci/devices/[^/]+/\w+|/[^:]+):(.*)", line)
    return (match[1], match[2]) if match else ("", line)


async def read_telemetry(
    client: HttpClient, namespace: str, pod: str, container: str, timeout: float
) -> list[TelemetryReply]:
    """What the DPDK processes of a container say. Raises ClusterError where it can't be asked."""
    argv = ["python3", "-c", CLIENT, str(READ_SECONDS)]
    done = await exec_in_pod(client, namespace, pod, container, argv, timeout)
    if done.exit_code:
        why = " ".join(done.stderr.split())[-200:] or f"exit code {done.exit_code}"
        raise ClusterError(
            f"python3, which asks DPDK's telemetry, fails in {namespace}/{pod}/{container}: {why}",
            hint="use an image with python3, or export the telemetry as metrics",
            code=ErrorCode.QUERY_FAILED,
        )
    return parse_telemetry(done.stdout)


def parse_telemetry(text: str) -> list[TelemetryReply]:
    """Raises ClusterError (BAD_ANSWER) for what is no such answer."""
    try:
        return msgspec.json.decode(text.encode(), type=list[TelemetryReply])
    except msgspec.MsgspecError:
        raise ClusterError(
            "the answer of DPDK's telemetry can't be read",
            hint="look at /var/run/dpdk in that container",
            code=ErrorCode.BAD_ANSWER,
        ) from None


def selector(metrics: str, counters: Iterable[str] = _NAMES) -> str:
    """Of series of counters, whatever stands before and behind their names; `metrics` as in `read_series`."""
    pattern = f"{metrics}({'|'.join(counters)})(_total)?".replace("\\", "\\\\").replace('"', '\\"')
    return f'{{__name__=~"{pattern}"}}'


def counter_of(metric: str) -> str | None:
    """Which of COUNTERS a metric is, by the end of its name."""
    plain = metric.removesuffix("_total")
    return next((_NAMES[n] for n in _LONGEST_FIRST if plain.endswith(n)), None)


async def read_series(source: MetricsSource, namespaces: Sequence[str], metrics: str) -> DpdkReadings:
    """`metrics` is the config's regex of what stands before a counter's name."""
    found = DpdkReadings()
    where = "|".join(re.escape(n).replace("\\", "\\\\") for n in namespaces)
    spaces = f'namespace=~"{where}"'

    async def ask(expr: str) -> Readings:
        answer = await source.instant(expr)
        found.warnings += [w for w in answer.warnings if w not in found.warnings]
        return [(row.labels, value) for row in answer.rows if (value := row.last) is not None]

    (
        found.throttled,
        found.cpus,
        found.vf_numa,
        found.pages_free,
        found.page_bytes,
        counters,
    ) = await asyncio.gather(
        ask(
            "max by (namespace, pod, container) "
            f'(rate(container_cpu_cfs_throttled_periods_total{{{spaces}, container!=""}}[5m]))'
        ),
        ask("sriov_kubepodcpu"),
        ask("group by (node, exported_node, instance, pciAddr, numa_node) (sriov_vf_rx_packets)"),
        ask("node_memory_HugePages_Free"),
        ask("node_memory_Hugepagesize_bytes"),
        ask(selector(metrics)),
    )
    names: dict[str, set[str]] = {}
    for labels, value in counters:
        name = labels.get("__name__", "")
        if counter := counter_of(name):
            found.counters.setdefault(counter, []).append((labels, value))
            names.setdefault(counter, set()).add(name)
    rising = [(c, n) for c in _RISING for n in sorted(names.get(c, ()))]
    answers = await asyncio.gather(*(ask(f"rate({n}[5m])") for _, n in rising))
    for (counter, _), readings in zip(rising, answers, strict=True):
        found.rates.setdefault(counter, []).extend(readings)
    return found
