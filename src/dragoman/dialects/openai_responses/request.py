"""A Responses request, as its client sends it.

`input` must be whole: what an earlier response, a conversation or an `item_reference` stands for is put there before.
What `decode_request` leaves in `extra` is what only OpenAI can honour, and what the gateway itself honours (`HANDLED`).
https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from typing import Any

from dragoman.conversation import Message, Object, Request, Text
from dragoman.dialects.kindred import put, retold
from dragoman.dialects.openai_chat.request import decode_sampling
from dragoman.dialects.openai_responses.items import NOT_SAID, decode_items, encode_items, given_items, left_over
from dragoman.dialects.openai_responses.settings import (
    decode_format,
    decode_include,
    decode_reasoning,
    decode_text,
    encode_include,
    encode_reasoning,
    encode_text,
)
from dragoman.dialects.openai_responses.tools import decode_choice, decode_tools, encode_choice, encode_tools
from dragoman.dialects.openai_responses.vocabulary import NAME, SUMMARY
from dragoman.dialects.reading import keep, laid_over, need, objects, path, take
from dragoman.errors import invalid
from dragoman.losses import Losses

# Members that say nothing: nobody is told of the loss of nothing.
_SAYS_NOTHING: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("service_tier", ("auto", "default")),
    ("truncation", ("disabled",)),
    ("background", (False,)),
    ("metadata", ({},)),
    ("stream_options", ({},)),
    ("prompt_cache_options", ({},)),
    ("context_management", ([],)),
    ("client_metadata", ({},)),
)


def decode_request(body: Object) -> Request:
    """Takes `body` apart.  Raises `GatewayError` ("invalid_request") naming the member that is wrong."""
    model = need(body, "model", str)
    instructions = _decode_instructions(body)
    items = given_items(body)
    apart = [(item, at) for item, at in items if item.get("type") in sorted(NOT_SAID)]
    added, updates = _taken_out(items)
    tools, search, names = decode_tools([*objects(body.pop("tools", None) or [], "tools"), *added])
    messages = instructions + decode_items(items, names)
    if not messages:
        raise invalid("input is required, and must have at least one item", "input")
    request = Request(
        origin=NAME,
        model=model,
        messages=messages,
        stream=take(body, "stream", bool) or False,
        tools=tools,
        tool_choice=decode_choice(body, tools, names),
        web_search=search,
        format=decode_text(body),
    )
    request.reasoning, summary = decode_reasoning(body)
    limit = take(body, "max_output_tokens", int)
    decode_sampling(body, request)
    if limit is not None and limit > 0:
        request.max_tokens = limit
    decode_include(body, request)
    for update, at in updates:
        _configure(request, update, at)
    request.cache = "1h" if body.get("prompt_cache_retention") == "24h" else None
    request.extra = _checked(body) | ({SUMMARY: summary} if summary else {})
    for item, at in apart:
        request.extra |= left_over(item, at)
    request.extra |= names.left
    if isinstance(named := body.get("conversation"), dict):
        request.extra |= left_over(named, "conversation")
    return request


def _decode_instructions(body: Object) -> list[Message]:
    text = take(body, "instructions", str)
    return [Message(role="system", content=[Text(text=text)], at="instructions")] if text else []


def _taken_out(items: list[tuple[Object, str]]) -> tuple[list[tuple[Object, str]], list[tuple[Object, str]]]:
    """The tools that the input adds, and its changes of the settings, each with its path."""
    tools: list[tuple[Object, str]] = []
    updates: list[tuple[Object, str]] = []
    for item, at in items:
        match item.get("type"):
            case "additional_tools":
                tools += objects(item.pop("tools", None) or [], path(at, "tools"))
            case "configuration_update":
                updates.append((item, at))
    return tools, updates


def _configure(request: Request, update: Object, at: str) -> None:
    """From here on another effort or another format: what the last one says counts."""
    wish, _ = decode_reasoning(update, path(at, "reasoning"))
    if wish is not None:
        if wish.enabled and request.reasoning is not None:
            wish.visible = request.reasoning.visible
        request.reasoning = wish
    if (text := take(update, "text", dict, at)) is not None and "format" in text:
        request.format = decode_format(text, path(at, "text"))
    keep(update, "text", text or {})


def _checked(body: Object) -> Object:
    """What is left of `body`, as far as it says something, with what the gateway will look at checked."""
    for key, kind in (("store", bool), ("background", bool), ("metadata", dict), ("previous_response_id", str)):
        if (value := take(body, key, kind)) is not None:  # type: ignore[type-var]
            body[key] = value
    if isinstance(options := body.get("stream_options"), dict):
        options.pop("include_obfuscation", None)  # nothing here is ever padded
    nothing = dict(_SAYS_NOTHING)
    return {key: value for key, value in body.items() if value is not None and value not in nothing.get(key, ())}


# --- encode -------------------------------------------------------------------------------------

_LEAST_TOKENS = 16

# What nothing on this wire stands for; servers that know one of them all the same get it from clients of this dialect.
_UNKNOWN = ("top_k", "min_p", "seed", "frequency_penalty", "presence_penalty", "stop")

# The gateway keeps what its clients want kept: no server is asked to, or to know what another one keeps.
_NOT_SENT = frozenset({"store", "previous_response_id", "conversation", "background", "background_options"})
# What is put into words of its own; see `settings` and `tools`.
_SAID = frozenset({SUMMARY, "include", "tool_choice"})


def encode_request(request: Request, losses: Losses) -> Object:
    """The request for a Responses server that keeps nothing, `input` last."""
    own = request.origin == NAME
    body: Object = {"model": request.model, "store": False, "include": encode_include(request)}
    body["max_output_tokens"] = _encode_limit(request.max_tokens, losses)
    for key in ("temperature", "top_p", "top_logprobs", "user"):
        body[key] = getattr(request, key)
    for key in _UNKNOWN:
        if (value := getattr(request, key)) in (None, []):
            continue
        if own:
            body[key] = value
        else:
            losses.drop(key, "the Responses API has no such member")
    body["reasoning"] = encode_reasoning(request, losses)
    body["text"] = encode_text(request)
    body |= encode_choice(request)
    if own:
        body = laid_over(body, _own_members(request))
        for name in sorted(_left(request)):
            losses.drop(name, "what it is in is said anew")
    else:
        for place, value in retold(request, NAME, losses).items():
            put(body, place, value)
        if "user" in request.extra:  # beside the other name for the same
            body["safety_identifier"] = request.user
    if request.cache and not own and "prompt_cache_retention" not in body:
        losses.emulate("cache", "the server keeps prompts by rules of its own")
    if request.stream:
        body["stream"] = True
    body["tools"] = encode_tools(request, losses) or None
    body["instructions"], body["input"] = encode_items(request, losses)
    return {key: value for key, value in body.items() if value is not None}


def _own_members(request: Request) -> Object:
    """What only this dialect knows; who gave two names for the user has both."""
    unsaid = _NOT_SENT | _SAID | _left(request)
    members = {key: value for key, value in request.extra.items() if key not in unsaid}
    return members | {"safety_identifier": request.user} if "user" in members else members


def _left(request: Request) -> set[str]:
    """What is left of the inside of members that are said anew, by its path."""
    return {name for name in request.extra if "[" in name or name.startswith("conversation.")}


def _encode_limit(limit: int | None, losses: Losses) -> int | None:
    if limit is None or limit >= _LEAST_TOKENS:
        return limit
    losses.emulate("max_tokens", f"a Responses server writes {_LEAST_TOKENS} tokens at least")
    return _LEAST_TOKENS
