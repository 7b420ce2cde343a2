"""`python -m benchmarks.incidents [FILE…]`: where the injected fault stands in the ranking, and how long it takes.

Without files, the recorded incidents of this repository. A whole process each time, as a user waits for it.
With `--less`, the rank too when the bundle lacks a signal, or has only one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Any

from aiops_cli.services.bundle import open_bundle
from aiops_cli.services.record import write
from tests.incidents.bundles import BUNDLES, manifest

SIGNALS = ("queries", "logs", "spans", "kube")
"""What a cluster's part of a bundle holds beside the alerts."""


def analyse(bundle: Path) -> tuple[list[dict[str, Any]], float]:
    """The ranking and the seconds of the process. Raises CalledProcessError when it fails."""
    command = [sys.executable, "-m", "aiops_cli", "rca", "analyze", "--bundle", str(bundle), "-o", "json"]
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, "XDG_CACHE_HOME": home, "XDG_DATA_HOME": home}
        began = time.perf_counter()
        done = subprocess.run([*command, "--allow-partial"], env=env, check=True, capture_output=True)
        return json.loads(done.stdout)["items"], time.perf_counter() - began


def with_only(bundle: Path, signals: Collection[str], out: Path) -> Path:
    """A copy that holds those signals and the alerts."""
    opened = open_bundle(str(bundle))
    parts = {cluster.name: opened.parts_of(cluster.name) for cluster in opened.manifest.clusters}
    opened.close()
    for part in parts.values():
        for signal in set(SIGNALS) - set(signals):
            setattr(part, signal, None if signal == "kube" else [])
    write(opened.manifest, parts, out)
    return out


def rank_of(target: dict[str, str], ranking: list[dict[str, Any]]) -> int | None:
    """The rank of the entity that was broken, whatever kind it is taken for; None when it is no cause."""
    for cause in ranking:
        if all(cause["entity"][part] == target[part] for part in ("cluster", "name")):
            return int(cause["rank"])
    return None


def show(name: str, signals: str, path: Path) -> None:
    told = manifest(path)["scenario"]
    ranking, took = analyse(path)
    rank = rank_of(told["target"], ranking)
    off, score = "-", "-"
    if rank is not None:
        found = ranking[rank - 1]
        began = datetime.fromisoformat(told["startedAt"]).timestamp()
        off = f"{datetime.fromisoformat(found['onset']).timestamp() - began:+.0f} s"
        score = f"{found['score']:.2f}"
    rival = next((c for c in ranking if c["rank"] != rank), None)
    other = f"{rival['score']:.2f} {rival['entity']['name']}" if rival else "-"
    broken = f"{told['target']['cluster']}/{told['target']['name']}"
    print(
        f"{name:<10} {broken:<14} {signals:<24} {rank or '-':>4} {off:>8} {score:>5}  {other:<22} {took:>5.1f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.incidents", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="bundles with a scenario in their manifest")
    parser.add_argument("--less", action="store_true", help="also with signals left out")
    args = parser.parse_args()
    chosen = {path.stem: path for path in args.files} or BUNDLES
    print(f"{'incident':<10} {'broken':<14} {'signals':<24} {'rank':>4} {'onset':>8} {'score':>5}  next best")
    for name, path in chosen.items():
        show(name, "all", path)
        subsets = [set(SIGNALS) - {signal} for signal in SIGNALS] + [{signal} for signal in SIGNALS]
        for signals in subsets if args.less else ():
            with tempfile.TemporaryDirectory() as folder:
                less = with_only(path, signals, Path(folder) / "less.aiops")
                show(name, " ".join(s for s in SIGNALS if s in signals), less)


if __name__ == "__main__":
    main()
