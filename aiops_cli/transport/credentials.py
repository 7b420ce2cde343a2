"""Who we are to a server: bearer token, token file, exec plugin, or a client certificate.

Tokens are read when first needed and again, once, when a 401 arrives.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from weakref import WeakKeyDictionary

from aiops_cli.config.kubeconfig import ExecPlugin, KubeCluster, KubeContext
from aiops_cli.errors import AuthError
from aiops_cli.transport.tls import Trust

_EXEC_TIMEOUT = 60.0
_EXEC_AT_ONCE = 4
_FAILURE_SECONDS = 30.0  # a plugin that failed is not run again before that
_TOKEN_FILE_SECONDS = 60.0


@dataclass(slots=True)
class Login:
    """What to send: a bearer token, or a client certificate with its key (PEM), or neither."""

    token: str | None = field(default=None, repr=False)
    certificate: bytes | None = field(default=None, repr=False)
    key: bytes | None = field(default=None, repr=False)
    expires: float | None = None


class Credentials:
    """No credentials; the base of those that have some."""

    async def login(self) -> Login:
        """The current login. Raises AuthError if there is none to be had."""
        return Login()

    def forget(self, refused: Login) -> bool:
        """Drop what a 401 refused. True if asking again may give something else."""
        return False


class StaticCredentials(Credentials):
    """A token or client certificate that stands in the kubeconfig or the keyring."""

    def __init__(self, login: Login) -> None:
        self._login = login

    async def login(self) -> Login:
        return self._login


class TokenFileCredentials(Credentials):
    """A token file, which may rotate: re-read after a minute, or when refused."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._read_at = 0.0
        self._token: str | None = None

    async def login(self) -> Login:
        if self._token is None or time.monotonic() - self._read_at > _TOKEN_FILE_SECONDS:
            try:
                self._token = self._path.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise AuthError(
                    f"token file {self._path} can't be read: {error}", hint="log in again"
                ) from None
            self._read_at = time.monotonic()
        return Login(token=self._token)

    def forget(self, refused: Login) -> bool:
        self._token = None
        return True


class ExecCredentials(Credentials):
    """An exec plugin, by client-go's rules (plugin/pkg/client/auth/exec): cached until it expires,
    run again when refused; one that wants the terminal has it alone.

    Clusters share it: all that ask while it runs get the one outcome, and a login that one of them saw
    refused is not dropped again by the next.
    """

    def __init__(self, plugin: ExecPlugin, cluster: KubeCluster, turns: _Turns) -> None:
        self._plugin, self._cluster, self._turns = plugin, cluster, turns
        self._login: Login | None = None
        self._failure: AuthError | None = None
        self._failed_at = 0.0
        self._running: asyncio.Task[Login | AuthError] | None = None

    async def login(self) -> Login:
        known = self._login
        if known is not None and (known.expires is None or known.expires > time.time()):
            return known
        outcome: Login | AuthError | None = self._failure
        if outcome is None or time.monotonic() - self._failed_at > _FAILURE_SECONDS:
            if self._running is None:
                self._running = asyncio.create_task(self._settle())
            outcome = await asyncio.shield(self._running)
        if isinstance(outcome, AuthError):  # a copy: each asker adds its own endpoint
            raise AuthError(outcome.message, hint=outcome.hint, code=outcome.code)
        return outcome

    def forget(self, refused: Login) -> bool:
        if self._login is refused:
            self._login = None
        return True

    async def _settle(self) -> Login | AuthError:
        try:
            self._login, self._failure = await self._run(), None
            return self._login
        except AuthError as error:
            self._login, self._failure, self._failed_at = None, error, time.monotonic()
            return error
        finally:
            self._running = None

    async def _run(self) -> Login:
        plugin = self._plugin
        tty = sys.stdin is not None and sys.stdin.isatty()
        if plugin.interactive_mode == "Always" and not tty:
            raise AuthError(
                f"exec plugin {plugin.command} needs a terminal", hint="run the command in a terminal"
            )
        interactive = tty and plugin.interactive_mode != "Never"
        async with self._turns.terminal if interactive else self._turns.slots:
            return await self._spawn(interactive=interactive)

    async def _spawn(self, *, interactive: bool) -> Login:
        plugin = self._plugin
        environment = {**os.environ, **dict(plugin.env), "KUBERNETES_EXEC_INFO": self._info(interactive)}
        stdin = None if interactive else asyncio.subprocess.DEVNULL
        try:
            process = await asyncio.create_subprocess_exec(
                plugin.command, *plugin.args, env=environment, stdin=stdin, stdout=asyncio.subprocess.PIPE
            )
        except FileNotFoundError:
            raise AuthError(
                f"exec plugin {plugin.command} is not installed",
                hint=" ".join(plugin.install_hint.split()) or "install it, or put it on PATH",
            ) from None
        except OSError as error:
            raise AuthError(
                f"exec plugin {plugin.command} can't be run: {error.strerror}", hint="fix its permissions"
            ) from None
        except ValueError:
            raise AuthError(
                f"exec plugin {plugin.command} can't be run: a NUL in its command or arguments",
                hint="fix `exec` in the kubeconfig",
            ) from None
        try:
            async with asyncio.timeout(_EXEC_TIMEOUT):
                output, _ = await process.communicate()
        except TimeoutError:
            raise AuthError(
                f"exec plugin {plugin.command} did not answer in {_EXEC_TIMEOUT:.0f} s", hint="run it by hand"
            ) from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise self._bad(f"failed with exit code {process.returncode}")
        return self._parse(output)

    def _info(self, interactive: bool) -> str:
        spec: dict[str, object] = {"interactive": interactive}
        if self._plugin.provide_cluster_info:
            cluster = self._cluster
            described = {
                "server": cluster.server,
                "tls-server-name": cluster.tls_server_name,
                "insecure-skip-tls-verify": cluster.insecure or None,
                "certificate-authority-data": base64.b64encode(cluster.ca).decode() if cluster.ca else None,
                "proxy-url": cluster.proxy_url,
                "config": cluster.exec_config,
            }
            spec["cluster"] = {k: v for k, v in described.items() if v is not None}
        return json.dumps({"kind": "ExecCredential", "apiVersion": self._plugin.api_version, "spec": spec})

    def _parse(self, output: bytes) -> Login:
        command = self._plugin.command
        try:
            answer = json.loads(output)
            version, status = answer.get("apiVersion"), answer.get("status") or {}
            token, expires = status.get("token"), status.get("expirationTimestamp")
            certificate, key = status.get("clientCertificateData"), status.get("clientKeyData")
        except (ValueError, AttributeError):
            raise self._bad("printed no ExecCredential") from None
        if not all(v is None or isinstance(v, str) for v in (token, expires, certificate, key)):
            raise self._bad("printed no ExecCredential")
        if version != self._plugin.api_version:
            raise AuthError(
                f"exec plugin {command} answered apiVersion {version!r}, not {self._plugin.api_version!r}",
                hint="set exec.apiVersion to what the plugin speaks",
            )
        if not token and not (certificate and key):
            raise self._bad("gave neither token nor certificate")
        try:
            until = datetime.fromisoformat(expires).timestamp() if expires else None
        except ValueError:
            raise self._bad(f"gave expirationTimestamp {expires!r}, which is no time") from None
        return Login(
            token, certificate.encode() if certificate else None, key.encode() if key else None, until
        )

    def _bad(self, what: str) -> AuthError:
        return AuthError(f"exec plugin {self._plugin.command} {what}", hint="run it by hand to see why")


class _Turns:
    """The plugins of one event loop, each made once, and their turns."""

    def __init__(self) -> None:
        self.terminal = asyncio.Lock()
        self.slots = asyncio.Semaphore(_EXEC_AT_ONCE)
        self._made: dict[tuple[ExecPlugin, str], ExecCredentials] = {}

    def plugin(self, plugin: ExecPlugin, cluster: KubeCluster) -> ExecCredentials:
        """Told apart as by client-go: by the exec table, and by the cluster only if it is told of it."""
        told = repr((cluster, cluster.ca)) if plugin.provide_cluster_info else ""
        key = (plugin, told)
        if key not in self._made:
            self._made[key] = ExecCredentials(plugin, cluster, self)
        return self._made[key]


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns] = WeakKeyDictionary()


def credentials_for(context: KubeContext) -> Credentials:
    """The credentials of a kubeconfig user; of an exec plugin, those that other contexts have of it.

    Called in a running event loop. Raises AuthError for kinds that are refused.
    """
    user = context.user
    if user.refused:
        raise AuthError(
            f"user {user.name!r} uses {user.refused}", hint="use a certificate, a token or an exec plugin"
        )
    if user.token_file:
        return TokenFileCredentials(user.token_file)
    if user.exec and not user.token:
        turns = _turns.setdefault(asyncio.get_running_loop(), _Turns())
        return turns.plugin(user.exec, context.cluster)
    return StaticCredentials(Login(user.token, user.client_certificate, user.client_key))


def trust_for(context: KubeContext, login: Login) -> Trust:
    """The TLS material of a context, with the certificate that its login gave."""
    user = context.user
    return Trust(
        context.cluster.ca,
        context.cluster.insecure,
        login.certificate or user.client_certificate,
        login.key or user.client_key,
    )
