"""Fixtures around the stub, for the tests of several folders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from aiops_cli.cli.app import run
from aiops_cli.transport.client import HttpClient
from tests.conftest import COMMAND_SECONDS, Aiops, Finished
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


class Here(Aiops):
    """Runs a command line in this process: the same entry point, without the time to start a program."""

    def __init__(self, home: Path, captured: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        super().__init__(home)
        self._captured = captured
        self._patch = patch

    def __call__(
        self,
        *args: str,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        timeout: float = COMMAND_SECONDS,
        cwd: Path | None = None,
    ) -> Finished:
        """As `Aiops`, but that there is no standard input and the test's own timeout counts."""
        with self._patch.context() as patch:
            patch.chdir(cwd or self.home)
            patch.setattr(HttpClient, "on_reply", None)
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            self._captured.readouterr()
            code = run(list(args))
        out, err = self._captured.readouterr()
        return Finished(args, code, out, err)


@pytest.fixture
def here(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Here:
    """`aiops` for tests of what is said, where nothing hangs on the process that says it."""
    return Here(home, capsys, monkeypatch)


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
