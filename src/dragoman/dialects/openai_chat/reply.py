"""A finished chat completion, both ways, with its usage.  Errors are in `failure`.

https://platform.openai.com/docs/api-reference/chat/object
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

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
)
from dragoman.dialects.contract import Stamp
from dragoman.dialects.logprobs import decode_logprobs, give_out
from dragoman.dialects.openai_chat.failure import broken_reply
from dragoman.dialects.openai_chat.messages import decode_answer
from dragoman.dialects.openai_chat.parts import decode_content
from dragoman.dialects.openai_chat.reasoning import encode_reasoning
from dragoman.dialects.openai_chat.tools import decode_calls, encode_call, encode_function_call, uses_functions
from dragoman.dialects.openai_chat.usage import decode_usage, told_usage, total, usage_rest
from dragoman.dialects.openai_chat.vocabulary import NAME, TIERS, end_reason, finish_reason
from dragoman.dialects.sources import is_address
from dragoman.dialects.tagged import untagged
from dragoman.dialects.telling import decode_annotations, retold
from dragoman.dialects.untold import note
from dragoman.errors import GatewayError

# --- encode -------------------------------------------------------------------------------------


def encode_reply(reply: Reply, request: Request, stamp: Stamp) -> Object:
    """One `chat.completion` with one choice."""
    own = reply.origin == NAME
    extra = dict(reply.extra) if own else {}
    calls = whole_calls(reply)
    deprecated = uses_functions(request)
    finish = finish_reason(reply.reason, calls=bool(calls))
    choice: Object = {
        "index": 0,
        "message": _encode_message(reply, request, calls) | extra.pop("message", {}),
        "logprobs": _encode_logprobs(reply),
        "finish_reason": "function_call" if deprecated and finish == "tool_calls" else finish,
    }
    if reply.stop_sequence is not None:
        choice["stop_reason"] = reply.stop_sequence  # vLLM's name for which stop string it was
    choice |= extra.pop("choice", {})
    usage = told_usage(reply.usage, extra.pop("usage", None))
    return {
        "id": stamp.id,
        "object": "chat.completion",
        "created": stamp.created // 1_000_000_000,
        "model": stamp.model,
        "system_fingerprint": None,
        **encode_tier(reply.tier, own),
        "choices": [choice],
        "usage": usage,
    } | extra


def encode_tier(tier: str, own: bool) -> Object:
    """The member `service_tier`, where there is a word for it; our own upstreams' words are theirs to choose."""
    word = TIERS.get(tier, tier if own else "")
    return {"service_tier": word} if word else {}


def _encode_logprobs(reply: Reply) -> Object | None:
    content: list[Object] = []
    refusal: list[Object] = []
    for part in reply.content:
        if isinstance(part, (Text, Refusal)) and part.logprobs:
            (content if isinstance(part, Text) else refusal).extend(part.logprobs)
    return {"content": content or None, "refusal": refusal or None} if content or refusal else None


def whole_calls(reply: Reply) -> list[ToolCall]:
    """The tool calls, without a last one that the output limit may have cut: nobody must run half a call."""
    cut = reply.content[-1] if reply.content and reply.reason in ("length", "context") else None
    return [part for part in reply.content if isinstance(part, ToolCall) and part is not cut]


def refusal_text(reply: Reply) -> str | None:
    """The model's own refusal, or else the explanation of whoever stopped it."""
    said = "".join([part.text for part in reply.content if isinstance(part, Refusal)])
    return said or (reply.explanation if reply.reason == "refusal" else "") or None


def _encode_message(reply: Reply, request: Request, calls: list[ToolCall]) -> Object:
    shown = retold(reply.content, request, annotates=True)
    own = reply.origin == NAME
    spoken = [part.extra["audio"] for part in shown if isinstance(part, Text) and "audio" in part.extra] if own else []
    texts = [part for part in shown if isinstance(part, Text) and not (own and "audio" in part.extra)]
    refusal = refusal_text(reply)
    message: Object = {
        "role": "assistant",
        "content": "".join([part.text for part in texts]) if texts or not (calls or refusal or spoken) else None,
        "refusal": refusal,
        "annotations": _encode_annotations(texts),
    }
    if spoken:
        message["audio"] = spoken[0]
    if shows_reasoning(request) and (thoughts := [part for part in shown if isinstance(part, Thinking)]):
        message |= encode_reasoning(thoughts)
    if not calls:
        return message
    if uses_functions(request):
        extra = calls[0].extra.get("function_call", {}) if own else {}
        return message | {"function_call": encode_function_call(calls[0]) | extra}
    return message | {"tool_calls": [encode_call(call, own) for call in calls]}


def shows_reasoning(request: Request) -> bool:
    """Whether the answer tells the reasoning: always, unless the client said that it does not want it."""
    return request.reasoning is None or request.reasoning.visible is not False


def merge_replies(bodies: Sequence[Object], n: int = 0) -> Object:
    """The one-choice bodies of several calls as one body, with their choices in order.

    `n` is how many answer each prompt (0: all answer one), which is counted once; see `total`.
    """
    choices = [choice | {"index": index} for index, body in enumerate(bodies) for choice in body["choices"]]
    usage = told_usage(total((decode_usage(body.get("usage")) for body in bodies), n))
    return bodies[0] | {"choices": choices, "usage": usage}


# --- citations ----------------------------------------------------------------------------------


def encode_annotation(citation: Citation, start: int, end: int) -> Object | None:
    """A `url_citation` of the text from `start` to `end` in characters; None for a source that has no address.

    One that came as such keeps its own place, where that is in the text.
    """
    if not is_address(citation.url):
        return None
    match citation.extra:
        case {"type": "url_citation", "url_citation": {"start_index": int(), "end_index": int(last)}} if last <= end:
            return citation.extra
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
    said = decode_content(message.pop("content", None), "message.content") or _decode_audio(message)
    content = untagged(decode_answer(message, "message", said, theirs=True))
    skipped: list[str] = []
    if citations := decode_annotations(message.pop("annotations", None), skipped):
        _cite(content, citations)
    _decode_logprobs(choice, content)
    reason, stopped = decode_finish(choice, skipped, calls=bool(calls))
    usage, tier = body.pop("usage", None), decode_tier(body)
    for owner, known in ((body, ("object", "created")), (choice, ("index",)), (message, ("role",))):
        for key in known:
            owner.pop(key, None)
    extra = _there(body)
    for name, owner in (("choice", choice), ("message", message), ("usage", usage_rest(usage))):
        if rest := _there(owner):
            extra[name] = rest
    return Reply(
        origin=NAME,
        id=reply_id,
        model=model,
        content=content + list[Part](calls),
        reason=reason,
        stop_sequence=stopped,
        usage=decode_usage(usage),
        tier=tier,
        skipped=skipped,
        extra=extra,
    )


def _there(body: Object) -> Object:
    return {key: value for key, value in body.items() if value is not None}


def decode_finish(choice: Object, skipped: list[str], *, calls: bool) -> tuple[Reason, str | None]:
    """Pop `finish_reason`, and vLLM's `stop_reason`, which names the stop string (or a token, which is no news).

    A reason nobody knows is noted in `skipped`.
    """
    word, stopped = choice.pop("finish_reason", None), choice.pop("stop_reason", None)
    reason = end_reason(word if isinstance(word, str) else "stop", calls=calls)
    if reason == "other":
        note(skipped, "finish_reason")
    if isinstance(stopped, str) and stopped and reason == "stop":
        return "stop_sequence", stopped
    return reason, None


def _cite(content: list[Part], citations: list[Citation]) -> None:
    for part in content:
        if isinstance(part, Text):
            part.citations = citations
            return


def decode_tier(body: Object) -> str:
    """Pop `service_tier`; "default" is what Anthropic calls "standard"."""
    word = body.pop("service_tier", None)
    return _STANDARD.get(word, word) if isinstance(word, str) else ""


_STANDARD = MappingProxyType({"default": "standard"})


def _decode_logprobs(choice: Object, content: list[Part]) -> None:
    """Take what `logprobs` has for the parts of `content`; the rest stays."""
    told = choice.get("logprobs")
    if not isinstance(told, dict):
        return
    refusals = [part for part in content if isinstance(part, Refusal)]
    found = decode_logprobs(told.get("content")), decode_logprobs(told.get("refusal"))
    if found[0] and give_out([part for part in content if part not in refusals], found[0]):
        del told["content"]
    if found[1] and refusals:
        refusals[0].logprobs = found[1]
        del told["refusal"]
    if any(found) and not _there(told):
        del choice["logprobs"]


def _decode_audio(message: Object) -> list[Part]:
    """A spoken answer: its words are the text, the sound itself is OpenAI's own."""
    audio = message.get("audio")
    words = audio.get("transcript") if isinstance(audio, dict) else None
    if not isinstance(words, str) or not words:
        return []
    return [Text(text=words, extra={"audio": message.pop("audio")})]


def _word(value: JSON) -> str:
    return value if isinstance(value, str) else ""
