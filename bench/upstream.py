"""A very cheap upstream: one process, no framework, one fixed answer, streamed at a steady pace.

It speaks the Anthropic, the Ollama and the OpenAI API, as far as a chat needs them, and costs little, so that the
gateway between it and the load is what a measurement shows.  `POST /bench/pace` (body: milliseconds) sets the pace of
later streams; 0 sends a whole stream in one write.  `GET /bench/stats` counts calls.  Prints its port on standard
output.  Run as `python -m bench.upstream`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from typing import cast

import msgspec

from bench import answers, clock, wire


class _Call(msgspec.Struct):
    """The one member of a request that matters here."""

    stream: bool = False


class _Stats(msgspec.Struct):
    requests: int = 0
    streams: int = 0
    broken: int = 0


class _Said:
    """The answer in one dialect: every byte that will be sent, made once."""

    def __init__(self, answer: answers.Answer) -> None:
        deltas = answer.deltas
        first = _STREAM % answer.media.encode() + _chunk(answer.head + deltas[0])
        self.paced = [first, *map(_chunk, deltas[1:]), _chunk(answer.tail) + b"0\r\n\r\n"]
        self.at_once = b"".join(self.paced)
        self.whole = _json_response(answer.whole)


class Answers:
    """By path, for calls and for what else is asked.  `pace` is in seconds between two events."""

    def __init__(self, events: int, pace: float) -> None:
        texts = wire.tokens(events)
        self.calls = {
            wire.QUESTIONS[dialect]("", False)[0]: _Said(answer(texts)) for dialect, answer in answers.ANSWERS.items()
        }
        self.fixed = {
            "/v1/models": _json_response(answers.openai_models()),
            "/api/tags": _json_response(answers.ollama_tags()),
            "/api/show": _json_response(answers.ollama_show()),
            "/api/version": _json_response(b'{"version":"0.33.0"}'),
        }
        self.claude = _json_response(answers.anthropic_models())
        self.nothing = _json_response(b'{"type":"error","error":{"type":"not_found_error","message":"no"}}', "404 No")
        self.pace = pace
        self.stats = _Stats()


class Connection(asyncio.Protocol):
    """One keep-alive connection.  Requests are answered in turn; a peer does not pipeline while a stream runs."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._loop = asyncio.get_running_loop()
        self._held = b""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._answers.stats.broken += 1

    def data_received(self, data: bytes) -> None:
        self._held += data
        while (end := self._held.find(b"\r\n\r\n") + 4) > 3:
            head = self._held[:end].lower()
            end_of_body = end + _content_length(head)
            if len(self._held) < end_of_body:
                return
            body, self._held = self._held[end:end_of_body], self._held[end_of_body:]
            path = head.split(b" ", 2)[1].partition(b"?")[0].decode()
            if (said := self._answers.calls.get(path)) is not None:
                self._call(said, body)
            else:
                self._answer(path, head, body)

    def _call(self, said: _Said, body: bytes) -> None:
        answers = self._answers
        if not msgspec.json.decode(body, type=_Call).stream:
            answers.stats.requests += 1
            self._transport.write(said.whole)
            return
        answers.stats.streams += 1
        if answers.pace:
            self._stream(said.paced, answers.pace)
        else:
            self._transport.write(said.at_once)

    def _answer(self, path: str, head: bytes, body: bytes) -> None:
        answers = self._answers
        match path:
            case "/v1/models" if b"\r\nanthropic-version:" in head:
                self._transport.write(answers.claude)
            case wire.PACE_PATH:
                answers.pace = float(body) / 1000
                self._transport.write(_json_response(b"{}"))
            case wire.STATS_PATH:
                self._transport.write(_json_response(msgspec.json.encode(answers.stats)))
            case _:
                self._transport.write(answers.fixed.get(path, answers.nothing))

    def _stream(self, chunks: list[bytes], pace: float) -> None:
        self._chunks, self._next, self._pace = chunks, 0, pace
        self._due = self._loop.time()
        self._tick()

    def _tick(self) -> None:
        self._transport.write(self._chunks[self._next])
        self._next += 1
        if self._next == len(self._chunks):
            self._timer = None
            return
        self._due += self._pace  # not now + pace: a late tick must not slow the stream
        self._timer = self._loop.call_at(self._due, self._tick)


_STREAM = (
    b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncache-control: no-cache\r\n"
    b"request-id: req_bench\r\ntransfer-encoding: chunked\r\n\r\n"
)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _json_response(body: bytes, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\nrequest-id: req_bench\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def _content_length(head: bytes) -> int:
    _, found, rest = head.partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0]) if found else 0


async def serve(port: int, events: int, pace: float) -> None:
    """Answer until cancelled."""
    answers = Answers(events, pace)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(answers), "127.0.0.1", port, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description="A very cheap upstream.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--events", type=int, default=100, help="text deltas of a stream")
    parser.add_argument("--pace-ms", type=float, default=20, help="between two deltas; 0 sends all at once")
    args = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        clock.run(serve(args.port, args.events, args.pace_ms / 1000))


if __name__ == "__main__":
    main()
