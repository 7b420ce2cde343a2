"""TraceQL metrics computed from whole traces, for stores that know no metrics of their spans.

A sample at t counts the spans that began in (t - step, t]. Durations are in seconds, as Tempo's are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from aiops_cli.errors import ErrorCode, UsageError
from aiops_cli.models.signals import Series, Span
from aiops_cli.models.timerange import TimeRange
from aiops_cli.sources import traceql_match
from aiops_cli.sources.traceql_parse import Field, Metrics, Query

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Labels = dict[str, str]


def wanted(query: Query) -> Metrics:
    """The metrics function of a query. Raises UsageError (INVALID_TRACEQL) if it has none."""
    if query.metrics is None:
        raise UsageError(
            "this TraceQL has no metrics function",
            hint="pipe it into one: { status = error } | rate() by (resource.service.name)",
            code=ErrorCode.INVALID_TRACEQL,
        )
    return query.metrics


def not_a_search(expr: str | None) -> UsageError:
    return UsageError(
        "this TraceQL is a metrics query, not a search",
        hint=f"aiops traces metrics {expr!r}",
        code=ErrorCode.INVALID_TRACEQL,
    )


def series(
    metrics: Metrics,
    query: Query,
    traces: Iterable[Sequence[Span]],
    known: TimeRange,
    window: TimeRange,
    step: float,
) -> list[Series]:
    """The function's series over `window`, at multiples of `step`, in order of their labels.

    Steps that began before `known` does have no sample. Counts are 0 where no span began; others have no
    sample there.
    """
    import numpy as np

    aligned = window.aligned(step)
    steps = np.arange(int((aligned.end - aligned.start) / step + 1e-9) + 1, dtype=np.float64)
    grid: Floats = aligned.start + step * steps
    grid = grid[grid - step >= known.start - 1e-6] if known != window else grid
    groups: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
    for trace in traces:
        for span in traceql_match.matching(query, trace):
            value = _value(metrics.field, span, trace)
            if value is not None:
                labels = tuple((f.written, _text(f, span, trace)) for f in metrics.by)
                groups.setdefault(labels, []).append((span.start_ns / 1e9, value))
    found: list[Series] = []
    for labels in sorted(groups):
        pairs = np.array(groups[labels])
        where = np.searchsorted(grid, pairs[:, 0], side="left")
        inside = (where < len(grid)) & (pairs[:, 0] > grid[0] - step if len(grid) else False)
        found += _over_time(metrics, dict(labels), grid, step, where[inside], pairs[inside, 1])
    return found


def _over_time(
    metrics: Metrics, labels: Labels, grid: Floats, step: float, where: NDArray[np.intp], values: Floats
) -> list[Series]:
    import numpy as np

    counts = np.bincount(where, minlength=len(grid)).astype(float)
    if metrics.function in ("rate", "count_over_time"):
        return [Series(labels, grid, counts / step if metrics.function == "rate" else counts)]
    at = np.flatnonzero(counts)
    parts = [values[where == i] for i in at]
    if metrics.function == "quantile_over_time":
        return [
            Series(labels | {"p": f"{q:g}"}, grid[at], np.array([float(np.quantile(p, q)) for p in parts]))
            for q in metrics.quantiles
        ]
    reduce: dict[str, Callable[[Floats], np.floating[Any]]]
    reduce = {"min": np.min, "max": np.max, "avg": np.mean, "sum": np.sum}
    chosen = reduce[metrics.function[:3]]
    return [Series(labels, grid[at], np.array([float(chosen(p)) for p in parts]))]


def _value(field: Field | None, span: Span, trace: Sequence[Span]) -> float | None:
    """The number that is measured; durations in seconds. None if the span has none."""
    if field is None:
        return 1.0
    found = traceql_match.values(field, span, trace)
    if not found or isinstance(found[0], bool) or not isinstance(found[0], int | float):
        return None
    lasting = not field.scope and field.name in ("duration", "traceDuration")
    return found[0] / 1e9 if lasting else float(found[0])


def _text(field: Field, span: Span, trace: Sequence[Span]) -> str:
    found: list[Any] = traceql_match.values(field, span, trace)
    return "nil" if not found else str(found[0]).lower() if isinstance(found[0], bool) else str(found[0])
