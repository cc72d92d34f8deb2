"""One question to `/api/chat` or `/api/generate`, asked in every way the official SDK has, with one kind of answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import ollama

HAIKU = "claude-haiku-4-5-20251001"
SONNET = "claude-sonnet-5-5"

MODES = ("whole", "streamed", "async whole", "async streamed")

_DURATIONS = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")


@dataclass
class Answer:
    """All lines of an answer, added up.  `lines` is how many there were."""

    text: str = ""
    thinking: str = ""
    calls: list[ollama.Message.ToolCall] = field(default_factory=list)
    done_reason: str | None = None
    prompt_tokens: int = 0
    tokens: int = 0
    context: Sequence[int] | None = None
    model: str | None = None
    lines: int = 0

    def message(self) -> ollama.Message:
        """The turn as a program sends it back: the SDK keeps no ids."""
        return ollama.Message(
            role="assistant",
            content=self.text or None,
            thinking=self.thinking or None,
            tool_calls=self.calls or None,
        )

    def arguments(self) -> list[tuple[str, dict[str, Any]]]:
        """Name and arguments of each call."""
        return [(call.function.name, dict(call.function.arguments)) for call in self.calls]


class Asking:
    """`chat(prompt_or_messages, **members)` and `generate(prompt, **members)`.

    `parts` are the lines of the last answer, also when it broke.
    """

    def __init__(self, url: str, mode: str, **options: Any) -> None:
        self.mode = mode
        self.streamed = "streamed" in mode
        self.parts: list[ollama.ChatResponse | ollama.GenerateResponse] = []
        self._url = url
        self._options = {"timeout": 20.0, "verify": False} | options

    def __call__(self, asked: str | Sequence[Any], **members: Any) -> Answer:
        messages = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
        return self._call("chat", {"model": HAIKU, "messages": messages} | members)

    def generate(self, prompt: str, **members: Any) -> Answer:
        return self._call("generate", {"model": HAIKU, "prompt": prompt} | members)

    def _call(self, name: str, body: dict[str, Any]) -> Answer:
        self.parts = []
        if self.mode.startswith("async"):
            asyncio.run(self._ask_async(name, body))
        else:
            self._ask(name, body)
        return self._sum()

    def _ask(self, name: str, body: dict[str, Any]) -> None:
        with ollama.Client(self._url, **self._options) as client:
            answer = getattr(client, name)(**body, stream=self.streamed)
            for part in answer if self.streamed else [answer]:
                self.parts.append(part)

    async def _ask_async(self, name: str, body: dict[str, Any]) -> None:
        async with ollama.AsyncClient(self._url, **self._options) as client:
            answer = await getattr(client, name)(**body, stream=self.streamed)
            if not self.streamed:
                self.parts.append(answer)
                return
            async for part in answer:
                self.parts.append(part)

    def partial(self) -> Answer:
        """What had arrived when the answer broke."""
        return _add(self.parts)

    def _sum(self) -> Answer:
        *before, last = self.parts
        assert last.done is True and last.done_reason
        assert all(part.done is False and part.done_reason is None for part in before)
        if last.done_reason not in ("load", "unload"):
            for name in _DURATIONS:
                assert isinstance(getattr(last, name), int) and getattr(last, name) > 0, name
        assert len({part.model for part in self.parts}) == 1
        times = [datetime.fromisoformat(str(part.created_at)) for part in self.parts]
        assert times == sorted(times) and all(moment.tzinfo for moment in times)
        return _add(self.parts)


def _add(parts: Sequence[ollama.ChatResponse | ollama.GenerateResponse]) -> Answer:
    answer = Answer(lines=len(parts))
    for part in parts:
        if isinstance(part, ollama.ChatResponse):
            assert part.message.role == "assistant" and part.message.content is not None
            answer.text += part.message.content
            answer.thinking += part.message.thinking or ""
            answer.calls += part.message.tool_calls or []
        else:
            assert part.response is not None
            answer.text += part.response
            answer.thinking += part.thinking or ""
            answer.context = part.context or answer.context
        answer.done_reason = part.done_reason or answer.done_reason
        answer.prompt_tokens = part.prompt_eval_count or answer.prompt_tokens
        answer.tokens = part.eval_count or answer.tokens
        answer.model = part.model
    return answer
