"""Pictures and documents made to fill memory, time or the stack, from clients of each dialect: refused, or passed on as
they are, while the gateway serves everybody else."""

from __future__ import annotations

import io
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx
import pytest
from PIL import Image

from dragoman.config import Secret, Upstream
from dragoman.simulator import OllamaSimulator
from dragoman.simulator.server import run_in_thread
from tests.relay import pdfs
from tests.relay.files import b64, huge_png
from tests.running import Gateway, run_with_simulator, simulate

CLAUDE, LOCAL = "claude-opus-4-6", "llama3.2-vision:11b"
PATIENCE = 60.0
LOOK = "Look"
CATALOGUE = b"<< /Type /Catalog /Pages 2 0 R >>"
LEAF = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 10 10] >>"


def pages(kids: bytes, count: int) -> bytes:
    return b"<< /Type /Pages /Count %d /Kids [%b] >>" % (count, kids)


def frames(count: int) -> str:
    """A picture that moves: the first frame has 2.5 million pixels, the others one each."""
    file = io.BytesIO()
    Image.new("P", (1600, 1600)).save(file, "GIF")
    one = b"\x21\xf9\x04\0\x01\0\0\0" + struct.pack("<BHHHHB", 0x2C, 0, 0, 1, 1, 0) + b"\x02\x02\x4c\x01\0"
    return b64(file.getvalue()[:-1] + one * count + b";")


def packed(megabytes: int) -> bytes:
    """The content of a page that unpacks to so much, in a few kilobytes."""
    packer = zlib.compressobj(9)
    line = b"0 0 1 1 re f\n" * 80_000
    return b"".join(packer.compress(line) for _ in range(megabytes)) + packer.flush()


class Bomb(NamedTuple):
    """`claude`, `local`: what becomes of it before a server that bounds its kind, and before one that does not."""

    data: str
    kind: str
    claude: tuple[int, ...]
    local: tuple[int, ...]


PASSED, REFUSED, EITHER = (200,), (400,), (200, 400)
BOMBS = {
    "a picture of 2.5 thousand million pixels": Bomb(huge_png(50_000, 50_000), "image/png", REFUSED, PASSED),
    "one as large as a header can say": Bomb(huge_png(2**31 - 1, 2**31 - 1), "image/png", REFUSED, PASSED),
    "ten thousand frames": Bomb(frames(10_000), "image/gif", EITHER, EITHER),
    "a million pages, it says": Bomb(
        b64(pdfs.assembled([CATALOGUE, pages(b"3 0 R", 1_000_000), LEAF])), "application/pdf", REFUSED, REFUSED
    ),
    "a hundred thousand times the same page": Bomb(
        b64(pdfs.assembled([CATALOGUE, pages(b"3 0 R " * 100_000, 100_000), LEAF])),
        "application/pdf",
        REFUSED,
        REFUSED,
    ),
    "pages that contain themselves": Bomb(
        b64(pdfs.assembled([CATALOGUE, pages(b"2 0 R 2 0 R", 5)])), "application/pdf", EITHER, REFUSED
    ),
    "an object nested a hundred thousand deep": Bomb(
        b64(
            pdfs.assembled(
                [CATALOGUE, b"<< /Count 1 /Kids [3 0 R] /X " + b"[" * 100_000 + b"]" * 100_000 + b">>", LEAF]
            )
        ),
        "application/pdf",
        EITHER,
        REFUSED,
    ),
    "a page that unpacks to 20 MB": Bomb(
        b64(
            pdfs.assembled(
                [
                    CATALOGUE,
                    pages(b"3 0 R", 1),
                    LEAF[:-2] + b"/Contents 4 0 R >>",
                    pdfs.stream(packed(20), b"/Filter /FlateDecode "),
                ]
            )
        ),
        "application/pdf",
        EITHER,
        EITHER,
    ),
}


def block(bomb: Bomb) -> dict[str, Any]:
    kind = "image" if bomb.kind.startswith("image") else "document"
    return {"type": kind, "source": {"type": "base64", "media_type": bomb.kind, "data": bomb.data}}


def chat_part(bomb: Bomb) -> dict[str, Any]:
    url = f"data:{bomb.kind};base64,{bomb.data}"
    if bomb.kind.startswith("image"):
        return {"type": "image_url", "image_url": {"url": url}}
    return {"type": "file", "file": {"file_data": url, "filename": "a.pdf"}}


def responses_part(bomb: Bomb) -> dict[str, Any]:
    url = f"data:{bomb.kind};base64,{bomb.data}"
    if bomb.kind.startswith("image"):
        return {"type": "input_image", "image_url": url}
    return {"type": "input_file", "file_data": url, "filename": "a.pdf"}


def body(path: str, bomb: Bomb, model: str) -> dict[str, Any]:
    """A request of each dialect with the bomb in it."""
    common: dict[str, Any] = {"model": model, "stream": False}
    match path:
        case "/v1/messages":
            content = [{"type": "text", "text": LOOK}, block(bomb)]
            return common | {"max_tokens": 20, "messages": [{"role": "user", "content": content}]}
        case "/v1/chat/completions":
            content = [{"type": "text", "text": LOOK}, chat_part(bomb)]
            return common | {"messages": [{"role": "user", "content": content}]}
        case "/v1/responses":
            content = [{"type": "input_text", "text": LOOK}, responses_part(bomb)]
            return common | {"store": False, "input": [{"role": "user", "content": content}]}
        case _:
            return common | {"messages": [{"role": "user", "content": LOOK, "images": [bomb.data]}]}


PATHS = ("/v1/messages", "/v1/chat/completions", "/v1/responses", "/api/chat")


@contextmanager
def serving(*, scale_images: bool) -> Iterator[Gateway]:
    """A gateway before both servers."""
    with run_in_thread(simulate()) as claude, run_in_thread(OllamaSimulator()) as local:
        upstreams = (
            Upstream(name="anthropic", base_url=claude.url, key=Secret("sk-test")),
            Upstream(name="ollama", dialect="ollama", base_url=local.url, models=(LOCAL,)),
        )
        with run_with_simulator(upstreams=upstreams, scale_images=scale_images) as it:
            yield it


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with serving(scale_images=False) as it:
        yield it


@pytest.fixture(scope="module")
def scaling() -> Iterator[Gateway]:
    with serving(scale_images=True) as it:
        yield it


class Neighbour:
    """Somebody who asks all the while; `longest` is what he had to wait, in seconds."""

    def __init__(self, url: str) -> None:
        self.longest = 0.0
        self._url = url
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Neighbour:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(PATIENCE)

    def _ask(self) -> None:
        with httpx.Client(trust_env=False, timeout=PATIENCE) as http:
            while not self._over.wait(0.01):
                begun = time.monotonic()
                assert http.get(f"{self._url}/health").status_code == 200
                self.longest = max(self.longest, time.monotonic() - begun)


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_or_passed_on_and_nobody_waits(gateway: Gateway, name: str) -> None:
    thrown(gateway, BOMBS[name])


@pytest.mark.parametrize("name", [name for name, bomb in BOMBS.items() if bomb.kind.startswith("image")])
def test_a_picture_that_is_to_be_scaled(scaling: Gateway, name: str) -> None:
    thrown(scaling, BOMBS[name])


def thrown(gateway: Gateway, bomb: Bomb) -> None:
    """From each client at each server."""
    found: dict[tuple[str, str], int] = {}
    with Neighbour(gateway.url) as neighbour, httpx.Client(trust_env=False, timeout=PATIENCE) as http:
        for path in PATHS:
            for model in (CLAUDE, LOCAL):
                answer = http.post(gateway.url + path, json=body(path, bomb, model))
                found[path, model] = answer.status_code
                wanted = bomb.claude if model == CLAUDE else bomb.local
                if (path, model) in (("/v1/messages", CLAUDE), ("/api/chat", LOCAL)):
                    assert answer.status_code in (200, 400, 500)  # the server's own words: it is passed on as it is
                else:
                    assert answer.status_code in wanted, (path, model, answer.text[:300])
                assert "internal error" not in answer.text
    assert len(found) == 8
    assert neighbour.longest < 5, found


def test_the_same_bombs_in_what_a_tool_found(gateway: Gateway) -> None:
    bomb = BOMBS["a picture of 2.5 thousand million pixels"]
    call = {"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": LOOK},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "t1", "content": [{"type": "text", "text": "It:"}, chat_part(bomb)]},
    ]
    answer = httpx.post(
        f"{gateway.url}/v1/chat/completions", json={"model": CLAUDE, "messages": messages}, trust_env=False, timeout=60
    )
    assert answer.status_code == 400
