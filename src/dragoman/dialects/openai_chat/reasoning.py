"""Reasoning in a chat message: `reasoning_content`, `reasoning`, `reasoning_details`, `thinking_blocks`.

None of them is OpenAI's; all of them are in use.  `reasoning_content` (DeepSeek, llama.cpp) and `reasoning` (vLLM,
Ollama) are text.  `reasoning_details` (OpenRouter) and `thinking_blocks` (LiteLLM) also carry the proof that a model
wants back.  A client may send several of them for the same thought: the richest one counts, once.
"""

from __future__ import annotations

import msgspec

from dragoman.arguments import json_text
from dragoman.conversation import JSON, Object, Part, Seal, Thinking
from dragoman.dialects.openai_chat.vocabulary import ANTHROPIC_FORMAT, NAME
from dragoman.dialects.reading import objects, path, take
from dragoman.ids import mint

_SIGNER = "anthropic"
OURS = "dragoman-"
"""What we told can be known again by: it begins the `id` of every proof that is another dialect's, and the `format` of
those that nobody has named yet, before the name of the dialect."""

_decode = msgspec.json.Decoder().decode


def decode_reasoning(message: Object, at: str, *, theirs: bool = False) -> list[Part]:
    """Pop every reasoning member of `message`; the thoughts of the richest one, in order.

    `theirs`: an upstream said it, see `decode_detail`.
    """
    blocks = objects(message.pop("thinking_blocks", None) or [], path(at, "thinking_blocks"))
    details = objects(message.pop("reasoning_details", None) or [], path(at, "reasoning_details"))
    ours = any(_is_ours(detail) for detail, _ in details)
    texts = {key: text for key in ("reasoning_content", "reasoning") if (text := take(message, key, str, at))}
    thoughts = [_placed(decode_block(block, where), where, at) for block, where in blocks]
    if not any(thoughts):
        thoughts = [_placed(decode_detail(detail, where, theirs=theirs), where, at) for detail, where in details]
    if all(thought is None or thought.redacted for thought in thoughts):
        # Nothing of it can be read: what can is not in the richest member.
        thoughts = [next((Thinking(text=text) for text in texts.values()), None), *thoughts]
    if not theirs:  # what was not among the thoughts stays where it stood
        told = [thought.text for thought in thoughts if thought]
        message |= {key: text for key, text in texts.items() if not _is_said(text, told, ours=ours)}
    return [thought for thought in thoughts if thought]


def _is_said(text: str, told: list[str], *, ours: bool) -> bool:
    """Whether the thoughts say all of `text`.  What we told ourselves (`ours`) has steps between them that are none."""
    return text.strip() in "".join(told) or (ours and all(thought in text for thought in told))


def _placed(thought: Thinking | None, where: str, at: str) -> Thinking | None:
    """The thought with what is left of its element under the name of that."""
    if thought is not None and thought.extra:
        thought.extra = {where.removeprefix(f"{at}."): thought.extra}
    return thought


def encode_reasoning(thoughts: list[Thinking], *, own: bool = False) -> Object:
    """`reasoning_content` for people, `reasoning_details` for the model; each only where there is something to say.

    `own`: the thoughts came in this dialect, and what they say besides goes back.
    """
    members: Object = {}
    if text := "".join(thought.text for thought in thoughts):
        members["reasoning_content"] = text
    told = [thought for thought in thoughts if thought.seal or (own and thought.extra)]
    if told:
        members["reasoning_details"] = [_encode_told(thought, index, own) for index, thought in enumerate(told)]
    return members


def _encode_told(thought: Thinking, index: int, own: bool) -> Object:
    rest: Object = next(iter(thought.extra.values()), {}) if own else {}
    if thought.seal:
        return encode_detail(thought, thought.seal, index) | rest
    key = "summary" if rest.get("type") == "reasoning.summary" else "text"
    return {"type": "reasoning.text", key: thought.text, "index": index, **rest}


def _left(element: Object, known: tuple[str, ...] = ()) -> Object:
    """What an element says besides its text and its proof, and what does not follow from these."""
    rest = {key: value for key, value in element.items() if key not in known and value is not None}
    if rest.get("type") in ("reasoning.text", "reasoning.encrypted"):
        del rest["type"]
    if str(rest.get("id")).startswith(OURS):
        del rest["id"]
    return rest


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
        return Thinking(text=text, extra={} if theirs else _left(detail)) if text else None
    form = take(detail, "format", str, at) or ANTHROPIC_FORMAT
    if not theirs and (form == ANTHROPIC_FORMAT or form.startswith(OURS)):
        origin = _SIGNER if form == ANTHROPIC_FORMAT else form.removeprefix(OURS)
        rest = _left(detail, ("signature", "data"))
        return Thinking(text=text, seal=Seal(origin, proof), redacted="signature" not in detail, extra=rest)
    detail["format"] = form
    return Thinking(text=text, seal=Seal(NAME, json_text(detail)), redacted=not text and "signature" not in detail)


def encode_detail(thought: Thinking, seal: Seal, index: int) -> Object:
    """The element for a sealed thought.  `index` is needed by every program that adds up a stream."""
    if seal.origin == NAME:
        detail: Object = _decode(seal.value)
        key = "summary" if detail.get("type") == "reasoning.summary" else "text"
        text = {key: thought.text} if thought.text or detail.get("type") == "reasoning.text" else {}
        return detail | text | {"index": index}
    form = ANTHROPIC_FORMAT if seal.origin == _SIGNER else OURS + seal.origin
    # Programs take two elements with one id for the same: each has its own.
    ours = {"format": form, "id": mint(OURS, seal.value, length=12), "index": index}
    if thought.redacted:
        return {"type": "reasoning.encrypted", "data": seal.value, **ours}
    return {"type": "reasoning.text", "text": thought.text, "signature": seal.value, **ours}


def without_proofs(body: Object) -> set[str]:
    """Take proofs that are for another dialect's servers out of a chat completions body that goes on as it is.

    The words of such reasoning stay where they stand as words.  What left: "thinking".
    """
    found: set[str] = set()
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else ():
        details = message.get("reasoning_details") if isinstance(message, dict) else None
        if not isinstance(details, list):
            continue
        kept = [detail for detail in details if not _is_ours(detail)]
        if len(kept) == len(details):
            continue
        found.add("thinking")
        message["reasoning_details"] = kept
        if not kept:
            del message["reasoning_details"]
    return found


def _is_ours(detail: JSON) -> bool:
    """Whether we told this, of a server of another dialect."""
    members = (detail.get("id"), detail.get("format")) if isinstance(detail, dict) else ()
    return any(isinstance(value, str) and value.startswith(OURS) for value in members)


def decode_block(block: Object, at: str) -> Thinking | None:
    """One of Anthropic's own blocks, as LiteLLM hands them out in `thinking_blocks`; None when it is empty."""
    if data := take(block, "data", str, at):
        return Thinking(text="", seal=Seal(_SIGNER, data), redacted=True, extra=_left(block, ("type",)))
    text, signature = take(block, "thinking", str, at) or "", take(block, "signature", str, at)
    if not text and not signature:
        return None
    seal = Seal(_SIGNER, signature) if signature else None
    return Thinking(text=text, seal=seal, extra=_left(block, ("type",)))
