"""What becomes of a member of an upstream's answer: said to the client, reported, or neither."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal

import msgspec

from dragoman.conversation import Fault, Finish, Message, Object, Request, Seal, Text
from dragoman.dialects import anthropic, ollama, openai_chat, openai_completions, openai_responses
from dragoman.dialects.anthropic.marker import read_signature
from dragoman.dialects.contract import ClientDialect, Stamp, UpstreamDialect
from dragoman.dialects.ollama import generate
from dragoman.dialects.openai_responses.sealed import disclose
from dragoman.dialects.untold import Untold, of_reply
from tests.fidelity.reply_samples import Answer, answers, streams

Verdict = Literal["carried", "emulated", "reported", "silent"]

UPSTREAMS: Mapping[str, UpstreamDialect] = {
    "anthropic": anthropic,
    "openai_chat": openai_chat,
    "ollama": ollama,
    "openai_responses": openai_responses,
}
CLIENTS: Mapping[str, ClientDialect] = {
    "anthropic": anthropic,
    "openai_chat": openai_chat,
    "openai_completions": openai_completions,
    "openai_responses": openai_responses,
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
    "annotation": "citations",
    "reasoning": "thinking",
    "redacted_thinking": "thinking",
    "reasoning_summary_text": "thinking",
    "reasoning_text": "thinking",
    "custom_tool_call": "tool_use",
    "custom_tool_call_input": "tool_use",
    "function_call_arguments": "tool_use",
    "incomplete_details": "stop_reason",
    "images": "image",
    "finish_reason": "stop_reason",
}


@cache
def _request(client: str, *, stream: bool) -> Request:
    said = [Message(role="user", content=[Text(text="hi")])]
    extra: Object = {"stream_options": {"include_usage": True}} if client.startswith("openai") else {}
    if client == "openai_responses":
        extra = {"include": ["reasoning.encrypted_content"]}
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
    return _opened(msgspec.json.encode(told).decode()), of_reply(reply, dialect.SAYS)


def _opened(said: str) -> str:
    """What a client is told, with what it is told under seal."""
    seals = (_SEALS[kind](text) for kind, text in dict.fromkeys(_SEALED.findall(said)))
    return said + "".join(seal.value for seal in seals if seal is not None)


_SEALED = re.compile(r'"(encrypted_content|signature|data)":"(dragoman[^"]+)"')
_SEALS: Mapping[str, Callable[[str], Seal | None]] = {
    "encrypted_content": lambda text: disclose(text).seal,
    "signature": read_signature,
    "data": read_signature,
}


def _streamed(upstream: str, client: str, data: bytes) -> tuple[str, Untold]:
    decoder = UPSTREAMS[upstream].Decoder()
    encoder = CLIENTS[client].Encoder(_request(client, stream=True), STAMP)
    out = b""
    for at in range(0, len(data), 4096):
        events = decoder.feed(data[at : at + 4096])
        assert not any(isinstance(event, Fault) for event in events), events
        out += encoder.feed(events)
        if any(isinstance(event, Finish) for event in events):
            return _opened(out.decode()), encoder.untold
    raise AssertionError("the stream has no end")
