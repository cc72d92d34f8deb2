"""Addresses that are not fetched, however they are spelled, and what is told of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.errors import GatewayError
from dragoman.relay.addresses import judge
from dragoman.relay.fetching import Fetcher
from tests.relay.fetchers import Names, fetched, outside, refusal, with_site
from tests.relay.looping import run
from tests.relay.scripted import response
from tests.relay.site import PNG, Site, image

HOSTILE = [
    "ftp://www.test/a",
    "file:///etc/passwd",
    "gopher://www.test/_x",
    "data:image/png;base64,AAAA",
    "javascript:alert(1)",
    "//www.test/a",
    "www.test/a",
    "",
    "http://",
    "http:///a",
    "http://user:word@www.test/a",
    "http://www.test@127.0.0.1/a",
    "http://www.test:22/a",
    "http://www.test:25/a",
    "http://www.test:0/a",
    "http://www.test:99999/a",
    "http://www.test:x/a",
    "http://www.test\\@127.0.0.1/a",
    "http://www.test/a\r\nx: y",
    "http://www.te\tst/a",
    "http://www.test/\x00",
    "http://[::1/a",
    "http://[fe80::1%25eth0]/a",
    "http://www.test/\ud800",
    "http://" + "a" * 300 + "/a",
    "http://www.test/" + "a" * 9000,
    # every spelling of this machine, of private networks and of metadata
    "http://localhost/a",
    "http://LOCALHOST./a",
    "http://127.0.0.1/a",
    "http://127.1/a",
    "http://2130706433/a",
    "http://0x7f000001/a",
    "http://0x7f.0.0.1/a",
    "http://0177.0.0.1/a",
    "http://017700000001/a",
    "http://①②⑦.⓪.⓪.①/a",
    "http://127。0。0。1/a",
    "http://0/a",
    "http://0.0.0.0/a",
    "http://[::1]/a",
    "http://[::]/a",
    "http://[::ffff:127.0.0.1]/a",
    "http://[::ffff:7f00:1]/a",
    "http://[0:0:0:0:0:ffff:127.0.0.1]/a",
    "http://[64:ff9b::7f00:1]/a",
    "http://[2002:7f00:1::]/a",
    "http://[fd00:ec2::254]/a",
    "http://10.0.0.1/a",
    "http://192.168.0.1/a",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/latest/meta-data/",
    "http://[::ffff:a9fe:a9fe]/a",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://metadata/a",
]


@pytest.mark.parametrize("url", HOSTILE, ids=lambda url: url[:50].encode("ascii", "backslashreplace").decode())
def test_hostile_addresses_are_not_fetched(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the resolver of this machine, for the spellings that resolvers read."""

    async def work() -> None:
        async def connect(*args: Any, **kwargs: Any) -> None:
            raise AssertionError("a connection was tried")

        monkeypatch.setattr(Fetcher, "_connect", connect)
        message = await refusal(Fetcher(deadline=10), url)
        assert "passwd" not in message

    run(work)


@settings(max_examples=100)
@given(st.text(max_size=40), st.sampled_from(["", "http://", "https://www.test/", "http://[", "http://www.test:"]))
def test_no_address_breaks_us(text: str, start: str) -> None:
    async def work() -> None:
        with pytest.raises(GatewayError):
            await fetched(Fetcher(resolve=Names()), start + text)

    asyncio.run(work())


@pytest.mark.parametrize("allow", [False, True])
@pytest.mark.parametrize("private", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "fe80::1", "224.0.0.1", "0.0.0.1"])
def test_one_bad_address_condemns_the_name(private: str, allow: bool) -> None:
    """Private networks may be allowed; metadata, link-local and the like never are."""
    reached: list[str] = []

    async def work() -> None:
        fetcher = Fetcher(resolve=Names(two_test=[["93.184.216.34", private]]), allow_private=allow)

        async def connect(place: Any, address: str) -> None:
            reached.append(address)
            raise OSError

        fetcher._connect = connect  # type: ignore[assignment, method-assign]
        await refusal(fetcher, "http://two.test/a")

    run(work)
    fine = allow and judge(private) == "private"
    assert reached == (["93.184.216.34", private] if fine else [])


def test_private_hosts_are_fetched_from_when_that_is_wanted() -> None:
    async def work(it: Site) -> None:
        assert (await fetched(Fetcher(allow_private=True), it.url("/a", "localhost")))[0] == PNG
        asked = len(it.asked)
        await refusal(Fetcher(), it.url("/a", "localhost"))
        await refusal(Fetcher(), it.url("/a"))
        for odd in ("2130706433", "0x7f.1", "0177.0.0.1", "127.1"):
            assert "no plain host name" in await refusal(Fetcher(allow_private=True), it.url("/a", odd))
        assert len(it.asked) == asked

    with_site(work, a=image())


def test_of_a_private_host_nothing_is_told() -> None:
    async def work(it: Site) -> None:
        fetcher = Fetcher(allow_private=True)
        for path in ("/status", "/gif", "/gone"):
            message = await refusal(fetcher, it.url(path))
            assert not any(word in message for word in ("503", "404", "gif", "secret"))
        public = [await refusal(outside(), it.url(path, "www.test")) for path in ("/status", "/gone")]
        assert "503" in public[0] and "404" in public[1] and "secret" not in "".join(public)

    with_site(work, status=[response(b"secret", status="503 Down")], gif=[response(b"GIF89a" + bytes(20))])


def test_a_private_name_and_one_that_is_not_there_look_the_same() -> None:
    async def work() -> None:
        names = Names(inner_test=[["10.0.0.1"]])
        inner, none = [await refusal(Fetcher(resolve=names), f"http://{name}.test/") for name in ("inner", "none")]
        assert inner.replace("inner.test", "") == none.replace("none.test", "")

    run(work)
