"""`aiops` and `kubectl aiops`."""

from __future__ import annotations

import sys


def main() -> None:
    """The entry point of both names."""
    from aiops_cli.cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
