"""A program that uses the official Anthropic SDK, the current one or one that was never updated."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import anthropic

from dragoman.conversation import Media, Message, Part, Text
from tests.matrix.neutral import Answer, Ask, Call, Failure, Object, Result, Results, Turn, words

_PATIENCE = 20.0
_ALWAYS = frozenset(
    {
        *("turns", "tools", "choice", "single", "failed", "images", "documents", "result images", "stop"),
        *("schema", "stop_sequence", "levels"),
    }
)
# What an SDK knows from which version on: (major, minor) and features of `rows`.
_LEARNT: tuple[tuple[tuple[int, int], frozenset[str]], ...] = (
    ((0, 47), frozenset({"think", "thoughts"})),
    ((2, 0), frozenset({"parse", "late system", "refusal"})),
)
VERSION = tuple(int(number) for number in anthropic.__version__.split(".")[:2])


class Messages:
    """`client.messages`."""

    name = "anthropic"
    can = _ALWAYS.union(*(learnt for version, learnt in _LEARNT if version <= VERSION))
    errors: tuple[type[Exception], ...] = (anthropic.AnthropicError,)
    finishes: Mapping[str, str] = {
        "stop": "end_turn",
        "length": "max_tokens",
        "context": "model_context_window_exceeded",
        "tools": "tool_use",
        "stop_sequence": "stop_sequence",
        "refusal": "refusal",
    }

    def __init__(self, url: str, key: str = "any") -> None:
        self._headers: Mapping[str, str] = {}
        http: Any = anthropic.DefaultHttpxClient(verify=False, event_hooks={"response": [self._note]})
        options: Any = {"base_url": url, "api_key": key, "max_retries": 0, "timeout": _PATIENCE}
        self._client: Any = anthropic.Anthropic(**options, http_client=http)

    def _note(self, response: Any) -> None:
        self._headers = response.headers

    def close(self) -> None:
        self._client.close()

    # --- asking ------------------------------------------------------------------------------------

    def ask(self, model: str, ask: Ask, *, streamed: bool) -> Answer:
        body = _body(model, ask)
        messages = self._client.messages
        if not streamed:
            return self._read((messages.parse if ask.parse else messages.create)(**body), 1)
        with messages.stream(**body) as stream:
            events = list(stream)
            answer = self._read(stream.get_final_message(), len(events))
        raw = [event for event in events if event.type in _RAW]
        assert raw[0].type == "message_start"
        answer.started = raw[0].message.usage.input_tokens
        if ask.parse is None:
            (delta,) = (event for event in raw if event.type == "message_delta")
            answer.output = delta.usage.output_tokens
            answer.prompt = _prompt(delta.usage) or answer.prompt
        return answer

    def leave(self, model: str, ask: Ask, *, streamed: bool, seconds: float) -> None:
        client = self._client.with_options(timeout=_PATIENCE if streamed else seconds)
        with contextlib.suppress(anthropic.APITimeoutError):
            answer = client.messages.create(**_body(model, ask), stream=streamed)
            next(iter(answer))
            answer.close()

    # --- reading -----------------------------------------------------------------------------------

    def _read(self, message: Any, pieces: int) -> Answer:
        assert message.type == "message"
        assert message.role == "assistant"
        answer = Answer(finish=message.stop_reason, stop=message.stop_sequence, pieces=pieces, headers=self._headers)
        answer.prompt, answer.output = _prompt(message.usage), message.usage.output_tokens
        for block in message.content:
            match block.type:
                case "text":
                    answer.text += block.text
                    answer.parsed = getattr(block, "parsed_output", None) or answer.parsed
                case "thinking":
                    answer.thinking += getattr(block, "thinking", "")
                    answer.seals.append(getattr(block, "signature", ""))
                case "tool_use":
                    answer.calls.append(Call(block.name, dict(block.input), block.id))
        if (details := getattr(message, "stop_details", None)) is not None and VERSION >= (2, 0):
            answer.refusal = details.explanation or ""
        answer.turn = {"role": "assistant", "content": message.content}
        return answer

    def knows(self, name: str) -> bool:
        return hasattr(anthropic._exceptions, name)

    def failure(self, error: Exception) -> Failure:
        status = error.status_code if isinstance(error, anthropic.APIStatusError) else None
        return Failure(type(error).__name__, status, str(error), self._headers.get("retry-after"), self._headers)


_RAW = ("message_start", "message_delta", "message_stop")


def _prompt(usage: Any) -> int | None:
    """Every token of the prompt; None where the usage does not tell."""
    told = [getattr(usage, f"{name}input_tokens", None) for name in ("", "cache_read_", "cache_creation_")]
    return None if told[0] is None else sum(number or 0 for number in told)


def _body(model: str, ask: Ask) -> Object:
    turns = list(ask.turns)
    body: Object = {"model": model, "max_tokens": ask.limit}
    more: Object = {}
    match turns[0]:
        case Message(role="system", content=content):
            body["system"] = words(content)
            turns = turns[1:]
    body["messages"] = [message for turn in turns for message in _messages(turn)]
    if ask.tools:
        body["tools"] = [{"name": t.name, "description": t.description, "input_schema": t.schema} for t in ask.tools]
    if ask.choice or ask.single:
        known = ask.choice in ("", "auto", "any", "none")
        choice = {"type": ask.choice or "auto"} if known else {"type": "tool", "name": ask.choice}
        body["tool_choice"] = choice | ({"disable_parallel_tool_use": True} if ask.single else {})
    if ask.stop:
        body["stop_sequences"] = list(ask.stop)
    match ask.think:
        case True:
            more["thinking"] = {"type": "enabled", "budget_tokens": 1024}
        case False:
            more["thinking"] = {"type": "disabled"}
        case str(level):
            more["thinking"] = {"type": "adaptive", "display": "summarized"}
            more["output_config"] = {"effort": level}
    if ask.schema is not None:
        more["output_config"] = {"format": {"type": "json_schema", "schema": ask.schema}}
    if ask.parse is not None:
        body["output_format"] = ask.parse
    return body | ({"extra_body": more} if more else {})


def _messages(turn: Turn) -> Iterator[Object]:
    match turn:
        case Answer():
            yield turn.turn
        case Results(items=items):
            yield {"role": "user", "content": [_result(item) for item in items]}
        case Message(content=[Text(text=text)]):
            yield {"role": turn.role, "content": text}
        case Message():
            yield {"role": turn.role, "content": [_part(part) for part in turn.content]}


def _result(item: Result) -> Object:
    block: Object = {"type": "tool_result", "tool_use_id": item.call.id, "content": [_part(p) for p in item.content]}
    return block | ({"is_error": True} if item.failed else {})


def _part(part: Part) -> Object:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Media():
            source = {"type": "base64", "media_type": part.media_type, "data": part.data}
            return {"type": "image" if part.kind == "image" else "document", "source": source}
        case _:
            raise AssertionError(part)
