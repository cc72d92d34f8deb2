"""A finished chat completion, both ways, with its usage.  Errors are in `failure`.

https://platform.openai.com/docs/api-reference/chat/object
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dragoman.conversation import (
    JSON,
    Citation,
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
from dragoman.dialects.openai_chat.failure import broken_reply
from dragoman.dialects.openai_chat.messages import decode_answer
from dragoman.dialects.openai_chat.parts import decode_content
from dragoman.dialects.openai_chat.reasoning import encode_reasoning
from dragoman.dialects.openai_chat.tools import decode_calls, encode_call, encode_function_call, uses_functions
from dragoman.dialects.openai_chat.vocabulary import NAME, end_reason, finish_reason
from dragoman.dialects.tagged import untagged
from dragoman.errors import GatewayError

# --- encode -------------------------------------------------------------------------------------


def encode_reply(reply: Reply, request: Request, stamp: Stamp) -> Object:
    """One `chat.completion` with one choice."""
    extra = dict(reply.extra) if reply.origin == NAME else {}
    calls = whole_calls(reply)
    deprecated = uses_functions(request)
    finish = finish_reason(reply.reason, calls=bool(calls))
    choice: Object = {
        "index": 0,
        "message": _encode_message(reply, request, calls),
        "logprobs": None,
        "finish_reason": "function_call" if deprecated and finish == "tool_calls" else finish,
    }
    if reply.stop_sequence is not None:
        choice["stop_reason"] = reply.stop_sequence  # vLLM's name for which stop string it was
    choice |= extra.pop("choice", {})
    return {
        "id": stamp.id,
        "object": "chat.completion",
        "created": stamp.created // 1_000_000_000,
        "model": stamp.model,
        "system_fingerprint": None,
        "choices": [choice],
        "usage": encode_usage(reply.usage),
    } | extra


def whole_calls(reply: Reply) -> list[ToolCall]:
    """The tool calls, without a last one that the output limit may have cut: nobody must run half a call."""
    cut = reply.content[-1] if reply.content and reply.reason in ("length", "context") else None
    return [part for part in reply.content if isinstance(part, ToolCall) and part is not cut]


def refusal_text(reply: Reply) -> str | None:
    """The model's own refusal, or else the explanation of whoever stopped it."""
    said = "".join(part.text for part in reply.content if isinstance(part, Refusal))
    return said or (reply.explanation if reply.reason == "refusal" else "") or None


def _encode_message(reply: Reply, request: Request, calls: list[ToolCall]) -> Object:
    texts = [part for part in reply.content if isinstance(part, Text)]
    refusal = refusal_text(reply)
    message: Object = {
        "role": "assistant",
        "content": "".join(part.text for part in texts) if texts or not (calls or refusal) else None,
        "refusal": refusal,
        "annotations": _encode_annotations(texts),
    }
    if shows_reasoning(request):
        message |= encode_reasoning([part for part in reply.content if isinstance(part, Thinking)])
    if not calls:
        return message
    if uses_functions(request):
        return message | {"function_call": encode_function_call(calls[0])}
    return message | {"tool_calls": [encode_call(call, reply.origin == NAME) for call in calls]}


def shows_reasoning(request: Request) -> bool:
    """Whether the answer tells the reasoning: always, unless the client said that it does not want it."""
    return request.reasoning is None or request.reasoning.visible is not False


def merge_replies(bodies: Sequence[Object]) -> Object:
    """The one-choice bodies of `n` calls as one body with the choices 0..n-1 and the sum of the usage, as billed."""
    choices = [choice | {"index": index} for index, body in enumerate(bodies) for choice in body["choices"]]
    usage = encode_usage(total(decode_usage(body.get("usage")) for body in bodies))
    return bodies[0] | {"choices": choices, "usage": usage}


# --- citations ----------------------------------------------------------------------------------


def encode_annotation(citation: Citation, start: int, end: int) -> Object | None:
    """A `url_citation` of the text from `start` to `end` in characters; None for a source that has no address."""
    if not citation.url:
        return None
    place: Object = {"start_index": start, "end_index": end, "title": citation.title, "url": citation.url}
    return {"type": "url_citation", "url_citation": place}


def _encode_annotations(texts: list[Text]) -> list[Object]:
    annotations: list[Object] = []
    start = 0
    for part in texts:
        end = start + len(part.text)
        found = [encode_annotation(citation, start, end) for citation in part.citations]
        annotations += [annotation for annotation in found if annotation]
        start = end
    return annotations


def decode_annotations(value: JSON) -> list[Citation]:
    """The `url_citation`s among an answer's annotations; anything else is skipped."""
    found: list[Citation] = []
    for annotation in value if isinstance(value, list) else ():
        match annotation:
            case {"url_citation": {"url": str(url), **place}}:
                title = place.get("title")
                found.append(Citation(url=url, title=title if isinstance(title, str) else ""))
    return found


# --- decode -------------------------------------------------------------------------------------


def decode_reply(body: Object) -> Reply:
    """A compatible server's answer, read defensively.  Raises `GatewayError` when it is an error, or no answer."""
    if error := broken_reply(body):
        raise error
    try:
        return _decode_reply(body)
    except GatewayError as error:
        raise GatewayError("upstream", f"the upstream's answer cannot be read: {error.message}") from None


def _decode_reply(body: Object) -> Reply:
    choice: Object = body.pop("choices")[0]
    reply_id, model = _word(body.pop("id", None)), _word(body.pop("model", None))
    message = choice.pop("message", None)
    message = message if isinstance(message, dict) else {}
    calls = decode_calls(message, "message", f"{reply_id}:{body.get('created')}")
    said = decode_content(message.pop("content", None), "message.content")
    content = untagged(decode_answer(message, "message", said, theirs=True))
    if citations := decode_annotations(message.pop("annotations", None)):
        _cite(content, citations)
    reason, stopped = decode_finish(choice, calls=bool(calls))
    usage = decode_usage(body.pop("usage", None))
    for key in ("object", "created"):
        body.pop(key, None)
    choice.pop("index", None)
    extra = {key: value for key, value in body.items() if value is not None}
    if rest := {key: value for key, value in choice.items() if value is not None}:
        extra["choice"] = rest
    return Reply(
        origin=NAME,
        id=reply_id,
        model=model,
        content=content + list[Part](calls),
        reason=reason,
        stop_sequence=stopped,
        usage=usage,
        extra=extra,
    )


def decode_finish(choice: Object, *, calls: bool) -> tuple[Reason, str | None]:
    """Pop `finish_reason`, and vLLM's `stop_reason`, which names the stop string (or a token, which is no news)."""
    word, stopped = choice.pop("finish_reason", None), choice.pop("stop_reason", None)
    reason = end_reason(word if isinstance(word, str) else "stop", calls=calls)
    if isinstance(stopped, str) and stopped and reason == "stop":
        return "stop_sequence", stopped
    return reason, None


def _cite(content: list[Part], citations: list[Citation]) -> None:
    for part in content:
        if isinstance(part, Text):
            part.citations = citations
            return


def _word(value: JSON) -> str:
    return value if isinstance(value, str) else ""


# --- usage --------------------------------------------------------------------------------------


def encode_usage(usage: Usage) -> Object:
    """`prompt_tokens` counts cached tokens too, `completion_tokens` those of reasoning: as `Usage` does."""
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.thinking,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def decode_usage(value: JSON) -> Usage:
    """Any server's `usage`; what is missing or no number counts 0."""
    usage = value if isinstance(value, dict) else {}
    prompt, completion = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    return Usage(
        input=_count(usage, "prompt_tokens"),
        output=_count(usage, "completion_tokens"),
        cache_read=_count(prompt, "cached_tokens") or _count(usage, "prompt_cache_hit_tokens"),  # DeepSeek's name
        cache_write=_count(prompt, "cache_write_tokens"),
        thinking=_count(completion, "reasoning_tokens"),
    )


def total(usages: Iterable[Usage]) -> Usage:
    """The sum of several calls."""
    counted = list(usages)
    return Usage(**{name: sum(getattr(u, name) for u in counted) for name in Usage.__struct_fields__})


def _count(owner: JSON, key: str) -> int:
    value = owner.get(key) if isinstance(owner, dict) else None
    return int(value) if isinstance(value, int | float) and 0 < value < 2**63 else 0
