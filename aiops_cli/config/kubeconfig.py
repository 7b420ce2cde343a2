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
from urllib.parse import quote, urlsplit

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
    """The headers to send, in order; Impersonate-Group and -Extra-… may come several times."""
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
        current = current or _text(document, "current-context", f"kubeconfig {path}") or None
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
    namespace, problem = "default", None
    cluster, user = KubeCluster("", ""), KubeUser()
    try:
        what = f"context {name!r}"
        of, by = _text(body, "cluster", what), _text(body, "user", what)
        cluster = KubeCluster(of, "")
        namespace = _text(body, "namespace", what) or "default"
        if of not in clusters:
            raise _invalid(f"{what} names cluster {of!r}, which no kubeconfig defines", "fix the context")
        cluster = _cluster(of, *clusters[of])
        if by:
            if by not in users:
                raise _invalid(f"{what} names user {by!r}, which no kubeconfig defines", "fix the context")
            user = _user(by, *users[by])
    except UsageError as error:
        problem = error.message
    return KubeContext(name, cluster, user, namespace, problem)


def _cluster(name: str, path: Path, body: dict[str, Any]) -> KubeCluster:
    what = f"cluster {name!r} in {path}"
    server = _text(body, "server", what).rstrip("/")
    if not server.startswith(("https://", "http://")) or not _names_a_host(server):
        raise _invalid(f"{what} has no usable server URL", "set `server: https://HOST:PORT`")
    if "@" in urlsplit(server).netloc or "?" in server or "#" in server:  # may be secrets: not to be quoted
        raise _invalid(
            f"{what} has a password, a query or a fragment in its server URL", "put secrets under `users`"
        )
    insecure = body.get("insecure-skip-tls-verify") or False
    if not isinstance(insecure, bool):
        raise _invalid(f"{what}: insecure-skip-tls-verify is neither true nor false", "fix it")
    ca = _bytes(body, "certificate-authority", path, name)
    if insecure and ca:
        raise _invalid(f"{what} has both a CA and insecure-skip-tls-verify", "keep one of the two")
    extensions = _mappings(body, "extensions", what)
    config = next(
        (e.get("extension") for e in extensions if e.get("name") == "client.authentication.k8s.io/exec"), None
    )
    sni, proxy = _text(body, "tls-server-name", what), _text(body, "proxy-url", what)
    return KubeCluster(name, server, ca, insecure, sni or None, proxy or None, config)


def _text(body: dict[str, Any], key: str, what: str) -> str:
    """A text, "" if it is missing. Other types are refused, as by kubectl, and never quoted."""
    value = body.get(key)
    if value is not None and not isinstance(value, str):
        raise _invalid(f"{what}: `{key}` is no text", "write it in quotes")
    return value or ""


def _texts(body: dict[str, Any], key: str, what: str) -> list[str]:
    values = body.get(key)
    if values is None:
        return []
    if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
        raise _invalid(f"{what}: `{key}` is no list of texts", "fix that list")
    return values


def _mappings(body: dict[str, Any], key: str, what: str) -> list[dict[str, Any]]:
    values = body.get(key)
    if values is None:
        return []
    if not isinstance(values, list) or not all(isinstance(v, dict) for v in values):
        raise _invalid(f"{what}: `{key}` is no list of mappings", "fix that list")
    return values


def _names_a_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _user(name: str, path: Path, body: dict[str, Any]) -> KubeUser:
    what = f"user {name!r} in {path}"
    refused = None
    if body.get("username") or body.get("password"):
        refused = "basic auth, which Kubernetes removed in 1.19"
    elif body.get("auth-provider"):
        refused = "a legacy auth-provider, which kubectl removed in 1.26; use an exec plugin"
    token_file = _text(body, "tokenFile", what)
    return KubeUser(
        name,
        _text(body, "token", what) or None,
        str(path.parent / token_file) if token_file else None,
        _bytes(body, "client-certificate", path, name),
        _bytes(body, "client-key", path, name),
        _exec(body["exec"], path, name) if body.get("exec") else None,
        _impersonation(body, what),
        refused,
    )


def _impersonation(body: dict[str, Any], what: str) -> tuple[tuple[str, str], ...]:
    """Headers for `as`, `as-uid`, `as-groups` and `as-user-extra` (client-go tools/clientcmd/api/v1);
    without `as` the others say nothing (clientcmd/client_config.go)."""
    user, uid = _text(body, "as", what), _text(body, "as-uid", what)
    extra = body.get("as-user-extra") or {}
    if not isinstance(extra, dict) or not all(isinstance(k, str) for k in extra):
        raise _invalid(f"{what}: `as-user-extra` is no mapping of lists", "fix it")
    headers = [("Impersonate-User", user)]
    headers += [("Impersonate-Uid", uid)] if uid else []
    headers += [("Impersonate-Group", group) for group in _texts(body, "as-groups", what)]
    for key in extra:  # escaped as by client-go transport/round_trippers.go
        header = "Impersonate-Extra-" + quote(key.lower(), safe="!#$&'*+^`|")
        headers += [(header, value) for value in _texts(extra, key, f"{what}: as-user-extra")]
    return tuple(headers) if user else ()


def _exec(body: Any, path: Path, user: str) -> ExecPlugin:
    what = f"exec of user {user!r} in {path}"
    if not isinstance(body, dict):
        raise _invalid(f"{what} is no mapping", "set exec.command and exec.apiVersion")
    command, version = _text(body, "command", what), _text(body, "apiVersion", what)
    if not command:
        raise _invalid(f"user {user!r} in {path} has an exec plugin without a command", "set exec.command")
    if version not in ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"):
        raise _invalid(
            f"user {user!r} in {path} has exec apiVersion {version!r}",
            "use client.authentication.k8s.io/v1 or v1beta1",
        )
    if os.sep in command and not Path(command).is_absolute():
        command = str(path.parent / command)
    env = [(_text(e, "name", what), _text(e, "value", what)) for e in _mappings(body, "env", what)]
    if any(not key or "=" in key or "\0" in key + value for key, value in env):
        raise _invalid(f"{what}: an entry of `env` can't be a variable", "give each a name and a value")
    return ExecPlugin(
        version,
        command,
        tuple(_texts(body, "args", what)),
        tuple(env),
        _text(body, "installHint", what),
        bool(body.get("provideClusterInfo")),
        _text(body, "interactiveMode", what) or "IfAvailable",
    )


def _bytes(body: dict[str, Any], key: str, path: Path, name: str) -> bytes | None:
    """Inline data (base64) wins over the file form, as in client-go."""
    if inline := body.get(f"{key}-data"):
        try:
            return base64.b64decode(inline, validate=True)
        except (binascii.Error, ValueError, TypeError):
            raise _invalid(f"{key}-data of {name!r} in {path} is no base64", "write it again") from None
    if not (file := _text(body, key, f"{name!r} in {path}")):
        return None
    try:
        return (path.parent / file).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = (isinstance(error, OSError) and error.strerror) or "no path"
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
