"""An answer in the spellings of the Responses API: one Response object, or the events that add up to it.

https://platform.openai.com/docs/api-reference/responses/object, .../responses-streaming.  llama.cpp makes its own
events of its chat completions: few members, no numbers, every item ended at the end.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from dragoman.conversation import Object
from dragoman.ids import mint
from dragoman.simulator.answer import Answer, Part
from dragoman.simulator.openai_flavors import Flavor, Model
from dragoman.simulator.openai_refused import Refusal
from dragoman.simulator.openai_responses_prompt import ENCRYPTED, LOGPROBS, namespaces, sealed
from dragoman.simulator.tokens import pieces

_INCOMPLETE = {
    "max_tokens": "max_output_tokens",
    "model_context_window_exceeded": "max_output_tokens",
    "content_filter": "content_filter",
}


class Responded(NamedTuple):
    """`answer`, and all that is told with it.  `created` is Unix seconds; `prompt` counts its tokens."""

    answer: Answer
    body: Object
    flavor: Flavor
    model: Model
    prompt: int
    reply_id: str
    created: int
    freeform: frozenset[str]


class Piece(NamedTuple):
    """One item as a whole, and the words it is streamed in."""

    item: Object
    words: list[str]


# --- items -------------------------------------------------------------------------------------------


def _pieces(made: Responded) -> list[Piece]:
    names = namespaces(made.body)
    out: list[Piece] = []
    for part in made.answer.parts:
        number = len(out)
        match part.body["type"]:
            case "thinking":
                out.append(_reasoning(made, part, number))
            case "text":
                out.append(_message(made, part, number))
            case "tool_use":
                out.append(_call(made, part, number, names))
            case "server_tool_use":
                action = {"type": "search", "query": part.body["input"].get("query", ""), "queries": []}
                head = {"id": _id(made, "ws_", number), "type": "web_search_call", "status": "completed"}
                out.append(Piece({**head, "action": action}, []))
    if made.answer.stop_reason == "refusal":
        words = str((made.answer.stop_details or {}).get("explanation") or "I cannot help with that.")
        refusal: Object = {"type": "refusal", "refusal": words}
        if made.flavor.responses == "llamacpp":
            refusal = {"type": "output_text", "text": words, "annotations": []}
        out.append(Piece(_head(made, len(out)) | {"content": [refusal]}, pieces(words)))
    if out and made.answer.stop_reason in _INCOMPLETE and "status" in out[-1].item:
        out[-1].item["status"] = "incomplete"
    return out


def _id(made: Responded, prefix: str, number: int) -> str:
    return mint(prefix, made.reply_id, number)


def _head(made: Responded, number: int) -> Object:
    return {"id": _id(made, "msg_", number), "type": "message", "status": "completed", "role": "assistant"}


def _reasoning(made: Responded, part: Part, number: int) -> Piece:
    item: Object = {"id": _id(made, "rs_", number), "type": "reasoning", "summary": []}
    words = "".join(part.pieces)
    if made.flavor.responses == "llamacpp" or not made.flavor.strict:
        plain = [{"type": "reasoning_text", "text": words}]
        return Piece({**item, "content": plain, "status": "completed"}, part.pieces)
    if words:
        item["summary"] = [{"type": "summary_text", "text": words}]
    if ENCRYPTED in (made.body.get("include") or []):
        item["encrypted_content"] = sealed(item["id"])
    return Piece(item, part.pieces)


def _message(made: Responded, part: Part, number: int) -> Piece:
    text = part.body["text"]
    cited = [
        {"type": "url_citation", "start_index": 0, "end_index": len(text), "url": each["url"], "title": each["title"]}
        for each in part.body.get("citations") or []
    ]
    logprobs = [_logprob(made, piece) for piece in part.pieces] if _scores(made) else []
    said = {"type": "output_text", "text": text, "annotations": cited, "logprobs": logprobs}
    return Piece(_head(made, number) | {"content": [said]}, part.pieces)


def _call(made: Responded, part: Part, number: int, names: dict[str, Object]) -> Piece:
    name = part.body["name"]
    called = {"call_id": mint("call_", part.body["id"]), **names.get(name, {"name": name})}
    if name in made.freeform:
        text = str(part.body["input"].get("input", ""))
        head = {"id": _id(made, "ctc_", number), "type": "custom_tool_call", "status": "completed"}
        return Piece({**head, **called, "input": text}, pieces(text))
    words = part.pieces or ["{}"]
    head = {"id": _id(made, "fc_", number), "type": "function_call", "status": "completed"}
    return Piece({**head, **called, "arguments": "".join(words)}, words)


def _scores(made: Responded) -> bool:
    return LOGPROBS in (made.body.get("include") or []) and made.flavor.responses != "llamacpp"


def _logprob(made: Responded, piece: str) -> Object:
    entry: Object = {"token": piece, "logprob": round(math.log(0.9), 6), "bytes": list(piece.encode())}
    return {**entry, "top_logprobs": [dict(entry)] * int(made.body.get("top_logprobs") or 0)}


# --- the response ------------------------------------------------------------------------------------


def _usage(made: Responded) -> Object:
    thought = sum(part.tokens for part in made.answer.parts if part.body["type"] == "thinking")
    output = sum(part.tokens for part in made.answer.parts)
    told: Object = {"input_tokens": made.prompt, "output_tokens": output, "total_tokens": made.prompt + output}
    if made.flavor.responses == "llamacpp":
        return told
    told["input_tokens_details"] = {"cached_tokens": 0, "cache_write_tokens": 0}
    told["output_tokens_details"] = {"reasoning_tokens": thought}
    if made.flavor.provider:
        told["cost"] = round(made.prompt * 1e-6 + output * 5e-6, 9)
    return told


def response(made: Responded) -> Object:
    """The finished answer."""
    why = _INCOMPLETE.get(made.answer.stop_reason)
    told = _response(made, "incomplete" if why else "completed")
    told["output"] = [piece.item for piece in _pieces(made)]
    told["usage"] = _usage(made)
    if why and made.flavor.responses != "llamacpp":
        told["incomplete_details"] = {"reason": why}
    return told


def failed(made: Responded, refusal: Refusal) -> Object:
    """An answer that came to nothing."""
    code = {"server_is_overloaded": "server_error", None: "server_error"}.get(refusal.code, refusal.code)
    return _response(made, "failed") | {"error": {"code": code, "message": refusal.message}}


def _response(made: Responded, status: str) -> Object:
    body = made.body
    head: Object = {"id": made.reply_id, "object": "response", "created_at": made.created}
    if made.flavor.responses == "llamacpp":
        return {**head, "status": "completed" if status == "incomplete" else status, "model": made.model.id}
    reasoning = body.get("reasoning") or {}
    told = {"format": {"type": "text"}, "verbosity": "medium"} | (body.get("text") or {})
    tier = {"service_tier": "default" if status != "in_progress" else "auto"} if made.flavor.service_tier else {}
    return {
        **head,
        "completed_at": made.created if status == "completed" else None,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "max_tool_calls": body.get("max_tool_calls"),
        "model": made.model.id,
        "output": [],
        "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
        "previous_response_id": None,
        "prompt_cache_key": body.get("prompt_cache_key"),
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "safety_identifier": body.get("safety_identifier"),
        **tier,
        "store": body.get("store") is not False,
        "temperature": body.get("temperature", 1.0),
        "text": told,
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": [{"strict": None, "parameters": None, **t} if t["type"] == "function" else t for t in _tools(body)],
        "top_logprobs": body.get("top_logprobs", 0),
        "top_p": body.get("top_p", 1.0),
        "truncation": body.get("truncation", "disabled"),
        "usage": None,
        "user": body.get("user"),
        "metadata": body.get("metadata") or {},
    }


def _tools(body: Object) -> list[Object]:
    return list(body.get("tools") or [])


# --- events ------------------------------------------------------------------------------------------


def events(made: Responded) -> list[Object]:
    """The answer as events, in order and with their numbers."""
    if made.flavor.responses == "llamacpp":
        return list(_llamacpp(made))
    whole = response(made)
    first = _response(made, "in_progress")
    out: list[Object] = [{"type": f"response.{name}", "response": first} for name in ("created", "in_progress")]
    for index, piece in enumerate(_pieces(made)):
        out += [{**event, "output_index": index} for event in _item_events(made, piece)]
    out.append({"type": f"response.{whole['status']}", "response": whole})
    return [{**event, "sequence_number": number} for number, event in enumerate(out)]


def error_events(made: Responded, refusal: Refusal, shape: str, number: int) -> list[Object]:
    """How a stream ends in an error: `failed`, or the event `flat` or `nested`."""
    error: Object = {"code": refusal.code, "message": refusal.message, "param": refusal.param}
    match shape:
        case "flat":
            return [{"type": "error", **error, "sequence_number": number}]
        case "nested":
            return [{"type": "error", "sequence_number": number, "error": {"type": refusal.kind, **error}}]
        case _:
            return [{"type": "response.failed", "sequence_number": number, "response": failed(made, refusal)}]


def _item_events(made: Responded, piece: Piece) -> Iterator[Object]:
    item = piece.item
    at: Object = {"item_id": item["id"]}
    yield {"type": "response.output_item.added", "item": _opening(item)}
    match item["type"]:
        case "message":
            yield from _message_events(made, piece, at)
        case "reasoning":
            yield from _reasoning_events(piece, at)
        case "function_call" | "custom_tool_call" as kind:
            name, words = (f"{kind}_arguments", "arguments") if kind == "function_call" else (f"{kind}_input", "input")
            yield from ({"type": f"response.{name}.delta", **at, "delta": word} for word in piece.words)
            told = {"name": item["name"]} if kind == "function_call" else {}
            yield {"type": f"response.{name}.done", **at, **told, words: item[words]}
        case "web_search_call":
            yield from ({"type": f"response.web_search_call.{name}", **at} for name in ("in_progress", "searching"))
            yield {"type": "response.web_search_call.completed", **at}
    yield {"type": "response.output_item.done", "item": item}


def _opening(item: Object) -> Object:
    empty: Object = {"content": [], "summary": [], "arguments": "", "input": ""}
    return {name: empty.get(name, value) for name, value in item.items() if name != "encrypted_content"} | (
        {"status": "in_progress"} if "status" in item else {}
    )


def _message_events(made: Responded, piece: Piece, at: Object) -> Iterator[Object]:
    part = piece.item["content"][0]
    at = {**at, "content_index": 0}
    if part["type"] == "refusal":
        yield {"type": "response.content_part.added", **at, "part": {"type": "refusal", "refusal": ""}}
        yield from ({"type": "response.refusal.delta", **at, "delta": word} for word in piece.words)
        yield {"type": "response.refusal.done", **at, "refusal": part["refusal"]}
    else:
        empty = {**part, "text": "", "annotations": [], "logprobs": []}
        yield {"type": "response.content_part.added", **at, "part": empty}
        for word in piece.words:
            logprobs = [_logprob(made, word)] if _scores(made) else []
            yield {"type": "response.output_text.delta", **at, "delta": word, "logprobs": logprobs}
        for number, annotation in enumerate(part["annotations"]):
            told = {"annotation_index": number, "annotation": annotation}
            yield {"type": "response.output_text.annotation.added", **at, **told}
        yield {"type": "response.output_text.done", **at, "text": part["text"], "logprobs": part["logprobs"]}
    yield {"type": "response.content_part.done", **at, "part": part}


def _reasoning_events(piece: Piece, at: Object) -> Iterator[Object]:
    text = "".join(piece.words)
    if "content" in piece.item:
        at = {**at, "content_index": 0}
        yield from ({"type": "response.reasoning_text.delta", **at, "delta": word} for word in piece.words)
        yield {"type": "response.reasoning_text.done", **at, "text": text}
    elif text:
        at = {**at, "summary_index": 0}
        yield {"type": "response.reasoning_summary_part.added", **at, "part": {"type": "summary_text", "text": ""}}
        yield from ({"type": "response.reasoning_summary_text.delta", **at, "delta": word} for word in piece.words)
        yield {"type": "response.reasoning_summary_text.done", **at, "text": text}
        yield {"type": "response.reasoning_summary_part.done", **at, "part": {"type": "summary_text", "text": text}}


def _llamacpp(made: Responded) -> Iterator[Object]:
    """https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md"""
    bare = {"id": made.reply_id, "object": "response", "status": "in_progress"}
    yield from ({"type": f"response.{name}", "response": bare} for name in ("created", "in_progress"))
    whole = response(made)
    told = [Piece(item, piece.words) for item, piece in zip(whole["output"], _pieces(made), strict=True)]
    for piece in told:
        item = piece.item
        match item["type"]:
            case "reasoning":
                item["encrypted_content"] = ""
                yield {"type": "response.output_item.added", "item": {**_opening(item), "encrypted_content": ""}}
                delta = {"type": "response.reasoning_text.delta", "item_id": item["id"]}
            case "message":
                item["content"][0].pop("logprobs", None)
                yield {"type": "response.output_item.added", "item": _opening(item)}
                part = {"type": "output_text", "text": ""}
                yield {"type": "response.content_part.added", "item_id": item["id"], "part": part}
                delta = {"type": "response.output_text.delta", "item_id": item["id"]}
            case _:
                name = item.pop("id")
                item["call_id"] = f"call_{name.removeprefix('fc_')}"
                yield {"type": "response.output_item.added", "item": _opening(item)}
                delta = {"type": "response.function_call_arguments.delta", "item_id": name}
        yield from ({**delta, "delta": word} for word in piece.words)
    for piece in told:
        if piece.item["type"] == "message":
            part, at = piece.item["content"][0], {"item_id": piece.item["id"]}
            yield {"type": "response.output_text.done", **at, "text": part.get("text", "")}
            yield {"type": "response.content_part.done", **at, "part": part}
        yield {"type": "response.output_item.done", "item": piece.item}
    yield {"type": "response.completed", "response": whole}
