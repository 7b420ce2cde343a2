"""SQL over what is stored here: views in a DuckDB of this process, which can touch no other file.

    clusters   cluster, labels, endpoints, facts, state, score, checked_at
    samples    cluster, endpoint, expr, step, labels, time, ts, value
    anomalies  id, cluster, labels, start, "end", type, severity, confidence, expected, actual, reason, expr
    rca        id, at, clusters, start, "end", rank, score, confidence, kind, name, namespace, cluster,
               indicator, onset, evidence
    health     cluster, state, score, connectivity, components, error, checked_at

`labels` and other objects are JSON (`labels->>'pod'`). `time` is a UTC timestamp, `ts` unix seconds;
other times are RFC 3339 text. `samples` holds each cached step once, as a range query would serve it.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from aiops_cli.errors import UsageError
from aiops_cli.store.notices import Notices
from aiops_cli.store.parquet import decode_header
from aiops_cli.store.segments import Freshness, Segment, choose
from aiops_cli.store.state import State

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

VIEWS = ("clusters", "samples", "anomalies", "rca", "health")
_SNAPSHOT = ".sql-"
_SNAPSHOT_SECONDS = 86400.0  # after which the one that made it is taken for killed
_MAX_LISTINGS = 10
_ALWAYS = float("inf")
_MEMORY = "2GB"
_MAX_ROWS = 500_000

_CLUSTERS = {
    "cluster": "VARCHAR",
    "labels": "JSON",
    "endpoints": "JSON",
    "facts": "JSON",
    "state": "VARCHAR",
    "score": "INTEGER",
    "checked_at": "VARCHAR",
}
_ANOMALIES = {
    "id": "VARCHAR",
    "cluster": "VARCHAR",
    "labels": "JSON",
    "start": "VARCHAR",
    "end": "VARCHAR",
    "type": "VARCHAR",
    "severity": "VARCHAR",
    "confidence": "DOUBLE",
    "expected": "DOUBLE",
    "actual": "DOUBLE",
    "reason": "VARCHAR",
    "expr": "VARCHAR",
}
_RCA = {
    "id": "VARCHAR",
    "at": "VARCHAR",
    "clusters": "JSON",
    "start": "VARCHAR",
    "end": "VARCHAR",
    "rank": "INTEGER",
    "score": "DOUBLE",
    "confidence": "DOUBLE",
    "kind": "VARCHAR",
    "name": "VARCHAR",
    "namespace": "VARCHAR",
    "cluster": "VARCHAR",
    "indicator": "VARCHAR",
    "onset": "VARCHAR",
    "evidence": "JSON",
}
_HEALTH = {
    "cluster": "VARCHAR",
    "state": "VARCHAR",
    "score": "INTEGER",
    "connectivity": "VARCHAR",
    "components": "JSON",
    "error": "JSON",
    "checked_at": "VARCHAR",
}
_PARTS = {
    "path": "VARCHAR",
    "cluster": "VARCHAR",
    "endpoint": "VARCHAR",
    "expr": "VARCHAR",
    "step": "DOUBLE",
    "first_ts": "DOUBLE",
    "last_ts": "DOUBLE",
}


@dataclass(frozen=True, slots=True)
class Table:
    """The answer of a query: column names and rows of plain Python values."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


class Stop:
    """By which another thread ends a query that runs. DuckDB forgets an interrupt that comes before its
    query: call it until the query has ended."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self.connection: DuckDBPyConnection | None = None

    def __call__(self) -> None:
        self._asked.set()
        if self.connection is not None:
            self.connection.interrupt()

    def check(self) -> None:
        """Raises UsageError once it was called."""
        if self._asked.is_set():
            raise UsageError("the query was interrupted", hint="run it again")


def run_sql(sql: str, samples: Path, state: State, notices: Notices, stop: Stop | None = None) -> Table:
    """One reading statement over the views. `samples` is the folder of the range cache.

    Raises UsageError for SQL that is wrong, that is more than one statement, that does not only read, that
    needs more than 2 GB or answers more than 500 000 rows, and when it was stopped.
    """
    import duckdb

    stop = stop or Stop()
    with _snapshot(samples if _mentions(sql, "samples") else None) as folder:
        parts = list(_parts(folder, notices)) if folder else []
        try:
            with connect_views(sql, parts, state) as connection:
                stop.connection = connection
                _only_reads(connection, sql)
                stop.check()
                connection.execute(sql)
                columns = _unique([str(column[0]) for column in connection.description or ()])
                rows = connection.fetchmany(_MAX_ROWS + 1)
        except duckdb.Error as error:
            stop.check()
            raise UsageError(str(error).strip(), hint=_hint(error)) from error
        finally:
            stop.connection = None
    if len(rows) > _MAX_ROWS:
        raise UsageError(f"more than {_MAX_ROWS} rows", hint="add a limit, or aggregate them")
    return Table(columns, [tuple(map(_plain, row)) for row in rows])


def _hint(error: Exception) -> str:
    import duckdb

    if isinstance(error, duckdb.OutOfMemoryException):
        return f"a query may use {_MEMORY}: add a limit, or aggregate"
    return f"views: {', '.join(VIEWS)}"


def _unique(names: list[str]) -> list[str]:
    """Names as DuckDB tells apart those of a subquery: a, a_1, a_2."""
    found: dict[str, str] = {}
    for name in names:
        one = next(o for n in count() if (o := f"{name}_{n}" if n else name).lower() not in found)
        found[one.lower()] = one
    return list(found.values())


def _plain(value: Any) -> Any:
    """A value that every output format can say: JSON's names are text, and few read integers beyond 64 bits."""
    if isinstance(value, dict):
        return {k if isinstance(k, str) else str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return str(value)
    return value


@contextmanager
def _snapshot(samples: Path | None) -> Iterator[Path | None]:
    """A folder of hard links to every segment, which no compaction or clearing takes away meanwhile.

    Where links can't be made (a read-only disk, some network ones) it is the cache's own folder.
    """
    if samples is None or not samples.is_dir():
        yield None
        return
    for old in samples.glob(f"{_SNAPSHOT}*"):
        with suppress(OSError):
            if time.time() - old.stat().st_mtime > _SNAPSHOT_SECONDS:
                shutil.rmtree(old, ignore_errors=True)
    links = samples / f"{_SNAPSHOT}{secrets.token_hex(8)}"
    try:
        try:
            links.mkdir(mode=0o700)
            for folder in samples.iterdir():
                if not folder.name.startswith(".") and folder.is_dir():
                    _link(folder, links / folder.name)
            source = links
        except OSError:
            source = samples
        yield source
    finally:
        shutil.rmtree(links, ignore_errors=True)


def _link(folder: Path, target: Path) -> None:
    """As in a journal, only listings that agree are sure to have missed nothing. Raises OSError."""
    target.mkdir(mode=0o700)
    before: set[str] | None = None
    for _ in range(_MAX_LISTINGS):
        try:
            listed = {path.name for path in folder.iterdir() if Segment.parse(path.name)}
        except FileNotFoundError:  # cleared
            return
        for name in listed - {path.name for path in target.iterdir()}:
            with suppress(FileNotFoundError):
                os.link(folder / name, target / name)
        if listed == before:
            return
        before = listed


def connect_views(sql: str, parts: list[dict[str, Any]], state: State) -> DuckDBPyConnection:
    """A connection with the views that `sql` mentions, shut off from every file but those of `parts`."""
    import duckdb

    connection = duckdb.connect(
        config={
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
            "memory_limit": _MEMORY,
            "temp_directory": "",  # nothing is spilled to disk
        }
    )
    for name, (columns, rows) in _TABLES.items():
        if _mentions(sql, name):
            _load(connection, name, columns, rows(state))
    files = sorted({part["path"] for part in parts})
    if _mentions(sql, "samples"):
        _load(connection, "sample_parts", _PARTS, parts)
        connection.execute(_samples_view(files))
    connection.execute(f"SET allowed_paths = [{', '.join(map(_quoted, files))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _mentions(sql: str, view: str) -> bool:
    """Views that a statement can't be asking for are not filled; listing statements get them all."""
    return re.search(rf"\b({view}|show|information_schema|duckdb_\w+)\b", sql, re.IGNORECASE) is not None


def _only_reads(connection: DuckDBPyConnection, sql: str) -> None:
    import duckdb

    statements = connection.extract_statements(sql)
    reading = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
    if len(statements) != 1 or statements[0].type not in reading:
        raise UsageError(
            "one statement that only reads is expected",
            hint="aiops sql 'select cluster, count(*) from samples group by all'",
        )


def _load(
    connection: DuckDBPyConnection, name: str, columns: dict[str, str], rows: list[dict[str, Any]]
) -> None:
    """A table from rows: one statement, since DuckDB is a thousand times slower a row at a time."""
    shape = msgspec.json.encode([columns]).decode()
    connection.execute(
        f"CREATE TABLE {name} AS SELECT r.* FROM (SELECT unnest(from_json(?::JSON, {_quoted(shape)})) AS r)",
        [msgspec.json.encode(rows).decode()],
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _samples_view(files: list[str]) -> str:
    source = (
        f"read_parquet([{', '.join(map(_quoted, files))}], filename = true)"
        if files
        else "(SELECT NULL::VARCHAR AS labels, NULL::DOUBLE AS ts, NULL::DOUBLE AS value,"
        " NULL::VARCHAR AS filename WHERE false)"
    )
    return f"""
        CREATE VIEW samples AS
        SELECT p.cluster, p.endpoint, p.expr, p.step, s.labels::JSON AS labels,
               make_timestamp((s.ts * 1e6)::BIGINT) AS time, s.ts, s.value
        FROM {source} AS s
        JOIN sample_parts AS p ON s.filename = p.path AND s.ts BETWEEN p.first_ts AND p.last_ts
    """


def _parts(samples: Path, notices: Notices) -> Iterator[dict[str, Any]]:
    """Which steps of which segment count, each key's newest answer first; damaged segments are left out."""
    for folder in sorted(samples.glob("[!.]*")):
        found: dict[str, dict[str, Any]] = {}
        segments = []
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            segment = Segment.parse(path.name)
            try:
                data = path.read_bytes() if segment else b""
            except OSError:  # not ours to read
                continue
            if segment is None:
                continue
            if zlib.crc32(data) != segment.crc:
                notices.say(f"damaged cache file {path} is left out")
                continue
            segments.append(segment)
            found[segment.name] = {"path": str(path), **decode_header(data).info}
        if not segments:
            continue
        step = float(found[segments[0].name]["step"])
        whole = (min(s.first for s in segments), max(s.last for s in segments))
        freshness = Freshness(max(s.newest for s in segments), step, unsettled=0, ttl=_ALWAYS)
        for (first, last), segment in choose(segments, whole, freshness)[0]:
            yield found[segment.name] | {"first_ts": (first - 0.5) * step, "last_ts": (last + 0.5) * step}


def _anomaly_rows(state: State) -> list[dict[str, Any]]:
    return [msgspec.to_builtins(one) for one in state.anomalies()]


def _cluster_rows(state: State) -> list[dict[str, Any]]:
    learned, health = (state.latest(kind) for kind in ("learned", "health"))
    labels: dict[str, dict[str, str]] = {}
    for record in state.latest("labels").values():
        if record["value"] is not None:
            labels.setdefault(record["cluster"], {})[record["label"]] = record["value"]
    return [
        {
            "cluster": name,
            "labels": labels.get(name, {}),
            "endpoints": learned.get(name, {}).get("endpoints", {}),
            "facts": learned.get(name, {}).get("facts", []),
            "state": health.get(name, {}).get("state"),
            "score": health.get(name, {}).get("score"),
            "checked_at": health.get(name, {}).get("checkedAt"),
        }
        for name in sorted({*labels, *learned, *health})
    ]


def _cause_rows(state: State) -> list[dict[str, Any]]:
    return [
        {
            **{f: getattr(analysis, f) for f in ("id", "at", "clusters", "start", "end")},
            **{f: getattr(cause, f) for f in ("rank", "score", "confidence", "indicator", "onset")},
            **msgspec.structs.asdict(cause.entity),
            "evidence": [msgspec.to_builtins(e) for e in cause.evidence],
        }
        for analysis in state.analyses()
        for cause in analysis.causes
    ]


def _health_rows(state: State) -> list[dict[str, Any]]:
    return [{**msgspec.to_builtins(row), "checked_at": row.checked_at} for row in state.health()]


_TABLES: dict[str, tuple[dict[str, str], Callable[[State], list[dict[str, Any]]]]] = {
    "clusters": (_CLUSTERS, _cluster_rows),
    "anomalies": (_ANOMALIES, _anomaly_rows),
    "rca": (_RCA, _cause_rows),
    "health": (_HEALTH, _health_rows),
}
