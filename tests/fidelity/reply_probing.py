"""What becomes of a member of an upstream's answer: said to the client, reported, or neither."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

import msgspec

from dragoman.conversation import Fault, Finish, Message, Request, Text
from dragoman.dialects import anthropic, ollama, openai_chat, openai_completions
from dragoman.dialects.contract import ClientDialect, Stamp, UpstreamDialect
from dragoman.dialects.ollama import generate
from dragoman.dialects.untold import Untold, of_reply
from tests.fidelity.reply_samples import Answer, answers, streams

Verdict = Literal["carried", "emulated", "reported", "silent"]

UPSTREAMS: Mapping[str, UpstreamDialect] = {"anthropic": anthropic, "openai_chat": openai_chat, "ollama": ollama}
CLIENTS: Mapping[str, ClientDialect] = {
    "anthropic": anthropic,
    "openai_chat": openai_chat,
    "openai_completions": openai_completions,
    "ollama": ollama,
    "ollama_generate": generate,
}


def verdicts(upstream: str, client: str, *, streamed: bool, later: bool = False) -> list[tuple[str, Verdict]]:
    """Every member of an answer of `upstream`, and what becomes of it for a client of `client`.

    `later`: members that nobody knows yet, in every place where one may appear.
    """
    tried = streams(upstream, later=later) if streamed else answers(upstream, later=later)
    tell = _streamed if streamed else _whole
    return [(answer.path, _verdict(answer, tell, upstream, client)) for answer in tried]


def _verdict(answer: Answer, tell: Any, upstream: str, client: str) -> Verdict:
    said, untold = tell(upstream, client, answer.data)
    if answer.needle and answer.needle in said:
        return "carried"
    if any(_is_about(name, answer.path) for name in untold.names):
        return "reported"
    if any(_is_about(name, answer.path) for name in untold.reworded):
        return "emulated"
    if not answer.needle and said != _plainly(tell, upstream, client, answer)[0]:
        return "carried"
    return "silent"


def _plainly(tell: Any, upstream: str, client: str, answer: Answer) -> tuple[str, Untold]:
    told: tuple[str, Untold] = tell(upstream, client, answer.plain)
    return told


def _is_about(name: str, path: str) -> bool:
    """Whether a report's name means the member at `path`, or something it is in."""
    words = {_ALIASES.get(word, word) for word in _WORD.findall(path)}
    last = _WORD.findall(name)[-1]
    return _ALIASES.get(last, last) in words


_WORD = re.compile(r"[a-z_]*[a-z][a-z_0-9]*")

# What the wires call what a report names in the conversation's own word.
_ALIASES = {
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "input_json_delta": "tool_use",
    "signature_delta": "thinking",
    "compaction_delta": "compaction",
    "citations_delta": "citations",
    "annotations": "citations",
    "images": "image",
    "finish_reason": "stop_reason",
}


@cache
def _request(client: str, *, stream: bool) -> Request:
    said = [Message(role="user", content=[Text(text="hi")])]
    extra = {"stream_options": {"include_usage": True}} if client.startswith("openai") else {}
    return Request(
        origin=CLIENTS[client].NAME,
        model="m",
        messages=said,
        stream=stream,
        logprobs=True,
        top_logprobs=2,
        extra=extra,
    )


STAMP = Stamp(id="id", model="m", created=1_795_327_200_000_000_000, started=0, clock=lambda: 5)


def _whole(upstream: str, client: str, body: Any) -> tuple[str, Untold]:
    reply = UPSTREAMS[upstream].decode_reply(copy.deepcopy(body))
    dialect = CLIENTS[client]
    told = dialect.encode_reply(reply, _request(client, stream=False), STAMP)
    return msgspec.json.encode(told).decode(), of_reply(reply, dialect.SAYS)


def _streamed(upstream: str, client: str, data: bytes) -> tuple[str, Untold]:
    decoder = UPSTREAMS[upstream].Decoder()
    encoder = CLIENTS[client].Encoder(_request(client, stream=True), STAMP)
    out = b""
    for at in range(0, len(data), 4096):
        events = decoder.feed(data[at : at + 4096])
        assert not any(isinstance(event, Fault) for event in events), events
        out += encoder.feed(events)
        if any(isinstance(event, Finish) for event in events):
            return out.decode(), encoder.untold
    raise AssertionError("the stream has no end")
