"""What a call came to: a line in the log for each, a header where the answer is whole, sums for each model."""

from __future__ import annotations

import json
import logging
import queue
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from dragoman.config import Secret, Settings, Upstream
from dragoman.config.settings import Override
from dragoman.conversation import Object, Usage
from dragoman.models.cards import bundled
from dragoman.models.cost import cost, plain
from dragoman.simulator.ollama_app import OllamaSimulator
from dragoman.simulator.openai_app import OpenAISimulator
from dragoman.simulator.server import run_in_thread
from dragoman.telemetry.logs import set_up_logging
from tests.running import Gateway, run_gateway, run_with_simulator

CLAUDE = "claude-haiku-4-5-20251001"
SECRET = "a word that must be in no log"
_PATIENCE = 20.0


class Lines(logging.Handler):
    """The lines of calls, each to be waited for: a client has its answer before the call is over."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._lines: queue.Queue[logging.LogRecord] = queue.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        if hasattr(record, "members"):
            self._lines.put(record)

    def next(self) -> Object:
        """The members of the next line, which says them in words, too."""
        record = self._lines.get(timeout=_PATIENCE)
        members: Object = record.__dict__["members"]
        words = dict(word.split("=", 1) for word in shlex.split(record.getMessage()))
        assert words.keys() == members.keys()
        assert SECRET not in record.getMessage() and "sk-test" not in record.getMessage()
        return members

    @property
    def empty(self) -> bool:
        return self._lines.empty()


@contextmanager
def listening(level: int = logging.INFO) -> Iterator[Lines]:
    logger, lines = logging.getLogger("dragoman.calls"), Lines()
    before = logger.level
    logger.setLevel(level)
    logger.addHandler(lines)
    try:
        yield lines
    finally:
        logger.setLevel(before)
        logger.removeHandler(lines)


@pytest.fixture
def lines() -> Iterator[Lines]:
    with listening() as lines:
        yield lines


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with run_with_simulator() as gateway:
        yield gateway


SYSTEM = "Shelf after shelf of books. " * 1500

BODIES: dict[str, Object] = {
    "/v1/messages": {"max_tokens": 100, "system": SYSTEM, "cache_control": {"type": "ephemeral"}},
    "/v1/chat/completions": {"system": SYSTEM},
    "/api/chat": {},
    "/api/generate": {"system": SYSTEM},
    "/v1/completions": {},
}
HEADERS = {"anthropic-version": "2023-06-01", "x-api-key": "any"}


def body(path: str, *, stream: bool, model: str = CLAUDE) -> Object:
    asked = BODIES[path] | {"model": model, "stream": stream}
    if path in ("/api/generate", "/v1/completions"):
        return asked | {"prompt": SECRET}
    system = [{"role": "system", "content": SYSTEM}] if path == "/api/chat" else []
    return asked | {"messages": [*system, {"role": "user", "content": SECRET}]}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("path", BODIES)
def test_each_call_has_its_line_and_its_price(path: str, stream: bool, gateway: Gateway, lines: Lines) -> None:
    for _ in range(2):
        answer = httpx.post(gateway.url + path, json=body(path, stream=stream), headers=HEADERS)
        assert answer.status_code == 200, answer.text
        line = lines.next()
    counts = (line["in"], line["cached"], line["written"], line["out"], line["thinking"])
    usage = Usage(input=counts[0], cache_read=counts[1], cache_write=counts[2], output=counts[3], thinking=counts[4])
    if path != "/v1/completions":
        assert usage.cache_read > 4096, "the system prompt was read from the cache"
    card = bundled().cards[CLAUDE]
    dollars = cost(usage, card)
    assert dollars and line["cost"] == pytest.approx(dollars, abs=1e-9)
    assert answer.headers.get("x-dragoman-cost") == (None if stream else plain(dollars))
    assert line["outcome"] == "ok"
    assert (line["model"], line["upstream"]) == (CLAUDE, "anthropic")
    assert line["id"].startswith("req_")
    if path != "/v1/messages":  # Anthropic's own request id goes through
        assert line["id"] == answer.headers["x-request-id"]
    assert 0 <= line.get("first", 0) <= line["total"] < _PATIENCE
    assert ("first" in line) or not stream
    assert lines.empty
    if path == "/v1/chat/completions" and not stream:
        told = answer.json()
        assert told["usage"]["cost"] == pytest.approx(dollars)
        assert line["answer"] == told["id"]


def test_a_streamed_chat_ends_with_its_price(gateway: Gateway, lines: Lines) -> None:
    asked = body("/v1/chat/completions", stream=True) | {"stream_options": {"include_usage": True}}
    answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=asked)
    *_, last, done = [line for line in answer.text.split("\n\n") if line]
    assert done == "data: [DONE]"
    assert json.loads(last.removeprefix("data: "))["usage"]["cost"] == pytest.approx(lines.next()["cost"], abs=1e-9)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_several_choices_are_several_calls(stream: bool, gateway: Gateway, lines: Lines) -> None:
    asked = body("/v1/chat/completions", stream=stream) | {"n": 3, "stream_options": {"include_usage": True}}
    answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=asked)
    assert answer.status_code == 200, answer.text
    told = [lines.next() for _ in range(3)]
    assert len({(line["id"], line["answer"]) for line in told}) == 1
    spent = sum(line["cost"] for line in told)
    if stream:
        usage = json.loads(answer.text.split("\n\n")[-3].removeprefix("data: "))["usage"]
    else:
        usage = answer.json()["usage"]
        assert float(answer.headers["x-dragoman-cost"]) == pytest.approx(spent, abs=3e-9)
    assert usage["prompt_tokens"] == told[0]["in"], "one prompt, however many answers"
    assert usage["completion_tokens"] == sum(line["out"] for line in told)
    assert usage["cost"] == pytest.approx(spent, abs=3e-9), "what was paid for"


def test_each_prompt_of_several_counts(gateway: Gateway, lines: Lines) -> None:
    asked = {"model": CLAUDE, "prompt": ["Hi", "A longer question, this one"], "n": 2, "max_tokens": 10}
    usage = httpx.post(f"{gateway.url}/v1/completions", json=asked).json()["usage"]
    told = [lines.next() for _ in range(4)]
    assert len(prompts := {line["in"] for line in told}) == 2
    assert usage["prompt_tokens"] == sum(prompts)
    assert usage["completion_tokens"] == sum(line["out"] for line in told)


FAILING: list[tuple[str, str, int, str]] = [
    ("/api/chat", "error status=529", 503, "overloaded"),
    ("/v1/chat/completions", "error status=400", 400, "invalid_request"),
    ("/api/chat", "error_event", 200, "overloaded"),
    ("/v1/messages", "error status=529", 529, "refused"),
]


@pytest.mark.parametrize("row", FAILING, ids=lambda row: row[1])
def test_a_call_that_fails_has_its_line_too(row: tuple[str, str, int, str], gateway: Gateway, lines: Lines) -> None:
    path, scenario, status, outcome = row
    asked = body(path, stream=scenario == "error_event")
    asked["messages"][-1]["content"] += f" [[simulate: {scenario}]]"
    answer = httpx.post(gateway.url + path, json=asked, headers=HEADERS)
    assert answer.status_code == status, answer.text
    line = lines.next()
    assert line["outcome"] == outcome
    assert line.get("why") or status == 200, "also where the server's own words are passed on"
    assert "x-dragoman-cost" not in answer.headers


def test_a_client_that_leaves_has_its_line_too(gateway: Gateway, lines: Lines) -> None:
    asked = body("/api/chat", stream=True)
    asked["messages"][-1]["content"] += " [[simulate: stall after=12]]"
    with httpx.stream("POST", f"{gateway.url}/api/chat", json=asked) as answer:
        next(answer.iter_lines())
    assert lines.next()["outcome"] == "left"


def test_a_client_that_leaves_when_all_was_told_has_not_left(gateway: Gateway, lines: Lines) -> None:
    """Some hang up at the last event; the end of the body may come later."""
    asked = {"model": CLAUDE, "stream": True, "store": False, "input": "Hi [[simulate: stall after=25]]"}
    with httpx.stream("POST", f"{gateway.url}/v1/responses", json=asked) as answer:
        assert next(line for line in answer.iter_lines() if line.startswith("event: response.completed"))
    line = lines.next()
    assert (line["outcome"], line["out"] > 0) == ("ok", True)


def test_nothing_is_written_where_nobody_listens(gateway: Gateway) -> None:
    with listening(logging.WARNING) as lines:
        httpx.post(f"{gateway.url}/api/chat", json=body("/api/chat", stream=False))
    with listening() as later:
        httpx.get(f"{gateway.url}/api/version")
        answer = httpx.post(f"{gateway.url}/api/chat", json=body("/api/chat", stream=False))
        assert later.next()["id"] == answer.headers["x-request-id"]
    assert lines.empty


def test_a_name_of_the_clients_own_stands_beside_the_models(gateway: Gateway, lines: Lines) -> None:
    httpx.post(f"{gateway.url}/api/chat", json=body("/api/chat", stream=False, model="claude-haiku-4-5"))
    assert lines.next()["asked"] == "claude-haiku-4-5"


# --- other servers --------------------------------------------------------------------------------


@contextmanager
def before(simulator: Any, dialect: Any, **settings: Any) -> Iterator[Gateway]:
    with run_in_thread(simulator) as behind:
        upstream = Upstream(name="there", dialect=dialect, base_url=behind.url, key=Secret("sk-test"))
        values: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "upstreams": (upstream,), "retries": 0}
        with run_gateway(Settings(**(values | settings))) as gateway:
            yield gateway


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
def test_models_of_ones_own_cost_nothing_that_is_known(path: str, lines: Lines) -> None:
    with before(OllamaSimulator(), "ollama") as gateway:
        answer = httpx.post(gateway.url + path, json=body(path, stream=False, model="qwen3:8b"))
    line = lines.next()
    assert line["in"] > 0 and line["out"] > 0
    assert "cost" not in line
    assert "x-dragoman-cost" not in answer.headers


def test_prices_can_be_configured(lines: Lines) -> None:
    prices = {"input": 2.0, "output": 10.0, "cache_read": 0.5}
    with before(
        OpenAISimulator(flavor="openai"), "openai_chat", overrides={"gpt-4.1-mini": Override(prices=prices)}
    ) as at:
        for path in ("/api/chat", "/v1/chat/completions"):
            answer = httpx.post(at.url + path, json=body(path, stream=False, model="gpt-4.1-mini"))
            line = lines.next()
            fresh = line["in"] - line["cached"]
            dollars = (fresh * 2 + line["cached"] * 0.5 + line["out"] * 10) / 1e6
            assert line["cost"] == pytest.approx(dollars, abs=1e-9)
            assert float(answer.headers["x-dragoman-cost"]) == pytest.approx(dollars, abs=1e-9)


@pytest.mark.parametrize("name", [CLAUDE, "claude-haiku-4-5"])
def test_prices_of_claude_can_be_configured(name: str, lines: Lines) -> None:
    with run_with_simulator(overrides={CLAUDE: Override(prices={"input": 100.0, "output": 0.0})}) as gateway:
        for path in ("/v1/messages", "/v1/completions"):
            httpx.post(gateway.url + path, json=body(path, stream=False, model=name), headers=HEADERS)
            line = lines.next()
            assert line["cost"] == pytest.approx(line["in"] / 10_000)


def test_embeddings_have_their_line(lines: Lines) -> None:
    with before(OllamaSimulator(), "ollama") as gateway:
        asked = {"model": "nomic-embed-text:latest", "input": ["one", "two"]}
        answer = httpx.post(f"{gateway.url}/v1/embeddings", json=asked)
    assert answer.status_code == 200, answer.text
    line = lines.next()
    assert (line["in"], line["out"]) == (answer.json()["usage"]["prompt_tokens"], 0)


# --- the log itself ---------------------------------------------------------------------------------


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_the_line_in_both_kinds_of_log(
    log_format: Any, gateway: Gateway, lines: Lines, capsys: pytest.CaptureFixture[str]
) -> None:
    root, ours = logging.getLogger(), logging.getLogger("dragoman")
    calls = logging.getLogger("dragoman.calls")
    kept = (list(root.handlers), root.level, ours.level, calls.level)
    try:
        set_up_logging(Settings(log_format=log_format, log_calls=True))
        httpx.post(f"{gateway.url}/api/chat", json=body("/api/chat", stream=False))
        told = lines.next()
        [line] = [line for line in capsys.readouterr().err.splitlines() if told["id"] in line]
    finally:
        root.handlers, root.level, ours.level, calls.level = kept
    if log_format == "json":
        document = json.loads(line)
        assert document["logger"] == "dragoman.calls"
        assert {name: document[name] for name in told} == told
    else:
        assert re.search(rf"dragoman.calls: id={told['id']} .* cost={plain(told['cost'])} ", line)
