"""A call made ready for one model: passed through, or decoded, filled in, fitted and encoded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from dragoman.config import Settings
from dragoman.conversation import Object, Part, Reasoning, Request
from dragoman.dialects import registry
from dragoman.dialects.anthropic import put_in_words
from dragoman.dialects.telling import heard
from dragoman.errors import GatewayError
from dragoman.losses import Losses
from dragoman.models.attachments import check_body
from dragoman.models.cards import Card
from dragoman.models.catalogue import Resolution
from dragoman.models.dress import dress
from dragoman.models.estimate import Calibration, Estimate, estimate
from dragoman.models.local import native_num_ctx
from dragoman.models.refusal import Refusals
from dragoman.models.repair import report_unchecked
from dragoman.models.servers import server_of
from dragoman.models.textcount import TextCounts
from dragoman.models.window import Windows, answer_room, check_room, context_size, put_num_ctx
from dragoman.relay.call import Call, Sent, Way
from dragoman.relay.counting import Absent, Count, count, count_there
from dragoman.relay.defaults import (
    changes_requests,
    filled,
    given_num_ctx,
    override_of,
    put_options,
    report_unused,
)
from dragoman.relay.documents import Documents
from dragoman.relay.fetching import Fetcher
from dragoman.relay.inlining import inline, needs_inlining, wants_scaling
from dragoman.relay.mending import Mender
from dragoman.relay.recall import Recall, Recalled
from dragoman.relay.scaling import Scaler
from dragoman.relay.strictness import check_losses, filled_in
from dragoman.relay.upstreams import UpstreamServer
from dragoman.store import shelf_of
from dragoman.store.patient import Patient
from dragoman.translation import Carried, carry

_encode = msgspec.json.Encoder().encode

# The dialects whose servers sign what a model thought, and want it back with the results of its calls.
_PROVING = frozenset({"anthropic", "openai_responses"})

# The output limits (tokens) above which an unstreamed call may run past every idle timeout on its way: it is streamed
# upstream and folded here.  The official SDKs of Anthropic draw the line at the same place (ten minutes at 128,000
# tokens an hour).  A local model makes a few tokens a second: what Claude says in a breath takes it minutes.  Servers
# that are merely compatible are asked for what the client asked for.
_LONG_OUTPUT = {"anthropic": 21_333, "ollama": 500}


class Carrier:
    """What it takes to carry calls, and what is learnt from one for the next.  `clock` gives monotonic seconds."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self.apply(settings)
        self.recall = Recall(clock, Patient(shelf_of(settings.store.reveal()), clock) if settings.store else None)
        self.calibration = Calibration()
        self.texts = TextCounts()
        self.windows = Windows()
        self.documents = Documents(clock=clock)
        self.scaler = Scaler(clock=clock)
        self.absent = Absent(clock)
        self.refusals = Refusals()
        self._mender = Mender(self.refusals, self._translated)
        self._dialects = registry()

    def apply(self, settings: Settings) -> None:
        """What is configured from now on."""
        self.settings = settings
        self.fetcher = Fetcher(allow_private=settings.fetch_private) if settings.fetch else None

    async def made(self, call: Call, resolution: Resolution) -> Sent:
        """The call as the model of `resolution` is sent it.  Raises `GatewayError` when it cannot be made."""
        way = self._way(call, resolution)
        if way is not None:
            losses = Losses(call.client.SPELLING)
            for name, why in way.lost.items():
                losses.drop(name, why)
            if call.strict:
                check_losses(losses, resolution.card.id)
            return Sent(resolution=resolution, body=way.body(resolution.card.id), losses=losses, way=way)
        recalled = Recalled(call.request)
        if resolution.card.dialect in _PROVING:
            recalled = await self.recall.restore(call.request, resolution.card.dialect)
        losses = Losses(call.client.SPELLING)
        wanted = filled(recalled.request, self.settings.overrides, resolution, losses)
        sent = await self._mender.knowing(call, wanted, resolution, losses)
        if (
            recalled.forgotten
            and sent.recalls
            and call.client.NAME != "anthropic"
            and _surely(call.request, resolution)
        ):
            # Nothing that the client sent is lost: strict mode does not mind.
            losses.drop("thinking", "the reasoning before these tool calls is not remembered")
        report_unused(resolution.derived, resolution.card.dialect, losses)
        return replace(sent, recalled=recalled.last) if recalled.last else sent

    def remember(self, call: Call, content: list[Part]) -> asyncio.Task[None] | None:
        """Keep what the model said, as far as its client cannot send it again: see `Recall.remember`."""
        return self.recall.remember(call.request, content, heard(content, call.request), call.sent.recalled)

    def _way(self, call: Call, resolution: Resolution) -> Way | None:
        """The way through, where the server speaks the client's own dialect and nothing is to be changed.

        The successor of a retired model may refuse what the old one took, and the configuration may fill in what the
        client did not say: both are translated.
        """
        way, card = call.way, resolution.card
        if way is None or not way.leads_to(card):
            return None
        if resolution.substituted and card.dialect == "anthropic":
            return None
        if resolution.derived is not None and resolution.derived.changes:
            return None
        if self.settings.scale_images and _is_shown(call, card):
            return None
        override = override_of(self.settings.overrides, resolution)
        return None if call.plan.on_refusal or (override is not None and changes_requests(override)) else way

    async def counted(self, call: Call, server: UpstreamServer, resolution: Resolution) -> Count:
        """How many tokens the call's prompt is for this model.  Raises `GatewayError` when it cannot be carried."""
        card, losses = resolution.card, Losses(call.client.SPELLING)
        wanted = filled(call.request, self.settings.overrides, resolution, losses)
        wanted = replace(wanted, messages=self._mender.known(card.key, wanted.messages))
        _, carried, body = await self._carried(call, wanted, card, losses)
        if call.strict:
            check_losses(losses, card.id, ours=filled_in(call.request, wanted, call.client.SPELLING))
        if card.dialect == "anthropic":
            return await count_there(server, body)
        flavor = server_of(card.flavor) if card.dialect == "openai_chat" else None
        return await count(
            server,
            flavor,
            body,
            carried.request,
            key=card.key,
            calibration=self.calibration,
            absent=self.absent,
            texts=self.texts,
        )

    async def _carried(
        self, call: Call, wanted: Request, card: Card, losses: Losses
    ) -> tuple[Request, Carried, Object]:
        """The request in words this kind of server understands, as it was fitted, and its body."""
        try:
            return await self._put(call, wanted, card, losses)
        except GatewayError as error:
            raise _placed(error, losses) from None

    async def _put(self, call: Call, wanted: Request, card: Card, losses: Losses) -> tuple[Request, Carried, Object]:
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
        return wanted, carried, self._mender.spared(body, card.key, losses)

    async def _translated(self, call: Call, wanted: Request, resolution: Resolution, losses: Losses) -> Sent:
        card = resolution.card
        wanted, carried, body = await self._carried(call, wanted, card, losses)
        body = put_options(body, resolution.derived, card.dialect)
        if self.settings.structured_output != "off":
            report_unchecked(call.request, card.dialect, losses)
        prompt, tokens, num_ctx = None, 0, 0
        if card.dialect == "ollama" or (card.dialect != "anthropic" and call.client.NAME == "anthropic"):
            prompt = estimate(carried.request, self.texts)
            tokens = self.calibration.corrected(card.key, prompt.tokens)
        if card.dialect == "ollama" and prompt is not None:
            num_ctx = self._sized(body, carried.request, resolution, prompt=prompt, tokens=tokens, losses=losses)
        if call.strict:
            ours = filled_in(call.request, wanted, call.client.SPELLING)
            check_losses(losses, card.id, ours=ours)
        reasoning = carried.request.reasoning
        thinks = _thinks(reasoning, card)
        hosted = any(tool.hosted for tool in carried.request.tools)
        betas = self._mender.betas(call, card, body) if card.dialect == "anthropic" else ""
        written = _encode(body)
        check_body(len(written), call.request, card)
        return Sent(
            resolution=resolution,
            body=written,
            losses=losses,
            betas=betas,
            wanted=wanted,
            restore=carried.restore,
            streamed=carried.request.stream,
            recalls=card.dialect in _PROVING and (hosted or (thinks and bool(wanted.tools))),
            resumes=card.dialect == "anthropic" != call.client.NAME and hosted,
            estimate=0 if prompt is None else prompt.tokens,
            size=tokens,
            num_ctx=num_ctx,
        )

    async def _in_other_words(self, call: Call, wanted: Request, card: Card, losses: Losses) -> Request:
        """What only one kind of server understands, put so that another does."""
        if card.dialect != "anthropic":
            wanted = put_in_words(wanted, losses, call.version)
        flavor = server_of(card.flavor)
        urls, files, scales = flavor.fetches_images, flavor.files and card.pdf_input, self.settings.scale_images
        if not needs_inlining(wanted, card, fetches_urls=urls, takes_files=files, scales=scales):
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
            scaler=self.scaler if scales else None,
        )

    def _sized(
        self, body: Object, request: Request, resolution: Resolution, *, prompt: Estimate, tokens: int, losses: Losses
    ) -> int:
        """The context an Ollama server is asked for, in tokens: enough for the prompt and an answer, and never less
        than the model was given before, which would load it anew."""
        card, settings = resolution.card, self.settings
        override = override_of(settings.overrides, resolution)
        thinks = request.reasoning is not None and request.reasoning.enabled is True
        size = context_size(
            tokens + answer_room(request, thinks=thinks),
            limit=card.context_window,
            least=max(
                settings.num_ctx,
                native_num_ctx(card),
                given_num_ctx(resolution.derived),
                (override and override.num_ctx) or 0,
            ),
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
        return await self._mender.mended(call, error)


def _surely(request: Request, resolution: Resolution) -> bool:
    """Whether the turns before were thought about: an OpenAI model may be one that never thinks."""
    return resolution.card.dialect == "anthropic" or (request.reasoning is not None and bool(request.reasoning.enabled))


def _thinks(reasoning: Reasoning | None, card: Card) -> bool:
    """Whether the model may think before it answers.  Of OpenAI's no list says it."""
    if card.dialect == "anthropic":
        return card.thinking.default_on if reasoning is None else reasoning.mode in ("adaptive", "enabled")
    return reasoning is None or reasoning.enabled is not False


def _is_shown(call: Call, card: Card) -> bool:
    """Whether there is a picture in the call that is to be scaled for the model."""
    try:
        return wants_scaling(call.request, card)
    except GatewayError:
        return False  # its own server says what is wrong


def _placed(error: GatewayError, losses: Losses) -> GatewayError:
    """`error` about the place where the client wrote what is wrong, which may have moved since."""
    if error.param and (place := losses.place(error.param)) != error.param:
        error.message, error.param = error.message.replace(error.param, place), place
    return error
