"""`python -m tests.incidents.shop`: the process that its environment says it is, until SIGTERM."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Protocol

from tests.incidents.shop import cart
from tests.incidents.shop.identity import Identity, from_environment
from tests.incidents.shop.ledger import Ledger
from tests.incidents.shop.ledger_db import LedgerDb
from tests.incidents.shop.orphan import die_with_parent
from tests.incidents.shop.services import Catalog, Checkout, Frontend, Payment
from tests.incidents.shop.settlement import Settlement
from tests.incidents.shop.telemetry import Log, start_tracing
from tests.incidents.shop.web import Admin


class Program(Protocol):
    faults: dict[str, Callable[[], None]]

    def start(self) -> None: ...

    def stop(self) -> None: ...


PROGRAMS: dict[str, Callable[[Identity, Log], Program]] = {
    "frontend": Frontend,
    "checkout": Checkout,
    "cart": cart.Cart,
    "payment": Payment,
    "ledger": Ledger,
    "ledger-db": LedgerDb,
    "catalog": Catalog,
    "settlement": Settlement,
}


def main() -> None:
    die_with_parent()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    me = from_environment()
    if me.service == "cart":
        cart.mount_volume(cart.spool_of(me))
    tracing = start_tracing(me)
    log = Log(me)
    program = PROGRAMS[me.service](me, log)
    admin = Admin(me.admin_port, program.faults)
    program.start()
    admin.start()
    stopped.wait()
    program.stop()
    admin.stop()
    tracing.shutdown()
    log.close()


if __name__ == "__main__":
    main()
