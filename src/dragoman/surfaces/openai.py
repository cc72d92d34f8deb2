"""The paths OpenAI programs call.  https://platform.openai.com/docs/api-reference"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from urllib.parse import unquote

from starlette.routing import BaseRoute, Route

from dragoman.conversation import Object, Request
from dragoman.dialects import anthropic, openai_chat, openai_completions
from dragoman.errors import GatewayError, invalid
from dragoman.models.catalogue import Entry
from dragoman.relay.call import Plan, Way
from dragoman.relay.passthrough import adding
from dragoman.relay.relay import Relay
from dragoman.surfaces.anthropic import model_list, model_object
from dragoman.surfaces.calls import answer, is_strict, planned, prepare, received, stamp, way_through
from dragoman.surfaces.embeddings import OPENAI, embed
from dragoman.surfaces.exchange import Endpoint, Exchange, parse_object
from dragoman.surfaces.fanout import answer_all
from dragoman.surfaces.listing import created, entry_of, visible
from dragoman.surfaces.replaying import Replayed
from dragoman.surfaces.through import OURS

# A request may ask for this many calls at once; each one is billed.
MAX_CHOICES = 128


class OpenAISurface:
    """`/v1/...`, and the same paths without the prefix, which some clients leave out."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def routes(self) -> list[BaseRoute]:
        chat, plain = openai_chat, openai_completions
        table = [
            ("/chat/completions", "POST", Endpoint(chat, self._chat)),
            ("/completions", "POST", Endpoint(plain, self._completions)),
            ("/embeddings", "POST", Endpoint(chat, self._embeddings)),
            ("/models", "GET", Endpoint(chat, self._models)),
            ("/models/{id:path}", "GET", Endpoint(chat, self._model)),
        ]
        return [
            Route(prefix + path, endpoint, methods=[method])
            for prefix in ("/v1", "")
            for path, method, endpoint in table
        ]

    # --- generation ------------------------------------------------------------------------------

    async def _chat(self, exchange: Exchange) -> None:
        body, seen = await received(exchange, self._relay)
        name, plan = await planned(exchange, self._relay, body, seen)
        stream = True if self._relay.settings.stream_default and seen.stream is None else None
        mark = stamp("chatcmpl-", name)
        decode = partial(_chat_request, body, stream)
        # A `system` at the top is our own extension: no server knows it.
        way = None if seen.system else self._way(exchange, plan, "/v1/chat/completions", body, stream)
        if way is not None or seen.n in (None, 1):
            replayed = None if way is None else Replayed.of(body, self._relay.carrier.refusals)
            if way is not None and replayed is not None:
                way = replayed.way(way, strict=is_strict(exchange, self._relay))
            call = await prepare(exchange, self._relay, plan, decode, way)
            if replayed is not None:
                replayed.tell(exchange, call)
            if call.sent.way is not None or (call.request.extra.get("n") or 1) == 1:
                await answer(exchange, self._relay, call, mark)
                return
        request = decode()
        await answer_all(
            exchange,
            self._relay,
            plan,
            [request] * request.extra["n"],
            mark,
            choice=lambda index: openai_chat.Encoder(request, mark, index, tail=False),
            tail=partial(openai_chat.tail, request, mark),
            merge=openai_chat.merge_replies,
        )

    async def _completions(self, exchange: Exchange) -> None:
        body, seen = await received(exchange, self._relay)
        name, plan = await planned(exchange, self._relay, body, seen)
        mark = stamp("cmpl-", name)
        way = self._way(exchange, plan, "/v1/completions", body, None)
        if way is not None:
            call = await prepare(exchange, self._relay, plan, lambda: _completion_requests(parse_object(body))[0], way)
            if call.sent.way is not None:
                await answer(exchange, self._relay, call, mark)
                return
        requests = _completion_requests(parse_object(body))
        first = requests[0]
        if len(requests) == 1:
            await answer(exchange, self._relay, await prepare(exchange, self._relay, plan, lambda: first), mark)
            return
        await answer_all(
            exchange,
            self._relay,
            plan,
            requests,
            mark,
            choice=lambda index: openai_completions.Encoder(requests[index], mark, index, tail=False),
            tail=partial(openai_completions.tail, first, mark),
            merge=partial(openai_completions.merge_replies, n=first.extra.get("n") or 1),
        )

    def _way(self, exchange: Exchange, plan: Plan, path: str, body: bytes, stream: bool | None) -> Way | None:
        """Through to an OpenAI-compatible server.  What a client does not say about streaming may be configured."""
        if stream is not None and any(it.card.dialect == "openai_chat" for it in plan.candidates):
            body = adding(body, stream=stream)
        ours = (openai_chat.OURS, openai_chat.without_proofs)
        return way_through(exchange, plan, path, body, "openai_chat", ours=ours)

    async def _embeddings(self, exchange: Exchange) -> None:
        await embed(exchange, self._relay, OPENAI)

    # --- discovery -------------------------------------------------------------------------------

    async def _models(self, exchange: Exchange) -> None:
        await self._relay.recent()
        entries = visible(self._relay)
        if exchange.header(b"anthropic-version"):
            exchange.dialect = anthropic
            await exchange.reply(model_list(entries, str(exchange.scope["query_string"], "latin-1")))
            return
        await exchange.reply({"object": "list", "data": [_model_object(entry) for entry in entries]})

    async def _model(self, exchange: Exchange) -> None:
        name = unquote(exchange.scope["path_params"]["id"])
        entry = await entry_of(self._relay, name)
        if exchange.header(b"anthropic-version"):
            exchange.dialect = anthropic
            await exchange.reply(model_object(name, entry))
            return
        if entry is None:
            raise GatewayError("model_not_found", f"The model '{name}' does not exist", param="model")
        await exchange.reply(_model_object(entry))


def _chat_request(body: bytes, stream: bool | None) -> Request:
    document = parse_object(body)
    return openai_chat.decode_request(document if stream is None else {**document, "stream": stream})


def _completion_requests(body: Object) -> Sequence[Request]:
    """One request for every prompt and choice, prompts first, as the API numbers its choices."""
    requests = []
    for prompt in openai_completions.prompts(body):
        request = openai_completions.decode_request({**body, "prompt": prompt})
        requests += [request] * (request.extra.get("n") or 1)
    if len(requests) > MAX_CHOICES:
        raise invalid(f"prompts times n is {len(requests)}; at most {MAX_CHOICES} are answered at once", "n")
    return requests


def _model_object(entry: Entry) -> Object:
    return {
        "id": entry.name,
        "object": "model",
        "created": int(created(entry).timestamp()),
        "owned_by": entry.card.upstream,
        "context_window": entry.card.context_window,
        "max_output_tokens": entry.card.max_output_tokens,
        OURS: True,
    }
