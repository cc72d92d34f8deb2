"""A strict judge: the official SDK's types, with nothing converted and nothing extra."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import BaseModel, TypeAdapter

from dragoman.framing import SSE

_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
HEADERS = {"x-api-key": "k", "anthropic-version": "2023-06-01"}


def extras(value: Any, at: str = "") -> list[str]:
    """The paths of members that the SDK's types do not have."""
    if isinstance(value, list):
        return [path for i, item in enumerate(value) for path in extras(item, f"{at}[{i}]")]
    if not isinstance(value, BaseModel):
        return []
    found = [f"{at}.{name}" for name in value.model_extra or {}]
    for name in type(value).model_fields:
        found += extras(getattr(value, name), f"{at}.{name}")
    return found


def judge_message(raw: bytes) -> Message:
    """A whole answer."""
    message = Message.model_validate_json(raw, strict=True)
    assert extras(message) == []
    return message


def judge_event(data: bytes) -> Any:
    """One event of a stream; `ping` is not in the SDK's union."""
    if msgspec.json.decode(data) == {"type": "ping"}:
        return None
    event = _EVENT.validate_json(data, strict=True)
    assert extras(event) == []
    return event


def ask(url: str, body: dict[str, Any], **headers: str) -> httpx.Response:
    """A request as bytes, without the SDK's help."""
    return httpx.post(f"{url}/v1/messages", json=body, headers=HEADERS | headers, timeout=20)


def events(raw: bytes) -> list[dict[str, Any]]:
    """The events of a stream; each frame's name must be the type in its data."""
    frames = SSE().feed(raw)
    decoded = [msgspec.json.decode(frame) for frame in frames]
    names = [line[7:].decode() for line in raw.split(b"\n") if line.startswith(b"event: ")]
    assert names == [event["type"] for event in decoded]
    return decoded
