"""The parts of an answer as the blocks a client gets, whatever server the answer came from.

Where this wire has no block for a part it is put into words, or left out.
"""

from __future__ import annotations

import base64
import re

from dragoman.arguments import parse_arguments
from dragoman.conversation import Citation, Foreign, Media, Object, Part, Refusal, Request, Text, Thinking, ToolCall
from dragoman.dialects.anthropic.marker import signature
from dragoman.dialects.sources import CITATIONS
from dragoman.ids import mint

_ID = re.compile(r"[a-zA-Z0-9_-]+")
_FOREIGN_ID = "toolu_dragoman_"
_LONGEST = 200


class Answer:
    """Makes the blocks of one answer, in order.  `own`: what the parts have of their own is Anthropic's."""

    def __init__(self, request: Request, own: bool = False) -> None:
        self.own = own
        reasoning = request.reasoning
        self._unwanted = reasoning is not None and reasoning.mode == "disabled"
        self.hides_thinking = reasoning is not None and reasoning.visible is False
        self._ids: set[str] = set()

    def opening(self, part: Part) -> Object | None:
        """The block of `part` before its deltas, or all of it for a part that has none; None leaves it out."""
        block = self._plain(part)
        return block | part.extra if self.own and block is not None and part.extra else block

    def _plain(self, part: Part) -> Object | None:
        match part:
            case Text() | Refusal() | Media():
                return {"type": "text", "text": ""}
            case Thinking() if self._unwanted:
                return None
            case Thinking(redacted=True, text="", seal=seal):
                return {"type": "redacted_thinking", "data": signature(seal)} if seal else None
            case Thinking():
                return {"type": "thinking", "thinking": "", "signature": ""}
            case ToolCall():
                return {"type": "tool_use", "id": self._call_id(part), "name": part.name, "input": {}}
            case Foreign(origin="anthropic", extra=extra):
                return extra
            case _:
                return None

    def block(self, part: Part) -> Object | None:
        """The block of a whole `part`."""
        block = self.opening(part)
        if block is None:
            return None
        match part:
            case Text(text=text, citations=citations):
                block["text"] = text
                if cited := [encode_citation(citation) for citation in citations]:
                    block["citations"] = cited
            case Refusal(text=text):
                block["text"] = text
            case Media():
                block["text"] = media_words(part)
            case Thinking(text=text, seal=seal) if block["type"] == "thinking":
                block["thinking"] = "" if self.hides_thinking else text
                block["signature"] = signature(seal)
            case ToolCall(arguments=arguments):
                block["input"] = parse_arguments(arguments)
            case _:
                pass
        return block

    def _call_id(self, call: ToolCall) -> str:
        """An id of this wire's alphabet, new in this answer."""
        id = call_id(call.id)
        if id in self._ids:
            id = mint("toolu_", call.id, len(self._ids))
        self._ids.add(id)
        return id


def call_id(id: str) -> str:
    """`id` where the wire takes it; else one that `origin_id` turns back, so that the server knows its own again."""
    if _ID.fullmatch(id) and not id.startswith(_FOREIGN_ID):
        return id
    data = id.encode("utf-8", "surrogatepass")
    if not data or len(data) > _LONGEST:
        return mint("toolu_", id)
    return _FOREIGN_ID + base64.urlsafe_b64encode(data).decode().rstrip("=")


def origin_id(id: str) -> str:
    """The id that `call_id` made `id` of; any other stays as it is."""
    if not id.startswith(_FOREIGN_ID):
        return id
    data = id.removeprefix(_FOREIGN_ID)
    try:
        origin = base64.urlsafe_b64decode(data + "=" * (-len(data) % 4)).decode("utf-8", "surrogatepass")
    except ValueError:
        return id
    return origin if call_id(origin) == id else id


def encode_citation(citation: Citation) -> Object:
    """Anthropic's own object; for a source it knows nothing of, that of a web search under our mark."""
    if citation.extra.get("type") in CITATIONS:
        return citation.extra
    return {
        "type": "web_search_result_location",
        "url": citation.url,
        "title": citation.title or None,
        "cited_text": citation.text,
        "encrypted_index": signature(None),
    }


def media_words(part: Media) -> str:
    """What can be said of a picture or a sound in an answer: this wire has no block for them."""
    if part.source == "text":
        return part.data
    if part.source == "url":
        return f"![{part.name or part.kind}]({part.data})" if part.kind == "image" else part.data
    what = f"{part.kind} ({part.media_type})" if part.media_type else part.kind
    return f"[The answer holds an {what} here, which the Messages API cannot carry.]"
