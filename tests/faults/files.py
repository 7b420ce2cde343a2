"""Config files and kubeconfigs as a user would write them, in a test's home."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def config_path(home: Path) -> Path:
    """Where aiops looks for its config if nothing else is said."""
    path = home / "config" / "aiops" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write_config(home: Path, endpoints: Mapping[str, Mapping[str, str]], more: str = "") -> Path:
    """Clusters by name with their endpoint URLs (or inline tables, starting with `{`), then `more` TOML."""
    lines = []
    for cluster, urls in endpoints.items():
        lines.append(f"[clusters.{json.dumps(cluster)}.endpoints]")
        lines += [f"{k} = {v if v.startswith('{') else json.dumps(v)}" for k, v in urls.items()]
    path = config_path(home)
    path.write_text("\n".join([*lines, more, ""]))
    return path


def cluster_entry(
    name: str, server: str, *, ca: bytes | None = None, more: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    body: dict[str, Any] = {"server": server, **(more or {})}
    if ca is not None:
        body["certificate-authority-data"] = base64.b64encode(ca).decode()
    return {"name": name, "cluster": body}


def write_kubeconfig(
    path: Path,
    *,
    clusters: list[dict[str, Any]],
    users: Mapping[str, Mapping[str, Any]],
    contexts: Mapping[str, tuple[str, str]],
) -> Path:
    """`contexts` maps a context's name to its (cluster, user)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": clusters,
                "users": [{"name": name, "user": dict(body)} for name, body in users.items()],
                "contexts": [
                    {"name": name, "context": {"cluster": cluster, "user": user}}
                    for name, (cluster, user) in contexts.items()
                ],
            },
            indent=2,
        )
    )
    return path


def everything_under(folder: Path) -> bytes:
    """The contents of all files below, with their names, to look for what must not be there."""
    return b"\0".join(
        str(path).encode() + b"\0" + path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    )
