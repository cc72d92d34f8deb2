"""A program that uses the official OpenAI SDK for chat completions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import openai

from dragoman.conversation import Media, Message, Part, Text
from tests.matrix.neutral import Answer, Ask, Call, Failure, Object, Results, Turn, decoded, words
from tests.sdks import asking_openai
from tests.sdks.asking_openai import fold, read

_PATIENCE = 20.0
_EFFORTS = {True: "medium", False: "none"}
_CHOICES = {"any": "required", "auto": "auto", "none": "none"}


class Chat:
    """`client.chat.completions`."""

    name = "openai chat"
    can = frozenset(
        {
            *("turns", "developer", "tools", "choice", "single", "images", "documents", "think", "levels", "thoughts"),
            *("schema", "json", "parse", "stop", "stop_sequence", "refusal"),
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
        if ask.parse is not None:
            return self._parsed(body, streamed=streamed)
        if not streamed:
            return self._told(read(completions.create(**body)), 1)
        with completions.create(**body, stream=True, stream_options={"include_usage": True}) as stream:
            chunks = list(stream)
        return self._told(fold(chunks), len(chunks))

    def _parsed(self, body: Object, *, streamed: bool) -> Answer:
        """The SDK's own way to have an answer in the shape of a class."""
        completions: Any = self._client.chat.completions
        if not streamed:
            completion = completions.parse(**body)
        else:
            with completions.stream(**body, stream_options={"include_usage": True}) as stream:
                completion = stream.get_final_completion()
        answer = self._told(read(completion), 1)
        answer.parsed = completion.choices[0].message.parsed
        return answer

    def leave(self, model: str, ask: Ask, *, streamed: bool, seconds: float) -> None:
        body = _body(model, ask)
        client: Any = self._client.with_options(timeout=_PATIENCE if streamed else seconds)
        with contextlib.suppress(openai.APITimeoutError):
            answer = client.chat.completions.create(**body, stream=streamed)
            next(iter(answer))
            answer.close()

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
            headers=self._headers,
        )

    def knows(self, name: str) -> bool:
        return hasattr(openai, name)

    def failure(self, error: Exception) -> Failure:
        status = error.status_code if isinstance(error, openai.APIStatusError) else None
        wait = self._headers.get("retry-after")
        return Failure(type(error).__name__, status, getattr(error, "message", str(error)), wait, self._headers)


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
        body["reasoning_effort"] = ask.think if isinstance(ask.think, str) else _EFFORTS[ask.think]
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
