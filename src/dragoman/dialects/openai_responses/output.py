"""The items of an answer: as they begin and as they end, and as any server sends them.

https://platform.openai.com/docs/api-reference/responses/object
"""

from __future__ import annotations

from collections.abc import Sequence

from dragoman.arguments import json_text
from dragoman.conversation import JSON, Citation, Foreign, Object, Part, Refusal, Seal, Text, Thinking, ToolCall
from dragoman.dialects.logprobs import decode_logprobs
from dragoman.dialects.openai_responses.sealed import enclose, kept_seal
from dragoman.dialects.openai_responses.tools import flat_name
from dragoman.dialects.openai_responses.vocabulary import ITEM, NAME
from dragoman.dialects.sources import FILES, is_address
from dragoman.dialects.untold import NOTHING, note
from dragoman.ids import mint

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


def reasoning_members(thought: Thinking, item: Object, *, shown: bool) -> Object:
    """What the end of a reasoning item has and its beginning has not: the proof."""
    sealed = enclose(thought, shown=shown, item_id=item["id"])
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
    if own.get("type") in FILES:
        return own
    if not is_address(citation.url):
        return None
    match own.get("url_citation", own):  # chat completions have it one level down
        case {"start_index": int(first), "end_index": int(last)} if 0 <= first <= last <= end:
            start, end = first, last
    place = {"start_index": start, "end_index": end, "title": citation.title, "url": citation.url}
    theirs = own if own.get("type") == "url_citation" and "url_citation" not in own else {}
    return {**theirs, "type": "url_citation", **place}


def encode_logprobs(tokens: Sequence[Object]) -> list[Object]:
    """Tokens with all members the types of this wire want: the bytes are never null here."""
    return [_scored(token) | {"top_logprobs": list(map(_scored, token.get("top_logprobs") or ()))} for token in tokens]


def _scored(token: Object) -> Object:
    word, spelled = token["token"], token.get("bytes")
    return {"token": word, "bytes": spelled if isinstance(spelled, list) else _bytes(word), "logprob": token["logprob"]}


def _bytes(word: JSON) -> list[int]:
    return list(str(word).encode("utf-8", "replace"))


# --- what servers send ----------------------------------------------------------------------------

CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
"""Calls of the client's tools, and where the words of the model are in each."""
GAP = "\n\n"
"""Between two parts of a summary."""

_KNOWN = {
    "message": frozenset({"id", "type", "status", "role", "content"}),
    "reasoning": frozenset({"id", "type", "status", "summary", "content", "encrypted_content"}),
    "function_call": frozenset({"id", "type", "status", "call_id", "namespace", "name", "arguments"}),
    "custom_tool_call": frozenset({"id", "type", "status", "call_id", "namespace", "name", "input"}),
}


def decode_output(value: JSON, seed: str, skipped: list[str]) -> list[Part]:
    """The parts in an `output`; what cannot be read is noted in `skipped`.  `seed` makes ids where there are none."""
    parts: list[Part] = []
    for number, item in enumerate(value if isinstance(value, list) else ()):
        if isinstance(item, dict):
            parts += decode_item(item, f"{seed}:{number}", skipped)
        else:
            note(skipped, "output")
    return parts


def decode_item(item: Object, seed: str, skipped: list[str]) -> list[Part]:
    """One whole item.  What only this wire knows of it stays with its first part, as in a request."""
    kind = kind_of(item)
    match kind:
        case "message":
            parts: list[Part] = [part for each in listed(item.get("content")) for part in decode_said(each, skipped)]
            if parts and (rest := item_rest(item)):
                parts[0].extra[ITEM] = rest
            return parts
        case "reasoning":
            thought = decode_thought(item, skipped)
            return [] if thought is None else [thought]
        case "function_call" | "custom_tool_call":
            if (call := decode_call(item, seed)) is not None:
                return [call]
            note(skipped, f"{kind} without a name")
            return []
        case "":
            note(skipped, "an item without a type")
            return []
        case _:
            return [Foreign(origin=NAME, extra=item)]


def kind_of(item: Object) -> str:
    """The type of an item; a message may lack it."""
    kind = item.get("type")
    return kind if isinstance(kind, str) else "message" if "role" in item else ""


def item_rest(item: Object) -> Object:
    """What only this wire knows of an item; its id is as good as any, its status said elsewhere."""
    known = _KNOWN.get(kind_of(item), frozenset())
    return {name: value for name, value in item.items() if name not in known and value not in NOTHING}


def listed(content: JSON) -> list[JSON]:
    """The parts of a content; a string is one of them."""
    if isinstance(content, list):
        return content
    return [content] if isinstance(content, str | dict) else []


def decode_said(part: JSON, skipped: list[str]) -> list[Text | Refusal]:
    """One part of a message: a text or a refusal, if there is anything in it."""
    match part:
        case str():
            part = {"type": "output_text", "text": part}
        case {"type": "refusal", "refusal": str(text)}:
            note_strange(part, skipped)
            return [Refusal(text=text)] if text else []
        case _:
            pass
    match part:
        case {"text": str(text)}:
            note_strange(part, skipped)
            citations = decode_annotations(part.get("annotations"), skipped)
            tokens = decode_logprobs(part.get("logprobs"))
            return [Text(text=text, citations=citations, logprobs=tokens)] if text else []
        case {"type": str(kind)}:
            note(skipped, f"message.content ({kind})")
        case _:
            note(skipped, "message.content")
    return []


def note_strange(part: JSON, skipped: list[str]) -> None:
    """Note what nobody knows of a part."""
    for name, value in part.items() if isinstance(part, dict) else ():
        if name not in _OF_PARTS and value not in NOTHING:
            note(skipped, f"{part.get('type')}.{name}")


_OF_PARTS = frozenset({"type", "text", "refusal", "annotations", "logprobs"})


def decode_thought(item: Object, skipped: list[str]) -> Thinking | None:
    """The words of `content`, where a model shows them, else those of the summary, and the proof."""
    for part in (*listed(item.get("content")), *listed(item.get("summary"))):
        note_strange(part, skipped)
    told, summary = words(item.get("content")), words(item.get("summary"))
    text = "".join(told) or GAP.join(summary)
    seal = seal_of(item, plain=bool(told))
    if not text and seal is None:
        return None
    both = told and summary and isinstance(item["summary"], list)
    extra = item_rest(item) | ({"summary": item["summary"]} if both else {})
    return Thinking(text=text, seal=seal, redacted=not text, extra=extra)


def words(value: JSON) -> list[str]:
    """The texts in a list of parts."""
    found = [part.get("text") if isinstance(part, dict) else part for part in listed(value)]
    return [text for text in found if isinstance(text, str) and text]


def seal_of(item: Object, *, plain: bool) -> Seal | None:
    """What a server wants back with its reasoning; one that seals nothing and tells all (`plain`), the item itself."""
    sealed, known = item.get("encrypted_content"), item.get("id")
    known = known if isinstance(known, str) else ""
    if isinstance(sealed, str) and sealed:
        return kept_seal(known, sealed)
    return kept_seal(known, "") if plain else None


def decode_call(item: Object, seed: str) -> ToolCall | None:
    """A call under the flat name of its tool; None without a name."""
    name, space = item.get("name"), item.get("namespace")
    if not isinstance(name, str) or not name:
        return None
    kind = kind_of(item)
    text = item.get(CALLS[kind])
    text = json_text(text) if isinstance(text, dict | list) else text if isinstance(text, str) else ""
    freeform = kind == "custom_tool_call"
    ids = (value for key in ("call_id", "id") if isinstance(value := item.get(key), str) and value)
    return ToolCall(
        id=next(ids, None) or mint("call_", seed, name),
        name=flat_name(space, name) if isinstance(space, str) else name,
        arguments=text if freeform or text.strip() else "{}",
        freeform=freeform,
        extra=item_rest(item),
    )


def decode_annotations(value: JSON, skipped: list[str]) -> list[Citation]:
    """What a text cites: pages by their address, files by their name."""
    found = []
    for annotation in value if isinstance(value, list) else ():
        if (citation := decode_annotation(annotation)) is not None:
            found.append(citation)
        else:
            note(skipped, "annotations")
    return found


def decode_annotation(annotation: JSON) -> Citation | None:
    """One of them; None when it is no object."""
    if not isinstance(annotation, dict):
        return None
    inner = annotation.get("url_citation")
    place = inner if isinstance(inner, dict) else annotation
    url, title = place.get("url"), place.get("title") or place.get("filename")
    return Citation(
        url=url if isinstance(url, str) else "", title=title if isinstance(title, str) else "", extra=annotation
    )
