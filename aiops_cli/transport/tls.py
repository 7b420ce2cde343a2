"""TLS contexts, made once for each distinct trust and key (making one costs about 20 ms)."""

from __future__ import annotations

import contextlib
import functools
import os
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aiops_cli.errors import ClusterError, ErrorCode, UsageError


@dataclass(frozen=True, slots=True)
class Trust:
    """What to trust and which client certificate to show; PEM bytes. Keys stay out of repr."""

    ca: bytes | None = field(default=None, repr=False)
    insecure: bool = False
    certificate: bytes | None = field(default=None, repr=False)
    key: bytes | None = field(default=None, repr=False)


def read_ca(path: str, base: Path | None) -> bytes:
    """A CA file named in the config, relative to the config's folder. Raises UsageError."""
    file = Path(path).expanduser()
    if base is not None and not file.is_absolute():
        file = base / file
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(
            f"ca_file {file} can't be read: {error.strerror}",
            hint="fix the path in the config",
            code=ErrorCode.CONFIG_INVALID,
        ) from None


@functools.lru_cache(maxsize=256)
def context_for(trust: Trust, *, https: bool) -> ssl.SSLContext:
    """A client context. Raises ClusterError (TLS_FAILED) if the CA, certificate or key is unusable."""
    if not https:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context = ssl.create_default_context(cadata=trust.ca.decode("ascii") if trust.ca else None)
        if trust.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if trust.certificate and trust.key:
            with _as_file(trust.certificate + b"\n" + trust.key) as path:
                context.load_cert_chain(path, password=_no_password)
    except _KeyEncryptedError:
        raise ClusterError(
            "the client key is encrypted",
            hint="name a key without a passphrase (openssl pkey -in KEY -out NEW), or use an exec plugin",
            code=ErrorCode.TLS_FAILED,
        ) from None
    except (ssl.SSLError, ValueError) as error:
        raise ClusterError(
            f"the CA, client certificate or key can't be used: {error}",
            hint="check that they are PEM and belong together",
            code=ErrorCode.TLS_FAILED,
        ) from None
    return context


class _KeyEncryptedError(Exception):
    """OpenSSL wants a passphrase."""


def _no_password() -> str:
    """Without it OpenSSL would ask on the terminal, and wait there for ever."""
    raise _KeyEncryptedError


@contextlib.contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """OpenSSL reads keys from files only: use an anonymous one, so that no key is left on a disk."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("aiops")
        try:
            os.write(descriptor, content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        yield file.name


def explain(error: ssl.SSLError | ssl.CertificateError) -> tuple[str, str]:
    """What failed in the handshake and what to do, for people."""
    verify = getattr(error, "verify_message", "") or ""
    if "expired" in verify or "CERTIFICATE_EXPIRED" in str(error):
        return "the certificate has expired", "renew the certificate, or log in again"
    if "not yet valid" in verify:
        return "the certificate is not yet valid", "check this machine's clock"
    if "Hostname mismatch" in verify or "IP address mismatch" in verify:
        return (
            f"the certificate is for another name ({verify})",
            "use the name in the certificate, or tls-server-name",
        )
    if verify:
        return (
            f"the certificate is not trusted: {verify}",
            "give the right CA (certificate-authority, or ca_file in the config)",
        )
    if "UNKNOWN_CA" in str(error) or "BAD_CERTIFICATE" in str(error) or "CERTIFICATE_REQUIRED" in str(error):
        return (
            "the server refused the client certificate",
            "log in again, or fix client-certificate in the kubeconfig",
        )
    reason = (getattr(error, "reason", None) or str(error)).replace("_", " ").lower()
    return f"the TLS handshake failed: {reason}", "check that the URL's scheme and port speak TLS"
