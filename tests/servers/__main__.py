"""`python -m tests.servers build` gets the servers, `python -m tests.servers up` runs clusters of them."""

from __future__ import annotations

import argparse
import sys


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.servers", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="get and build every server program this machine lacks")
    up = commands.add_parser("up", help="run whole clusters until Ctrl-C and print what to export")
    up.add_argument("--clusters", type=int, default=3, help="how many (default 3)")
    up.add_argument("--scrape-interval", default="5s", help="of Prometheus (default 5s)")
    up.add_argument("--controllers", action="store_true", help="run kube-controller-manager too")
    args = parser.parse_args()
    if args.command == "build":
        from tests.servers.build import build_all

        return build_all()
    # Needs installed packages, which `build` does without.
    from tests.servers.up import run

    return run(args.clusters, scrape_interval=args.scrape_interval, controllers=args.controllers)


if __name__ == "__main__":
    sys.exit(main())
