"""How many tokens a request is: as its server counts, where it can, else estimated.

vLLM counts a chat at `/tokenize`; llama.cpp writes the prompt at `/apply-template` and splits it at `/tokenize`.
https://docs.vllm.ai/en/stable/serving/openai_compatible_server.html#tokenizer-api
https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Literal, Protocol

from msgspec import Struct

from dragoman.conversation import JSON, Object, Request
from dragoman.errors import GatewayError
from dragoman.models.estimate import Calibration, attachments, estimate
from dragoman.models.servers import Server
from dragoman.models.textcount import text_tokens

_TIMEOUT = 10.0
_ABSENT = 600.0
_DOWN = 30.0

# What says that a server has no such path, and what says that it cannot answer just now.
_NO_SUCH = frozenset({"not_found", "method_not_allowed", "not_implemented", "permission", "authentication"})
_NOT_NOW = frozenset({"unreachable", "timeout", "overloaded", "rate_limit", "upstream"})

# Members of a chat that change its prompt.
_PROMPT = ("model", "messages", "tools", "chat_template_kwargs")


class Count(Struct, frozen=True):
    """`how`: the server counted the request ("upstream"), or its text ("tokenizer"), or nobody did ("estimate")."""

    tokens: int
    how: Literal["upstream", "tokenizer", "estimate"]


class Asks(Protocol):
    """A server that can be asked something small."""

    @property
    def name(self) -> str: ...

    async def ask(self, method: str, path: str, body: Object | None, *, timeout: float) -> JSON:  # noqa: ASYNC109
        """The JSON of the answer.  Raises `GatewayError` for everything but a success."""


# What of a request Anthropic counts.  https://platform.claude.com/docs/en/api/messages-count-tokens
_COUNTED = frozenset(
    {"messages", "model", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control"}
)


async def count_there(server: Asks, body: Object) -> Count:
    """The tokens of a request to an Anthropic server, whose body is `body`.  Raises `GatewayError`."""
    asked = {name: value for name, value in body.items() if name in _COUNTED}
    answer = await server.ask("POST", "/v1/messages/count_tokens", asked, timeout=_TIMEOUT)
    tokens = answer.get("input_tokens") if isinstance(answer, dict) else None
    if type(tokens) is not int:
        raise GatewayError("upstream", f"what {server.name} answers to a question for tokens has no count")
    return Count(tokens, "upstream")


class Absent:
    """Servers that could not count, each for a while; the last so many.  `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float], most: int = 256) -> None:
        self._clock = clock
        self._most = most
        self._until: OrderedDict[str, float] = OrderedDict()

    def __contains__(self, name: str) -> bool:
        until = self._until.get(name)
        if until is None:
            return False
        if self._clock() < until:
            return True
        del self._until[name]
        return False

    def add(self, name: str, seconds: float) -> None:
        """Do not ask `name` for so many seconds."""
        self._until[name] = self._clock() + seconds
        self._until.move_to_end(name)
        while len(self._until) > self._most:
            self._until.popitem(last=False)


async def count(
    server: Asks,
    flavor: Server | None,
    body: Object,
    request: Request,
    *,
    key: str,
    calibration: Calibration,
    absent: Absent,
    texts: Callable[[str], tuple[float, float]] = text_tokens,
    limit: float = _TIMEOUT,
) -> Count:
    """The tokens of `request`, whose chat completions body for this server is `body`.  Never fails.

    `key` is the model in `calibration`, which learns from every exact count.  `limit` is in seconds; a server that has
    no tokenizer, or does not answer, is not asked again for some time.  Pictures are always estimated.  `texts` counts
    a text for `estimate`.
    """
    guess = estimate(request, texts).tokens
    if flavor is not None and flavor.count and server.name not in absent:
        extra = attachments(request)
        counted = await _ask(server, flavor, _text_only(body), absent, limit)
        if counted is not None:
            if not extra:
                calibration.observe(key, guess, counted.tokens)
            return Count(counted.tokens + extra, counted.how)
    return Count(calibration.corrected(key, guess), "estimate")


async def _ask(server: Asks, flavor: Server, body: Object, absent: Absent, limit: float) -> Count | None:
    try:
        counted = await (_vllm if flavor.count == "vllm" else _llamacpp)(server, body, limit)
    except GatewayError as error:
        if error.kind in _NO_SUCH:
            absent.add(server.name, _ABSENT)
        elif error.kind in _NOT_NOW:
            absent.add(server.name, _DOWN)
        return None  # anything else is about this request: its template may refuse it
    if counted is None:
        absent.add(server.name, _ABSENT)  # a success that is none, as servers give that answer every path
    return counted


async def _vllm(server: Asks, body: Object, limit: float) -> Count | None:
    answer = await server.ask("POST", "/tokenize", {**body, "add_generation_prompt": True}, timeout=limit)
    tokens = answer.get("count") if isinstance(answer, dict) else None
    return Count(tokens, "upstream") if type(tokens) is int and tokens > 0 else None


async def _llamacpp(server: Asks, body: Object, limit: float) -> Count | None:
    written = await server.ask("POST", "/apply-template", body, timeout=limit)
    prompt = written.get("prompt") if isinstance(written, dict) else None
    if not isinstance(prompt, str):
        return None
    asked: Object = {"content": prompt, "add_special": True, "parse_special": True}
    answer = await server.ask("POST", "/tokenize", asked, timeout=limit)
    tokens = answer.get("tokens") if isinstance(answer, dict) else None
    return Count(len(tokens), "tokenizer") if isinstance(tokens, list) and tokens else None


def _text_only(body: Object) -> Object:
    """What of a chat makes its prompt, without pictures and sounds."""
    kept = {key: body[key] for key in _PROMPT if key in body}
    kept["messages"] = [_plain(message) for message in body.get("messages") or []]
    return kept


def _plain(message: Object) -> Object:
    content = message.get("content")
    if not isinstance(content, list):
        return message
    texts = [part for part in content if isinstance(part, dict) and part.get("type") == "text"]
    return {**message, "content": texts or ""}
