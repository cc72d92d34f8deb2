"""Programs that use the official Ollama SDK: `/api/chat`, and `/api/generate`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import ollama

from dragoman.conversation import Message
from tests.matrix.neutral import Answer, Ask, Call, Failure, Object, Results, Turn, pictures, words

_PATIENCE = 20.0


class Chat:
    """`Client.chat`."""

    name = "ollama chat"
    can = frozenset(
        {
            *("turns", "developer", "tools", "images", "result images", "think", "levels", "thoughts", "schema"),
            *("json", "stop"),
        }
    )
    errors: tuple[type[Exception], ...] = (ollama.ResponseError, httpx.HTTPError)
    finishes: Mapping[str, str] = {
        "stop": "stop",
        "length": "length",
        "context": "length",
        "tools": "stop",
        "stop_sequence": "stop",
        "refusal": "stop",
    }

    def __init__(self, url: str, key: str = "any") -> None:
        self._url, self._key = url, key
        self._headers: Mapping[str, str] = {}
        self._client = self._made(_PATIENCE)

    def _made(self, timeout: float) -> ollama.Client:
        hooks = {"response": [self._note]}
        headers = {"authorization": f"Bearer {self._key}"}
        return ollama.Client(self._url, timeout=timeout, verify=False, headers=headers, event_hooks=hooks)

    def _note(self, response: httpx.Response) -> None:
        self._headers = response.headers

    def close(self) -> None:
        client: Any = self._client
        client.close()

    # --- asking ------------------------------------------------------------------------------------

    def ask(self, model: str, ask: Ask, *, streamed: bool) -> Answer:
        return self._sum(list(self._parts(self._client, model, ask, streamed=streamed)))

    def leave(self, model: str, ask: Ask, *, streamed: bool, seconds: float) -> None:
        with self._made(_PATIENCE if streamed else seconds) as client, contextlib.suppress(httpx.ReadTimeout):
            parts = self._parts(client, model, ask, streamed=streamed)
            next(parts)
            parts.close()

    def _parts(self, client: ollama.Client, model: str, ask: Ask, *, streamed: bool) -> Any:
        answer = self._call(client, {"model": model, **self._said(ask), **_members(ask)}, streamed=streamed)
        yield from answer if streamed else [answer]

    def _call(self, client: Any, body: Object, *, streamed: bool) -> Any:
        return client.chat(**body, stream=streamed)

    def _said(self, ask: Ask) -> Object:
        tools = [
            {"type": "function", "function": {"name": t.name, "description": t.description, "parameters": t.schema}}
            for t in ask.tools
        ]
        messages = [message for turn in ask.turns for message in _messages(turn)]
        return {"messages": messages} | ({"tools": tools} if tools else {})

    # --- reading -----------------------------------------------------------------------------------

    def _sum(self, parts: list[Any]) -> Answer:
        *before, last = parts
        assert last.done is True
        assert all(part.done is False and part.done_reason is None for part in before)
        answer = Answer(finish=last.done_reason or "", pieces=len(parts), headers=self._headers)
        # Ollama leaves out what is zero.
        answer.prompt, answer.output = last.prompt_eval_count or 0, last.eval_count or 0
        calls: list[ollama.Message.ToolCall] = []
        for part in parts:
            said = part.message if isinstance(part, ollama.ChatResponse) else part
            answer.text += (said.content if isinstance(said, ollama.Message) else said.response) or ""
            answer.thinking += said.thinking or ""
            calls += getattr(said, "tool_calls", None) or []
        answer.calls = [Call(call.function.name, dict(call.function.arguments)) for call in calls]
        answer.turn = ollama.Message(
            role="assistant",
            content=answer.text or None,
            thinking=answer.thinking or None,
            tool_calls=calls or None,
        )
        return answer

    def knows(self, name: str) -> bool:
        return hasattr(ollama, name)

    def failure(self, error: Exception) -> Failure:
        if not isinstance(error, ollama.ResponseError):
            return Failure(type(error).__name__, None, str(error))
        status = error.status_code if error.status_code > 0 else None
        return Failure("ResponseError", status, error.error, self._headers.get("retry-after"), self._headers)


class Generate(Chat):
    """`Client.generate`: one prompt, and no tools."""

    name = "ollama generate"
    can = frozenset({"images", "think", "levels", "schema", "json", "stop"})

    def _call(self, client: Any, body: Object, *, streamed: bool) -> Any:
        return client.generate(**body, stream=streamed)

    def _said(self, ask: Ask) -> Object:
        body: Object = {}
        for turn in ask.turns:
            assert isinstance(turn, Message)
            if turn.role == "system":
                body["system"] = words(turn.content)
            else:
                assert "prompt" not in body
                body["prompt"] = words(turn.content)
                body["images"] = [part.data for part in pictures(turn.content)] or None
        return body


def _members(ask: Ask) -> Object:
    options: Object = {"num_predict": ask.limit} | ({"stop": list(ask.stop)} if ask.stop else {})
    body: Object = {"options": options}
    if ask.think is not None:
        body["think"] = ask.think
    if ask.schema is not None:
        body["format"] = ask.schema
    if ask.parse is not None:
        body["format"] = ask.parse.model_json_schema()
    if ask.json:
        body["format"] = "json"
    return body


def _messages(turn: Turn) -> Iterator[Any]:
    match turn:
        case Answer():
            yield turn.turn
        case Results(items=items):
            for item in items:
                images = [part.data for part in pictures(item.content)]
                yield {
                    "role": "tool",
                    "tool_name": item.call.name,
                    "content": words(item.content),
                    **({"images": images} if images else {}),
                }
        case Message():
            images = [part.data for part in pictures(turn.content)]
            yield {"role": turn.role, "content": words(turn.content), **({"images": images} if images else {})}
