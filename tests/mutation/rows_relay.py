"""What only the relay loses: thinking of a changed conversation, pages nobody sees, what an answer lacks."""

from __future__ import annotations

import asyncio
import json
from copy import deepcopy
from unittest.mock import Mock

from dragoman.config import Settings
from dragoman.conversation import Reply, Seal, Text, Thinking, ToolCall
from dragoman.dialects import anthropic, ollama, openai_chat
from dragoman.dialects.ollama.creation import decode_create, decode_given
from dragoman.dialects.untold import of_reply
from dragoman.errors import GatewayError
from dragoman.losses import Losses
from dragoman.models.catalogue import Entry, Resolution
from dragoman.models.derived import Derived, Spec
from dragoman.models.refusal import Refusals
from dragoman.relay.call import Call, Plan, Way
from dragoman.relay.carrying import Carrier
from dragoman.relay.defaults import put_vector_options
from dragoman.surfaces.management import spec_of
from dragoman.surfaces.replaying import Replayed
from tests.mutation.answers import answered, sse
from tests.mutation.rows import Object, Row, claude, local, mended, row
from tests.mutation.said import CITY, asked, call, function, result, said, schema
from tests.relay.pdfs import DRAWING, in_base64, pdf, text

THINKS = claude("claude-sonnet-5-5")
BLIND = local("ollama", capabilities=("completion", "tools"))
PAGES = in_base64(pdf(text("facts"), DRAWING))
DOCUMENT = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PAGES}}
CHANGED = GatewayError("unverified_thinking", "The block is bound to a different conversation.")
SEALED = {
    "reasoning_details": [
        {"type": "reasoning.text", "text": "Hm.", "signature": "abc", "format": "anthropic-claude-v1"}
    ]
}
LOOP = said("Hi", {**call("c"), **SEALED}, result("c"), tools=[function()], reasoning_effort="high")
PLAIN_LOOP = said("Hi", call("c"), result("c"), tools=[function()], reasoning_effort="high")
LEFT_OUT = [{"type": "thinking_dropped", "path": "messages.1.content.0", "reason": "bound"}]
READS = local("openai_chat")
THOUGHT = said("Hi", {"role": "assistant", "content": "Ho", "reasoning_content": "Hm."})
NOT_READ = b"""{"error": {"message": "Unknown parameter: 'messages[1].reasoning_content'."}}"""
MESSAGE: Object = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "content": [{"type": "text", "text": "Ho"}],
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
STREAM = sse(
    {
        "type": "message_start",
        "message": {**MESSAGE, "content": [], "stop_reason": None, "input_transformations": LEFT_OUT},
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Ho"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
    {"type": "message_stop"},
)


def _mended_strictly() -> Losses:
    """Strict mode minds thinking that the client itself sent: what is told then is the error's place."""

    async def twice() -> Losses:
        carrier, made = await _first(LOOP, strict=True)
        try:
            again = await carrier.mended(made, CHANGED)
        except GatewayError as error:
            refused = Losses()
            refused.dropped["refused"] = str(error.param)
            return refused
        return again.losses

    return asyncio.run(twice())


def _mended_remembered() -> Losses:
    """Thinking that was remembered for a client, which cannot send it, and that the model refuses."""

    async def twice() -> Losses:
        carrier, first = await _first(asked(tools=[function()], reasoning_effort="high"))
        thought = Thinking(text="Hm.", seal=Seal("anthropic", "abc"))
        carrier.remember(first, [thought, ToolCall(id="c", name="f", arguments="{}")])
        second = _call(PLAIN_LOOP)
        second.sent = await carrier.made(second, Resolution("asked", THINKS))
        return (await carrier.mended(second, CHANGED)).losses

    return asyncio.run(twice())


async def _first(body: Object, *, strict: bool = False) -> tuple[Carrier, Call]:
    carrier, first = Carrier(Settings(fetch=False), lambda: 0.0), _call(body, strict=strict)
    first.sent = await carrier.made(first, Resolution("asked", THINKS))
    return carrier, first


def _call(body: Object, *, strict: bool = False) -> Call:
    return Call(openai_chat, Plan(()), lambda: openai_chat.decode_request(deepcopy(body)), strict=strict)


def _passed() -> Losses:
    """What had to be taken out of a body that is passed through."""

    async def once() -> Losses:
        way = Way(
            dialect="anthropic", path="/", headers={}, body=lambda _: b"{}", lost={"messages[1].content[0]": "why"}
        )
        passing = Call(anthropic, Plan(()), Mock(), way=way)
        return (await Carrier(Settings(), lambda: 0.0).made(passing, Resolution("asked", THINKS))).losses

    return asyncio.run(once())


MARIO = Spec(
    name="mario:latest",
    base="some-model",
    template="{{ .Prompt }}",
    parameters={"repeat_penalty": 1.5, "num_gpu": 1},
    kept={"renderer": "r", "requires": "0.1"},
)


def _derived() -> Losses:
    """A call of a derived model: what it has, and its server has no use for."""

    async def once() -> Losses:
        given = decode_given(MARIO.parameters, MARIO.messages)
        mario = Derived(spec=MARIO, given=given, created=0.0, modified=0.0)
        resolution = Resolution("mario", THINKS, derived=mario)
        return (await Carrier(Settings(fetch=False), lambda: 0.0).made(_call(asked()), resolution)).losses

    return asyncio.run(once())


def _embedded() -> Losses:
    """A call for vectors of one, on another kind of server."""
    losses = Losses()
    given = decode_given(MARIO.parameters, MARIO.messages)
    put_vector_options({}, Derived(spec=MARIO, given=given, created=0.0, modified=0.0), "openai_chat", losses)
    return losses


def _created() -> Losses:
    """A derived model as it is made."""
    losses = Losses()
    body = {"model": "mario", "from": "x", "template": "t", "parser": "p", "requires": "0.1", "info": {"a": 1}}
    spec_of("mario:latest", decode_create(body), Entry("x", BLIND), losses)
    return losses


def _passed_less() -> Losses:
    """What a server refused of a body that was passed through, and another try went without."""

    async def once() -> Losses:
        body = json.dumps(THOUGHT).encode()
        replayed = Replayed.of(body, Refusals())
        assert replayed is not None
        way = replayed.way(Way(dialect="openai_chat", path="/", headers={}, body=lambda _: body), strict=False)
        passing = Call(openai_chat, Plan(()), Mock(), way=way)
        passing.sent = await Carrier(Settings(), lambda: 0.0).made(passing, Resolution("asked", READS))
        assert way.instead is not None
        way.instead(READS, NOT_READ)
        exchange = Mock()
        replayed.tell(exchange, passing)
        exchange.report()
        return passing.losses

    return asyncio.run(once())


def _told_of_a_reply() -> Losses:
    losses = Losses()
    reply = Reply(id="x", model="m", origin="anthropic", content=[Text(text="Ho")], extra={"container": {"id": "c"}})
    of_reply(reply, ollama.SAYS).report(losses)
    return losses


def _reworded() -> Losses:
    losses = Losses()
    untold = of_reply(Reply(id="x", model="m", origin="anthropic", content=[]), ollama.SAYS)
    untold.reworded.append("content[0].citations")
    untold.report(losses)
    return losses


ROWS: list[Row] = [
    row(
        "a page of a PDF that nobody sees",
        "anthropic",
        said("Hi", "Ho", [DOCUMENT]),
        BLIND,
        dropped="messages[2].content[0]",
        emulated="messages[2].content[0]",
    ),
    mended("thinking of a changed conversation", "openai_chat", LOOP, THINKS, CHANGED, dropped="thinking"),
    Row("thinking of a changed conversation, strictly", _mended_strictly, frozenset({"refused"}), frozenset()),
    Row("thinking that was remembered", _mended_remembered, frozenset({"thinking"}), frozenset()),
    row("thinking that nobody remembers", "openai_chat", PLAIN_LOOP, THINKS, dropped="thinking", ours="thinking"),
    answered(
        "thinking that the server left out",
        "openai_chat",
        asked(max_tokens=99),
        THINKS,
        {**MESSAGE, "input_transformations": LEFT_OUT},
        dropped="thinking",
    ),
    answered(
        "thinking that the server left out, streamed",
        "openai_chat",
        asked(max_tokens=99, stream=True),
        THINKS,
        STREAM,
        dropped="thinking",
    ),
    answered(
        "an answer that need not fit",
        "openai_chat",
        asked(response_format=schema(CITY, strict=False), tools=None),
        local("ollama"),
        {"model": "m", "message": {"role": "assistant", "content": "no JSON"}, "done": True, "done_reason": "stop"},
        dropped="response_format",
    ),
    row(
        "a schema nobody can check",
        "openai_chat",
        asked(response_format=schema({"type": "object", "properties": {"a": {"$ref": "https://example.com/s"}}})),
        local("ollama"),
        emulated="response_format.json_schema.schema response_format",
    ),
    mended(
        "earlier reasoning that a server refuses",
        "openai_chat",
        THOUGHT,
        READS,
        openai_chat.decode_error(400, NOT_READ, None),
        dropped="thinking",
    ),
    Row("earlier reasoning that a server refuses, passed through", _passed_less, frozenset({"thinking"}), frozenset()),
    Row("what no server of its own dialect takes", _passed, frozenset({"messages[1].content[0]"}), frozenset()),
    Row(
        "what a derived model has in vain", _derived, frozenset({"template", "renderer", "repeat_penalty"}), frozenset()
    ),
    Row("what a derived model gives to vectors in vain", _embedded, frozenset({"repeat_penalty"}), frozenset()),
    Row("a derived model that is made", _created, frozenset({"info", "template", "parser"}), frozenset()),
    Row("a member of an answer", _told_of_a_reply, frozenset({"reply.container"}), frozenset()),
    Row("a member of an answer in words", _reworded, frozenset(), frozenset({"reply.content[0].citations"})),
]
