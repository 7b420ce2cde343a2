"""The batch job: every two seconds it has the ledger settle what was booked."""

from __future__ import annotations

import threading
from collections.abc import Callable

from opentelemetry.trace import Status, StatusCode
from prometheus_client import Counter

from tests.incidents.shop.identity import Identity
from tests.incidents.shop.telemetry import Log
from tests.incidents.shop.web import Service, UpstreamError, tracer

EACH = 2.0
RUNS = Counter("settlement_runs", "Runs of the job", ("outcome",))


class Settlement(Service):
    def __init__(self, me: Identity, log: Log) -> None:
        super().__init__(me, log, {})
        self.faults: dict[str, Callable[[], None]] = {}
        self._stopped = threading.Event()

    def start(self) -> None:
        super().start()
        threading.Thread(target=self._settle, name="settlement", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()
        super().stop()

    def _settle(self) -> None:
        while not self._stopped.wait(EACH):
            with tracer.start_as_current_span("settle") as span:
                try:
                    settled = self.call("POST", "ledger", "/reconcile")
                except UpstreamError as error:
                    span.set_status(Status(StatusCode.ERROR, str(error)))
                    self.log.error("nothing settled", error)
                    RUNS.labels("failed").inc()
                else:
                    RUNS.labels("settled").inc()
                    self.log.info("settled", entries=settled["entries"], amount=settled["amount"])
