"""Programs of each dialect in conversation with a gateway; each remembers what its wire lets it remember."""

from __future__ import annotations

import json
from typing import Any

import requests

from tests.models.growing import PNG

Object = dict[str, Any]

# The simulator calls a tool it has not called in this turn for as long as it is told to.
SYSTEM = "You must answer by calling one of the tools."
NAMES = ("alpha", "beta", "gamma", "fs.read")
SCHEMA: Object = {
    "type": "object",
    "properties": {"subject": {"type": "string"}},
    "required": ["subject"],
    "additionalProperties": False,
}


class Program:
    """`send` makes one call and acts on it: a tool's result, or the next question.  `dropped` is what each answer's
    headers say was lost of the request.  One that is `varied` shows pictures and is told things on the way."""

    path = "/api/chat"

    def __init__(self, url: str, model: str, *, stream: bool = False, **members: Any) -> None:
        self.url = url
        self.model = model
        self.stream = stream
        self.members = members
        self.varied = False
        self.system = SYSTEM
        self.messages: list[Object] = []
        self.dropped: list[str] = []
        self.calls = 0
        self.headers: dict[str, str] = {"anthropic-version": "2023-06-01"}

    def send(self) -> None:
        if not self.messages or self.messages[-1]["role"] == "assistant":
            self.ask(f'Look at "number {len(self.messages)}".')
        body = {"model": self.model, "stream": self.stream, **self.body(), **self.members}
        answer = requests.post(self.url + self.path, json=body, headers=self.headers, timeout=30)
        assert answer.status_code == 200, answer.text
        lost = answer.headers.get("x-dragoman-dropped", "").split(", ")
        self.dropped.append(", ".join(name for name in lost if not name.startswith("reply.")))
        before = len(self.messages)
        self.take(_lines(answer.text) if self.stream else [answer.json()])
        self.calls += len(self.messages) > before + 1

    def run(self, turns: int) -> None:
        for _ in range(turns):
            self.send()

    def ask(self, words: str) -> None:
        message: Object = {"role": "user", "content": words}
        if self.varied:
            message["images"] = [PNG]
        self.messages.append(message)

    def body(self) -> Object:
        tools = [{"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in NAMES]
        return {"tools": tools, "messages": [{"role": "system", "content": self.system}, *self.messages]}

    def take(self, answers: list[Object]) -> None:
        """Keep an answer, and what its calls came to."""
        message: Object = {"role": "assistant", "content": "", "thinking": ""}
        for answer in answers:
            said = answer["message"]
            message["content"] += said.get("content") or ""
            message["thinking"] += said.get("thinking") or ""
            if said.get("tool_calls"):
                message.setdefault("tool_calls", []).extend(said["tool_calls"])
        self.messages.append(message)
        for call in message.get("tool_calls", ()):
            self.messages.append({"role": "tool", "tool_name": call["function"]["name"], "content": "looked"})
        if self.varied and "tool_calls" in message:
            self.messages.append({"role": "system", "content": f"{len(self.messages)} things happened."})


class Plain(Program):
    """A program of OpenAI's dialect that knows nothing of reasoning."""

    path = "/v1/chat/completions"
    keeps: tuple[str, ...] = ()

    def take(self, answers: list[Object]) -> None:
        message: Object = {"role": "assistant", "content": ""}
        for answer in answers:
            choices = answer["choices"]
            if choices:
                self._add(message, choices[0].get("delta") or choices[0].get("message") or {})
        self.messages.append(message)
        for call in message.get("tool_calls", ()):
            self.messages.append({"role": "tool", "tool_call_id": call["id"], "content": "looked"})
        if self.varied and "tool_calls" in message:
            self.messages.append({"role": "developer", "content": f"{len(self.messages)} things happened."})

    def ask(self, words: str) -> None:
        content: list[Object] = [{"type": "text", "text": words}]
        if self.varied:
            content.append({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}})
        self.messages.append({"role": "user", "content": content})

    def _add(self, message: Object, said: Object) -> None:
        message["content"] += said.get("content") or ""
        for call in said.get("tool_calls") or ():
            known = message.setdefault("tool_calls", [])
            if call.get("id"):
                function = call["function"] | {"arguments": call["function"].get("arguments") or ""}
                known.append({"id": call["id"], "type": "function", "function": function})
            else:
                known[call["index"]]["function"]["arguments"] += call["function"]["arguments"]
        for name in self.keeps:
            if said.get(name):
                empty = "" if isinstance(said[name], str) else []
                message[name] = message.get(name, empty) + said[name]


class Echo(Plain):
    """One that sends the words of the reasoning back, as for DeepSeek."""

    keeps = ("reasoning_content",)


class Careful(Plain):
    """One that sends the proof back, as for OpenRouter."""

    keeps = ("reasoning_content", "reasoning_details")


class Native(Program):
    """A program of Anthropic's dialect."""

    path = "/v1/messages"

    def body(self) -> Object:
        tools = [{"name": name.replace(".", "_"), "input_schema": SCHEMA} for name in NAMES]
        return {"tools": tools, "max_tokens": 8000, "system": self.system, "messages": self.messages}

    def take(self, answers: list[Object]) -> None:
        blocks = answers[0]["content"] if not self.stream else _blocks(answers)
        self.messages.append({"role": "assistant", "content": blocks})
        results = [
            {"type": "tool_result", "tool_use_id": block["id"], "content": "looked"}
            for block in blocks
            if block["type"] == "tool_use"
        ]
        if results:
            self.messages.append({"role": "user", "content": results})
            if self.varied:
                self.messages.append({"role": "system", "content": f"{len(self.messages)} things happened."})

    def ask(self, words: str) -> None:
        content: list[Object] = [{"type": "text", "text": words}]
        if self.varied:
            source = {"type": "base64", "media_type": "image/png", "data": PNG}
            content.append({"type": "image", "source": source})
        self.messages.append({"role": "user", "content": content})


PROGRAMS: tuple[type[Program], ...] = (Program, Plain, Echo, Careful, Native)


def _lines(text: str) -> list[Object]:
    """The documents of a stream, SSE or NDJSON."""
    lines = (line.removeprefix("data:").strip() for line in text.splitlines() if not line.startswith("event:"))
    return [json.loads(line) for line in lines if line.startswith("{")]


def _blocks(events: list[Object]) -> list[Object]:
    blocks: list[Object] = []
    texts: dict[int, str] = {}
    for event in events:
        if event["type"] == "content_block_start":
            blocks.append(event["content_block"])
        elif event["type"] == "content_block_delta":
            delta = event["delta"]
            match delta["type"]:
                case "text_delta":
                    blocks[-1]["text"] += delta["text"]
                case "thinking_delta":
                    blocks[-1]["thinking"] += delta["thinking"]
                case "signature_delta":
                    blocks[-1]["signature"] = delta["signature"]
                case "input_json_delta":
                    texts[event["index"]] = texts.get(event["index"], "") + delta["partial_json"]
    for index, text in texts.items():
        blocks[index]["input"] = json.loads(text or "{}")
    return blocks
