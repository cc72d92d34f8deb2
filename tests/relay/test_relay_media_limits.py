"""Bounds of media in real calls: pages of PDFs, a whole request, and what clients of each dialect are told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from dragoman.config import Secret, Upstream
from dragoman.errors import GatewayError
from dragoman.media import sniff
from dragoman.models.bounds import Bounds
from dragoman.models.pictures import pixel_size
from dragoman.relay.carrying import Carrier
from dragoman.relay.documents import Documents
from dragoman.simulator import OllamaSimulator, OpenAISimulator
from dragoman.simulator.server import run_in_thread
from tests.relay import pdfs
from tests.relay.carrying import CLAUDE, TARGETS, made, within
from tests.relay.files import AT, FILES, WORDS, Part, anthropic_part, b64, openai_part, picture
from tests.relay.looping import run
from tests.relay.site import image, site
from tests.running import Gateway, run_gateway, run_with_simulator, simulate

MODEL = "claude-opus-4-5-20251101"


def pdf_of(pages: int) -> str:
    return pdfs.in_base64(pdfs.pdf(*[b""] * pages))


def file(data: str) -> dict[str, Any]:
    return {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{data}", "filename": "a.pdf"}}


# --- pages ------------------------------------------------------------------------------------------------


def counted(data: str, reader: Documents | None = None) -> int:
    found: list[int] = []

    async def work() -> None:
        found.append(await (reader or Documents()).count(data, at=AT))

    run(work)
    return found[0]


def test_pages_are_counted_once() -> None:
    async def work() -> None:
        reader = Documents()
        assert [await reader.count(pdf_of(3), at=AT) for _ in range(2)] == [3, 3]
        assert await reader.count(pdf_of(1200), at=AT) == 1200
        assert reader.read == 2

    run(work)


def test_a_locked_document_is_read_by_nobody() -> None:
    with pytest.raises(GatewayError, match="locked with a password") as caught:
        counted(FILES["locked pdf"].data)
    assert caught.value.param == AT


ODD: dict[str, bytes] = {
    "noise": b"%PDF-1.7\n" + bytes(range(256)) * 40,
    "cut off": pdfs.pdf(pdfs.text(WORDS))[:200],
    "a name": b"%PDF-",
    "a million pages, it says": pdfs.assembled(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Count 1000000 /Kids [3 0 R] >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 10 10] >>",
        ]
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_what_cannot_be_counted_is_left_to_its_reader(name: str) -> None:
    """Another may be more able; what is counted is never a guess."""
    assert counted(b64(ODD[name])) in (0, 1, 1_000_000)


@pytest.mark.parametrize("source", ["import time; time.sleep(600)", "raise SystemExit(1)", "print('{}')", "print('[')"])
def test_a_worker_that_fails_counts_nothing(source: str, tmp_path: Path) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text(source)
    assert counted(pdf_of(2), Documents(deadline=0.5 if "sleep" in source else 20, worker=str(worker))) == 0


@settings(max_examples=10, deadline=None)
@given(st.data())
def test_a_damaged_document_is_counted_or_refused(data: st.DataObject) -> None:
    body = bytearray(pdfs.pdf(pdfs.text(WORDS), pdfs.DRAWING))
    for _ in range(data.draw(st.integers(1, 6))):
        body[data.draw(st.integers(5, len(body) - 1))] = data.draw(st.integers(0, 255))
    body = body[: data.draw(st.integers(5, len(body)))]
    try:
        assert counted(b64(bytes(body))) >= 0
    except GatewayError as error:
        assert (error.kind, error.param) == ("invalid_request", AT)


def test_too_many_pages_are_refused_before_anything_is_sent() -> None:
    """All the PDFs of a request count together."""
    body = openai_part(file(pdf_of(60))).body
    body["messages"][0]["content"].append(file(pdf_of(41)))

    async def work(carrier: Carrier) -> None:
        found = await made(carrier, "openai_chat", body, CLAUDE)
        assert found.error is not None and found.error.param == "messages[0].content[2]"
        assert "the PDFs of the request have 101 pages, and claude takes 100" in found.error.message
        larger = replace(CLAUDE, media=Bounds(pages=600))
        assert (await made(carrier, "openai_chat", body, larger)).error is None
        assert carrier.documents.read == 2
        unbounded = replace(CLAUDE, media=Bounds())
        assert (await made(carrier, "openai_chat", openai_part(file(pdf_of(5))).body, unbounded)).error is None
        assert carrier.documents.read == 2  # nobody asked

    within(work)


def test_a_zip_bomb_of_a_document_is_refused_in_time() -> None:
    """A page whose content unpacks to hundreds of megabytes."""
    import zlib  # noqa: PLC0415

    packer = zlib.compressobj(9)
    line = b"0 0 1 1 re f\n" * 80_000
    packed = b"".join(packer.compress(line) for _ in range(150)) + packer.flush()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R >>",
        pdfs.stream(packed, b"/Filter /FlateDecode "),
    ]
    document = pdfs.in_base64(pdfs.assembled(objects))

    async def work() -> None:
        with pytest.raises(GatewayError) as caught:
            await Documents(deadline=5).pages(document, pictures="auto", at=AT)
        assert (caught.value.kind, caught.value.param) == ("invalid_request", AT)

    run(work)


def test_places_stay_the_clients_own_behind_a_document_of_many_parts() -> None:
    """A PDF becomes text and pictures; what stands behind it is still where the client put it."""
    scans = pdfs.in_base64(pdfs.pdf(pdfs.DRAWING, pdfs.GREY_DRAWING, box=b"0 0 30 20"))
    body = openai_part(file(scans)).body
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{FILES['bmp'].data}"}}
    body["messages"][0]["content"].append(image)
    card = replace(TARGETS["ollama that sees"], media=Bounds(images=1))

    async def work(carrier: Carrier) -> None:
        found = await made(carrier, "openai_chat", body, card)
        assert found.error is not None and found.error.param == "messages[0].content[2]"
        shown = await made(carrier, "openai_chat", openai_part(file(scans)).body, card)
        assert shown.error is not None and shown.error.param == AT
        assert "there are 2 images in the request, and seeing takes 1" in shown.error.message

    within(work)


def test_a_picture_of_another_kind_is_fetched_to_be_converted() -> None:
    async def work(carrier: Carrier) -> None:
        import base64  # noqa: PLC0415

        async with site({"/a": image(base64.b64decode(FILES["bmp"].data))}) as it:
            part = openai_part({"type": "image_url", "image_url": {"url": it.url("/a")}})
            found = await made(carrier, "openai_chat", part.body, TARGETS["ollama that sees"])
            told = "fetched, and sent inline; converted from image/bmp to image/png"
            assert found.losses.emulated == {AT: told}

    within(work, fetch_private=True, scale_images=True)


# --- what clients are told --------------------------------------------------------------------------------

LARGE = picture(size=(8100, 81))


def asked(dialect: str, data: str, model: str = MODEL) -> tuple[str, Part]:
    """A client's path, and its request with one picture."""
    url = f"data:image/png;base64,{data}"
    source = {"type": "base64", "media_type": "image/png", "data": data}
    path, part = {
        "anthropic": ("/v1/messages", anthropic_part({"type": "image", "source": source})),
        "openai_chat": ("/v1/chat/completions", openai_part({"type": "image_url", "image_url": {"url": url}})),
        "ollama": (
            "/api/chat",
            Part({"messages": [{"role": "user", "content": "Look", "images": [data]}]}, "messages[0].images[0]"),
        ),
    }[dialect]
    return path, Part({**part.body, "model": model, "stream": False}, part.at)


def post(gateway: Gateway, path: str, body: dict[str, Any]) -> httpx.Response:
    headers = {"anthropic-version": "2023-06-01"}
    return httpx.post(gateway.url + path, json=body, headers=headers, trust_env=False, timeout=60)


@pytest.fixture(scope="module")
def plain() -> Iterator[Gateway]:
    with run_with_simulator() as gateway:
        yield gateway


@pytest.fixture(scope="module")
def scaling() -> Iterator[Gateway]:
    with run_with_simulator(scale_images=True) as gateway:
        yield gateway


@pytest.mark.parametrize("dialect", ["openai_chat", "ollama"])
def test_each_client_reads_what_is_too_large_and_where(plain: Gateway, dialect: str) -> None:
    path, part = asked(dialect, LARGE)
    plain.simulator.requests.clear()
    answer = post(plain, path, part.body)
    assert answer.status_code == 400 and not plain.simulator.requests
    error = answer.json()["error"]
    words = error["message"] if dialect == "openai_chat" else error
    assert f"{part.at}: the image is 8100x81 pixels, and {MODEL} takes 8000 on a side" in words
    assert "scale_images" in words
    if dialect == "openai_chat":
        assert error["param"] == part.at and error["type"] == "invalid_request_error"


@pytest.mark.parametrize("dialect", ["anthropic", "openai_chat", "ollama"])
def test_a_scaled_picture_is_taken_by_the_server_and_told_to_the_client(scaling: Gateway, dialect: str) -> None:
    """Also of a client whose request would else pass through untouched."""
    path, part = asked(dialect, LARGE)
    scaling.simulator.requests.clear()
    answer = post(scaling, path, part.body)
    assert answer.status_code == 200, answer.text
    assert part.at in answer.headers["x-dragoman-emulated"].split(", ")
    (record,) = scaling.simulator.requests
    blocks = record.body["messages"][0]["content"]
    data = next(block["source"]["data"] for block in blocks if block["type"] == "image")
    assert pixel_size(data) == (8000, 80) and sniff(data) == "image/jpeg"


def test_what_needs_no_scaling_passes_through(plain: Gateway, scaling: Gateway) -> None:
    path, part = asked("anthropic", picture())
    for gateway in (plain, scaling):
        gateway.simulator.requests.clear()
        answer = post(gateway, path, {**part.body, "novelty": None})
        assert "x-dragoman-emulated" not in answer.headers
        assert "novelty" in gateway.simulator.requests[0].body  # as only bytes that nobody read again can be


def test_a_request_that_is_too_large_is_refused_before_it_is_sent(plain: Gateway) -> None:
    sound = "A" * (9 * 2**20)
    content = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture()[:-8]}{sound}"}}] * 4
    plain.simulator.requests.clear()
    answer = post(plain, "/v1/chat/completions", {"model": MODEL, "messages": [{"role": "user", "content": content}]})
    assert answer.status_code == 413 and not plain.simulator.requests
    error = answer.json()["error"]
    assert "the request is 36 MiB" in error["message"] and "takes 32 MiB" in error["message"]
    assert error["param"] == "messages[0].content[0]"


# --- sounds -----------------------------------------------------------------------------------------------


def test_a_sound_goes_to_whom_it_is_for() -> None:
    """OpenAI's wire has a part for it, Ollama's has `images`; each is told what it really is."""
    wav = FILES["wav"].data
    part = openai_part({"type": "input_audio", "input_audio": {"data": wav, "format": "mp3"}})

    async def work(carrier: Carrier) -> None:
        hearing = await made(carrier, "openai_chat", part.body, TARGETS["ollama that hears"])
        assert hearing.body["messages"][0]["images"] == [wav]
        body = {"model": "m", "messages": [{"role": "user", "content": "Listen", "images": [wav]}]}
        openai = await made(carrier, "ollama", body, TARGETS["openai"])
        sound = openai.body["messages"][0]["content"]
        assert {"type": "input_audio", "input_audio": {"data": wav, "format": "wav"}} in sound
        flac = openai_part({"type": "input_audio", "input_audio": {"data": b64(b"fLaC" + bytes(40)), "format": "wav"}})
        found = await made(carrier, "ollama", {"model": "m", "messages": flac.body["messages"]}, TARGETS["openai"])
        assert found.error is not None

    within(work)


def test_an_openai_server_hears_what_an_ollama_client_sends() -> None:
    with run_in_thread(OpenAISimulator()) as behind:
        upstream = Upstream(
            name="openai", dialect="openai_chat", base_url=behind.url, key=Secret("sk-test"), flavor="openai"
        )
        with run_gateway(settings_for(upstream)) as gateway:
            body = {"model": "gpt-audio", "stream": False}
            messages = [{"role": "user", "content": "Listen", "images": [FILES["mp3"].data]}]
            answer = post(gateway, "/api/chat", body | {"messages": messages})
            assert answer.status_code == 200, answer.text
            (record,) = [each for each in behind.simulator.requests if each.headers[":path"].endswith("completions")]
            sent = record.body["messages"][0]["content"]
            assert {"data": FILES["mp3"].data, "format": "mp3"} in [part.get("input_audio") for part in sent]


def test_a_picture_for_an_ollama_server_is_converted() -> None:
    """A GIF, which it does not read."""
    with run_in_thread(OllamaSimulator()) as behind:
        upstream = Upstream(name="ollama", dialect="ollama", base_url=behind.url)
        for scale, status in ((False, 400), (True, 200)):
            with run_gateway(settings_for(upstream, scale_images=scale)) as gateway:
                path, part = asked("openai_chat", FILES["gif"].data, "llama3.2-vision:11b")
                answer = post(gateway, path, part.body)
                assert answer.status_code == status, answer.text
                assert (answer.headers.get("x-dragoman-emulated") == AT) is scale


def settings_for(upstream: Upstream, **more: Any) -> Any:
    from dragoman.config import Settings  # noqa: PLC0415

    return Settings(host="127.0.0.1", port=0, upstreams=(upstream,), retries=0, default_model=None, **more)


def test_the_simulator_refuses_it_too() -> None:
    """What passes through is judged by the server itself, in its own words."""
    with run_with_simulator(simulate()) as gateway:
        path, part = asked("anthropic", LARGE)
        answer = post(gateway, path, part.body)
        assert answer.status_code == 400 and "8000 pixels" in answer.json()["error"]["message"]
