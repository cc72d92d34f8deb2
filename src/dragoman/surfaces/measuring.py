"""`/v1/responses/input_tokens` and `/v1/responses/compact`: how long a conversation is, and a shorter one in its place.

https://platform.openai.com/docs/guides/compaction
"""

from __future__ import annotations

from functools import partial

import msgspec

from dragoman.conversation import Object, Request, Text
from dragoman.dialects import openai_responses
from dragoman.errors import GatewayError
from dragoman.ids import fresh
from dragoman.models.catalogue import Resolution
from dragoman.relay.call import Call, Plan
from dragoman.relay.counting import Count
from dragoman.relay.passthrough import peek, with_model
from dragoman.relay.relay import Relay
from dragoman.relay.rounds import UnfitError
from dragoman.relay.upstreams import UpstreamServer
from dragoman.store.durable import Durable
from dragoman.surfaces.account import accounted
from dragoman.surfaces.calls import planned, prepare, received, stamp, who_answers
from dragoman.surfaces.continuing import Asked, asked_for
from dragoman.surfaces.exchange import Exchange, Header, parse_object
from dragoman.surfaces.owner import owner_in
from dragoman.surfaces.passing import passed
from dragoman.surfaces.settling import settle_reply
from dragoman.surfaces.through import speaks, without_ours

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

_COUNTED = "/v1/responses/input_tokens"
# Members of a request that are about its answer, or what is kept of it: clients count what they are about to send, and
# servers refuse these there.  https://platform.openai.com/docs/api-reference/responses/input-tokens
_OF_ANSWER = frozenset(
    {
        *("stream", "stream_options", "include", "store", "background", "metadata", "client_metadata", "service_tier"),
        *("max_output_tokens", "max_tool_calls", "temperature", "top_p", "top_logprobs", "user", "safety_identifier"),
        *("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"),
    }
)

_SUM_UP = (
    "Sum up this conversation so that it can go on without what was said so far: what was asked for, what was decided"
    " and found out, what was done, and what is left to do. Keep names, numbers, paths and code that will be needed"
    " word for word. Write only the summary."
)


# --- counted -------------------------------------------------------------------------------------


async def count_input(exchange: Exchange, relay: Relay, store: Durable) -> None:
    """How many tokens the input is for its model: as its server counts, where it can.  Every member is optional."""
    body, seen = await received(exchange, relay)
    if (changed := _completed(parse_object(body), relay)) is not None:
        body = _encode(changed)
        seen = peek(body)
    asked = await asked_for(body, store, owner_in(exchange, relay.settings))
    _, plan = await planned(exchange, relay, asked.body, seen)
    await exchange.watched(_counted(exchange, relay, plan, asked))


def _completed(document: Object, relay: Relay) -> Object | None:
    """The document with what a request must have; None where it has it."""
    missing: Object = {}
    if document.get("model") is None and relay.settings.default_model:
        missing["model"] = relay.settings.default_model
    if document.get("input") in (None, []):
        missing["input"] = [{"role": "user", "content": ""}]
    return document | missing if missing else None


async def _counted(exchange: Exchange, relay: Relay, plan: Plan, asked: Asked) -> None:
    async def once(server: UpstreamServer, resolution: Resolution) -> tuple[Resolution, Count]:
        if speaks(resolution.card) and (told := await _asked(exchange, server, asked, resolution)) is not None:
            return resolution, told
        call = Call(openai_responses, plan, asked.decoded)
        try:
            return resolution, await relay.carrier.counted(call, server, resolution)
        except GatewayError as error:
            raise UnfitError(error) from None

    resolution, counted = await relay.tried(plan, once)
    exchange.report = partial(_counter, resolution, counted.how)
    await exchange.reply(openai_responses.count_body(counted.tokens))


async def _asked(exchange: Exchange, server: UpstreamServer, asked: Asked, resolution: Resolution) -> Count | None:
    """What a server of this dialect counts; None where it cannot."""
    readable, _ = without_ours(asked.for_server(proofs=False))
    document = {name: value for name, value in parse_object(readable).items() if name not in _OF_ANSWER}
    try:
        whole = await passed(exchange, server, _COUNTED, with_model(_encode(document), resolution.card.id))
    except GatewayError as error:
        if error.kind in ("not_found", "method_not_allowed", "not_implemented"):
            return None
        raise
    told = _decode(whole.body)
    tokens = told.get("input_tokens") if isinstance(told, dict) else None
    return Count(tokens, "upstream") if type(tokens) is int else None


def _counter(resolution: Resolution, how: str) -> list[Header]:
    return [*who_answers(resolution), (b"x-dragoman-token-count", how.encode())]


# --- summed up -----------------------------------------------------------------------------------


async def compact(exchange: Exchange, relay: Relay, store: Durable) -> None:
    """One item that stands for a conversation: a summary by the model itself, which any model here can read."""
    body, seen = await received(exchange, relay)
    asked = await asked_for(body, store, owner_in(exchange, relay.settings))
    name, plan = await planned(exchange, relay, asked.body, seen)
    call = await prepare(exchange, relay, plan, partial(_summing, asked))
    await exchange.watched(_summed_up(exchange, relay, call, name))


def _summing(asked: Asked) -> Request:
    """The conversation, and what we ask of it.  Tools would only be called."""
    request = asked.decoded()
    question: Object = {"model": request.model, "input": [{"role": "user", "content": _SUM_UP}]}
    request.messages = [*request.messages, *openai_responses.decode_request(question).messages]
    request.tools, request.tool_choice, request.format, request.web_search = [], None, None, None
    request.stream = False
    return request


async def _summed_up(exchange: Exchange, relay: Relay, call: Call, name: str) -> None:
    mark = stamp("cmp_", name)
    with accounted(exchange, call, mark) as account:
        reply = await relay.reply(call)
        account.answered(reply)
        settle_reply(reply, call.sent)
        text = "".join(part.text for part in reply.content if isinstance(part, Text)).strip()
        if not text:
            raise GatewayError("upstream", "the model did not sum the conversation up")
        told = openai_responses.encode_reply(reply, call.request, mark)
        item = {"id": fresh("cmp_"), "type": "compaction", "encrypted_content": openai_responses.enclose_summary(text)}
        await exchange.reply(
            {
                "id": mark.id,
                "object": "response.compaction",
                "created_at": told["created_at"],
                "output": [item],
                "usage": told["usage"],
            }
        )
