"""Runs commands for a benchmark: `python -m benchmarks.measured`, one JSON request a line, one answer a line.

A process of its own, for a child's peak memory starts at that of the process that forked it. Standard
library only, so it stays under 12 MiB.
"""

import json
import os
import subprocess
import sys
import time


def main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        began = time.perf_counter()
        process = subprocess.Popen(
            asked["command"],
            env=asked["env"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert process.stderr is not None
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        answer = {
            "seconds": time.perf_counter() - began,
            "cpu": usage.ru_utime + usage.ru_stime,
            "mib": usage.ru_maxrss / 1024,  # KiB on Linux; of a shell, the most of any of its children
            "code": os.waitstatus_to_exitcode(status),
            "said": said[-500:].decode(errors="replace"),
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
