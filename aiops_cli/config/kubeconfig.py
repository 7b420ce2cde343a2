"""Contexts of the merged kubeconfig, by the rules of client-go (tools/clientcmd/loader.go).

`--kubeconfig` names one file, unmerged; else `KUBECONFIG` is a list, missing entries skipped; else
`~/.kube/config`; else the pod's service account. The first file to define a name wins whole;
relative paths resolve against the directory of the file that defined the entry.
"""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiops_cli.errors import ErrorCode, UsageError

_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class ExecPlugin:
    """A credential plugin: `command` is run and prints an ExecCredential."""

    api_version: str
    command: str
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    install_hint: str = ""
    provide_cluster_info: bool = False
    interactive_mode: str = "IfAvailable"


@dataclass(frozen=True, slots=True)
class KubeUser:
    """How to log in. Secrets are kept out of repr, so that no log can show them."""

    name: str = ""
    token: str | None = field(default=None, repr=False)
    token_file: str | None = None
    client_certificate: bytes | None = field(default=None, repr=False)
    client_key: bytes | None = field(default=None, repr=False)
    exec: ExecPlugin | None = None
    impersonate: tuple[tuple[str, str], ...] = ()
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class KubeCluster:
    """Where the API server is and how to trust it. `server` may carry a path and has no trailing slash."""

    name: str
    server: str
    ca: bytes | None = field(default=None, repr=False)
    insecure: bool = False
    tls_server_name: str | None = None
    proxy_url: str | None = None
    exec_config: Any = None


@dataclass(frozen=True, slots=True)
class KubeContext:
    """A context, resolved. `problem` says why it can't be used; it then fails alone, not the fleet."""

    name: str
    cluster: KubeCluster
    user: KubeUser
    namespace: str = "default"
    problem: str | None = None


@dataclass(slots=True)
class Kubeconfig:
    """All contexts in file order, the current one, and what was wrong with files that were skipped."""

    contexts: dict[str, KubeContext]
    current: str | None
    files: list[Path]
    warnings: list[str] = field(default_factory=list)


def load_kubeconfig(path: Path | None = None) -> Kubeconfig:
    """Read and merge. Raises UsageError (KUBECONFIG_INVALID) if a named file can't be used, or if no
    listed file could be read and at least one is broken."""
    if path is not None:
        return _merge([_read(path, required=True)], [path], [])
    listed = os.environ.get("KUBECONFIG")
    paths = (
        [Path(p) for p in dict.fromkeys(listed.split(os.pathsep)) if p]
        if listed
        else [Path.home() / ".kube" / "config"]
    )
    documents: list[tuple[Path, dict[str, Any]]] = []
    warnings: list[str] = []
    first_error: UsageError | None = None
    for file in paths:
        try:
            documents.append(_read(file, required=False))
        except FileNotFoundError:
            if listed:
                warnings.append(f"kubeconfig {file} does not exist")
        except UsageError as error:
            warnings.append(error.message)
            first_error = first_error or error
    if not documents and first_error:
        raise first_error
    if not documents and (pod := _in_cluster()):
        return pod
    return _merge(documents, [d[0] for d in documents], warnings)


def _read(path: Path, *, required: bool) -> tuple[Path, dict[str, Any]]:
    try:
        text = path.expanduser().read_text(encoding="utf-8")
    except FileNotFoundError:
        if not required:
            raise
        raise _invalid(f"kubeconfig {path} does not exist", "check --kubeconfig") from None
    except (OSError, UnicodeDecodeError) as error:
        raise _invalid(
            f"kubeconfig {path} can't be read: {error}", "fix its permissions or encoding"
        ) from None
    import yaml  # takes long, and without a kubeconfig is not needed

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        document = yaml.load(text, Loader=loader)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise _invalid(
            f"kubeconfig {path} is broken{where}: {problem}", "fix the YAML, or point --kubeconfig elsewhere"
        ) from None
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise _invalid(
            f"kubeconfig {path} is no kubeconfig: its top level is no mapping",
            "point --kubeconfig at a kubeconfig",
        )
    return path, document


def _merge(
    documents: list[tuple[Path, dict[str, Any]]], files: list[Path], warnings: list[str]
) -> Kubeconfig:
    clusters: dict[str, tuple[Path, dict[str, Any]]] = {}
    users: dict[str, tuple[Path, dict[str, Any]]] = {}
    contexts: dict[str, dict[str, Any]] = {}
    current: str | None = None
    for path, document in documents:
        current = current or document.get("current-context") or None
        for target, key, inner in ((clusters, "clusters", "cluster"), (users, "users", "user")):
            for name, body in _entries(path, document, key, inner).items():
                target.setdefault(name, (path, body))
        for name, body in _entries(path, document, "contexts", "context").items():
            contexts.setdefault(name, body)
    resolved = {name: _context(name, body, clusters, users) for name, body in contexts.items()}
    return Kubeconfig(resolved, current, files, warnings)


def _entries(path: Path, document: dict[str, Any], key: str, inner: str) -> dict[str, dict[str, Any]]:
    entries = document.get(key) or []
    if not isinstance(entries, list) or not all(
        isinstance(e, dict) and isinstance(e.get("name"), str) for e in entries
    ):
        raise _invalid(f"kubeconfig {path}: `{key}` is no list of named entries", "fix that list")
    return {e["name"]: e[inner] if isinstance(e.get(inner), dict) else {} for e in entries}


def _context(
    name: str,
    body: dict[str, Any],
    clusters: dict[str, tuple[Path, dict[str, Any]]],
    users: dict[str, tuple[Path, dict[str, Any]]],
) -> KubeContext:
    namespace = str(body.get("namespace") or "default")
    problem: str | None = None
    cluster, user = KubeCluster(str(body.get("cluster", "")), ""), KubeUser()
    try:
        if body.get("cluster") not in clusters:
            raise _invalid(
                f"context {name!r} names cluster {body.get('cluster')!r}, which no kubeconfig defines",
                "fix the context",
            )
        cluster = _cluster(body["cluster"], *clusters[body["cluster"]])
        if body.get("user"):
            if body["user"] not in users:
                raise _invalid(
                    f"context {name!r} names user {body['user']!r}, which no kubeconfig defines",
                    "fix the context",
                )
            user = _user(body["user"], *users[body["user"]])
    except UsageError as error:
        problem = error.message
    return KubeContext(name, cluster, user, namespace, problem)


def _cluster(name: str, path: Path, body: dict[str, Any]) -> KubeCluster:
    server = str(body.get("server") or "").rstrip("/")
    if not server.startswith(("https://", "http://")) or not _names_a_host(server):
        raise _invalid(
            f"cluster {name!r} in {path} has no usable server URL", "set `server: https://HOST:PORT`"
        )
    insecure = bool(body.get("insecure-skip-tls-verify"))
    ca = _bytes(body, "certificate-authority", path, name)
    if insecure and ca:
        raise _invalid(
            f"cluster {name!r} in {path} has both a CA and insecure-skip-tls-verify", "keep one of the two"
        )
    config = next(
        (
            e.get("extension")
            for e in body.get("extensions") or []
            if e.get("name") == "client.authentication.k8s.io/exec"
        ),
        None,
    )
    return KubeCluster(name, server, ca, insecure, body.get("tls-server-name"), body.get("proxy-url"), config)


def _names_a_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _user(name: str, path: Path, body: dict[str, Any]) -> KubeUser:
    refused = None
    if body.get("username") or body.get("password"):
        refused = "basic auth, which Kubernetes removed in 1.19"
    elif body.get("auth-provider"):
        refused = "a legacy auth-provider, which kubectl removed in 1.26; use an exec plugin"
    token_file = body.get("tokenFile")
    impersonate = [("Impersonate-User", str(body["act-as"]))] if body.get("act-as") else []
    impersonate += [("Impersonate-Group", str(g)) for g in body.get("act-as-groups") or []]
    return KubeUser(
        name,
        body.get("token") or None,
        str(path.parent / token_file) if token_file else None,
        _bytes(body, "client-certificate", path, name),
        _bytes(body, "client-key", path, name),
        _exec(body["exec"], path, name) if body.get("exec") else None,
        tuple(impersonate),
        refused,
    )


def _exec(body: dict[str, Any], path: Path, user: str) -> ExecPlugin:
    command = str(body.get("command") or "")
    version = str(body.get("apiVersion") or "")
    if not command:
        raise _invalid(f"user {user!r} in {path} has an exec plugin without a command", "set exec.command")
    if version not in ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"):
        raise _invalid(
            f"user {user!r} in {path} has exec apiVersion {version!r}",
            "use client.authentication.k8s.io/v1 or v1beta1",
        )
    if os.sep in command and not Path(command).is_absolute():
        command = str(path.parent / command)
    return ExecPlugin(
        version,
        command,
        tuple(str(a) for a in body.get("args") or ()),
        tuple((str(e["name"]), str(e.get("value", ""))) for e in body.get("env") or ()),
        str(body.get("installHint") or ""),
        bool(body.get("provideClusterInfo")),
        str(body.get("interactiveMode") or "IfAvailable"),
    )


def _bytes(body: dict[str, Any], key: str, path: Path, name: str) -> bytes | None:
    """Inline data (base64) wins over the file form, as in client-go."""
    if inline := body.get(f"{key}-data"):
        try:
            return base64.b64decode(inline, validate=True)
        except (binascii.Error, ValueError, TypeError):
            raise _invalid(f"{key}-data of {name!r} in {path} is no base64", "write it again") from None
    if not (file := body.get(key)):
        return None
    try:
        return (path.parent / str(file)).read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise _invalid(f"{key} of {name!r} in {path} can't be read: {reason}", "fix the path") from None


def _in_cluster() -> Kubeconfig | None:
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    if not host or not port or not (_SERVICE_ACCOUNT / "token").exists():
        return None
    address = f"[{host}]" if ":" in host else host
    try:
        ca: bytes | None = (_SERVICE_ACCOUNT / "ca.crt").read_bytes()
        namespace = (_SERVICE_ACCOUNT / "namespace").read_text().strip() or "default"
    except OSError:
        ca, namespace = None, "default"
    context = KubeContext(
        "in-cluster",
        KubeCluster("in-cluster", f"https://{address}:{port}", ca),
        KubeUser("serviceaccount", token_file=str(_SERVICE_ACCOUNT / "token")),
        namespace,
    )
    return Kubeconfig({"in-cluster": context}, "in-cluster", [])


def _invalid(message: str, hint: str) -> UsageError:
    return UsageError(message, hint=hint, code=ErrorCode.KUBECONFIG_INVALID)
