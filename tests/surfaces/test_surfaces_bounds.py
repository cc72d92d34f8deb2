"""What is no HTTP, or too much of it: each answered with its status, in the words of the API that was wanted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from dragoman.config import Limits, Secret
from tests.running import Gateway, run_with_simulator
from tests.surfaces.plain import PATHS, answer_of, connected, ended, head, request, sent
from tests.surfaces.speaking import MODEL

LIMITS = Limits(headers=20, header_bytes=4096, url=1000)
MAX = 200_000
HI = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
each_dialect = pytest.mark.parametrize("dialect", PATHS)


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with run_with_simulator(refresh=0, limits=LIMITS, max_body=MAX) as it:
        yield it


def is_well(gateway: Gateway) -> bool:
    return httpx.get(gateway.url + "/health", trust_env=False).status_code == 200


# --- heads -------------------------------------------------------------------------------------------

TOO_LONG = [
    ("?" + "a" * 1000, "", 414, "DRAGOMAN_LIMIT_URL"),
    ("?" + "a" * 100_000, "", 414, "DRAGOMAN_LIMIT_URL"),
    ("", "a: b\r\n" * 19, 431, "DRAGOMAN_LIMIT_HEADERS"),
    ("", "a: b\r\n" * 10_000, 431, "DRAGOMAN_LIMIT_HEADER"),
    ("", "a: " + "b" * 5000 + "\r\n", 431, "DRAGOMAN_LIMIT_HEADER_BYTES"),
    ("", "a: " + "b" * 500_000, 431, "DRAGOMAN_LIMIT_HEADER_BYTES"),  # without an end
]


@each_dialect
@pytest.mark.parametrize("case", TOO_LONG, ids=range(len(TOO_LONG)))
def test_heads_have_an_end(gateway: Gateway, dialect: str, case: tuple[str, str, int, str]) -> None:
    query, lines, status, named = case
    data = f"POST {PATHS[dialect]}{query} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n{lines}\r\n".encode()
    answer = sent(gateway.url, data)
    assert answer.status == status
    assert named in answer.words
    assert is_well(gateway)


def test_a_head_may_be_as_long_as_is_allowed(gateway: Gateway) -> None:
    fits = head("/health?" + "a" * 990, *["a: " + "b" * 140] * 19, method="GET")
    assert sent(gateway.url, fits).status == 200
    # The body does not count, though it comes in the same packet.
    assert sent(gateway.url, request("/v1/messages", {**HI, "metadata": {"user_id": "x" * 8000}})).status == 200


def test_a_head_is_counted_however_it_is_cut(gateway: Gateway) -> None:
    with connected(gateway.url) as it:
        for piece in (b"POST /api/chat HTTP/1.1\r\n", b"a: ", b"b" * 3000, b"b" * 3000):
            it.sendall(piece)
        assert answer_of(it).status == 431


def chunked(*lines: str) -> bytes:
    """A whole body in one chunk, and headers behind it."""
    body = json.dumps(HI).encode()
    said = "".join(f"{line}\r\n" for line in lines).encode()
    start = head("/v1/messages", "transfer-encoding: chunked")
    return start + b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, said)


def test_headers_behind_a_body_say_nothing() -> None:
    """Whoever looks at the headers has done so: they must not change afterwards."""
    key = "a-key-of-a-client-0123456789"
    with run_with_simulator(refresh=0, api_keys=(Secret(key),)) as locked:
        assert sent(locked.url, chunked(f"x-api-key: {key}")).status == 401
    with run_with_simulator(refresh=0) as open_one:
        assert sent(open_one.url, chunked("origin: https://evil.example", "x-forwarded-for: 8.8.8.8")).status == 200
        assert sent(open_one.url, chunked("host: evil.example", "content-encoding: gzip")).status == 200


@pytest.mark.parametrize("line", [b"a: b\r\n" * 100, b"b" * 600], ids=["many", "one"])
def test_headers_behind_a_body_have_an_end(gateway: Gateway, line: bytes) -> None:
    with connected(gateway.url) as it:
        it.sendall(head("/v1/messages", "transfer-encoding: chunked", "expect: 100-continue"))
        assert it.recv(100).startswith(b"HTTP/1.1 100 ")
        it.sendall(b"2\r\n{}\r\n0\r\na: ")
        for _ in range(10):
            it.sendall(line)
        assert answer_of(it).status == 431
    assert is_well(gateway)


def test_the_next_head_on_a_connection_is_counted_anew(gateway: Gateway) -> None:
    """After 150 KB of a body, and in the same packet as its end."""
    with connected(gateway.url) as it:
        ask = request("/v1/messages", {**HI, "metadata": {"user_id": "x" * 150_000}})
        it.sendall(ask[:-10])
        it.sendall(ask[-10:] + b"GET /health HTTP/1.1\r\nho")
        assert answer_of(it).status == 200
        it.sendall(b"st: x\r\n\r\n")
        assert answer_of(it).status == 200


SMUGGLED = [
    ("content-length: 5\r\ntransfer-encoding: chunked", b"0\r\n\r\n"),
    ("transfer-encoding: chunked\r\ncontent-length: 5", b"0\r\n\r\n"),
    ("content-length: 5\r\ncontent-length: 6", b"abcdef"),
    ("content-length: 5\r\ncontent-length: 5", b"abcde"),
    ("content-length: 5, 5", b"abcde"),
    ("content-length: -1", b""),
    ("content-length: +5", b"abcde"),
    ("content-length: 0x5", b"abcde"),
    ("content-length: 99999999999999999999999", b""),
    ("transfer-encoding: chunked, gzip", b"0\r\n\r\n"),
    ("transfer-encoding: xchunked", b"0\r\n\r\n"),
    ("transfer-encoding: chunked\r\ntransfer-encoding: identity", b"0\r\n\r\n"),
    ("transfer-encoding : chunked", b"0\r\n\r\n"),
    ("transfer-encoding: chunked", b"zz\r\n"),
    ("transfer-encoding: chunked", b"5;\nabc\r\n"),
    ("transfer-encoding: chunked", b"ffffffffffffffffff\r\n"),
    ("a: b\r\n folded: x\r\ncontent-length: 0", b""),
    ("a: b\x00c", b""),
    ("a\x00: b", b""),
    (": b", b""),
    ("content-length: 0\n", b""),
]


@each_dialect
@pytest.mark.parametrize(("lines", "body"), SMUGGLED, ids=range(len(SMUGGLED)))
def test_a_request_has_one_end_for_all_who_read_it(gateway: Gateway, dialect: str, lines: str, body: bytes) -> None:
    """What programs disagree about is refused, and nothing on that connection is read any more."""
    with connected(gateway.url) as it:
        it.sendall(f"POST {PATHS[dialect]} HTTP/1.1\r\nhost: x\r\n{lines}\r\n\r\n".encode() + body)
        it.sendall(head("/health", method="GET"))
        answer = answer_of(it)
        assert answer.status == 400
        assert "not HTTP" in answer.words
        assert answer.headers["connection"] == "close"
        assert it.recv(1000) == b""


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(100),  # TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/3.7\r\n\r\n",
        b"SSH-2.0-OpenSSH_9\r\n",
        b"GET /v1/\xc3\xbc HTTP/1.1\r\n\r\n",
        b"CONNECT localhost:22 HTTP/1.1\r\n\r\n",
        b"\x00" * 100,
        b"{}\n" * 100,
    ],
)
def test_other_protocols_are_told_so(gateway: Gateway, data: bytes) -> None:
    assert sent(gateway.url, data).status == 400
    assert is_well(gateway)


def test_garbage_behind_a_request_does_not_get_into_its_answer(gateway: Gateway) -> None:
    ask = request(
        "/v1/messages", {**HI, "stream": True, "messages": [{"role": "user", "content": "[[simulate: stall]]"}]}
    )
    with connected(gateway.url) as it:
        it.sendall(ask)
        begun = it.recv(65536)
        it.sendall(b"\x00\x00\r\n\r\n")
        rest = b""
        try:
            while more := it.recv(65536):
                rest += more
        except ConnectionError:
            pass
    assert begun.startswith(b"HTTP/1.1 200") and b"HTTP/1.1" not in begun[9:] + rest


H2C = ("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABkAAQCAAAAAAIAAAAA")


def test_who_offers_another_protocol_is_served_in_this_one(gateway: Gateway) -> None:
    """As Java's client does, with a body, and again on the same connection."""
    chunked = (
        head("/v1/messages", "transfer-encoding: chunked", *H2C) + b'4\r\n{"no\r\n4\r\n": 1\r\n1\r\n}\r\n0\r\n\r\n'
    )
    whole = request("/v1/messages", HI, *H2C)
    with connected(gateway.url) as it:
        for asked, status in (
            (whole, 200),
            (chunked, 400),
            (head("/health", *H2C, method="GET"), 200),
            (whole, 200),
            (request("/v1/messages", HI), 200),
        ):
            it.sendall(asked)
            answer = answer_of(it)
            assert answer.status == status
            assert b"missing request body" not in answer.body
        it.sendall(whole[:-20])
        it.sendall(whole[-20:] + head("/health", *H2C, method="GET"))
        assert [answer_of(it).status, answer_of(it).status] == [200, 200]


# --- bodies that are too large -----------------------------------------------------------------------


@each_dialect
@pytest.mark.parametrize("announced", [True, False])
def test_the_answer_reaches_who_is_still_sending(gateway: Gateway, dialect: str, announced: bool) -> None:
    """The whole body is sent before anything is read, and there is more of it than sockets hold."""
    body = b"x" * (MAX + 1) if announced else b"%x\r\n%b\r\n" % (MAX, b"x" * MAX) + b"1\r\nx\r\n"
    lines = f"content-length: {len(body)}" if announced else "transfer-encoding: chunked"
    answer = sent(gateway.url, head(PATHS[dialect], lines) + body)
    assert answer.status == 413
    assert "DRAGOMAN_MAX_BODY" in answer.words
    assert answer.headers["connection"] == "close"


def test_who_never_stops_is_cut(gateway: Gateway) -> None:
    with connected(gateway.url) as it:
        it.sendall(head("/v1/messages", "transfer-encoding: chunked"))
        sent = 0
        with pytest.raises(ConnectionError):
            while True:
                it.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
                sent += 65536
    assert sent < 50 * 2**20  # the limit twice, and what sockets hold
    assert is_well(gateway)


def test_who_asks_first_sends_nothing(gateway: Gateway) -> None:
    with connected(gateway.url) as it:
        it.sendall(head("/v1/messages", "expect: 100-continue", f"content-length: {MAX + 1}"))
        assert answer_of(it).status == 413
        assert ended(it)
    ask = request("/v1/messages", HI, "expect: 100-continue")
    at = ask.index(b"\r\n\r\n") + 4
    with connected(gateway.url) as it:
        it.sendall(ask[:at])
        assert it.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        it.sendall(ask[at:])
        assert answer_of(it).status == 200


def test_a_body_that_is_shorter_than_it_says_is_no_request(gateway: Gateway) -> None:
    before = len(gateway.simulator.requests)
    with ExitStack() as stack:
        for _ in range(5):
            it = stack.enter_context(connected(gateway.url))
            it.sendall(head("/v1/messages", "content-length: 100") + b'{"model"')
    assert is_well(gateway)
    assert len(gateway.simulator.requests) == before
