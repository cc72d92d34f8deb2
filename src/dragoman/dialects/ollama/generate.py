"""/api/generate, the client half.  https://docs.ollama.com/api/generate

A prompt is a conversation of one message, or, with the `context` of an earlier answer, one more message of it.  The
system prompt of the first turn stays in force until another is given.  `suffix` (fill in the middle) becomes an
instruction; `raw` and `template` are about the text a local model sees, and stay in `extra` to be reported.

An answer that is only reasoning has an empty `response`, and is not padded: a note of ours would be taken for the
model's words.
"""

from __future__ import annotations

from dragoman.conversation import Message, Object, Part, Reply, Request, Text
from dragoman.dialects.contract import Stamp
from dragoman.dialects.ollama import stream
from dragoman.dialects.ollama.context import decode_context, encode_context
from dragoman.dialects.ollama.loading import encode_generate_probe as encode_probe
from dragoman.dialects.ollama.loading import probe_generate as probe
from dragoman.dialects.ollama.messages import decode_images
from dragoman.dialects.ollama.reply import (
    answer_members,
    created_at,
    encode_error,
    final_members,
    model_not_found,
    whole,
)
from dragoman.dialects.ollama.settings import check_top_logprobs, decode_settings
from dragoman.dialects.ollama.vocabulary import NAME, SPELLING, STREAM_TYPE
from dragoman.dialects.reading import take
from dragoman.errors import invalid

__all__ = [
    "NAME",
    "SPELLING",
    "STREAM_TYPE",
    "Encoder",
    "decode_request",
    "encode_error",
    "encode_probe",
    "encode_reply",
    "probe",
]

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
    raw = bool(take(body, "raw", bool))
    if raw and any(body.get(name) for name in ("system", "template", "context")):
        raise invalid("raw mode does not support template, system, or context", "raw")
    system = take(body, "system", str) or ""
    suffix = take(body, "suffix", str) or ""
    prompt = take(body, "prompt", str) or ""
    images = decode_images(body, "")
    take(body, "template", str)
    messages = _history(body, system)
    if suffix:
        messages = _fill(messages, prompt, suffix)
    else:
        content: list[Part] = [*images, *([Text(text=prompt)] if prompt else [])]
        messages.append(Message(role="user", content=content))
    request = Request(origin=NAME, model=model, messages=messages)
    if raw:
        request.extra["raw"] = True
    if suffix:
        request.extra["suffix"] = suffix
    return decode_settings(body, request)
