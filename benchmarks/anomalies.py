"""Anomaly detection on the real streams of the Numenta Anomaly Benchmark, beside simple baselines.

    python -m benchmarks.anomalies --data DIR [-o json]

DIR holds `nab`. Ours runs with the threshold that ships, one for all streams; the baselines run with the
threshold that is best for them on these very streams, as NAB does for published detectors.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from aiops_cli.analysis.online import THRESHOLD, online_scores
from benchmarks.nab import Array, Stream, best_threshold, score_at
from benchmarks.results import Result, print_json, print_table

PUBLISHED = (
    ("ARTime (published, all 58 files)", 74.9),
    ("Numenta HTM (published, all 58 files)", 70.1),
    ("contextOSE (published, all 58 files)", 69.9),
    ("earthgecko Skyline (published, all 58 files)", 58.2),
    ("random cut forest (published, all 58 files)", 51.7),
    ("random (published, all 58 files)", 16.8),
)
NOTES = ("NAB: standard profile, real streams only; published figures include the artificial ones.",)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text[:19]).replace(tzinfo=UTC).timestamp()


def read_streams(root: Path) -> list[Stream]:
    """The streams with their labelled windows as rows."""
    windows: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with (root / "windows.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            windows[row["file"]].append((_seconds(row["window_start"]), _seconds(row["window_end"])))
    streams = []
    with (root / "streams.csv").open(newline="") as file:
        names = [row["file"] for row in csv.DictReader(file)]
    for name in names:
        with gzip.open(root / f"{name}.gz", "rt", newline="") as lines:
            rows = list(csv.reader(lines))[1:]
        times = np.array([_seconds(row[0]) for row in rows])
        values = np.array([float(row[1]) for row in rows])
        spans = [
            (int(np.searchsorted(times, a)), int(np.searchsorted(times, b, side="right")) - 1)
            for a, b in sorted(windows[name])
        ]
        streams.append(Stream(name, times, values, spans))
    return streams


def rolling_z(stream: Stream) -> Array:
    """Distance from the mean of the 288 points before in their standard deviations; an alarm is kept only
    where it exceeds the 100 scores before."""
    values = stream.values
    scores = np.zeros(values.size)
    total = np.concatenate(([0.0], np.cumsum(values - values[0])))
    squares = np.concatenate(([0.0], np.cumsum((values - values[0]) ** 2)))
    rows = np.arange(values.size)
    begins = np.maximum(rows - 288, 0)
    n = np.maximum(rows - begins, 1)
    mean = (total[rows] - total[begins]) / n
    spread = np.sqrt(np.maximum((squares[rows] - squares[begins]) / n - mean**2, 0.0))
    raw = np.abs(values - values[0] - mean) / (spread + 1e-9)
    raw[:30] = 0.0
    for row in np.flatnonzero(raw > 2):
        if raw[row] > raw[max(row - 100, 0) : row].max(initial=0.0):
            scores[row] = raw[row]
    return scores


def at_random(stream: Stream) -> Array:
    return np.random.default_rng(stream.values.size).random(stream.values.size)


def ours(stream: Stream) -> Array:
    return online_scores(stream.times, stream.values)


METHODS: dict[str, tuple[Callable[[Stream], Array], float | None]] = {
    "aiops": (ours, THRESHOLD),
    "aiops, best threshold": (ours, None),
    "rolling z, best threshold": (rolling_z, None),
    "random, best threshold": (at_random, None),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.anomalies", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--data", type=Path, required=True, help="folder that holds nab")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    options = parser.parse_args()
    if not (options.data / "nab").is_dir():
        parser.error(f"{options.data} holds no nab")
    streams = read_streams(options.data / "nab")
    results = []
    for method, (detector, threshold) in METHODS.items():
        started = time.perf_counter()
        scores = [detector(stream) for stream in streams]
        seconds = (time.perf_counter() - started) / len(streams)
        if threshold is None:
            value = best_threshold(streams, scores)[1]
        else:
            value = score_at(streams, scores, threshold)
        results.append(Result("nab", "all", method, "NAB", value, len(streams), seconds))
    if options.output == "json":
        print_json("anomalies", results)
    else:
        results += [Result("nab", "all", name, "NAB", value, 0, 0.0) for name, value in PUBLISHED]
        print_table(results, NOTES)


if __name__ == "__main__":
    main()
