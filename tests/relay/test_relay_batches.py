"""Batches and files live with Anthropic: they are passed through, and results come back by way of the gateway."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anthropic
import httpx2
import openai
import pytest

from dragoman.config import Secret, Settings, Upstream
from tests.relay.scripted import Act, response
from tests.relay.site import Answer, Site, site
from tests.running import run_gateway

BATCH = "/v1/messages/batches/msgbatch_01"
STAMP = "2026-11-22T00:00:00Z"
LINE = {
    "custom_id": "a",
    "result": {"type": "errored", "error": {"type": "error", "error": {"type": "api_error", "message": "x"}}},
}


def batch(results: str | None) -> Answer:
    counts = {"processing": 0, "succeeded": 0, "errored": 2, "canceled": 0, "expired": 0}
    document = {
        "id": "msgbatch_01",
        "type": "message_batch",
        "processing_status": "ended",
        "request_counts": counts,
        "ended_at": STAMP,
        "created_at": STAMP,
        "expires_at": STAMP,
        "archived_at": None,
        "cancel_initiated_at": None,
        "results_url": results,
    }
    return [response(json.dumps(document, indent=1).encode())]


@asynccontextmanager
async def sdk(url: str, counted: list[str] | None = None) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async def count(request: httpx2.Request) -> None:
        if counted is not None:
            counted.append(str(request.url))

    http = httpx2.AsyncClient(trust_env=False, event_hooks={"request": [count]})
    async with anthropic.AsyncAnthropic(base_url=url, api_key="client", http_client=http) as client:
        yield client


@asynccontextmanager
async def before(there: Site) -> AsyncIterator[str]:
    """The address of a gateway that has `there` for Anthropic."""
    upstream = Upstream(name="claude", base_url=f"http://127.0.0.1:{there.port}", key=Secret("sk-secret"))
    running = run_gateway(Settings(host="127.0.0.1", port=0, upstreams=(upstream,), refresh=0))
    gateway = await asyncio.to_thread(running.__enter__)
    try:
        yield gateway.url
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


def test_results_come_back_here() -> None:
    async def run() -> None:
        line = json.dumps(LINE).encode() + b"\n"
        answers = {BATCH: batch(f"https://api.anthropic.com{BATCH}/results")}
        answers[f"{BATCH}/results"] = [response(line + line, kind="application/x-jsonl")]
        asked: list[str] = []
        async with site(answers) as there, before(there) as url, sdk(url, asked) as client:
            found = await client.messages.batches.retrieve("msgbatch_01")
            assert found.results_url == f"{url}{BATCH}/results"
            results = [result.custom_id async for result in await client.messages.batches.results("msgbatch_01")]
            assert results == ["a", "a"]
            assert set(asked) == {url + BATCH, f"{url}{BATCH}/results"}
            assert there.paths == [BATCH, BATCH, f"{BATCH}/results"]
            assert all("x-api-key: sk-secret\r\n" in head and "client" not in head for head in there.asked)

    asyncio.run(run())


def test_a_batch_without_results_is_left_as_it_is() -> None:
    async def run() -> None:
        async with site({BATCH: batch(None)}) as there, before(there) as url, sdk(url) as client:
            assert (await client.messages.batches.retrieve("msgbatch_01")).results_url is None

    asyncio.run(run())


def test_files_of_any_kind_come_as_they_are() -> None:
    """And one that breaks off is not taken for whole."""

    async def run() -> None:
        data = bytes(range(256)) * 5000
        path = "/v1/files/file_01/content"
        answers = {path: [response(data, kind="application/octet-stream")]}
        async with site(answers) as there, before(there) as url, sdk(url) as client:
            assert await (await client.beta.files.download("file_01")).read() == data
            there.answers[path] = [response(data, kind="application/octet-stream", length=2 * len(data)), Act.CLOSE]
            with pytest.raises(anthropic.APIConnectionError):
                await (await client.with_options(max_retries=0).beta.files.download("file_01")).read()

    asyncio.run(run())


def test_files_of_openais_clients_are_not_for_anthropic() -> None:
    """They ask at the same address, without the header that all of Anthropic's clients send."""

    async def run() -> None:
        async with site({"/v1/files": [response(b"{}")]}) as there, before(there) as url:
            http = httpx2.AsyncClient(trust_env=False)
            openais = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0, http_client=http)
            with pytest.raises(openai.NotFoundError, match="there is nothing at GET /v1/files"):
                await openais.files.list()
            with pytest.raises(openai.NotFoundError, match="there is nothing at POST /v1/files"):
                await openais.files.create(file=("a.txt", b"private"), purpose="assistants")
            await openais.close()
        assert "/v1/files" not in there.paths

    asyncio.run(run())


def test_without_anthropic_the_sdk_is_told_once() -> None:
    async def run() -> None:
        upstream = Upstream(name="gpu", dialect="ollama", base_url="http://127.0.0.1:1")
        running = run_gateway(Settings(host="127.0.0.1", port=0, upstreams=(upstream,), refresh=0))
        gateway = await asyncio.to_thread(running.__enter__)
        asked: list[str] = []
        try:
            async with sdk(gateway.url, asked) as client:
                for call in (
                    client.messages.batches.retrieve("msgbatch_01"),
                    client.messages.batches.create(requests=[]),
                    client.beta.files.retrieve_metadata("file_01"),
                    client.beta.files.upload(file=("a.txt", b"a")),
                ):
                    with pytest.raises(anthropic.APIStatusError) as told:
                        await call
                    assert told.value.status_code == 501
                    assert told.value.response.json()["type"] == "error"
                    assert "need an Anthropic upstream" in told.value.message
            assert len(asked) == 4
        finally:
            await asyncio.to_thread(running.__exit__, None, None, None)

    asyncio.run(run())
