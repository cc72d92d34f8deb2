"""A gateway before a server of every kind, and clients of the Responses API before it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import httpx
import openai

from dragoman.config import Secret, Settings, Upstream
from dragoman.simulator import OllamaSimulator, OpenAISimulator
from dragoman.simulator.openai_flavors import Model
from dragoman.simulator.server import run_in_thread
from tests.dialects.openai_responses.streams import parse
from tests.running import Gateway, run_gateway, simulate
from tests.waiting import until

Object = dict[str, Any]

MODELS = {
    "anthropic": "claude-haiku-4-5-20251001",
    "ollama": "qwen3:8b",
    "vllm": "Qwen/Qwen3-8B",
    "openai": "gpt-5.6",
    "responses": "gpt-5.6",
}
"""A model that thinks on each server.  The last two are OpenAI's, one of them as a server of the Responses API."""
_SEES = Model(id="Qwen/Qwen2.5-VL-7B-Instruct", does=("chat",), context=32_768)
SEEING = {**MODELS, "ollama": "mistral-small3.2:24b", "vllm": _SEES.id}
TRANSLATED = ("anthropic", "ollama", "vllm")
"""Those that have no Responses API of their own that is as good."""


class Behind(NamedTuple):
    """What a gateway with all of them answers to."""

    url: str
    simulators: dict[str, Any]
    open: ExitStack

    def client(self, key: str = "sk-client") -> openai.OpenAI:
        """The official SDK, which tries nothing twice here."""
        http = openai.DefaultHttpxClient(verify=False)
        made = openai.OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, http_client=http)
        return self.open.enter_context(made)

    def sent(self, server: str) -> Object:
        """The last question that reached a server."""
        request = self.simulators[server].requests[-1]
        body: Object = request.body if hasattr(request, "raw") else request[1]
        return body


def _simulators() -> dict[str, tuple[Any, Any, str]]:
    return {
        "anthropic": (simulate(), "anthropic", ""),
        "ollama": (OllamaSimulator(), "ollama", ""),
        "vllm": (OpenAISimulator(flavor="vllm", models=[MODELS["vllm"], _SEES]), "openai_chat", "vllm"),
        "openai": (OpenAISimulator(flavor="openai"), "openai_chat", "openai"),
        "responses": (OpenAISimulator(flavor="openai"), "openai_responses", "openai"),
    }


@contextmanager
def before_all(**settings: Any) -> Iterator[Behind]:
    """A gateway before all of them; the names of models begin with those of the servers."""
    with ExitStack() as stack:
        simulators, upstreams = {}, []
        for name, (simulator, dialect, flavor) in _simulators().items():
            serving = stack.enter_context(run_in_thread(simulator))
            simulators[name] = simulator
            key = Secret("sk-test")
            upstreams.append(Upstream(name=name, dialect=dialect, base_url=serving.url, key=key, flavor=flavor))
        values: Object = {"host": "127.0.0.1", "port": 0, "retries": 0, "upstreams": tuple(upstreams)}
        gateway = stack.enter_context(run_gateway(Settings(**values | settings)))
        yield Behind(gateway.url, simulators, stack)


def named(server: str, *, sees: bool = False) -> str:
    """The model of a server, so that no other is meant."""
    return f"{server}/{(SEEING if sees else MODELS)[server]}"


def post(url: str, body: Object, path: str = "/v1/responses", key: str = "sk-client") -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(url + path, json=body, headers=headers, timeout=30, trust_env=False)


def events(answer: httpx.Response) -> list[Any]:
    """The events of a stream."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    return parse(answer.content)


# --- a gateway before Claude alone ------------------------------------------------------------------

HAIKU = MODELS["anthropic"]


def asked(gateway: Gateway) -> list[tuple[str, str]]:
    """The conversation that reached the model."""
    messages = gateway.simulator.requests[-1].body["messages"]
    return [(message["role"], "".join(part["text"] for part in message["content"])) for message in messages]


def create(url: str, key: str = "sk-client", **body: Any) -> Object:
    """The response of a gateway at `url` to `body`, by the smallest Claude."""
    answer = post(url, {"model": HAIKU, **body}, key=key)
    assert answer.status_code == 200, answer.text
    response: Object = answer.json()
    return response


def get(url: str, path: str, key: str = "sk-client", method: str = "GET") -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"}
    return httpx.request(method, f"{url}/v1{path}", headers=headers, timeout=30, trust_env=False)


def code(answer: httpx.Response) -> Any:
    """Status and code of an error."""
    return answer.status_code, answer.json()["error"]["code"]


def polled(
    url: str, id: str, *, states: tuple[str, ...] = ("completed", "failed", "cancelled", "incomplete")
) -> Object:
    """The response once it is in one of these states."""
    response: Object = {}

    def there() -> bool:
        nonlocal response
        response = get(url, f"/responses/{id}").json()
        return response["status"] in states

    until(there, lambda: response)
    return response
