"""A whole answer, and errors, both ways.

A refusal has no place on this wire: it becomes text, when the model gave none, and a plain stop.  Reasoning is never
promoted into the answer: a model that only thought has an empty `content`, as it has in Ollama itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from dragoman.conversation import (
    JSON,
    Foreign,
    Media,
    Object,
    Part,
    Reason,
    Refusal,
    Reply,
    Request,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from dragoman.dialects.contract import Stamp
from dragoman.dialects.ollama.messages import decode_calls, decode_images, encode_call
from dragoman.dialects.ollama.vocabulary import DONE_REASONS, NAME, REASONS
from dragoman.dialects.reading import check, take
from dragoman.errors import GatewayError, Kind
from dragoman.ids import mint

SECOND = 1_000_000_000
REFUSED = "The model declined to answer this request."

_decode = msgspec.json.Decoder().decode

_STATUS_KINDS: Mapping[int, Kind] = {
    400: "invalid_request",
    401: "authentication",
    402: "billing",
    403: "permission",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "too_large",
    429: "rate_limit",
    501: "not_implemented",
    502: "unreachable",
    503: "overloaded",
    504: "timeout",
}
_OVERFLOW = ("prompt is longer than the context length", "input length exceeds the context length")


# --- out: what a client reads ----------------------------------------------------------------------


def encode_reply(reply: Reply, request: Request, stamp: Stamp) -> Object:
    """The answer of an unstreamed chat."""
    members = answer_members(reply, request)
    message = {"role": "assistant", "content": members.pop("text"), **members}
    return {
        "model": stamp.model,
        "created_at": created_at(stamp),
        "message": message,
        "done": True,
        **final_members(reply.reason, reply.usage, whole(stamp)),
    }


def answer_members(reply: Reply, request: Request) -> Object:
    """`text`, and `thinking`, `tool_calls` and `images` where there are any."""
    members: Object = {"text": "".join(map(readable, reply.content))}
    members["text"] += refusal_text(reply.reason, reply.explanation, reply.content, bool(members["text"]))
    thinking = "".join(part.text for part in reply.content if isinstance(part, Thinking))
    if thinking and shows_thinking(request):
        members["thinking"] = thinking
    calls = [part for part in reply.content if isinstance(part, ToolCall)]
    if reply.content and reply.content[-1] in calls and cut_off(calls[-1], reply.reason):
        calls.pop()
    if calls:
        members["tool_calls"] = [encode_call(call, index) for index, call in enumerate(calls)]
    if images := [part.data for part in reply.content if is_image(part)]:
        members["images"] = images
    return members


def readable(part: Part) -> str:
    """What of a part of an answer is text to a reader."""
    match part:
        case Text(text=text) | Refusal(text=text):
            return text
        case Foreign(extra={"text": str(text)}):
            return text
        case _:
            return ""


def is_image(part: Part) -> bool:
    return isinstance(part, Media) and part.kind == "image" and part.source == "base64"


def refusal_text(reason: Reason, explanation: str, content: Sequence[Part], spoke: bool) -> str:
    """What to add to the answer of a model that refused, so that a refusal does not look like an answer."""
    if reason != "refusal" or any(isinstance(part, Refusal) for part in content):
        return ""
    if spoke:
        return f"\n\n{explanation}" if explanation else ""
    return explanation or REFUSED


def shows_thinking(request: Request) -> bool:
    """Ollama shows reasoning unless the client switched it off."""
    wish = request.reasoning
    return wish is None or not (wish.enabled is False or wish.visible is False)


def cut_off(call: ToolCall, reason: Reason) -> bool:
    """Whether `call`, the last part of an answer that ended for `reason`, was cut off in its arguments."""
    return reason in ("length", "context") and not is_whole(call)


def is_whole(call: ToolCall) -> bool:
    """Whether the arguments are surely complete: a JSON object that ends cannot have more to come."""
    try:
        return not call.freeform and isinstance(_decode(call.arguments), dict)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return False


class Durations(NamedTuple):
    """In nanoseconds, each at least 1, the parts never more than the total: clients divide by them."""

    total: int
    load: int
    prompt: int
    eval: int


def measured(load: int, prompt: int, eval: int) -> Durations:
    load, prompt, eval = max(load, 1), max(prompt, 1), max(eval, 1)
    return Durations(load + prompt + eval, load, prompt, eval)


def whole(stamp: Stamp) -> Durations:
    """Of an answer that came in one piece only the total is known; it counts as generation."""
    return measured(1, 1, stamp.clock() - stamp.started - 2)


def final_members(reason: Reason, usage: Usage | None, durations: Durations) -> Object:
    """`done_reason` and the metrics; as in Ollama, counts of 0 are left out."""
    members: Object = {
        "done_reason": DONE_REASONS[reason],
        "total_duration": durations.total,
        "load_duration": durations.load,
    }
    if usage is not None and usage.input:
        members["prompt_eval_count"] = usage.input
    members["prompt_eval_duration"] = durations.prompt
    if usage is not None and usage.output:
        members["eval_count"] = usage.output
    members["eval_duration"] = durations.eval
    return members


def created_at(stamp: Stamp) -> str:
    """Now, as RFC 3339 in UTC with nanoseconds."""
    seconds, nanoseconds = divmod(stamp.created + stamp.clock() - stamp.started, SECOND)
    return f"{to_the_second(seconds)}.{nanoseconds:09d}Z"


def to_the_second(seconds: int) -> str:
    """Unix time as 2026-11-22T06:00:00."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def encode_error(error: GatewayError) -> Object:
    """A flat string.  Clients look for "not found" to tell a missing model from everything else."""
    message = error.message
    if error.kind == "model_not_found" and "not found" not in message:
        message = f"model not found: {message}"
    return {"error": message}


def model_not_found(name: str) -> GatewayError:
    """The one every client knows, with the name as it was asked for."""
    return GatewayError("model_not_found", f"model '{name}' not found", param="model")


# --- in: what an upstream says -----------------------------------------------------------------------


def decode_reply(body: Object) -> Reply:
    """An unstreamed answer.  Raises "upstream" when it is not one, or not a complete one."""
    if body.get("error"):
        raise GatewayError(error_kind(500, message := error_message(body)), message)
    try:
        done, reason = body.pop("done", None), body.pop("done_reason", None)
        message_body: Object = check(body.pop("message", None), dict, "message")
        content = decode_answer(message_body)
        usage = decode_usage(body)
        model = take(body, "model", str) or ""
    except GatewayError as error:
        raise GatewayError("upstream", f"the upstream's answer makes no sense: {error.message}") from None
    if done is not True:
        raise GatewayError("upstream", "the upstream's answer is not complete")
    calls = CallIds(body.get("created_at"))
    for part in content:
        if isinstance(part, ToolCall):
            calls.identify(part)
    return Reply(
        origin=NAME,
        id="",
        model=model,
        content=content,
        reason=decode_reason(reason, any(isinstance(part, ToolCall) for part in content)),
        usage=usage,
        extra=body,
    )


def decode_answer(message: Object) -> list[Part]:
    """The parts in one `message`, in the order a model makes them."""
    content: list[Part] = []
    if thinking := take(message, "thinking", str, "message"):
        content.append(Thinking(text=thinking))
    if text := take(message, "content", str, "message"):
        content.append(Text(text=text))
    content += decode_images(message, "message")
    content += decode_calls(message, "message")
    return content


class CallIds:
    """Gives each call of one answer an id of its own; old servers send none, some send the tool's name.

    `moment` (the answer's `created_at`) keeps the ids of two answers with the same call apart.
    """

    def __init__(self, moment: JSON) -> None:
        self._moment = str(moment)
        self._used: set[str] = set()

    def identify(self, call: ToolCall) -> None:
        if not call.id or call.id in self._used or call.id == call.name:
            call.id = mint("call_", self._moment, len(self._used), call.name, call.arguments)
        self._used.add(call.id)


def decode_usage(body: Object) -> Usage:
    """The counts; there is no split."""
    return Usage(input=take(body, "prompt_eval_count", int) or 0, output=take(body, "eval_count", int) or 0)


def decode_reason(done_reason: JSON, called: bool) -> Reason:
    """Raises "upstream" for "load" and "unload", which are no answers at all."""
    if done_reason in ("load", "unload"):
        raise GatewayError("upstream", f"the upstream only {done_reason}ed the model and did not answer")
    reason = REASONS.get(str(done_reason or ""), "other")
    return "tool_calls" if called and reason == "stop" else reason


def decode_error(status: int, body: bytes, retry_after: float | None) -> GatewayError:
    """Any answer that is not a success, JSON or not, as our error."""
    try:
        message = error_message(_decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError):
        message = ""
    message = message or f"the upstream answered with HTTP status {status}"
    return GatewayError(error_kind(status, message), message, retry_after=retry_after)


def error_message(body: JSON) -> str:
    """The text of `{"error": text}`; proxies in between like OpenAI's object better."""
    match body:
        case {"error": str(text)} | {"error": {"message": str(text)}}:
            return text
        case {"error": error} if error:
            return str(error)
        case _:
            return ""


def error_kind(status: int, message: str) -> Kind:
    """Our kind for a status, refined by the wordings that mean something of their own."""
    kind = _STATUS_KINDS.get(status, "upstream" if status >= 500 else "invalid_request")
    if any(phrase in message for phrase in _OVERFLOW):
        return "context_length"
    if "server busy" in message:
        return "overloaded"
    if kind == "not_found" and message.startswith("model ") and "not found" in message:
        return "model_not_found"
    return kind
