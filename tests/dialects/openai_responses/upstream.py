"""What tests do with a server's stream: write it, decode it, fold it."""

from __future__ import annotations

from typing import Any

import msgspec

from dragoman.conversation import Event, Object, Reply
from dragoman.dialects.openai_responses import Decoder
from dragoman.folding import Fold
from dragoman.framing import sse


def stream(*events: Any) -> bytes:
    """These events as bytes, numbered, and with their names where they have one."""
    told = []
    for number, event in enumerate(events):
        named = isinstance(event, dict)
        data = msgspec.json.encode(event | {"sequence_number": number} if named else event)
        told.append(sse(data, str(event.get("type") or "") if named else ""))
    return b"".join(told)


def completed(*output: Object, status: str = "completed", **members: Any) -> Object:
    """The last event of an answer with these items."""
    return {"type": f"response.{status}", "response": response(*output, status=status, **members)}


def response(*output: Object, status: str = "completed", **members: Any) -> Object:
    return {"id": "resp_1", "object": "response", "model": "m", "status": status, "output": list(output)} | members


def decode(*pieces: bytes) -> list[Event]:
    decoder = Decoder()
    return [event for piece in pieces for event in decoder.feed(piece)] + decoder.close()


def fold(events: list[Event]) -> Reply:
    folded = Fold("openai_responses")
    folded.feed(events)
    return folded.reply


# --- items, as they end ---------------------------------------------------------------------------


def message(*parts: str | Object, id: str = "msg_1", **members: Any) -> Object:
    content = [
        {"type": "output_text", "text": part, "annotations": [], "logprobs": []} if isinstance(part, str) else part
        for part in parts
    ]
    head = {"id": id, "type": "message", "role": "assistant", "status": "completed"}
    return {**head, "content": content, **members}


def call(name: str, arguments: str = "{}", id: str = "fc_1", call_id: str = "call_1", **members: Any) -> Object:
    head = {"id": id, "type": "function_call", "status": "completed", "call_id": call_id}
    return {**head, "name": name, "arguments": arguments, **members}


def reasoning(*summary: str, id: str = "rs_1", sealed: str | None = "gAAAA", **members: Any) -> Object:
    told = [{"type": "summary_text", "text": text} for text in summary]
    proof = {} if sealed is None else {"encrypted_content": sealed}
    return {"id": id, "type": "reasoning", "summary": told, **proof, **members}


# --- events ---------------------------------------------------------------------------------------


def added(item: Object, index: int | None = None) -> Object:
    empty = {"content": [], "summary": [], "arguments": "", "input": ""}
    head = {name: empty.get(name, value) for name, value in item.items() if name != "encrypted_content"}
    return {"type": "response.output_item.added", "item": head} | _at(index)


def done(item: Object, index: int | None = None) -> Object:
    return {"type": "response.output_item.done", "item": item} | _at(index)


def text(delta: str, id: str = "msg_1", **members: Any) -> Object:
    return {"type": "response.output_text.delta", "item_id": id, "delta": delta, **members}


def arguments(delta: str, id: str = "fc_1", **members: Any) -> Object:
    return {"type": "response.function_call_arguments.delta", "item_id": id, "delta": delta, **members}


def summary(delta: str, id: str = "rs_1", **members: Any) -> Object:
    return {"type": "response.reasoning_summary_text.delta", "item_id": id, "delta": delta, **members}


def thought(delta: str, id: str = "rs_1", **members: Any) -> Object:
    return {"type": "response.reasoning_text.delta", "item_id": id, "delta": delta, **members}


def _at(index: int | None) -> Object:
    return {} if index is None else {"output_index": index}
