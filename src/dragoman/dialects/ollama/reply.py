"""A whole answer, both ways.

A refusal has no place on this wire: it becomes text, when the model gave none, and a plain stop.  Reasoning is never
promoted into the answer: a model that only thought has an empty `content`, as it has in Ollama itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dragoman.conversation import (
    JSON,
    Foreign,
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
from dragoman.dialects.logprobs import decode_logprobs, give_out, without_blanks
from dragoman.dialects.ollama.failure import error_kind, error_message
from dragoman.dialects.ollama.messages import decode_calls, decode_images, encode_call
from dragoman.dialects.ollama.timing import Durations, created_at, durations, whole
from dragoman.dialects.ollama.vocabulary import DONE_REASONS, DURATIONS, MEASURED, NAME, REASONS
from dragoman.dialects.reading import check, take
from dragoman.dialects.tagged import untagged
from dragoman.dialects.telling import retold
from dragoman.dialects.untold import note
from dragoman.errors import GatewayError
from dragoman.ids import mint

REFUSED = "The model declined to answer this request."

_METRICS = (
    *("total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration"),
    *("eval_count", "eval_duration"),
)

_decode = msgspec.json.Decoder().decode


# --- out: what a client reads ----------------------------------------------------------------------


def encode_reply(reply: Reply, request: Request, stamp: Stamp) -> Object:
    """The answer of an unstreamed chat."""
    members = answer_members(reply, request)
    beside = beside_members(reply)
    message = {"role": "assistant", "content": members.pop("text"), **members, **beside.pop("message", {})}
    return {
        "model": stamp.model,
        "created_at": created_at(stamp),
        "message": message,
        **beside,
        "done": True,
        **closing_members(reply, stamp, scores_member(reply, request)),
    }


def closing_members(reply: Reply, stamp: Stamp, between: Object) -> Object:
    """`final_members` of an unstreamed answer, with `between` where Ollama has it."""
    told = durations(reply.extra) if reply.origin == NAME else {}
    return after_reason(final_members(reply.reason, reply.usage, whole(reply, stamp), told), between)


def answer_members(reply: Reply, request: Request) -> Object:
    """`text`, and `thinking` and `tool_calls` where there are any.

    An image in an answer is left out: the official Python client fails on `images` in a message it receives.
    """
    shown = retold(reply.content, request, annotates=False)
    members: Object = {"text": "".join(map(readable, shown))}
    members["text"] += refusal_text(reply.reason, reply.explanation, reply.content, bool(members["text"]))
    thinking = "".join([part.text for part in shown if isinstance(part, Thinking)])
    if thinking and shows_thinking(request):
        members["thinking"] = thinking
    calls = [part for part in reply.content if isinstance(part, ToolCall)]
    if reply.content and reply.content[-1] in calls and cut_off(calls[-1], reply.reason):
        calls.pop()
    if calls:
        own = reply.origin == NAME
        members["tool_calls"] = [encode_call(c, index, c.extra if own else None) for index, c in enumerate(calls)]
    return members


def beside_members(reply: Reply) -> Object:
    """What an Ollama server said that has no other place."""
    return {k: v for k, v in reply.extra.items() if k not in DURATIONS} if reply.origin == NAME else {}


def scores_member(reply: Reply, request: Request) -> Object:
    """`logprobs` where there are any."""
    kinds = (Text, Refusal, Thinking) if shows_thinking(request) else (Text, Refusal)
    tokens = [token for part in reply.content if isinstance(part, kinds) for token in part.logprobs]
    return {"logprobs": without_blanks(tokens)} if tokens else {}


def readable(part: Part) -> str:
    """What of a part of an answer is text to a reader."""
    match part:
        case Text(text=text) | Refusal(text=text):
            return text
        case Foreign(extra={"text": str(text)}):
            return text
        case _:
            return ""


def refusal_text(reason: Reason, explanation: str, content: Sequence[Part], spoke: bool) -> str:
    """What to add to the answer of a model that refused, so that a refusal does not look like an answer."""
    if reason != "refusal":
        return ""
    if not spoke:
        return explanation or REFUSED
    told = any(isinstance(part, Refusal) for part in content)
    return f"\n\n{explanation}" if explanation and not told else ""


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
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False


def final_members(reason: Reason, usage: Usage | None, ours: Durations, told: Object) -> Object:
    """`done_reason` and the metrics; as in Ollama, counts and times of 0 are left out.  `told`: the times in its
    server's own words, which know what went on there better than we do (see `timing.durations`)."""
    times = told or {
        "total_duration": ours.total,
        "load_duration": ours.load,
        "prompt_eval_duration": ours.prompt,
        "eval_duration": ours.eval,
    }
    counts = {} if usage is None else {"prompt_eval_count": usage.input, "eval_count": usage.output}
    metrics = {name: value for name in _METRICS if (value := times.get(name) or counts.get(name))}
    return {"done_reason": DONE_REASONS[reason], **metrics}


def after_reason(members: Object, more: Object) -> Object:
    """The last members of an answer, with `more` in its place among them."""
    return {"done_reason": members["done_reason"], **more, **members}


# --- in: what an upstream says -----------------------------------------------------------------------


def decode_reply(body: Object) -> Reply:
    """An unstreamed answer.  Raises "upstream" when it is not one, or not a complete one."""
    if body.get("error"):
        raise GatewayError(error_kind(500, message := error_message(body)), message)
    try:
        done, reason = body.pop("done", None), body.pop("done_reason", None)
        message_body: Object = check(body.pop("message", None), dict, "message")
        content = untagged(decode_answer(message_body))
        usage = decode_usage(body)
        model = take(body, "model", str) or ""
        tokens = decode_logprobs(body.pop("logprobs", None))
    except GatewayError as error:
        raise GatewayError("upstream", f"the upstream's answer makes no sense: {error.message}") from None
    if done is not True:
        raise GatewayError("upstream", "the upstream's answer is not complete")
    skipped: list[str] = []
    if tokens and not give_out(content, tokens):
        skipped.append("logprobs")
    calls = CallIds(body.get("created_at"))
    for part in content:
        if isinstance(part, ToolCall):
            calls.identify(part)
    return Reply(
        origin=NAME,
        id="",
        model=model,
        content=content,
        reason=decode_reason(reason, any(isinstance(part, ToolCall) for part in content), skipped),
        usage=usage,
        skipped=skipped,
        extra=_rest(body, message_body),
    )


def _rest(body: Object, message: Object) -> Object:
    """What is left of an answer, and of the message in it."""
    message.pop("role", None)
    rest = {name: value for name, value in body.items() if name not in MEASURED and value is not None}
    return rest | durations(body) | ({"message": message} if message else {})


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


def decode_reason(done_reason: JSON, called: bool, skipped: list[str]) -> Reason:
    """Raises "upstream" for "load" and "unload", which are no answers at all.  Other words are noted in `skipped`."""
    if done_reason in ("load", "unload"):
        raise GatewayError("upstream", f"the upstream only {done_reason}ed the model and did not answer")
    reason = REASONS.get(str(done_reason or ""), "other")
    if reason == "other":
        note(skipped, "done_reason")
    return "tool_calls" if called and reason == "stop" else reason
