"""Fetchers for which a site on loopback is the internet, and resolvers that say what a test wants."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from dragoman.errors import GatewayError
from dragoman.relay.addresses import Verdict, judge
from dragoman.relay.fetching import Fetcher
from tests.relay.looping import run
from tests.relay.site import Answer, Site, site

AT = "messages[0].content[1]"
TYPES = ("image/png", "image/jpeg")


class Names:
    """A resolver: each look-up of a name takes its next answer, the last one stays."""

    def __init__(self, **answers: Sequence[Sequence[str]]) -> None:
        self.answers = {name.replace("_", "."): list(answer) for name, answer in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        answers = self.answers.get(host)
        if answers is None:
            raise OSError("no such name")
        return answers.pop(0) if len(answers) > 1 else answers[0]


def judge_loopback(address: str) -> Verdict:
    """127.0.0.1 stands for the internet; all else is judged as always."""
    return "public" if address == "127.0.0.1" else judge(address)


def outside(names: Names | None = None, **more: Any) -> Fetcher:
    """A fetcher for which the site is on the internet, at www.test."""
    return Fetcher(resolve=names or Names(www_test=[["127.0.0.1"]]), judge_address=judge_loopback, **more)


async def fetched(fetcher: Fetcher, url: str, limit: int = 10_000, types: Sequence[str] = TYPES) -> tuple[bytes, str]:
    return await fetcher.fetch(url, limit=limit, types=types, at=AT)


async def refusal(fetcher: Fetcher, url: str, limit: int = 10_000) -> str:
    """What the client is told of an address that is not fetched."""
    with pytest.raises(GatewayError) as caught:
        await fetched(fetcher, url, limit)
    assert (caught.value.kind, caught.value.param) == ("invalid_request", AT)
    assert caught.value.message.startswith(AT)
    return caught.value.message


def with_site(work: Callable[[Site], Awaitable[None]], **answers: Answer) -> None:
    async def wrapped() -> None:
        async with site({"/" + name.replace("_", "."): answer for name, answer in answers.items()}) as it:
            await work(it)

    run(wrapped)
