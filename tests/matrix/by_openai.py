"""A program that uses the official OpenAI SDK for chat completions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dragoman.conversation import Media, Message, Part, Text
from tests.matrix.neutral import Answer, Ask, Call, Object, Results, Turn, decoded, words
from tests.matrix.openai_sdk import CHOICES, EFFORTS, OpenAISDK
from tests.sdks import asking_openai
from tests.sdks.asking_openai import fold, read


class Chat(OpenAISDK):
    """`client.chat.completions`."""

    name = "openai chat"
    can = frozenset(
        {
            *("turns", "developer", "tools", "choice", "single", "images", "documents", "think", "levels", "thoughts"),
            *("schema", "json", "parse", "stop", "stop_sequence", "refusal"),
        }
    )
    finishes: Mapping[str, str] = {
        "stop": "stop",
        "length": "length",
        "context": "length",
        "tools": "tool_calls",
        "stop_sequence": "stop",
        "refusal": "content_filter",
    }

    # --- asking ------------------------------------------------------------------------------------

    def ask(self, model: str, ask: Ask, *, streamed: bool) -> Answer:
        body = _body(model, ask)
        completions = self.client.chat.completions
        if ask.parse is not None:
            return self._parsed(body, streamed=streamed)
        if not streamed:
            return self._told(read(completions.create(**body)), 1)
        with completions.create(**body, stream=True, stream_options={"include_usage": True}) as stream:
            chunks = list(stream)
        return self._told(fold(chunks), len(chunks))

    def _parsed(self, body: Object, *, streamed: bool) -> Answer:
        """The SDK's own way to have an answer in the shape of a class."""
        completions = self.client.chat.completions
        if not streamed:
            completion = completions.parse(**body)
        else:
            with completions.stream(**body, stream_options={"include_usage": True}) as stream:
                completion = stream.get_final_completion()
        answer = self._told(read(completion), 1)
        answer.parsed = completion.choices[0].message.parsed
        return answer

    def begun(self, client: Any, model: str, ask: Ask, *, streamed: bool) -> Any:
        return client.chat.completions.create(**_body(model, ask), stream=streamed)

    # --- reading -----------------------------------------------------------------------------------

    def _told(self, choices: list[asking_openai.Answer], pieces: int) -> Answer:
        (found,) = choices
        calls = [Call(call.name, decoded(call.words), call.id) for call in found.calls]
        return Answer(
            text=found.text,
            refusal=found.refusal,
            thinking=found.reasoning,
            calls=calls,
            finish=found.finish or "",
            stop=found.stop,
            prompt=found.spent.prompt_tokens,
            output=found.spent.completion_tokens,
            turn=found.message(),
            pieces=pieces,
            headers=self.headers,
        )


def _body(model: str, ask: Ask) -> Object:
    body: Object = {"model": model, "messages": [m for turn in ask.turns for m in _messages(turn)]}
    body["max_completion_tokens"] = ask.limit
    if ask.tools:
        body["tools"] = [
            {"type": "function", "function": {"name": t.name, "description": t.description, "parameters": t.schema}}
            for t in ask.tools
        ]
    if ask.choice:
        named = {"type": "function", "function": {"name": ask.choice}}
        body["tool_choice"] = CHOICES.get(ask.choice, named)
    if ask.single:
        body["parallel_tool_calls"] = False
    if ask.stop:
        body["stop"] = list(ask.stop)
    if ask.think is not None:
        body["reasoning_effort"] = ask.think if isinstance(ask.think, str) else EFFORTS[ask.think]
    if ask.schema is not None:
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": ask.schema}}
    if ask.json:
        body["response_format"] = {"type": "json_object"}
    if ask.parse is not None:
        body["response_format"] = ask.parse
    return body


def _messages(turn: Turn) -> Iterator[Object]:
    match turn:
        case Answer():
            yield turn.turn
        case Results(items=items):
            for item in items:
                yield {"role": "tool", "tool_call_id": item.call.id, "content": words(item.content)}
        case Message(content=[Text(text=text)]):
            yield {"role": turn.role, "content": text}
        case Message():
            yield {"role": turn.role, "content": [_part(part) for part in turn.content]}


def _part(part: Part) -> Object:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Media(kind="image"):
            return {"type": "image_url", "image_url": {"url": f"data:{part.media_type};base64,{part.data}"}}
        case Media():
            url = f"data:{part.media_type};base64,{part.data}"
            return {"type": "file", "file": {"filename": part.name, "file_data": url}}
        case _:
            raise AssertionError(part)
