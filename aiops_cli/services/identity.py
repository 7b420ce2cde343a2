"""Who a login is, for keys of caches: told apart between users, recognised when a token was renewed."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os

from aiops_cli.config.kubeconfig import KubeUser
from aiops_cli.transport.credentials import Login

# What tells one account of a credential plugin from another.
_ACCOUNT_VARIABLES = (
    "AWS_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_ROLE_ARN",
    "AZURE_CLIENT_ID",
    "CLOUDSDK_ACTIVE_CONFIG_NAME",
    "CLOUDSDK_CORE_ACCOUNT",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "TSH_LOGIN",
    "USER",
)


def subject(login: Login, user: KubeUser | None) -> str:
    """Who a login is: the subject of a JWT; else the plugin that gave it, whose opaque tokens change by
    the hour, with the environment that tells its accounts apart; else a hash of token or certificate."""
    if login.token and login.token.count(".") == 2:
        payload = login.token.split(".")[1]
        with contextlib.suppress(ValueError):
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
            if isinstance(claims, dict) and claims.get("sub"):
                return f"{claims.get('iss')} {claims['sub']}"
    if user is not None and user.exec is not None:
        accounts = [f"{k}={os.environ[k]}" for k in _ACCOUNT_VARIABLES if k in os.environ]
        plugin = user.exec
        return hashlib.sha256(repr((plugin.command, plugin.args, plugin.env, accounts)).encode()).hexdigest()
    secret = (
        (login.token or "").encode()
        or login.certificate
        or (user.client_certificate if user else None)
        or b""
    )
    return hashlib.sha256(secret).hexdigest()
