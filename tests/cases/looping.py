"""An agent's loop in each dialect: the model calls a tool, the program sends the result, for many turns."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from tests.cases import captured
from tests.cases.bed import Bed, Object, Told, blocks, read

# A question in the first turn of each pair, the results of what was called in the second.
_QUESTION = 'Please use Bash with "ls {turn}" now'


class Loop:
    """One program in conversation with one model; `sent` are the server's records of its calls, `told` its answers."""

    client = "A"
    path = "/v1/messages?beta=true"
    headers: Mapping[str, str] = MappingProxyType(captured.CLAUDE_CODE)

    def __init__(self, bed: Bed, server: str, model: str = "") -> None:
        self.bed = bed
        self.server = bed.behind[server]
        self.model = model or self.server.model
        self.messages: list[Object] = []
        self.sent: list[Any] = []
        self.told: list[Told] = []
        self._turns = itertools.count()

    def body(self, turn: int) -> Object:
        """The next call."""
        return captured.claude_code(self.model, self.messages, turn)

    def ask(self, turn: int) -> None:
        """What the user says."""
        words = _QUESTION.format(turn=turn)
        if not self.messages:
            self.messages += captured.opening(words)
        else:
            self.messages.append({"role": "user", "content": [{"type": "text", "text": words}]})

    def answer(self, told: Told) -> None:
        """Keep the answer, and what its calls came to."""
        content = blocks(told)
        self.messages.append({"role": "assistant", "content": content})
        results = [
            {
                "type": "tool_result",
                "tool_use_id": block["id"],
                "is_error": False,
                "content": f"listed {block['input']}",
            }
            for block in content
            if block["type"] == "tool_use"
        ]
        if results:
            self.messages.append({"role": "user", "content": results})
            if len(self.told) % 10 == 0:
                self.messages.append({"role": "system", "content": f"{len(self.told)} files were changed."})

    def step(self) -> Told:
        """One call and its answer."""
        turn = next(self._turns)
        if not self.messages or self.messages[-1]["role"] == "assistant":
            self.ask(turn)
        before = len(self.server.calls)
        answer = self.bed.http.post(self.bed.url + self.path, json=self.body(turn), headers=self.headers)
        told = Told(answer, [])
        assert answer.status_code == 200, answer.text
        self.sent += self.server.calls[before:]
        self.told.append(told)
        self.answer(told)
        return told

    def run(self, turns: int) -> None:
        """That many calls, each of which reached the server once."""
        self.bed.forget()
        for _ in range(turns):
            self.step()
        assert len(self.sent) == turns
        called = [read(told, self.client).calls for told in self.told]
        assert all(called[::2]), "the model called the tool in each first turn"
        assert not any(called[1::2])


class OpencodeMessages(Loop):
    """opencode by the Messages API."""

    headers = MappingProxyType({"anthropic-version": "2023-06-01", "x-api-key": "any"})
    path = "/v1/messages"

    def body(self, turn: int) -> Object:
        return captured.opencode_messages(self.model, self.messages)

    def ask(self, turn: int) -> None:
        self.messages.append({"role": "user", "content": [{"type": "text", "text": _QUESTION.format(turn=turn)}]})

    def answer(self, told: Told) -> None:
        super().answer(told)
        self.messages = [message for message in self.messages if message["role"] != "system"]


class OpencodeChat(Loop):
    """opencode by chat completions; reasoning goes back where it came from."""

    client = "C"
    path = "/v1/chat/completions"
    headers = MappingProxyType({"authorization": "Bearer any"})

    def body(self, turn: int) -> Object:
        return captured.opencode_chat(self.model, self.messages)

    def ask(self, turn: int) -> None:
        self.messages.append({"role": "user", "content": _QUESTION.format(turn=turn)})

    def answer(self, told: Told) -> None:
        said = read(told, "C")
        calls = [
            {"id": id, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
            for id, name, arguments in said.calls
        ]
        message: Object = {"role": "assistant", "content": said.text}
        message |= {"reasoning_content": said.thinking} if said.thinking else {}
        message |= {"tool_calls": calls} if calls else {}
        self.messages.append(message)
        self.messages += [{"role": "tool", "tool_call_id": call["id"], "content": "listed"} for call in calls]


class OllamaProgram(Loop):
    """A program that speaks Ollama's own API, and sends no ids back."""

    client = "O"
    path = "/api/chat"
    headers: Mapping[str, str] = MappingProxyType({})

    def body(self, turn: int) -> Object:
        return captured.ollama_chat(self.model, self.messages)

    def ask(self, turn: int) -> None:
        self.messages.append({"role": "user", "content": _QUESTION.format(turn=turn)})

    def answer(self, told: Told) -> None:
        said = read(told, "O")
        calls = [{"function": {"name": name, "arguments": arguments}} for _, name, arguments in said.calls]
        message: Object = {"role": "assistant", "content": said.text, "thinking": said.thinking}
        self.messages.append(message | ({"tool_calls": calls} if calls else {}))
        self.messages += [
            {"role": "tool", "tool_name": call["function"]["name"], "content": "listed"} for call in calls
        ]


def check_prefix(sent: list[Any]) -> None:
    """Each prompt is the one before with something added: tools and messages, byte for byte."""
    documents = [msgspec.json.decode(request.raw, type=dict[str, msgspec.Raw]) for request in sent]
    for earlier, later in itertools.pairwise(documents):
        assert bytes(later["tools"]) == bytes(earlier["tools"])
        assert bytes(later["messages"]).startswith(bytes(earlier["messages"])[:-1] + b",")


def check_cache(sent: list[Any]) -> int:
    """What the server had read before, it need not read again, but where it was loaded anew; how often it was."""
    loaded = 0
    for earlier, later in itertools.pairwise(sent):
        assert later.truncated == 0
        if later.num_ctx == earlier.num_ctx:
            assert later.shared == earlier.prompt_tokens
        else:
            assert later.num_ctx > earlier.num_ctx
            loaded += 1
    return loaded
