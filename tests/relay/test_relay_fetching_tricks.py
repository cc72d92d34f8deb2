"""What names, resolvers, proxies and servers are made to say so that a fetch ends up elsewhere, or never ends."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from dragoman.relay.fetching import Fetcher, Resolver
from dragoman.telemetry.trail import CURRENT, Trail
from tests.relay.fetchers import Names, fetched, judge_loopback, outside, refusal, with_site
from tests.relay.looping import run
from tests.relay.scripted import Act, chunk
from tests.relay.site import PNG, Site, image, redirect, site

# What a hostile name server answers, and whether `fetch_private` lets it pass.
ANSWERS: list[tuple[str, bool]] = [
    ("127.0.0.1", True),
    ("10.1.2.3", True),
    ("172.31.0.1", True),
    ("192.168.1.1", True),
    ("100.64.0.1", True),
    ("::1", True),
    ("fd12::1", True),
    ("::ffff:10.0.0.1", True),
    ("64:ff9b::192.168.0.1", True),
    ("0.0.0.0", False),  # noqa: S104
    ("169.254.169.254", False),
    ("100.100.100.200", False),
    ("168.63.129.16", False),
    ("192.0.0.192", False),
    ("198.18.0.1", False),
    ("224.0.0.251", False),
    ("255.255.255.255", False),
    ("240.0.0.1", False),
    ("::", False),
    ("::127.0.0.1", False),
    ("::ffff:169.254.169.254", False),
    ("::ffff:0:10.0.0.1", False),
    ("64:ff9b::169.254.169.254", False),
    ("64:ff9b:1::a00:1", False),
    ("2002:a9fe:a9fe::", False),
    ("2001:0:4136:e378:8000:63bf:3fff:fdd2", False),
    ("fd00:ec2::254", False),
    ("fe80::1", False),
    ("fe80::1%eth0", False),
    ("fd12::1%1", False),
    ("fec0::1", False),
    ("ff02::fb", False),
    ("2001:db8::1", False),
    ("not an address", False),
    ("", False),
]


@pytest.mark.parametrize(
    "beside", [(), ("93.184.216.34",), ("2606:2800:220:1::1",)], ids=["alone", "after 4", "after 6"]
)
@pytest.mark.parametrize(("address", "private"), ANSWERS)
def test_what_a_name_server_says_is_judged(address: str, private: bool, beside: Sequence[str]) -> None:
    tried: list[str] = []

    async def connect(place: Any, to: str) -> None:
        tried.append(to)
        raise OSError

    async def work() -> None:
        for allow in (False, True):
            tried.clear()
            fetcher = Fetcher(resolve=Names(evil_test=[[*beside, address]]), allow_private=allow)
            fetcher._connect = connect  # type: ignore[assignment, method-assign]
            await refusal(fetcher, "http://evil.test/a")
            assert tried == ([*beside, address] if allow and private else [])

    run(work)


@pytest.mark.parametrize("hop", [1, 2, 3])
def test_a_name_may_not_change_its_mind_between_redirects(hop: int) -> None:
    """Each hop is a new question; what was right for the first says nothing of the next."""

    async def work() -> None:
        names = Names(www_test=[["127.0.0.1"]] * hop + [["127.0.0.2"]])
        answers = {f"/{n}": redirect(f"/{n + 1}") for n in range(hop)} | {f"/{hop}": image()}
        async with site(answers, host="0.0.0.0") as it:  # noqa: S104
            await refusal(outside(names), it.url("/0", "www.test"))
            assert it.reached == ["127.0.0.1"] * hop

    run(work)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"])
def test_a_proxy_of_the_environment_is_no_way_around(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would look the name up again, from inside the network."""

    async def work(it: Site) -> None:
        async with site({}) as proxy:
            monkeypatch.setenv(name, proxy.url("").rstrip("/"))
            monkeypatch.delenv("NO_PROXY", raising=False)
            assert (await fetched(outside(), it.url("/a", "www.test")))[0] == PNG
            await refusal(Fetcher(), "http://169.254.169.254/latest/meta-data/")
            assert proxy.reached == []

    with_site(work, a=image())


PORTS = [
    0,
    1,
    21,
    22,
    25,
    79,
    110,
    143,
    389,
    465,
    587,
    993,
    1023,
    1719,
    2049,
    4190,
    5060,
    6000,
    6566,
    6667,
    6697,
    10080,
]


@pytest.mark.parametrize("port", PORTS)
def test_ports_on_which_something_else_listens(port: int) -> None:
    async def work() -> None:
        names = Names(www_test=[["93.184.216.34"]])
        for scheme in ("http", "https"):
            assert f"from port {port}" in await refusal(Fetcher(resolve=names), f"{scheme}://www.test:{port}/a")
        assert names.asked == []

    run(work)


# --- the resolver ----------------------------------------------------------------------------------------


def test_names_are_looked_up_by_the_system() -> None:
    async def work() -> None:
        resolve = Resolver()
        assert set(await resolve("localhost", 80)) <= {"127.0.0.1", "::1"}
        assert await resolve("127.0.0.1", 80) == ["127.0.0.1"]
        for name in ("", "no-such-name.invalid", "a" * 70 + ".test"):
            if name:
                with pytest.raises((OSError, UnicodeError)):
                    await resolve(name, 80)

    run(work)


def test_a_name_server_that_hangs_holds_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    plain = socket.getaddrinfo

    def slow(host: str, *args: Any, **named: Any) -> Any:
        if host.endswith(".slow"):
            go_on.wait(30)
            raise socket.gaierror
        return plain(host, *args, **named)

    monkeypatch.setattr(socket, "getaddrinfo", slow)

    async def work() -> None:
        resolve = Resolver(most=40)
        asked = [asyncio.ensure_future(resolve(f"{n}.slow", 80)) for n in range(40)]
        given_up = asked.pop()
        await asyncio.sleep(0)
        given_up.cancel()  # its thread goes on
        with pytest.raises(OSError, match="too many"):
            await resolve("localhost", 80)
        # The names of upstreams are looked up elsewhere.
        async with asyncio.timeout(10):
            assert await asyncio.get_running_loop().getaddrinfo("localhost", 80)
        go_on.set()
        assert all(isinstance(each, OSError) for each in await asyncio.gather(*asked, return_exceptions=True))
        async with asyncio.timeout(10):
            while True:
                try:
                    assert await resolve("localhost", 80)
                    break
                except OSError:
                    await asyncio.sleep(0.01)

    try:
        run(work)
    finally:
        go_on.set()


# --- servers ---------------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\n"
FLOODS: dict[str, list[bytes | Act]] = {
    "headers": [b"HTTP/1.1 200 OK\r\n", *[b"x: " + b"y" * 60_000 + b"\r\n"] * 10],
    "one header": [b"HTTP/1.1 200 OK\r\nx: ", *[b"y" * 60_000] * 40],
    "interim answers": [b"HTTP/1.1 103 Early Hints\r\nlink: " + b"x" * 6000 + b"\r\n\r\n"] * 60,
    "trailers": [
        HEAD + b"transfer-encoding: chunked\r\n\r\n" + chunk(PNG) + b"0\r\n",
        *[b"x: " + b"y" * 60_000 + b"\r\n"] * 10,
    ],
    "chunks": [HEAD + b"transfer-encoding: chunked\r\n\r\n", *[chunk(b"x" * 900)] * 20],
    "no length": [HEAD + b"\r\n", *[b"x" * 900] * 20],
}


@pytest.mark.parametrize("name", FLOODS)
def test_floods_end(name: str) -> None:
    async def work(it: Site) -> None:
        it.answers["/a"] = [*FLOODS[name], Act.HOLD]
        message = await refusal(outside(deadline=5), it.url("/a", "www.test"), 10_000)
        assert "within 5 seconds" not in message
        await asyncio.wait_for(it.left.wait(), 10)

    with_site(work)


def test_who_names_sites_that_never_end_holds_up_nobody_else() -> None:
    async def named_by(client: str, fetcher: Fetcher, url: str) -> bytes:
        CURRENT.set(Trail(client=client))
        return (await fetched(fetcher, url))[0]

    async def work(it: Site) -> None:
        fetcher = outside()
        hogs = [asyncio.create_task(named_by("a", fetcher, it.url(f"/slow?{n}", "www.test"))) for n in range(20)]
        await it.holding.wait()
        assert await named_by("b", fetcher, it.url("/x.png", "www.test")) == PNG
        assert len(it.asked) <= 5
        for each in hogs:
            each.cancel()
        await asyncio.gather(*hogs, return_exceptions=True)

    with_site(work, x_png=image(), **{f"slow?{n}": [Act.HOLD] for n in range(20)})


def test_the_system_is_asked_once_for_each_hop_and_never_for_what_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real resolver over a name server that answers otherwise each time: who connects does not ask it again."""
    asked: list[str] = []
    plain = socket.getaddrinfo

    def rebinding(host: Any, port: Any, *args: Any, **named: Any) -> Any:
        asked.append(str(host))
        if host != "www.test":
            return plain(host, port, *args, **named)
        address = "127.0.0.1" if asked.count("www.test") <= 2 else "127.0.0.2"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)

    async def work() -> None:
        async with site({"/a": redirect("/b"), "/b": image()}, host="0.0.0.0") as it:  # noqa: S104
            asked.clear()
            fetcher = Fetcher(judge_address=judge_loopback)
            assert (await fetched(fetcher, it.url("/a", "www.test")))[0] == PNG
            assert asked == ["www.test"] * 2
            await refusal(fetcher, it.url("/b", "www.test"))
            assert (asked, it.reached) == (["www.test"] * 3, ["127.0.0.1"] * 2)

    run(work)
