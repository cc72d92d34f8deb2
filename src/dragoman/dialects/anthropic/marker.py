"""Our own mark, where this wire wants a signature and the model behind is not Claude.

Programs drop thinking that is not signed, and send signed thinking back as it came.  So thinking without a signature of
Anthropic's goes out under `dragoman.1.` and base64url of `{"o": origin, "v": value}`: the seal of the server that
thought it, which finds its way home when the mark comes back.  Without a seal the object is empty.  Anthropic's own
signatures are base64 and have no dot in them.
"""

from __future__ import annotations

import base64
import binascii

import msgspec

from dragoman.arguments import json_text
from dragoman.conversation import JSON, Object, Seal
from dragoman.dialects.anthropic.vocabulary import NAME

PREFIX = "dragoman."
"""Of every version; none of them may reach Anthropic."""

_VERSION = PREFIX + "1."
_decode = msgspec.json.Decoder().decode


def signature(seal: Seal | None) -> str:
    """What stands in `signature`, or in the `data` of redacted thinking: a pure function of `seal`."""
    if seal is not None and seal.origin == NAME:
        return seal.value
    said = {"o": seal.origin, "v": seal.value} if seal is not None else {}
    return _VERSION + base64.urlsafe_b64encode(json_text(said).encode()).decode().rstrip("=")


def read_signature(text: str) -> Seal | None:
    """The seal in a signature that came back; None for an empty one, and for a mark that holds none or is not ours."""
    if not text.startswith(PREFIX):
        return Seal(NAME, text) if text else None
    if not text.startswith(_VERSION):
        return None
    data = text.removeprefix(_VERSION)
    try:
        said = _decode(base64.b64decode(data + "=" * (-len(data) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):  # msgspec's own errors are ValueErrors
        return None
    match said:
        case {"o": str(origin), "v": str(value)} if origin not in ("", NAME) and value:
            return Seal(origin, value)
        case _:
            return None


def without_markers(body: Object) -> set[str]:
    """Take every mark of ours out of a `POST /v1/messages` body that is about to go to Anthropic as it is.

    Thinking under a mark, and citations under one, leave; a message in which nothing else stands leaves with them.
    Everything else stays as it is.  What left: "thinking", "citations".
    """
    messages = body.get("messages")
    found: set[str] = set()
    if not isinstance(messages, list):
        return found
    kept = []
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        if not isinstance(content, list):
            kept.append(message)
            continue
        blocks = [block for block in content if not _is_marked(block)]
        if len(blocks) != len(content):
            found.add("thinking")
        uncited = [block for block in blocks if _without_citations(block)]
        if uncited:
            found.add("citations")
        if blocks or not content:
            message["content"] = blocks
            kept.append(message)
    body["messages"] = kept
    return found


def _is_marked(block: JSON) -> bool:
    match block:
        case {"type": "thinking", "signature": str(text)} | {"type": "redacted_thinking", "data": str(text)}:
            return text.startswith(PREFIX)
        case _:
            return False


def _without_citations(block: JSON) -> bool:
    citations = block.get("citations") if isinstance(block, dict) else None
    if not isinstance(citations, list):
        return False
    kept = [citation for citation in citations if not is_marked_citation(citation)]
    if len(kept) == len(citations):
        return False
    if kept:
        block["citations"] = kept
    else:
        del block["citations"]
    return True


def is_marked_citation(citation: JSON) -> bool:
    """Whether we made this citation, for a source that Anthropic knows nothing of."""
    index = citation.get("encrypted_index") if isinstance(citation, dict) else None
    return isinstance(index, str) and index.startswith(PREFIX)
