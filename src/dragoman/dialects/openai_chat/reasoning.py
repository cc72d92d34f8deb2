"""Reasoning in a chat message: `reasoning_content`, `reasoning`, `reasoning_details`, `thinking_blocks`.

None of them is OpenAI's; all of them are in use.  `reasoning_content` (DeepSeek, llama.cpp) and `reasoning` (vLLM,
Ollama) are text.  `reasoning_details` (OpenRouter) and `thinking_blocks` (LiteLLM) also carry the proof that a model
wants back.  A client may send several of them for the same thought: the richest one counts, once.
"""

from __future__ import annotations

import msgspec

from dragoman.arguments import json_text
from dragoman.conversation import Object, Part, Seal, Thinking
from dragoman.dialects.openai_chat.vocabulary import ANTHROPIC_FORMAT, NAME
from dragoman.dialects.reading import objects, path, take

_SIGNER = "anthropic"
_OURS = "dragoman-"
"""Before the name of a dialect: the format of a seal that nobody has named yet."""

_decode = msgspec.json.Decoder().decode


def decode_reasoning(message: Object, at: str, *, theirs: bool = False) -> list[Part]:
    """Pop every reasoning member of `message`; the thoughts of the richest one, in order.

    `theirs`: an upstream said it, see `decode_detail`.
    """
    blocks = objects(message.pop("thinking_blocks", None) or [], path(at, "thinking_blocks"))
    details = objects(message.pop("reasoning_details", None) or [], path(at, "reasoning_details"))
    texts = [take(message, key, str, at) for key in ("reasoning_content", "reasoning")]
    thoughts: list[Thinking | None] = [decode_block(block, where) for block, where in blocks]
    if not any(thoughts):
        thoughts = [decode_detail(detail, where, theirs=theirs) for detail, where in details]
    if all(thought is None or thought.redacted for thought in thoughts):
        # Nothing of it can be read: what can is not in the richest member.
        thoughts = [next((Thinking(text=text) for text in texts if text), None), *thoughts]
    return [thought for thought in thoughts if thought]


def encode_reasoning(thoughts: list[Thinking]) -> Object:
    """`reasoning_content` for people, `reasoning_details` for the model; each only where there is something to say."""
    members: Object = {}
    if text := "".join(thought.text for thought in thoughts):
        members["reasoning_content"] = text
    sealed = [(thought, thought.seal) for thought in thoughts if thought.seal]
    if sealed:
        members["reasoning_details"] = [encode_detail(*pair, index) for index, pair in enumerate(sealed)]
    return members


def decode_detail(detail: Object, at: str, *, theirs: bool = False) -> Thinking | None:
    """One element of `reasoning_details`, or None when it is empty.

    Without a `format` it is Anthropic's, which was there first.  What is signed in any other format goes back whole to
    a chat completions upstream, and nowhere else; so does all that an upstream signed itself (`theirs`), whose models
    may be Claude, but who wants it back in its own form.
    """
    detail.pop("index", None)
    text = take(detail, "text", str, at) or take(detail, "summary", str, at) or ""
    proof = detail.get("signature") or detail.get("data")
    if not isinstance(proof, str):
        return Thinking(text=text) if text else None
    form = take(detail, "format", str, at) or ANTHROPIC_FORMAT
    if not theirs and (form == ANTHROPIC_FORMAT or form.startswith(_OURS)):
        origin = _SIGNER if form == ANTHROPIC_FORMAT else form.removeprefix(_OURS)
        return Thinking(text=text, seal=Seal(origin, proof), redacted="signature" not in detail)
    detail["format"] = form
    return Thinking(text=text, seal=Seal(NAME, json_text(detail)), redacted=not text and "signature" not in detail)


def encode_detail(thought: Thinking, seal: Seal, index: int) -> Object:
    """The element for a sealed thought.  `index` is needed by every program that adds up a stream."""
    if seal.origin == NAME:
        detail: Object = _decode(seal.value)
        key = "summary" if detail.get("type") == "reasoning.summary" else "text"
        text = {key: thought.text} if thought.text or detail.get("type") == "reasoning.text" else {}
        return detail | text | {"index": index}
    form = ANTHROPIC_FORMAT if seal.origin == _SIGNER else _OURS + seal.origin
    if thought.redacted:
        return {"type": "reasoning.encrypted", "data": seal.value, "format": form, "index": index}
    return {"type": "reasoning.text", "text": thought.text, "signature": seal.value, "format": form, "index": index}


def decode_block(block: Object, at: str) -> Thinking | None:
    """One of Anthropic's own blocks, as LiteLLM hands them out in `thinking_blocks`; None when it is empty."""
    if data := take(block, "data", str, at):
        return Thinking(text="", seal=Seal(_SIGNER, data), redacted=True)
    text, signature = take(block, "thinking", str, at) or "", take(block, "signature", str, at)
    if not text and not signature:
        return None
    return Thinking(text=text, seal=Seal(_SIGNER, signature) if signature else None)
