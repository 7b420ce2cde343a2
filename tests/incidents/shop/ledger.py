"""The ledger: books entries in its database over a pool of a few connections."""

from __future__ import annotations

import json
import queue
import socket
import threading
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode
from prometheus_client import Counter, Gauge

from tests.incidents.shop.identity import Identity
from tests.incidents.shop.telemetry import Log
from tests.incidents.shop.web import Json, Refused, Request, Service

POOL_SIZE = 6
POOL_TIMEOUT = 2.0
tracer = trace.get_tracer("shop.ledger")


class PoolTimeout(Exception):
    """No connection became free in time."""


class Connection:
    """One session with the database: a line of JSON each way."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address, timeout=5)
        self._file = self._socket.makefile("rwb")

    def execute(self, sql: str, *args: Any) -> list[list[Any]]:
        """Rows of a statement. Raises OSError when the session is lost, RuntimeError as the database says."""
        attributes = {
            "db.system": "sqlite",
            "db.name": "ledger",
            "db.statement": sql,
            "server.address": "ledger-db",
        }
        verb = sql.split()[0]
        with tracer.start_as_current_span(
            f"{verb} ledger", kind=SpanKind.CLIENT, attributes=attributes
        ) as span:
            self._file.write(json.dumps([sql, args]).encode() + b"\n")
            self._file.flush()
            line = self._file.readline()
            if not line:
                raise ConnectionError("the database closed the connection")
            answer = json.loads(line)
            if "error" in answer:
                span.set_status(Status(StatusCode.ERROR, answer["error"]))
                raise RuntimeError(answer["error"])
            rows: list[list[Any]] = answer["rows"]
            return rows


class Pool:
    """At most POOL_SIZE connections. One that is not given back is lost for everybody."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._free: queue.LifoQueue[Connection | None] = queue.LifoQueue()
        self._address = address
        for _ in range(POOL_SIZE):
            self._free.put(None)  # opened at first use
        self._waiting = 0
        self._lock = threading.Lock()
        Gauge("db_pool_size", "Connections a pool may have", ("pool",)).labels("ledger-db").set(POOL_SIZE)
        in_use = Gauge("db_pool_in_use", "Connections taken out of a pool", ("pool",))
        in_use.labels("ledger-db").set_function(lambda: self.in_use)
        waiting = Gauge("db_pool_waiting", "Callers waiting for a connection", ("pool",))
        waiting.labels("ledger-db").set_function(lambda: self._waiting)
        self._timeouts = Counter("db_pool_timeouts", "Callers that got no connection", ("pool",))

    @property
    def in_use(self) -> int:
        return POOL_SIZE - self._free.qsize()

    def take(self) -> Connection:
        """Raises PoolTimeout after POOL_TIMEOUT seconds."""
        with self._lock:
            self._waiting += 1
        try:
            found = self._free.get(timeout=POOL_TIMEOUT)
        except queue.Empty:
            self._timeouts.labels("ledger-db").inc()
            raise PoolTimeout(
                f"timeout after {POOL_TIMEOUT:g} s waiting for a connection: pool ledger-db is exhausted "
                f"({self.in_use} of {POOL_SIZE} in use)"
            ) from None
        finally:
            with self._lock:
                self._waiting -= 1
        try:
            return found or Connection(self._address)
        except OSError:
            self._free.put(None)
            raise

    def give_back(self, connection: Connection | None) -> None:
        """None for one that broke: the next taker opens another."""
        self._free.put(connection)


class Ledger(Service):
    """Books entries, and for the settlement job says how much was booked since it last asked."""

    def __init__(self, me: Identity, log: Log) -> None:
        routes = {"GET /limits": self.limit, "POST /entries": self.book, "POST /reconcile": self.reconcile}
        super().__init__(me, log, routes)
        self.faults = {"leak-connections": self.leak}
        self.pool = Pool(me.address_of("ledger-db"))
        self.leaking = False

    def leak(self) -> None:
        """The fault: reconciliation returns early where it used to give its connection back."""
        self.leaking = True

    def limit(self, request: Request) -> Json:
        """From memory, without the database."""
        return {"account": request.rest, "limit": 10_000}

    def book(self, request: Request) -> Json:
        entry = request.body
        rows = self._in_session(
            "INSERT INTO entries (account, amount, risk, settled) VALUES (?, ?, ?, 0) RETURNING id",
            entry["account"],
            entry["amount"],
            entry["risk"],
        )
        return {"entry": rows[0][0]}

    def reconcile(self, request: Request) -> Json:
        """Marks what was booked as settled, and says how much that was."""
        connection = self._take()
        rows = connection.execute("SELECT count(*), total(amount) FROM entries WHERE settled = 0")
        connection.execute("UPDATE entries SET settled = 1 WHERE settled = 0")
        if not self.leaking:
            self.pool.give_back(connection)
        return {"entries": rows[0][0], "amount": rows[0][1]}

    def _take(self) -> Connection:
        try:
            return self.pool.take()
        except PoolTimeout as error:
            self.log.error("no database connection", error, pool="ledger-db", in_use=self.pool.in_use)
            raise Refused(503, "ledger unavailable") from error

    def _in_session(self, sql: str, *args: Any) -> list[list[Any]]:
        connection = self._take()
        try:
            rows = connection.execute(sql, *args)
        except Exception:
            self.pool.give_back(None)
            raise
        self.pool.give_back(connection)
        return rows
