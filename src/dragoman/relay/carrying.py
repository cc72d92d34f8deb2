"""A call made ready for one model: passed through, or decoded, filled in, fitted and encoded."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from dragoman.config import Settings
from dragoman.conversation import Object, Part, Request, Thinking
from dragoman.dialects import registry
from dragoman.dialects.anthropic import put_in_words
from dragoman.errors import GatewayError, invalid
from dragoman.losses import Losses
from dragoman.models.cards import Card
from dragoman.models.catalogue import Resolution
from dragoman.models.dress import dress
from dragoman.models.estimate import Calibration, Estimate, estimate
from dragoman.models.local import native_num_ctx
from dragoman.models.refusal import Refusals, refused_member, without
from dragoman.models.servers import server_of
from dragoman.models.window import Windows, answer_room, check_room, context_size, put_num_ctx
from dragoman.relay.call import Call, Sent, Way
from dragoman.relay.counting import Absent, Count, count
from dragoman.relay.defaults import apply_override, changes_requests, find_override
from dragoman.relay.documents import Documents
from dragoman.relay.fetching import Fetcher
from dragoman.relay.inlining import inline, needs_inlining
from dragoman.relay.recall import Recall
from dragoman.relay.upstreams import UpstreamServer
from dragoman.translation import Carried, carry

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

# The output limits (tokens) above which an unstreamed call may run past every idle timeout on its way: it is streamed
# upstream and folded here.  The official SDKs of Anthropic draw the line at the same place (ten minutes at 128,000
# tokens an hour).  A local model makes a few tokens a second: what Claude says in a breath takes it minutes.  Servers
# that are merely compatible are asked for what the client asked for.
_LONG_OUTPUT = {"anthropic": 21_333, "ollama": 500}


class Carrier:
    """What it takes to carry calls, and what is learnt from one for the next.  `clock` gives monotonic seconds."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self.apply(settings)
        self.recall = Recall(clock)
        self.calibration = Calibration()
        self.windows = Windows()
        self.documents = Documents(clock=clock)
        self.absent = Absent(clock)
        self.refusals = Refusals()
        self._dialects = registry()

    def apply(self, settings: Settings) -> None:
        """What is configured from now on."""
        self.settings = settings
        self.fetcher = Fetcher(allow_private=settings.fetch_private) if settings.fetch else None

    async def made(self, call: Call, resolution: Resolution) -> Sent:
        """The call as the model of `resolution` is sent it.  Raises `GatewayError` when it cannot be made."""
        way = self._way(call, resolution)
        if way is not None:
            return Sent(
                resolution=resolution, body=way.body(resolution.card.id), losses=Losses(call.client.SPELLING), way=way
            )
        request, card = call.request, resolution.card
        if card.dialect == "anthropic":
            request = self.recall.restore(request)
        wanted = apply_override(request, self.settings.overrides, resolution)
        losses = Losses(call.client.SPELLING)
        return await self._translated(call, wanted, resolution, losses)

    def _way(self, call: Call, resolution: Resolution) -> Way | None:
        """The way through, where the server speaks the client's own dialect and nothing is to be changed.

        The successor of a retired model may refuse what the old one took, and the configuration may fill in what the
        client did not say: both are translated.
        """
        way, card = call.way, resolution.card
        if way is None or way.dialect != card.dialect:
            return None
        if resolution.substituted and card.dialect == "anthropic":
            return None
        override = find_override(self.settings.overrides, resolution.asked, card)
        return None if call.plan.on_refusal or (override is not None and changes_requests(override)) else way

    async def counted(self, call: Call, server: UpstreamServer, resolution: Resolution) -> Count:
        """How many tokens the call's prompt is for this model.  Raises `GatewayError` when it cannot be carried."""
        card, losses = resolution.card, Losses(call.client.SPELLING)
        wanted = apply_override(call.request, self.settings.overrides, resolution)
        _, carried, body = await self._carried(call, wanted, card, losses)
        flavor = server_of(card.flavor) if card.dialect == "openai_chat" else None
        return await count(
            server, flavor, body, carried.request, key=card.key, calibration=self.calibration, absent=self.absent
        )

    async def _carried(
        self, call: Call, wanted: Request, card: Card, losses: Losses
    ) -> tuple[Request, Carried, Object]:
        """The request in words this kind of server understands, as it was fitted, and its body."""
        wanted = await self._in_other_words(call, wanted, card, losses)
        carried = carry(
            wanted,
            call.client,
            self._dialects[card.dialect],
            card,
            losses,
            prompt_cache=self.settings.prompt_cache,
            long_output=_LONG_OUTPUT.get(card.dialect),
        )
        if card.dialect != "openai_chat":
            return wanted, carried, carried.body
        own = call.client.NAME == "openai_chat"
        body = dress(carried.body, server_of(card.flavor), losses, own=own)
        for name in self.refusals.of(card.key):
            if name in body:
                body = _without(body, name, losses)
        return wanted, carried, body

    async def _translated(self, call: Call, wanted: Request, resolution: Resolution, losses: Losses) -> Sent:
        card = resolution.card
        wanted, carried, body = await self._carried(call, wanted, card, losses)
        prompt, tokens, num_ctx = None, 0, 0
        if card.dialect == "ollama" or (card.dialect != "anthropic" and call.client.NAME == "anthropic"):
            prompt = estimate(carried.request)
            tokens = self.calibration.corrected(card.key, prompt.tokens)
        if card.dialect == "ollama" and prompt is not None:
            num_ctx = self._sized(body, carried.request, resolution, prompt=prompt, tokens=tokens, losses=losses)
        if losses.dropped and call.strict:
            told = "; ".join(f"{name}: {why}" for name, why in losses.dropped.items())
            raise invalid(f"strict mode: this cannot be carried to {card.id}: {told}", next(iter(losses.dropped)))
        reasoning = carried.request.reasoning
        thinks = card.thinking.default_on if reasoning is None else reasoning.mode in ("adaptive", "enabled")
        return Sent(
            resolution=resolution,
            body=_encode(body),
            losses=losses,
            wanted=wanted,
            restore=carried.restore,
            streamed=carried.request.stream,
            recalls=card.dialect == "anthropic" and thinks and bool(wanted.tools),
            resumes=card.dialect == "anthropic" != call.client.NAME and any(tool.hosted for tool in wanted.tools),
            estimate=0 if prompt is None else prompt.tokens,
            size=tokens,
            num_ctx=num_ctx,
        )

    async def _in_other_words(self, call: Call, wanted: Request, card: Card, losses: Losses) -> Request:
        """What only one kind of server understands, put so that another does."""
        if card.dialect == "anthropic":
            return wanted
        wanted = put_in_words(wanted, losses, call.version)
        flavor = server_of(card.flavor)
        urls, files = flavor.fetches_images, flavor.files
        if not needs_inlining(wanted, card, fetches_urls=urls, takes_files=files):
            return wanted
        return await inline(
            wanted,
            card,
            losses,
            self.fetcher,
            self.documents,
            fetches_urls=urls,
            takes_files=files,
            limit=self.settings.fetch_max,
        )

    def _sized(
        self, body: Object, request: Request, resolution: Resolution, *, prompt: Estimate, tokens: int, losses: Losses
    ) -> int:
        """The context an Ollama server is asked for, in tokens: enough for the prompt and an answer, and never less
        than the model was given before, which would load it anew."""
        card, settings = resolution.card, self.settings
        override = find_override(settings.overrides, resolution.asked, card)
        thinks = request.reasoning is not None and request.reasoning.enabled is True
        size = context_size(
            tokens + answer_room(request, thinks=thinks),
            limit=card.context_window,
            least=max(settings.num_ctx, native_num_ctx(card), (override and override.num_ctx) or 0),
            most=settings.max_num_ctx,
            held=self.windows.held(card.upstream, card.id),
        )
        # Who speaks Ollama's API knows that a long prompt is cut, and may want it so.
        own = request.origin == "ollama"
        size = put_num_ctx(body, size, whole=not own)
        if not own:
            check_room(prompt, size, losses)
        self.windows.hold(card.upstream, card.id, size)
        return size

    async def followed(self, call: Call, wanted: Request) -> Sent:
        """What the same model is sent when the same call needs another question: `wanted` says how the conversation
        went on.  What cannot be said of our own words is no loss of the client's."""
        return await self._translated(call, wanted, call.sent.resolution, Losses(call.client.SPELLING))

    async def mended(self, call: Call, error: GatewayError) -> Sent:
        """The same call without what `error` refuses.  Raises `error` when the call makes no sense without it."""
        if error.kind == "unverified_thinking":
            return await self._unsealed(call, error)
        sent = call.sent
        if sent.card.dialect != "openai_chat":
            raise error
        body: Object = _decode(sent.body)
        name = refused_member(body, error)
        if name is None or call.strict or name in call.request.extra:
            raise error
        self.refusals.add(sent.key, name)
        return replace(sent, body=_encode(_without(body, name, sent.losses)))

    async def _unsealed(self, call: Call, error: GatewayError) -> Sent:
        """The same call without the thinking that was sent back: the model says it belongs to another conversation.

        It happens when a client rewrites what came before (a clock in the system prompt, another set of tools).
        Strict mode minds only thinking that the client itself sent: what was remembered is no part of its request.
        Raises `error` when there is no such thinking.
        """
        sent = call.sent
        if sent.wanted is None:
            raise error
        messages = [replace(message, content=_unsealed(message.content)) for message in sent.wanted.messages]
        if messages == sent.wanted.messages:
            raise error
        why = "what came before it has changed since the model signed it"
        if any(_unsealed(message.content) != message.content for message in call.request.messages):
            sent.losses.drop("thinking", why)
        wanted = replace(sent.wanted, messages=messages)
        again = await self._translated(call, wanted, sent.resolution, sent.losses)
        sent.losses.drop("thinking", why)
        return again


def _without(body: Object, name: str, losses: Losses) -> Object:
    rest = without(body, name)
    if len(rest) < len(body):
        losses.drop(name, "this model's server refuses it")
    return rest


def _unsealed(content: list[Part]) -> list[Part]:
    return [part for part in content if not (isinstance(part, Thinking) and part.seal is not None)]
