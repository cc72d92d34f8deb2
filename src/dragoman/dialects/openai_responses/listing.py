"""The items of a request as `/v1/responses/{id}/input_items` lists them: whole, each with its id.

https://platform.openai.com/docs/api-reference/responses/input-items
"""

from __future__ import annotations

from dragoman.arguments import json_text
from dragoman.conversation import JSON, Object
from dragoman.dialects.openai_responses.items import given_items
from dragoman.dialects.openai_responses.output import item_id
from dragoman.dialects.reading import check, path

_OUTPUTS = frozenset({"function_call_output", "custom_tool_call_output"})
_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}


def input_items(body: Object, seed: str = "") -> list[Object]:
    """What `input` says, in order; `body` is left as it is.

    An item without an id gets one minted from `seed` (the id of the response) and its place.  Raises `GatewayError` for
    an input that is no list of items.
    """
    return [_normal(item, at, seed, index) for index, (item, at) in enumerate(given_items(dict(body)))]


def _normal(item: Object, at: str, seed: str, index: int) -> Object:
    kind = check(item.get("type") or "message", str, path(at, "type"))
    known = item.get("id")
    head: Object = {"id": known if isinstance(known, str) and known else item_id(kind, f"in {seed}", index)}
    head["type"] = kind
    said = {key: value for key, value in item.items() if value is not None and key not in ("id", "type")}
    if kind == "message":
        role = said.get("role")
        content = _content(said.pop("content", None), "output_text" if role == "assistant" else "input_text")
        return head | {"status": "completed"} | said | {"content": content}
    if kind in _CALLS:
        words = said.get(_CALLS[kind])
        if words is not None and not isinstance(words, str):
            said[_CALLS[kind]] = json_text(words)
        return head | {"status": "completed"} | said
    if kind in _OUTPUTS:
        return head | {"status": "completed"} | said
    return head | said


def _content(content: JSON, kind: str) -> list[JSON]:
    """An array of parts, whichever way it was written."""
    match content:
        case None:
            return []
        case str():
            return [_part({"type": kind, "text": content})]
        case list():
            return [_part({"type": kind, "text": part} if isinstance(part, str) else part) for part in content]
        case _:
            return [_part(content)]


def _part(part: JSON) -> JSON:
    """With the members that the types of the SDKs want."""
    match part:
        case {"type": "output_text"}:
            return {"annotations": [], "logprobs": []} | {k: v for k, v in part.items() if v is not None}
        case {"type": "input_image"}:
            return {"detail": "auto"} | {k: v for k, v in part.items() if v is not None}
        case _:
            return part
