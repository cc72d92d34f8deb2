"""A program that uses the official OpenAI SDK for chat completions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import openai

from dragoman.conversation import Media, Message, Part, Text
from tests.matrix.neutral import Answer, Ask, Call, Failure, Object, Results, Turn, decoded, words

_PATIENCE = 20.0
_CHOICES = {"any": "required", "auto": "auto", "none": "none"}


class Chat:
    """`client.chat.completions`."""

    name = "openai chat"
    can = frozenset(
        {
            *("turns", "developer", "tools", "choice", "single", "images", "documents", "think", "levels", "thoughts"),
            *("schema", "json", "parse", "stop_sequence", "refusal"),
        }
    )
    errors: tuple[type[Exception], ...] = (openai.OpenAIError,)
    finishes: Mapping[str, str] = {
        "stop": "stop",
        "length": "length",
        "context": "length",
        "tools": "tool_calls",
        "stop_sequence": "stop",
        "refusal": "content_filter",
    }

    def __init__(self, url: str, key: str = "any") -> None:
        self._headers: Mapping[str, str] = {}
        http = openai.DefaultHttpxClient(verify=False, event_hooks={"response": [self._note]})
        options: Any = {"base_url": f"{url}/v1", "api_key": key, "max_retries": 0, "timeout": _PATIENCE}
        self._client = openai.OpenAI(**options, http_client=http)

    def _note(self, response: Any) -> None:
        self._headers = response.headers

    def close(self) -> None:
        self._client.close()

    # --- asking ------------------------------------------------------------------------------------

    def ask(self, model: str, ask: Ask, *, streamed: bool) -> Answer:
        body = _body(model, ask)
        completions: Any = self._client.chat.completions
        if not streamed:
            asked = completions.parse if ask.parse else completions.create
            return self._read(asked(**body), 1)
        with completions.stream(**body, stream_options={"include_usage": True}) as stream:
            chunks = [event.chunk for event in stream if event.type == "chunk"]
            answer = self._read(stream.get_final_completion(), len(chunks))
        _check(chunks, answer)
        return answer

    def leave(self, model: str, ask: Ask, *, streamed: bool) -> None:
        body = _body(model, ask)
        client: Any = self._client.with_options(timeout=_PATIENCE if streamed else 0.3)
        with contextlib.suppress(openai.APITimeoutError):
            answer = client.chat.completions.create(**body, stream=streamed)
            next(iter(answer))
            answer.close()

    # --- reading -----------------------------------------------------------------------------------

    def _read(self, completion: Any, pieces: int) -> Answer:
        (choice,) = completion.choices
        message = choice.message
        more = message.model_extra or {}
        answer = Answer(
            text=message.content or "",
            refusal=message.refusal or "",
            thinking=more.get("reasoning_content") or "",
            finish=choice.finish_reason,
            stop=(choice.model_extra or {}).get("stop_reason"),
            parsed=getattr(message, "parsed", None),
            pieces=pieces,
            headers=self._headers,
        )
        if completion.usage is not None:
            answer.prompt, answer.output = completion.usage.prompt_tokens, completion.usage.completion_tokens
        for call in message.tool_calls or []:
            assert call.type == "function"
            answer.calls.append(Call(call.function.name, decoded(call.function.arguments), call.id))
        kept = {"role", "content", "refusal", "tool_calls", "reasoning_content", "reasoning_details"}
        turn = message.model_dump(exclude_none=True)
        answer.turn = {name: value for name, value in turn.items() if name in kept}
        for call in answer.turn.get("tool_calls") or []:
            call["function"].pop("parsed_arguments", None)
            call.pop("index", None)
        return answer

    def failure(self, error: Exception) -> Failure:
        status = error.status_code if isinstance(error, openai.APIStatusError) else None
        wait = self._headers.get("retry-after")
        return Failure(type(error).__name__, status, getattr(error, "message", str(error)), wait, self._headers)


def _check(chunks: list[Any], answer: Answer) -> None:
    """The order of a stream: the role first, one finish, then the usage and nothing more."""
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == [answer.finish]
    assert [index for index, chunk in enumerate(chunks) if chunk.usage] == [len(chunks) - 1]
    thoughts = [(choice.delta.model_extra or {}).get("reasoning_content") for c in chunks for choice in c.choices]
    assert answer.thinking == "".join(filter(None, thoughts))


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
        body["tool_choice"] = _CHOICES.get(ask.choice, named)
    if ask.single:
        body["parallel_tool_calls"] = False
    if ask.stop:
        body["stop"] = list(ask.stop)
    if ask.think is not None:
        body["reasoning_effort"] = {True: "medium", False: "none"}.get(ask.think, ask.think)  # type: ignore[call-overload]
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
