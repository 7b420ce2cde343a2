"""What kept a request from its answer, for people: connections, TLS, redirects."""

from __future__ import annotations

import os
import socket
import ssl
from urllib.parse import urljoin, urlsplit

from aiops_cli.errors import AuthError, ClusterError, ErrorCode
from aiops_cli.transport.tls import explain

REDIRECTS = frozenset({301, 302, 303, 307, 308})


def lost(error: Exception, endpoint: str, *, begun: bool) -> ClusterError:
    """A connection that stood and broke; `begun` if the answer's head had come."""
    if failure := _tls(error, endpoint):
        return failure
    if begun:
        return ClusterError(
            "the answer was cut off in the middle",
            hint="ask again; if it stays, check proxies on the way",
            code=ErrorCode.BAD_ANSWER,
            endpoint=endpoint,
        )
    return ClusterError(
        "the connection was closed before an answer came",
        hint="ask again; check proxies on the way",
        endpoint=endpoint,
    )


def unconnected(error: Exception, endpoint: str) -> ClusterError:
    """A connection that never stood."""
    if failure := _tls(error, endpoint):
        return failure
    reason, no_such_name = _system_words(error)
    hint = (
        "check the host name and DNS"
        if no_such_name
        else "check that the server is up and the address is right"
    )
    return ClusterError(f"could not connect: {reason}", hint=hint, endpoint=endpoint)


def refused() -> AuthError:
    return AuthError(
        "the credentials were refused (401)",
        hint="log in again, or fix the token or certificate of this cluster",
    )


def redirected(status: int, url: str, location: str) -> ClusterError:
    """A redirect of `url`: to https on the same host the URL is wrong, else it is mostly a login page."""
    ours = urlsplit(url)
    try:
        theirs = urlsplit(urljoin(url, location))
        host = theirs.hostname or ""
    except ValueError:
        theirs, host = ours, ""
    if host == ours.hostname and (ours.scheme, theirs.scheme) == ("http", "https"):
        return ClusterError(
            f"the server redirects to https ({status})",
            hint="write https:// in the URL of this endpoint",
            code=ErrorCode.BAD_ANSWER,
        )
    known = host.isascii() and host.isprintable() and 0 < len(host) < 254
    return AuthError(
        f"redirected to {host if known else 'another page'}, mostly a login page ({status})",
        hint="log in again, or fix the token or certificate of this cluster",
    )


def _tls(error: BaseException, endpoint: str) -> ClusterError | None:
    """What TLS had against it, if that is why."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, (ssl.SSLError, ssl.CertificateError)):
            message, hint = explain(cause)
            return ClusterError(message, hint=hint, code=ErrorCode.TLS_FAILED, endpoint=endpoint)
        cause = cause.__cause__ or cause.__context__
    return None


def _system_words(error: BaseException) -> tuple[str, bool]:
    """The operating system's own words, and whether the name could not be resolved.

    With several addresses tried, the words of the first.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        if isinstance(cause, OSError) and cause.errno is not None:
            if isinstance(cause, socket.gaierror):
                return (cause.strerror or str(cause)).lower(), True
            return os.strerror(cause.errno).lower(), False
        cause = cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__, False
