"""One client over a long time: certificates that are renewed, and retries that come back."""

from __future__ import annotations

import asyncio
import threading

from aiops_cli.transport.client import HttpClient, Target
from aiops_cli.transport.credentials import Credentials, Login
from tests.faults.stub import Stub, answer, held, in_turn


class Renewed(Credentials):
    """An exec plugin's: `certificate` is the one of now."""

    certificate = b"first"

    async def login(self) -> Login:
        return Login(certificate=self.certificate, key=b"key")


async def test_a_renewed_certificate_leaves_a_request_under_way_alone(stub: Stub) -> None:
    until, arrived = threading.Event(), threading.Event()
    stub.on("/slow", held(answer({"slow": True}), until=until, arrived=arrived))
    stub.on("/fast", answer({"fast": True}))
    credentials = Renewed()
    client = HttpClient(Target(stub.url, credentials))
    try:
        slow = asyncio.create_task(client.get("/slow"))
        await asyncio.to_thread(arrived.wait)
        credentials.certificate = b"second"
        assert (await client.get("/fast")).status == 200
        until.set()
        assert (await slow).body == b'{"slow": true}'
        assert stub.paths() == ["/slow", "/fast"], "nothing had to be asked again"
    finally:
        until.set()
        await client.aclose()


async def test_good_answers_bring_retries_back(stub: Stub) -> None:
    good, bad = answer({}), answer("busy", status=503)
    async with asyncio.timeout(60):
        client = HttpClient(Target(stub.url))
        try:
            for _ in range(12):  # more hiccups than a client may retry in a row
                stub.on("/", in_turn(bad, good))
                assert (await client.get("/x")).status == 200
                for _ in range(9):
                    await client.get("/x")
        finally:
            await client.aclose()
