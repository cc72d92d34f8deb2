"""The two ends of the soak: a server whose every token says when it was sent, and clients that read that.

Both are one process and cost little; they and the gateway share one clock (CLOCK_MONOTONIC), so a token's way is timed
from end to end.  Run as `python -m bench.soak_ends server` or `… clients`.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import time
from collections import deque
from typing import cast

import msgspec
import uvloop

from bench import answers, wire

MARK = b"@"
_STAMP = b"@%016.6f"
_STAMP_SIZE = 17
_PLACE = b"@" + b"0" * (_STAMP_SIZE - 1)
_TICK = 0.005


class Load(msgspec.Struct, kw_only=True):
    """`streams` at once, each of `events` tokens that are `pace` seconds apart."""

    streams: int = 1000
    events: int = 300
    pace: float = 0.1


class Told(msgspec.Struct, kw_only=True):
    """What the clients saw since they told last.  `delays` counts tokens by whole milliseconds of delay."""

    running: int
    done: int
    lost: list[str]
    delays: dict[int, int]


# --- the server --------------------------------------------------------------------------------------


class _Pacer:
    """All streams, in the order in which their next token is due."""

    def __init__(self, load: Load) -> None:
        text = _PLACE.decode()
        said = answers.ANSWERS["anthropic"]([text] * load.events)
        before, after = said.deltas[0].split(_PLACE)
        size = len(said.deltas[0])
        self._before, self._after = b"%x\r\n" % size + before, after + b"\r\n"
        self.head = (
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nrequest-id: req_soak\r\n"
            b"transfer-encoding: chunked\r\n\r\n" + _chunk(said.head)
        )
        self._tail = _chunk(said.tail) + b"0\r\n\r\n"
        self._load = load
        self._due: deque[tuple[float, int, _Asked]] = deque()
        self._loop = asyncio.get_running_loop()
        self._tick()

    def begin(self, asked: _Asked) -> None:
        self._due.append((time.monotonic() + self._load.pace, self._load.events, asked))

    def _tick(self) -> None:
        """Every stream has the same pace, so the queue is in order by itself."""
        now, due, pace = time.monotonic(), self._due, self._load.pace
        stamp = _STAMP % now
        token = self._before + stamp + self._after
        while due and due[0][0] <= now:
            when, left, asked = due.popleft()
            if asked.gone:
                continue
            if left > 1:
                asked.write(token)
                due.append((max(when, now - pace) + pace, left - 1, asked))
            else:
                asked.write(token + self._tail)
        self._loop.call_later(_TICK, self._tick)


class _Asked(asyncio.Protocol):
    def __init__(self, pacer: _Pacer) -> None:
        self._pacer = pacer
        self._held = b""
        self.gone = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.write = cast("asyncio.Transport", transport).write

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True

    def data_received(self, data: bytes) -> None:
        self._held += data
        head, found, rest = self._held.partition(b"\r\n\r\n")
        if not found:
            return
        _, _, length = head.lower().partition(b"\r\ncontent-length:")
        size = int(length.partition(b"\r\n")[0] or b"0")
        if len(rest) < size:
            return
        self._held = rest[size:]
        if head.startswith(b"POST"):
            self.write(self._pacer.head)
            self._pacer.begin(self)
        else:
            body = answers.anthropic_models()
            self.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body))
            self.write(body)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def serve(load: Load) -> None:
    """Answer until the end; prints the port."""
    pacer = _Pacer(load)
    server = await asyncio.get_running_loop().create_server(lambda: _Asked(pacer), "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


# --- the clients -------------------------------------------------------------------------------------

_ENDS = {"anthropic": b'"message_stop"', "ollama": b'"done":true', "openai": b"[DONE]"}
_LAST = 600


class _Books:
    """What all clients together have seen since it was told last."""

    def __init__(self) -> None:
        self.running = self.done = 0
        self.lost: list[str] = []
        self.delays: dict[int, int] = {}

    def told(self) -> Told:
        told = Told(running=self.running, done=self.done, lost=self.lost, delays=self.delays)
        self.done, self.lost, self.delays = 0, [], {}
        return told


class _Client(asyncio.Protocol):
    """One connection, one stream after another."""

    def __init__(self, books: _Books, dialect: str, request: bytes, events: int) -> None:
        self._books, self._end, self._request, self._events = books, _ENDS[dialect], request, events
        self._seen = 0
        self._last = b""
        self._over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def ask(self) -> None:
        self._seen, self._last = 0, b""
        self._books.running += 1
        self._transport.write(self._request)

    def stop(self) -> None:
        self._over = True
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._over:
            self._books.running -= 1
            self._books.lost.append(f"cut after {self._seen} tokens: {self._last[-200:].decode(errors='replace')}")

    def data_received(self, data: bytes) -> None:
        if seen := data.count(MARK):
            self._seen += seen
            at = data.rfind(MARK)
            stamp = data[at + 1 : at + _STAMP_SIZE]
            if len(stamp) == _STAMP_SIZE - 1:
                delay = math.ceil((time.monotonic() - float(stamp)) * 1000)
                delays = self._books.delays
                delays[delay] = delays.get(delay, 0) + seen
        self._last = (self._last + data)[-_LAST:]
        if data.endswith(b"0\r\n\r\n"):
            self._finish()

    def _finish(self) -> None:
        self._books.running -= 1
        if self._seen != self._events or self._end not in self._last:
            self._books.lost.append(f"{self._seen} tokens, and at the end {self._last[-200:].decode(errors='replace')}")
        else:
            self._books.done += 1
        self.ask()


async def listen(port: int, load: Load, seconds: float, dialects: list[str]) -> None:
    """Keep `streams` streams running for so long; a `Told` a line, every ten seconds."""
    loop, books = asyncio.get_running_loop(), _Books()
    clients: list[_Client] = []
    for number in range(load.streams):
        dialect = dialects[number % len(dialects)]
        path, body = wire.QUESTIONS[dialect](wire.MODELS["anthropic"], True)
        head = (
            f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nx-api-key: soak\r\nanthropic-version: 2023-06-01\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        client = _Client(books, dialect, head.encode() + body, load.events)
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]
        loop.call_later(number / load.streams * load.events * load.pace, client.ask)
        clients.append(client)
    until = loop.time() + seconds
    while loop.time() < until:
        await asyncio.sleep(min(10.0, max(until - loop.time(), 0.01)))
        sys.stdout.buffer.write(msgspec.json.encode(books.told()) + b"\n")
        sys.stdout.buffer.flush()
    for client in clients:
        client.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description="One end of the soak.")
    parser.add_argument("end", choices=["server", "clients"])
    parser.add_argument("--load", default="{}", help="a Load, in JSON")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--dialects", default="anthropic,ollama,openai")
    args = parser.parse_args()
    load = msgspec.json.decode(args.load, type=Load)
    if args.end == "server":
        uvloop.run(serve(load))
    else:
        uvloop.run(listen(args.port, load, args.seconds, args.dialects.split(",")))


if __name__ == "__main__":
    main()
