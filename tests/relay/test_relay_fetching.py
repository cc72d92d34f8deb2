"""Remote files: what is fetched, what is refused, and that nobody is fooled about where a name leads."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.errors import GatewayError
from dragoman.relay.addresses import Verdict, judge, names_metadata, spelled_plainly
from dragoman.relay.fetching import Fetcher
from dragoman.relay.kept import Kept
from tests.relay.looping import run
from tests.relay.scripted import Act, chunk, response
from tests.relay.site import PNG, Answer, Site, image, redirect, site

AT = "messages[0].content[1]"
TYPES = ("image/png", "image/jpeg")
CERTIFICATE = Path(__file__).with_name("localhost.pem")

# --- addresses ---------------------------------------------------------------------------------------

ADDRESSES: dict[str, Verdict] = {
    "93.184.216.34": "public",
    "8.8.8.8": "public",
    "172.32.0.1": "public",
    "100.128.0.1": "public",
    "2606:2800:220:1:248:1893:25c8:1946": "public",
    "64:ff9b::8.8.8.8": "public",
    "::ffff:8.8.8.8": "public",
    "127.0.0.1": "private",
    "127.255.255.254": "private",
    "10.1.2.3": "private",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.168.1.1": "private",
    "100.64.0.1": "private",
    "::1": "private",
    "fc00::1": "private",
    "fd12:3456::1": "private",
    "::ffff:127.0.0.1": "private",
    "::ffff:a00:1": "private",
    "64:ff9b::10.0.0.1": "private",
    "0.0.0.0": "refused",  # noqa: S104
    "0.1.2.3": "refused",
    "169.254.169.254": "refused",
    "169.254.170.2": "refused",
    "168.63.129.16": "refused",
    "100.100.100.200": "refused",
    "192.0.0.192": "refused",
    "192.0.2.1": "refused",
    "192.88.99.1": "refused",
    "198.18.0.1": "refused",
    "198.51.100.7": "refused",
    "203.0.113.7": "refused",
    "224.0.0.1": "refused",
    "239.255.255.250": "refused",
    "240.0.0.1": "refused",
    "255.255.255.255": "refused",
    "::": "refused",
    "fe80::1": "refused",
    "fe80::1%eth0": "refused",
    "fc00::1%eth0": "refused",
    "fec0::1": "refused",
    "ff02::1": "refused",
    "fd00:ec2::254": "refused",
    "fd20:ce::254": "refused",
    "2001:db8::1": "refused",
    "3fff::1": "refused",
    "100::1": "refused",
    "2002:7f00:1::1": "refused",  # 6to4
    "2002:808:808::1": "refused",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2": "refused",  # Teredo
    "::127.0.0.1": "refused",  # IPv4-compatible
    "::8.8.8.8": "refused",
    "::ffff:0:127.0.0.1": "refused",  # IPv4-translated
    "64:ff9b::169.254.169.254": "refused",
    "64:ff9b:1::10.0.0.1": "refused",
    "::ffff:169.254.169.254": "refused",
    "localhost": "refused",
    "": "refused",
    "2130706433": "refused",
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_what_an_address_is(address: str) -> None:
    assert judge(address) == ADDRESSES[address]


@settings(max_examples=200)
@given(st.ip_addresses())
def test_nothing_is_public_that_the_registry_calls_private(address: Any) -> None:
    if address.is_private or address.is_loopback or address.is_link_local or address.is_multicast:
        assert judge(str(address)) != "public" or (address.version == 6 and address.ipv4_mapped is not None)


PLAIN = ["example.com", "a-b.example", "under_score.example", "xn--bcher-kva.example", "127.0.0.1", "::1", "localhost"]
ODD = [
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "127.1",
    "0177.0.0.1",
    "127.0.0.0x1",
    "1.2.3.4.5",
    "127.0.0.1.",
    "fe80::1%eth0",
    "ex ample.com",
    "exa%6dple.com",
    "-a.example",
    "a..b",
    "",
    ".",
    "ex\u0430mple.com",
]


@pytest.mark.parametrize("host", [*PLAIN, *ODD])
def test_a_host_has_one_spelling(host: str) -> None:
    assert spelled_plainly(host) == (host in PLAIN)


def test_names_of_metadata() -> None:
    assert names_metadata("metadata.google.internal") and names_metadata("metadata.google.internal.")
    assert not names_metadata("metadata.example.com")


# --- what tests fetch with -----------------------------------------------------------------------------


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


# --- what arrives --------------------------------------------------------------------------------------


def test_an_image_is_fetched_and_nothing_of_ours_is_sent() -> None:
    async def work(it: Site) -> None:
        got = await fetched(outside(), it.url("/a.png", "www.test"))
        assert got == (PNG, "image/png")
        lines = it.asked[0].rstrip().split("\r\n")
        assert lines[0] == "GET /a.png HTTP/1.1"
        names = {line.partition(":")[0]: line.partition(": ")[2] for line in lines[1:]}
        assert names["host"] == f"www.test:{it.port}"
        assert set(names) == {"host", "user-agent", "accept", "accept-encoding", "connection"}

    with_site(work, a_png=image())


def test_bytes_tell_the_type_and_not_the_label() -> None:
    async def work(it: Site) -> None:
        assert (await fetched(outside(), it.url("/lies", "www.test")))[1] == "image/png"
        assert "but image/gif" in await refusal(outside(), it.url("/gif", "www.test"))
        assert "is not image/jpeg or image/png" in await refusal(outside(), it.url("/page", "www.test"))

    with_site(
        work,
        lies=[response(PNG, kind="text/html")],
        gif=[response(b"GIF89a" + bytes(20), kind="image/png")],
        page=[response(b"<html>secret</html>", kind="image/png")],
    )


TEXTS = {
    "plain": ("text/plain; charset=utf-8", b"words", "text/plain"),
    "markdown": ("text/markdown", b"# words", "text/plain"),
    "html": ("text/html", b"<p>words", None),
    "unlabelled": ("application/octet-stream", b"words", None),
    "binary": ("text/plain", b"wo\x00rds", None),
    "latin": ("text/plain", b"w\xf6rter", None),
}


@pytest.mark.parametrize("name", TEXTS)
def test_text_needs_its_label_and_its_bytes(name: str) -> None:
    kind, body, wanted = TEXTS[name]

    async def work(it: Site) -> None:
        async def ask() -> tuple[bytes, str]:
            return await fetched(outside(), it.url("/x", "www.test"), types=("text/plain",))

        if wanted is None:
            with pytest.raises(GatewayError, match="is not text/plain"):
                await ask()
        else:
            assert await ask() == (body, wanted)

    with_site(work, x=[response(body, kind=kind)])


@pytest.mark.parametrize("path", ["/a b.png", "/ä.png", "/a.png?x=ü&y=1#part"])
def test_sloppy_paths_are_written_as_the_wire_wants_them(path: str) -> None:
    async def work(it: Site) -> None:
        it.answers = {it_path: image() for it_path in ("/a%20b.png", "/%C3%A4.png", "/a.png?x=%C3%BC&y=1")}
        assert (await fetched(outside(), it.url(path, "WWW.test")))[0] == PNG

    with_site(work)


def test_chunked_and_until_the_end() -> None:
    async def work(it: Site) -> None:
        for path in ("/chunked", "/close"):
            assert (await fetched(outside(), it.url(path, "www.test")))[0] == PNG

    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunk(PNG[:50]) + chunk(PNG[50:])
    with_site(work, chunked=[chunked + b"0\r\n\r\n"], close=[b"HTTP/1.1 200 OK\r\n\r\n" + PNG])


def test_tls_is_for_the_name_and_goes_to_the_judged_address() -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(CERTIFICATE)
    asked: list[str | None] = []
    server.sni_callback = lambda _, name, __: asked.append(name)

    async def work() -> None:
        names = Names(localhost=[["127.0.0.1"]], other_test=[["127.0.0.1"]])
        fetcher = outside(names, context=lambda: ssl.create_default_context(cafile=CERTIFICATE))
        async with site({"/a": image()}, tls=server) as it:
            assert (await fetched(fetcher, it.url("/a", "localhost", "https")))[0] == PNG
            assert asked == ["localhost"]
            assert "could not be reached" in await refusal(fetcher, it.url("/a", "other.test", "https"))
        assert len(it.asked) == 1

    run(work)


# --- what does not ---------------------------------------------------------------------------------------

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


# --- names that change their mind --------------------------------------------------------------------------


def test_a_name_is_asked_for_once_and_the_judged_address_is_used() -> None:
    """DNS rebinding: the second answer would be a private address, on which the same site listens."""

    async def work() -> None:
        names = Names(www_test=[["127.0.0.1"], ["127.0.0.2"]])
        async with site({"/a": image()}, host="0.0.0.0") as it:  # noqa: S104
            assert (await fetched(outside(names), it.url("/a", "www.test")))[0] == PNG
            assert (names.asked, it.reached) == (["www.test"], ["127.0.0.1"])
            await refusal(outside(names), it.url("/a", "www.test"))
            assert it.reached == ["127.0.0.1"]

    run(work)


def test_a_dead_address_is_followed_by_the_next() -> None:
    async def work(it: Site) -> None:
        fetcher = Fetcher(resolve=Names(www_test=[["::1", "127.0.0.1"]]), allow_private=True)
        assert (await fetched(fetcher, it.url("/a", "www.test")))[0] == PNG  # the site has no IPv6

    with_site(work, a=image())


# --- redirects ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 Other", "307 Temporary", "308 Permanent"])
def test_redirects_are_followed(status: str) -> None:
    async def work(it: Site) -> None:
        assert (await fetched(outside(), it.url("/dir/one", "www.test")))[0] == PNG
        assert it.paths == ["/dir/one", "/dir/two", "/three"]

    answers = {"/dir/one": redirect("two", status), "/dir/two": redirect("/three", status), "/three": image()}

    async def wrapped() -> None:
        async with site(answers) as it:
            await work(it)

    run(wrapped)


TRAPS = [
    "http://169.254.169.254/latest/meta-data/",
    "http://localhost:{port}/secret",
    "http://[::1]:{port}/secret",
    "http://2130706433:{port}/secret",
    "//inner.test:{port}/secret",
    "file:///etc/passwd",
    "http://user@www.test:{port}/secret",
    "http://[",
]


@pytest.mark.parametrize("trap", TRAPS)
def test_a_redirect_is_judged_again(trap: str) -> None:
    async def work(it: Site) -> None:
        names = Names(www_test=[["127.0.0.1"]], inner_test=[["127.0.0.2"]], localhost=[["127.0.0.3"]])
        it.answers["/a"] = redirect(trap.format(port=it.port))
        await refusal(outside(names), it.url("/a", "www.test"))
        assert it.paths == ["/a"]

    with_site(work, secret=image())


def test_redirects_come_to_an_end() -> None:
    async def work(it: Site) -> None:
        assert "more than 3 times" in await refusal(outside(), it.url("/a", "www.test"))
        assert len(it.asked) == 4

    with_site(work, a=redirect("/a"))


# --- floods and droughts -----------------------------------------------------------------------------------


def test_a_file_has_a_largest_size() -> None:
    async def work(it: Site) -> None:
        assert len((await fetched(outside(), it.url("/fits", "www.test"), 1000))[0]) == 1000
        for path in ("/announced", "/chunked", "/lying", "/endless"):
            assert "larger than the 1000 bytes" in await refusal(outside(), it.url(path, "www.test"), 1000)
        await asyncio.wait_for(it.left.wait(), 10)

    big = PNG + bytes(1001 - len(PNG))
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    with_site(
        work,
        fits=image(big[:1000]),
        announced=[response(b"", length=10**12), Act.HOLD],
        chunked=[head + chunk(big) + b"0\r\n\r\n"],
        lying=[b"HTTP/1.1 200 OK\r\n\r\n" + big],
        endless=[head + chunk(big), Act.HOLD],
    )


def test_compressed_answers_are_refused_unopened() -> None:
    bomb = gzip.compress(PNG + bytes(50_000_000))

    async def work(it: Site) -> None:
        for path in ("/gzip", "/br"):
            assert "compresses" in await refusal(outside(), it.url(path, "www.test"), 10**9)

    with_site(
        work,
        gzip=[response(bomb, headers="content-encoding: gzip\r\n")],
        br=[response(PNG, headers="content-encoding: br\r\n")],
    )


SLOW: dict[str, Answer] = {
    "silent": [Act.HOLD],
    "half a head": [b"HTTP/1.1 200 OK\r\ncontent-le", Act.HOLD],
    "half a body": [response(PNG, length=5000), Act.HOLD],
}


@pytest.mark.parametrize("name", SLOW)
def test_there_is_a_deadline_for_everything(name: str) -> None:
    async def work(it: Site) -> None:
        assert "within 0.3 seconds" in await refusal(outside(deadline=0.3), it.url("/a", "www.test"))
        await asyncio.wait_for(it.left.wait(), 10)

    with_site(work, a=SLOW[name])


def test_a_resolver_that_hangs_is_given_up() -> None:
    async def never(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    async def work() -> None:
        assert "within 0.1 seconds" in await refusal(Fetcher(resolve=never, deadline=0.1), "http://www.test/")

    run(work)


BROKEN: dict[str, tuple[Answer, str]] = {
    "no HTTP": ([b"220 smtp.test ESMTP secret\r\n"], "no answer that could be read"),
    "nothing": ([], "no answer that could be read"),
    "half": ([response(PNG, length=5000)], "broke off"),
    "empty": ([response(b"")], "is not image"),
    "header flood": ([b"HTTP/1.1 200 OK\r\n" + b"x: %b\r\n" % (b"a" * 4000) * 100], "no answer that could be read"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_bad_servers(name: str) -> None:
    answer, words = BROKEN[name]

    async def work(it: Site) -> None:
        message = await refusal(outside(), it.url("/a", "www.test"))
        assert words in message and "secret" not in message

    with_site(work, a=answer)


def test_whoever_leaves_takes_the_connection_along() -> None:
    async def work(it: Site) -> None:
        task = asyncio.create_task(fetched(outside(), it.url("/a", "www.test")))
        async with asyncio.timeout(10):
            await it.holding.wait()
            task.cancel()
            await it.left.wait()
        with pytest.raises(asyncio.CancelledError):
            await task

    with_site(work, a=[Act.HOLD])


# --- kept for a while ----------------------------------------------------------------------------------------


def test_a_file_is_fetched_once_in_a_while() -> None:
    now = [0.0]

    async def work(it: Site) -> None:
        fetcher, url = outside(clock=lambda: now[0]), it.url("/a", "www.test")
        assert await fetched(fetcher, url) == await fetched(fetcher, url)
        assert len(it.asked) == 1
        assert "larger" in await refusal(fetcher, url, 10)
        with pytest.raises(GatewayError, match="is not image/gif"):
            await fetched(fetcher, url, types=("image/gif",))
        now[0] = 301
        await fetched(fetcher, url)
        assert len(it.asked) == 2
        for _ in range(2):
            await fetched(fetcher, it.url("/b", "www.test"))
        assert len(it.asked) == 4  # the server asked that it be not stored

    with_site(work, a=image(), b=image(headers="cache-control: private, no-store\r\n"))


def test_what_is_kept_is_bounded_in_bytes_and_time() -> None:
    now = [0.0]
    kept: Kept[str, str] = Kept(lambda: now[0], 100, 10)
    for name in "abcd":
        kept.put(name, name.upper(), 30)
    assert [kept.get(name) for name in "abcd"] == [None, "B", "C", "D"]
    kept.get("b")
    kept.put("e", "E", 30)
    assert [kept.get(name) for name in "bcde"] == ["B", None, "D", "E"]
    kept.put("e", "E2", 10)
    kept.put("huge", "H", 51)
    assert (kept.size, kept.get("huge"), kept.get("e")) == (70, None, "E2")
    now[0] = 10.5
    assert [kept.get(name) for name in "bde"] == [None] * 3 and kept.size == 0
