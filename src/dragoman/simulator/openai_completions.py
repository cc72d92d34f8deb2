"""Legacy completions: text in, text out.  https://platform.openai.com/docs/api-reference/completions"""

from __future__ import annotations

import math
from typing import NamedTuple

from dragoman.conversation import Object
from dragoman.simulator.answer import Answer, text
from dragoman.simulator.openai_flavors import Model, Usage

_FINISH = {"max_tokens": "length", "model_context_window_exceeded": "length", "content_filter": "content_filter"}


class Typed(NamedTuple):
    """`answers`, `n` for each of `prompts`, which are `tokens` long together."""

    prompts: list[str]
    answers: list[Answer]
    body: Object
    model: Model
    tokens: int
    reply_id: str
    created: int
    usage: Usage


def frame(typed: Typed) -> Object:
    """A chunk, or a whole completion, without its choices."""
    return {
        "id": typed.reply_id,
        "object": "text_completion",
        "created": typed.created,
        "model": typed.model.id,
        "system_fingerprint": None,
    }


def _pieces(typed: Typed, index: int) -> list[str]:
    answer = typed.answers[index]
    said = [piece for part in answer.parts if part.body["type"] == "text" for piece in part.pieces]
    each = len(typed.answers) // len(typed.prompts)
    return [*text(typed.prompts[index // each]).pieces, *said] if typed.body.get("echo") else said


def _finish(typed: Typed, index: int) -> str:
    return _FINISH.get(typed.answers[index].stop_reason, "stop")


def _logprobs(typed: Typed, pieces: list[str], offset: int) -> Object | None:
    count = typed.body.get("logprobs")
    if count is None:
        return None
    score = round(math.log(0.9), 6)
    offsets = [offset + sum(map(len, pieces[:at])) for at in range(len(pieces))]
    return {
        "tokens": pieces,
        "token_logprobs": [score] * len(pieces),
        "top_logprobs": [{piece: score} for piece in pieces] if count else None,
        "text_offset": offsets,
    }


def usage(typed: Typed) -> Object:
    """The tokens of all prompts and answers."""
    said = sum(part.tokens for answer in typed.answers for part in answer.parts)
    return {"prompt_tokens": typed.tokens, "completion_tokens": said, "total_tokens": typed.tokens + said}


def completion(typed: Typed) -> Object:
    """The answer as one JSON object."""
    choices = []
    for index in range(len(typed.answers)):
        pieces = _pieces(typed, index)
        logprobs = _logprobs(typed, pieces, 0)
        reason = _finish(typed, index)
        choices.append({"text": "".join(pieces), "index": index, "logprobs": logprobs, "finish_reason": reason})
    told = {} if typed.usage in ("none", "null") else {"usage": usage(typed)}
    return {**frame(typed), "choices": choices, **told}


def chunks(typed: Typed) -> list[Object]:
    """The answer as the chunks of a stream, without `[DONE]`."""
    out: list[Object] = []
    for index in range(len(typed.answers)):
        offset = 0
        for piece in _pieces(typed, index):
            choice = {"text": piece, "index": index, "logprobs": _logprobs(typed, [piece], offset)}
            out.append({**frame(typed), "choices": [{**choice, "finish_reason": None}]})
            offset += len(piece)
        end = {"text": "", "index": index, "logprobs": None, "finish_reason": _finish(typed, index)}
        out.append({**frame(typed), "choices": [end]})
    asked = (typed.body.get("stream_options") or {}).get("include_usage")
    if typed.usage == "always" or (typed.usage == "asked" and asked):
        out.append({**frame(typed), "choices": [], "usage": usage(typed)})
    return out
