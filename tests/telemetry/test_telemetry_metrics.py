"""`/metrics`: what is counted, under names that are bounded, in Prometheus's words and in OpenMetrics's."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from dragoman.config import Secret, Settings, Upstream
from dragoman.conversation import Object
from dragoman.telemetry.metrics import GAPS, MOST, Metrics, member_of
from dragoman.telemetry.visit import Visit
from tests.running import Gateway, run_gateway, run_with_simulator, simulate
from tests.telemetry.scraping import CLAUDE, Scrape, chat, scraped

WHO = {"upstream": "anthropic", "model": CLAUDE}


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with run_with_simulator() as gateway:
        yield gateway


@pytest.fixture
def paced() -> Iterator[Gateway]:
    """Its answers come in pieces."""
    with run_with_simulator(simulate(pace=0.002)) as gateway:
        yield gateway


def test_a_call_is_counted_everywhere(gateway: Gateway) -> None:
    answer = httpx.post(f"{gateway.url}/api/chat", json=chat(), headers={"x-request-id": "mine"})
    usage = answer.json()
    here = {"dialect": "ollama", "endpoint": "/api/chat"}
    found = scraped(gateway.url, lambda s: s.value("dragoman_requests_total", **here) == 1)
    assert found.value("dragoman_requests_total", **here, **WHO, status="2xx") == 1
    assert found.value("dragoman_request_duration_seconds_count", **here) == 1
    assert found.value("dragoman_calls_total", dialect="ollama", **WHO, outcome="ok") == 1
    assert found.value("dragoman_call_duration_seconds_count", **WHO) == 1
    assert found.value("dragoman_upstream_calls_total", **WHO) == 1
    assert found.value("dragoman_tokens_total", **WHO, type="input") == usage["prompt_eval_count"] > 0
    assert found.value("dragoman_tokens_total", **WHO, type="output") == usage["eval_count"] > 0
    assert found.value("dragoman_cost_dollars_total", **WHO) == pytest.approx(float(answer.headers["x-dragoman-cost"]))
    assert found.value("dragoman_breaker_state", upstream="anthropic", state="closed") == 1
    assert found.value("dragoman_requests_running") == 1, "the scrape itself"
    assert found.value("dragoman_workers") == 1
    assert found.value("process_resident_memory_bytes") > 1e6
    assert found.value("process_open_fds") > 3
    assert found.value("process_cpu_seconds_total") > 0
    assert abs(found.value("process_start_time_seconds") - time.time()) < 86400


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions", "/v1/messages", "/v1/responses"])
def test_a_stream_is_measured(path: str, paced: Gateway) -> None:
    gateway = paced
    body: Object = chat("Tell me a story", stream=True, max_tokens=500)
    if path == "/v1/responses":
        body = {"model": CLAUDE, "stream": True, "input": "Tell me"}
    answer = httpx.post(gateway.url + path, json=body, headers={"x-api-key": "any"})
    assert answer.status_code == 200, answer.text
    found = scraped(gateway.url, lambda s: s.value("dragoman_token_gap_seconds_count") > 0)
    assert found.value("dragoman_time_to_first_token_seconds_count", **WHO) == 1
    assert found.value("dragoman_token_gap_seconds_count", **WHO) >= 1
    assert 0 < found.value("dragoman_token_gap_seconds_sum", **WHO) < found.value("dragoman_call_duration_seconds_sum")
    assert found.value("dragoman_streams_running") == 0


def test_a_running_stream_is_seen(gateway: Gateway) -> None:
    body = chat("[[simulate: stall after=12]]", stream=True)
    with httpx.stream("POST", f"{gateway.url}/api/chat", json=body) as answer:
        lines = answer.iter_lines()  # the stream is closed when this is let go
        next(lines)
        found = Scrape(gateway.url)
        assert found.value("dragoman_streams_running") == 1
        assert found.value("dragoman_requests_running") == 2
        assert found.value("dragoman_upstream_running", upstream="anthropic") == 1
    found = scraped(gateway.url, lambda s: s.value("dragoman_calls_total", outcome="left") == 1)
    assert found.value("dragoman_streams_running") == 0


def test_failures_are_counted_by_their_kind(gateway: Gateway) -> None:
    answer = httpx.post(f"{gateway.url}/api/chat", json=chat("[[simulate: error status=529]]"))
    assert answer.status_code == 503
    found = scraped(gateway.url, lambda s: s.value("dragoman_requests_total", status="5xx") == 1)
    assert found.value("dragoman_upstream_errors_total", upstream="anthropic", kind="overloaded") == 1
    assert found.value("dragoman_errors_total", dialect="ollama", kind="overloaded") == 1
    assert found.value("dragoman_calls_total", **WHO, outcome="overloaded") == 1


def test_tries_are_counted() -> None:
    with run_with_simulator(retries=1) as gateway:
        httpx.post(f"{gateway.url}/api/chat", json=chat("[[simulate: error status=500]]"))
        found = scraped(gateway.url, lambda s: s.value("dragoman_requests_total", status="5xx") == 1)
    assert found.value("dragoman_retries_total", kind="upstream") == 1
    assert found.value("dragoman_upstream_errors_total") == 2


def test_losses_are_counted_by_the_members_name(gateway: Gateway) -> None:
    body = chat(seed=7, my_secret_word=1, logit_bias={"1": 2})
    httpx.post(f"{gateway.url}/v1/chat/completions", json=body)
    found = scraped(gateway.url, lambda s: s.value("dragoman_losses_total", member="seed", kind="dropped") == 1)
    assert found.value("dragoman_losses_total", member="logit_bias") == 1
    assert found.value("dragoman_losses_total", member="other") == 1
    assert "my_secret_word" not in found.text


@pytest.mark.parametrize(
    ("path", "member"),
    [
        ("seed", "seed"),
        ("messages[3].content[1].cache_control", "cache_control"),
        ("tools.get_weather.strict", "strict"),
        ("tools.get_weather", "tools"),
        ("options.num_gpu", "num_gpu"),
        ("whatever", "other"),
        ("", "other"),
    ],
)
def test_what_kind_of_member_was_lost(path: str, member: str) -> None:
    assert member_of(path) == member


def test_clients_words_make_no_labels() -> None:
    """Names of models, paths and keys that nobody knows are all one."""
    upstream = Upstream(name="anthropic", base_url="http://127.0.0.1:9", key=Secret("sk-test"))
    open_door = Upstream(name="local", dialect="openai_chat", base_url="http://127.0.0.1:9", models=("*",))
    settings = Settings(host="127.0.0.1", port=0, upstreams=(upstream, open_door), retries=0)
    with run_gateway(settings) as gateway:
        for number in range(4):
            httpx.post(f"{gateway.url}/api/chat", json=chat(model=f"made-up-{number}"))
            httpx.get(f"{gateway.url}/made-up-{number}")
            httpx.get(f"{gateway.url}/v1/models/made-up-{number}")
        found = scraped(gateway.url, lambda s: s.value("dragoman_requests_total") >= 12)
    assert "made-up" not in found.text
    assert found.value("dragoman_calls_total", upstream="local", model="other", outcome="unreachable") == 4
    assert "/v1/models/{id}" in found.labels("endpoint")
    assert "other" in found.labels("endpoint")


def test_series_are_bounded() -> None:
    metrics = Metrics()
    for number in range(MOST + 100):
        metrics.call("ollama", ("there", str(number)), "ok", 1, 1)
        metrics.stream(("there", str(number)), [1] * (len(GAPS) + 1), 1)
    assert len(metrics.calls) == len(metrics.firsts) == len(metrics.gaps) == MOST + 1
    assert metrics.calls["other", "other", "other", "other"] == 100
    assert metrics.gaps["other", "other"].total == 100


def test_gaps_are_counted_in_the_bucket_they_fall_into() -> None:
    visit = Visit(Metrics())
    visit.begins()
    assert visit.metrics.streams == 1
    assert visit.gaps is not None
    visit.who = ("there", "model")
    visit.first = visit.last = 1000
    for gap in (GAPS[0], GAPS[0] + 1, GAPS[-1] + 1):
        visit.wrote(visit.last + gap, visit.gaps)
    visit.over()
    visit.over()
    spread = visit.metrics.gaps["there", "model"]
    assert (spread.counts[0], spread.counts[1], spread.counts[-1], sum(spread.counts)) == (1, 1, 1, 3)
    assert spread.total == 2 * GAPS[0] + GAPS[-1] + 2
    assert visit.metrics.streams == 0


def test_openmetrics_is_spoken_to_whom_asks_for_it(gateway: Gateway) -> None:
    httpx.post(f"{gateway.url}/api/chat", json=chat(stream=True))
    prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"
    asked, usual = Scrape(gateway.url, accept=prometheus), Scrape(gateway.url)
    assert asked.type.startswith("application/openmetrics-text; version=1.0.0")
    assert usual.type.startswith("text/plain; version=0.0.4")
    assert asked.text.endswith("# EOF\n")
    assert "dragoman_requests" in asked.families and "dragoman_requests" in usual.families
    assert asked.families.keys() == usual.families.keys()


def test_names_are_as_prometheus_wants_them(gateway: Gateway) -> None:
    for family in Scrape(gateway.url).families.values():
        assert re.fullmatch(r"(dragoman|process)_[a-z_]+", family.name)
        assert family.documentation.endswith(".") or family.name.startswith("process"), family.name
        assert family.type in ("counter", "gauge", "histogram")
        if family.type == "histogram":
            assert family.name.endswith("_seconds")


KEYED: list[tuple[Any, str | None, int]] = [
    ("on", None, 401),
    ("on", "right", 200),
    ("open", None, 200),
    ("off", "right", 404),
]


@pytest.mark.parametrize(("metrics", "key", "status"), KEYED)
def test_who_may_see_them(metrics: Any, key: str | None, status: int) -> None:
    upstream = Upstream(name="anthropic", base_url="http://127.0.0.1:9", key=Secret("sk-test"))
    settings = Settings(host="127.0.0.1", port=0, upstreams=(upstream,), api_keys=(Secret("right"),), metrics=metrics)
    with run_gateway(settings) as gateway:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        assert httpx.get(f"{gateway.url}/metrics", headers=headers).status_code == status
        assert httpx.get(f"{gateway.url}/api/tags").status_code == 401, "nothing else is open"
