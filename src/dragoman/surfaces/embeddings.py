"""Embeddings: whatever the client speaks, they come from a server that has an embedding model.

A server of the client's own dialect gets the request as it came, and so does the client the answer.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from dragoman.conversation import Object, Usage
from dragoman.dialects.contract import Stamp
from dragoman.dialects.embeddings import EmbedReply, EmbedRequest
from dragoman.dialects.ollama import embedding as ollama_wire
from dragoman.dialects.openai_chat import embedding as openai_wire
from dragoman.errors import GatewayError, invalid
from dragoman.losses import Losses
from dragoman.models.catalogue import Resolution
from dragoman.models.cost import cost
from dragoman.models.derived import Derived
from dragoman.relay.call import Plan
from dragoman.relay.defaults import put_vector_options, vector_options
from dragoman.relay.passthrough import peek, with_model, with_name
from dragoman.relay.relay import Relay
from dragoman.relay.rounds import UnfitError
from dragoman.relay.strictness import check_losses, without_successors
from dragoman.relay.upstreams import UpstreamServer
from dragoman.surfaces.account import Embedding, cost_header
from dragoman.surfaces.calls import is_strict, stamp, who_answers
from dragoman.surfaces.exchange import Exchange, Header, ascii_list, parse_object
from dragoman.surfaces.passing import Whole, passed

_encode = msgspec.json.Encoder().encode

# How servers are asked: their wire, and its path.
_SERVERS = {
    "ollama": (ollama_wire, "/api/embed"),
    "openai_chat": (openai_wire, "/v1/embeddings"),
    "openai_responses": (openai_wire, "/v1/embeddings"),
}


class Wire(Struct, frozen=True):
    """How a client asks: its dialect, the path where a server of that dialect takes the same bytes, and its words."""

    dialect: str
    path: str
    decode: Callable[[Object], EmbedRequest]
    encode: Callable[[EmbedReply, EmbedRequest, Stamp], Object]


OLLAMA = Wire("ollama", "/api/embed", ollama_wire.decode_request, ollama_wire.encode_reply)
OLLAMA_LEGACY = Wire("ollama", "/api/embeddings", ollama_wire.decode_legacy, ollama_wire.encode_legacy)
OPENAI = Wire("openai_chat", "/v1/embeddings", openai_wire.decode_request, openai_wire.encode_reply)


class _Made(Struct):
    """An answer in the client's form."""

    document: Object
    usage: Usage


async def embed(exchange: Exchange, relay: Relay, wire: Wire) -> None:
    """Answer one request for vectors.  Raises `GatewayError`."""
    body = await exchange.body(relay.settings.max_body)
    name = peek(body).model or wire.decode(parse_object(body)).model
    plan = await _planned(relay, wire, name)
    if is_strict(exchange, relay):
        plan = without_successors(plan)
    await exchange.watched(_embed(exchange, relay, wire, body, _able(plan, name, relay)))


async def _planned(relay: Relay, wire: Wire, name: str) -> Plan:
    """Who may answer.  Ollama has words of its own here for a model that is not there."""
    try:
        return await relay.plan(name)
    except GatewayError as error:
        if wire.dialect == "ollama" and error.message == f"model '{name}' not found":
            words = f'model "{name}" not found, try pulling it first'
            raise GatewayError("model_not_found", words, param="model") from None
        raise


async def _embed(exchange: Exchange, relay: Relay, wire: Wire, body: bytes, plan: Plan) -> None:
    mark = stamp("", plan.candidates[0].asked)
    strict = is_strict(exchange, relay)
    losses = Losses()
    answered: list[Resolution] = []

    async def once(server: UpstreamServer, resolution: Resolution) -> Whole | _Made:
        nonlocal losses
        answered[:], losses = [resolution], Losses()
        if wire.dialect == server.dialect.NAME:
            whole = await passed(exchange, server, wire.path, _same(body, resolution, wire.dialect, losses))
            named = wire is OLLAMA and resolution.derived is not None
            return replace(whole, body=with_model(whole.body, mark.model)) if named else whole
        request = wire.decode(parse_object(body))
        request = replace(request, model=resolution.card.id)
        return await _translated(server, request, wire, mark, losses, derived=resolution.derived, strict=strict)

    exchange.report = lambda: _report(answered[0], losses) if answered else []
    # Who speaks the server's own dialect has its own way of trying again.
    own = len(plan.candidates) == 1 and plan.candidates[0].card.dialect == wire.dialect
    account = Embedding(exchange, mark.model, mark.started)
    try:
        got = await relay.tried(plan, once, again=not own)
    except BaseException as error:
        account.close((answered or plan.candidates)[0], None, losses, error)
        raise
    card = answered[0].card
    relay.tally.add(card.upstream, card.id, got.usage, cost=None if got.usage is None else cost(got.usage, card))
    account.close(answered[0], got.usage, losses)
    exchange.extra += cost_header(got.usage, card)
    if isinstance(got, Whole):
        await exchange.relay(200, got.headers, got.body)
    else:
        await exchange.reply(got.document)


def _same(body: bytes, resolution: Resolution, dialect: str, losses: Losses) -> bytes:
    """The client's bytes for the model that answers, with what a derived one gives."""
    if not vector_options(resolution.derived):
        return (with_name if dialect == "ollama" else with_model)(body, resolution.card.id)
    document = parse_object(body) | {"model": resolution.card.id}
    return _encode(put_vector_options(document, resolution.derived, dialect, losses))


async def _translated(
    server: UpstreamServer,
    request: EmbedRequest,
    wire: Wire,
    mark: Stamp,
    losses: Losses,
    *,
    derived: Derived | None,
    strict: bool,
) -> _Made:
    if not request.input:  # a client of Ollama's wants the model loaded, and others have no such thing
        return _Made(wire.encode(EmbedReply(vectors=[]), request, mark), Usage())
    theirs, path = _SERVERS[server.dialect.NAME]
    try:
        document = theirs.encode_request(request, losses)
        if strict:
            check_losses(losses, request.model)
        body = _encode(put_vector_options(document, derived, server.dialect.NAME, losses))
    except GatewayError as error:
        raise UnfitError(error) from None
    connection = await server.forward("POST", path, {}, body)
    try:
        if connection.status >= 400:
            raise await server.refusal(connection)
        data = await server.whole(connection)
    finally:
        server.release(connection)
    reply = theirs.decode_reply(data, request)
    return _Made(wire.encode(reply, request, mark), Usage(input=reply.tokens))


def _able(plan: Plan, name: str, relay: Relay) -> Plan:
    """The plan without models that make no embeddings.  Raises `GatewayError` when nobody is left."""
    able = tuple(it for it in plan.candidates if it.card.dialect in _SERVERS and not _only_talks(it))
    if able:
        return Plan(able)
    raise no_embeddings(name, relay)


def _only_talks(resolution: Resolution) -> bool:
    """Whether the server says so of the model; nobody knows what an unlisted one does."""
    card = resolution.card
    return bool(card.native) and card.dialect == "ollama" and card.completion and not card.embedding


def no_embeddings(model: str, relay: Relay) -> GatewayError:
    """This model makes no embeddings: which do, or what to do where there is none."""
    entries = relay.catalogue.entries(relay.today())
    others = ", ".join(entry.name for entry in entries if entry.card.embedding)
    if others:
        return invalid(f'"{model}" does not support embeddings; these models do: {others}', "model")
    return invalid(
        f'"{model}" does not support embeddings: Claude has none. Give this gateway an Ollama or OpenAI-compatible '
        "upstream that has an embedding model, or point the embedding setting of this program at one; chat can stay "
        "here.",
        "model",
    )


def _report(resolution: Resolution, losses: Losses) -> list[Header]:
    headers = who_answers(resolution)
    if losses.dropped:
        headers.append((b"x-dragoman-dropped", ascii_list(losses.dropped)))
    return headers
