"""The ways a call to an OpenAI-compatible server fails, and the shapes in which the servers say so.

https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dragoman.conversation import JSON, Object
from dragoman.simulator.refused import Refused

# Type and code of a status, where the scenario or the rule says no more.
_KINDS: dict[int, tuple[str, str | None]] = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    402: ("insufficient_quota", "insufficient_quota"),
    403: ("permission_error", None),
    404: ("invalid_request_error", None),
    429: ("rate_limit_error", "rate_limit_exceeded"),
    503: ("service_unavailable_error", "server_is_overloaded"),
}
_VLLM: dict[int, str] = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
}
_LLAMACPP: dict[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    501: "not_supported_error",
    503: "unavailable_error",
}
_OLLAMA: dict[int, str] = {400: "invalid_request_error", 404: "not_found_error"}


class Refusal(Refused):
    """A `Refused` with OpenAI's `param` and `code`.  `facts` are members that only some servers send."""

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        facts: Object | None = None,
    ) -> None:
        super().__init__(status, kind, message, headers)
        self.param = param
        self.code = code
        self.facts = facts or {}


def wrong(message: str, param: str | None = None, code: str | None = None) -> Refusal:
    """400 `invalid_request_error`."""
    return Refusal(400, "invalid_request_error", message, param=param, code=code)


def missing_model(name: str) -> Refusal:
    """404 for a model nobody serves."""
    message = f"The model '{name}' does not exist"
    return Refusal(404, "invalid_request_error", message, param="model", code="model_not_found")


def too_long(tokens: int, context: int) -> Refusal:
    """400 for a prompt the model has no room for, in words that clients look for."""
    refusal = wrong(
        f"This model's maximum context length is {context} tokens. However, your messages resulted in {tokens} tokens. "
        "Please reduce the length of the messages.",
        "messages",
        "context_length_exceeded",
    )
    refusal.facts = {"n_prompt_tokens": tokens, "n_ctx": context}
    return refusal


def kind_of(status: int) -> tuple[str, str | None]:
    """(type, code) that go with a status."""
    return _KINDS.get(status, ("server_error" if status >= 500 else "invalid_request_error", None))


def as_refusal(refused: Refused) -> Refusal:
    """A `Refused` of the shared code with what it lacks."""
    if isinstance(refused, Refusal):
        return refused
    return Refusal(refused.status, refused.kind, refused.message, headers=refused.headers)


# --- shapes ------------------------------------------------------------------------------------------


def _openai(error: Refusal) -> Object:
    return {"error": {"message": error.message, "type": error.kind, "param": error.param, "code": error.code}}


def _vllm(error: Refusal) -> Object:
    kind = _VLLM.get(error.status, "InternalServerError")
    return {"error": {"message": error.message, "type": kind, "param": error.param, "code": error.status}}


def _vllm_old(error: Refusal) -> Object:
    return {"object": "error", **_vllm(error)["error"]}


def _llamacpp(error: Refusal) -> Object:
    if error.code == "context_length_exceeded":
        message = "the request exceeds the available context size, try increasing it"
        return {"error": {"code": 400, "message": message, "type": "exceed_context_size_error", **error.facts}}
    kind = _LLAMACPP.get(error.status, "server_error")
    return {"error": {"code": error.status, "message": error.message, "type": kind}}


def _openrouter(error: Refusal) -> Object:
    return {"error": {"code": error.status, "message": error.message, "metadata": {"provider_name": "Simulated"}}}


def _ollama(error: Refusal) -> Object:
    kind = _OLLAMA.get(error.status, "api_error")
    return {"error": {"message": error.message, "type": kind, "param": None, "code": None}}


def _string(error: Refusal) -> Object:
    return {"error": error.message}


def _detail(error: Refusal) -> Object:
    return {"detail": error.message}


def _detail_list(error: Refusal) -> Object:
    place: JSON = ["body", *filter(None, [error.param])]
    return {"detail": [{"loc": place, "msg": error.message, "type": "value_error"}]}


SHAPES: dict[str, Callable[[Refusal], Object]] = {
    "openai": _openai,
    "vllm": _vllm,
    "object": _vllm_old,
    "llamacpp": _llamacpp,
    "openrouter": _openrouter,
    "ollama": _ollama,
    "string": _string,
    "detail": _detail,
    "detail_list": _detail_list,
}


def html(error: Refusal) -> bytes:
    """The page of a proxy that stands before the server."""
    title = f"{error.status} Bad Gateway" if error.status == 502 else f"{error.status} {error.message}"
    head, body = f"<head><title>{title}</title></head>", f"<body><center><h1>{title}</h1></center></body>"
    return f"<html>\r\n{head}\r\n{body}\r\n</html>\r\n".encode()


# --- in an answer that has begun ---------------------------------------------------------------------


def inside(shape: str, error: Refusal, chunk: Object) -> list[Object]:
    """What a stream tells of an error, `chunk` being the frame of its chunks; nothing where it is swallowed.

    `choices`: an error beside empty `choices`; `choice`: in the choice; `openrouter`: beside a choice that is over;
    `swallowed`: a chunk that says nothing; and every shape of `SHAPES`.
    """
    match shape:
        case "choices":
            return [{**chunk, "choices": [], **_openai(error)}]
        case "choice":
            choice = {"index": 0, "delta": {}, "finish_reason": None, **_openrouter(error)}
            return [{**chunk, "choices": [choice]}]
        case "openrouter":
            over = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": "error"}
            return [{**chunk, **_openrouter(error), "choices": [{**over, "native_finish_reason": "error"}]}]
        case "swallowed":
            quiet = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
            return [{**chunk, "choices": [quiet]}]
        case _:
            return [SHAPES[shape](error)]


INSIDE = ("choices", "choice", "openrouter", "swallowed", *(name for name in SHAPES if name != "openrouter"))
