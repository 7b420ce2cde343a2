"""The recorded incidents by the name of their scenario; `python -m tests.incidents.record` makes them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
SHIPPED = REPOSITORY / "aiops_cli" / "data" / "demo.aiops"
BUNDLES = {
    "pool": SHIPPED,
    "disk": Path(__file__).parent / "bundles" / "disk.aiops",
    "rollout": Path(__file__).parent / "bundles" / "rollout.aiops",
    "query": Path(__file__).parent / "bundles" / "query.aiops",
}


def manifest(bundle: Path) -> dict[str, Any]:
    with zipfile.ZipFile(bundle) as archive:
        found: dict[str, Any] = json.loads(archive.read("manifest.json"))
    return found


def without_scenario(bundle: Path, out: Path) -> Path:
    """A copy of the bundle whose manifest says nothing of what was injected."""
    with zipfile.ZipFile(bundle) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as copy:
        for name in source.namelist():
            data = source.read(name)
            if name == "manifest.json":
                told = json.loads(data)
                del told["scenario"]
                data = json.dumps(told).encode()
            copy.writestr(name, data)
    return out
