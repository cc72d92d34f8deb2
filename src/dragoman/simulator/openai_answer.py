"""An answer in OpenAI's two spellings: one `chat.completion`, or the chunks that add up to it.

https://platform.openai.com/docs/api-reference/chat/object, .../chat/streaming
"""

from __future__ import annotations

import math
from typing import NamedTuple

from dragoman.conversation import Object
from dragoman.ids import mint
from dragoman.simulator.answer import Answer, Part
from dragoman.simulator.openai_flavors import Flavor, Form, Model, Usage
from dragoman.simulator.openai_rules import sign
from dragoman.simulator.tokens import pieces

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "stop",
    "content_filter": "content_filter",
}
_FORMATS = {"": "unknown", "signature": "anthropic-claude-v1", "encrypted": "openai-responses-v1"}
PROOF = {"": "", "signature": "EqRkCkgIBhABGAIqQ", "encrypted": "gAAAAABo"}
"""How the proofs of a model's reasoning begin."""


class Made(NamedTuple):
    """`answers`, one a choice, and all that is told with them.  `created` is Unix seconds."""

    answers: list[Answer]
    body: Object
    flavor: Flavor
    model: Model
    prompt: int
    reply_id: str
    created: int
    reasoning: Form
    usage: Usage
    finish: str | None
    freeform: frozenset[str]


# --- what both share ---------------------------------------------------------------------------------


def _envelope(made: Made, kind: str) -> Object:
    out: Object = {"id": made.reply_id, "object": kind, "created": made.created, "model": made.model.id}
    flavor = made.flavor
    if flavor.service_tier:
        out["service_tier"] = "default"
    if flavor.system_fingerprint:
        out["system_fingerprint"] = flavor.fingerprint
    if flavor.provider:
        out["provider"] = flavor.provider
    return out


def chunk_frame(made: Made) -> Object:
    """A chunk without its choices."""
    return _envelope(made, "chat.completion.chunk")


def usage(made: Made) -> Object:
    """The tokens of all choices."""
    parts = [part for answer in made.answers for part in answer.parts]
    completion = sum(part.tokens for part in parts) + sum(len(pieces(_refused(answer))) for answer in made.answers)
    thought = sum(part.tokens for part in parts if part.body["type"] == "thinking")
    out: Object = {
        "prompt_tokens": made.prompt,
        "completion_tokens": completion,
        "total_tokens": made.prompt + completion,
    }
    if made.flavor.details:
        out["prompt_tokens_details"] = {"cached_tokens": 0, "audio_tokens": 0}
        out["completion_tokens_details"] = {
            "reasoning_tokens": thought,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        }
    if made.flavor.cache_counters:
        out |= {"prompt_cache_hit_tokens": 0, "prompt_cache_miss_tokens": made.prompt}
    if made.flavor.provider:
        out |= {"cost": round(made.prompt * 1e-6 + completion * 5e-6, 9), "is_byok": False}
    return out


def _extras(made: Made) -> Object:
    """Members that some servers add to an answer, or to the last chunk of it."""
    out: Object = {}
    completion = sum(part.tokens for answer in made.answers for part in answer.parts)
    if made.flavor.timings:
        out["timings"] = {
            "cache_n": 0,
            "prompt_n": made.prompt,
            "prompt_ms": float(made.prompt),
            "predicted_n": completion,
            "predicted_ms": 10.0 * completion,
        }
    if made.flavor.stats:
        out["stats"] = {"tokens_per_second": 100.0, "stop_reason": "eosFound"}
        out["model_info"] = {"arch": "simulated", "context_length": made.model.context}
    return out


def _finish(made: Made, answer: Answer) -> Object:
    """The members of a choice that is over."""
    word = _FINISH[answer.stop_reason]
    if word == "tool_calls" and _deprecated(made):
        word = "function_call"
    out: Object = {"finish_reason": made.finish if made.finish is not None else word}
    if made.flavor.stop_reason:
        out["stop_reason"] = answer.stop_sequence
    if made.flavor.provider:
        out["native_finish_reason"] = answer.stop_reason
    return out


def _deprecated(made: Made) -> bool:
    return bool(made.body.get("functions")) and not made.body.get("tools")


def _refused(answer: Answer) -> str:
    if answer.stop_reason != "refusal":
        return ""
    return str((answer.stop_details or {}).get("explanation") or "I cannot help with that.")


def _texts(answer: Answer) -> list[Part]:
    return [part for part in answer.parts if part.body["type"] == "text"]


def _thoughts(answer: Answer) -> str:
    return "".join("".join(part.pieces) for part in answer.parts if part.body["type"] == "thinking")


def _calls(answer: Answer) -> list[Part]:
    return [part for part in answer.parts if part.body["type"] == "tool_use"]


def _call(made: Made, part: Part, choice: int) -> Object:
    """A call as a whole.  Its arguments may have been cut: text that is no JSON."""
    name = part.body["name"]
    call_id = mint("call_", part.body["id"], choice)
    if name in made.freeform:
        return {"id": call_id, "type": "custom", "custom": {"name": name, "input": part.body["input"].get("input", "")}}
    function = {"name": name, "arguments": "".join(part.pieces) or "{}"}
    return {"id": call_id, "type": "function", "function": function}


# --- reasoning ---------------------------------------------------------------------------------------


def details(made: Made, words: str) -> list[Object]:
    """`reasoning_details` as a whole, with the proof that must come back.

    https://openrouter.ai/docs/use-cases/reasoning-tokens
    """
    shared: Object = {"format": _FORMATS[made.model.proof], "index": 0}
    if made.model.proof != "encrypted":
        signed = {"signature": sign(PROOF["signature"], words)} if made.model.proof else {}
        return [{"type": "reasoning.text", "text": words, **signed, **shared}]
    data = PROOF["encrypted"] + mint("", words, length=40)
    sealed: Object = {"type": "reasoning.encrypted", "data": data, "id": mint("rs_", words), **shared, "index": 1}
    return [{"type": "reasoning.summary", "summary": words, **shared}, sealed]


def _reasoned(made: Made, words: str) -> Object:
    """The members of a message that tell its reasoning."""
    match made.reasoning:
        case "reasoning" | "reasoning_content" as name:
            return {name: words}
        case "both":
            return {"reasoning": words, "reasoning_content": words}
        case "details":
            return {"reasoning": words, "reasoning_details": details(made, words)}
        case _:
            return {}


def _reasoning_deltas(made: Made, bits: list[str]) -> list[Object]:
    words = "".join(bits)
    match made.reasoning:
        case "think":
            return [{"content": piece} for piece in ["<think>\n", *bits, "\n</think>\n\n"]]
        case "details":
            first, *proofs = details(made, words)
            key = "summary" if "summary" in first else "text"
            signature = first.pop("signature", "")
            out: list[Object] = [
                {"content": "", "reasoning": piece, "reasoning_details": [{**first, key: piece}]} for piece in bits
            ]
            if signature:
                end = {name: value for name, value in first.items() if name != key} | {"signature": signature}
                out.append({"content": "", "reasoning": None, "reasoning_details": [end]})
            return out + [{"content": "", "reasoning": None, "reasoning_details": [proof]} for proof in proofs]
        case _:
            return [delta for piece in bits if (delta := _reasoned(made, piece))]


# --- unstreamed --------------------------------------------------------------------------------------


def completion(made: Made) -> Object:
    """The answer as one JSON object."""
    body = _envelope(made, "chat.completion")
    body["choices"] = [_choice(made, answer, index) for index, answer in enumerate(made.answers)]
    body |= _extras(made)
    if made.usage not in ("none", "null"):
        body["usage"] = usage(made)
    return body


def _choice(made: Made, answer: Answer, index: int) -> Object:
    texts, words, refusal = _texts(answer), _thoughts(answer), _refused(answer)
    said: str | None = "".join(part.body["text"] for part in texts)
    if words and made.reasoning == "think":
        said = f"<think>\n{words}\n</think>\n\n{said}"
    calls = _calls(answer)
    message: Object = {
        "role": "assistant",
        "content": said if said or not (calls or refusal) else None,
        "refusal": refusal or None,
    }
    if made.flavor.service_tier:
        message["annotations"] = []
    if words:
        message |= _reasoned(made, words)
    if calls and _deprecated(made):
        message["function_call"] = _call(made, calls[0], index)["function"]
    elif calls:
        message["tool_calls"] = [_call(made, part, index) for part in calls]
    logprobs = {"content": [_logprob(made, p) for part in texts for p in part.pieces], "refusal": None}
    choice: Object = {"index": index, "message": message, "logprobs": logprobs if _wants_logprobs(made) else None}
    return choice | _finish(made, answer)


def _wants_logprobs(made: Made) -> bool:
    return bool(made.body.get("logprobs"))


def _logprob(made: Made, piece: str) -> Object:
    entry: Object = {"token": piece, "logprob": round(math.log(0.9), 6), "bytes": list(piece.encode())}
    others = [{**entry, "token": piece if not n else f"{piece}{n}", "logprob": entry["logprob"] - n} for n in range(20)]
    return {**entry, "top_logprobs": others[: int(made.body.get("top_logprobs") or 0)]}


# --- streamed ----------------------------------------------------------------------------------------


def chunks(made: Made) -> list[Object]:
    """The answer as the chunks of a stream, without `[DONE]`."""
    frame = chunk_frame(made)
    out: list[Object] = []
    for index, answer in enumerate(made.answers):
        out += [{**frame, "choices": [choice]} for choice in _choices(made, answer, index)]
        if answer.stop_reason == "model_context_window_exceeded" and made.flavor.overflow == "no_finish":
            out.pop()
    options = made.body.get("stream_options") or {}
    tail = {**frame, "choices": []}
    if out:
        out[-1] |= _extras(made)
    asked = bool(options.get("include_usage"))
    _tell_usage(made, out, tail, asked=asked)
    if made.flavor.obfuscation and options.get("include_obfuscation") is not False:
        for number, chunk in enumerate(out):
            chunk["obfuscation"] = mint("", made.reply_id, number, length=1 + number % 16)
    return out


def _tell_usage(made: Made, out: list[Object], tail: Object, *, asked: bool) -> None:
    """Usage in a stream: in a chunk of its own at the end, or where less careful servers put it."""
    told = usage(made)
    match made.usage:
        case "asked" if asked:
            for chunk in out:
                chunk["usage"] = None
            out.append({**tail, "usage": told})
        case "always":
            out.append({**tail, "usage": told})
        case "null":
            out.append({**tail, "usage": None})
        case "every":
            for chunk in out:
                chunk["usage"] = told
        case "finish" if out:
            out[-1]["usage"] = told


def _choices(made: Made, answer: Answer, index: int) -> list[Object]:
    def choice(delta: Object, piece: str = "") -> Object:
        logprobs = {"content": [_logprob(made, piece)], "refusal": None} if piece and _wants_logprobs(made) else None
        return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": None}

    calls, texts = _calls(answer), _texts(answer)
    opening = "" if texts or not calls else None
    out = [choice({"role": "assistant", "content": opening, "refusal": None})]
    for part in answer.parts:
        if part.body["type"] == "thinking" and part.pieces:
            out += [choice(delta) for delta in _reasoning_deltas(made, part.pieces)]
        elif part.body["type"] == "text":
            out += [choice({"content": piece}, piece) for piece in part.pieces]
    if refusal := _refused(answer):
        out += [choice({"refusal": piece}) for piece in pieces(refusal)]
    for number, part in enumerate(calls):
        out += [choice(delta) for delta in _call_deltas(made, part, index, number)]
    return [*out, choice({}) | _finish(made, answer)]


def _call_deltas(made: Made, part: Part, choice: int, number: int) -> list[Object]:
    whole = _call(made, part, choice)
    if _deprecated(made):
        name, bits = whole["function"]["name"], part.pieces or ["{}"]
        deltas: list[Object] = [{"name": name, "arguments": ""}, *({"arguments": bit} for bit in bits)]
        return [{"function_call": delta} for delta in deltas]
    kind = whole["type"]
    text, bits = ("input", [whole["custom"]["input"]]) if kind == "custom" else ("arguments", part.pieces or ["{}"])
    opening = {"index": number, "id": whole["id"], "type": kind, kind: {"name": whole[kind]["name"], text: ""}}
    fragments = [opening, *({"index": number, kind: {text: bit}} for bit in bits)]
    return [{"tool_calls": [fragment]} for fragment in fragments]
