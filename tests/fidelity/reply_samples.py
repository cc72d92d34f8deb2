"""Answers as upstreams send them, each with one member that can be told from all others.

The types of the official SDKs are the list, as for requests: a member, a block or an event that one of them learns is
tried without a line being written here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple, get_args

import msgspec
from anthropic.types import Message, RawMessageStreamEvent
from anthropic.types.beta import BetaMessage, BetaRawMessageStreamEvent
from ollama import ChatResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel

from tests.fidelity import reply_items
from tests.fidelity.members import Array, Field, Leaf, Member, Record, Shape, Step, members_of, record_of

Object = dict[str, Any]


class Answer(NamedTuple):
    """An upstream's answer, `data` as it sends it; `plain` is the same without what is looked for.

    `needle` is the value in it, "" where it cannot be told from others and only the difference counts.
    """

    path: str
    needle: str
    data: Any
    plain: Any


def _events(*unions: Any) -> dict[str, Record]:
    found: dict[str, list[type]] = {}
    for union in unions:
        for kind in _variants(union):
            word = get_args(kind.model_fields["type"].annotation)[0]
            found.setdefault(word, []).append(kind)
    return {word: record_of(*kinds) for word, kinds in found.items()}


def _variants(hint: Any) -> Iterator[type[BaseModel]]:
    if isinstance(hint, type):
        yield hint
    else:
        for inner in get_args(hint):
            if not isinstance(inner, type) or issubclass(inner, BaseModel):
                yield from _variants(inner)


NOVEL = "novel_member"

# A message begins empty, and how it will end nobody knows.
_LATER = re.compile(r"\.(content\[|stop_)")

ROOTS: dict[str, Record] = {
    "anthropic": record_of(Message, BetaMessage),
    "openai_chat": record_of(ChatCompletion),
    "ollama": record_of(ChatResponse),
    "openai_responses": reply_items.pruned(record_of(Response)),
}
EVENTS = _events(RawMessageStreamEvent, BetaRawMessageStreamEvent)
# Those that end an answer as an error are no answers.
ITEM_EVENTS = {
    kind: reply_items.pruned_event(record)
    for kind, record in _events(ResponseStreamEvent).items()
    if kind not in ("error", "response.failed")
}
CHUNK = record_of(ChatCompletionChunk)


def novel(record: Record) -> Record:
    """The same object as a later version of its API may have it: with a member more, and so has all that is in it."""

    def grown(shape: Shape) -> Shape:
        match shape:
            case Record():
                return novel(shape)
            case Array(items):
                return Array(tuple(map(grown, items)))
            case _:
                return shape

    fields = {
        name: Field(field.required, tuple(map(grown, field.alternatives))) for name, field in record.fields.items()
    }
    return Record(record.name, record.label, fields | {NOVEL: Field(False, (Leaf("str"),))})


def _members(record: Record, *, later: bool) -> Iterator[tuple[Member, Record]]:
    grown = novel(record) if later else record
    for member in members_of(grown):
        if not later or member.path.endswith(NOVEL):
            yield member, grown


@cache
def answers(upstream: str, *, later: bool = False) -> tuple[Answer, ...]:
    """Whole answers of `upstream`, one for every value that a member can have.

    `later`: the members that a later version may have, instead.
    """
    return tuple(
        Answer(
            path,
            needle,
            _whole(upstream, record, member, value),
            _whole(upstream, record, member, _other(member, value)),
        )
        for member, record in _members(ROOTS[upstream], later=later)
        for path, value, needle in _values(member)
        if not reply_items.UNFINISHED.search(path)
    )


@cache
def streams(upstream: str, *, later: bool = False) -> tuple[Answer, ...]:
    """The same for the events of a stream."""
    match upstream:
        case "anthropic":
            roots = [(kind, record) for kind, record in EVENTS.items()]
        case "openai_chat":
            roots = [("", CHUNK)]
        case "openai_responses":
            roots = [*ITEM_EVENTS.items()]
        case _:
            roots = [("", ROOTS[upstream])]
    return tuple(
        Answer(
            f"{kind}.{path}" if kind else path,
            needle,
            _stream(upstream, kind, record, member, value),
            _stream(upstream, kind, record, member, _other(member, value)),
        )
        for kind, known in roots
        for member, record in _members(known, later=later)
        if not (kind == "message_start" and _LATER.search(member.path))
        for path, value, needle in _values(member)
        if not reply_items.UNFINISHED.search(f"{kind}.{path}")
    )


# --- values --------------------------------------------------------------------------------------------


def _values(member: Member) -> Iterator[tuple[str, Any, str]]:
    """Path, value and needle for each value worth trying; records are tried by their members."""
    shape = member.leaf
    if not isinstance(shape, Leaf):
        return
    number = 700_000 + hash_of(member.path)
    word = f"needle{number}"
    match shape.kind:
        case "word":
            # Names of models are told apart by nobody; one will do.
            for choice in shape.choices if len(shape.choices) <= 12 else shape.choices[:1]:
                yield f"{member.path}={choice}", choice, ""
        case "bool":
            yield member.path, True, ""
        case "int":
            yield member.path, number, str(number)
        case "float":
            yield member.path, number + 0.5, f"{number}.5"
        case "object":
            yield member.path, {"inner": word}, word
        case _:
            value, needle = _text(member.path, word)
            yield member.path, value, needle


def _other(member: Member, value: Any) -> Any:
    """Another value to compare with; None leaves the member out."""
    shape = member.leaf
    words = shape.choices if isinstance(shape, Leaf) and member.required else ()
    return next((word for word in words if word != value), None)


def _text(path: str, word: str) -> tuple[str, str]:
    last = path.rpartition(".")[2]
    if last in ("url", "source"):
        return f"https://{word}.example", word
    if last in ("arguments", "partial_json"):
        return f'{{"a": "{word}"}}', word
    return word, word


def hash_of(path: str) -> int:
    """A number of a path's own, the same every time."""
    return int.from_bytes(path.encode(), "big") % 99_991


def sample(shape: Shape, seed: str = "") -> Any:
    """A value of this shape that says as little as it can."""
    match shape:
        case Leaf("word", choices):
            return choices[0]
        case Leaf("int"):
            return 0
        case Leaf("float"):
            return 0.0
        case Leaf("bool"):
            return False
        case Leaf("object"):
            return {}
        case Leaf():
            return {"url": "https://example.org", "arguments": "{}", "partial_json": ""}.get(seed, "x")
        case Array():
            return []
        case Record(_, _, fields):
            return {
                name: sample(field.alternatives[0], name)
                for name, field in fields.items()
                if field.required and field.alternatives
            }


def _filled(shape: Shape, steps: tuple[Step, ...], value: Any) -> Any:
    """A sample of `shape` in which `value` stands where `steps` lead; without a value, all but the last step."""
    if not steps:
        return value
    step, rest = steps[0], steps[1:]
    if isinstance(shape, Array):
        element = _filled(step.shape, rest, value) if rest or value is not None else None
        return [] if element is None else [element]
    body = sample(shape)
    if rest or value is not None:
        body[step.key] = _filled(step.shape, rest, value)
    elif not (isinstance(shape, Record) and shape.fields[step.key].required):
        body.pop(step.key, None)
    return body


def _made(record: Record, member: Member, value: Any) -> Object:
    body: Object = _filled(record, member.steps, value)
    return body


# --- whole answers ---------------------------------------------------------------------------------------


def _whole(upstream: str, record: Record, member: Member, value: Any) -> Object:
    body = _made(record, member, value)
    at = member.path
    match upstream:
        case "anthropic":
            body["content"] = body.get("content") or [{"type": "text", "text": "hi"}]
            _ended(body, at)
        case "openai_chat":
            said: Object = {"role": "assistant", "content": "hi"}
            choice = {"index": 0, "finish_reason": "stop", "message": said, "logprobs": None}
            body["choices"] = [choice | c for c in body.get("choices") or [{}]]
            _spoken(body["choices"][0], at, "message")
        case "openai_responses":
            reply_items.complete(body, at)
        case _:
            body["message"] = {"role": "assistant", "content": "hi"} | (body.get("message") or {})
            body |= {"done": True} | ({} if "done_reason" in at else {"done_reason": "stop"})
    return body


def _ended(body: Object, at: str) -> None:
    """How an answer ends where its end is told."""
    if "stop_reason" not in at:
        details = "stop_details" in at
        body["stop_reason"] = "refusal" if details else "stop_sequence" if "stop_sequence" in at else "end_turn"
        body["stop_sequence"] = body.get("stop_sequence") if "stop_sequence" in at else None


def _spoken(choice: Object, at: str, where: str) -> None:
    """A message in which what is looked for can stand."""
    message = choice[where]
    message.setdefault("content", "hi")
    if "annotations" in at:
        message["content"] = "x" * 900_000  # what is cited stands in it
    if ".audio" in at or "logprobs.refusal" in at:
        message["content"] = None
    if ".refusal" in at:
        message.setdefault("refusal", "no")
    for call in message.get("tool_calls") or []:
        call.setdefault("id", "call_1")
        call.setdefault("type", "function")
        if call["type"] == "function":
            call["function"] = {"name": "f", "arguments": "{}"} | (call.get("function") or {})
    if (function := message.get("function_call")) is not None:
        message["function_call"] = {"name": "f", "arguments": "{}"} | function
    if audio := message.get("audio"):
        message["audio"] = {"transcript": "said"} | audio


# --- streams ----------------------------------------------------------------------------------------------


def _stream(upstream: str, kind: str, record: Record, member: Member, value: Any) -> bytes:
    body = _made(record, member, value)
    match upstream:
        case "anthropic":
            return _claude(kind, body, member.path)
        case "openai_chat":
            return _chunks(body, member.path)
        case "openai_responses":
            return reply_items.stream(kind, body, member.path)
        case _:
            return _lines(body, member.path)


def _claude(kind: str, event: Object, at: str) -> bytes:
    start: Object = {"type": "message_start", "message": {"id": "m", "model": "c", "usage": {"input_tokens": 1}}}
    block: Object = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    deltas: list[Object] = [{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}}]
    stop: Object = {"type": "content_block_stop", "index": 0}
    end: Object = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}}
    last: Object = {"type": "message_stop"}
    event["type"] = kind
    if "index" in event and at != "index":
        event["index"] = 0
    match kind:
        case "message_start":
            event["message"]["content"] = []
            start = event
        case "content_block_start":
            block, deltas = event, []
        case "content_block_delta":
            block["content_block"] = _BLOCKS.get(event["delta"]["type"], block["content_block"])
            deltas = [event]
        case "content_block_stop":
            stop = event
        case "message_delta":
            _ended(event["delta"], at)
            end = event
        case "message_stop":
            last = event
        case _:
            deltas.append(event)
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (e["type"].encode(), msgspec.json.encode(e))
        for e in (start, block, *deltas, stop, end, last)
    )


_BLOCKS: dict[str, Object] = {
    "input_json_delta": {"type": "tool_use", "id": "t", "name": "f", "input": {}},
    "thinking_delta": {"type": "thinking", "thinking": "", "signature": ""},
    "signature_delta": {"type": "thinking", "thinking": "", "signature": ""},
    "compaction_delta": {"type": "compaction", "content": None},
}


def _chunks(chunk: Object, at: str) -> bytes:
    """The chunk that is looked at stands in the middle of a text, where nothing new is expected."""

    def plain(delta: Object, finish: str | None = None) -> Object:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}

    middle = plain({"content": "hi"})
    choices = chunk.get("choices") or [{}]
    chunk = middle | chunk | {"choices": [middle["choices"][0] | choice for choice in choices]}
    choice = chunk["choices"][0]
    _spoken(choice, at, "delta")
    if "delta." in at or "logprobs.refusal" in at:
        choice["delta"] = {k: v for k, v in choice["delta"].items() if k != "content" or at.endswith("content")}
    first = plain({"role": "assistant", "content": "" if ".refusal" in at else "a"})
    ends = [] if choice["finish_reason"] else [plain({}, "stop")]
    frames = [first, plain({"content": "b"}), chunk, *ends]
    if "refusal" in at:
        frames.pop(1)
    return b"".join(b"data: %b\n\n" % msgspec.json.encode(frame) for frame in frames) + b"data: [DONE]\n\n"


def _lines(line: Object, at: str) -> bytes:
    def plain(text: str, **members: Any) -> Object:
        return {"model": "m", "created_at": "t", "message": {"role": "assistant", "content": text}, **members}

    final = at.partition("=")[0] in ("done", "done_reason") or at.endswith(("_count", "_duration"))
    line = plain("hi", done=final) | line
    line["message"] = {"role": "assistant", "content": ""} | line["message"]
    if "message." in at and not at.endswith("content"):
        line["message"]["content"] = ""
    last = [] if final else [plain("", done=True, done_reason="stop", prompt_eval_count=1)]
    line["done"] = final
    return b"".join(msgspec.json.encode(each) + b"\n" for each in (plain("a", done=False), line, *last))
