"""Twenty turns of a chat, by each client: what Claude reads from its cache, and what a native program does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from dragoman.conversation import Object
from dragoman.models.cards import bundled
from dragoman.simulator.cache import Counts, PromptCache
from dragoman.simulator.server import run_in_thread
from dragoman.simulator.tokens import prompt_tokens
from tests.running import Gateway, run_with_simulator, simulate

TURNS = 20
# Of what a native client reads from the cache, what ours must at least read.
ENOUGH = 0.9

NEW, OLD = "claude-opus-5-5", "claude-haiku-4-5-20251001"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SYSTEM = "You are a librarian. " + " ".join(f"Rule {n}: shelf {n} holds books on subject {n}." for n in range(500))
SCHEMA: Object = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
MARK = {"type": "ephemeral"}


class Chat:
    """A program in conversation; `messages` are in its own words."""

    path = ""

    def __init__(self, http: httpx.Client, model: str, **kind: bool) -> None:
        self.http, self.model = http, model
        self.tools, self.think, self.images = (kind.get(name, False) for name in ("tools", "think", "images"))
        self.system = kind.get("system", True)
        self.pieces = 24 if kind.get("pieces") else 1
        """How many parts a question has."""
        self.messages: list[Object] = []
        self.told = 0
        """Cached tokens, as the program was told of them."""

    def run(self) -> None:
        for turn in range(TURNS):
            words = f'Please tell me about "book {turn}", ' + "at length, " * (100 if self.system else 400)
            self.ask(f"{words} with lookup" if self.tools else words, self.images and turn % 4 == 0)
            for _ in range(3):
                answer = self.http.post(self.path, json=self.body())
                assert answer.status_code == 200, answer.text
                if not self.goes_on(answer.json()):
                    break
            else:
                raise AssertionError("the model never stops to call")

    def first(self) -> list[Object]:
        return [{"role": "system", "content": SYSTEM}] if self.system else []

    def split(self, words: str) -> list[Object]:
        size = len(words) // self.pieces + 1
        return [{"type": "text", "text": words[at : at + size]} for at in range(0, len(words), size)]

    def ask(self, words: str, image: bool) -> None:
        raise NotImplementedError

    def body(self) -> Object:
        raise NotImplementedError

    def goes_on(self, answer: Object) -> bool:
        """Keep the answer and the results of its calls; whether there were any."""
        raise NotImplementedError


class Native(Chat):
    """Marks as the documentation has them: what never changes, where the last call ended, and the end."""

    path = "/v1/messages"

    def ask(self, words: str, image: bool) -> None:
        source = {"type": "base64", "media_type": "image/png", "data": PNG}
        pictures = [{"type": "image", "source": source}] if image else []
        self.messages.append({"role": "user", "content": [*self.split(words), *pictures]})

    def body(self) -> Object:
        body: Object = {"model": self.model, "max_tokens": 30_000, "cache_control": MARK}
        if self.think:
            body["thinking"] = {"type": "enabled", "budget_tokens": 8192} if self.model == OLD else {"type": "adaptive"}
        if self.tools:
            body["tools"] = [{"name": "lookup", "description": "Finds a book.", "input_schema": SCHEMA}]
        messages = json.loads(json.dumps(self.messages))
        for message in [message for message in messages if message["role"] == "user"][-2:-1]:
            message["content"][-1]["cache_control"] = MARK
        if self.system:
            body["system"] = [{"type": "text", "text": SYSTEM, "cache_control": MARK}]
        return body | {"messages": messages}

    def goes_on(self, answer: Object) -> bool:
        self.messages.append({"role": "assistant", "content": answer["content"]})
        calls = [block for block in answer["content"] if block["type"] == "tool_use"]
        results = [
            {"type": "tool_result", "tool_use_id": call["id"], "content": "It is on the shelf."} for call in calls
        ]
        if results:
            self.messages.append({"role": "user", "content": results})
        self.told += answer["usage"]["cache_read_input_tokens"]
        return bool(results)


FUNCTION = {"type": "function", "function": {"name": "lookup", "description": "Finds a book.", "parameters": SCHEMA}}


class OpenAI(Chat):
    path = "/v1/chat/completions"

    def ask(self, words: str, image: bool) -> None:
        url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
        content: Any = [*self.split(words), *([url] if image else [])]
        self.messages.append({"role": "user", "content": content})

    def body(self) -> Object:
        body: Object = {"model": self.model, "reasoning_effort": "medium" if self.think else "none"}
        if self.tools:
            body["tools"] = [FUNCTION]
        return body | {"messages": [*self.first(), *self.messages]}

    def goes_on(self, answer: Object) -> bool:
        said = answer["choices"][0]["message"]
        calls = said.get("tool_calls") or []
        self.messages.append(
            {"role": "assistant", "content": said["content"]} | ({"tool_calls": calls} if calls else {})
        )
        self.messages += [{"role": "tool", "tool_call_id": c["id"], "content": "It is on the shelf."} for c in calls]
        self.told += answer["usage"]["prompt_tokens_details"]["cached_tokens"]
        return bool(calls)


class Ollama(Chat):
    path = "/api/chat"

    def ask(self, words: str, image: bool) -> None:
        self.messages.append({"role": "user", "content": words} | ({"images": [PNG]} if image else {}))

    def body(self) -> Object:
        body: Object = {"model": self.model, "stream": False, "think": self.think}
        if self.tools:
            body["tools"] = [FUNCTION]
        return body | {"messages": [*self.first(), *self.messages]}

    def goes_on(self, answer: Object) -> bool:
        said = answer["message"]
        calls = said.get("tool_calls") or []
        kept = {"role": "assistant", "content": said["content"], "thinking": said.get("thinking", "")}
        self.messages.append(kept | ({"tool_calls": calls} if calls else {}))
        self.messages += [{"role": "tool", "tool_name": "lookup", "content": "It is on the shelf."} for _ in calls]
        return bool(calls)


def charged(bodies: list[Object]) -> tuple[int, int]:
    """(tokens read from the cache, tokens of all prompts), by a cache of its own."""
    cache, read, total = PromptCache(), 0, 0
    for body in bodies:
        card = bundled().cards[body["model"]]
        tokens = prompt_tokens(body, card)
        counts: Counts = cache.charge(body, card, tokens, 0.0)
        read, total = read + counts.read, total + tokens
    return read, total


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with run_with_simulator() as gateway:
        yield gateway


CHATS: Mapping[str, Mapping[str, Any]] = {
    "plain": {"model": OLD},
    "no system prompt": {"model": OLD, "system": False},
    "tools": {"model": OLD, "tools": True},
    "thinks": {"model": OLD, "think": True, "images": True},
    "tools and thinks": {"model": OLD, "tools": True, "think": True},
    "new, thinks": {"model": NEW, "think": True, "images": True},
    "new, tools and thinks": {"model": NEW, "tools": True, "think": True, "images": True},
    "questions of many parts": {"model": OLD, "tools": True, "pieces": True},
}


@pytest.fixture(scope="module")
def ideal() -> Mapping[str, float]:
    """What a native client reads from the cache, of all its prompts."""
    shares = {}
    for name, kind in CHATS.items():
        headers = {"x-api-key": "sk-test", "anthropic-version": "2023-06-01"}
        with run_in_thread(simulate()) as behind, httpx.Client(base_url=behind.url, headers=headers) as http:
            chat = Native(http, **kind)
            chat.run()
            read, total = charged([request.body for request in behind.simulator.requests])
            assert chat.told == read
            shares[name] = read / total
    return shares


@pytest.mark.parametrize("client", [Ollama, OpenAI])
@pytest.mark.parametrize("name", CHATS)
def test_a_chat_reads_from_the_cache_what_a_native_client_does(
    name: str, client: type[Chat], ideal: Mapping[str, float], gateway: Gateway
) -> None:
    gateway.simulator.requests.clear()
    with httpx.Client(base_url=gateway.url) as http:
        chat = client(http, **CHATS[name])
        chat.run()
    read, total = charged([request.body for request in gateway.simulator.requests])
    share = read / total
    print(f"{client.__name__}, {name}: {share:.4f} of {ideal[name]:.4f}")
    assert ideal[name] > 0.7
    assert share >= ENOUGH * ideal[name], (
        f"{share:.1%} of the prompts were read from the cache; natively {ideal[name]:.1%}"
    )
