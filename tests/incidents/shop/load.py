"""Visitors of one shop: requests at random moments, at a steady rate, whether answers come or not."""

from __future__ import annotations

import argparse
import http.client
import json
import random
import threading
import time

from tests.incidents.shop.orphan import die_with_parent

VISITORS = 150
"""Requests under way at most; a visitor that finds all taken goes elsewhere."""
PATIENCE = 10.0


def _ask(address: tuple[str, int], method: str, path: str, body: dict[str, object] | None) -> None:
    connection = http.client.HTTPConnection(*address, timeout=PATIENCE)
    try:
        headers = {"Content-Type": "application/json", "Connection": "close"}
        connection.request(method, path, json.dumps(body or {}), headers)
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        pass  # the visitor sees an error page; the frontend counts it
    finally:
        connection.close()


def _pick(draw: random.Random) -> tuple[str, str, dict[str, object] | None]:
    user = f"u{draw.randrange(500)}"
    kind = draw.random()
    if kind < 0.45:
        return "GET", f"/{draw.randrange(1, 400)}", None
    if kind < 0.6:
        return "GET", f"/cart/{user}", None
    return "POST", "/orders", {"user": user, "amount": draw.randrange(5, 500)}


def run(port: int, rate: float, seed: int) -> None:
    """Ask the frontend on that port `rate` times a second, until killed."""
    draw = random.Random(seed)
    due = time.monotonic()
    while True:
        due += draw.expovariate(rate)
        time.sleep(max(0.0, due - time.monotonic()))
        visit = threading.Thread(target=_ask, args=(("127.0.0.1", port), *_pick(draw)), daemon=True)
        if threading.active_count() <= VISITORS:
            visit.start()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    die_with_parent()
    run(args.port, args.rate, args.seed)
