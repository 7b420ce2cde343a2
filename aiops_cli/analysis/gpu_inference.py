"""Model servers' own metrics to one row a server, joined by pod to the GPUs that it holds.

Names: vLLM's "Production metrics" (docs.vllm.ai), SGLang's and text-generation-inference's. Despite its
name vLLM's `gpu_cache_usage_perc` is a ratio from 0 to 1; newer versions call it `kv_cache_usage_perc`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from aiops_cli.analysis.gpu_findings import name as gpu_name
from aiops_cli.models.gpu import Gpu, GpuInference
from aiops_cli.models.samples import Sample

Labels = dict[str, str]
_RUNNING, _WAITING, _CACHE = "running", "waiting", "cache"
GAUGES = {
    "vllm:num_requests_running": _RUNNING,
    "vllm:num_requests_waiting": _WAITING,
    "vllm:gpu_cache_usage_perc": _CACHE,
    "vllm:kv_cache_usage_perc": _CACHE,
    "sglang:num_running_reqs": _RUNNING,
    "sglang:num_queue_reqs": _WAITING,
    "sglang:token_usage": _CACHE,
    "tgi_batch_current_size": _RUNNING,
    "tgi_queue_size": _WAITING,
}
TOKENS = (
    "vllm:generation_tokens_total",
    "sglang:generation_tokens_total",
    "tgi_request_generated_tokens_sum",
)
FIRST_TOKEN = ("vllm:time_to_first_token_seconds_bucket", "sglang:time_to_first_token_seconds_bucket")
LABELS = ("pod", "namespace", "instance", "model_name", "model", "engine")
_SERVERS = {"vllm": "vLLM", "sglang": "SGLang", "tgi": "TGI"}
_Key = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Answers:
    """What was asked: gauges by their names, and numbers of each server without one."""

    gauges: Sequence[Sample]
    tokens: Sequence[Sample]
    p50: Sequence[Sample]
    p95: Sequence[Sample]


def rows(answers: Answers, gpus: Iterable[Gpu], cluster: str) -> list[GpuInference]:
    """One row a server and model, by namespace and pod. Engines of one server are counted together; of
    their caches the fullest is told."""
    numbers: dict[_Key, dict[str, float]] = {}
    servers: dict[_Key, str] = {}
    for sample in answers.gauges:
        what = GAUGES.get(sample.name)
        if what is None or sample.value != sample.value:
            continue
        key = _key(sample.labels)
        servers[key] = _SERVERS[sample.name.partition(":")[0].partition("_")[0]]
        found = numbers.setdefault(key, {})
        before = found.get(what)
        if before is None:
            found[what] = sample.value
        else:
            found[what] = max(before, sample.value) if what == _CACHE else before + sample.value
    tokens, p50, p95 = (_by_key(s) for s in (answers.tokens, answers.p50, answers.p95))
    held = _held(gpus)
    return [
        _row(cluster, key, servers[key], found, held, (p50.get(key), p95.get(key), tokens.get(key)))
        for key, found in sorted(numbers.items())
    ]


def _row(
    cluster: str,
    key: _Key,
    server: str,
    found: Mapping[str, float],
    held: Mapping[tuple[str, str], list[Gpu]],
    more: tuple[float | None, float | None, float | None],
) -> GpuInference:
    namespace, pod, instance, model = key
    mine = held.get((namespace, pod), []) if pod else []
    busy = [g.utilization for g in mine if g.utilization is not None]
    memory = [g.memory_used_mib for g in mine if g.memory_used_mib is not None]
    return GpuInference(
        cluster,
        namespace or None,
        pod or None,
        server,
        model or None,
        found.get(_RUNNING),
        found.get(_WAITING),
        found.get(_CACHE),
        *more,
        gpus=[gpu_name(g) for g in mine],
        gpu_utilization=round(sum(busy) / len(busy), 3) if busy else None,
        gpu_memory_used_mib=sum(memory) if memory else None,
        instance=instance or None,
    )


def _held(gpus: Iterable[Gpu]) -> dict[tuple[str, str], list[Gpu]]:
    found: dict[tuple[str, str], list[Gpu]] = {}
    for gpu in gpus:
        for namespace, pod in dict.fromkeys((u.namespace or "", u.pod) for u in gpu.users):
            found.setdefault((namespace, pod), []).append(gpu)
    return found


def _key(labels: Labels) -> _Key:
    model = labels.get("model_name") or labels.get("model") or ""
    return labels.get("namespace", ""), labels.get("pod", ""), labels.get("instance", ""), model


def _by_key(samples: Sequence[Sample]) -> dict[_Key, float]:
    """Numbers of each server; rates of its engines are added by the query."""
    return {_key(s.labels): round(s.value, 6) for s in samples if s.value == s.value}
