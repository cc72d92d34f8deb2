"""What a Responses server cannot be told."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from unittest.mock import AsyncMock, Mock

from dragoman import errors
from dragoman.config import Settings
from dragoman.conversation import (
    Foreign,
    Reasoning,
    Reply,
    Seal,
    Text,
    Thinking,
    ToolResult,
    WebSearch,
)
from dragoman.dialects import openai_chat
from dragoman.dialects.contract import Stamp
from dragoman.losses import Losses
from dragoman.models.catalogue import Resolution
from dragoman.models.refusal import Refusals
from dragoman.relay import sparing
from dragoman.relay.call import Call, Plan
from dragoman.relay.carrying import Carrier
from dragoman.surfaces.keeping import Keeping
from tests.mutation.rows import Row, claude, encoded, local, row
from tests.mutation.rows_codecs import AUDIO, DOCUMENT, FILE, FIRST, HOSTED, asking, holding, named

SERVER = "openai_responses"
STRANGE = Foreign(origin="other", extra={"type": "x"})
SEALED = Thinking(text="Hm.", seal=Seal(origin="anthropic", value="c2ln"))
SEARCH = WebSearch(at="web_search_options", extra={"strange": 1})
USER = {"role": "user", "content": "Hi"}
SOURCE = {"type": "url_citation", "url": "https://example.org", "title": "Here", "start_index": 0, "end_index": 1}
SAID = {"type": "output_text", "text": "Well.", "annotations": [SOURCE | {"strange": 1}]}
SOURCED = {"type": "message", "role": "assistant", "content": [SAID]}
THOUGHTFUL = [{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}, {"type": "text", "text": "Yes."}]
INSIDE = f"{FIRST}.content[0]"

THINKS_NOT = errors.GatewayError("invalid_request", "'reasoning.effort' is not supported", param="reasoning.effort")


async def _call() -> Call:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "reasoning_effort": "low"}
    call = Call(openai_chat, Plan(()), lambda: openai_chat.decode_request(deepcopy(body)))
    call.sent = await Carrier(Settings(fetch=False), lambda: 0.0).made(call, Resolution("asked", local(SERVER)))
    return call


def _spared() -> Losses:
    """What one model of such a server refuses."""

    async def twice() -> Losses:
        call = await _call()
        again = sparing.mended(call, THINKS_NOT, Refusals())
        assert again is not None
        return again.losses

    return asyncio.run(twice())


def _lost() -> Losses:
    """A response that was to be kept, and could not be."""

    async def once() -> Losses:
        call = await _call()
        memory = Mock(keep=AsyncMock(return_value="lost"))
        mark = Stamp(id="resp_1", model="m", created=0, started=0, clock=lambda: 0)
        keeping = Keeping(call, mark, memory, Mock())
        answer = await keeping.whole(Reply(origin=SERVER, id="resp_1", model="m", content=[]), {"store": True})
        assert answer["store"] is False
        return call.losses

    return asyncio.run(once())


ROWS: list[Row] = [
    Row("a member that one model refuses", _spared, frozenset({"reasoning_effort"}), frozenset()),
    Row("a response that cannot be kept", _lost, frozenset({"store"}), frozenset()),
    row(
        "what is left of a change of the settings",
        SERVER,
        {"model": "m", "input": [{"type": "configuration_update", "strange": 1}, USER]},
        local(SERVER),
        dropped="input[0].strange",
    ),
    row(
        "what a source says besides",
        SERVER,
        {"model": "m", "input": [USER, SOURCED, USER]},
        claude("claude-haiku-4-5"),
        dropped="input[1].content[0].annotations[0].strange",
        emulated="input[1].content[0].annotations",
        moves=False,
    ),
    row(
        "what only the model's words have",
        SERVER,
        {"model": "m", "input": [{"role": "user", "content": [SAID]}]},
        local(SERVER),
        dropped="input[0].content[0].annotations",
        moves=False,
    ),
    row(
        "thinking of another server",
        "anthropic",
        {"model": "m", "max_tokens": 99, "messages": [USER, {"role": "assistant", "content": THOUGHTFUL}, USER]},
        local(SERVER),
        dropped="thinking",
        ours="thinking",
        moves=False,
    ),
    encoded("a name", named, SERVER, dropped="messages[0].name"),
    encoded("a foreign block", lambda: holding(STRANGE), SERVER, dropped=FIRST),
    encoded(
        "a foreign block in a result",
        lambda: holding(ToolResult(id="c", content=[STRANGE, Text(text="ok")])),
        SERVER,
        dropped=INSIDE,
    ),
    encoded(
        "a thought in a result",
        lambda: holding(ToolResult(id="c", content=[Thinking(text="Hm."), Text(text="ok")])),
        SERVER,
        dropped=INSIDE,
    ),
    encoded("a thought that another sealed", lambda: holding(SEALED, role="assistant"), SERVER, dropped=FIRST),
    encoded("a document", lambda: holding(DOCUMENT), SERVER, emulated=FIRST),
    encoded("a file of another server's", lambda: holding(FILE), SERVER, dropped=FIRST),
    encoded("a sound", lambda: holding(AUDIO), SERVER),
    encoded("a member it has not", lambda: asking(top_k=5), SERVER, dropped="top_k"),
    encoded("a lifetime", lambda: asking(cache="1h"), SERVER, emulated="cache"),
    encoded("a small limit", lambda: asking(max_tokens=5), SERVER, emulated="max_tokens"),
    encoded(
        "a budget", lambda: asking(reasoning=Reasoning(enabled=True, budget=3000)), SERVER, emulated="reasoning.budget"
    ),
    encoded(
        "a budget and an effort",
        lambda: asking(reasoning=Reasoning(enabled=True, budget=3000, effort="low")),
        SERVER,
        dropped="reasoning.budget",
    ),
    encoded("a tool of others", lambda: asking(tools=HOSTED), SERVER, dropped="tools[0]"),
    encoded("a wish of a search", lambda: asking(web_search=SEARCH), SERVER, dropped="web_search_options.strange"),
]
