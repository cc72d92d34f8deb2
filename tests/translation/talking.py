"""A conversation of one client with models on several servers, as an SDK's program would carry it on."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import msgspec
from msgspec.structs import replace

from dragoman.conversation import Reply
from dragoman.dialects import registry
from dragoman.dialects.contract import Stamp
from dragoman.folding import Fold, unfold
from dragoman.relay.call import Sent
from dragoman.relay.carrying import Carrier
from tests.translation.parts import Object
from tests.translation.servers import Bench, Server

STAMP = Stamp(id="x", model="m", created=1_795_327_200_000_000_000, started=0, clock=lambda: 1_000_000)
_SCHEMA: Object = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_TOOL = {"type": "function", "function": {"name": "get_weather", "description": "Weather.", "parameters": _SCHEMA}}
BODIES: dict[str, Object] = {
    "anthropic": {
        "max_tokens": 9000,
        "system": "You help.",
        "thinking": {"type": "adaptive"},
        "tools": [{"name": "get_weather", "description": "Weather.", "input_schema": _SCHEMA}],
    },
    "openai_chat": {"max_completion_tokens": 9000, "reasoning_effort": "medium", "tools": [_TOOL]},
    "ollama": {"think": True, "stream": False, "tools": [_TOOL]},
}
_decode = msgspec.json.Decoder().decode


class Talk:
    """`messages` are in the client's own form; `reply` is the last answer, as the server's dialect read it."""

    def __init__(self, bench: Bench, client: str) -> None:
        self.bench = bench
        self.client = client
        self.carrier = Carrier(bench.settings, lambda: 0.0)
        self.messages: list[Object] = []
        if client != "anthropic":
            self.messages.append({"role": "system", "content": "You help."})
        self.reply: Reply

    def ask(self, server: Server, scenario: str, words: str) -> tuple[Sent, Any]:
        """One turn: the results of what was called, or else `words`, to `server`.  What it was sent."""
        self.messages += self._next(words)
        dialect = registry()[self.client]
        body = {"model": "m", **BODIES[self.client], "messages": deepcopy(self.messages)}
        call = self.bench.call(dialect, body)
        sent = self.bench.carried(call, server, self.carrier)
        sent, answer = self.bench.taken(call, server, sent, scenario, self.carrier)
        call.sent = sent
        upstream = registry()[server.card.dialect]
        if sent.streamed:
            decoder, fold = upstream.Decoder(), Fold(server.card.dialect)
            fold.feed([*decoder.feed(answer), *decoder.close()])
            reply = fold.reply
        else:
            reply = upstream.decode_reply(_decode(answer))
        if sent.restore is not None:
            fold = Fold(reply.origin)
            fold.feed(sent.restore.stream().feed(unfold(reply)))
            reply = replace(fold.reply, extra=reply.extra)
        if sent.recalls:
            self.carrier.remember(call, reply.content)
        self.reply = reply
        told = _decode(msgspec.json.encode(dialect.encode_reply(deepcopy(reply), call.request, STAMP)))
        self.messages.append(_said(self.client, told))
        return sent, _decode(sent.body)

    def _next(self, words: str) -> list[Object]:
        last = self.messages[-1] if self.messages else {}
        match self.client:
            case "anthropic":
                content = last.get("content")
                calls = [b for b in content if b["type"] == "tool_use"] if isinstance(content, list) else []
                results = [
                    {"type": "tool_result", "tool_use_id": c["id"], "content": f"result of {c['id']}"} for c in calls
                ]
                return [{"role": "user", "content": results or words}]
            case "openai_chat":
                found = [
                    {"role": "tool", "tool_call_id": c["id"], "content": f"result of {c['id']}"}
                    for c in last.get("tool_calls") or []
                ]
            case _:
                found = [
                    {"role": "tool", "tool_name": c["function"]["name"], "content": f"result of {c['id']}"}
                    for c in last.get("tool_calls") or []
                ]
        return found or [{"role": "user", "content": words}]


def _said(client: str, told: Any) -> Object:
    match client:
        case "anthropic":
            return {"role": "assistant", "content": told["content"]}
        case "openai_chat":
            return dict(told["choices"][0]["message"])
        case _:
            return dict(told["message"])
