"""HTTP between the shop's processes: a traced, measured server, and a client that carries the trace on."""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry import propagate, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue
from prometheus_client import generate_latest

from tests.incidents.shop.identity import Identity
from tests.incidents.shop.telemetry import DURATION, IN_FLIGHT, REQUESTS, Log

Json = dict[str, Any]
tracer = trace.get_tracer("shop")


@dataclass(frozen=True)
class Request:
    """`rest` is what follows the route in the path."""

    rest: str
    body: Json


class Refused(Exception):
    """A handler's answer other than 200."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class UpstreamError(Exception):
    """A call to another service that failed; `status` is None when no answer came."""

    def __init__(self, service: str, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.service = service
        self.status = status


Route = Callable[[Request], Json]


class _Server(ThreadingHTTPServer):
    # Closing waits for the requests being answered.
    daemon_threads = False
    allow_reuse_address = True
    # During a rollout the old and the new pod listen on the service's one port.
    allow_reuse_port = True
    request_queue_size = 256

    def drain(self) -> None:
        """Stop, but answer the connections that the kernel has accepted already."""
        self.shutdown()
        while select.select([self.socket], [], [], 0)[0]:
            self._handle_request_noblock()  # type: ignore[attr-defined]
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Callers that gave up are in the metrics; a traceback on stderr adds nothing."""


class Admin:
    """The admin port of a process: metrics, health, and the faults that can be switched on."""

    def __init__(self, port: int, faults: dict[str, Callable[[], None]]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                _reply(self, 200, generate_latest() if self.path == "/metrics" else b"ok\n", "text/plain")

            def do_POST(self) -> None:
                fault = faults.get(self.path.removeprefix("/faults/"))
                if fault:
                    fault()
                _reply(self, 200 if fault else 404, b"", "text/plain")

            def log_message(self, format: str, *args: Any) -> None:
                """Scrapes are of no interest."""

        self._server = _Server(("127.0.0.1", port), Handler)

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()

    def stop(self) -> None:
        self._server.drain()


class Service:
    """Answers `routes` ("POST /orders" → handler); `faults` are what the admin port can switch on."""

    def __init__(self, me: Identity, log: Log, routes: Mapping[str, Route]) -> None:
        self.me, self.log, self.routes = me, log, routes
        self.faults: dict[str, Callable[[], None]] = {}
        self._server = _Server(("127.0.0.1", me.port), self._handler())

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()

    def stop(self) -> None:
        """Returns once every request that came in has its answer."""
        self._server.drain()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                service._answer(self)

            do_POST = do_GET

            def log_message(self, format: str, *args: Any) -> None:
                """Requests are in the metrics and the traces."""

        return Handler

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        began = time.perf_counter()
        length = int(handler.headers.get("Content-Length") or 0)
        body = json.loads(handler.rfile.read(length)) if length else {}
        method, path = handler.command, handler.path.split("?")[0]
        name = max((r for r in self.routes if f"{method} {path}".startswith(r)), key=len, default=None)
        route = name.split(" ", 1)[1] if name else "unknown"
        attributes: dict[str, str] = {
            "http.request.method": method,
            "url.path": path,
            "http.route": route,
        }
        with (
            IN_FLIGHT.track_inprogress(),
            tracer.start_as_current_span(
                name or method,
                context=propagate.extract(dict(handler.headers.items())),
                kind=SpanKind.SERVER,
                attributes=attributes,
                record_exception=False,
                set_status_on_exception=False,
            ) as span,
        ):
            status, answer = self._run(name, path.removeprefix(route).strip("/"), body, span)
            span.set_attribute("http.response.status_code", status)
            REQUESTS.labels(method, route, str(status)).inc()
            DURATION.labels(method, route).observe(time.perf_counter() - began)
            with contextlib.suppress(OSError):  # the caller may have gone
                _reply(handler, status, json.dumps(answer).encode(), "application/json")

    def _run(self, name: str | None, rest: str, body: Json, span: Span) -> tuple[int, Json]:
        if name is None:
            return 404, {"error": "no such page"}
        try:
            return 200, self.routes[name](Request(rest, body))
        except Refused as refused:
            if refused.status >= 500:
                _failed(span, refused.__cause__ or refused)
            return refused.status, {"error": str(refused)}
        except Exception as error:
            _failed(span, error)
            self.log.error(f"{name} failed", error)
            return 500, {"error": str(error)}

    def call(
        self, method: str, service: str, path: str, body: Json | None = None, *, timeout: float = 5.0
    ) -> Json:
        """Ask another service of the shop. Raises UpstreamError; times out without an answer."""
        host, port = self.me.address_of(service)
        attributes: dict[str, AttributeValue] = {
            "http.request.method": method,
            "url.full": f"http://{service}:8080{path}",
            "server.address": service,
            "server.port": 8080,
        }
        with tracer.start_as_current_span(
            method,
            kind=SpanKind.CLIENT,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            headers = {"Content-Type": "application/json", "Connection": "close"}
            propagate.inject(headers)
            connection = http.client.HTTPConnection(host, port, timeout=timeout)
            try:
                connection.request(method, path, json.dumps(body or {}), headers)
                answer = connection.getresponse()
                content = answer.read()
            except TimeoutError:
                error = UpstreamError(service, f"{service} gave no answer within {timeout:g} s")
                _failed(span, error)
                raise error from None
            except (OSError, http.client.HTTPException) as cause:
                error = UpstreamError(service, f"{service}: {type(cause).__name__}: {cause}")
                _failed(span, error)
                raise error from cause
            finally:
                connection.close()
            span.set_attribute("http.response.status_code", answer.status)
            result: Json = json.loads(content)
            if answer.status >= 400:
                span.set_status(Status(StatusCode.ERROR))
                message = f"{service} answered {answer.status}: {result.get('error')}"
                raise UpstreamError(service, message, answer.status)
            return result


def _failed(span: Span, error: BaseException) -> None:
    span.add_event("exception", {"exception.type": type(error).__name__, "exception.message": str(error)})
    span.set_status(Status(StatusCode.ERROR, str(error)))
    span.set_attribute("error.type", type(error).__name__)


def _reply(handler: BaseHTTPRequestHandler, status: int, body: bytes, content_type: str) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", content_type)
    handler.send_header("Content-Length", str(len(body)))
    handler.send_header("Connection", "close")
    handler.close_connection = True
    handler.end_headers()
    handler.wfile.write(body)
