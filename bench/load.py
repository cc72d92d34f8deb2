"""The load: asks a gateway many questions and checks every answer.

One process for a whole run.  It reads one `Job` a line on standard input and writes one `Outcome` a line, so that no
start-up of its own falls into a measurement.  Run as `python -m bench.load`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from typing import cast

import msgspec

from bench import clock, wire


class Job(msgspec.Struct, kw_only=True):
    """`connections` keep-alive connections ask `each` questions, one after the other.

    The connections begin evenly over `spread` seconds.  When they have streams as long as that to read, then from the
    second on there are always as many streams as connections, and one begins whenever another ends.
    """

    port: int
    dialect: str
    path: str
    body: bytes
    events: int
    streamed: bool
    connections: int
    each: int
    spread: float = 0
    deadline: float = 120
    """Seconds after which the rest counts as lost."""


class Outcome(msgspec.Struct, kw_only=True):
    """Times in seconds.  `latencies`: of each request; or of each connection's streams but the first, until the first
    token."""

    wall: float
    latencies: list[float]
    failures: list[str]


Done = Callable[["Connection", bytes, float], None]


class Connection(asyncio.Protocol):
    """One keep-alive connection to the gateway; calls `done` with each response and the time its answer began."""

    def __init__(self, done: Done, marker: bytes) -> None:
        self._done = done
        self._marker = marker
        self._busy = False
        self.lost = False
        self.answered = 0
        self.asked = 0.0
        self._held: list[bytes] = []
        self._first = 0.0
        self._size = 0
        self._end = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if self._busy:
            self._finish()

    def ask(self, request: bytes) -> None:
        self._busy = True
        self._held = []
        self._first = 0.0
        self._size = 0
        self._end = 0
        self.asked = time.perf_counter()
        self._transport.write(request)

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._held.append(data)
        self._size += len(data)
        if not self._first and self._marker in b"".join(self._held):
            self._first = time.perf_counter()
        if not self._end:
            self._end = self._expected()
        if self._size == self._end or (self._end < 0 and data.endswith(b"0\r\n\r\n")):
            self._finish()

    def _expected(self) -> int:
        """Bytes of the whole response; -1 when it is chunked; 0 when its head is not here yet."""
        head, found, _ = b"".join(self._held).partition(b"\r\n\r\n")
        if not found:
            return 0
        _, sized, length = head.lower().partition(b"\r\ncontent-length:")
        return len(head) + 4 + int(length.partition(b"\r\n")[0]) if sized else -1

    def _finish(self) -> None:
        self._busy = False
        self.answered += 1
        self._done(self, b"".join(self._held), self._first)


class Run:
    """One job under way."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._request = _request(job)
        self._answers: list[bytes] = []
        self._latencies: list[float] = []
        self._failures: list[str] = []
        self._left = job.connections * job.each
        self._over = asyncio.Event()

    async def outcome(self) -> Outcome:
        job = self._job
        loop = asyncio.get_running_loop()
        connections: list[Connection] = []
        for _ in range(job.connections):
            _, connection = await loop.create_connection(self._connection, "127.0.0.1", job.port)
            connections.append(connection)
        begun = time.perf_counter()
        for nth, connection in enumerate(connections):
            loop.call_later(nth * job.spread / job.connections, connection.ask, self._request)
        try:
            await asyncio.wait_for(self._over.wait(), job.deadline)
        except TimeoutError:
            self._failures.append(f"{self._left} answers missing after {job.deadline} s")
        wall = time.perf_counter() - begun
        for connection in connections:
            connection.close()
        self._verify()
        return Outcome(wall=wall, latencies=self._latencies, failures=self._failures)

    def _connection(self) -> Connection:
        return Connection(self._hear, wire.FIRST_TOKEN.encode())

    def _hear(self, connection: Connection, answer: bytes, first: float) -> None:
        """Streams are kept and checked when the clock has stopped; a short answer is checked here."""
        if self._job.streamed:
            self._answers.append(answer)
        elif not answer.startswith(b"HTTP/1.1 200 "):
            self._failures.append(answer[:300].decode(errors="replace"))
        if not first:
            self._failures.append(f"an answer without text: {answer[:300].decode(errors='replace')}")
        elif not self._job.streamed:
            self._latencies.append(time.perf_counter() - connection.asked)
        elif connection.answered > 1:
            self._latencies.append(first - connection.asked)
        self._left -= 1
        if self._left == 0:
            self._over.set()
        elif connection.answered < self._job.each and not connection.lost:
            connection.ask(self._request)

    def _verify(self) -> None:
        expected = "".join(wire.tokens(self._job.events))
        read = wire.READERS[self._job.dialect]
        for answer in self._answers:
            try:
                text = read(_body(answer))
            except (ValueError, KeyError, IndexError, msgspec.DecodeError) as error:
                self._failures.append(f"{error!r} in {answer[:300].decode(errors='replace')}")
                continue
            if text != expected:
                self._failures.append(f"a stream of {len(text)} characters, not {len(expected)}")


def _request(job: Job) -> bytes:
    head = (
        f"POST {job.path} HTTP/1.1\r\nhost: 127.0.0.1:{job.port}\r\nuser-agent: dragoman-bench\r\naccept: */*\r\n"
        "authorization: Bearer bench\r\nx-api-key: bench\r\nanthropic-version: 2023-06-01\r\n"
        f"content-type: application/json\r\ncontent-length: {len(job.body)}\r\n\r\n"
    )
    return head.encode() + job.body


def _body(response: bytes) -> bytes:
    """The body of a whole chunked response."""
    _, _, rest = response.partition(b"\r\n\r\n")
    pieces: list[bytes] = []
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        pieces.append(rest[:length])
        rest = rest[length + 2 :]
    return b"".join(pieces)


async def serve() -> None:
    """Do each job of standard input in turn."""
    decode = msgspec.json.Decoder(Job).decode
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
        outcome = await Run(decode(line)).outcome()
        sys.stdout.buffer.write(msgspec.json.encode(outcome) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    clock.run(serve())
