"""From a request's bytes to an answer on the wire, streamed or not, for every client dialect."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Protocol

import msgspec
from msgspec.structs import replace

from dragoman.conversation import Event, Fault, Object, Reply, Request
from dragoman.dialects.anthropic import encode_ping
from dragoman.dialects.contract import Stamp, StreamEncoder
from dragoman.dialects.untold import Untold, of_reply
from dragoman.errors import GatewayError, invalid
from dragoman.ids import fresh
from dragoman.losses import Losses
from dragoman.models.catalogue import Resolution
from dragoman.relay.call import Answer, Call, Passage, Plan, Way
from dragoman.relay.passthrough import Peek, peek, request_headers, with_model, with_name
from dragoman.relay.relay import Relay
from dragoman.relay.stream import Stream
from dragoman.relay.strictness import without_successors
from dragoman.store.patient import soon
from dragoman.surfaces.account import Account, cost_header
from dragoman.surfaces.exchange import Exchange, Header, ascii_list, parse_object
from dragoman.surfaces.passing import pass_on
from dragoman.surfaces.pulse import Pulse, pulse
from dragoman.surfaces.settling import LAST, settle_events, settle_reply
from dragoman.surfaces.showing import Shown

log = logging.getLogger("dragoman.surfaces")

_encode = msgspec.json.Encoder().encode

_TRUE = ("1", "true", "yes", "on")

Handler = Callable[[Exchange], Awaitable[None]]


def stamp(prefix: str, model: str) -> Stamp:
    """A stamp for a reply that begins now.  Without a prefix it has no id: Ollama's answers have none."""
    clock = time.perf_counter_ns
    return Stamp(id=fresh(prefix) if prefix else "", model=model, created=time.time_ns(), started=clock(), clock=clock)


# --- what is asked -------------------------------------------------------------------------------


async def received(exchange: Exchange, relay: Relay) -> tuple[bytes, Peek]:
    """The body, and a first look at it.  Where a model is optional the default stands in it."""
    settings = relay.settings
    body = await exchange.body(settings.max_body)
    seen = peek(body)
    if seen.model is None and settings.model_optional and settings.default_model:
        document = parse_object(body)
        if document.get("model") is None:
            body = with_model(body, settings.default_model)
            seen = peek(body)
    return body, seen


async def planned(exchange: Exchange, relay: Relay, body: bytes, seen: Peek) -> tuple[str, Plan]:
    """The name a request asks for, and who may answer.  A body that names no model is wrong in the dialect's words."""
    name = seen.model
    if not name:
        document = parse_object(body)
        if exchange.dialect.NAME == "anthropic" and document.get("model") is None:
            raise invalid("model: Field required", "model")
        name = exchange.dialect.decode_request(document).model
    return name, await relay.plan(name)


TakeOut = Callable[[Object], Collection[str]]
"""Takes what only we know out of a request's document, and gives the names of what left."""


def without_ours(body: bytes, mark: str, take_out: TakeOut) -> tuple[bytes, Mapping[str, str]]:
    """A body as a server of its own dialect is to get it, and what was lost of it: name → why.

    What other servers showed is told under a mark of ours, which no server knows.  Nothing is read without `mark`.
    """
    if mark.encode() in body and (names := take_out(document := parse_object(body))):
        return _encode(document), dict.fromkeys(names, "it is another server's, and of no use to this one")
    return body, {}


def way_through(
    exchange: Exchange,
    plan: Plan,
    path: str,
    body: bytes,
    dialect: str,
    *,
    ours: tuple[str, TakeOut] | None = None,
    asked: str | None = None,
) -> Way | None:
    """How the call goes to a server of its own `dialect`; None when none of the plan's is one.

    `ours` is what must not reach that server: see `without_ours`.  `asked` is the model in the body, where it is known.
    """
    if all(resolution.card.dialect != dialect for resolution in plan.candidates):
        return None
    body, lost = (body, {}) if ours is None else without_ours(body, *ours)
    headers = request_headers(exchange.scope["headers"])
    patch = with_name if dialect == "ollama" else with_model
    return Way(dialect=dialect, path=path, headers=headers, body=partial(patch, body, asked=asked), lost=lost)


def is_strict(exchange: Exchange, relay: Relay) -> bool:
    """Whether what cannot be carried is an error: by the client's header, or for all."""
    return relay.settings.strict or exchange.header(b"x-dragoman-strict").strip().lower() in _TRUE


async def prepare(
    exchange: Exchange, relay: Relay, plan: Plan, decode: Callable[[], Request], way: Way | None = None
) -> Call:
    """Make the call ready; the answer's headers will tell how that went."""
    strict = is_strict(exchange, relay)
    if strict:
        plan = without_successors(plan)
    version = exchange.header(b"anthropic-version")
    call = await relay.prepare(exchange.dialect, plan, decode, strict=strict, way=way, version=version)
    exchange.report = partial(report, call)
    if log.isEnabledFor(logging.DEBUG):
        log.debug("%s %s dropped=%s emulated=%s", exchange.id, call.sent.key, call.losses.dropped, call.losses.emulated)
    return call


def report(call: Call) -> list[Header]:
    """Who answers, and what was lost on the way.  Read when the answer begins: trying again may lose more."""
    sent = call.sent
    headers = who_answers(sent.resolution)
    if sent.losses.dropped:
        headers.append((b"x-dragoman-dropped", ascii_list(sent.losses.dropped)))
    if sent.losses.emulated:
        headers.append((b"x-dragoman-emulated", ascii_list(sent.losses.emulated)))
    if sent.losses.dropped or sent.losses.emulated:
        headers.append((b"x-dragoman-report", reasons(sent.losses)))
    if sent.num_ctx:
        headers.append((b"x-dragoman-num-ctx", b"%d" % sent.num_ctx))
    return headers


def reasons(losses: Losses, limit: int = 2000) -> bytes:
    """Every loss with its reason, as one JSON object in ASCII of at most `limit` bytes: `{"dropped": {"seed": "…"}}`.

    What does not fit is counted, as `more`.
    """
    told: dict[str, dict[str, str]] = {}
    room, more = limit - len('{"more":1000000}'), 0
    for kind, names in (("dropped", losses.dropped), ("emulated", losses.emulated)):
        room -= len(kind) + len('"":{},')
        for name, why in names.items():
            cost = len(json.dumps(name)) + len(json.dumps(why)) + len(":,")
            if cost > room:
                more += 1
                continue
            room -= cost
            told.setdefault(kind, {})[name] = why
    whole = told | ({"more": more} if more else {})
    return json.dumps(whole, separators=(",", ":")).encode()


def who_answers(resolution: Resolution) -> list[Header]:
    """The model that answers and where it is, and why it is not the one that was asked for, where it is not."""
    card = resolution.card
    headers = [
        (b"x-dragoman-model", ascii_list([card.id])),
        (b"x-dragoman-upstream", ascii_list([card.upstream])),
    ]
    if resolution.substituted:
        names = f"{resolution.asked} -> {card.id}; {resolution.substituted}"
        headers.append((b"x-dragoman-substituted", ascii_list([names])))
    return headers


# --- the answer ----------------------------------------------------------------------------------


class Keeper(Protocol):
    """What else is done with an answer, before its client is told that it is complete."""

    async def whole(self, reply: Reply, document: Object) -> Object:
        """The document of an unstreamed answer, as the client gets it."""

    async def streamed(self, encoder: StreamEncoder, data: bytes) -> bytes:
        """The encoder has had the last event and made `data` of it; what the client gets."""

    async def passed(self, exchange: Exchange, passage: Passage) -> None:
        """Pass an answer on."""


async def answer(exchange: Exchange, relay: Relay, call: Call, mark: Stamp, keeper: Keeper | None = None) -> None:
    """One call, one answer: passed through, or in the dialect of the exchange."""
    account = Account(exchange, call, mark.id, mark.started)
    try:
        await exchange.watched(_answer(exchange, relay, call, mark, account, keeper=keeper))
    except BaseException as error:
        account.close(error)
        raise
    account.close()


async def _answer(
    exchange: Exchange, relay: Relay, call: Call, mark: Stamp, account: Account, *, keeper: Keeper | None
) -> None:
    if exchange.dialect.NAME != "anthropic" or call.sent.way is not None or not call.request.stream:
        async with relay.answer(call) as got:
            await _deliver(exchange, call, got, mark, account=account, keeper=keeper)
        return
    async with pulse(exchange, encode_ping(), relay.settings.timeouts.ping) as beat:
        try:
            async with relay.answer(call) as got:
                await _deliver(exchange, call, got, mark, account=account, beat=beat)
        except (GatewayError, asyncio.CancelledError) as raised:
            error = raised if isinstance(raised, GatewayError) else exchange.cause()
            account.fault = error.kind
            beat.quiet()
            if not exchange.started or exchange.done:
                raise error from None
            # A sign of life was given already: the failure follows it.
            await beat.settled()
            log.info("%s %s: %s: %s", exchange.id, exchange.scope["path"], error.kind, error.message)
            fault = Fault(error.kind, exchange.hide(error.message), error.retry_after)
            await exchange.write(exchange.dialect.Encoder(call.request, mark).feed([fault]))
            await exchange.end_stream()


async def _deliver(
    exchange: Exchange,
    call: Call,
    got: Answer,
    mark: Stamp,
    *,
    account: Account,
    beat: Pulse | None = None,
    keeper: Keeper | None = None,
) -> None:
    account.answered(got)
    if isinstance(got, Stream):
        encoder: StreamEncoder = exchange.dialect.Encoder(call.request, mark)
        if beat is not None:
            encoder = Shown(encoder, call.sent.size, beat.quiet)
        await flow(exchange, call, got, encoder, account, keeper=keeper)
    elif isinstance(got, Reply):
        settle_reply(got, call.sent)
        exchange.extra += cost_header(got.usage, call.sent.card)
        if exchange.dialect.NAME == "anthropic" and not got.usage.input:
            got = replace(got, usage=replace(got.usage, input=call.sent.size))
        of_reply(got, exchange.dialect.SAYS).report(call.losses)
        document = exchange.dialect.encode_reply(got, call.request, mark)
        await exchange.reply(document if keeper is None else await keeper.whole(got, document))
    else:
        if not got.streamed:  # its counts are known when the headers are asked for
            told = exchange.report
            exchange.report = lambda: [*told(), *cost_header(got.tap.usage, call.sent.card)]
        await (pass_on(exchange, got) if keeper is None else keeper.passed(exchange, got))


async def flow(
    exchange: Exchange,
    call: Call,
    upstream: Stream,
    encoder: StreamEncoder,
    account: Account,
    *,
    keeper: Keeper | None = None,
) -> None:
    """The answer as it comes: one read upstream, at most one write to the client."""
    write, feed = exchange.write_now, encoder.feed

    def deliver(events: list[Event]) -> Awaitable[None] | None:
        ends = bool(events) and type(events[-1]) in LAST
        if ends or not account.spoke:  # not at each token
            settle_events(events, call.sent)
            account.seen(events)
        data = feed(events)
        if ends and ((task := upstream.kept()) is not None or keeper is not None):
            return _kept(task, keeper, encoder, exchange, data)
        return write(data) if data else None

    if not exchange.started:
        await exchange.begin_stream()
    try:
        if (rest := deliver(upstream.first)) is not None:
            await rest
        await upstream.pump(deliver)
    except Exception:
        log.exception("%s: a fault of ours in mid-answer", exchange.id)
        await exchange.write(feed([Fault("internal", f"internal error; its id in the log is {exchange.id}")]))
    log_untold(exchange, encoder.untold)
    await exchange.end_stream()


async def _kept(
    task: asyncio.Task[None] | None, keeper: Keeper | None, encoder: StreamEncoder, exchange: Exchange, data: bytes
) -> None:
    """Tell the end, after all that must be kept before that."""
    if task is not None:
        await soon(task)
    if keeper is not None:
        data = await keeper.streamed(encoder, data)
    if data and (rest := exchange.write_now(data)) is not None:
        await rest


def log_untold(exchange: Exchange, untold: Untold) -> None:
    """The headers of a stream are gone when it ends, so the log has what the report would.  Names, never contents."""
    if untold.names:
        log.info("%s: of the answer, not told: %s", exchange.id, str(ascii_list(untold.names), "ascii"))
    if untold.reworded:
        log.info("%s: of the answer, told in words: %s", exchange.id, str(ascii_list(untold.reworded), "ascii"))
