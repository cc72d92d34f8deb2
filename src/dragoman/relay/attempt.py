"""One attempt at one model: sent, mended where the server refuses a part of it, and answered to its end.

An answer may need more than one question: a turn that was paused is taken up again, and JSON that misses its schema is
asked for once more.  The client sees one answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec
from msgspec.structs import replace

from dragoman.conversation import Message, Part, Reply, Request, Start
from dragoman.errors import GatewayError
from dragoman.folding import Fold, added, unfold
from dragoman.models.catalogue import Resolution
from dragoman.models.repair import (
    check_stream,
    is_excused,
    needs_check,
    repair_request,
    reply_complaint,
    report_unmet,
    unmet,
)
from dragoman.relay.call import Answer, Call, Passage, Sent, Way
from dragoman.relay.carrying import Carrier
from dragoman.relay.http1 import Connection
from dragoman.relay.passthrough import begin, peek
from dragoman.relay.resuming import ROUNDS, Resuming
from dragoman.relay.rounds import UnfitError
from dragoman.relay.sparing import mended, spared
from dragoman.relay.stream import Stream, folded
from dragoman.relay.upstreams import UpstreamServer
from dragoman.relay.usage_tap import tap_for
from dragoman.store.patient import soon

_decode = msgspec.json.Decoder().decode

# How often a call is sent again without something that the server refused.
_MENDS = 3

# The content types of answers that come piece by piece.
_STREAMED = frozenset({"text/event-stream", "application/x-ndjson"})


class Attempts:
    """Asks one server once, with what `carrier` makes of the call."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier

    async def go(self, call: Call, server: UpstreamServer, resolution: Resolution) -> Answer:
        """The answer of this model.  Raises `UnfitError` when it cannot be asked, `GatewayError` when it fails."""
        if call.sent.resolution is not resolution:
            try:
                call.sent = await self._carrier.made(call, resolution)
            except GatewayError as error:
                raise UnfitError(error) from None
        return await self._mended(call, server)

    async def _mended(self, call: Call, server: UpstreamServer) -> Answer:
        """Once more without what the server refused, where the call makes sense without it."""
        refusals = self._carrier.refusals
        call.sent = spared(call, refusals)
        for _ in range(_MENDS):
            try:
                return await self._once(call, server)
            except GatewayError as error:
                if call.sent.way is not None or error.kind == "format_unmet":
                    raise
                call.sent = mended(call, error, refusals) or await self._carrier.mended(call, error)
        return await self._once(call, server)

    async def _once(self, call: Call, server: UpstreamServer) -> Answer:
        sent = call.sent
        if sent.way is not None:
            return await self._passed(call, server, sent, sent.way)
        if call.request.stream:
            return await self._stream(call, server, sent)
        first = await self._resumed(call, server, await _reply_once(server, sent))
        reply = await self._checked(call, server, first)
        for place, why in reply.dropped.items():
            sent.losses.drop(place, why)
        # A mended answer was signed after words that its client will never send.
        if sent.recalls and reply is first and (task := self._carrier.remember(call, reply.content)) is not None:
            await soon(task)
        return reply

    # --- more than one question ------------------------------------------------------------------

    async def _resumed(self, call: Call, server: UpstreamServer, reply: Reply) -> Reply:
        """The whole turn, where the model paused in it.  Who speaks Anthropic's dialect goes on by itself."""
        for _ in range(ROUNDS):
            if reply.reason != "pause" or not call.sent.resumes:
                break
            more = await _reply_once(server, await self._going_on(call, reply.content))
            reply = replace(
                more,
                content=[*reply.content, *more.content],
                usage=added(reply.usage, more.usage),
                began=reply.began,
                spoke=reply.spoke,
                dropped={**more.dropped, **reply.dropped},
            )
        return reply

    async def _going_on(self, call: Call, content: Sequence[Part]) -> Sent:
        """The call once more, with what the model has said so far."""
        wanted = _wanted(call)
        said = Message(role="assistant", content=list(content))
        return await self._carrier.followed(call, replace(wanted, messages=[*wanted.messages, said]))

    async def _checked(self, call: Call, server: UpstreamServer, reply: Reply) -> Reply:
        """An answer that is what the client's format asks for, mended once if need be.  Raises `GatewayError`."""
        request, policy = call.request, self._carrier.settings.structured_output
        why = _complaint(request, reply) if policy != "off" else None
        if why is None:
            return reply
        if policy == "repair":
            again = await self._carrier.followed(call, repair_request(_wanted(call), reply, why))
            mended = await _reply_once(server, again)
            usage = added(reply.usage, mended.usage)
            reply = replace(mended, usage=usage, began=reply.began, spoke=reply.spoke, dropped=reply.dropped)
            if (why := _complaint(request, reply)) is None:
                return reply
        if not is_excused(request):
            raise unmet(why, repaired=policy == "repair")
        report_unmet(why, call.losses)
        return reply

    # --- the ways an answer comes ----------------------------------------------------------------

    async def _passed(self, call: Call, server: UpstreamServer, sent: Sent, way: Way) -> Passage:
        """The client's own bytes, sent.  The answer has begun as one, or is a refusal that nobody could take over."""
        connection = await server.forward("POST", way.path, way.headers, sent.body)
        refused: bytes | None = None
        if connection.status in (400, 422) and way.instead is not None:
            connection, refused = await _forwarded_again(server, connection, way, sent)
        streamed = _is_streamed(connection, way, sent.body)
        passage = Passage(server, connection, tap_for(way.dialect, streamed), streamed, body=refused, wire=way.dialect)
        alone = len(call.plan.candidates) == 1 and not call.plan.on_context
        if connection.status < 400 or not alone:
            await begin(passage, words=not alone)
        return passage

    async def _stream(self, call: Call, server: UpstreamServer, sent: Sent) -> Stream:
        stream = await _begun(server, sent, words=bool(call.plan.on_refusal) or len(call.plan.candidates) > 1)
        try:
            if sent.recalls or sent.resumes:
                stream.fold = Fold(sent.card.dialect)
            if sent.recalls:
                stream.keep = partial(self._carrier.remember, call)
            if sent.resumes:
                stream.resuming = Resuming(stream, lambda content: self._next(call, server, content))
            if self._carrier.settings.structured_output != "off":
                stream.check = check_stream(call.request, sent.card.dialect)
            stream.first = stream.seen(stream.first)
        except BaseException:
            server.release(stream.connection)
            raise
        for event in stream.first:
            if isinstance(event, Start):
                for place, why in (event.dropped or {}).items():
                    sent.losses.drop(place, why)
        return stream

    async def _next(self, call: Call, server: UpstreamServer, content: Sequence[Part]) -> Stream:
        """The stream in which the model goes on with what it had begun to say."""
        return await _begun(server, await self._going_on(call, content))


def _is_streamed(connection: Connection, way: Way, body: bytes) -> bool:
    """Whether the answer comes piece by piece: as its type says, or, where that is neither a stream's nor JSON's, as it
    was asked for."""
    kind = connection.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in _STREAMED or kind == "application/json":
        return kind in _STREAMED
    asked = peek(body).stream
    return asked if asked is not None else way.dialect == "ollama"


async def _forwarded_again(
    server: UpstreamServer, connection: Connection, way: Way, sent: Sent
) -> tuple[Connection, bytes | None]:
    """The answer to what is sent instead, or the refusal, whose body was read."""
    try:
        data = await server.whole(connection)
        body = way.instead(sent.card, data) if way.instead is not None else None
    except BaseException:
        server.release(connection)
        raise
    if body is None:
        return connection, data
    server.release(connection)
    return await server.forward("POST", way.path, way.headers, body), None


def _complaint(request: Request, reply: Reply) -> str | None:
    return reply_complaint(request, reply) if needs_check(request, reply) else None


def _wanted(call: Call) -> Request:
    """What was asked for, with what is configured and remembered."""
    return call.request if call.sent.wanted is None else call.sent.wanted


async def _begun(server: UpstreamServer, sent: Sent, *, words: bool = False) -> Stream:
    """An answer that has begun to come.  With `words` its mere start does not count."""
    connection = await server.post(sent.body, sent.betas)
    try:
        stream = Stream(server, connection)
        await stream.begin(server.timeouts.idle, words=words)
        if sent.restore is not None:
            stream.restore = sent.restore.stream()
    except BaseException:
        server.release(connection)
        raise
    return stream


async def _reply_once(server: UpstreamServer, sent: Sent) -> Reply:
    """A whole answer, as the client is to see it."""
    reply = await _received(server, sent)
    if sent.restore is None:
        return reply
    fold = Fold(reply.origin)
    fold.feed(sent.restore.stream().feed(unfold(reply)))
    seen = fold.reply
    return replace(reply, content=seen.content, reason=seen.reason, stop_sequence=seen.stop_sequence)


async def _received(server: UpstreamServer, sent: Sent) -> Reply:
    connection = await server.post(sent.body, sent.betas)
    try:
        if sent.streamed:
            return await folded(server, connection)
        body = await server.whole(connection)
    finally:
        server.release(connection)
    try:
        return server.dialect.decode_reply(_decode(body))
    except GatewayError as error:
        error.message = server.hide(error.message)
        raise
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError, AttributeError) as error:
        raise GatewayError("upstream", "the upstream server's answer is not a message") from error
