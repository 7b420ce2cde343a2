"""The ledger's database: SQLite behind a socket, a session a connection, a line of JSON each way."""

from __future__ import annotations

import json
import socketserver
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

from prometheus_client import Counter, Gauge

from tests.incidents.shop.identity import Identity
from tests.incidents.shop.telemetry import Log

MAX_SESSIONS = 20
SCHEMA = "CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY, account, amount, risk, settled)"
REPORT = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000000) SELECT max(i) FROM n"
)
REPORT_EACH = 0.2
SESSIONS = Gauge("db_sessions", "Open sessions")
STATEMENTS = Counter("db_statements", "Statements run", ("verb",))


class _Sessions(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


class LedgerDb:
    """Tells its metrics as the others do, but no spans, as databases are."""

    def __init__(self, me: Identity, log: Log) -> None:
        self.faults: dict[str, Callable[[], None]] = {"run-reports": self.run_reports}
        self.log = log
        file = Path(me.data) / "ledger.sqlite"
        self._database = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute(SCHEMA)
        self._one_at_a_time = threading.Lock()
        self._open = 0
        database = self

        class Session(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                database.serve(self)

        self._server = _Sessions(("127.0.0.1", me.port), Session)
        log.info("database open", max_sessions=MAX_SESSIONS)

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._database.close()

    def run_reports(self) -> None:
        """The fault: somebody runs a report again and again, for which every other statement has to wait."""
        threading.Thread(target=self._report, name="report", daemon=True).start()

    def serve(self, session: socketserver.StreamRequestHandler) -> None:
        self._open += 1
        SESSIONS.set(self._open)
        try:
            for line in session.rfile:
                answer = {"error": "too many sessions"} if self._open > MAX_SESSIONS else self._execute(line)
                session.wfile.write(json.dumps(answer).encode() + b"\n")
        finally:
            self._open -= 1
            SESSIONS.set(self._open)

    def _report(self) -> None:
        while True:
            began = time.monotonic()
            self._execute(json.dumps([REPORT, []]).encode())
            took = time.monotonic() - began
            self.log.warning("slow statement", seconds=round(took, 2), statement=REPORT[:60])
            time.sleep(REPORT_EACH)

    def _execute(self, line: bytes) -> dict[str, object]:
        sql, args = json.loads(line)
        STATEMENTS.labels(sql.split()[0]).inc()
        with self._one_at_a_time:
            try:
                return {"rows": self._database.execute(sql, args).fetchall()}
            except sqlite3.Error as error:
                return {"error": str(error)}
