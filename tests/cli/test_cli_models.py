"""`dragoman models`: what is listed, and how."""

from __future__ import annotations

import json
import socket
from datetime import date
from pathlib import Path

import pytest

from dragoman.cli.models import HEADINGS, listing
from dragoman.config import Override, Settings
from dragoman.models.catalogue import build
from tests.cli.loopback import Answer, Call, Run, Serve, as_json

TODAY = date(2026, 11, 22)


def test_plain_lines(run: Run, tmp_path: Path) -> None:
    (tmp_path / "dragoman.toml").write_text('[aliases]\n"gpt-4o" = "claude-opus-5"\n')
    result = run("models")
    first, *rows = [line.split("\t") for line in result.output.splitlines()]
    assert first == list(HEADINGS)
    assert [
        "gpt-4o",
        "claude-opus-5",
        "anthropic",
        "Anthropic",
        "1M",
        "128k",
        "completion, tools, vision, thinking",
        "$5 / $25",
        "active until at least 2027-07-24",
    ] in rows
    assert result.exit_code == 0


def test_json(run: Run) -> None:
    rows = {row["name"]: row for row in json.loads(run("models", "--json").output)}
    assert rows["claude-opus-5"] == {
        "name": "claude-opus-5",
        "model": "claude-opus-5",
        "upstream": "anthropic",
        "dialect": "anthropic",
        "context_window": 1000000,
        "max_output_tokens": 128000,
        "capabilities": ["completion", "tools", "vision", "thinking"],
        "price_input": 5.0,
        "price_output": 25.0,
        "lifecycle": "active until at least 2027-07-24",
        "note": "",
    }


def test_all_of_them() -> None:
    chosen = Settings(hide=("claude-opus-5",), overrides={"claude-haiku": Override(hidden=True)})
    shown = {line.name for line in listing(build(), chosen, TODAY, everything=False)}
    lines = {line.name: line for line in listing(build(), chosen, TODAY, everything=True)}
    assert shown < set(lines)
    assert {"claude-opus-5", "claude-haiku", "claude-3.5-sonnet"} <= set(lines) - shown
    retired = lines["claude-3.5-sonnet"]
    assert retired.model == "claude-sonnet-5-5"
    assert retired.cells()[1] == "claude-sonnet-5-5 (claude-3-5-sonnet-20241022 is retired)"


def test_a_retired_model_that_is_refused_is_shown_as_it_is() -> None:
    lines = {line.name: line for line in listing(build(retired="refuse"), Settings(), TODAY, everything=True)}
    assert lines["claude-3.5-sonnet"].model == "claude-3-5-sonnet-20241022"
    assert lines["claude-3.5-sonnet"].lifecycle.startswith("retired 20")


def test_the_models_of_every_upstream(run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def gpu(call: Call) -> Answer:
        if call.path == "/api/tags":
            return as_json({"models": [{"name": "phi4:latest", "model": "phi4:latest", "digest": "d"}]})
        info = {"general.architecture": "phi3", "phi3.context_length": 16384}
        return as_json({"capabilities": ["completion"], "model_info": info})

    monkeypatch.setenv("OLLAMA_BASE_URL", serve(gpu))
    monkeypatch.setenv("OPENAI_BASE_URL", serve(lambda _: as_json({"data": [{"id": "vendor/big"}, {"id": "phi4"}]})))
    (tmp_path / "dragoman.toml").write_text('[aliases]\nquick = "phi4"\n')
    rows = {row["name"]: row for row in json.loads(run("models", "--json").output)}
    assert {name: (row["upstream"], row["dialect"], row["model"]) for name, row in rows.items()} == {
        "phi4:latest": ("ollama", "ollama", "phi4:latest"),
        "vendor/big": ("openai", "openai_chat", "vendor/big"),
        "openai/phi4": ("openai", "openai_chat", "phi4"),
        "quick": ("ollama", "ollama", "phi4:latest"),
    }
    assert rows["phi4:latest"]["context_window"] == 16384
    assert rows["phi4:latest"]["capabilities"] == ["completion"]


def test_an_upstream_that_is_away_is_told_of_and_the_rest_is_listed(
    run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("OLLAMA_BASE_URL", f"127.0.0.1:{port}")
    monkeypatch.setenv("OPENAI_BASE_URL", serve(lambda _: as_json({"data": [{"id": "big"}]})))
    result = run("models")
    assert [line.split("\t")[0] for line in result.stdout.splitlines()[1:]] == ["big"]
    assert result.exit_code == 0


def test_a_wrong_configuration(run: Run, tmp_path: Path) -> None:
    (tmp_path / "dragoman.toml").write_text("[aliases]\na = 1\n")
    result = run("models")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "dragoman.toml:2: aliases.a is 1, but must be a text that is not empty\n"
