"""Anthropic's SDK as it was: programs that were never updated.  `make` installs each into a folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dragoman.conversation import Reply, Request, Text, Thinking, ToolCall, ToolResult, Usage
from tests.dialects.anthropic.serving import serve
from tests.running import Gateway

ROOT = Path(__file__).parents[2]
OLD = ("0.40.0", "0.75.0")
HAIKU = "claude-haiku-4-5-20251001"
PARIS = [["get_weather", {"city": "Paris"}]]


def run(version: str, url: str, model: str) -> Any:
    """What `old_anthropic.py` prints under the SDK of that version."""
    folder = ROOT / ".sdks" / f"anthropic-{version.removesuffix('.0')}"
    assert folder.is_dir(), f"{folder} is not installed: run `make`"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANTHROPIC_")}
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/sdks/old_anthropic.py"), url, model],
        env=kept | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("version", OLD)
def test_an_old_sdk_talks_to_claude_through_the_gateway(gateway: Gateway, version: str) -> None:
    told = run(version, gateway.url, HAIKU)
    assert told["version"] == version
    assert told["created"]["calls"] == told["streamed"]["calls"] == PARIS
    assert told["created"]["ended"] == told["streamed"]["ended"] == "tool_use"
    assert "21 degrees" in told["said"]
    headers, _ = gateway.simulator.requests[-1]
    assert headers["anthropic-version"] == "2023-06-01"


def _local(request: Request) -> Reply:
    """A local model that thinks, calls the tool, and repeats its result."""
    usage = Usage(input=30, output=12)
    results = [part for part in request.messages[-1].content if isinstance(part, ToolResult)]
    if not results:
        call = ToolCall(id="functions.get_weather:0", name="get_weather", arguments='{"city":"Paris"}')
        thought = Thinking(text="Let me look.")
        return Reply(origin="ollama", id="", model="m", content=[thought, call], reason="tool_calls", usage=usage)
    assert results[0].id == "functions.get_weather:0"
    return Reply(origin="ollama", id="", model="m", content=[*results[0].content], usage=usage)


@pytest.mark.parametrize("version", OLD)
def test_an_old_sdk_understands_a_local_model(version: str) -> None:
    with serve(_local) as served:
        told = run(version, served.url, "phi4:latest")
    assert told["version"] == version
    assert told["created"] == told["streamed"]
    assert told["created"] == {"calls": PARIS, "kinds": ["thinking", "tool_use"], "ended": "tool_use"}
    assert {"content_block_stop", "message_stop"} <= set(told["events"])
    assert told["said"] == "21 degrees"
    assert told["tokens"] == [30, 12]
    last = served.requests[-1].messages
    thought = last[1].content[0]
    # The older one knows nothing of thinking in a stream, and gives an empty block back.
    assert isinstance(thought, Thinking)
    assert (thought.text, thought.seal) == ("" if version == "0.40.0" else "Let me look.", None)
    assert last[2].content == [ToolResult(id="functions.get_weather:0", content=[Text(text="21 degrees")])]
