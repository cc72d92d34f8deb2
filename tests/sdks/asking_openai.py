"""One question to `/v1/chat/completions`, asked in every way the official SDK has, with one kind of answer.

The same test then holds for whole answers and for streams, and for the synchronous and the asynchronous client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import openai
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionChunk

HAIKU = "claude-haiku-4-5-20251001"  # thinks when told a budget, can be forced to call a tool
OPUS = "claude-opus-5"  # thinks by itself, and can be forced
SONNET = "claude-sonnet-5-5"  # always thinks, cannot be forced, and its signatures hold for one history only

MODES = ("whole", "streamed", "async whole", "async streamed")

Object = dict[str, Any]


@dataclass
class Called:
    """A tool call: `words` are the arguments of a function, or the input of a custom tool."""

    id: str
    type: str
    name: str
    words: str

    def wire(self) -> Object:
        words = "input" if self.type == "custom" else "arguments"
        return {"id": self.id, "type": self.type, self.type: {"name": self.name, words: self.words}}


@dataclass
class Answer:
    """One choice, put together the way an agent would."""

    text: str = ""
    refusal: str = ""
    reasoning: str = ""
    details: list[Object] = field(default_factory=list)
    calls: list[Called] = field(default_factory=list)
    annotations: list[Object] = field(default_factory=list)
    finish: str | None = None
    stop: str | None = None
    usage: CompletionUsage | None = None

    def message(self, *, reasoning: bool = True) -> Object:
        """The turn as a program sends it back; most leave out the reasoning, which is no part of the API."""
        message: Object = {"role": "assistant", "content": self.text or None}
        if self.calls:
            message["tool_calls"] = [call.wire() for call in self.calls]
        if reasoning and self.reasoning:
            message["reasoning_content"] = self.reasoning
        if reasoning and self.details:
            message["reasoning_details"] = self.details
        return message

    @property
    def spent(self) -> CompletionUsage:
        assert self.usage is not None
        return self.usage


class Asking:
    """`ask(prompt_or_messages, **members)` gives the only choice; `choices` gives all of them.

    `chunks` are those of the last stream, also when it broke.  There is no TLS on loopback: not to load the system's
    certificates for every client is what makes these tests quick.
    """

    def __init__(self, url: str, mode: str, **options: Any) -> None:
        self.mode = mode
        self.streamed = "streamed" in mode
        self.chunks: list[ChatCompletionChunk] = []
        self._options: Object = {"base_url": f"{url}/v1", "api_key": "any", "max_retries": 0, "timeout": 20.0} | options

    def __call__(self, asked: str | list[Any], **members: Any) -> Answer:
        (answer,) = self.choices(asked, **members)
        return answer

    def choices(self, asked: str | list[Any], **members: Any) -> list[Answer]:
        messages = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
        body = {"model": HAIKU, "messages": messages} | members
        if self.streamed:
            body = {"stream": True, "stream_options": {"include_usage": True}} | body
        self.chunks = []
        found = asyncio.run(self._ask_async(body)) if self.mode.startswith("async") else self._ask(body)
        return fold(self.chunks) if found is None else read(found)

    def partial(self) -> Answer:
        """What had arrived of the only choice when a stream broke."""
        answer = Answer()
        for chunk in self.chunks:
            for choice in chunk.choices:
                answer.text += choice.delta.content or ""
                answer.finish = answer.finish or choice.finish_reason
        return answer

    def _ask(self, body: Object) -> ChatCompletion | None:
        with openai.OpenAI(**self._options, http_client=openai.DefaultHttpxClient(verify=False)) as client:
            create: Any = client.chat.completions.create
            if not self.streamed:
                found: ChatCompletion = create(**body)
                return found
            with create(**body) as stream:
                for chunk in stream:
                    self.chunks.append(chunk)
        return None

    async def _ask_async(self, body: Object) -> ChatCompletion | None:
        http_client = openai.DefaultAsyncHttpxClient(verify=False)
        async with openai.AsyncOpenAI(**self._options, http_client=http_client) as client:
            create: Any = client.chat.completions.create
            if not self.streamed:
                found: ChatCompletion = await create(**body)
                return found
            async with await create(**body) as stream:
                async for chunk in stream:
                    self.chunks.append(chunk)
        return None


def read(completion: ChatCompletion) -> list[Answer]:
    """The choices of a whole answer."""
    assert completion.object == "chat.completion"
    assert [choice.index for choice in completion.choices] == list(range(len(completion.choices)))
    answers = []
    for choice in completion.choices:
        message, more = choice.message, choice.message.model_extra or {}
        answers.append(
            Answer(
                text=message.content or "",
                refusal=message.refusal or "",
                reasoning=_reasoning(more),
                details=more.get("reasoning_details") or [],
                calls=[_called(call.model_dump()) for call in message.tool_calls or []],
                annotations=[annotation.model_dump() for annotation in message.annotations or []],
                finish=choice.finish_reason,
                stop=(choice.model_extra or {}).get("stop_reason"),
                usage=completion.usage,
            )
        )
    return answers


def _reasoning(more: Object) -> str:
    """In our own member, else in the one that vLLM and OpenRouter have for it."""
    return more.get("reasoning_content") or more.get("reasoning") or ""


def _called(call: Object) -> Called:
    kind = call["type"]
    named = call[kind]
    return Called(call["id"], kind, named["name"], named["input" if kind == "custom" else "arguments"])


def fold(chunks: Iterable[ChatCompletionChunk]) -> list[Answer]:
    """The choices of a stream, whose order is checked: role first, one finish each, then the usage and nothing more."""
    answers: dict[int, Answer] = {}
    ids: set[tuple[str, int, str]] = set()
    usages: list[CompletionUsage] = []
    for chunk in chunks:
        assert chunk.object == "chat.completion.chunk"
        assert not usages, "nothing comes after the usage"
        ids.add((chunk.id, chunk.created, chunk.model))
        if chunk.usage is not None:
            assert not chunk.choices
            usages.append(chunk.usage)
        for choice in chunk.choices:
            if choice.index not in answers:
                assert choice.index == len(answers) and choice.delta.role == "assistant"
                answers[choice.index] = Answer()
            answer = answers[choice.index]
            assert answer.finish is None, "a finished choice goes on"
            _add(answer, choice.delta)
            answer.finish = choice.finish_reason
            answer.stop = (choice.model_extra or {}).get("stop_reason") or answer.stop
    assert len(ids) == 1 and len(usages) <= 1
    for answer in answers.values():
        assert answer.finish, "the stream ended without a finish"
        answer.usage = usages[0] if usages else None
    return [answers[index] for index in sorted(answers)]


def _add(answer: Answer, delta: Any) -> None:
    more = delta.model_extra or {}
    answer.text += delta.content or ""
    answer.refusal += delta.refusal or ""
    answer.reasoning += _reasoning(more)
    answer.details += more.get("reasoning_details") or []
    answer.annotations += more.get("annotations") or []
    for piece in delta.tool_calls or []:
        body = piece.model_dump(exclude_none=True)
        if piece.index == len(answer.calls):
            answer.calls.append(_called({"custom": {}, **body}))
        else:
            assert piece.index == len(answer.calls) - 1 and "id" not in body and "type" not in body
            call = answer.calls[-1]
            call.words += body[call.type]["input" if call.type == "custom" else "arguments"]
