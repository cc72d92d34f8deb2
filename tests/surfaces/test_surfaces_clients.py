"""What the programs people use really ask for, and what each of them must find in the answer.

Each test is one program: its own requests in its own order, read by its own rules, which are often stricter or sloppier
than the SDKs'.  The rules were read in the programs' sources or seen on the wire.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import httpx
import ollama
import pytest

from dragoman.config import Secret
from tests.running import Gateway, run_with_simulator
from tests.surfaces import judging
from tests.surfaces.speaking import SURFACES

MODEL = "claude-sonnet-4.5"
TAGGED = MODEL + ":latest"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # 1 × 1, PNG
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture(scope="module")
def fresh() -> Iterator[Gateway]:
    """A gateway of this module's own: what it shows as loaded is what these tests have called."""
    with run_with_simulator(refresh=0) as it:
        yield it


@pytest.fixture(scope="module")
def http(fresh: Gateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=fresh.url, timeout=20, trust_env=False) as client:
        yield client


def get(http: httpx.Client, path: str, **headers: str) -> Any:
    answer = http.get(path, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def post(http: httpx.Client, path: str, body: dict[str, Any], **headers: str) -> Any:
    """An answer that is one JSON document."""
    answer = http.post(path, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    return answer.json()


def stream(http: httpx.Client, path: str, body: dict[str, Any], **headers: str) -> list[Any]:
    """The frames of a stream."""
    answer = http.post(path, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return SURFACES[2 if path.startswith("/v1") else 0].frames(answer.content)


@contextmanager
def sdk(gateway: Gateway, **settings: Any) -> Iterator[ollama.Client]:
    """The official client, whose sockets are closed at the end."""
    client = ollama.Client(host=gateway.url, trust_env=False, **settings)
    try:
        yield client
    finally:
        client._client.close()


def last_request(fresh: Gateway) -> Any:
    """What the upstream was sent last."""
    return fresh.simulator.requests[-1].body


# --- editors -----------------------------------------------------------------------------------------


def test_vscode_copilot(http: httpx.Client) -> None:
    agent = {"user-agent": "GitHubCopilotChat/0.35.1"}
    parts = [int(part) for part in get(http, "/api/version", **agent)["version"].split(".")]
    assert parts >= [0, 6, 4]
    names = [model["model"] for model in get(http, "/api/tags", **agent)["models"]]
    assert TAGGED in names
    for name in names:
        shown = post(http, "/api/show", {"model": name}, **agent)
        assert isinstance(shown["capabilities"], list)
        assert "tools" in shown["capabilities"], "agent mode would be off"
        info = shown["model_info"]
        # Without this key Copilot assumes 32,768 tokens.
        assert info[f"{info['general.architecture']}.context_length"] >= 200_000
        assert info["general.basename"] == name, "the name a person sees"
    body = {
        "model": TAGGED,
        "messages": [
            {"role": "system", "content": "You are a helper."},
            {"role": "user", "content": [{"type": "text", "text": "What is the weather in Paris?"}]},
        ],
        "tools": [WEATHER],
        "tool_choice": "auto",
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 4096,
        "temperature": 0.1,
        "top_p": 1,
        "n": 1,
    }
    frames = stream(http, "/v1/chat/completions", body, **agent)
    judging.chunks(frames)
    assert frames[-2]["choices"] == [] and frames[-2]["usage"]["total_tokens"] > 0
    calls = [call for f in frames[:-2] for c in f["choices"] for call in c["delta"].get("tool_calls", [])]
    assert json.loads("".join(call["function"]["arguments"] for call in calls))
    assert frames[-3]["choices"][0]["finish_reason"] == "tool_calls"


def test_zed(http: httpx.Client) -> None:
    for model in get(http, "/api/tags", authorization="Bearer whatever")["models"]:
        assert isinstance(model["name"], str) and isinstance(model["modified_at"], str)
        assert isinstance(model["digest"], str)
        assert type(model["size"]) is int and model["size"] >= 0
        details = model["details"]
        for key in ("format", "family", "parameter_size", "quantization_level"):
            assert isinstance(details[key], str)
        assert details["families"] is None or all(isinstance(item, str) for item in details["families"])
    shown = post(http, "/api/show", {"model": TAGGED})
    assert {"tools", "vision", "thinking"} <= set(shown["capabilities"])
    body = {
        "model": TAGGED,
        "messages": [{"role": "user", "content": "What is the weather in Paris?"}],
        "stream": True,
        "keep_alive": -1,
        "options": {"num_ctx": 200_000, "num_predict": None, "stop": [], "temperature": 1.0, "top_p": None},
        "tools": [WEATHER],
        "think": True,
    }
    lines = stream(http, "/api/chat", body)
    for line in lines:
        assert isinstance(line["model"], str) and isinstance(line["created_at"], str)
        assert isinstance(line["done"], bool)
        assert line["message"]["role"] == "assistant" and isinstance(line["message"]["content"], str)
    (call,) = [call for line in lines for call in line["message"].get("tool_calls", [])]
    assert isinstance(call["function"]["arguments"], dict)
    body["messages"] = [
        {"role": "user", "content": "What is the weather in Paris?"},
        {"role": "assistant", "content": "", "tool_calls": [{"function": call["function"]}]},
        {"role": "tool", "tool_name": "get_weather", "content": "21 degrees"},
    ]
    after = stream(http, "/api/chat", body)
    assert "21 degrees" in "".join(line["message"]["content"] for line in after)
    forever = [model for model in get(http, "/api/ps")["models"] if model["name"] == TAGGED]
    assert datetime.fromisoformat(forever[0]["expires_at"]).year > 2100


def test_continue(http: httpx.Client, fresh: Gateway) -> None:
    shown = post(http, "/api/show", {"name": MODEL})
    for line in shown["parameters"].split("\n"):
        # An empty line, or one that does not match, makes the program give up on all of them.
        found = re.fullmatch(r'(\S+)\s+((?:".*")|\S+)', line)
        assert found is not None
        if found[1] == "num_ctx":
            assert int(found[2]) == 200_000
    assert isinstance(shown["template"], str)
    options = {"num_ctx": 8192, "mirostat": 0, "num_thread": 8, "use_mmap": True, "stop": ["```"], "num_predict": 64}
    body = {"model": MODEL, "prompt": "def add(a, b):\n    return ", "suffix": "\n", "raw": True}
    lines = stream(http, "/api/generate", body | {"options": options, "keep_alive": 1800, "stream": True})
    judging.lines(judging.generate)(lines)
    assert last_request(fresh)["max_tokens"] == 64
    # It replays the results of tools without the turn that called them.
    orphan = [{"role": "user", "content": "Weather?"}, {"role": "tool", "content": "sunny"}]
    chat = {"model": MODEL, "messages": orphan, "options": options, "keep_alive": 1800}
    judging.chat(post(http, "/api/chat", chat | {"stream": False, "tools": [WEATHER]}))
    assert "sunny" in json.dumps(last_request(fresh)["messages"]), "the result was lost"


def test_jetbrains(http: httpx.Client) -> None:
    assert http.get("/").text == "Ollama is running"
    for model in get(http, "/api/tags")["models"]:
        post(http, "/api/show", {"model": model["name"]})
    body = {"model": TAGGED, "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    judging.lines(judging.chat)(stream(http, "/api/chat", body))


def test_xcode(http: httpx.Client) -> None:
    ids = [model["id"] for model in get(http, "/v1/models")["data"]]
    assert MODEL in ids
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    judging.chunks(stream(http, "/v1/chat/completions", body))


def test_codex_discovery(http: httpx.Client) -> None:
    assert isinstance(get(http, "/v1/models")["data"], list)
    assert [int(part) for part in get(http, "/api/version")["version"].split(".")] >= [0, 13, 4]
    names = [model["name"] for model in get(http, "/api/tags")["models"]]
    assert MODEL not in names, "it compares names as they are, so it pulls"
    progress = stream(http, "/api/pull", {"name": MODEL, "stream": True})
    assert progress[-1] == {"status": "success"}


# --- chat programs -----------------------------------------------------------------------------------


def test_open_webui(http: httpx.Client, fresh: Gateway) -> None:
    headers = {
        "authorization": "Bearer ",
        "X-OpenWebUI-User-Name": "J%C3%BCrgen",
        "X-OpenWebUI-User-Id": "1",
        "X-OpenWebUI-User-Email": "a@b.c",
        "X-OpenWebUI-User-Role": "user",
        "X-OpenWebUI-Chat-Id": "c",
    }
    headers["authorization"] = "Bearer none"
    version = get(http, "/api/version", **headers)["version"]
    assert tuple(map(int, re.sub(r"^v|-.*", "", version).split("."))) > (0,)
    for model in get(http, "/api/tags", **headers)["models"]:
        assert model["model"] and model["name"]
    # It puts `:latest` behind a name without a tag.
    body: dict[str, Any] = {
        "model": TAGGED,
        "messages": [{"role": "user", "content": "Hi", "images": [PIXEL]}],
        "options": {"stop": "END", "temperature": 0.5, "num_ctx": 4096},
        "keep_alive": "5m",
        "stream": True,
    }
    answer = http.post("/api/chat", json=body, headers=headers)
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = SURFACES[0].frames(answer.content)
    assert {line["model"] for line in lines} == {TAGGED}
    final = lines[-1]
    assert final["done_reason"] == "stop"
    assert final["eval_count"] / (final["eval_duration"] / 1e9) > 0
    assert last_request(fresh)["stop_sequences"] == ["END"]
    loaded = {model["name"]: model for model in get(http, "/api/ps", **headers)["models"]}
    assert datetime.fromisoformat(loaded[TAGGED]["expires_at"]) > datetime.now().astimezone()
    before = len(fresh.simulator.requests)
    unload = post(http, "/api/generate", {"model": TAGGED, "keep_alive": 0, "prompt": ""}, **headers)
    assert unload["done"] is True and unload["done_reason"] == "unload"
    assert len(fresh.simulator.requests) == before, "unloading is answered here"
    assert TAGGED not in {model["name"] for model in get(http, "/api/ps", **headers)["models"]}
    refused = http.post("/api/embed", json={"model": TAGGED, "input": ["x"]}, headers=headers)
    assert isinstance(refused.json()["error"], str)
    openai = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "stream": True, "max_tokens": 50}
    judging.chunks(stream(http, "/v1/chat/completions", openai, **headers))


def test_home_assistant(fresh: Gateway) -> None:
    asyncio.run(_home_assistant(fresh))


async def _home_assistant(fresh: Gateway) -> None:
    client = ollama.AsyncClient(host=fresh.url, trust_env=False)
    try:
        await _talk_as_home_assistant(client, fresh)
    finally:
        await client._client.aclose()


async def _talk_as_home_assistant(client: ollama.AsyncClient, fresh: Gateway) -> None:
    names = {model.model for model in (await client.list()).models}
    if MODEL not in names:
        await client.pull(MODEL)
    tool = {
        "type": "function",
        "function": {
            "name": "HassTurnOn",
            "description": "Turns on a device",
            "parameters": {"type": "object", "properties": {"name": {"type": "string"}}, "required": []},
        },
    }
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "You are a voice assistant."},
        {"role": "user", "content": "Turn on the lamp", "images": [PIXEL]},
    ]
    for keep_alive in ("300s", -1):
        calls: list[Any] = []
        async for part in await client.chat(
            model=MODEL,
            messages=messages,
            tools=[tool],
            stream=True,
            options={"num_ctx": 8192},
            keep_alive=keep_alive,
            think=False,
        ):
            calls += part.message.tool_calls or []
        if calls:
            # Calls are replayed without ids; results have neither id nor name.
            messages.append({"role": "assistant", "tool_calls": [call.model_dump() for call in calls]})
            messages += [{"role": "tool", "content": json.dumps({"success": True})} for _ in calls]
    sent = last_request(fresh)["messages"]
    results = [block["tool_use_id"] for turn in sent for block in turn["content"] if block["type"] == "tool_result"]
    uses = [block["id"] for turn in sent for block in turn["content"] if block["type"] == "tool_use"]
    assert results == uses and uses
    # Its data tasks ask for a schema in the style of OpenAPI.
    schema = {
        "type": "OBJECT",
        "properties": {
            "state": {"type": "STRING", "enum": ["on", "off"]},
            "level": {"type": "INTEGER", "nullable": True},
        },
        "required": ["state"],
    }
    reply = await client.chat(
        model=MODEL, messages=[{"role": "user", "content": "State?"}], format=schema, stream=False, think=None
    )
    assert json.loads(reply.message.content or "")["state"] in ("on", "off")


def test_home_assistant_with_a_bad_key() -> None:
    with run_with_simulator(api_keys=(Secret("right"),), refresh=0) as gateway:
        headers = {"Authorization": "Bearer wrong"}
        with sdk(gateway, headers=headers) as client, pytest.raises(ollama.ResponseError) as refused:
            client.list()
    assert refused.value.status_code == 401


# --- libraries and workflows -------------------------------------------------------------------------


def test_langchain(fresh: Gateway) -> None:
    with sdk(fresh) as client:
        _langchain(client)


def _langchain(client: ollama.Client) -> None:
    names = [model.model or "" for model in client.list().models]
    assert any(name == MODEL or name.startswith(f"{MODEL}:") for name in names)
    parts = list(
        client.chat(
            model=MODEL,
            messages=[{"role": "user", "content": "Hi"}],
            stream=True,
            think=None,
            format="",
            options={"temperature": None, "num_ctx": None, "stop": None, "top_k": 40, "mirostat": None},
            keep_alive=None,
        )
    )
    assert not any(part.done_reason == "load" for part in parts), "such a part is skipped with a warning"
    assert parts[-1].done
    assert type(parts[-1].prompt_eval_count) is int and type(parts[-1].eval_count) is int
    assert "".join(part.message.content or "" for part in parts)


def test_llamaindex(http: httpx.Client) -> None:
    info = post(http, "/api/show", {"model": MODEL})["model_info"]
    assert next(value for key, value in info.items() if "context_length" in key) == 200_000
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "format": "", "stream": False}
    for think in (True, False, "low", "medium", "high"):
        assert post(http, "/api/chat", body | {"think": think})["message"]["content"]


def test_dify(http: httpx.Client) -> None:
    ping = {"model": MODEL, "options": {"num_predict": 5}, "stream": False}
    for body, path in (
        (ping | {"messages": [{"role": "user", "content": "ping"}]}, "/api/chat"),
        (ping | {"prompt": "ping"}, "/api/generate"),
    ):
        answer = post(http, path, body)
        assert answer["model"] == MODEL and answer["done"] is True
        assert answer["prompt_eval_count"] > 0 and answer["eval_count"] > 0
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Hi", "images": []}],
        "options": {},
        "format": schema,
        "think": False,
        "keep_alive": "10m",
        "stream": True,
    }
    raw = http.post("/api/chat", json=body).text
    for line in raw.split("\n")[:-1]:
        json.loads(line)  # a line that is not JSON ends its stream
    assert json.loads("".join(json.loads(line)["message"]["content"] for line in raw.split("\n")[:-1]))["a"]


def test_n8n(http: httpx.Client, fresh: Gateway) -> None:
    assert http.get("/").status_code == 200
    assert TAGGED in [model["name"] for model in get(http, "/api/tags")["models"]]
    options = {
        "temperature": 0.7,
        "top_k": -1,
        "top_p": 1,
        "num_predict": -1,
        "num_ctx": 2048,
        "repeat_penalty": 1,
        "frequency_penalty": 0.0,
        "presence_penalty": 0.0,
    }
    body = {"model": TAGGED, "messages": [{"role": "user", "content": "Hi"}], "options": options, "keep_alive": "5m"}
    for format in ("default", None):
        judging.lines(judging.chat)(stream(http, "/api/chat", body | {"format": format}))
        sent = last_request(fresh)
        assert sent["temperature"] == 0.7
        assert not {"top_k", "output_config"} & sent.keys(), "what means nothing must not be sent"
        assert sent["max_tokens"] > 2048
    assert json.loads(post(http, "/api/chat", body | {"format": "json", "stream": False})["message"]["content"])


def test_paperless_gpt(fresh: Gateway) -> None:
    """Its only way to send a key is a header that the user writes."""
    with (
        run_with_simulator(api_keys=(Secret("k"),), refresh=0) as locked,
        httpx.Client(base_url=locked.url, timeout=20, trust_env=False) as http,
    ):
        body = {
            "model": MODEL,
            "messages": [
                {"role": "system", "content": ""},
                {"role": "user", "content": "Transcribe this page.", "images": [PIXEL]},
            ],
            "stream": False,
            "format": "",
            "keep_alive": "5m",
            "options": {"num_ctx": 8192, "top_k": 1, "temperature": 0, "stop": None},
            "think": False,
        }
        answer = post(http, "/api/chat", body, Authorization="Bearer k")
        assert answer["done"] is True and answer["message"]["content"]
        image = next(block for block in locked.simulator.requests[-1].body["messages"][0]["content"])
        assert http.post("/api/chat", json=body).status_code == 401
    assert image["type"] == "image" and image["source"]["media_type"] == "image/png"


def test_paperless_ai(http: httpx.Client, fresh: Gateway) -> None:
    setup = post(http, "/api/generate", {"model": MODEL, "prompt": "Test", "stream": False})
    assert setup["response"], "an empty answer fails its set-up"
    assert get(http, "/api/ps")["models"][0]["name"] == TAGGED
    schema = {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "correspondent": {"type": "string"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "document_date": {"type": "string"},
            "language": {"type": "string"},
        },
        "required": ["title", "correspondent", "tags", "document_date", "language"],
    }
    for model in (MODEL, "claude-opus-5-5", "claude-haiku-latest"):
        body = {
            "model": model,
            "prompt": "Invoice of the waterworks, 3 May 2026",
            "system": "You are a document analyzer.",
            "stream": False,
            "format": schema,
            "options": {
                "temperature": 0.7,
                "top_p": 0.9,
                "repeat_penalty": 1.1,
                "top_k": 7,
                "num_predict": 256,
                "num_ctx": 100_000,
            },
        }
        found = post(http, "/api/generate", body)["response"]
        read = json.loads(found) if isinstance(found, str) else found
        assert isinstance(read["tags"], list) and read["title"]


def test_ollama_command_line(http: httpx.Client, fresh: Gateway) -> None:
    """The real `ollama` program, pointed here."""
    assert http.head("/").is_success
    for model in get(http, "/api/tags")["models"]:
        assert len(model["digest"][:12]) == 12, "a shorter one makes it panic"
    missing = http.post("/api/show", json={"model": "nobody"})
    assert missing.status_code == 404 and "not found" in missing.json()["error"]
    shown = post(http, "/api/show", {"name": MODEL})
    assert all(isinstance(value, int | str) for value in shown["model_info"].values())
    before = len(fresh.simulator.requests)
    assert post(http, "/api/generate", {"model": MODEL, "keep_alive": None, "think": True})["done_reason"] == "load"
    assert post(http, "/api/generate", {"model": MODEL, "keep_alive": 0})["done_reason"] == "unload"
    assert len(fresh.simulator.requests) == before
    body: dict[str, Any] = {
        "model": MODEL,
        "prompt": "Hi",
        "context": [],
        "images": None,
        "format": "",
        "system": "",
        "options": {},
    }
    judging.lines(judging.generate)(stream(http, "/api/generate", body))


def test_claude_code_before_an_ollama_server(http: httpx.Client) -> None:
    assert http.head("/").is_success
    get(http, "/api/ps")
    get(http, "/api/version")
    get(http, "/api/tags")
    post(http, "/api/show", {"model": MODEL})
