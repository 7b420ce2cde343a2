"""A server of the telemetry protocol as DPDK documents it (doc/guides/howto/telemetry.rst): for what no real
program shows at will, such as missed packets and a link that is down."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

Answers = Mapping[str, Callable[[], object]]


@contextmanager
def telemetry(path: Path, answers: Answers) -> Iterator[None]:
    """Serves `path` (…/dpdk_telemetry.v2) until the block ends; what it does not know it answers with null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(str(path))
        listening.listen()
        thread = threading.Thread(target=_serve, args=(listening, answers), daemon=True)
        thread.start()
        try:
            yield
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            path.unlink(missing_ok=True)


def _serve(listening: socket.socket, answers: Answers) -> None:
    while True:
        try:
            client, _ = listening.accept()
        except OSError:
            return
        with client:
            client.send(b'{"version":"DPDK 23.11.2","pid":7,"max_output_len":16384}')
            while request := client.recv(1024):
                command = request.decode()
                answer = answers.get(command, lambda: None)()
                client.send(json.dumps({command.partition(",")[0]: answer}).encode())
