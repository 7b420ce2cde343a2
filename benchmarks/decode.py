"""Decoding a matrix answer: `python -m benchmarks.decode`. Compare the ratios, not the milliseconds.

The body is 500 series of 2,000 points, about 32 MB. Against `json.loads` and a loop into arrays, in the
same run, interleaved.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import tracemalloc
from collections.abc import Callable

import numpy as np

from aiops_cli.sources.promql_arrays import decode_answer

SERIES, POINTS, STEP = 500, 2000, 15


def matrix_body(series: int = SERIES, points: int = POINTS) -> bytes:
    """A query_range answer as Prometheus prints it, values of 17 digits as rates have."""
    rng = np.random.default_rng(1)
    begin = 1_750_000_005
    result = [
        {
            "metric": {
                "__name__": "http_requests_total",
                "namespace": "shop",
                "pod": f"checkout-{n:05d}-x7k2p",
                "code": "200",
            },
            "values": [[begin + i * STEP, repr(float(v))] for i, v in enumerate(rng.random(points))],
        }
        for n in range(series)
    ]
    answer = {"status": "success", "data": {"resultType": "matrix", "result": result}}
    return json.dumps(answer, separators=(",", ":")).encode()


def loop(body: bytes) -> list[tuple[dict[str, str], np.ndarray, np.ndarray]]:
    """What one writes first."""
    decoded = []
    for item in json.loads(body)["data"]["result"]:
        times = np.array([float(t) for t, _ in item["values"]])
        values = np.array([float(v) for _, v in item["values"]])
        decoded.append((item["metric"], times, values))
    return decoded


def milliseconds(*jobs: Callable[[], object], rounds: int) -> list[float]:
    """The median of each job, all jobs taking turns."""
    taken: list[list[float]] = [[] for _ in jobs]
    for round_ in range(rounds + 1):
        for job, times in zip(jobs, taken, strict=True):
            begin = time.perf_counter()
            job()
            if round_:  # the first warms up
                times.append((time.perf_counter() - begin) * 1000)
    return [statistics.median(times) for times in taken]


def peak(job: Callable[[], object]) -> int:
    """Bytes held at the peak of a job, what it returns included."""
    tracemalloc.start()
    try:
        kept = job()
        peak_bytes = tracemalloc.get_traced_memory()[1]
        del kept
        return peak_bytes
    finally:
        tracemalloc.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    body = matrix_body()
    expected, found = loop(body), decode_answer(body)[0]
    for (labels, times, values), one in zip(expected, found, strict=True):
        assert labels == one.labels
        assert times.tobytes() == one.timestamps.tobytes()
        assert values.tobytes() == one.values.tobytes()
    slow, fast = milliseconds(lambda: loop(body), lambda: decode_answer(body), rounds=rounds)
    print(f"body {len(body) / 1e6:.1f} MB, {SERIES} series of {POINTS:,} points; medians of {rounds}")
    print(f"json.loads and a loop   {slow:8.1f} ms")
    print(f"decode_answer           {fast:8.1f} ms   {slow / fast:.1f} times faster (wanted: 4)")
    for name, job in (("json.loads and a loop", loop), ("decode_answer", decode_answer)):
        held = peak(lambda job=job: job(body))  # type: ignore[misc]
        print(f"{name:<22} {held / len(body):5.2f} bodies held at the peak, the body itself not counted")


if __name__ == "__main__":
    main()
