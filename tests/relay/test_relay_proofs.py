"""A conversation that changes servers takes no proof to one that did not make it, even where its bytes go through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from dragoman.config import Secret, Settings, Upstream
from dragoman.simulator import OpenAISimulator
from dragoman.simulator.server import run_in_thread
from tests.relay.programs import Careful, Native, Program
from tests.running import run_gateway, simulate

CLAUDE = "claude-opus-5"
OTHER = "deepseek-r1"


class Setting:
    def __init__(self, url: str, compatible: OpenAISimulator, claude: Any) -> None:
        self.url, self.compatible, self.claude = url, compatible, claude

    def ask(self, it: Program, model: str, **headers: str) -> requests.Response:
        body: Any = {"model": model, "messages": it.messages, "max_tokens": 5000, "reasoning": {"enabled": True}}
        if it.path == "/v1/messages":
            del body["reasoning"]
        return requests.post(self.url + it.path, json=body, headers=it.headers | headers, timeout=30)


@pytest.fixture(scope="module")
def both() -> Iterator[Setting]:
    """Claude, and a server of OpenAI's dialect that has reasoning of its own."""
    compatible = OpenAISimulator(flavor="openrouter", models=(OTHER,))
    with run_in_thread(simulate()) as claude, run_in_thread(compatible) as other:
        upstreams = (
            Upstream(name="anthropic", base_url=claude.url, key=Secret("sk-test")),
            Upstream(
                name="other", dialect="openai_chat", base_url=other.url, flavor="openrouter", key=Secret("sk-test")
            ),
        )
        with run_gateway(Settings(host="127.0.0.1", port=0, upstreams=upstreams, retries=0)) as gateway:
            yield Setting(gateway.url, compatible, claude.simulator)


def test_claudes_proofs_stay_here_when_the_bytes_go_to_another_server(both: Setting) -> None:
    it = Careful(both.url, CLAUDE)
    it.send()
    kept = it.messages[1]["reasoning_details"]
    assert kept[0]["signature"]
    it.messages.append({"role": "user", "content": "And now?"})
    answer = both.ask(it, f"other/{OTHER}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-dragoman-dropped"] == "thinking"
    sent = both.compatible.requests[-1].body["messages"]
    assert "reasoning_details" not in str(sent)
    assert {**it.messages[1], "reasoning_details": None} == {**sent[1], "reasoning_details": None}
    assert both.ask(it, f"other/{OTHER}", **{"x-dragoman-strict": "1"}).status_code == 400


def test_the_servers_own_proofs_go_through_as_they_are(both: Setting) -> None:
    it = Careful(both.url, f"other/{OTHER}")
    it.messages = [{"role": "user", "content": "dragoman-"}]
    it.take([both.ask(it, it.model).json()])
    assert it.messages[1]["reasoning_details"][0]["signature"]
    it.messages.append({"role": "user", "content": "Well."})
    answer = both.ask(it, it.model)
    assert answer.status_code == 200, answer.text
    assert "x-dragoman-dropped" not in answer.headers
    assert both.compatible.requests[-1].body["messages"] == it.messages


def test_they_come_home_when_the_conversation_does(both: Setting) -> None:
    it = Careful(both.url, CLAUDE)
    it.send()
    it.messages.append({"role": "user", "content": "And now?"})
    answer = both.ask(it, f"other/{OTHER}").json()
    it.take([answer])
    it.messages.append({"role": "user", "content": "Back again."})
    both.claude.requests.clear()
    answer = both.ask(it, CLAUDE)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-dragoman-dropped"].startswith("thinking")
    assert len(both.claude.requests) == 2, "refused once, for the other server's"
    said = [block for message in both.claude.requests[-1].body["messages"] for block in message["content"]]
    assert it.messages[1]["reasoning_details"][0]["signature"] in [block.get("signature") for block in said]


def test_what_another_server_thought_stays_here_when_the_bytes_go_to_claude(both: Setting) -> None:
    it = Native(both.url, f"other/{OTHER}", thinking={"type": "adaptive"})
    it.send()
    thought = it.messages[1]["content"][0]
    assert thought["signature"].startswith("dragoman.")
    it.messages.append({"role": "user", "content": "And now?"})
    answer = both.ask(it, CLAUDE)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-dragoman-dropped"] == "thinking"
    assert "dragoman." not in str(both.claude.requests[-1].body)
    assert both.ask(it, CLAUDE, **{"x-dragoman-strict": "1"}).status_code == 400
