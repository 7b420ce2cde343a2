"""SQL that runs too long, answers too much, or answers what has no plain form."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import msgspec
import pytest

from aiops_cli.errors import UsageError
from aiops_cli.store.notices import Notices
from aiops_cli.store.sql import Stop, Table, run_sql
from aiops_cli.store.state import State
from tests.conftest import Aiops

ENDLESS = "select count(*) from range(1000000000000) a(x), range(100000) b(y) where hash(x * y) % 7 = 3"


def ask(folder: Path, sql: str, stop: Stop | None = None) -> Table:
    return run_sql(sql, folder / "samples", State(folder / "data"), Notices(), stop)


@pytest.mark.timeout(60)
def test_a_query_without_end_is_ended(tmp_path: Path) -> None:
    stop = Stop()
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(ask, tmp_path, ENDLESS, stop)
        while stop.connection is None:
            assert not wait({running}, 0.01).done
        while not wait({running}, 0.05).done:
            stop()
        with pytest.raises(UsageError, match="interrupted"):
            running.result()


def test_rows_without_end_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="more than 500000 rows") as caught:
        ask(tmp_path, "select * from range(1000000000000)")
    assert "limit" in caught.value.hint


def test_memory_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        ask(tmp_path, "select list(x) from (select repeat('x', 1000) || i as x from range(10000000) t(i))")
    assert "2GB" in caught.value.hint
    assert not list(Path.cwd().glob(".tmp*"))


def test_columns_of_one_name_are_told_apart(tmp_path: Path) -> None:
    table = ask(tmp_path, "select 1 as a, 2 as a, 3 as A, 4 as a_1")
    assert len({c.lower() for c in table.columns}) == 4
    assert table.columns[:2] == ["a", "a_1"]
    assert table.rows == [(1, 2, 3, 4)]


def test_every_value_can_be_said_in_json(tmp_path: Path) -> None:
    table = ask(
        tmp_path,
        "select map{1.5: 2} m, map{[1]: 2} n, {'k': [170141183460469231731687303715884105727::hugeint]} h,"
        " date '2020-01-01' d, interval 3 day i, uuid() u, 1.5::decimal(4, 2) e, 'x'::blob b",
    )
    msgspec.json.encode(msgspec.to_builtins(table.rows))
    assert table.rows[0][2] == {"k": [str(2**127 - 1)]}


def test_the_command_shows_them(aiops: Aiops) -> None:
    done = aiops("sql", "select map{'k': i} as m, i as m from range(2) t(i)", "--sort", "-m", "-o", "json")
    assert done.json["items"] == [{"m": {"k": 1}, "m_1": 1}, {"m": {"k": 0}, "m_1": 0}]
