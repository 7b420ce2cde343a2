"""`aiops` and `kubectl aiops`."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """The entry point of both names."""
    # What is imported and decoded mostly lives to the end; looking for garbage in it costs a tenth of a start.
    gc.set_threshold(100_000)
    try:
        from aiops_cli.cli.app import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # while it loads, or a second one while it tidies up
        print("interrupted", file=sys.stderr)
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
