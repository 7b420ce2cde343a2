"""Golden signals beyond those that analysis reads (`queries.CATALOGUE`), which bundles record: asked by
name alone.

Metric names: node exporter; cAdvisor and kube-state-metrics; etcd and the API server; ingress-nginx and
OpenShift's HAProxy router; NVIDIA's dcgm-exporter; OpenShift's linuxptp-daemon; the SR-IOV network metrics
exporter; vLLM's /metrics. A cluster that lacks them answers with nothing.
"""

from __future__ import annotations

from aiops_cli.services.queries import NamedQuery

_IDLE_FS = 'fstype!~"tmpfs|overlay|ramfs|squashfs"'


def _query(expr: str, unit: str, meaning: str, entity: str, kind: str) -> NamedQuery:
    return NamedQuery(expr, unit, meaning, entity, kind, "")


MORE: dict[str, NamedQuery] = {
    # cluster
    "cpu-by-cluster": _query(
        '1 - avg(rate(node_cpu_seconds_total{mode="idle"}[5m]))',
        "ratio",
        "busy share of all CPUs",
        "cluster",
        "cluster",
    ),
    "memory-by-cluster": _query(
        "1 - sum(node_memory_MemAvailable_bytes) / sum(node_memory_MemTotal_bytes)",
        "ratio",
        "used share of all memory",
        "cluster",
        "cluster",
    ),
    "nodes-not-ready": _query(
        'sum(kube_node_status_condition{condition="Ready",status!="true"})',
        "",
        "nodes that are not ready",
        "cluster",
        "cluster",
    ),
    "pods-by-phase": _query(
        "sum by (phase) (kube_pod_status_phase)", "", "pods in each phase", "phase", "cluster"
    ),
    "cpu-requested": _query(
        'sum(kube_pod_container_resource_requests{resource="cpu"}) / sum(kube_node_status_allocatable{resource="cpu"})',
        "ratio",
        "share of allocatable CPU that pods have requested",
        "cluster",
        "cluster",
    ),
    "memory-requested": _query(
        'sum(kube_pod_container_resource_requests{resource="memory"}) / sum(kube_node_status_allocatable{resource="memory"})',
        "ratio",
        "share of allocatable memory that pods have requested",
        "cluster",
        "cluster",
    ),
    # node
    "network-receive-by-node": _query(
        'sum by (instance) (rate(node_network_receive_bytes_total{device!~"lo|veth.*|cali.*|ovn.*|br.*"}[5m]))',
        "B/s",
        "bytes a node receives",
        "instance",
        "node",
    ),
    "network-transmit-by-node": _query(
        'sum by (instance) (rate(node_network_transmit_bytes_total{device!~"lo|veth.*|cali.*|ovn.*|br.*"}[5m]))',
        "B/s",
        "bytes a node sends",
        "instance",
        "node",
    ),
    "network-errors-by-node": _query(
        "sum by (instance) (rate(node_network_receive_errs_total[5m]) + rate(node_network_transmit_errs_total[5m]))",
        "1/s",
        "network errors of a node",
        "instance",
        "node",
    ),
    "disk-io-by-node": _query(
        "max by (instance, device) (rate(node_disk_io_time_seconds_total[5m]))",
        "ratio",
        "share of time in which a disk is busy",
        "instance",
        "node",
    ),
    "inodes-by-node": _query(
        f"max by (instance, mountpoint) (1 - node_filesystem_files_free{{{_IDLE_FS}}} / node_filesystem_files{{{_IDLE_FS}}})",
        "ratio",
        "used share of a filesystem's inodes",
        "instance",
        "node",
    ),
    "load-per-cpu-by-node": _query(
        'node_load5 / on (instance) group_left () count by (instance) (node_cpu_seconds_total{mode="idle"})',
        "",
        "runnable processes for each CPU",
        "instance",
        "node",
    ),
    # namespace
    "cpu-throttled-by-namespace": _query(
        "sum by (namespace) (rate(container_cpu_cfs_throttled_periods_total[5m])) / sum by (namespace) (rate(container_cpu_cfs_periods_total[5m]))",
        "ratio",
        "share of CPU periods in which containers were held back",
        "namespace",
        "namespace",
    ),
    "network-receive-by-namespace": _query(
        "sum by (namespace) (rate(container_network_receive_bytes_total[5m]))",
        "B/s",
        "bytes a namespace's pods receive",
        "namespace",
        "namespace",
    ),
    "network-transmit-by-namespace": _query(
        "sum by (namespace) (rate(container_network_transmit_bytes_total[5m]))",
        "B/s",
        "bytes a namespace's pods send",
        "namespace",
        "namespace",
    ),
    "quota-by-namespace": _query(
        'max by (namespace, resource) (kube_resourcequota{type="used"} / ignoring (type) (kube_resourcequota{type="hard"} > 0))',
        "ratio",
        "used share of a namespace's quota",
        "namespace",
        "namespace",
    ),
    "volumes-by-namespace": _query(
        "max by (namespace, persistentvolumeclaim) (1 - kubelet_volume_stats_available_bytes / kubelet_volume_stats_capacity_bytes)",
        "ratio",
        "used share of a volume claim",
        "namespace",
        "namespace",
    ),
    # workload
    "cpu-by-pod": _query(
        'sum by (namespace, pod) (rate(container_cpu_usage_seconds_total{container!=""}[5m]))',
        "cores",
        "CPU used by a pod",
        "pod",
        "workload",
    ),
    "memory-by-pod": _query(
        'sum by (namespace, pod) (container_memory_working_set_bytes{container!=""})',
        "bytes",
        "memory of a pod",
        "pod",
        "workload",
    ),
    "memory-limit-by-pod": _query(
        'max by (namespace, pod, container) (container_memory_working_set_bytes{container!=""} / (container_spec_memory_limit_bytes > 0))',
        "ratio",
        "share of its memory limit that a container uses",
        "pod",
        "workload",
    ),
    "replicas-missing": _query(
        "max by (namespace, deployment) (kube_deployment_spec_replicas - kube_deployment_status_replicas_available) > 0",
        "",
        "wanted replicas of a deployment that are not available",
        "deployment",
        "workload",
    ),
    "pods-waiting": _query(
        "sum by (namespace, pod, reason) (kube_pod_container_status_waiting_reason) > 0",
        "",
        "containers that wait, and for what",
        "pod",
        "workload",
    ),
    "oom-killed": _query(
        'sum by (namespace, pod, container) (kube_pod_container_status_last_terminated_reason{reason="OOMKilled"}) > 0',
        "",
        "containers last ended by the out-of-memory killer",
        "pod",
        "workload",
    ),
    # etcd
    "etcd-leader": _query("etcd_server_has_leader", "", "1 while a member has a leader", "instance", "etcd"),
    "etcd-leader-changes": _query(
        "max by (instance) (increase(etcd_server_leader_changes_seen_total[1h]))",
        "",
        "changes of leader in an hour",
        "instance",
        "etcd",
    ),
    "etcd-commit": _query(
        "histogram_quantile(0.99, sum by (instance, le) (rate(etcd_disk_backend_commit_duration_seconds_bucket[5m])))",
        "seconds",
        "p99 of etcd's backend commits",
        "instance",
        "etcd",
    ),
    "etcd-peer-latency": _query(
        "histogram_quantile(0.99, sum by (instance, le) (rate(etcd_network_peer_round_trip_time_seconds_bucket[5m])))",
        "seconds",
        "p99 of the way to etcd's peers and back",
        "instance",
        "etcd",
    ),
    "etcd-size": _query(
        "max by (instance) (etcd_mvcc_db_total_size_in_bytes)",
        "bytes",
        "size of etcd's database",
        "instance",
        "etcd",
    ),
    "etcd-failed-proposals": _query(
        "sum by (instance) (rate(etcd_server_proposals_failed_total[5m]))",
        "1/s",
        "proposals that etcd failed",
        "instance",
        "etcd",
    ),
    # API server
    "apiserver-rate": _query(
        "sum by (verb) (rate(apiserver_request_total[5m]))",
        "1/s",
        "API requests by verb",
        "verb",
        "apiserver",
    ),
    "apiserver-latency": _query(
        'histogram_quantile(0.99, sum by (verb, le) (rate(apiserver_request_duration_seconds_bucket{verb!~"WATCH|CONNECT"}[5m])))',
        "seconds",
        "p99 of API requests by verb",
        "verb",
        "apiserver",
    ),
    "apiserver-inflight": _query(
        "sum by (request_kind) (apiserver_current_inflight_requests)",
        "",
        "API requests being answered",
        "request_kind",
        "apiserver",
    ),
    "apiserver-rejected": _query(
        "sum by (priority_level, reason) (rate(apiserver_flowcontrol_rejected_requests_total[5m]))",
        "1/s",
        "API requests refused by priority and fairness",
        "priority_level",
        "apiserver",
    ),
    # ingress
    "ingress-rate": _query(
        "sum by (exported_namespace, ingress) (rate(nginx_ingress_controller_requests[5m])) or sum by (exported_namespace, route) (rate(haproxy_backend_http_responses_total[5m]))",
        "1/s",
        "requests of an ingress or route",
        "ingress",
        "ingress",
    ),
    "ingress-errors": _query(
        'sum by (exported_namespace, ingress) (rate(nginx_ingress_controller_requests{status=~"5.."}[5m])) / sum by (exported_namespace, ingress) (rate(nginx_ingress_controller_requests[5m])) or sum by (exported_namespace, route) (rate(haproxy_backend_http_responses_total{code="5xx"}[5m])) / sum by (exported_namespace, route) (rate(haproxy_backend_http_responses_total[5m]))',
        "ratio",
        "share of an ingress' or route's requests that failed",
        "ingress",
        "ingress",
    ),
    "ingress-latency": _query(
        "histogram_quantile(0.95, sum by (exported_namespace, ingress, le) (rate(nginx_ingress_controller_request_duration_seconds_bucket[5m]))) or max by (exported_namespace, route) (haproxy_backend_http_average_response_latency_milliseconds) / 1000",
        "seconds",
        "p95 of an ingress' answers; the average of a route's",
        "ingress",
        "ingress",
    ),
    # GPU
    "gpu-utilization": _query(
        'max by (Hostname, gpu, modelName, GPU_I_ID) (DCGM_FI_DEV_GPU_UTIL{exported_pod=""} or DCGM_FI_DEV_GPU_UTIL)',
        "%",
        "share of time in which a GPU computes",
        "gpu",
        "gpu",
    ),
    "gpu-memory": _query(
        "max by (Hostname, gpu, modelName, GPU_I_ID) (DCGM_FI_DEV_FB_USED / (DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE))",
        "ratio",
        "used share of a GPU's memory",
        "gpu",
        "gpu",
    ),
    "gpu-temperature": _query(
        "max by (Hostname, gpu, modelName) (DCGM_FI_DEV_GPU_TEMP)",
        "°C",
        "temperature of a GPU",
        "gpu",
        "gpu",
    ),
    "gpu-power": _query(
        "max by (Hostname, gpu, modelName) (DCGM_FI_DEV_POWER_USAGE)",
        "W",
        "power a GPU draws",
        "gpu",
        "gpu",
    ),
    "gpu-xid": _query(
        "max by (Hostname, gpu, modelName) (DCGM_FI_DEV_XID_ERRORS) > 0",
        "",
        "the last XID error code of a GPU: a code, not a count",
        "gpu",
        "gpu",
    ),
    "gpu-tensor": _query(
        "max by (Hostname, gpu, modelName, GPU_I_ID) (DCGM_FI_PROF_PIPE_TENSOR_ACTIVE)",
        "ratio",
        "share of time in which a GPU's tensor cores are busy",
        "gpu",
        "gpu",
    ),
    # PTP
    "ptp-offset": _query(
        "max by (node, process, iface) (abs(openshift_ptp_offset_ns) < 999999) / 1e9",  # sentinels apart
        "seconds",
        "how far a clock is from its master",
        "node",
        "ptp",
    ),
    "ptp-state": _query(
        "min by (node, process, iface) (openshift_ptp_clock_state)",
        "",
        "0 free-running, 1 locked, 2 holdover",
        "node",
        "ptp",
    ),
    "ptp-class": _query(
        "max by (node, process) (openshift_ptp_clock_class)",
        "",
        "clock class: 6 locked to a primary reference, 7 holdover, 248 and more free-running",
        "node",
        "ptp",
    ),
    "ptp-restarts": _query(
        "sum by (node, process) (increase(openshift_ptp_process_restart_count[1h]))",
        "",
        "restarts of a PTP process in an hour",
        "node",
        "ptp",
    ),
    # SR-IOV
    "sriov-receive": _query(
        "sum by (node, pf, vf) (rate(sriov_vf_rx_bytes[5m]))",
        "B/s",
        "bytes a virtual function receives",
        "node",
        "sriov",
    ),
    "sriov-transmit": _query(
        "sum by (node, pf, vf) (rate(sriov_vf_tx_bytes[5m]))",
        "B/s",
        "bytes a virtual function sends",
        "node",
        "sriov",
    ),
    "sriov-dropped": _query(
        "sum by (node, pf, vf) (rate(sriov_vf_rx_dropped[5m]) + rate(sriov_vf_tx_dropped[5m]))",
        "1/s",
        "packets a virtual function drops",
        "node",
        "sriov",
    ),
    "sriov-by-pod": _query(
        "sum by (namespace, pod) (rate(sriov_vf_rx_packets[5m]) * on (pciAddr, node) group_left (namespace, pod) sriov_kubepoddevice)",
        "1/s",
        "packets that a pod's virtual functions receive",
        "pod",
        "sriov",
    ),
    # vLLM
    "vllm-running": _query(
        "sum by (model_name, pod) (vllm:num_requests_running)",
        "",
        "requests a model is answering",
        "model_name",
        "vllm",
    ),
    "vllm-waiting": _query(
        "sum by (model_name, pod) (vllm:num_requests_waiting)",
        "",
        "requests that wait for a model",
        "model_name",
        "vllm",
    ),
    "vllm-kv-cache": _query(
        'max by (model_name, pod) ({__name__=~"vllm:(gpu|kv)_cache_usage_perc"})',
        "ratio",
        "used share of a model's key-value cache",
        "model_name",
        "vllm",
    ),
    "vllm-first-token": _query(
        "histogram_quantile(0.95, sum by (model_name, le) (rate(vllm:time_to_first_token_seconds_bucket[5m])))",
        "seconds",
        "p95 until a model's first token",
        "model_name",
        "vllm",
    ),
    "vllm-latency": _query(
        "histogram_quantile(0.95, sum by (model_name, le) (rate(vllm:e2e_request_latency_seconds_bucket[5m])))",
        "seconds",
        "p95 of a model's whole answers",
        "model_name",
        "vllm",
    ),
    "vllm-tokens": _query(
        "sum by (model_name) (rate(vllm:generation_tokens_total[5m]))",
        "1/s",
        "tokens a model writes",
        "model_name",
        "vllm",
    ),
}
