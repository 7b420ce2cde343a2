"""A network that takes time: `python -m benchmarks.relay MS HOST:PORT=HOST:PORT …`, each from a port to a server.

MS is the round trip: half of it passes before each byte goes on, either way, and a whole one before a
connection's first bytes, for its handshake. Bandwidth is not limited. Prints `ready` and serves until killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

CHUNK = 1 << 20


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float, first: float
) -> None:
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(64)

    async def receive() -> None:
        extra = first
        while True:
            try:
                data = await reader.read(CHUNK)
            except ConnectionError:  # hung up in the middle: the other side learns of it in time
                data = b""
            await waiting.put((loop.time() + delay + extra, data))
            extra = 0.0
            if not data:
                return

    receiving = asyncio.create_task(receive())
    with contextlib.suppress(ConnectionError):
        while True:
            due, data = await waiting.get()
            if (pause := due - loop.time()) > 0:
                await asyncio.sleep(pause)
            if not data:
                break
            writer.write(data)
            await writer.drain()
    receiving.cancel()
    with contextlib.suppress(ConnectionError, asyncio.CancelledError):
        await receiving
    writer.close()


async def serve(round_trip: float, pairs: list[tuple[str, str]]) -> None:
    def split(address: str) -> tuple[str, int]:
        host, port = address.rsplit(":", 1)
        return host, int(port)

    for here, there in pairs:

        async def connected(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, there: str = there
        ) -> None:
            up_reader, up_writer = await asyncio.open_connection(*split(there), limit=CHUNK)
            await asyncio.gather(
                _pass_on(reader, up_writer, round_trip / 2, round_trip),
                _pass_on(up_reader, writer, round_trip / 2, 0.0),
            )

        await asyncio.start_server(connected, *split(here), limit=CHUNK)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]) / 1000, [tuple(a.split("=", 1)) for a in sys.argv[2:]]))  # type: ignore[misc]
