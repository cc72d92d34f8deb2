"""Thinking signatures: made for the blocks the simulator issues, and checked when they come back.

A seal says which model thought, what it showed, and, for models that check the prefix, everything that stood before.
The key is no secret: it only has to tell our own blocks from forged and altered ones, after a restart too.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from dragoman.conversation import Object
from dragoman.models.cards import Card
from dragoman.simulator.refused import bad
from dragoman.simulator.rules_messages import answers_calls, blocks, expected_thinking

_KEY = b"the key of dragoman's simulator"
_HEAD = {"thinking": b"\x12\xa4", "redacted_thinking": b"\x12\x6d"}
_SEALED = ("thinking", "redacted_thinking")
_MAC = 32

# Members that do not count when a conversation is compared with an earlier one.
_INSIGNIFICANT = ("cache_control", "caller")
_ORDER_COUNTS = ("input", "input_schema")


class Seal(msgspec.Struct, frozen=True):
    """`shown`: digest of the visible text, empty where the text was omitted.  `prefix`: digest of what stood before."""

    kind: Literal["thinking", "redacted_thinking"]
    model: str
    shown: str = ""
    prefix: str = ""


def write(seal: Seal) -> str:
    """The signature of a thinking block, or the data of a redacted one."""
    payload = msgspec.json.encode(seal)
    return base64.b64encode(_HEAD[seal.kind] + _mac(payload) + payload).decode()


def read(kind: str, signature: str) -> Seal | None:
    """The seal in a signature we wrote, or None when it is not ours."""
    try:
        raw = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return None
    head = len(_HEAD[kind])
    mac, payload = raw[head : head + _MAC], raw[head + _MAC :]
    if raw[:head] != _HEAD[kind] or not hmac.compare_digest(mac, _mac(payload)):
        return None
    return msgspec.json.decode(payload, type=Seal)


def _mac(payload: bytes) -> bytes:
    return hmac.digest(_KEY, payload, "sha256")


def digest(text: str) -> str:
    """A short fingerprint of `text`."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


class Prefix:
    """The fingerprint of everything before a point of the conversation: system, tools, messages.

    Two spellings of the same thing have the same fingerprint: text and a list of one text block, key order outside of
    tool input, cache marks, neighbouring messages of one role.
    """

    def __init__(self, body: Object) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._role = ""
        for name in ("system", "tools"):
            value = body.get(name) or []
            self._feed([{"type": "text", "text": value}] if isinstance(value, str) else value)

    def add(self, role: str, block: Object) -> None:
        """One more block of a message."""
        if role != self._role:
            self._feed(role)
            self._role = role
        self._feed({"signature": block["signature"]} if block["type"] == "thinking" else block)

    def _feed(self, value: Any) -> None:
        self._hash.update(msgspec.json.encode(canonical(value)) + b"\n")

    @property
    def value(self) -> str:
        return self._hash.hexdigest()


def canonical(value: Any) -> Any:
    """`value` in one spelling: keys sorted except inside tool input, and nothing that does not count."""
    if isinstance(value, list):
        return [canonical(item) for item in value]
    if not isinstance(value, dict):
        return value
    out = {}
    for key in sorted(value):
        member = value[key]
        if member is None or key in _INSIGNIFICANT or (key == "is_error" and not member):
            continue
        if key == "content" and isinstance(member, str):
            member = [{"type": "text", "text": member}]
        out[key] = member if key in _ORDER_COUNTS else canonical(member)
    return out


def prefix_of(body: Object) -> Prefix:
    """The fingerprint of the whole request, to which the blocks of the answer are added."""
    prefix = Prefix(body)
    for message in body["messages"]:
        for block in blocks(message):
            prefix.add(message["role"], block)
    return prefix


# --- checking -------------------------------------------------------------------------------------


def check_seals(body: Object, card: Card) -> tuple[list[Object], list[Object]]:
    """The messages without thinking blocks this model cannot use, and a report of those dropped.  Raises `Refused`."""
    messages: list[Object] = body["messages"]
    turn = set(_latest_turn(messages))
    _leading_thinking(body, messages, turn)
    if not any(block["type"] in _SEALED for message in messages for block in blocks(message)):
        return messages, []
    binding = (body.get("thinking") or {}).get("block_binding") or {}
    tolerant = binding.get("prefix_mismatch_behavior") == "drop_block"
    prefix = Prefix(body)
    kept: list[Object] = []
    dropped: list[Object] = []
    for index, message in enumerate(messages):
        content = []
        for at, block in enumerate(blocks(message)):
            path = f"messages.{index}.content.{at}"
            reason = _fault(block, card, path, latest=index in turn, prefix=prefix.value, tolerant=tolerant)
            if reason:
                dropped.append({"type": "thinking_dropped", "path": path, "reason": reason})
            else:
                content.append(block)
            prefix.add(message["role"], block)
        kept.append({**message, "content": content})
    return kept, dropped


def _fault(block: Object, card: Card, at: str, *, latest: bool, prefix: str, tolerant: bool) -> str:
    """Why the block cannot be used, or ""; raises where that is an error."""
    kind = block["type"]
    if kind not in _SEALED:
        return ""
    seal = read(kind, block["signature"] if kind == "thinking" else block["data"])
    if seal is None:
        if latest:
            member = "signature" if kind == "thinking" else "data"
            raise bad(f"{at}: Invalid `{member}` in `{kind}` block")
        return ""
    if latest and seal.shown and seal.shown != digest(block["thinking"]):
        raise bad(
            f"{at}: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified. These "
            "blocks must remain as they were in the original response."
        )
    if seal.model != card.id:
        return "model_binding_mismatch"
    if not card.thinking_prefix_check or not seal.prefix or seal.prefix == prefix:
        return ""
    if tolerant:
        return "prefix_binding_mismatch"
    raise bad(
        f"{at}: Invalid `signature` in `{kind}` block. The block is bound to a different conversation. Remove the "
        'block, or set `thinking.block_binding.prefix_mismatch_behavior` to "drop_block".'
    )


def _latest_turn(messages: list[Object]) -> Iterator[int]:
    """The assistant messages of the latest turn: tool results do not end a turn, anything else a user says does."""
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if message["role"] == "assistant":
            yield index
            if index and not is_results(messages[index - 1]):
                return


def is_results(message: Object) -> bool:
    """Whether a user message answers tool calls."""
    return message["role"] == "user" and any(block["type"] == "tool_result" for block in blocks(message))


def _leading_thinking(body: Object, messages: list[Object], turn: set[int]) -> None:
    """Rule 20: a tool loop under manual thinking starts with its thinking block."""
    manual = (body.get("thinking") or {}).get("type") == "enabled"
    if not (manual and turn and answers_calls(messages)):
        return
    first = min(turn)
    found = blocks(messages[first])[0]["type"]
    if found not in _SEALED:
        raise bad(expected_thinking(first, found))
