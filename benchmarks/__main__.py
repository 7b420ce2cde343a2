"""`python -m benchmarks [NAME]`: one benchmark with its own options, or all of them in turn.

Ratios within one run are what to look at: wall times differ from machine to machine. Run it inside a
network namespace (`tests/netns`), for some start servers on loopback.
"""

from __future__ import annotations

import subprocess
import sys

BENCHMARKS = {
    "startup": "aiops --help and aiops version against a small Typer program",
    "fanout": "a query over 100 endpoints against one",
    "cache": "a range asked again against the server",
    "decode": "a 32 MB matrix to arrays against json.loads and a loop",
    "store": "the range cache against its alternatives",
    "peers": "aiops against promtool, logcli, amtool and a script, on one cluster and over 20",
    "ptp": "1,000 PTP clocks in one view",
    "anomalies": "detection on generated and labelled series",
    "gpu": "2,000 GPUs of 20 clusters in one view",
    "first_paint": "the dashboard's first paint from the store against a bare Textual table",
    "log_storm": "keys and memory while 20,000 log lines a second come in",
    "rca": "ranking of generated incidents",
}


def main() -> int:
    names = sys.argv[1:2] or list(BENCHMARKS)
    if names[0] in ("-h", "--help") or names[0] not in BENCHMARKS:
        print(__doc__, *(f"  {name:<10} {what}" for name, what in BENCHMARKS.items()), sep="\n")
        return 0 if names[0] in ("-h", "--help") else 2
    code = 0
    for name in names:
        print(f"== {name}: {BENCHMARKS[name]}", flush=True)
        code = (
            subprocess.run(
                [sys.executable, "-m", f"benchmarks.{name}", *sys.argv[2:]], check=False
            ).returncode
            or code
        )
        print(flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
