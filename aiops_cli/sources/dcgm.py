"""dcgm-exporter: what to ask a Prometheus that scrapes it, and its own page.

Of the labels only those travel that say which GPU and whose: 2,000 GPUs are 80,000 series. The rest (model,
driver, node) is asked of one metric alone.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from aiops_cli.errors import ClusterError
from aiops_cli.models.result import Answer
from aiops_cli.models.samples import Sample
from aiops_cli.sources.exposition import read_page

if TYPE_CHECKING:
    from aiops_cli.sources.base import MetricsSource
    from aiops_cli.transport.client import HttpClient

_USER = (
    "pod",
    "namespace",
    "container",
    "exported_pod",
    "exported_namespace",
    "exported_container",
    "pod_name",
    "pod_namespace",
    "container_name",
)
_WHICH = ("__name__", "UUID", "uuid", "gpu_uuid", "GPU_I_ID", "nvlink")
_NO_UUID = ("gpu", "Hostname", "hostname", "node", "kubernetes_node", "instance")
_MORE = ("xid", "health_watch", "health_error_code")
_EACH_HAS_ONE = (
    "DCGM_FI_DEV_FB_USED",
    "DCGM_FI_DEV_GPU_TEMP",
    "DCGM_FI_DEV_GPU_UTIL",
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
    "DCGM_FI_DEV_POWER_USAGE",
    "dcgm_fb_used",
    "dcgm_gpu_temp",
)
_BLANK = 0x7FFFFFF0  # from here on are DCGM's words for what it does not know
EVERYTHING = '{__name__=~"DCGM_.+|dcgm_.+"}'
"""For bundles, which hold series as they are."""


def named(metrics: Iterable[str]) -> str:
    """A regex of metric names, short enough for a URL: common prefixes are written once."""
    groups: dict[str, list[str]] = {}
    for metric in metrics:
        prefix = next((p for p in _PREFIXES if metric.startswith(p)), "")
        groups.setdefault(prefix, []).append(metric[len(prefix) :])
    return "|".join(f"{p}({'|'.join(rest)})" for p, rest in groups.items())


_PREFIXES = ("DCGM_FI_DEV_", "DCGM_FI_PROF_", "DCGM_EXP_", "dcgm_")


def values(metrics: Iterable[str], *, more: bool = True) -> str:
    """PromQL for the numbers of these metrics, by GPU and by who holds it; replicas once."""
    by = ", ".join((*_WHICH, *_USER, *(_MORE if more else ())))
    return f'max by ({by}) ({{__name__=~"{named(metrics)}"}})'


def now(metrics: Iterable[str]) -> str:
    """The same as an instant query. What the server sorts is not sorted again by labels, which of 80,000
    series takes a quarter of a second."""
    return f"sort({values(metrics)})"


def unidentified(metrics: Iterable[str]) -> str:
    """The same of GPUs whose exporter tells no UUID, with what else says which they are."""
    by = ", ".join((*_WHICH, *_NO_UUID, *_USER, *_MORE))
    return f'max by ({by}) ({{__name__=~"{named(metrics)}", UUID="", uuid="", gpu_uuid="", gpu!=""}})'


def identity() -> str:
    """PromQL for one series of each GPU with all its labels: `or` takes what has not come before."""
    return " or ".join(_EACH_HAS_ONE)


def gone(seconds: float, step: float) -> str:
    """PromQL for the labels of GPUs that had metrics within the last `seconds` and have none now, and when
    they were measured last: of those that are divided differently, none. Looked at each `step`, which tells
    the very last measurement while it is below five minutes."""
    when = " or ".join(f"timestamp({name})" for name in _EACH_HAS_ONE)
    before = f"max_over_time(({when})[{math.ceil(seconds)}s:{math.ceil(step)}s])"
    return f"{before} unless on (UUID, uuid) ({identity()})"


def crossed(temperature: Iterable[str], hot_from: float, reasons: Iterable[str], flags: Iterable[str]) -> str:
    """PromQL for temperatures from `hot_from` °C on, reasons for lowered clocks beyond idling and settings
    (bits 1 and 2), and flags that are set: only what is wrong travels."""
    parts = ((temperature, f">= {hot_from:g}"), (reasons, "> 3"), (flags, "> 0"))
    by = ", ".join(_WHICH)
    wrong = (f'max by ({by}) ({{__name__=~"{named(names)}"}}) {limit}' for names, limit in parts)
    # `or` compares all labels but the name: without one that says it, heat would hide the reasons.
    return " or ".join(f'label_replace({one}, "wrong", "$1", "__name__", "(.+)")' for one in wrong)


def held(stems: Iterable[str]) -> str:
    """PromQL for the utilisation in percent of GPUs and instances while a container holds them, as
    `analysis.gpu` reads it; `stems` are how the exporters' own pods begin."""
    own = json.dumps(
        "|".join(["", ".*dcgm-exporter.*", *(f"{re.escape(s)}(-[^-]*)?" for s in sorted(stems))])
    )
    whose = ('exported_pod!=""', f'exported_pod="", pod!~{own}', f'exported_pod="", pod="", pod_name!~{own}')

    def of(metrics: str, more: str = "") -> str:
        found = " or ".join(f'{{__name__=~"{metrics}", {more}{who}}}' for who in whose)
        return f"max by (UUID, uuid, GPU_I_ID) ({found})"

    whole = of("DCGM_FI_DEV_GPU_UTIL|dcgm_gpu_utilization", 'GPU_I_ID="", ')
    parts = of("DCGM_FI_PROF_GR_ENGINE_ACTIVE"), of("dcgm_fi_prof_gr_engine_active")
    return f"(({whole} or 100 * {parts[0]} or {parts[1]}) < {_BLANK})"


def times_counted(expr: str, seconds: float, step: float) -> str:
    """PromQL for how often, each `step`, `expr` said something within the last `seconds`: a time that was
    counted by the one before is left out."""
    return f"count_over_time(({expr})[{math.ceil(seconds) - 1}s:{math.ceil(step)}s])"


def exporters() -> str:
    """PromQL for the pods that GPUs' metrics are scraped from, by what scraping says of itself."""
    return f"count by (pod) (up and on (job, instance) ({identity()}))"


def once(metrics: Iterable[str], seconds: float) -> str:
    """PromQL for the GPUs of which one of these was not 0 at any time within the last `seconds`."""
    which = f'{{__name__=~"{named(metrics)}"}}'
    return f"max by (UUID, uuid) (max_over_time({which}[{math.ceil(seconds)}s])) > 0"


def scraped(metrics: Iterable[str], label: str, uuids: Iterable[str], seconds: float) -> str:
    """PromQL for every sample of these metrics, of GPUs with one of these UUIDs in that label, within the
    last `seconds`."""
    which = "|".join(sorted(uuids))
    return f'{{__name__=~"{named(metrics)}", {label}=~"{which}"}}[{math.ceil(seconds)}s]'


def of_one(metrics: Iterable[str], uuid: str) -> str:
    """PromQL for the numbers of these metrics of one GPU and its instances, whoever held it."""
    which = f'__name__=~"{named(metrics)}"'
    both = " or ".join(f"{{{which}, {label}={json.dumps(uuid)}}}" for label in ("UUID", "uuid"))
    return f"max by (__name__, GPU_I_ID) ({both})"


async def samples(source: MetricsSource, exprs: Sequence[str], at: float | None) -> Answer[Sample]:
    """Instant queries as samples, one after the other."""
    answers = await asyncio.gather(*(source.instant(expr, at) for expr in exprs))
    rows = [
        Sample(row.labels.get("__name__", ""), row.labels, float(row.values[-1]))
        for answer in answers
        for row in answer.rows
        if len(row.values)
    ]
    notes = list(dict.fromkeys(w for a in answers for w in a.warnings))
    return Answer(rows, answers[0].source, warnings=notes, partial=any(a.partial for a in answers))


async def pages(exporters: Sequence[HttpClient]) -> Answer[Sample]:
    """The exporters' own pages. Those that fail are told; raises ClusterError if all do."""
    found = await asyncio.gather(
        *(read_page(client, "the DCGM exporter") for client in exporters), return_exceptions=True
    )
    answer: Answer[Sample] = Answer([])
    errors: list[ClusterError] = []
    for client, page in zip(exporters, found, strict=True):
        if isinstance(page, ClusterError):
            errors.append(page)
            answer.warnings.append(f"{client.endpoint}: {page.message}")
        elif isinstance(page, BaseException):
            raise page
        else:
            answer.rows += page.samples
            if page.skipped:
                answer.warnings.append(f"{client.endpoint}: {page.skipped} lines can't be read")
    if len(errors) == len(exporters):
        raise errors[0]
    answer.partial = bool(errors)
    return answer
