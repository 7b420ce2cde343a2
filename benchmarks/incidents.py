"""`python -m benchmarks.incidents [FILE…]`: where the injected fault stands in the ranking, and how long it takes.

Without files, the recorded incidents of this repository. A whole process each time, as a user waits for it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.incidents.bundles import BUNDLES, manifest


def analyse(bundle: Path) -> tuple[list[dict[str, Any]], float]:
    """The ranking and the seconds of the process. Raises CalledProcessError when it fails."""
    command = [sys.executable, "-m", "aiops_cli", "rca", "analyze", "--bundle", str(bundle), "-o", "json"]
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, "XDG_CACHE_HOME": home, "XDG_DATA_HOME": home}
        began = time.perf_counter()
        done = subprocess.run(command, env=env, check=True, capture_output=True)
        return json.loads(done.stdout)["items"], time.perf_counter() - began


def rank_of(target: dict[str, str], ranking: list[dict[str, Any]]) -> int | None:
    """The rank of the entity that was broken; None when it is not among the causes."""
    for cause in ranking:
        if all(cause["entity"][part] == target[part] for part in ("cluster", "kind", "name")):
            return int(cause["rank"])
    return None


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.incidents", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="bundles with a scenario in their manifest")
    chosen = {path.stem: path for path in parser.parse_args().files} or BUNDLES
    print(
        f"{'incident':<12} {'broken':<18} {'rank':>4} {'onset off by':>12} {'score':>6} {'second':>6} {'took':>7}"
    )
    for name, path in chosen.items():
        told = manifest(path)["scenario"]
        ranking, took = analyse(path)
        rank = rank_of(told["target"], ranking)
        off, score = "-", "-"
        if rank is not None:
            found = ranking[rank - 1]
            began = datetime.fromisoformat(told["startedAt"]).timestamp()
            off = f"{datetime.fromisoformat(found['onset']).timestamp() - began:+.0f} s"
            score = f"{found['score']:.2f}"
        rival = next((f"{c['score']:.2f}" for c in ranking if c["rank"] != rank), "-")
        broken = f"{told['target']['cluster']}/{told['target']['name']}"
        print(f"{name:<12} {broken:<18} {rank or '-':>4} {off:>12} {score:>6} {rival:>6} {took:>5.1f} s")


if __name__ == "__main__":
    main()
