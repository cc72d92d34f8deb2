"""What each step of a translation costs, with no network around it: `python -m bench.micro`.

Times are the best of several runs, in µs: of one call, or of one event of a stream whose every event is fed alone, as
it arrives from an upstream.
"""

from __future__ import annotations

import copy
import time
import timeit
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from bench import answers, wire
from dragoman.conversation import Event
from dragoman.dialects import anthropic, ollama, openai_chat
from dragoman.dialects.contract import ClientDialect, Stamp
from dragoman.losses import Losses
from dragoman.models import catalogue
from dragoman.models.fit import fit

_EVENTS = 100
_RUNS = 7
_CALLS = 500
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
