"""Load on a server: connections that stay open, requests written beforehand, and as little Python as can be."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence


def request_of(path: str, body: bytes) -> bytes:
    """The bytes of a POST."""
    head = f"POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Connection:
    """One that stays open."""

    async def open(self, port: int) -> Connection:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
        return self

    async def ask(self, request: bytes) -> None:
        """Send, and read the whole answer.

        Raises:
            RuntimeError: it is not 200.
        """
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        await self._reader.readexactly(length)


async def capacity(port: int, requests: Sequence[bytes], *, connections: int, seconds: float) -> float:
    """Requests per second of so many connections, each of which asks again as soon as it is answered."""
    end, answered = time.perf_counter() + seconds, 0

    async def talk(number: int) -> None:
        nonlocal answered
        connection, place = await Connection().open(port), number
        while time.perf_counter() < end:
            await connection.ask(requests[place % len(requests)])
            answered, place = answered + 1, place + connections

    began = time.perf_counter()
    await asyncio.gather(*(talk(number) for number in range(connections)))
    return answered / (time.perf_counter() - began)


async def latencies(port: int, requests: Sequence[bytes], *, rate: float, seconds: float, connections: int = 64) -> list[float]:
    """Seconds from the moment when a request was due to its answer, requests being due at random at a rate."""
    idle: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(connections):
        idle.put_nowait(await Connection().open(port))
    draw, found, tasks = random.Random(0), list[float](), list[asyncio.Task[None]]()

    async def one(request: bytes, due: float) -> None:
        connection = await idle.get()
        await connection.ask(request)
        found.append(time.perf_counter() - due)
        idle.put_nowait(connection)

    due = began = time.perf_counter()
    while due < began + seconds:
        due += draw.expovariate(rate)
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(requests[len(tasks) % len(requests)], due)))
    await asyncio.gather(*tasks)
    return sorted(found)
