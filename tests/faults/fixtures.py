"""Fixtures around the stub, for the tests of several folders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Protocol

import pytest

from tests.faults.stub import Stub, answer, serve, vector

WELL = vector(({"__name__": "up", "job": "node"}, 1))

HOUR = ("--from", "1767322800", "--to", "1767326400", "--step", "1m")
"""Flags for an hour long settled, on the grid of its steps."""


def hour(value: float = 1) -> dict[str, object]:
    """The answer to a range query of `HOUR`: 61 points of one series."""
    points = [[1767322800 + 60 * i, str(value)] for i in range(61)]
    series = {"metric": {"__name__": "up"}, "values": points}
    return {"status": "success", "data": {"resultType": "matrix", "result": [series]}}


class Serve(Protocol):
    """Starts another stub, which ends with the test."""

    def __call__(self) -> Stub: ...


@pytest.fixture
def stubs() -> Iterator[Serve]:
    with ExitStack() as running:
        yield lambda: running.enter_context(serve())


@pytest.fixture
def stub(stubs: Serve) -> Stub:
    """An HTTP server that knows no path until it is told."""
    return stubs()


@pytest.fixture
def well(stubs: Serve) -> Stub:
    """A server whose every query is answered with one series, `up{job="node"}` 1."""
    server = stubs()
    server.on("/", answer(WELL))
    return server
