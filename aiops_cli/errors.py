"""What can go wrong, as a closed list of codes, and the exit code each one leads to.

Every error a user can see is an `AiopsError`: one line on what failed (`message`), one on what to do
(`hint`), a stable `code` for machines. Nothing here imports anything heavy.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Self


class ExitCode(IntEnum):
    """Exit codes of every command (docs/exit-codes.md)."""

    OK = 0
    FINDINGS = 1
    USAGE = 2
    PARTIAL = 3
    UNREACHABLE = 4
    AUTH = 5
    NO_DATA = 6
    INTERRUPTED = 130


class ErrorCode(StrEnum):
    """Stable codes of the `error` object in machine output."""

    # usage (exit 2)
    USAGE = "USAGE"
    CONFIG_INVALID = "CONFIG_INVALID"
    KUBECONFIG_INVALID = "KUBECONFIG_INVALID"
    CONTEXT_UNKNOWN = "CONTEXT_UNKNOWN"
    INVALID_PROMQL = "INVALID_PROMQL"
    INVALID_LOGQL = "INVALID_LOGQL"
    INVALID_TRACEQL = "INVALID_TRACEQL"
    INVALID_TIME = "INVALID_TIME"
    FILE_INVALID = "FILE_INVALID"
    BUNDLE_INVALID = "BUNDLE_INVALID"
    # one cluster or endpoint
    CLUSTER_UNREACHABLE = "CLUSTER_UNREACHABLE"
    CONNECT_TIMEOUT = "CONNECT_TIMEOUT"
    QUERY_TIMEOUT = "QUERY_TIMEOUT"
    TLS_FAILED = "TLS_FAILED"
    CREDENTIALS_INVALID = "CREDENTIALS_INVALID"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    RATE_LIMITED = "RATE_LIMITED"
    BAD_ANSWER = "BAD_ANSWER"
    SERVER_ERROR = "SERVER_ERROR"
    QUERY_FAILED = "QUERY_FAILED"
    DISCOVERY_FAILED = "DISCOVERY_FAILED"
    PROMETHEUS_NOT_AVAILABLE = "PROMETHEUS_NOT_AVAILABLE"
    ALERTMANAGER_NOT_AVAILABLE = "ALERTMANAGER_NOT_AVAILABLE"
    LOKI_NOT_AVAILABLE = "LOKI_NOT_AVAILABLE"
    TEMPO_NOT_AVAILABLE = "TEMPO_NOT_AVAILABLE"
    KORREL8R_NOT_AVAILABLE = "KORREL8R_NOT_AVAILABLE"
    KUBERNETES_NOT_AVAILABLE = "KUBERNETES_NOT_AVAILABLE"
    # warnings: a cluster has nothing of what was asked, which is no failure
    NO_GPU_NODES = "NO_GPU_NODES"
    NO_MODEL_SERVERS = "NO_MODEL_SERVERS"
    NO_PTP_CLOCKS = "NO_PTP_CLOCKS"
    NO_SRIOV = "NO_SRIOV"
    NO_DPDK_PODS = "NO_DPDK_PODS"
    NO_NETWORK_FUNCTIONS = "NO_NETWORK_FUNCTIONS"
    # of a bundle
    NOT_RECORDED = "NOT_RECORDED"
    # the whole answer
    PARTIAL_RESULTS = "PARTIAL_RESULTS"
    STORE_FAILED = "STORE_FAILED"
    INTERNAL = "INTERNAL"


_AUTH = frozenset({ErrorCode.CREDENTIALS_INVALID, ErrorCode.FORBIDDEN})
_USAGE = frozenset(
    {
        ErrorCode.USAGE,
        ErrorCode.CONFIG_INVALID,
        ErrorCode.KUBECONFIG_INVALID,
        ErrorCode.CONTEXT_UNKNOWN,
        ErrorCode.INVALID_PROMQL,
        ErrorCode.INVALID_LOGQL,
        ErrorCode.INVALID_TRACEQL,
        ErrorCode.INVALID_TIME,
        ErrorCode.FILE_INVALID,
        ErrorCode.BUNDLE_INVALID,
    }
)


def exit_code_of(code: ErrorCode) -> ExitCode:
    """The exit code when this error is all a command has to show."""
    if code in _USAGE:
        return ExitCode.USAGE
    if code in _AUTH:
        return ExitCode.AUTH
    return ExitCode.UNREACHABLE


class AiopsError(Exception):
    """The base of every expected error: what failed, what to do, and a stable code.

    `endpoint` is the URL asked, without credentials or query.
    """

    default_code = ErrorCode.INTERNAL

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        code: ErrorCode | None = None,
        endpoint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code or self.default_code
        self.endpoint = endpoint

    @property
    def exit_code(self) -> ExitCode:
        return exit_code_of(self.code)

    def settle(self) -> Self:
        """Itself, without the frames it came through: as a value it would keep all of them, in a cycle."""
        self.__context__ = None
        return self.with_traceback(None)


class UsageError(AiopsError):
    """The user asked for something that can't be: fix the command line, the file or the query."""

    default_code = ErrorCode.USAGE


class ClusterError(AiopsError):
    """One cluster or endpoint could not answer; the others still do."""

    default_code = ErrorCode.CLUSTER_UNREACHABLE


class AuthError(ClusterError):
    """The server knows us not, or does not let us."""

    default_code = ErrorCode.CREDENTIALS_INVALID


class NotAvailableError(ClusterError):
    """The cluster has no such endpoint (no Loki, no Tempo, ...), as far as is known."""

    default_code = ErrorCode.NOT_FOUND


class StoreError(AiopsError):
    """The local store can't be used; commands go on without it and say so."""

    default_code = ErrorCode.STORE_FAILED
