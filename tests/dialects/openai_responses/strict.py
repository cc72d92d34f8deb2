"""What the Open Responses specification wants of every object and event, stricter than OpenAI's own types.

https://www.openresponses.org/specification
"""

from __future__ import annotations

from types import NoneType
from typing import Any

from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from dragoman.conversation import Object

_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
_RESPONSE: TypeAdapter[Any] = TypeAdapter(Response)

_NUMBER = (int, float)
RESPONSE: dict[str, tuple[type, ...]] = {
    "id": (str,),
    "object": (str,),
    "created_at": (int,),
    "completed_at": (int, NoneType),
    "status": (str,),
    "incomplete_details": (dict, NoneType),
    "model": (str,),
    "previous_response_id": (str, NoneType),
    "instructions": (str, NoneType),
    "output": (list,),
    "error": (dict, NoneType),
    "tools": (list,),
    "tool_choice": (str, dict),
    "truncation": (str,),
    "parallel_tool_calls": (bool,),
    "text": (dict,),
    "top_p": _NUMBER,
    "presence_penalty": _NUMBER,
    "frequency_penalty": _NUMBER,
    "top_logprobs": (int,),
    "temperature": _NUMBER,
    "reasoning": (dict, NoneType),
    "usage": (dict, NoneType),
    "max_output_tokens": (int, NoneType),
    "max_tool_calls": (int, NoneType),
    "store": (bool,),
    "background": (bool,),
    "service_tier": (str,),
    "metadata": (dict,),
    "safety_identifier": (str, NoneType),
    "prompt_cache_key": (str, NoneType),
}
ITEMS: dict[str, tuple[str, ...]] = {
    "message": ("id", "type", "status", "role", "content"),
    "function_call": ("id", "type", "call_id", "name", "arguments", "status"),
    "custom_tool_call": ("id", "type", "call_id", "name", "input"),
    "reasoning": ("id", "type", "summary"),
    "compaction": ("id", "type", "encrypted_content"),
}
_AT, _PART = ("item_id", "output_index"), ("item_id", "output_index", "content_index")
_SUMMARY = (*_AT, "summary_index")
EVENTS: dict[str, tuple[str, ...]] = {
    **{f"response.{name}": ("response",) for name in ("created", "in_progress", "completed", "incomplete", "failed")},
    "response.output_item.added": ("output_index", "item"),
    "response.output_item.done": ("output_index", "item"),
    "response.content_part.added": (*_PART, "part"),
    "response.content_part.done": (*_PART, "part"),
    "response.output_text.delta": (*_PART, "delta", "logprobs"),
    "response.output_text.done": (*_PART, "text", "logprobs"),
    "response.output_text.annotation.added": (*_PART, "annotation_index", "annotation"),
    "response.refusal.delta": (*_PART, "delta"),
    "response.refusal.done": (*_PART, "refusal"),
    "response.reasoning_summary_part.added": (*_SUMMARY, "part"),
    "response.reasoning_summary_part.done": (*_SUMMARY, "part"),
    "response.reasoning_summary_text.delta": (*_SUMMARY, "delta"),
    "response.reasoning_summary_text.done": (*_SUMMARY, "text"),
    "response.function_call_arguments.delta": (*_AT, "delta"),
    "response.function_call_arguments.done": (*_AT, "name", "arguments"),
    "response.custom_tool_call_input.delta": (*_AT, "delta"),
    "response.custom_tool_call_input.done": (*_AT, "input"),
}
_STATUSES = ("completed", "failed", "in_progress", "cancelled", "queued", "incomplete")
_ONLY_CODEX = ("context_length_exceeded", "insufficient_quota")


def check_response(response: Object) -> None:
    for key, kinds in RESPONSE.items():
        assert key in response, key
        assert type(response[key]) in kinds, (key, response[key])
    assert response["object"] == "response"
    assert response["status"] in _STATUSES
    assert response["truncation"] in ("auto", "disabled")
    if response["reasoning"] is not None:
        assert response["reasoning"].keys() >= {"effort", "summary"}
        assert response["reasoning"]["effort"] in (None, "none", "low", "medium", "high", "xhigh")
    assert response["text"]["format"]["type"] in ("text", "json_object", "json_schema")
    assert response["text"].get("verbosity", "low") in ("low", "medium", "high")
    for tool in response["tools"]:
        if tool["type"] == "function":
            assert tool.keys() >= {"type", "name", "description", "parameters", "strict"}
    if response["usage"] is not None:
        usage = response["usage"]
        assert type(usage["input_tokens"]) is type(usage["output_tokens"]) is type(usage["total_tokens"]) is int
        assert usage["input_tokens_details"].keys() >= {"cached_tokens"}
        assert usage["output_tokens_details"].keys() >= {"reasoning_tokens"}
    if response["error"] is not None:
        assert set(response["error"]) == {"code", "message"}
    assert (response["incomplete_details"] is not None) == (response["status"] == "incomplete")
    for item in response["output"]:
        check_item(item)
    if response["error"] is None or response["error"]["code"] not in _ONLY_CODEX:
        _RESPONSE.validate_python(response)


def check_item(item: Object) -> None:
    if item["type"] in ITEMS:
        assert item.keys() >= set(ITEMS[item["type"]]), item
    for part in item.get("content", ()):
        if part["type"] == "output_text":
            assert part.keys() >= {"text", "annotations", "logprobs"}


def check_event(event: Object) -> None:
    assert type(event["sequence_number"]) is int
    for key in EVENTS[event["type"]]:
        assert key in event, (event["type"], key)
    if "response" in event:
        check_response(event["response"])
    if "item" in event:
        check_item(event["item"])
    error = event.get("response", {}).get("error")
    if error is None or error["code"] not in _ONLY_CODEX:
        _EVENT.validate_python(event)
