"""Thinking that is bound to what stands before it.

The newest models take a thinking block back only while everything before it is as it was; else they refuse the
request.  They can be asked to leave such blocks out instead, and then tell which they left out.
https://platform.claude.com/docs/en/build-with-claude/thinking
"""

from __future__ import annotations

from dragoman.conversation import JSON, Object

BETA = "thinking-binding-controls-2026-08-01"
"""The value of `anthropic-beta` that goes with `thinking.block_binding`."""

_SEALED = ("thinking", "redacted_thinking")

# What `input_transformations` give as reasons, in words.
_REASONS = {
    "prefix_binding_mismatch": "what came before it has changed since the model signed it",
    "model_binding_mismatch": "it is another model's, which this one cannot read",
    "organization_binding_mismatch": "it was signed for another account",
    "end_user_binding_mismatch": "it was signed for another account",
}


def bind(body: Object) -> bool:
    """Ask, in a `POST /v1/messages` body, that thinking which is no longer valid is left out.

    False when there is nothing to ask: no thinking goes back, the client said itself what it wants, or the mode
    of thinking has no room for it.  No mode at all is "adaptive" on every model that checks.
    """
    thinking = body.get("thinking") or {"type": "adaptive"}
    if thinking["type"] not in ("adaptive", "enabled") or "block_binding" in thinking or not _sends_thinking(body):
        return False
    body["thinking"] = {**thinking, "block_binding": {"prefix_mismatch_behavior": "drop_block"}}
    messages = body.pop("messages")  # which stay last
    body["messages"] = messages
    return True


def unbind(body: Object) -> Object:
    """`body` without what `bind` put in."""
    thinking = {name: value for name, value in (body.get("thinking") or {}).items() if name != "block_binding"}
    return {**body, "thinking": thinking}


def refuses_binding(message: str) -> bool:
    """Whether a server's complaint is about what `bind` asks for, or about the header that goes with it."""
    return "block_binding" in message or BETA in message


def decode_dropped(value: JSON) -> dict[str, str]:
    """`input_transformations` of a message as place → why, in our words.

    Thinking has one place, whatever block it was: their numbers are those of what we sent, which may have stood
    elsewhere in what the client sent, or nowhere in it.
    """
    dropped: dict[str, str] = {}
    for item in value if isinstance(value, list) else ():
        match item:
            case {"type": "thinking_dropped", **rest}:
                reason = str(rest.get("reason") or "")
                dropped.setdefault("thinking", _REASONS.get(reason, reason or "the model's server left it out"))
            case {"type": str(kind), "path": str(path)} if kind.endswith("_dropped"):
                dropped.setdefault(path, str(item.get("reason") or kind))
            case _:
                pass
    return dropped


def _sends_thinking(body: Object) -> bool:
    return any(
        block["type"] in _SEALED
        for message in body["messages"]
        if message["role"] == "assistant"
        for block in message["content"]
    )
