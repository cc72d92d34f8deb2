"""The events of a response that is done, made of the response itself: as if each item had come at once.

https://platform.openai.com/docs/api-reference/responses/get
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from dragoman.conversation import Object
from dragoman.framing import sse

_encode = msgspec.json.Encoder().encode

_WORDS = {"function_call": "arguments", "custom_tool_call": "input"}
_CALLS = {"function_call": "response.function_call_arguments", "custom_tool_call": "response.custom_tool_call_input"}


def replay(response: Object) -> list[bytes]:
    """One frame an event; the last tells how the response ended."""
    begun = response | {
        "status": "in_progress",
        "completed_at": None,
        "output": [],
        "usage": None,
        "error": None,
        "incomplete_details": None,
    }
    events = [("response.created", {"response": begun}), ("response.in_progress", {"response": begun})]
    for index, item in enumerate(response.get("output") or ()):
        events += _item(item, {"item_id": item.get("id"), "output_index": index})
    # Of one that was cancelled there is no event of its own.
    status = response["status"] if response["status"] in ("completed", "incomplete", "failed") else "incomplete"
    events.append((f"response.{status}", {"response": response}))
    return [
        sse(_encode({"type": name, **members, "sequence_number": number}), name)
        for number, (name, members) in enumerate(events)
    ]


_Events = Iterator[tuple[str, Object]]


def _item(item: Object, at: Object) -> _Events:
    index = {"output_index": at["output_index"]}
    empty = item | ({"status": "in_progress"} if "status" in item else {})
    kind = item.get("type")
    match kind:
        case "message":
            yield "response.output_item.added", index | {"item": empty | {"content": []}}
            for number, part in enumerate(item.get("content") or ()):
                yield from _content(part, at | {"content_index": number})
        case "reasoning":
            bare = {name: value for name, value in empty.items() if name != "encrypted_content"}
            yield "response.output_item.added", index | {"item": bare | {"summary": []}}
            for number, part in enumerate(item.get("summary") or ()):
                yield from _summary(part, at | {"summary_index": number})
        case "function_call" | "custom_tool_call":
            words, event = _WORDS[kind], _CALLS[kind]
            yield "response.output_item.added", index | {"item": empty | {words: ""}}
            text = item.get(words) or ""
            yield f"{event}.delta", at | {"delta": text}
            name = {"name": item.get("name")} if kind == "function_call" else {}
            yield f"{event}.done", at | name | {words: text}
        case _:
            yield "response.output_item.added", index | {"item": empty}
    yield "response.output_item.done", index | {"item": item}


def _content(part: Object, at: Object) -> _Events:
    if part.get("type") == "refusal":
        text = part.get("refusal") or ""
        yield "response.content_part.added", at | {"part": part | {"refusal": ""}}
        yield "response.refusal.delta", at | {"delta": text}
        yield "response.refusal.done", at | {"refusal": text}
    else:
        text, scored = part.get("text") or "", part.get("logprobs") or []
        empty = part | {"text": "", "annotations": [], "logprobs": []}
        yield "response.content_part.added", at | {"part": empty}
        yield "response.output_text.delta", at | {"delta": text, "logprobs": scored}
        for number, annotation in enumerate(part.get("annotations") or ()):
            told = {"annotation_index": number, "annotation": annotation}
            yield "response.output_text.annotation.added", at | told
        yield "response.output_text.done", at | {"text": text, "logprobs": scored}
    yield "response.content_part.done", at | {"part": part}


def _summary(part: Object, at: Object) -> _Events:
    text = part.get("text") or ""
    yield "response.reasoning_summary_part.added", at | {"part": part | {"text": ""}}
    yield "response.reasoning_summary_text.delta", at | {"delta": text}
    yield "response.reasoning_summary_text.done", at | {"text": text}
    yield "response.reasoning_summary_part.done", at | {"part": part}
