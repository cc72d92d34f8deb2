"""The items of an answer, as they begin and as they end.

https://platform.openai.com/docs/api-reference/responses/object
"""

from __future__ import annotations

from collections.abc import Sequence

from dragoman.conversation import JSON, Citation, Object, Thinking, ToolCall
from dragoman.dialects.openai_responses.sealed import enclose
from dragoman.dialects.sources import is_address
from dragoman.ids import mint

_FILES = frozenset({"file_citation", "container_file_citation", "file_path"})


# --- items --------------------------------------------------------------------------------------


def item_id(kind: str, response: str, index: int) -> str:
    """The id of the item at `index` of the response with this id: the same every time."""
    return mint(_PREFIXES.get(kind, "item_"), response, index)


_PREFIXES = {
    "message": "msg_",
    "reasoning": "rs_",
    "function_call": "fc_",
    "custom_tool_call": "ctc_",
    "function_call_output": "fco_",
    "custom_tool_call_output": "ctco_",
    "compaction": "cmp_",
}


def new_message(id: str, members: Object | None = None) -> Object:
    return {
        "id": id,
        "type": "message",
        "status": "in_progress",
        "role": "assistant",
        "content": list[Object](),
        **(members or {}),
    }


def new_reasoning(id: str) -> Object:
    return {"id": id, "type": "reasoning", "status": "in_progress", "summary": list[Object]()}


def new_call(id: str, call: ToolCall, names: dict[str, Object]) -> Object:
    """`names` are the tools in namespaces; see `tools.namespaces`."""
    kind, words = ("custom_tool_call", "input") if call.freeform else ("function_call", "arguments")
    called = names.get(call.name, {"name": call.name})
    return {"id": id, "type": kind, "status": "in_progress", "call_id": call.id, **called, words: ""}


def reasoning_members(thought: Thinking, *, shown: bool) -> Object:
    """What the end of a reasoning item has and its beginning has not: the proof."""
    sealed = enclose(thought, shown=shown)
    return {} if sealed is None else {"encrypted_content": sealed}


# --- what stands in a text ----------------------------------------------------------------------


def text_part(text: str, annotations: Sequence[Object] = (), logprobs: Sequence[Object] = ()) -> Object:
    return {"type": "output_text", "text": text, "annotations": list(annotations), "logprobs": list(logprobs)}


def refusal_part(text: str) -> Object:
    return {"type": "refusal", "refusal": text}


def encode_annotation(citation: Citation, start: int, end: int) -> Object | None:
    """An annotation of the text from `start` to `end` in characters; None for a source that has no address.

    One that came as such keeps its own place, where that is in the text.
    """
    own = citation.extra
    if own.get("type") in _FILES:
        return own
    if not is_address(citation.url):
        return None
    match own.get("url_citation", own):  # chat completions have it one level down
        case {"start_index": int(first), "end_index": int(last)} if 0 <= first <= last <= end:
            start, end = first, last
    place = {"start_index": start, "end_index": end, "title": citation.title, "url": citation.url}
    return {"type": "url_citation", **place}


def encode_logprobs(tokens: Sequence[Object]) -> list[Object]:
    """Tokens with all members the types of this wire want: the bytes are never null here."""
    return [_scored(token) | {"top_logprobs": list(map(_scored, token.get("top_logprobs") or ()))} for token in tokens]


def _scored(token: Object) -> Object:
    word, spelled = token["token"], token.get("bytes")
    return {"token": word, "bytes": spelled if isinstance(spelled, list) else _bytes(word), "logprob": token["logprob"]}


def _bytes(word: JSON) -> list[int]:
    return list(str(word).encode("utf-8", "replace"))
