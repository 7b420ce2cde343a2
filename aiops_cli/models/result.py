"""Answers of a fleet: rows, and for each asked cluster what came of it.

The JSON shape of `ErrorInfo`, `ClusterStatus` and the envelope is a contract (docs/schemas/).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from msgspec import Struct

from aiops_cli.errors import AiopsError, ClusterError, ErrorCode, ExitCode, exit_code_of

API_VERSION = "aiops/v1"

Status = Literal["SUCCESS", "ERROR", "TIMEOUT", "PARTIAL"]
Origin = Literal["live", "cache", "bundle"]
T = TypeVar("T")
U = TypeVar("U")


class ErrorInfo(Struct, frozen=True, rename="camel"):
    """The `error` object of machine output."""

    code: str
    message: str
    hint: str = ""
    endpoint: str | None = None

    @classmethod
    def of(cls, error: AiopsError) -> ErrorInfo:
        return cls(str(error.code), error.message, error.hint, error.endpoint)

    @property
    def absent(self) -> bool:
        """Whether there is simply no such source, or it was not recorded, which is no failure."""
        return self.code.endswith(("_NOT_AVAILABLE", "NOT_RECORDED"))

    def as_error(self) -> ClusterError:
        """What it was made of, but for its class."""
        return ClusterError(self.message, hint=self.hint, code=ErrorCode(self.code), endpoint=self.endpoint)


class ClusterStatus(Struct, frozen=True, rename="camel"):
    """What came of asking one cluster. `source` says where its rows were read from."""

    name: str
    status: Status
    source: Origin = "live"
    age_seconds: float = 0
    duration_ms: float = 0
    error: ErrorInfo | None = None
    warnings: list[str] = []


@dataclass(slots=True)
class Answer(Generic[T]):
    """One cluster's rows, with where they came from and the server's warnings.

    `partial` is for an answer that is known to lack something (a Thanos store down, a page lost);
    `warnings` then says what.
    """

    rows: list[T]
    source: Origin = "live"
    age_seconds: float = 0
    warnings: list[str] = field(default_factory=list)
    partial: bool = False


@dataclass(slots=True)
class FleetResult(Generic[T]):
    """All clusters' rows, in a stable order, and each asked cluster's status."""

    rows: list[T]
    clusters: list[ClusterStatus]

    @property
    def failed(self) -> list[ClusterStatus]:
        return [c for c in self.clusters if c.status in ("ERROR", "TIMEOUT")]

    @property
    def partial(self) -> bool:
        return any(c.status != "SUCCESS" for c in self.clusters)

    def with_rows(self, rows: Sequence[U]) -> FleetResult[U]:
        """The same statuses around other rows (a rendering or an aggregate of these)."""
        return FleetResult(list(rows), self.clusters)

    def exit_code(self, *, allow_partial: bool = False, require_data: bool = False) -> ExitCode:
        """What the command should exit with, by the table in docs/exit-codes.md."""
        failed = self.failed
        if failed and len(failed) == len(self.clusters):
            codes = {ErrorCode(c.error.code) for c in failed if c.error}
            exits = {exit_code_of(c) for c in codes}
            for code in (ExitCode.USAGE, ExitCode.AUTH):
                if exits == {code}:
                    return code
            return ExitCode.UNREACHABLE
        if self.partial and not allow_partial:
            return ExitCode.PARTIAL
        if require_data and not self.rows:
            return ExitCode.NO_DATA
        return ExitCode.OK
