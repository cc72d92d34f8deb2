"""What a client reads of an Ollama server behind the gateway is what that server, asked without it, says.

Rows are questions that a real Ollama and the gateway once answered differently.  A derived model has a system prompt of
its own, so that its calls are translated and not passed through.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.derived.conftest import House, house

HI = [{"role": "user", "content": "Hi"}]
HAS, EMBEDS = "qwen3:8b", "nomic-embed-text:latest"


@pytest.fixture(scope="module")
def home() -> Iterator[House]:
    with house() as found:
        for name, base in (("own", HAS), ("vectors", EMBEDS)):
            made = found.post("/api/create", {"model": name, "from": base, "system": "s", "stream": False})
            assert made.json() == {"status": "success"}
        yield found


def lines(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


# --- the name ------------------------------------------------------------------------------------

CALLS: list[tuple[str, dict[str, Any]]] = [
    ("/api/chat", {"messages": HI}),
    ("/api/chat", {"messages": HI, "stream": False}),
    ("/api/chat", {"messages": []}),
    ("/api/chat", {"messages": [], "keep_alive": 0}),
    ("/api/generate", {"prompt": "Hi"}),
    ("/api/generate", {"prompt": "Hi", "stream": False}),
    ("/api/generate", {}),
]


@pytest.mark.parametrize(("path", "body"), CALLS)
@pytest.mark.parametrize("name", ["own", "own:latest", HAS])
def test_an_answer_has_the_name_that_was_asked_for(home: House, name: str, path: str, body: dict[str, Any]) -> None:
    assert {line["model"] for line in lines(home.post(path, {"model": name, **body}))} == {name}


@pytest.mark.parametrize("name", ["vectors", "vectors:latest", "nomic-embed-text", "nomic-embed-text:latest"])
@pytest.mark.parametrize("text", ["Hi", ""])
def test_vectors_have_it_too(home: House, name: str, text: str) -> None:
    (answer,) = lines(home.post("/api/embed", {"model": name, "input": text}))
    assert (answer["model"], len(answer["embeddings"])) == (name, bool(text))
    (answer,) = lines(home.post("/api/embeddings", {"model": name, "prompt": text}))
    assert set(answer) == {"embedding"}


@pytest.mark.parametrize("name", [f"library/{HAS}", f"registry.ollama.ai/library/{HAS}", f"Library/{HAS.upper()}"])
def test_a_name_in_full_is_the_same_model(home: House, name: str) -> None:
    assert lines(home.post("/api/chat", {"model": name, "messages": HI}))[-1]["done"] is True
    assert home.post("/api/show", {"model": name}).status_code == 200


def test_the_full_name_of_a_derived_model(home: House) -> None:
    lines(home.post("/api/chat", {"model": "registry.ollama.ai/library/own:latest", "messages": HI}))
    assert home.box.requests[-1].body["messages"][0] == {"role": "system", "content": "s"}


# --- what is there, and where --------------------------------------------------------------------

METRICS = [
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
]
END = ["done", "done_reason"]


@pytest.mark.parametrize(
    ("path", "body", "names"),
    [
        ("/api/chat", {"messages": HI}, ["message", *END, "logprobs", *METRICS]),
        ("/api/generate", {"prompt": "Hi"}, ["response", *END, "context", *METRICS, "logprobs"]),
    ],
)
def test_members_stand_where_ollama_has_them(home: House, path: str, body: dict[str, Any], names: list[str]) -> None:
    asked = {"model": "own", "logprobs": True, "think": False, **body}
    (whole,) = lines(home.post(path, {**asked, "stream": False}))
    assert list(whole) == ["model", "created_at", *names]
    streamed = lines(home.post(path, asked))
    assert list(streamed[0])[3:] == ["done", "logprobs"]
    assert list(streamed[-1])[2:] == [name for name in names if name != "logprobs"]


def test_who_asks_for_the_prompt_of_a_translated_call_gets_an_answer(home: House) -> None:
    body = {"model": "own", "messages": HI, "_debug_render_only": True, "stream": False}
    answer = home.post("/api/chat", body)
    assert answer.json()["message"]["content"]
    assert "_debug_render_only" in answer.headers["x-dragoman-dropped"]


# --- what goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "status", "told"),
    [
        ("/api/embed", {"model": "none", "input": "x"}, 404, 'model "none" not found, try pulling it first'),
        ("/api/embeddings", {"model": "none", "prompt": "x"}, 404, 'model "none" not found, try pulling it first'),
        ("/api/embed", {"input": "x"}, 404, "model '' not found"),
        ("/api/embeddings", {"prompt": "x"}, 400, "model is required"),
        ("/api/chat", {"model": "none", "messages": HI}, 404, "model 'none' not found"),
        ("/api/generate", {"prompt": "x"}, 404, "model '' not found"),
    ],
)
def test_errors_are_told_in_ollamas_words(home: House, path: str, body: dict[str, Any], status: int, told: str) -> None:
    answer = home.post(path, body)
    assert (answer.status_code, answer.json()) == (status, {"error": told})


def test_no_models_are_recommended(home: House) -> None:
    """`ollama` alone asks for them; it would offer to fetch what no client of a gateway can."""
    answer = home.http.get("/api/experimental/model-recommendations")
    assert (answer.status_code, answer.json()) == (200, {"recommendations": []})
    assert home.post("/api/experimental/web_search", {"query": "x"}).status_code == 501


@pytest.mark.parametrize("top_p", [2, -1])
def test_settings_beyond_the_scale_are_no_error_over_claude_either(home: House, top_p: float) -> None:
    body = {"model": "claude-haiku-4-5", "messages": HI, "stream": False, "options": {"top_p": top_p}}
    assert home.post("/api/chat", body).status_code == 200
