"""Counting tokens: by the server where it can, else by the estimate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from dragoman.conversation import JSON, Media, Message, Object, Request, Text
from dragoman.errors import GatewayError, Kind
from dragoman.models.estimate import Calibration, attachments, estimate
from dragoman.models.servers import servers
from dragoman.relay.counting import Absent, Count, count

VLLM, LLAMACPP = servers()["vllm"], servers()["llamacpp"]
WORDS = "The house stands on a hill above the river. " * 40


class Asked:
    """A server that answers each path as it is told, and remembers what it was asked."""

    name = "home"

    def __init__(self, **answers: Callable[[Object], JSON]) -> None:
        self._answers = answers
        self.calls: list[tuple[str, Object]] = []

    async def ask(self, method: str, path: str, body: Object | None, *, timeout: float) -> JSON:  # noqa: ASYNC109
        assert method == "POST"
        assert timeout > 0
        assert body is not None
        self.calls.append((path, body))
        await asyncio.sleep(0)
        return self._answers[path.strip("/").replace("-", "_")](body)


def failing(kind: Kind) -> Callable[[Object], JSON]:
    def answer(_: Object) -> JSON:
        raise GatewayError(kind, "no")

    return answer


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def asking(*parts: Any) -> Request:
    return Request(origin="anthropic", model="m", messages=[Message(role="user", content=[Text(text=WORDS), *parts])])


BODY: Object = {
    "model": "m",
    "temperature": 1,
    "tools": [{"type": "function", "function": {"name": "f"}}],
    "chat_template_kwargs": {"enable_thinking": False},
    "messages": [{"role": "user", "content": WORDS}],
}


class Setting:
    """What every count shares."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.absent = Absent(self.clock)
        self.calibration = Calibration()

    def count(self, server: Asked, flavor: Any = VLLM, request: Request | None = None, **body: Any) -> Count:
        counting = count(
            server,
            flavor,
            BODY | body,
            request or asking(),
            key="home/m",
            calibration=self.calibration,
            absent=self.absent,
        )
        return asyncio.run(counting)


def test_vllm_counts_the_chat_itself() -> None:
    server = Asked(tokenize=lambda _: {"count": 321, "max_model_len": 8192, "tokens": []})
    assert Setting().count(server) == Count(321, "upstream")
    [(path, body)] = server.calls
    assert path == "/tokenize"
    assert body == {key: BODY[key] for key in BODY if key != "temperature"} | {"add_generation_prompt": True}


def test_llamacpp_writes_the_prompt_and_splits_it() -> None:
    server = Asked(apply_template=lambda _: {"prompt": "<|user|>hi"}, tokenize=lambda _: {"tokens": [1, 2, 3]})
    assert Setting().count(server, LLAMACPP) == Count(3, "tokenizer")
    assert [path for path, _ in server.calls] == ["/apply-template", "/tokenize"]
    assert server.calls[1][1]["content"] == "<|user|>hi"


@pytest.mark.parametrize("flavor", [None, servers()["lmstudio"], servers()["openai"]])
def test_a_server_without_a_tokenizer_is_not_asked(flavor: Any) -> None:
    server = Asked()
    assert Setting().count(server, flavor) == Count(estimate(asking()).tokens, "estimate")
    assert not server.calls


def test_a_picture_is_estimated_beside_the_counted_text() -> None:
    picture = Media(kind="image", data="https://example.com/x.png", source="url")
    parts = [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "https://example.com/x.png"}}]
    messages = [{"role": "user", "content": parts}, {"role": "user", "content": parts[1:]}]
    server, setting, request = Asked(tokenize=lambda _: {"count": 500}), Setting(), asking(picture)
    counted = setting.count(server, request=request, messages=messages)
    assert counted == Count(500 + attachments(request), "upstream")
    sent = server.calls[0][1]["messages"]
    assert [message["content"] for message in sent] == [parts[:1], ""]
    assert setting.calibration.factor("home/m") == 1.0


def test_exact_counts_teach_the_estimate() -> None:
    setting, real = Setting(), estimate(asking()).tokens * 2
    setting.count(Asked(tokenize=lambda _: {"count": real}))
    learned = setting.count(Asked(), None)
    assert learned.how == "estimate"
    assert learned.tokens >= real


# What the server says, and for how many seconds it is not asked again.
FAILURES: list[tuple[Callable[[Object], JSON], float]] = [
    (failing("not_found"), 600),
    (failing("method_not_allowed"), 600),
    (failing("unreachable"), 30),
    (failing("timeout"), 30),
    (failing("invalid_request"), 0),  # this chat's template refuses it; the next one's may not
    (lambda _: {"error": "Unexpected endpoint or method. (POST /tokenize)"}, 600),
    (lambda _: {"count": "many"}, 600),
    (lambda _: [], 600),
    (lambda _: None, 600),
]


@pytest.mark.parametrize(("answer", "seconds"), FAILURES)
def test_a_count_that_fails_is_an_estimate(answer: Callable[[Object], JSON], seconds: float) -> None:
    server, setting = Asked(tokenize=answer), Setting()
    guess = Count(estimate(asking()).tokens, "estimate")
    assert setting.count(server) == guess
    setting.clock.now = seconds - 0.1
    assert setting.count(server) == guess
    assert len(server.calls) == (1 if seconds else 2)
    setting.clock.now = seconds + 0.1
    asked = len(server.calls)
    assert setting.count(server) == guess
    assert len(server.calls) == asked + 1


@pytest.mark.parametrize(
    ("written", "split"),
    [
        (lambda _: {"prompt": 7}, lambda _: {"tokens": [1]}),
        (lambda _: {"prompt": "x"}, lambda _: {"tokens": 1}),
        (lambda _: {"prompt": "x"}, failing("not_found")),
        (failing("not_found"), lambda _: {"tokens": [1]}),
    ],
)
def test_either_half_of_llamacpp_s_count_may_fail(written: Any, split: Any) -> None:
    setting = Setting()
    counted = setting.count(Asked(apply_template=written, tokenize=split), LLAMACPP)
    assert counted.how == "estimate"
    assert "home" in setting.absent


def test_the_memory_for_servers_is_bounded() -> None:
    absent = Absent(Clock(), most=2)
    for name in ("a", "b", "c"):
        absent.add(name, 60)
    assert [name for name in "abc" if name in absent] == ["b", "c"]
