"""The range cache against its alternatives: `python -m benchmarks.store`. Compare the ratios.

With `--prometheus URL --expr PROMQL` a real server is asked for the last hours too, and then the cache.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np

from aiops_cli.models.signals import Series
from aiops_cli.models.timerange import TimeRange
from aiops_cli.sources.promql_arrays import decode_answer
from aiops_cli.store import ranges
from aiops_cli.store.journal import Journal
from aiops_cli.store.notices import Notices
from aiops_cli.store.ranges import RangeCache, RangeKey
from benchmarks.decode import matrix_body, milliseconds

STEP = 15.0
Write = Callable[[int], None]


def key(expr: str) -> RangeKey:
    return RangeKey("edge-7", "http://prometheus.example", "", "", expr, STEP)


def extent(series: list[Series]) -> TimeRange:
    return TimeRange(series[0].timestamps[0], series[0].timestamps[-1])


def one_answer(folder: Path, rounds: int) -> None:
    for count, points in ((500, 2000), (10, 250)):
        body = matrix_body(count, points)
        series = decode_answer(body)[0]
        window, now = extent(series), float(series[0].timestamps[-1]) + 86400
        cache = RangeCache(folder / f"one-{count}")
        cache.add(key("x"), window, series, now)
        assert [s.values.tobytes() for s in cache.lookup(key("x"), window, now).series] == [
            s.values.tobytes() for s in series
        ]
        stamps = np.concatenate([s.timestamps for s in series])
        values = np.concatenate([s.values for s in series])
        names = np.repeat(np.arange(count, dtype=np.int32), points)
        file = folder / f"by-duckdb-{count}.parquet"
        connection = duckdb.connect()

        def by_duckdb(
            connection: duckdb.DuckDBPyConnection = connection,
            columns: dict[str, np.ndarray] = {"name": names, "ts": stamps, "value": values},  # noqa: B006
            file: Path = file,
        ) -> None:
            connection.register("columns", columns)
            connection.execute(f"COPY (FROM columns) TO '{file}' (FORMAT parquet, COMPRESSION zstd)")

        by_duckdb()
        decoding, reading, duck_reading, writing, duck_writing = milliseconds(
            lambda body=body: decode_answer(body),  # type: ignore[misc]
            lambda cache=cache, window=window, now=now: cache.lookup(key("x"), window, now),  # type: ignore[misc]
            lambda file=file, c=connection: c.execute(f"FROM '{file}'").fetchnumpy(),  # type: ignore[misc]
            lambda cache=cache, w=window, s=series, now=now: cache.add(key("y"), w, s, now),  # type: ignore[misc]
            by_duckdb,
            rounds=rounds,
        )
        size = sum(f.stat().st_size for f in (folder / f"one-{count}" / key("x").digest).glob("r1_*"))
        print(f"\n{count} series of {points:,} points ({len(body) / 1e6:.1f} MB as JSON)")
        print(f"  decode the answer         {decoding:9.2f} ms")
        print(f"  cached lookup             {reading:9.2f} ms   {decoding / reading:5.1f} times faster")
        print(
            f"  DuckDB reads its Parquet  {duck_reading:9.2f} ms   {decoding / duck_reading:5.1f} times faster"
        )
        print(f"  add                       {writing:9.2f} ms   {size / 1e6:.2f} MB")
        print(
            f"  DuckDB writes Parquet     {duck_writing:9.2f} ms   {file.stat().st_size / 1e6:.2f} MB (zstd)"
        )


def many_segments(folder: Path, rounds: int) -> None:
    series = decode_answer(matrix_body(50, 2000))[0]
    window, now = extent(series), float(series[0].timestamps[-1]) + 86400
    caches = {}
    compact_from = ranges._COMPACT_FROM
    for pieces in (1, 20, 200):
        ranges._COMPACT_FROM = 10**9
        cache = caches[pieces] = RangeCache(folder / f"pieces-{pieces}")
        size = 2000 // pieces
        for n in range(pieces):
            part = [
                Series(s.labels, s.timestamps[n * size :][:size], s.values[n * size :][:size]) for s in series
            ]
            cache.add(key("x"), extent(part), part, now)
    jobs = [lambda c=c: c.lookup(key("x"), window, now) for c in caches.values()]
    taken = milliseconds(*jobs, rounds=rounds)
    ranges._COMPACT_FROM = compact_from
    caches[200].add(key("x"), TimeRange(window.start, window.start), [], now)
    print("\n50 series of 2,000 points, in so many segments")
    for pieces, one in zip(caches, taken, strict=True):
        print(f"  {pieces:4d} segments   {one:8.2f} ms   {one / taken[0]:5.1f} times one segment's")
    (joined,) = milliseconds(jobs[-1], rounds=rounds)
    print(f"   200 compacted  {joined:8.2f} ms   {joined / taken[0]:5.1f} times one segment's")


def journal_writer(folder: Path) -> Write:
    journal = Journal(folder, Notices())
    return lambda n: journal.append([("edge-7", {"state": "ONLINE", "score": n})])


def sqlite_writer(folder: Path) -> Write:
    def write(n: int) -> None:
        connection = sqlite3.connect(folder / "state.sqlite", timeout=30, isolation_level=None)
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("PRAGMA synchronous = full")
        connection.execute("CREATE TABLE IF NOT EXISTS t (key, data)")
        connection.execute("INSERT INTO t VALUES ('edge-7', ?)", (f'{{"state":"ONLINE","score":{n}}}',))
        connection.close()

    return write


def duckdb_writer(folder: Path) -> Write:
    def write(n: int) -> None:
        while True:
            try:
                connection = duckdb.connect(str(folder / "state.duckdb"))
                break
            except duckdb.IOException:  # another process holds the file
                time.sleep(random.uniform(0.005, 0.03))
        connection.execute("CREATE TABLE IF NOT EXISTS t (key VARCHAR, data VARCHAR)")
        connection.execute("INSERT INTO t VALUES ('edge-7', ?)", [f'{{"state":"ONLINE","score":{n}}}'])
        connection.close()

    return write


WRITERS = {"journal": journal_writer, "SQLite WAL": sqlite_writer, "DuckDB file": duckdb_writer}


def _write(name: str, folder: str, count: int, answers: multiprocessing.Queue[list[float]]) -> None:
    write, taken = WRITERS[name](Path(folder)), []
    for n in range(count):
        begin = time.perf_counter()
        write(n)
        taken.append((time.perf_counter() - begin) * 1000)
    answers.put(taken)


def shared_writes(folder: Path) -> None:
    print("\nfour processes write records at once, each on disk before the next")
    for name, count in (("journal", 200), ("SQLite WAL", 200), ("DuckDB file", 15)):
        place = folder / name.replace(" ", "-")
        place.mkdir()
        answers: multiprocessing.Queue[list[float]] = multiprocessing.Queue()
        processes = [
            multiprocessing.Process(target=_write, args=(name, str(place), count, answers)) for _ in range(4)
        ]
        for process in processes:
            process.start()
        taken = sorted(t for _ in processes for t in answers.get())
        for process in processes:
            process.join()
        p95 = taken[int(len(taken) * 0.95)]
        print(f"  {name:<12} p50 {statistics.median(taken):7.2f}  p95 {p95:7.2f}  max {taken[-1]:7.2f} ms")


def imports(rounds: int) -> None:
    def run(code: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, "-c", code], check=True)

    with_numpy, with_duckdb = milliseconds(
        run("import numpy"), run("import numpy, duckdb; duckdb.connect().execute('select 1')"), rounds=rounds
    )
    print(f"\na process with numpy {with_numpy:.0f} ms; with DuckDB started as well {with_duckdb:.0f} ms")


def against_server(folder: Path, url: str, expr: str, hours: float, rounds: int) -> None:
    now = time.time()
    window = TimeRange(now - hours * 3600, now - 600).aligned(STEP)
    query = urllib.parse.urlencode({"query": expr, "start": window.start, "end": window.end, "step": STEP})
    address = f"{url.rstrip('/')}/api/v1/query_range?{query}"

    def ask() -> list[Series]:
        with urllib.request.urlopen(address) as reply:
            return decode_answer(reply.read())[0]

    cache = RangeCache(folder / "server")
    cache.add(key(expr), window, ask(), now)
    asking, reading = milliseconds(ask, lambda: cache.lookup(key(expr), window, now), rounds=rounds)
    print(f"\n{expr} over {hours:g} h from {url}")
    print(
        f"  server {asking:.1f} ms, cache {reading:.2f} ms: {asking / reading:.0f} times faster (wanted: 20)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--prometheus", metavar="URL")
    parser.add_argument("--expr", default="up")
    parser.add_argument("--hours", type=float, default=6)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        one_answer(folder, options.rounds)
        many_segments(folder, options.rounds)
        shared_writes(folder)
        imports(options.rounds)
        if options.prometheus:
            against_server(folder, options.prometheus, options.expr, options.hours, options.rounds)


if __name__ == "__main__":
    main()
