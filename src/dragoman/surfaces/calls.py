"""From a decoded request to an answer on the wire, streamed or not, for every client dialect."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial

from dragoman.conversation import Event, Fault, Request
from dragoman.dialects.contract import Stamp, StreamEncoder
from dragoman.ids import fresh
from dragoman.models.catalogue import Resolution
from dragoman.relay.relay import Call, Relay
from dragoman.surfaces.exchange import Exchange, Header, ascii_list

log = logging.getLogger("dragoman.calls")

_TRUE = ("1", "true", "yes", "on")


def stamp(prefix: str, model: str) -> Stamp:
    """A stamp for a reply that begins now.  Without a prefix it has no id: Ollama's answers have none."""
    clock = time.perf_counter_ns
    return Stamp(id=fresh(prefix) if prefix else "", model=model, created=time.time_ns(), started=clock(), clock=clock)


def prepare(exchange: Exchange, relay: Relay, request: Request) -> Call:
    """Fit the request; the answer's headers will tell how that went."""
    strict = exchange.header(b"x-dragoman-strict").lower() in _TRUE
    call = relay.prepare(exchange.dialect, request, strict=strict)
    exchange.report = partial(report, call)
    if log.isEnabledFor(logging.DEBUG):
        log.debug("%s %s dropped=%s emulated=%s", exchange.id, call.card.id, call.losses.dropped, call.losses.emulated)
    return call


def report(call: Call) -> list[Header]:
    """Who answers, and what was lost on the way.  Read when the answer begins: trying again may lose more."""
    headers = who_answers(call.resolution)
    if call.losses.dropped:
        headers.append((b"x-dragoman-dropped", ascii_list(call.losses.dropped)))
    if call.losses.emulated:
        headers.append((b"x-dragoman-emulated", ascii_list(call.losses.emulated)))
    return headers


def who_answers(resolution: Resolution) -> list[Header]:
    """The model that answers, and why it is not the one that was asked for, where it is not."""
    headers: list[Header] = [(b"x-dragoman-model", resolution.card.id.encode())]
    if resolution.substituted:
        names = f"{resolution.asked} -> {resolution.card.id}; {resolution.substituted}"
        headers.append((b"x-dragoman-substituted", ascii_list([names])))
    return headers


async def answer(exchange: Exchange, relay: Relay, call: Call, mark: Stamp) -> None:
    """One call, one answer, in the dialect of the exchange."""
    if call.request.stream:
        encoder = exchange.dialect.Encoder(call.request, mark)
        await exchange.watched(stream(exchange, relay, call, encoder))
    else:
        await exchange.watched(_whole(exchange, relay, call, mark))


async def _whole(exchange: Exchange, relay: Relay, call: Call, mark: Stamp) -> None:
    reply = await relay.reply(call)
    await exchange.reply(exchange.dialect.encode_reply(reply, call.request, mark))


async def stream(exchange: Exchange, relay: Relay, call: Call, encoder: StreamEncoder) -> None:
    """The answer as it comes: one read upstream, at most one write to the client."""
    write, feed = exchange.write_now, encoder.feed

    def deliver(events: list[Event]) -> Awaitable[None] | None:
        data = feed(events)
        return write(data) if data else None

    async with relay.stream(call) as upstream:
        await exchange.begin_stream()
        try:
            if (rest := deliver(upstream.first)) is not None:
                await rest
            await upstream.pump(deliver)
        except Exception:
            log.exception("%s: a fault of ours in mid-answer", exchange.id)
            await exchange.write(feed([Fault("internal", f"internal error; its id in the log is {exchange.id}")]))
    await exchange.end_stream()


Handler = Callable[[Exchange], Awaitable[None]]
