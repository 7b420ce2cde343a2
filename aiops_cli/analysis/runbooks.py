"""What to look at next, by what was found: steps a person can run."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiops_cli.models.analysis import Entity

_STEPS: dict[str, tuple[str, ...]] = {
    "cpu": (
        "Compare CPU use with requests and limits: kubectl {context}{namespace}top pod | grep {name}",
        "Check throttling (container_cpu_cfs_throttled_periods_total) and raise the limit or scale out.",
        "If use rose without traffic, profile the process and look at the last rollout.",
    ),
    "memory": (
        "Look for OOM kills and restarts: kubectl {context}{namespace}get events | grep -i oom",
        "Compare the working set with the limit over a day; a steady climb is a leak.",
    ),
    "disk": (
        "Find what fills it: df -h and du on the volume of {name}; check log and WAL retention.",
        "Extend the volume or delete safely; write errors end when space is free again.",
    ),
    "pool": (
        "Compare connections in use with the pool's limit at {name}, and look for sessions that hold them.",
        "Look for slow or idle-in-transaction queries on the other side before raising the limit.",
        "Check that callers close connections on error paths and that timeouts are set.",
    ),
    "queue": (
        "Compare the arrival and the processing rate of {name}; scale the consumers or shed load.",
        "Look for a message that fails again and again at the head of the queue.",
    ),
    "restarts": (
        "Read the last words: kubectl {context}{namespace}logs --previous deploy/{name}",
        "Read the exit code and reason: kubectl {context}{namespace}describe pod -l app={name}",
    ),
    "throttling": ("Raise the CPU limit of {name} or spread its load over more replicas.",),
    "descriptors": ("Count open files and sockets of {name} (process_open_fds) against their limit.",),
    "gpu": (
        "Look at the GPU and what else is found of it: aiops {cluster}gpu nodes --findings",
        "Look at Xid messages in the kernel log of the node, and drain it if they repeat.",
    ),
    "clock": (
        "Look at the node's clocks: aiops {cluster}cnf ptp --node {node}",
        "Check the clock source and the link to the grandmaster of {name}.",
        "Read ptp4l's log: kubectl {context}-n openshift-ptp logs ds/linuxptp-daemon -c linuxptp-daemon-container",
    ),
    "loss": ("Check the interface counters and the path between {name} and its callers.",),
    "latency": (
        "Look at the slowest traces: aiops {cluster}traces search --service {name}",
        "Compare the time of {name} itself with that of its callees.",
    ),
    "own_time": (
        "Profile {name}: its own code or its resources take the time, not its callees.",
        "Compare CPU, garbage collection and lock waits before and after the onset.",
    ),
    "call_time": (
        "Check the network path and the connection handling between {name} and its callers "
        "(delay, retransmits, DNS, proxy).",
        "Compare the caller's client span with the server span: the gap is spent between them.",
    ),
    "call_pattern": (
        "Read the code path of the operation: calls that it used to make are missing or new.",
        "Look at the last rollout or feature flag of {name}.",
    ),
    "errors": (
        "Read the error lines: aiops {cluster}logs query '{{{owner}=\"{name}\"}}' and failing traces.",
        "Check what {name} depends on, then its last change.",
    ),
    "log_template": (
        "Read the lines around the onset: aiops {cluster}logs query '{{{owner}=\"{name}\"}}'",
        "Search the code for the message and look at what changed there.",
    ),
    "change": (
        "Look at what was rolled out: kubectl {context}{namespace}rollout history deploy/{name}",
        "Roll back if the onset follows the change: kubectl {context}{namespace}rollout undo deploy/{name}",
    ),
    "config": (
        "Look at what was changed: kubectl {context}{namespace}get configmap {name} -o yaml --show-managed-fields",
        "Put the earlier content back if the onset follows the change.",
    ),
    "event": ("Read the events: kubectl {context}{namespace}describe pod -l app={name}",),
    "node": (
        "Look at the node: kubectl {context}describe node {name}, its pressure conditions and kernel log.",
        "Cordon and drain it if its pods recover elsewhere.",
    ),
    "registry": (
        "Check that the registry {name} answers and that its credentials and certificates are valid.",
    ),
    "traffic": ("Find who sends the load: rate of requests by caller, ingress logs.",),
    "other": ("Read the series around the onset and compare with the same hour of earlier days.",),
}
# By indicator, where more than its topic is known.
_EXACT: dict[str, tuple[str, ...]] = {
    "GPU_XID": (
        "Look at the GPU and what else is found of it: aiops {cluster}gpu nodes --node {node}",
        "Read the kernel log: kubectl {context}debug node/{node} -it --image=busybox -- dmesg | grep -i xid",
        "Move its pods: kubectl {context}cordon {node}; then reset the GPU or reboot; replace it if it comes back.",
    ),
    "GPU_GONE": (
        "Look whether its exporter still runs: kubectl {context}get pods -A --field-selector spec.nodeName={node}",
        "Look for the GPU on the bus: kubectl {context}debug node/{node} -it --image=busybox -- dmesg | grep -i nvrm",
    ),
    "GPU_THROTTLED_THERMAL": (
        "Compare temperatures with its neighbours: aiops {cluster}gpu nodes --node {node} -o wide",
        "Check fans, airflow and the inlet temperature of the node.",
    ),
    "PTP_PROCESS_DOWN": (
        "Read why it ended: kubectl {context}-n openshift-ptp logs ds/linuxptp-daemon -c linuxptp-daemon-container",
        "Compare the PtpConfig of {node} with one that works: kubectl {context}-n openshift-ptp get ptpconfigs -o yaml",
    ),
    "rx_dropped_packets": (
        "Look at the VFs of the node: aiops {cluster}cnf sriov --node {node} -o wide",
        "Check that its program polls fast enough (busy cores, ring sizes): aiops {cluster}cnf dpdk",
    ),
    "tx_dropped_packets": (
        "Look at the VFs of the node: aiops {cluster}cnf sriov --node {node} -o wide",
        "Check the rate limit of the VF, the link of its PF, and the switch port.",
    ),
    "dpdk_imissed_drops": (
        "Look at its ports, lcores and placement: aiops {cluster}cnf dpdk {name} --exec",
        "Give it more lcores or queues, or larger rings: the NIC had no free descriptor.",
    ),
    "dpdk_rx_nombuf_drops": (
        "Look at its mempools: aiops {cluster}cnf dpdk {name} --exec",
        "Give the mempool more buffers, or look for a leak of mbufs.",
    ),
    "dpdk_ierrors_drops": (
        "Look at its ports: aiops {cluster}cnf dpdk {name} --exec",
        "Check cable, transceiver and MTU of the PF: aiops {cluster}cnf sriov",
    ),
    "SRIOV_PF_DOWN": (
        "Look at the PF: aiops {cluster}cnf sriov --node {node}",
        "Check cable, transceiver and switch port; move its pods to another node meanwhile.",
    ),
}


def steps(topic: str, entity: Entity, *, indicator: str = "", owner: str = "app") -> list[str]:
    """The steps for an indicator, else its topic, with the entity's names filled in, quoted for a shell: they come from clusters.

    `owner` is the stream label that names who wrote a log line.
    """
    names = {
        "owner": owner,
        "name": quote(entity.name),
        "node": quote(entity.name.partition("/")[0]),
        "namespace": f"-n {quote(entity.namespace)} " if entity.namespace else "",
        "context": f"--context {quote(entity.cluster)} " if entity.cluster else "",
        "cluster": f"-c {quote(entity.cluster)} " if entity.cluster else "",
    }
    if topic == "change" and entity.kind == "configmap":
        topic = "config"
    found = list(_EXACT.get(indicator) or _STEPS.get(topic, _STEPS["other"]))
    if entity.kind == "node" and topic != "node":
        found += _STEPS["node"]
    return [step.format(**names) for step in found]
