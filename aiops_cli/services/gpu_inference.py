"""Model servers of the fleet, by their own metrics, and the GPUs they run on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiops_cli.analysis import gpu_inference as mapping
from aiops_cli.errors import ErrorCode, NotAvailableError
from aiops_cli.models.gpu import GpuInference
from aiops_cli.models.result import Answer, FleetResult
from aiops_cli.services.bundle import not_recorded
from aiops_cli.services.fanout import Watcher, fan_out
from aiops_cli.services.fleet import Member
from aiops_cli.services.gpu import GpuAsk, read
from aiops_cli.sources import dcgm

NO_SERVERS = f"{ErrorCode.NO_MODEL_SERVERS}: no metrics of vLLM, SGLang or TGI in its Prometheus"
_BY = ", ".join(name for name in mapping.LABELS if name != "engine")


def _any(names: Sequence[str]) -> str:
    return f'{{__name__=~"{"|".join(names)}"}}'


_GAUGES = f"max by (__name__, {', '.join(mapping.LABELS)}) ({_any(tuple(mapping.GAUGES))})"
# A server that two jobs scrape is one: its engines are added, its scrapes are not.
_TOKENS = f"sum by ({_BY}) (max by ({', '.join(mapping.LABELS)}) (rate({_any(mapping.TOKENS)}[5m])))"


def _first_token(quantile: float) -> str:
    return f"histogram_quantile({quantile:g}, sum by (le, {_BY}) (rate({_any(mapping.FIRST_TOKEN)}[5m])))"


QUERIES: tuple[str, ...] = (_GAUGES, _TOKENS, _first_token(0.5), _first_token(0.95))
RECORDED = (dcgm.EVERYTHING, *QUERIES)
"""What a bundle of a cluster with GPUs holds beside what every bundle does."""


async def inference(
    members: Sequence[Member], ask: GpuAsk, *, watch: Watcher | None = None
) -> FleetResult[GpuInference]:
    """Every model server. A cluster without any answers nothing."""

    async def one(member: Member) -> Answer[GpuInference]:
        source = await member.metrics()
        try:
            gauges, tokens, p50, p95 = await asyncio.gather(
                *(dcgm.samples(source, [expr], ask.at) for expr in QUERIES)
            )
        except NotAvailableError as error:
            if error.code is ErrorCode.NOT_RECORDED:
                raise not_recorded("any metric of a model server", []) from None
            raise
        if not gauges.rows:
            gauges.warnings.append(NO_SERVERS)
        answers = mapping.Answers(gauges.rows, tokens.rows, p50.rows, p95.rows)
        gpus = (await read(member, ask)).rows[0].gpus if gauges.rows else []
        rows = mapping.rows(answers, gpus, member.name)
        return Answer(rows, gauges.source, gauges.age_seconds, gauges.warnings, gauges.partial)

    found = await fan_out(members, one, watch=watch)
    return found.with_rows([row for _, row in found.rows])
