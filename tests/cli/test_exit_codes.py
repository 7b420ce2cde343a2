"""Each exit code of docs/exit-codes.md, once for each way to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Aiops
from tests.faults.files import write_config
from tests.faults.fixtures import Here
from tests.faults.stub import Stub, answer, dead_address, vector


@pytest.fixture
def aiops(here: Here) -> Here:
    """What is said does not hang on the process."""
    return here


FORBIDDEN = answer("no", status=403, kind="text/plain")
REFUSED = answer("no", status=401, kind="text/plain")


def test_0_when_all_answered(aiops: Aiops, home: Path, well: Stub) -> None:
    write_config(home, {"a": {"prometheus": well.url}, "b": {"prometheus": well.url}})

    assert aiops("metrics", "query", "up").returncode == 0


def test_0_when_nothing_was_found(aiops: Aiops, home: Path, stub: Stub) -> None:
    stub.on("/", answer(vector()))
    write_config(home, {"a": {"prometheus": stub.url}})

    assert aiops("metrics", "query", "up").returncode == 0


def test_1_when_a_check_failed(aiops: Aiops, home: Path, well: Stub) -> None:
    write_config(home, {"a": {"prometheus": well.url}})

    assert aiops("check", "--expr", "up == 1").returncode == 0
    well.on("/", answer(vector()))
    assert aiops("check", "--expr", "up == 1").returncode == 1


def test_2_when_every_cluster_refuses_the_query(aiops: Aiops, home: Path, stub: Stub) -> None:
    stub.on(
        "/",
        answer(
            {"status": "error", "errorType": "bad_data", "error": '1:1: parse error: unknown function "x"'},
            status=400,
        ),
    )
    write_config(home, {"a": {"prometheus": stub.url}, "b": {"prometheus": stub.url}})

    assert aiops("metrics", "query", "x(up)").returncode == 2


def test_3_when_some_failed(aiops: Aiops, home: Path, well: Stub) -> None:
    write_config(home, {"a": {"prometheus": well.url}, "b": {"prometheus": dead_address()}})

    assert aiops("metrics", "query", "up").returncode == 3
    assert aiops("metrics", "query", "up", "--allow-partial").returncode == 0


def test_4_when_nothing_could_be_reached(aiops: Aiops, home: Path) -> None:
    write_config(home, {"a": {"prometheus": dead_address()}, "b": {"prometheus": dead_address()}})

    assert aiops("metrics", "query", "up").returncode == 4
    assert aiops("metrics", "query", "up", "--allow-partial").returncode == 4


def test_4_when_the_cluster_has_no_such_endpoint(aiops: Aiops, home: Path, well: Stub) -> None:
    write_config(home, {"a": {"prometheus": well.url}})

    done = aiops("logs", "query", '{job="x"}')

    assert done.returncode == 4
    assert "a: LOKI_NOT_AVAILABLE: no loki is known for cluster 'a'" in done.stderr
    assert "[clusters.a.endpoints] loki in the config" in done.stderr


def test_5_when_no_cluster_lets_us(aiops: Aiops, home: Path, stub: Stub, well: Stub) -> None:
    stub.on("/", REFUSED)
    well.on("/", FORBIDDEN)
    write_config(home, {"a": {"prometheus": stub.url}, "b": {"prometheus": well.url}})

    assert aiops("metrics", "query", "up").returncode == 5


def test_4_when_one_does_not_let_us_and_the_other_is_away(aiops: Aiops, home: Path, stub: Stub) -> None:
    stub.on("/", REFUSED)
    write_config(home, {"a": {"prometheus": stub.url}, "b": {"prometheus": dead_address()}})

    assert aiops("metrics", "query", "up").returncode == 4


def test_6_when_data_is_required_and_there_is_none(aiops: Aiops, home: Path, stub: Stub, well: Stub) -> None:
    stub.on("/", answer(vector()))
    write_config(home, {"a": {"prometheus": stub.url}, "b": {"prometheus": well.url}})

    assert aiops("metrics", "query", "up", "-c", "a", "--require-data").returncode == 6
    assert aiops("metrics", "query", "up", "--require-data").returncode == 0
    # what failed comes first: perhaps the data is there
    write_config(home, {"a": {"prometheus": stub.url}, "b": {"prometheus": dead_address()}})
    assert aiops("metrics", "query", "up", "--require-data").returncode == 3
    assert aiops("metrics", "query", "up", "--require-data", "--allow-partial").returncode == 6
