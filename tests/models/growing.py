"""Conversations that grow, as clients of each dialect write them: nothing that was sent is ever sent otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

Object = dict[str, Any]

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # one pixel
WORDS = st.sampled_from(["a", "b c ", " json", "<x>", "{}", "ü\n", "<think>no</think>"])
PERHAPS = st.sampled_from(["", " ", "ok", "Let me see.\n"])
TOOLS = {
    "f": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
    "fs.read": {"type": "object", "properties": {"a": {"anyOf": [{"type": "string"}, {"type": "integer"}]}}},
    "mcp__" + "x" * 80: {"type": "object", "properties": {}},
}


@dataclass
class Call:
    """`result` is "" for a tool that said nothing; `failed`: the client says so where its wire can."""

    id: str
    name: str
    arguments: Object
    result: str
    failed: bool = False
    picture: bool = False


@dataclass
class Round:
    """What the user says and the model answers.  Results of the last round's calls come before `words`."""

    words: list[str]
    picture: bool
    late: str
    thought: str
    seal: str
    text: str
    calls: list[Call] = field(default_factory=list)


@st.composite
def conversations(draw: st.DrawFn, *, tools: bool = True) -> list[Round]:
    rounds: list[Round] = []
    for turn in range(draw(st.integers(2, 5))):
        calls = [
            Call(
                f"call.{turn}:{index}" if draw(st.booleans()) else f"toolu_{turn}_{index}",
                draw(st.sampled_from(list(TOOLS))),
                {"a": index},
                draw(st.one_of(PERHAPS, WORDS)),
                failed=draw(st.booleans()),
                picture=draw(st.booleans()),
            )
            for index in range(draw(st.integers(0, 3)) if tools else 0)
        ]
        answers = bool(rounds and rounds[-1].calls)
        rounds.append(
            Round(
                words=draw(st.lists(WORDS, min_size=0 if answers else 1, max_size=2)),
                picture=draw(st.booleans()),
                late=draw(st.sampled_from(["", "", "Be brief."])),
                thought=draw(st.sampled_from(["", "hm", "well, well"])),
                seal=draw(st.sampled_from(["", f"c2VhbA{turn}=="])),
                text=draw(WORDS if not calls else PERHAPS),
                calls=calls,
            )
        )
    return rounds


# --- each dialect's own words -----------------------------------------------------------------------------------------


def openai_messages(rounds: list[Round]) -> Iterator[Object]:
    """The messages of all rounds; the last has no answer yet."""
    for index, said in enumerate(rounds):
        for call in rounds[index - 1].calls if index else ():
            content: Any = call.result
            if call.picture:
                content = [{"type": "text", "text": call.result or "x"}, {"type": "image_url", "image_url": _URL}]
            yield {"role": "tool", "tool_call_id": call.id, "content": content}
        if said.words:
            content = [{"type": "text", "text": text} for text in said.words]
            if said.picture:
                content.append({"type": "image_url", "image_url": _URL})
            yield {"role": "user", "content": content}
        if said.late and index:
            yield {"role": "system", "content": said.late}
        if index == len(rounds) - 1:
            return
        answer: Object = {"role": "assistant", "content": said.text or None}
        if said.calls:
            answer["tool_calls"] = [
                {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": json.dumps(c.arguments)}}
                for c in said.calls
            ]
        if said.thought:
            answer["reasoning_content"] = said.thought
        if said.seal:
            detail = {"type": "reasoning.text", "text": said.thought, "signature": said.seal, "index": 0}
            answer["reasoning_details"] = [{**detail, "format": "anthropic-claude-v1"}]
        yield answer


_URL = {"url": f"data:image/png;base64,{PNG}"}


def ollama_messages(rounds: list[Round]) -> Iterator[Object]:
    for index, said in enumerate(rounds):
        for call in rounds[index - 1].calls if index else ():
            yield {"role": "tool", "tool_name": call.name, "content": call.result}
        if said.words:
            yield {"role": "user", "content": "".join(said.words)} | ({"images": [PNG]} if said.picture else {})
        if said.late and index:
            yield {"role": "system", "content": said.late}
        if index == len(rounds) - 1:
            return
        answer: Object = {"role": "assistant", "content": said.text}
        if said.thought:
            answer["thinking"] = said.thought
        if said.calls:
            answer["tool_calls"] = [{"function": {"name": c.name, "arguments": c.arguments}} for c in said.calls]
        yield answer


def anthropic_messages(rounds: list[Round]) -> Iterator[Object]:
    for index, said in enumerate(rounds):
        content: list[Object] = []
        for call in rounds[index - 1].calls if index else ():
            inside: list[Object] = [{"type": "text", "text": call.result}] if call.result.strip() else []
            if call.picture and not call.failed:
                inside.append({"type": "image", "source": _SOURCE})
            content.append({"type": "tool_result", "tool_use_id": _plain(call.id), "content": inside})
            if call.failed:
                content[-1]["is_error"] = True
        content += [{"type": "text", "text": text} for text in said.words]
        if said.picture:
            content.append({"type": "image", "source": _SOURCE})
        yield {"role": "user", "content": content}
        if said.late and index:
            yield {"role": "system", "content": said.late}
        if index == len(rounds) - 1:
            return
        answer: list[Object] = []
        if said.seal:
            answer.append({"type": "thinking", "thinking": said.thought, "signature": said.seal})
        if said.text.strip():
            answer.append({"type": "text", "text": said.text})
        answer += [{"type": "tool_use", "id": _plain(c.id), "name": c.name, "input": c.arguments} for c in said.calls]
        yield {"role": "assistant", "content": answer or [{"type": "text", "text": "ok"}]}


_SOURCE = {"type": "base64", "media_type": "image/png", "data": PNG}


def _plain(id: str) -> str:
    return id.replace(".", "_").replace(":", "_")


# --- bodies -----------------------------------------------------------------------------------------------------------

SCHEMA: Object = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}, "required": ["n"]}
ARRAY: Object = {"type": "array", "items": {"type": "integer"}, "minItems": 3}

Writer = Callable[[list[Round], Object], Object]


def openai_body(rounds: list[Round], wishes: Object) -> Object:
    """`wishes`: `tools`, `format` ("json", a schema), `forced`, `think`, each as the dialect says it."""
    body: Object = {"model": wishes["model"], "messages": [_SYSTEM, *openai_messages(rounds)]}
    if wishes["tools"]:
        body["tools"] = [{"type": "function", "function": tool} for tool in _functions()]
        if wishes["forced"]:
            body["tool_choice"] = wishes["forced"]
    if wishes["format"] == "json":
        body["response_format"] = {"type": "json_object"}
    elif wishes["format"]:
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "x", "schema": wishes["format"]}}
    if wishes["think"] is not None:
        body["reasoning_effort"] = "high" if wishes["think"] else "none"
    return body


def ollama_body(rounds: list[Round], wishes: Object) -> Object:
    body: Object = {"model": wishes["model"], "messages": [_SYSTEM, *ollama_messages(rounds)]}
    if wishes["tools"]:
        body["tools"] = [{"type": "function", "function": tool} for tool in _functions()]
    if wishes["format"]:
        body["format"] = wishes["format"]
    if wishes["think"] is not None:
        body["think"] = wishes["think"]
    return body


def anthropic_body(rounds: list[Round], wishes: Object) -> Object:
    body: Object = {"model": wishes["model"], "max_tokens": 8000, "system": "You help."}
    if wishes["tools"]:
        body["tools"] = [
            {"name": tool["name"], "description": tool["description"], "input_schema": tool["parameters"]}
            for tool in _functions()
        ]
        if wishes["forced"]:
            body["tool_choice"] = {"type": {"required": "any"}.get(wishes["forced"], wishes["forced"])}
    if isinstance(wishes["format"], dict):
        body["output_config"] = {"format": {"type": "json_schema", "schema": wishes["format"]}}
    if wishes["think"] is not None:
        body["thinking"] = {"type": "adaptive" if wishes["think"] else "disabled"}
    body["messages"] = list(anthropic_messages(rounds))
    _mark_last(body["messages"])
    return body


def _mark_last(messages: list[Object]) -> None:
    """The cache mark that moves on with every turn."""
    for message in reversed(messages):
        if message["role"] == "user":
            message["content"][-1] = {**message["content"][-1], "cache_control": {"type": "ephemeral"}}
            return


_SYSTEM = {"role": "system", "content": "You help."}


def _functions() -> list[Object]:
    return [{"name": name, "description": f"Does {name}.", "parameters": schema} for name, schema in TOOLS.items()]


WRITERS: dict[str, Writer] = {"ollama": ollama_body, "openai_chat": openai_body, "anthropic": anthropic_body}

WISHES = st.fixed_dictionaries(
    {
        "tools": st.booleans(),
        "format": st.sampled_from(["", "", "json", SCHEMA, ARRAY]),
        "forced": st.sampled_from(["", "", "required", "none"]),
        "think": st.sampled_from([None, True, False]),
    }
)


# --- the beginning of a body ------------------------------------------------------------------------------------------


def beginning(body: Object) -> tuple[str, list[str]]:
    """What stands before the messages, and each piece of these, without cache marks.

    A model reads neighbours of one role as one message, so pieces are blocks where messages have blocks.
    """
    body = json.loads(json.dumps(body), object_hook=_without_marks)
    head = json.dumps([body.get("tools"), body.get("system")])
    pieces: list[str] = []
    for message in body["messages"]:
        content = message["content"] if isinstance(message.get("content"), list) else [message.get("content")]
        rest = {name: value for name, value in message.items() if name != "content"}
        pieces += [json.dumps([rest, block]) for block in content]
    return head, pieces


def _without_marks(value: Object) -> Object:
    value.pop("cache_control", None)
    return value
