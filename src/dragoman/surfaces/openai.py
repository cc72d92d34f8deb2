"""The paths OpenAI programs call.  https://platform.openai.com/docs/api-reference"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from urllib.parse import unquote

from starlette.routing import BaseRoute, Route

from dragoman.conversation import Object, Request
from dragoman.dialects import anthropic, openai_chat, openai_completions
from dragoman.dialects.reading import take
from dragoman.errors import GatewayError, invalid
from dragoman.models.catalogue import Entry
from dragoman.relay.relay import Relay
from dragoman.surfaces.anthropic import model_list, model_object
from dragoman.surfaces.calls import answer, prepare, stamp
from dragoman.surfaces.exchange import Endpoint, Exchange
from dragoman.surfaces.fanout import answer_all
from dragoman.surfaces.listing import created, visible

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
        request = openai_chat.decode_request(await exchange.json(self._relay.settings.max_body))
        mark = stamp("chatcmpl-", request.model)
        n = request.extra.get("n") or 1
        if n == 1:
            await answer(exchange, self._relay, prepare(exchange, self._relay, request), mark)
            return
        await answer_all(
            exchange,
            self._relay,
            [request] * n,
            mark,
            choice=lambda index: openai_chat.Encoder(request, mark, index, tail=False),
            tail=partial(openai_chat.tail, request, mark),
            merge=openai_chat.merge_replies,
        )

    async def _completions(self, exchange: Exchange) -> None:
        body = await exchange.json(self._relay.settings.max_body)
        requests = _completion_requests(body)
        first = requests[0]
        mark = stamp("cmpl-", first.model)
        if len(requests) == 1:
            await answer(exchange, self._relay, prepare(exchange, self._relay, first), mark)
            return
        await answer_all(
            exchange,
            self._relay,
            requests,
            mark,
            choice=lambda index: openai_completions.Encoder(requests[index], mark, index, tail=False),
            tail=partial(openai_completions.tail, first, mark),
            merge=openai_completions.merge_replies,
        )

    async def _embeddings(self, exchange: Exchange) -> None:
        body = await exchange.json(self._relay.settings.max_body)
        raise no_embeddings(take(body, "model", str) or "this model")

    # --- discovery -------------------------------------------------------------------------------

    async def _models(self, exchange: Exchange) -> None:
        entries = visible(self._relay)
        if exchange.header(b"anthropic-version"):
            exchange.dialect = anthropic
            await exchange.reply(model_list(entries, str(exchange.scope["query_string"], "latin-1")))
            return
        await exchange.reply({"object": "list", "data": [_model_object(entry) for entry in entries]})

    async def _model(self, exchange: Exchange) -> None:
        name = unquote(exchange.scope["path_params"]["id"])
        card = self._relay.catalogue.find(name, self._relay.today())
        if exchange.header(b"anthropic-version"):
            exchange.dialect = anthropic
            await exchange.reply(model_object(name, card))
            return
        if card is None:
            raise GatewayError("model_not_found", f"The model '{name}' does not exist", param="model")
        await exchange.reply(_model_object(Entry(name, card)))


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
        "created": int(created(entry.card).timestamp()),
        "owned_by": entry.card.dialect,
        "context_window": entry.card.context_window,
        "max_output_tokens": entry.card.max_output_tokens,
    }


def no_embeddings(model: str) -> GatewayError:
    """Claude makes no embeddings: what to do instead."""
    return invalid(
        f'"{model}" does not support embeddings: Claude has none. Point the embedding setting of this program at an '
        "Ollama or OpenAI-compatible server that has an embedding model; chat can stay here.",
        "model",
    )
