"""What each step of a translation costs, with no network around it: `python -m bench.micro`.

Times are the best of several runs, in µs: of one call, or of one event of a stream whose every event is fed alone, as
it arrives from an upstream.
"""

from __future__ import annotations

import asyncio
import copy
import time
import timeit
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, cast

import msgspec

from bench import answers, wire
from dragoman.config import Settings, Upstream
from dragoman.conversation import Event
from dragoman.dialects import anthropic, ollama, openai_chat
from dragoman.dialects.contract import ClientDialect, Stamp
from dragoman.losses import Losses
from dragoman.models import catalogue
from dragoman.models.fit import fit
from dragoman.relay.call import Passage
from dragoman.relay.http1 import Connection
from dragoman.relay.passthrough import Passing, peek, with_model
from dragoman.relay.upstreams import UpstreamServer, serve_all
from dragoman.relay.usage_tap import tap_for

_EVENTS = 100
_RUNS = 7
_CALLS = 500
_PATIENCE = 600.0
_CLIENTS: tuple[ClientDialect, ...] = (ollama, openai_chat)
_QUESTIONS = {"ollama": "ollama", "openai_chat": "openai"}
_MODEL = wire.MODELS["anthropic"]


def main() -> None:
    for client in _CLIENTS:
        _, body = wire.QUESTIONS[_QUESTIONS[client.NAME]](_MODEL, False)
        document = msgspec.json.decode(body)
        print(f"\n{client.NAME} to anthropic, a chat of {len(document['messages'])} messages, {len(body)} bytes")
        _request(client, body)
        _reply(client, body)
        _stream(client, body)
    print("\nthe same dialect on both sides")
    for name in wire.QUESTIONS:
        asyncio.run(_passing(name))


def _request(client: ClientDialect, body: bytes) -> None:
    document = msgspec.json.decode(body)
    names = catalogue.build()
    card = names.resolve(document["model"], datetime.now(UTC).date()).card
    request = client.decode_request(copy.deepcopy(document))
    fitted = fit(request, card, Losses(client.SPELLING)).request
    out = anthropic.encode_request(fitted, Losses(client.SPELLING))
    parse = _time(lambda: msgspec.json.decode(body))
    _say("JSON decode", parse)
    # decoding takes its document apart, so each call gets a new one
    _say("decode_request", _time(lambda: client.decode_request(msgspec.json.decode(body))) - parse)
    _say("resolve the model", _time(lambda: names.resolve(document["model"], datetime.now(UTC).date())))
    _say("fit", _time(lambda: fit(request, card, Losses(client.SPELLING))))
    _say("encode_request", _time(lambda: anthropic.encode_request(fitted, Losses(client.SPELLING))))
    _say("JSON encode", _time(lambda: msgspec.json.encode(out)))


def _reply(client: ClientDialect, body: bytes) -> None:
    request = client.decode_request(msgspec.json.decode(body))
    raw = answers.anthropic(wire.tokens(_EVENTS)).whole
    reply = anthropic.decode_reply(msgspec.json.decode(raw))
    parse = _time(lambda: msgspec.json.decode(raw))
    _say("decode_reply", _time(lambda: anthropic.decode_reply(msgspec.json.decode(raw))) - parse)
    _say("encode_reply", _time(lambda: client.encode_reply(reply, request, _stamp())))


def _stream(client: ClientDialect, body: bytes) -> None:
    request = client.decode_request(msgspec.json.decode(body))
    answer = answers.anthropic(wire.tokens(_EVENTS))
    pieces = [answer.head, *answer.deltas, answer.tail]
    events = _decode(pieces)
    _say("decode an event of a stream", _time(lambda: _decode(pieces), 20) / _EVENTS)

    def encode() -> None:
        feed = client.Encoder(request, _stamp()).feed
        for some in events:
            feed(some)

    _say("encode an event of a stream", _time(encode, 20) / _EVENTS)


async def _passing(name: str) -> None:
    """From the upstream's socket to what is written to the client, without either socket."""
    connection = Connection(asyncio.get_running_loop())
    connection.connection_made(cast("asyncio.Transport", _Nowhere()))
    answer = answers.ANSWERS[name](wire.tokens(_EVENTS))
    asked = asyncio.ensure_future(connection.send(b"", _PATIENCE))
    await asyncio.sleep(0)
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {answer.media}\r\ntransfer-encoding: chunked\r\n\r\n"
    connection.data_received(head.encode())
    await asked
    server = _server(name)
    passage = Passage(server, connection, tap_for(server.dialect.NAME, streamed=True), streamed=True)
    connection.read_into(Passing(passage, lambda _: None), _PATIENCE)
    pieces = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in answer.deltas]

    def feed() -> None:
        for piece in pieces:
            connection.data_received(piece)

    _say(f"pass on an event of {name}", _time(feed, 20) / _EVENTS)
    connection.abort()
    _, body = wire.QUESTIONS[name](wire.MODELS[name], False)
    _say("look at a request", _time(lambda: peek(body)))
    _say("give it another model", _time(lambda: with_model(body, "another")))


class _Nowhere:
    """A transport that takes everything."""

    def write(self, data: bytes) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        pass


def _server(name: str) -> UpstreamServer:
    dialect: Literal["anthropic", "ollama", "openai_chat"]
    match name:
        case "anthropic" | "ollama":
            dialect = name
        case _:
            dialect = "openai_chat"
    settings = Settings(upstreams=(Upstream(name=name, dialect=dialect, base_url="http://localhost"),))
    return serve_all(settings.upstreams, settings)[name]


def _decode(pieces: Sequence[bytes]) -> list[list[Event]]:
    decoder = anthropic.Decoder()
    return [decoder.feed(piece) for piece in pieces]


def _stamp() -> Stamp:
    clock = time.perf_counter_ns
    return Stamp(id="bench", model=_MODEL, created=time.time_ns(), started=clock(), clock=clock)


def _time(call: Callable[[], Any], calls: int = _CALLS) -> float:
    return min(timeit.repeat(call, number=calls, repeat=_RUNS)) / calls * 1e6


def _say(what: str, cost: float) -> None:
    print(f"  {what:<30}{cost:8.2f} µs")


if __name__ == "__main__":
    main()
