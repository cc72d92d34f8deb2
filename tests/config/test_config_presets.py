"""Presets say what nobody else says; OLLAMA_HOST says it where nobody else names an Ollama server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dragoman.config import Secret, Upstream
from tests.config.loading import changed, complaints, loaded, written

OLLAMA = Upstream(name="ollama", dialect="ollama", base_url="http://localhost:11434")
LOCAL = {"port": 8000, "default_model": "phi4:latest", "stream_default": True, "model_optional": True}


def at(url: str) -> Upstream:
    return Upstream(name="ollama", dialect="ollama", base_url=url)


@pytest.mark.parametrize(
    ("environ", "text", "flags", "expected"),
    [
        ({}, "", {"preset": "local"}, LOCAL | {"upstreams": (OLLAMA,)}),
        ({"DRAGOMAN_PRESET": "local"}, "", {}, LOCAL | {"upstreams": (OLLAMA,)}),
        ({}, 'preset = "local"\n', {}, LOCAL | {"upstreams": (OLLAMA,)}),
        ({}, "", {"preset": "local", "port": 9}, LOCAL | {"upstreams": (OLLAMA,), "port": 9}),
        (
            {"PORT": "9", "DRAGOMAN_STREAM_DEFAULT": "no", "DRAGOMAN_DEFAULT_MODEL": "llama3.2"},
            "",
            {"preset": "local"},
            {"port": 9, "default_model": "llama3.2", "upstreams": (OLLAMA,)},
        ),
        ({}, 'default_model = "x"\nport = 7\n', {"preset": "local"}, {"stream_default": True, "port": 7}),
        ({"OLLAMA_BASE_URL": "gpu"}, "", {"preset": "local"}, LOCAL | {"upstreams": (at("http://gpu:11434"),)}),
        ({"OLLAMA_HOST": "gpu:1"}, "", {"preset": "local"}, LOCAL | {"upstreams": (at("http://gpu:1"),)}),
        (
            {},
            '[ollama]\nbase_url = "https://gpu"\napi_key = "o"\n',
            {"preset": "local"},
            LOCAL
            | {"upstreams": (Upstream(name="ollama", dialect="ollama", base_url="https://gpu", key=Secret("o")),)},
        ),
        (
            {},
            '[[upstream]]\nname = "gpu"\ndialect = "ollama"\nbase_url = "gpu"\n',
            {"preset": "local"},
            LOCAL | {"upstreams": (Upstream(name="gpu", dialect="ollama", base_url="http://gpu:11434"),)},
        ),
        (
            {"ANTHROPIC_API_KEY": "k"},
            "",
            {"preset": "local"},
            LOCAL | {"upstreams": (Upstream(name="anthropic", key=Secret("k")), OLLAMA)},
        ),
    ],
)
def test_local(
    tmp_path: Path, environ: dict[str, str], text: str, flags: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert expected.items() <= changed(loaded(environ, written(tmp_path, text), flags=flags)).items()


def test_a_preset_that_there_is_not() -> None:
    assert complaints({}, flags={"preset": "lokal"}) == ['--preset is "lokal", but must be "local"']


@pytest.mark.parametrize(
    ("environ", "text", "expected"),
    [
        ({"OLLAMA_BASE_URL": "a:1", "OLLAMA_HOST": "b:1"}, "", ["http://a:1"]),
        ({"OLLAMA_HOST": "b:1"}, '[ollama]\nbase_url = "c:1"\n', ["http://c:1"]),
        ({"OLLAMA_BASE_URL": "a:1"}, '[ollama]\nbase_url = "c:1"\n', ["http://a:1"]),
        (
            {"OLLAMA_HOST": "b:1"},
            '[[upstream]]\nname = "gpu"\ndialect = "ollama"\nbase_url = "http://d:1"\n',
            ["http://d:1"],
        ),
        (
            {"OLLAMA_BASE_URL": "a:1"},
            '[[upstream]]\nname = "gpu"\ndialect = "ollama"\nbase_url = "http://d:1"\n',
            ["http://a:1", "http://d:1"],
        ),
        ({"OLLAMA_API_KEY": "k"}, "", []),
    ],
)
def test_which_ollama(tmp_path: Path, environ: dict[str, str], text: str, expected: list[str]) -> None:
    chosen = loaded(environ, written(tmp_path, text))
    assert [upstream.base_url for upstream in chosen.upstreams] == expected


def test_ollama_host_that_is_the_gateway_itself_is_left_to_other_programs() -> None:
    told: list[str] = []
    environ = {"ANTHROPIC_API_KEY": "k", "OLLAMA_HOST": "0.0.0.0:11434"}
    chosen = loaded(environ, warn=told.append)
    assert [upstream.name for upstream in chosen.upstreams] == ["anthropic"]
    assert told == [
        "OLLAMA_HOST is http://localhost:11434, this gateway itself; it is left to other programs, and adds no Ollama"
        " server"
    ]
    told.clear()
    assert loaded(environ, warn=told.append, flags={"port": 1}).upstreams[1] == OLLAMA
    assert loaded(environ, warn=told.append, demo=True).upstreams == ()
    assert told == []


def test_ollama_host_that_is_the_gateway_itself_leaves_the_preset_alone() -> None:
    told: list[str] = []
    chosen = loaded({"OLLAMA_HOST": "localhost:8000"}, warn=told.append, flags={"preset": "local"})
    assert chosen.upstreams == (OLLAMA,)
    assert len(told) == 1


@pytest.mark.parametrize(
    ("environ", "name", "url"),
    [
        ({"OLLAMA_BASE_URL": "http://localhost:11434"}, "ollama", "http://localhost:11434"),
        ({"DRAGOMAN_PRESET": "local", "PORT": "11434"}, "ollama", "http://localhost:11434"),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:11434/v1"}, "openai", "http://127.0.0.1:11434"),
        (
            {"ANTHROPIC_API_KEY": "hush", "ANTHROPIC_BASE_URL": "http://localhost:11434"},
            "anthropic",
            "http://localhost:11434",
        ),
    ],
)
def test_an_upstream_that_is_the_gateway_itself(environ: dict[str, str], name: str, url: str) -> None:
    problem = (
        f"the upstream {name} is {url}, which is this gateway itself; give the gateway another port (--port, PORT),"
        " or the upstream its real address"
    )
    assert complaints(environ) == [problem]
    assert loaded(environ, demo=True).demo


def test_an_upstream_without_a_name_is_complained_of_once(tmp_path: Path) -> None:
    file = written(tmp_path, '[[upstream]]\ndialect = "ollama"\n')
    [problem] = complaints({}, file)
    assert "upstream[0].name is required" in problem
