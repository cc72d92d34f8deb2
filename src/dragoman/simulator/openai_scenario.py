"""The scenarios of the OpenAI wire: those of `scenario` where they mean the same, and the quirks of its many servers.

`[[simulate: tools calls=3 quirk=index_zero,object_args usage=none]]`: every answer takes `quirk` (names of
`openai_quirks`, with commas), `usage`, `reasoning` (the member it is told in) and `finish` (another finish reason).
"""

from __future__ import annotations

from typing import Any, NamedTuple, get_args

from dragoman.conversation import Object
from dragoman.simulator.openai_flavors import Flavor, Form, Usage
from dragoman.simulator.openai_quirks import FRAMING, QUIRKS
from dragoman.simulator.openai_refused import INSIDE, SHAPES, Refusal, kind_of, wrong
from dragoman.simulator.openai_responses_quirks import FRAMES, RESPONSES_QUIRKS
from dragoman.simulator.openai_rules import texts
from dragoman.simulator.scenario import BREAKS, Scenario, Table

_FORM = ("quirk", "usage", "reasoning", "finish")
_FAILURE = ("status", "type", "message", "code", "param", "retry_after", "shape")
_ANSWERS: dict[str, tuple[str, ...]] = {
    "auto": (),
    "text": ("text", "tokens"),
    "thinking": ("text", "tokens"),
    "tools": ("calls",),
    "refusal": ("after", "category", "explanation"),
    "content_filter": ("after",),
    "json": ("form",),
    "context_window_exceeded": ("after",),
    "unknown_event": (),
    "slow_start": (),
}
_ERROR_EVENT = ("type", "message", "code", "status", "shape")

# Calls that fail before anything is answered: status, type, code and message unless a parameter says otherwise.
_FAILURES: dict[str, tuple[int, str, str | None, str]] = {
    "rate_limit": (
        429,
        "rate_limit_error",
        "rate_limit_exceeded",
        "Rate limit reached on requests per min. Please try again in 1s.",
    ),
    "overloaded": (
        503,
        "service_unavailable_error",
        "server_is_overloaded",
        "The server is overloaded or not ready yet.",
    ),
    "error": (500, "server_error", None, "The server had an error while processing your request."),
    "invalid_key": (401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    "billing": (
        429,
        "insufficient_quota",
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    "context_length": (
        400,
        "invalid_request_error",
        "context_length_exceeded",
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens. Please "
        "reduce the length of the messages.",
    ),
    "model_not_found": (404, "invalid_request_error", "model_not_found", "The model 'gone' does not exist"),
    "html": (502, "server_error", None, "Bad Gateway"),
}
TABLE = Table(
    answers={name: (*own, *_FORM) for name, own in _ANSWERS.items()},
    breaks={name: ("after", *(_ERROR_EVENT if name == "error_event" else ()), *_FORM) for name in BREAKS},
    failures=dict.fromkeys(_FAILURES, _FAILURE),
)


class Manner(NamedTuple):
    """How an answer is written: as its server writes it, and as the scenario changes that."""

    quirks: frozenset[str]
    usage: Usage
    reasoning: Form
    finish: str | None


def manner(scenario: Scenario, flavor: Flavor) -> Manner:
    """Raises `Refused` for words that mean nothing."""
    params = scenario.params
    asked = [name.replace("-", "_") for name in params.get("quirk", "").split(",") if name]
    for name in asked:
        _known("quirk", name, (*QUIRKS, *FRAMING, *RESPONSES_QUIRKS, *FRAMES))
    own = ["unknown"] if scenario.name == "unknown_event" else []
    usage, reasoning = params.get("usage", flavor.usage), params.get("reasoning", flavor.reasoning)
    _known("usage", usage, get_args(Usage))
    _known("reasoning", reasoning, get_args(Form))
    if scenario.name == "thinking" and not reasoning:
        reasoning = "reasoning_content"
    quirks = frozenset([*flavor.quirks, *asked, *own])
    return Manner(quirks, usage, reasoning, params.get("finish"))  # type: ignore[arg-type]  # checked above


def _known(what: str, word: str, words: tuple[str, ...]) -> None:
    if word not in words:
        raise wrong(f"simulator: unknown {what} {word!r}; there are {', '.join(sorted(filter(None, words)))}")


def failure(scenario: Scenario) -> Refusal | None:
    """The error this scenario answers with at once, or None."""
    if scenario.name not in _FAILURES:
        return None
    status, kind, code, message = _FAILURES[scenario.name]
    if "status" in scenario.params:
        status = scenario.count("status")
        kind, code = kind_of(status)
    headers = {}
    if "retry_after" in scenario.params or scenario.name == "rate_limit":
        headers["retry-after"] = scenario.params.get("retry_after", "1")
    if scenario.name == "billing":
        headers["x-should-retry"] = "false"
    return _refusal(scenario, status, message, kind=kind, code=code, headers=headers)


def stream_error(scenario: Scenario) -> Refusal:
    """The error that `error_event` ends an answer with."""
    status = scenario.count("status", 503)
    kind, code = kind_of(status)
    return _refusal(scenario, status, "The server is overloaded or not ready yet.", kind=kind, code=code, headers={})


def _refusal(
    scenario: Scenario, status: int, message: str, *, kind: str, code: str | None, headers: dict[str, str]
) -> Refusal:
    given = scenario.params
    return Refusal(
        status,
        given.get("type", kind),
        given.get("message", message),
        param=given.get("param"),
        code=given.get("code", code),
        headers=headers,
        facts={"n_prompt_tokens": 9000, "n_ctx": 8192} if code == "context_length_exceeded" else None,
    )


def shape(scenario: Scenario, default: str) -> str:
    """The shape of an error with its own status: the server's, or the one that is asked for."""
    if scenario.name == "html":
        return "html"
    asked = scenario.params.get("shape", default)
    _known("shape", asked, (*SHAPES, "html"))
    return asked


def inner_shape(scenario: Scenario, flavor: Flavor) -> str:
    """The shape of an error inside a stream."""
    asked = scenario.params.get("shape", flavor.stream_error or flavor.error)
    _known("shape", asked, INSIDE)
    return asked


def marked(body: Object) -> Object:
    """Where markers may stand, whatever the body is: user messages and a system prompt."""
    given = body.get("input")
    if isinstance(given, list) and any(isinstance(item, dict) for item in given):  # the Responses API
        turns = [item for item in given if isinstance(item, dict) and "role" in item]
        body = {"messages": [{"role": "system", "content": body.get("instructions") or ""}, *turns]}
    for name in ("prompt", "input"):
        value = body.get(name)
        said = " ".join(item for item in value if isinstance(item, str)) if isinstance(value, list) else value
        if isinstance(said, str) and "messages" not in body:
            return {"messages": [{"role": "user", "content": said}]}
    messages = body.get("messages")
    listed = [m for m in messages if isinstance(m, dict)] if isinstance(messages, list) else []
    whole = [{**m, "content": _parts(m)} for m in listed]
    system = [part for m in whole if m.get("role") in ("system", "developer") for part in m["content"]]
    return {"messages": whole, "system": system}


def _parts(message: Object) -> list[Object]:
    content = message.get("content")
    shaped: Any = [p for p in content if isinstance(p, dict)] if isinstance(content, list) else content
    return [{"type": "text", "text": words} for words in texts({"content": shaped})]
