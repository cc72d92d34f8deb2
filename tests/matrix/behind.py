"""The servers behind the gateway: a simulator of each dialect, its models, and how what it received is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from dragoman.config import Secret, Upstream
from dragoman.simulator import OllamaSimulator, OpenAISimulator
from dragoman.simulator.openai_flavors import Model
from dragoman.simulator.server import Serving
from tests.matrix.neutral import Call, Object, Sent, decoded
from tests.running import simulate


@dataclass(frozen=True)
class Behind:
    """One server.  `models` by what a row needs of them; `can` are features its API has words for.

    `scenarios` are its own spellings of those that differ.  `refusal` is what becomes of one here.
    """

    name: str
    make: Callable[[], Any]
    dialect: Any
    paths: tuple[str, ...]
    models: Mapping[str, str]
    can: frozenset[str]
    read: Callable[[Object], Sent]
    spent: Callable[[Object], tuple[int, int]]
    scenarios: Mapping[str, str]
    headers: Mapping[str, str]

    def upstream(self, url: str) -> Upstream:
        flavor = {"openai_chat": self.name, "openai_responses": "openai"}.get(self.dialect, "")
        return Upstream(name=self.name, dialect=self.dialect, base_url=url, key=Secret("sk-test"), flavor=flavor)


class Server:
    """A server that runs, and the part of its books that a test has not read yet."""

    def __init__(self, behind: Behind, running: Serving[Any], http: httpx.Client) -> None:
        self.behind = behind
        self.url = running.url
        self.simulator = running.simulator
        self._http = http

    def bodies(self) -> list[Object]:
        """What it was asked since `forget`."""
        found = [record.body for record in self.simulator.requests if record.headers[":path"] in self.behind.paths]
        assert all(isinstance(body, dict) for body in found)
        return found

    def forget(self) -> None:
        self.simulator.requests.clear()
        self.simulator.departures.clear()
        self.simulator.departed.clear()

    def sent(self) -> Sent:
        """The only question since then."""
        (body,) = self.bodies()
        return self.behind.read(body)

    def spends(self) -> tuple[int, int]:
        """Tokens of the prompt and of the answer, asked of the server itself with the very same question."""
        (record,) = [r for r in self.simulator.requests if r.headers[":path"] in self.behind.paths]
        body, path = record.body, record.headers[":path"]
        whole = {name: value for name, value in body.items() if name != "stream_options"} | {"stream": False}
        reply = self._http.post(self.url + path, json=whole, headers=dict(self.behind.headers))
        assert reply.status_code == 200, reply.text
        return self.behind.spent(reply.json())


def _join(texts: Iterable[str]) -> str:
    return "".join(texts)


# --- Anthropic --------------------------------------------------------------------------------------


def _blocks(content: Any) -> list[Object]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content or [])


def _texts(content: Any) -> str:
    return _join(block["text"] for block in _blocks(content) if block["type"] == "text")


def read_anthropic(body: Object) -> Sent:
    """https://platform.claude.com/docs/en/api/messages"""
    format_ = (body.get("output_config") or {}).get("format") or {}
    choice = body.get("tool_choice") or {}
    sent = Sent(body, system=_texts(body.get("system")), choice=choice.get("name") or choice.get("type", ""))
    sent.tools = {tool["name"]: tool["input_schema"] for tool in body.get("tools") or []}
    sent.limit, sent.stop = body["max_tokens"], body.get("stop_sequences") or []
    sent.schema, sent.think = format_.get("schema"), (body.get("thinking") or {}).get("type")
    names: dict[str, str] = {}
    for message in body["messages"]:
        for block in _blocks(message["content"]):
            match block["type"]:
                case "tool_use":
                    names[block["id"]] = block["name"]
                    sent.calls.append(Call(block["name"], block["input"], block["id"]))
                case "tool_result":
                    sent.paired &= block["tool_use_id"] in names
                    mark = "ERROR " if block.get("is_error") else ""
                    sent.results.append((names.get(block["tool_use_id"], ""), mark + _texts(block.get("content"))))
                    sent.images += _images(block.get("content"))
                case "thinking":
                    sent.thoughts.append(block["thinking"])
        sent.images += _images(message["content"])
        sent.turns.append((message["role"], _texts(message["content"])))
    return sent


def _images(content: Any) -> list[str]:
    return [block["source"]["media_type"] for block in _blocks(content) if block["type"] == "image"]


def spent_anthropic(reply: Object) -> tuple[int, int]:
    usage = reply["usage"]
    read = usage.get("cache_read_input_tokens") or 0
    written = usage.get("cache_creation_input_tokens") or 0
    return usage["input_tokens"] + read + written, usage["output_tokens"]


# --- Ollama -----------------------------------------------------------------------------------------

_MAGIC = {"iVBOR": "image/png", "/9j/": "image/jpeg"}


def _kind(data: str) -> str:
    return next(kind for magic, kind in _MAGIC.items() if data.startswith(magic))


def read_ollama(body: Object) -> Sent:
    """https://docs.ollama.com/api/chat"""
    options = body.get("options") or {}
    sent = Sent(body, limit=options.get("num_predict"), stop=_list(options.get("stop")), think=body.get("think"))
    format_ = body.get("format")
    sent.schema, sent.json = (format_ if isinstance(format_, dict) else None), format_ == "json"
    sent.tools = {tool["function"]["name"]: tool["function"]["parameters"] for tool in body.get("tools") or []}
    pending: list[Call] = []
    for message in body.get("messages") or _typed(body):
        match message["role"]:
            case "system":
                sent.system += message["content"]
            case "tool":
                wanted = next((call for call in pending if call.id == message.get("tool_call_id", call.id)), None)
                sent.paired &= wanted is not None and message.get("tool_name", wanted.name) == wanted.name
                sent.results.append((wanted.name if wanted else "", message.get("content") or ""))
                pending = [call for call in pending if call is not wanted]
            case role:
                sent.turns.append((role, message.get("content") or ""))
        for call in message.get("tool_calls") or []:
            told = call["function"]
            pending.append(Call(told["name"], told["arguments"], call.get("id", "")))
            sent.calls.append(pending[-1])
        sent.images += [_kind(data) for data in message.get("images") or []]
        sent.thoughts += [message["thinking"]] if message.get("thinking") else []
    return sent


def _typed(body: Object) -> list[Object]:
    """The prompt of `/api/generate` as messages."""
    system = [{"role": "system", "content": body["system"]}] if body.get("system") else []
    return [*system, {"role": "user", "content": body["prompt"], "images": body.get("images")}]


def _list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def spent_ollama(reply: Object) -> tuple[int, int]:
    return reply["prompt_eval_count"], reply["eval_count"]


# --- OpenAI -----------------------------------------------------------------------------------------


def read_openai(body: Object) -> Sent:
    """https://platform.openai.com/docs/api-reference/chat/create"""
    sent = Sent(body, limit=body.get("max_completion_tokens") or body.get("max_tokens"), stop=_list(body.get("stop")))
    format_ = body.get("response_format") or {}
    sent.schema, sent.json = (format_.get("json_schema") or {}).get("schema"), format_.get("type") == "json_object"
    sent.think = body.get("reasoning_effort") or (body.get("chat_template_kwargs") or {}).get("enable_thinking")
    choice = body.get("tool_choice") or ""
    sent.choice = {"required": "any"}.get(choice, choice) if isinstance(choice, str) else choice["function"]["name"]
    sent.tools = {t["function"]["name"]: t["function"].get("parameters") or {} for t in body.get("tools") or []}
    names: dict[str, str] = {}
    for message in body["messages"]:
        text, role = _texts(message.get("content")), message["role"]
        for call in message.get("tool_calls") or []:
            names[call["id"]] = call["function"]["name"]
            sent.calls.append(Call(names[call["id"]], decoded(call["function"]["arguments"]), call["id"]))
        if role in ("system", "developer"):
            sent.system += text
        elif role == "tool":
            sent.paired &= message["tool_call_id"] in names
            sent.results.append((names.get(message["tool_call_id"], ""), text))
        else:
            sent.turns.append((role, text))
        sent.images += _urls(message.get("content"))
        thought = message.get("reasoning") or message.get("reasoning_content")
        sent.thoughts += [thought] if thought else []
    return sent


def _urls(content: Any) -> list[str]:
    parts = [part["image_url"]["url"] for part in _blocks(content) if part["type"] == "image_url"]
    return [url.removeprefix("data:").partition(";")[0] for url in parts]


def spent_openai(reply: Object) -> tuple[int, int]:
    usage = reply["usage"]
    if "input_tokens" in usage:  # by its other API
        return usage["input_tokens"], usage["output_tokens"]
    return usage["prompt_tokens"], usage["completion_tokens"]


def read_responses(body: Object) -> Sent:
    """https://platform.openai.com/docs/api-reference/responses/create"""
    sent = Sent(body, limit=body.get("max_output_tokens"), stop=_list(body.get("stop")))
    sent.system = body.get("instructions") or ""
    format_ = (body.get("text") or {}).get("format") or {}
    sent.schema, sent.json = format_.get("schema"), format_.get("type") == "json_object"
    sent.think = (body.get("reasoning") or {}).get("effort")
    choice = body.get("tool_choice") or ""
    sent.choice = {"required": "any"}.get(choice, choice) if isinstance(choice, str) else choice["name"]
    sent.tools = {tool["name"]: tool.get("parameters") or {} for tool in body.get("tools") or []}
    names: dict[str, str] = {}
    given = body["input"]
    items: list[Object] = [{"role": "user", "content": given}] if isinstance(given, str) else given
    for item in items:
        match item.get("type", "message"):
            case "message" if item["role"] in ("system", "developer"):
                sent.system += _said(item["content"])
            case "message":
                sent.turns.append((item["role"], _said(item["content"])))
                sent.images += _pictures(item["content"])
            case "function_call":
                names[item["call_id"]] = item["name"]
                sent.calls.append(Call(item["name"], decoded(item["arguments"]), item["call_id"]))
            case "function_call_output":
                sent.paired &= item["call_id"] in names
                sent.results.append((names.get(item["call_id"], ""), _said(item["output"])))
                sent.images += _pictures(item["output"])
            case "reasoning":
                sent.thoughts.append(_join(part["text"] for part in item["summary"]))
    return sent


def _said(content: Any) -> str:
    return content if isinstance(content, str) else _join(part.get("text", "") for part in content)


def _pictures(content: Any) -> list[str]:
    parts: list[Object] = [] if isinstance(content, str) else content
    urls = [part["image_url"] for part in parts if part["type"] == "input_image"]
    return [url.removeprefix("data:").partition(";")[0] for url in urls]


def read_either(body: Object) -> Sent:
    """OpenAI's own server has both APIs."""
    return read_responses(body) if "input" in body else read_openai(body)


# --- which there are ------------------------------------------------------------------------------

_SEES = Model(id="Qwen/Qwen2.5-VL-7B-Instruct", does=("chat",), context=32_768)
_LONG_A = "prompt is too long: 210000 tokens > 200000 maximum"
_LONG_O = "the prompt is longer than the context length currently available to the model"
_ANTHROPIC = {"x-api-key": "sk-test", "anthropic-version": "2023-06-01"}
_OPENAI = {"authorization": "Bearer sk-test"}


def _scenarios(long: str) -> Mapping[str, str]:
    return {"too long": long, "bad": 'error status=400 message="temperature: must be a number"'}


_OPENAI_SCENARIOS = _scenarios("context_length")

SERVERS: Sequence[Behind] = (
    Behind(
        name="anthropic",
        make=simulate,
        dialect="anthropic",
        paths=("/v1/messages",),
        models={"": "claude-haiku-4-5-20251001", "thinks": "claude-haiku-4-5-20251001", "levels": "claude-opus-5"},
        can=frozenset(
            {"stop", "choice", "failed", "refusal", "stop_sequence", "documents", "result images", "thoughts"}
        ),
        read=read_anthropic,
        spent=spent_anthropic,
        scenarios=_scenarios(f'error status=400 message="{_LONG_A}"'),
        headers=_ANTHROPIC,
    ),
    Behind(
        name="ollama",
        make=OllamaSimulator,
        dialect="ollama",
        paths=("/api/chat", "/api/generate"),
        models={"": "mistral-small3.2:24b", "thinks": "qwen3:8b", "levels": "gpt-oss:20b"},
        can=frozenset({"stop", "thoughts", "result images"}),
        read=read_ollama,
        spent=spent_ollama,
        scenarios=_scenarios(f'error status=400 message="{_LONG_O}"'),
        headers=_OPENAI,
    ),
    Behind(
        name="openai",
        make=lambda: OpenAISimulator(flavor="openai"),
        dialect="openai_chat",
        paths=("/v1/chat/completions", "/v1/responses"),
        models={"": "gpt-4.1-mini", "levels": "gpt-5.6"},
        can=frozenset({"stop", "choice", "refusal", "documents", "developer"}),
        read=read_either,
        spent=spent_openai,
        scenarios=_OPENAI_SCENARIOS,
        headers=_OPENAI,
    ),
    Behind(
        name="responses",
        make=lambda: OpenAISimulator(flavor="openai"),
        dialect="openai_responses",
        paths=("/v1/responses",),
        models={"": "gpt-4.1-mini", "thinks": "gpt-5.6", "levels": "gpt-5.6"},
        can=frozenset({"no stop", "choice", "refusal", "documents", "developer", "thoughts", "result images"}),
        read=read_responses,
        spent=spent_openai,
        scenarios=_OPENAI_SCENARIOS,
        headers=_OPENAI,
    ),
    Behind(
        name="vllm",
        make=lambda: OpenAISimulator(flavor="vllm", models=("Qwen/Qwen3-8B", _SEES)),
        dialect="openai_chat",
        paths=("/v1/chat/completions",),
        models={"": _SEES.id, "thinks": "Qwen/Qwen3-8B"},
        can=frozenset({"stop", "choice", "refusal", "stop_sequence", "thoughts"}),
        read=read_openai,
        spent=spent_openai,
        scenarios=_OPENAI_SCENARIOS,
        headers=_OPENAI,
    ),
)


def shown(body: Object) -> str:
    """A body for the message of a failed test."""
    return json.dumps(body, indent=1, ensure_ascii=False)[:4000]
