"""Models made, copied, removed and fetched, as the `ollama` command does it.  https://docs.ollama.com/api

Made here are derived models (`models/derived.py`).  What only a server with the weights can do is its own business,
where clients may ask for it (`managed.py`).  Where not, a program that pulls a model it can call is told that all is
well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec
from msgspec.structs import replace
from starlette.routing import BaseRoute, Route

from dragoman.conversation import Object
from dragoman.dialects import ollama, openai_chat
from dragoman.dialects.ollama.creation import Creation, decode_create
from dragoman.dialects.ollama.names import parse_name
from dragoman.dialects.reading import take
from dragoman.errors import GatewayError, invalid
from dragoman.losses import Losses
from dragoman.models.catalogue import Entry
from dragoman.models.derived import Derived, Spec, derive
from dragoman.models.sources import normal
from dragoman.relay.derivations import MOST_BYTES
from dragoman.relay.relay import Relay
from dragoman.relay.upstreams import UpstreamServer
from dragoman.store.durable import owner_of
from dragoman.surfaces.calls import Handler
from dragoman.surfaces.exchange import JSON_TYPE, Endpoint, Exchange, ascii_list
from dragoman.surfaces.listing import digest, entry_of, template
from dragoman.surfaces.managed import Managed
from dragoman.surfaces.owner import owner_in
from dragoman.surfaces.peers import PEER, household

_encode = msgspec.json.Encoder().encode

_NO_SUCH = "pull model manifest: file does not exist"
_PULLED = ("pulling manifest", "verifying sha256 digest", "writing manifest", "success")


class Management:
    """The paths, and what they do to the derived models."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._managed = Managed(relay)

    def routes(self) -> list[BaseRoute]:
        table: list[tuple[str, str, Handler]] = [
            ("/api/create", "POST", self._create),
            ("/api/copy", "POST", self._copy),
            ("/api/delete", "DELETE", self._delete),
            ("/api/pull", "POST", self._pull),
            ("/api/push", "POST", self._push),
            ("/api/blobs/{digest:path}", "POST", self._managed.blob),
            ("/api/blobs/{digest:path}", "HEAD", self._managed.blob),
        ]
        routes: list[BaseRoute] = [
            Route(path, Endpoint(ollama, handle), methods=[verb]) for path, verb, handle in table
        ]
        forget = Endpoint(openai_chat, self._forget)
        return [*routes, *(Route(f"{prefix}/models/{{id:path}}", forget, methods=["DELETE"]) for prefix in ("/v1", ""))]

    # --- made here -------------------------------------------------------------------------------

    async def _create(self, exchange: Exchange) -> None:
        body = await exchange.json(self._relay.settings.max_body)
        creation = decode_create(dict(body), MOST_BYTES)
        if parse_name(creation.model) is None:
            raise invalid("invalid model name", "model")
        if not creation.base and not creation.server:
            raise invalid("neither 'from' or 'files' was specified")
        base = await self._base(creation.base) if creation.base else None
        if creation.server or (base is None and self._managed.allowed):
            await self._create_there(exchange, body, creation, base)
            return
        name = self._free(creation.model, "invalid model name")
        if base is None:
            raise GatewayError("not_found", f"{_NO_SUCH} ('{creation.base}' is not a model of this gateway)")
        losses = Losses()
        spec = replace(spec_of(name, creation, base, losses), maker=self._maker(exchange))
        await self._relay.derived.put(spec)
        if losses.dropped:
            exchange.extra.append((b"x-dragoman-dropped", ascii_list(losses.dropped)))
        told = [f"{member} is not used: {why}" for member, why in losses.dropped.items()]
        await _tell(exchange, [*told, *_layers(spec, base), "writing manifest", "success"], streamed=creation.stream)

    async def _create_there(self, exchange: Exchange, body: Object, creation: Creation, base: Entry | None) -> None:
        """Where the weights are: that of files, or of a model that is to be quantized or fetched."""
        server = self._managed.need(f"creating a model with `{creation.server or 'from'}`")
        if creation.base and base is None:
            self._managed.check_host(creation.base, "from")
        if body.get("remote_host"):
            raise GatewayError("permission", "remote_host: no model is made here that another server answers for")
        there = await self._base(creation.model)
        if there is not None and (there.derived is not None or there.card.dialect != "ollama"):
            raise _taken(creation.model)
        if base is not None:
            if base.derived is not None or base.card.dialect != "ollama":
                raise invalid(
                    f"`{creation.server}` needs a model of an Ollama server, and '{base.name}' is none", "from"
                )
            server = self._relay.server(base.card.upstream)
            body = {**body, "from": base.card.id}
        await self._managed.progress(exchange, server, "/api/create", body, streamed=creation.stream)

    async def _copy(self, exchange: Exchange) -> None:
        body = await exchange.json(self._relay.settings.max_body)
        source, destination = take(body, "source", str) or "", take(body, "destination", str) or ""
        if parse_name(source) is None and self._relay.catalogue.find(source, self._relay.today()) is None:
            raise invalid(f'source "{source}" is invalid', "source")
        name = self._free(destination, f'destination "{destination}" is invalid')
        base = await self._base(source)
        if base is None:
            raise GatewayError("model_not_found", f'model "{source}" not found', param="source")
        if (server := self._server_of(base)) is not None:
            there = {"source": base.card.id, "destination": name}
            await self._managed.done(exchange, server, "POST", "/api/copy", there)
            return
        if base.derived is not None:
            spec = replace(base.derived.spec, name=name)
        else:
            spec = Spec(name=name, base=base.name, parent=_spelled(base.name))
        await self._relay.derived.put(replace(spec, maker=self._maker(exchange)))
        await _empty(exchange)

    async def _delete(self, exchange: Exchange) -> None:
        await self._remove(exchange, named(await exchange.json(self._relay.settings.max_body)))

    async def _forget(self, exchange: Exchange) -> None:
        """The same by OpenAI's API, for what was made here.

        https://platform.openai.com/docs/api-reference/models/delete
        """
        name = str(exchange.scope["path_params"]["id"])
        derived = self._derived(name)
        if derived is not None and await self._relay.derived.remove(derived.spec.name):
            await exchange.reply({"id": name, "object": "model", "deleted": True})
        elif await self._base(name) is not None:
            raise GatewayError("permission", f"'{name}' stays: only what was created or copied here can be removed")
        else:
            raise GatewayError("model_not_found", f"The model '{name}' does not exist", param="model")

    async def _remove(self, exchange: Exchange, name: str) -> None:
        entry = await self._base(name)
        derived = self._derived(name)
        if derived is not None and await self._relay.derived.remove(derived.spec.name):
            await _empty(exchange)
            return
        if entry is not None and derived is None:
            server = self._server_of(entry)
            if server is None:
                raise GatewayError("permission", f"'{name}' stays: only what was created or copied here can be removed")
            await self._managed.done(exchange, server, "DELETE", "/api/delete", {"model": entry.card.id})
            return
        if parse_name(name) is None:
            raise invalid(f'name "{name}" is invalid', "model")
        raise GatewayError("model_not_found", f"model '{name}' not found", param="model")

    def _maker(self, exchange: Exchange) -> str:
        """Whose share of the derived models it is: the key's, or, where nobody needs one, the household's."""
        if self._relay.settings.api_keys:
            return owner_in(exchange, self._relay.settings)
        return owner_of(f"household {household(exchange.scope.get(PEER, ''))}")

    def _derived(self, name: str) -> Derived | None:
        """The derived model of this very name, whether its base is there or not."""
        key = normal(_spelled(name))
        found = self._relay.catalogue.derived_of(key)
        return found if found is not None and found.key == key else None

    async def _base(self, name: str) -> Entry | None:
        """What a model can be made from: with a name of its own, or one that only an Ollama program would write."""
        entry = await entry_of(self._relay, name)
        if entry is None and (spelled := parse_name(name)) is not None and spelled.shortest != name:
            entry = await entry_of(self._relay, spelled.shortest)
        return entry

    def _free(self, text: str, complaint: str) -> str:
        """The name of a derived model as it is kept.  Raises `GatewayError` for one that none can have."""
        name = parse_name(text)
        if name is None:
            raise invalid(complaint)
        if self._relay.catalogue.takes(name.shortest):
            raise _taken(text)
        known = self._relay.catalogue.derived_of(name.shortest)
        return name.shortest if known is None else known.spec.name

    # --- not made here ---------------------------------------------------------------------------

    async def _pull(self, exchange: Exchange) -> None:
        body = await exchange.json(self._relay.settings.max_body)
        if not (body.get("model") or body.get("name")):
            raise invalid("invalid model name", "model")
        name = named(dict(body))
        entry = await self._base(name)
        streamed = body.get("stream") is not False
        if entry is None and (derived := self._derived(name)) is not None:
            raise GatewayError("not_found", f"{_NO_SUCH} ('{name}' is made from '{derived.spec.base}')")
        server = self._managed.need("pulling models") if entry is None and self._managed.allowed else None
        server = server or (self._server_of(entry) if entry else None)
        if server is not None:
            if entry is None:
                self._managed.check_host(name, "model")
            there = {**body, "model": entry.card.id if entry else name, "name": None}
            await self._managed.progress(exchange, server, "/api/pull", there, streamed=streamed)
            return
        if entry is None:
            raise GatewayError("not_found", _NO_SUCH)
        await _tell(exchange, _PULLED, streamed=streamed)

    async def _push(self, exchange: Exchange) -> None:
        body = await exchange.json(self._relay.settings.max_body)
        name = named(dict(body))
        server = self._managed.need("pushing models")
        entry = await self._base(name)
        if entry is not None:
            own = self._server_of(entry)
            if own is None:
                raise invalid(f"'{name}' cannot be pushed: no Ollama server has it", "model")
            server, name = own, entry.card.id
        self._managed.check_host(name, "model")
        there = {**body, "model": name, "name": None}
        await self._managed.progress(exchange, server, "/api/push", there, streamed=body.get("stream") is not False)

    def _server_of(self, entry: Entry) -> UpstreamServer | None:
        """The server that has the model itself, where clients may manage its models."""
        if entry.derived is not None or entry.card.dialect != "ollama" or not self._managed.allowed:
            return None
        return self._relay.server(entry.card.upstream)


def spec_of(name: str, creation: Creation, base: Entry, losses: Losses) -> Spec:
    """What is kept of a model made from `base`.  What has no effect, or is not kept, goes to `losses`."""
    for member in creation.rest:
        losses.drop(member, "this gateway does not know it")
    own = "" if creation.template == template(base.card) else creation.template
    spec = Spec(
        name=name,
        base=base.name,
        parent=_spelled(base.name),
        system=creation.system,
        template=own,
        parameters=creation.parameters,
        messages=creation.messages,
        license=creation.license,
        kept=creation.kept,
    )
    whole = derive(spec, None if base.derived is None else base.derived.spec)
    for member in whole.unused:
        losses.drop(member, "it is kept and shown, but calls are not answered with it")
    return whole


def named(body: Object) -> str:
    """The model a request names: `model`, or `name` as older clients say."""
    name = take(body, "model", str) or take(body, "name", str)
    if not name:
        raise invalid("model is required", "model")
    return name


def _spelled(name: str) -> str:
    """As Ollama writes it, where it can be written so."""
    spelled = parse_name(name)
    return name if spelled is None else spelled.shortest


def _layers(spec: Spec, base: Entry) -> Iterable[str]:
    """What Ollama says of each part of a model it makes."""
    yield f"using existing layer sha256:{digest(base)}"
    for member in ("template", "system", "license", "parameters", "messages"):
        if value := getattr(spec, member):
            yield f"creating new layer sha256:{hashlib.sha256(_encode(value)).hexdigest()}"


def _taken(name: str) -> GatewayError:
    return GatewayError("conflict", f"'{name}' is a model of this gateway already: choose another name")


async def _tell(exchange: Exchange, steps: Iterable[str], *, streamed: bool) -> None:
    """Progress, as its last word alone or as all of its lines."""
    lines = [_encode({"status": step}) for step in steps]
    if streamed:
        await exchange.reply_bytes(b"".join(line + b"\n" for line in lines), ollama.STREAM_TYPE.encode())
    else:
        await exchange.reply_bytes(lines[-1], JSON_TYPE)


async def _empty(exchange: Exchange) -> None:
    """A success that has nothing to say."""
    await exchange.relay(200, [], b"")
