"""A request of /api/chat, both ways.  https://docs.ollama.com/api/chat"""

from __future__ import annotations

from dragoman.conversation import Object, Request
from dragoman.dialects.ollama.messages import decode_messages, encode_messages
from dragoman.dialects.ollama.settings import check_top_logprobs, decode_settings, encode_settings
from dragoman.dialects.ollama.tools import decode_choice, decode_tools, encode_choice, encode_tools
from dragoman.dialects.ollama.vocabulary import EMULATED, GENERATE_ONLY, NAME, PROMPT_ONLY
from dragoman.dialects.reading import take
from dragoman.errors import invalid
from dragoman.losses import Losses


def decode_request(body: Object) -> Request:
    """Take a chat request apart.  Raises "invalid_request" in Ollama's own words where it has any."""
    check_top_logprobs(body)
    model = take(body, "model", str) or take(body, "name", str)
    if not model:
        raise invalid("model is required", "model")
    request = Request(
        origin=NAME,
        model=model,
        messages=decode_messages(body.pop("messages", None) or []),
        tools=decode_tools(body.pop("tools", None)),
        tool_choice=decode_choice(body),
    )
    return decode_settings(body, request)


def encode_request(request: Request, losses: Losses) -> Object:
    """A chat request.  What Ollama cannot say goes to `losses`."""
    extra = _own_extra(request, losses)
    body: Object = {"model": request.model, **encode_settings(request, losses, extra)}
    if request.web_search is not None:
        losses.drop("web_search", "Ollama does not search the web")
    tools = encode_tools(request.tools, request.tool_choice, request.origin, losses)
    if tools:
        body["tools"] = tools
    body |= {key: value for key, value in extra.items() if key not in body}
    messages = encode_messages(request.messages, request.origin, losses)
    body["messages"] = messages + encode_choice(request.tool_choice, tools, losses)
    return body


def _own_extra(request: Request, losses: Losses) -> Object:
    """The members of `extra` that /api/chat understands, when they are Ollama's at all (others are reported before)."""
    if request.origin != NAME:
        return {}
    for name in GENERATE_ONLY:
        if name in request.extra and name in EMULATED:
            losses.emulate(name, EMULATED[name])
        elif name in request.extra:
            losses.drop(name, "only /api/generate knows it")
    if request.extra.get(PROMPT_ONLY):
        losses.drop(PROMPT_ONLY, "a prompt is shown only of a call that goes through as it is")
    return {key: value for key, value in request.extra.items() if key not in (*GENERATE_ONLY, PROMPT_ONLY)}
