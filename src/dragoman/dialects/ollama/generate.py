"""/api/generate, the client half.  https://docs.ollama.com/api/generate

A prompt is a conversation of one message, or, with the `context` of an earlier answer, one more message of it.  The
system prompt of the first turn stays in force until another is given.  `suffix` (fill in the middle) becomes an
instruction; `raw` and `template` are about the text a local model sees, and stay in `extra` to be reported.

An answer that is only reasoning has an empty `response`, and is not padded: a note of ours would be taken for the
model's words.
"""

from __future__ import annotations

from msgspec.structs import replace

from dragoman.conversation import Message, Object, Part, Reply, Request, Text
from dragoman.dialects.contract import Stamp
from dragoman.dialects.ollama import stream
from dragoman.dialects.ollama.context import decode_context, encode_context
from dragoman.dialects.ollama.failure import encode_error, model_not_found
from dragoman.dialects.ollama.loading import encode_generate_probe as encode_probe
from dragoman.dialects.ollama.loading import probe_generate as probe
from dragoman.dialects.ollama.messages import decode_images
from dragoman.dialects.ollama.reply import answer_members, beside_members, closing_members, scores_member
from dragoman.dialects.ollama.settings import check_top_logprobs, decode_settings
from dragoman.dialects.ollama.timing import created_at
from dragoman.dialects.ollama.vocabulary import EMULATED, HANDLED, NAME, SPELLING, STREAM_TYPE
from dragoman.dialects.ollama.vocabulary import SAYS as CHAT_SAYS
from dragoman.dialects.reading import take
from dragoman.errors import invalid

__all__ = [
    "EMULATED",
    "HANDLED",
    "NAME",
    "SAYS",
    "SPELLING",
    "STREAM_TYPE",
    "Encoder",
    "decode_request",
    "encode_error",
    "encode_probe",
    "encode_reply",
    "probe",
]

SAYS = replace(CHAT_SAYS, without=frozenset({"message"}))

_FILL = (
    "You complete text and code in an editor. The user gives what stands before the cursor between <prefix> and "
    "</prefix>, and what stands after it between <suffix> and </suffix>. Answer with nothing but the text to insert at "
    "the cursor: no explanation, no markup, no repetition of the prefix or the suffix. Keep the style and indentation."
)


def decode_request(body: Object) -> Request:
    """Take a generate request apart.  Raises "invalid_request" in Ollama's own words where it has any."""
    check_top_logprobs(body)
    model = take(body, "model", str) or take(body, "name", str)
    if not model:
        raise model_not_found("")
    if body.get("raw") and any(body.get(name) for name in ("system", "template", "context")):
        raise invalid("raw mode does not support template, system, or context", "raw")
    messages = _history(body)
    suffix = take(body, "suffix", str)
    prompt = take(body, "prompt", str) or ""
    if suffix:
        messages.append(Message(role="system", content=[Text(text=_FILL)], at="suffix"))
        prompt = f"<prefix>{prompt}</prefix><suffix>{suffix}</suffix>"
    content: list[Part] = [*decode_images(body, "")]
    if prompt:
        content.append(Text(text=prompt))
    messages.append(Message(role="user", content=content, at="prompt"))
    request = Request(origin=NAME, model=model, messages=messages)
    if suffix:
        request.extra["suffix"] = suffix
    return decode_settings(body, request)


def _history(body: Object) -> list[Message]:
    """What stands before the prompt: the system prompt, and the conversation in `context` (popped if it is ours)."""
    system = take(body, "system", str)
    earlier = decode_context(body.get("context"))
    if earlier is None:
        earlier = []
    else:
        del body["context"]
    if not system:
        return earlier
    turns = [message for message in earlier if message.role != "system"]
    return [Message(role="system", content=[Text(text=system)], at="system"), *turns]


def encode_reply(reply: Reply, request: Request, stamp: Stamp) -> Object:
    """The answer of an unstreamed generate."""
    members = answer_members(reply, request)
    text = members.pop("text")
    calls = {name: members.pop(name) for name in ("tool_calls",) if name in members}
    beside = beside_members(reply)
    beside.pop("message", None)  # there is none here
    return {
        "model": stamp.model,
        "created_at": created_at(stamp),
        "response": text,
        **members,
        **beside,
        "done": True,
        **closing_members(reply, stamp, _closing(request, text)),
        **calls,
        **scores_member(reply, request),
    }


def Encoder(request: Request, stamp: Stamp) -> stream.Encoder:
    """Events to the lines of a streamed generate."""
    return stream.Encoder(request, stamp, stream.GENERATE, lambda text: _closing(request, text))


def _closing(request: Request, answer: str) -> Object:
    """`context`, so that the next call can go on from here.  Raw prompts and filled gaps are no conversations."""
    if request.extra.get("raw") or "suffix" in request.extra:
        return {}
    return {"context": encode_context(request.messages, answer)}
