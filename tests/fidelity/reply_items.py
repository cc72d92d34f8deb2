"""Answers of the Responses API around the member that is looked for: items that make sense, and a stream of them."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from tests.fidelity.members import Field, Leaf, Record

Object = dict[str, Any]

UNFINISHED = re.compile(r"^(response\.\w+\.response\.)?(error\b|status=(failed|cancelled|queued|in_progress)$)")
"""An answer with these is an error, or no answer yet."""

# What a response repeats of its request is told by its name: what is inside is the client's own.
_ECHOED = (
    "access_programs",
    "instructions",
    "tools",
    "tool_choice",
    "text",
    "prompt",
    "reasoning",
    "prompt_cache_options",
)
_PLAIN = Field(False, (Leaf("object"),))


def pruned(record: Record) -> Record:
    """The Response object, with what it repeats of its request as one value each."""
    fields = {name: _PLAIN if name in _ECHOED else field for name, field in record.fields.items()}
    return Record(record.name, record.label, fields)


def pruned_event(record: Record) -> Record:
    """An event; what is in the output of the response in it is looked for in whole answers."""
    fields = dict(record.fields)
    if field := fields.get("response"):
        (shape,) = field.alternatives
        assert isinstance(shape, Record)
        inside = pruned(shape)
        kept = {name: value for name, value in inside.fields.items() if name != "output"}
        fields["response"] = Field(True, (Record(inside.name, inside.label, kept),))
    return Record(record.name, record.label, fields)


# --- items ---------------------------------------------------------------------------------------------


def _text(text: str = "hi") -> Object:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _message(text: str = "hi") -> Object:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "phase": None,
        "content": [_text(text)],
    }


_WORDS: dict[str, Object] = {
    "function_call": {"call_id": "call_1", "name": "f", "arguments": "{}"},
    "custom_tool_call": {"call_id": "call_1", "name": "f", "input": "x"},
}


def _whole(item: Object, at: str) -> Object:
    """An item with what it makes no sense without."""
    kind = item.get("type")
    if kind == "message":
        parts = [_said(part, at) for part in item.get("content") or [_text()]]
        return _message() | item | {"content": parts}
    if kind == "reasoning":
        item.setdefault("summary", [])
        if not (item["summary"] or item.get("content") or item.get("encrypted_content")):
            item["summary"] = [{"type": "summary_text", "text": "hm"}]
    return {**_WORDS.get(str(kind), {}), **item}


def _said(part: Object, at: str) -> Object:
    if part.get("type") == "refusal":
        return {"refusal": "no"} | part
    whole = _text() | part
    if "annotations" in at:
        whole["text"] = "x" * 900_000  # what is cited stands in it
        whole["annotations"] = [{"end_index": 900_000} | each | _far(each, at) for each in whole["annotations"]]
    return whole


def _far(annotation: Object, at: str) -> Object:
    """Its end, behind a beginning that is looked for."""
    return {"end_index": 900_000} if "start_index" in at and "end_index" in annotation else {}


def complete(body: Object, at: str) -> None:
    """A response that is finished, and has an answer in it."""
    body["output"] = [_whole(item, at) for item in body.get("output") or [_message()]]
    _ended(body, at)


def _ended(body: Object, at: str) -> None:
    body.setdefault("id", "resp_1")
    body["error"] = None
    if "incomplete_details" not in at:
        body["incomplete_details"] = {"reason": "max_output_tokens"} if body.get("status") == "incomplete" else None
    if not re.search(r"\bstatus\b", at):
        body["status"] = "incomplete" if body["incomplete_details"] else "completed"


# --- streams -------------------------------------------------------------------------------------------

# Which kind of item an event is of, where it is not a message.
_OF = {
    "response.reasoning": "reasoning",
    "response.function_call": "function_call",
    "response.custom_tool_call": "custom_tool_call",
}
_PART = re.compile(r"\.(added|done)$")


def stream(kind: str, event: Object, at: str) -> bytes:
    """A stream in which the event stands where it belongs: in the middle of the item that it is of."""
    event["type"] = kind
    _score(event.get("logprobs"))
    first: Object = {"id": "resp_1", "object": "response", "status": "in_progress", "output": [], "model": "m"}
    last: Object = first | {"status": "completed", "usage": None}
    middle: list[Object] = []
    out = [{"type": "response.created", "response": first}, {"type": "response.in_progress", "response": first}]
    if "response" in event:
        response = first | event["response"]
        if kind in ("response.created", "response.in_progress", "response.queued"):
            out = [each if each["type"] != kind else event | {"response": response} for each in out]
            if kind == "response.queued":
                out[:0] = [event | {"response": response | {"status": "queued"}}]
        else:
            if kind == "response.incomplete":
                event["response"].setdefault("incomplete_details", {"reason": "max_output_tokens"})
                at += " incomplete_details"
            _ended(event["response"], at)
            last = last | event["response"]
    else:
        middle = [event]
    ending = kind if kind in ("response.completed", "response.incomplete") else "response.completed"
    items, told = _told(kind, middle, at)
    out += told
    told_last = event if kind == ending else {}
    out.append(told_last | {"type": ending, "response": last | {"output": items}})
    frames = [{"sequence_number": number} | frame for number, frame in enumerate(out)]
    return b"".join(b"event: %b\ndata: %b\n\n" % (str(f["type"]).encode(), msgspec.json.encode(f)) for f in frames)


def _score(tokens: list[Object] | None) -> None:
    """Tokens have a text and a number."""
    for token in tokens or []:
        token.setdefault("token", "x")
        token.setdefault("logprob", -0.5)
        _score(token.get("top_logprobs"))


def _told(kind: str, middle: list[Object], at: str) -> tuple[list[Object], list[Object]]:
    """The items, and the events that tell them, with the one that is looked at among them."""
    if not middle:
        return _one(_message(), [])
    (event,) = middle
    if kind in ("response.output_item.added", "response.output_item.done"):
        item = _whole(event["item"], at)
        if item["type"] == "message":
            return _one(item, [], around=event | {"item": item})
        before, events = _one(_message(), [])
        after, more = _one(item, [], index=1, around=event | {"item": item})
        return [*before, *after], [*events, *more]
    of = next((item for name, item in _OF.items() if kind.startswith(name)), "message")
    if of != "message":
        item = _whole({"id": "item_1", "type": of, "status": "completed", "summary": []}, at)
        item = _grown(item, kind, event)
        before, events = _one(_message(), [])
        after, more = _one(item, [event | _at("item_1", 1, event)], index=1)
        return [*before, *after], [*events, *more]
    if kind == "response.output_text.annotation.added":
        item = _message("x" * 900_000)
        item["content"][0]["annotations"] = [event.setdefault("annotation", {})]
    elif kind in ("response.content_part.added", "response.content_part.done"):
        part = event["part"]
        if part.get("type") == "reasoning_text":
            part = _text()
        item = _message() | {"content": [_said(part, at)]}
        event = event | {"part": item["content"][0] if event["part"].get("type") != "reasoning_text" else event["part"]}
    else:
        item = _grown(_message(), kind, event)
    return _one(item, [event | _at("msg_1", 0, event)])


def _at(id: str, index: int, event: Object) -> Object:
    """Where an event belongs, as far as that is not what is looked for."""
    given = {"item_id": id, "output_index": index, "content_index": 0, "summary_index": 0}
    return {name: value for name, value in given.items() if event.get(name) in ("x", 0)}


def _grown(item: Object, kind: str, event: Object) -> Object:
    """The item as it is when the event has told its part of it."""
    words = event.get("delta") or event.get("text") or event.get("arguments") or event.get("input")
    words = words or event.get("refusal")
    if not isinstance(words, str):
        return item
    match item["type"]:
        case "function_call":
            return item | {"arguments": words if words.startswith("{") else "{}"}
        case "custom_tool_call":
            return item | {"input": words}
        case "reasoning" if "summary" in kind:
            return item | {"summary": [{"type": "summary_text", "text": words}]}
        case "reasoning":
            return item | {"summary": [], "content": [{"type": "reasoning_text", "text": words}]}
        case _ if "refusal" in kind:
            return item | {"content": [{"type": "refusal", "refusal": words}]}
        case _ if "output_text" in kind:
            tokens = event.get("logprobs") or []
            return item | {"content": [_text(words) | {"logprobs": tokens}]}
        case _:
            return item


_EMPTY: Object = {"content": [], "summary": [], "arguments": "", "input": ""}


def _one(
    item: Object, inside: list[Object], *, index: int = 0, around: Object | None = None
) -> tuple[list[Object], list[Object]]:
    """An item and its events: how it begins, what is told in between, and how it ends."""
    begun = {name: _EMPTY.get(name, value) for name, value in item.items() if name != "encrypted_content"}
    added: Object = {
        "type": "response.output_item.added",
        "output_index": index,
        "item": begun | {"status": "in_progress"},
    }
    done: Object = {"type": "response.output_item.done", "output_index": index, "item": item}
    if around is not None:
        around = {name: value for name, value in around.items() if name != "output_index" or value}
        if around["type"] == "response.output_item.added":
            added = {"output_index": index} | around
        else:
            done = {"output_index": index} | around
    return [item], [added, *inside, done]
