"""Remote files: what arrives, and that nobody is fooled about where a name leads."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from dragoman.errors import GatewayError
from dragoman.relay.fetching import Fetcher
from dragoman.relay.kept import Kept
from tests.relay.fetchers import Names, fetched, outside, refusal, with_site
from tests.relay.looping import run
from tests.relay.scripted import Act, chunk, response
from tests.relay.site import PNG, Answer, Site, image, redirect, site

CERTIFICATE = Path(__file__).with_name("localhost.pem")

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


def test_compressed_answers_are_refused_unopened(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(**_: Any) -> None:
        raise AssertionError("the bomb was opened")

    monkeypatch.setattr("dragoman.relay.http1.zlib.decompressobj", opened)
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
