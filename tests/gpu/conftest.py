"""Fixtures of the GPU tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def endpoints(home: Path) -> Callable[[Mapping[str, Mapping[str, Any]]], dict[str, str]]:
    """Writes a config with these clusters, each the URLs of its endpoints or lists of them."""

    def write(clusters: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
        lines = []
        for cluster, urls in clusters.items():
            lines += [
                f'[clusters."{cluster}".endpoints]',
                *(f"{k} = {json.dumps(v)}" for k, v in urls.items()),
            ]
        path = home / "gpu.toml"
        path.write_text("\n".join(lines) + "\n")
        return {"AIOPS_CONFIG": str(path)}

    return write
