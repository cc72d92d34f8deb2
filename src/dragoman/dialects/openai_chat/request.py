"""A chat completions request, both ways.

What `decode_request` leaves in `extra` is what only OpenAI can honour.  A member that says nothing (null, or
the documented default) is taken out, so that nobody is told of the loss of nothing.
https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, cast

from dragoman.conversation import Effort, Format, Message, Object, Reasoning, Request
from dragoman.dialects.hosted import decode_web_search, encode_web_search
from dragoman.dialects.kindred import retold
from dragoman.dialects.openai_chat.messages import decode_messages, encode_messages
from dragoman.dialects.openai_chat.parts import decode_content
from dragoman.dialects.openai_chat.tools import decode_choice, decode_tools, encode_choice, encode_tools
from dragoman.dialects.openai_chat.vocabulary import EFFORTS, EMULATED, NAME
from dragoman.dialects.reading import choose, keep, laid_over, need, path, strings, take
from dragoman.errors import invalid
from dragoman.losses import Losses

_SAYS_NOTHING: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "n": (1,),
        "store": (False,),
        "service_tier": ("auto", "default"),
        "modalities": (["text"],),
        "verbosity": ("medium",),
        "logit_bias": ({},),
        "metadata": ({},),
        "stream_options": ({},),
    }
)

# An OpenAI effort for a budget of thinking tokens: the steps that gateways commonly use, read backwards.
_BUDGET_EFFORTS: tuple[tuple[int, Effort], ...] = ((1024, "low"), (4096, "medium"))


# --- the whole ----------------------------------------------------------------------------------


def decode_request(body: Object) -> Request:
    """Takes `body` apart.  Raises `GatewayError` ("invalid_request") naming the member that is wrong."""
    model = need(body, "model", str)
    messages = _decode_system(body) + decode_messages(need(body, "messages", list))
    if not messages:
        raise invalid("messages must have at least one message", "messages")
    tools = decode_tools(body)
    request = Request(
        origin=NAME,
        model=model,
        messages=messages,
        stream=take(body, "stream", bool) or False,
        tools=tools,
        tool_choice=decode_choice(body, tools),
        web_search=decode_web_search(body),
        reasoning=_decode_reasoning(body),
        format=_decode_format(body),
    )
    decode_sampling(body, request)
    request.logprobs = take(body, "logprobs", bool) or None
    request.top_logprobs = int(_number(body, "top_logprobs", 0, 20) or 0) or None
    request.cache = _decode_cache(body)
    request.extra = decode_extra(body, request.stream)
    return request


def encode_request(request: Request, losses: Losses) -> Object:
    """The request for a chat completions server, `messages` last.

    The output limit is `max_tokens`, the name every compatible server knows; usage is always asked for in a stream.
    """
    own = request.origin == NAME
    body: Object = {"model": request.model}
    for key in ("max_tokens", "temperature", "top_p", "top_k", "min_p", "seed", "frequency_penalty"):
        body[key] = getattr(request, key)
    for key in ("presence_penalty", "logprobs", "top_logprobs", "user"):
        body[key] = getattr(request, key)
    body["stop"] = request.stop or None
    body["reasoning_effort"] = _encode_reasoning(request.reasoning, losses)
    body["response_format"] = _encode_format(request.format)
    body["web_search_options"] = encode_web_search(request.web_search, own=own, losses=losses)
    body |= encode_choice(request)
    if own:
        body = laid_over(body, _own_members(request, losses))
    else:
        body |= _kindred_members(request, losses)
    if request.stream:
        body["stream"] = True
        body["stream_options"] = (body.get("stream_options") or {}) | {"include_usage": True}
    body["tools"] = encode_tools(request, losses) or None
    body["messages"] = encode_messages(request, losses)
    return {key: value for key, value in body.items() if value is not None}


def _kindred_members(request: Request, losses: Losses) -> Object:
    """What a client of another dialect says that no other member stands for."""
    members = retold(request, NAME, losses)
    if "user" in members:  # beside the other name for the same
        members["safety_identifier"] = request.user
    if request.cache:
        members["cache_control"] = {"type": "ephemeral"} | ({"ttl": "1h"} if request.cache == "1h" else {})
    return members


def _own_members(request: Request, losses: Losses) -> Object:
    """What only this dialect knows.  One call gives one reply; who gave two names for the user has both."""
    members = {key: value for key, value in request.extra.items() if key not in ("n", _OLD_LIMIT)}
    if _OLD_LIMIT in request.extra:
        losses.emulate(_OLD_LIMIT, EMULATED[_OLD_LIMIT])
    if isinstance(rest := members.get("response_format"), dict):
        if request.format is None:
            members["response_format"] = {"type": "text", **rest}
        elif request.format.kind == "json" and "json_schema" in rest:  # one without a schema
            members["response_format"] = {"type": "json_schema", **rest}
    return members | {"safety_identifier": request.user} if "user" in members else members


_OLD_LIMIT = "max_tokens"
"""In `extra` where both names of the limit were used for different ones: the newer name counts."""


# --- members shared with the legacy completions -------------------------------------------------


def decode_sampling(body: Object, request: Request) -> None:
    """Pop what steers sampling and length, checked against the documented ranges, into `request`."""
    limit, older = _limit(body, "max_completion_tokens"), _limit(body, _OLD_LIMIT)
    request.max_tokens = limit or older
    if limit and older and limit != older:
        body[_OLD_LIMIT] = older
    request.temperature = _number(body, "temperature", 0, 2)
    request.top_p = _number(body, "top_p", 0, 1)
    request.frequency_penalty = _number(body, "frequency_penalty", -2, 2) or None
    request.presence_penalty = _number(body, "presence_penalty", -2, 2) or None
    request.top_k = take(body, "top_k", int)
    request.min_p = _number(body, "min_p", 0, 1)
    request.seed = take(body, "seed", int)
    if (stop := body.pop("stop", None)) is not None:
        request.stop = [word for word in strings(stop, "stop") if word]
    identifier, user = take(body, "safety_identifier", str), take(body, "user", str)
    request.user = identifier or user or None
    if identifier and user and user != identifier:
        body["user"] = user


def _limit(body: Object, key: str) -> int | None:
    limit = take(body, key, int)
    return limit if limit is not None and limit > 0 else None


def decode_extra(body: Object, stream: bool) -> Object:
    """What is left of `body`, with `n` and `stream_options` checked, without members that say nothing."""
    if (n := take(body, "n", int)) is not None:
        if not 1 <= n <= 128:
            raise invalid(f"n must be between 1 and 128, not {n}", "n")
        body["n"] = n
    if (options := take(body, "stream_options", dict)) is not None and stream:
        options = dict(options)
        usage = take(options, "include_usage", bool, "stream_options")
        take(options, "include_obfuscation", bool, "stream_options")  # nothing here is ever padded
        body["stream_options"] = ({"include_usage": True} if usage else {}) | options
    return {k: v for k, v in body.items() if v is not None and v not in _SAYS_NOTHING.get(k, ())}


def include_usage(request: Request) -> bool:
    """Whether the client asked for the usage chunk at the end of its stream."""
    return bool((request.extra.get("stream_options") or {}).get("include_usage"))


def _number(body: Object, key: str, low: int, high: int) -> float | None:
    if key not in body:
        return None
    value = take(body, key, float)
    if value is not None and not low <= value <= high:
        raise invalid(f"{key} must be between {low} and {high}, not {value:g}", key)
    return value


# --- members of chat only -----------------------------------------------------------------------


def _decode_system(body: Object) -> list[Message]:
    """A top-level `system`, as programs written for Anthropic leave it, is a leading system message."""
    content = decode_content(body.pop("system", None), "system")
    return [Message(role="system", content=content, at="system")] if content else []


def _decode_cache(body: Object) -> Literal["5m", "1h"] | None:
    """How long the prompt is to be kept: OpenAI's 24 hours are the longest there is, or OpenRouter's `cache_control`.

    Both stay in `body`, for a server of this dialect.
    """
    control = body.get("cache_control")
    if isinstance(control, dict):
        return "1h" if control.get("ttl") == "1h" else "5m"
    return "1h" if body.get("prompt_cache_retention") == "24h" else None


def _decode_reasoning(body: Object) -> Reasoning | None:
    """Pop every spelling of the wish to think: OpenAI's, OpenRouter's and vLLM's, DeepSeek's and Anthropic's."""
    if _WISHES.isdisjoint(body):
        return None
    wish = Reasoning()
    _apply_effort(wish, body, "reasoning_effort", "")
    if (asked := take(body, "reasoning", dict)) is not None:
        _decode_wish(wish, asked)
        keep(body, "reasoning", asked)
    if (asked := take(body, "thinking", dict)) is not None:
        kind = choose(asked, "type", ("enabled", "disabled", "adaptive"), "thinking")
        if kind is not None:
            wish.enabled = kind != "disabled"
        wish.budget = _positive(asked, "budget_tokens", "thinking") or wish.budget
        if choose(asked, "display", ("summarized", "omitted"), "thinking") == "omitted":
            wish.visible = False
        keep(body, "thinking", asked)
    if (shown := take(body, "include_reasoning", bool)) is not None:
        wish.visible = shown
    if type(body.get("think")) is bool:  # Ollama's word, which Open WebUI sends here too
        wish.enabled = body.pop("think")
    if wish.enabled is False:
        return Reasoning(enabled=False)
    if wish.enabled is None and (wish.effort or wish.budget):
        wish.enabled = True
    if wish.enabled and wish.visible is None:
        wish.visible = True
    return None if wish == Reasoning() else wish


_WISHES = frozenset({"reasoning_effort", "reasoning", "thinking", "include_reasoning", "think"})


def _decode_wish(wish: Reasoning, asked: Object) -> None:
    """OpenRouter's `reasoning` object."""
    enabled = take(asked, "enabled", bool, "reasoning")
    if enabled is not None:
        wish.enabled = enabled
    _apply_effort(wish, asked, "effort", "reasoning")
    wish.budget = _positive(asked, "max_tokens", "reasoning")
    if (hidden := take(asked, "exclude", bool, "reasoning")) is not None:
        wish.visible = not hidden


def _apply_effort(wish: Reasoning, owner: Object, key: str, at: str) -> None:
    effort = choose(owner, key, ("none", *EFFORTS), at)
    if effort == "none":
        wish.enabled = False
    elif effort is not None:
        wish.enabled, wish.effort = True, cast(Effort, effort)


def _positive(owner: Object, key: str, at: str) -> int | None:
    value = take(owner, key, int, at)
    return value if value is not None and value > 0 else None


def _encode_reasoning(wish: Reasoning | None, losses: Losses) -> str | None:
    if wish is None:
        return None
    if wish.enabled is False:
        return "none"
    if wish.effort is None and wish.budget is not None:
        losses.emulate("reasoning.budget", "as the nearest reasoning_effort")
        return budget_effort(wish.budget)
    if wish.budget is not None:
        losses.drop("reasoning.budget", "chat completions know an effort, but no budget")
    return wish.effort or ("medium" if wish.enabled else None)


def budget_effort(budget: int) -> Effort:
    """The effort that is nearest to a budget of thinking tokens."""
    return next((effort for most, effort in _BUDGET_EFFORTS if budget <= most), "high")


def _decode_format(body: Object) -> Format | None:
    asked = take(body, "response_format", dict)
    if asked is None:
        return None
    at = "response_format"
    kind = choose(asked, "type", ("text", "json_object", "json_schema"), at)
    if kind == "text":
        keep(body, at, asked)
        return None
    if kind is None:
        raise invalid(f"{at}.type is required", f"{at}.type")
    where = path(at, "json_schema")
    named = take(asked, "json_schema", dict, at) if kind == "json_schema" else None
    if named is None:
        named, where = asked, at  # llama.cpp takes the schema without its wrapping
    wanted = Format(
        kind="schema",
        schema=take(named, "schema", dict, where) or {},
        name=take(named, "name", str, where) or "",
        description=take(named, "description", str, where) or "",
        strict=take(named, "strict", bool, where),
    )
    if not wanted.schema:
        said = {"name": wanted.name, "description": wanted.description, "strict": wanted.strict}
        named |= {key: value for key, value in said.items() if value}
        wanted = Format(kind="json")
    if named is not asked:
        keep(asked, "json_schema", named)
    keep(body, at, asked)
    return wanted


def _encode_format(asked: Format | None) -> Object | None:
    if asked is None:
        return None
    if asked.kind == "json":
        return {"type": "json_object"}
    named: Object = {"name": asked.name or "answer", "schema": asked.schema}
    if asked.description:
        named["description"] = asked.description
    if asked.strict is not None:
        named["strict"] = asked.strict
    return {"type": "json_schema", "json_schema": named}
