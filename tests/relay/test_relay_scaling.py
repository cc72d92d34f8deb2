"""Pictures made smaller: what fits stays, what does not is scaled once, the same way every time, and reported."""

from __future__ import annotations

import base64
import io
import resource
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from PIL import Image

from dragoman.conversation import Media
from dragoman.errors import GatewayError
from dragoman.models.bounds import Bounds
from dragoman.models.cards import bundled
from dragoman.models.pictures import pixel_size
from dragoman.relay import picture_worker
from dragoman.relay.carrying import Carrier
from dragoman.relay.picture_worker import Order, RefusedError
from dragoman.relay.scaling import MAX_PIXELS, Scaler
from tests.relay.carrying import CLAUDE, TARGETS, Made, made, within
from tests.relay.files import AT, FILES, Part, anthropic_part, anthropic_result, b64, huge_png, openai_part, picture
from tests.relay.looping import run

ANY = Order(edge=0, pixels=0, size=0, most_pixels=10**8, memory=0, seconds=0)
KINDS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")


def noise(width: int, height: int, kind: str = "PNG", mode: str = "L") -> str:
    """A picture that no format can make small."""
    image = Image.effect_noise((width, height), 120).convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.effect_noise((width, height), 120))
    file = io.BytesIO()
    image.save(file, kind)
    return b64(file.getvalue())


def opened(data: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(data)))


def through(data: str, bounds: Bounds, images: int = 1, scaler: Scaler | None = None) -> tuple[Media, str]:
    """What a scaler makes of one picture, and what it says of it."""
    made: list[tuple[Media, str]] = []

    async def work() -> None:
        made.append(await (scaler or Scaler()).scaled(Media(kind="image", data=data), bounds, images, AT))

    run(work)
    return made[0]


def refusal(data: str, bounds: Bounds | None = None, scaler: Scaler | None = None) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        through(data, bounds or Bounds(edge=100), scaler=scaler)
    return caught.value


# --- what comes out ---------------------------------------------------------------------------------------


def test_for_claude() -> None:
    new, told = through(picture(size=(9000, 600)), bundled().unknown.media)
    assert told == "scaled from 9000x600 to 8000x533"
    assert pixel_size(new.data) == (8000, 533) and new.media_type == "image/jpeg"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_in_its_own_process(kind: str) -> None:
    """Nothing may be opened there any more: all that Pillow needs was loaded before."""
    new, told = through(picture(kind, (300, 200)), Bounds(edge=150))
    assert pixel_size(new.data) == (150, 100) and told == "scaled from 300x200 to 150x100"
    assert opened(new.data).format == ("PNG" if kind in ("GIF", "BMP", "TIFF") else "JPEG")


def test_what_is_clear_stays_clear() -> None:
    clear = picture(size=(300, 200), colour=(10, 20, 30, 128))
    new, _ = through(clear, Bounds(edge=150))
    assert new.media_type == "image/png"
    assert opened(new.data).getchannel("A").getextrema() == (128, 128)
    full = picture(size=(300, 200), colour=(10, 20, 30, 255))  # it could be clear, and is not
    assert through(full, Bounds(edge=150))[0].media_type == "image/jpeg"


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG", "TIFF"])
def test_a_picture_stands_upright(kind: str) -> None:
    """A camera that was held on its side writes so, and the mark is lost with all the rest it wrote."""
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.new("RGB", (300, 200))
    image.paste((255, 0, 0), (0, 0, 300, 20))  # the upper edge, which stands on the right
    file = io.BytesIO()
    image.save(file, kind, exif=exif)
    new, told = through(b64(file.getvalue()), Bounds(edge=150))
    assert told == "scaled from 200x300 to 100x150"
    upright = opened(new.data).convert("RGB")
    assert upright.getpixel((97, 75))[0] > 200 and upright.getpixel((3, 75))[0] < 50  # type: ignore[index]
    assert not opened(new.data).getexif()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_a_file_that_is_too_large_is_made_smaller(mode: str) -> None:
    data = noise(500, 400, mode=mode)
    bounds = Bounds(image_bytes=len(data) // 8)
    new, _ = through(data, bounds)
    assert len(new.data) <= bounds.image_bytes
    width, height = opened(new.data).size
    assert abs(width / height - 5 / 4) < 0.05


def test_quality_goes_before_size() -> None:
    data = noise(500, 400, mode="RGB")
    new, told = through(data, Bounds(image_bytes=len(data) * 3 // 4))
    assert told == "converted from image/png to image/jpeg" and opened(new.data).size == (500, 400)
    jpeg = noise(500, 400, "JPEG", mode="RGB")
    file = io.BytesIO()
    opened(jpeg).save(file, "JPEG", quality=100)
    fine = b64(file.getvalue())
    assert through(fine, Bounds(image_bytes=len(fine) * 3 // 4))[1] == "compressed"


def test_pixels_are_bounded_together() -> None:
    new, _ = through(picture(size=(400, 100)), Bounds(pixels=10_000))
    assert opened(new.data).size == (200, 50)


def test_of_a_film_its_first_frame() -> None:
    file = io.BytesIO()
    frames = [Image.new("RGB", (300, 200), colour) for colour in ((255, 0, 0), (0, 255, 0))]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    new, told = through(b64(file.getvalue()), Bounds(edge=150))
    assert told == "scaled from 300x200 to 150x100, its first frame"
    assert opened(new.data).convert("RGB").getpixel((5, 5)) == (255, 0, 0)


@pytest.mark.parametrize("mode", ["1", "P", "LA", "I;16", "CMYK", "YCbCr", "F"])
def test_every_way_to_write_colours(mode: str) -> None:
    image = Image.new("L", (300, 200), 200).convert("I;16" if mode == "I;16" else mode)
    file = io.BytesIO()
    image.save(file, "TIFF" if mode in ("F", "CMYK", "YCbCr") else "PNG")
    answer = picture_worker.scaled(file.getvalue(), ANY._replace(edge=150))
    assert opened(answer["data"]).size == (150, 100)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 200), st.integers(0, 5000), st.integers(900, 4000))
def test_it_always_fits(width: int, height: int, edge: int, pixels: int, size: int) -> None:
    """Whatever the sizes: within the bounds, no larger than before, not empty, and the same a second time."""
    data = base64.b64decode(picture(size=(width, height)))
    order = ANY._replace(edge=edge, pixels=pixels, size=size)
    answer = picture_worker.scaled(data, order)
    new = opened(answer["data"])
    assert new.size == answer["after"] and min(new.size) >= 1
    assert max(new.size) <= edge and (not pixels or new.size[0] * new.size[1] <= max(pixels, *new.size))
    assert new.size[0] <= width and new.size[1] <= height
    assert len(base64.b64decode(answer["data"])) <= size
    assert picture_worker.scaled(data, order) == answer


# --- bombs, and what is no picture ------------------------------------------------------------------------


def bomb(width: int, height: int) -> str:
    """A small PNG that really unpacks to so many grey pixels."""
    packer = zlib.compressobj(9)
    line = b"\0" + bytes(width)
    rows = b"".join(packer.compress(line) for _ in range(height)) + packer.flush()

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b64(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))


BAD: dict[str, tuple[str, str]] = {
    "a kilobyte that says it is 65000 pixels wide and high": (huge_png(65000, 65000), "more pixels than are scaled"),
    "a bomb that keeps its word": (bomb(20000, 6000), "more pixels than are scaled here (100 million)"),
    "one whose pixels are missing": (huge_png(9000, 6000), "damaged"),
    "cut off": (picture(size=(300, 200), colour=(1, 2, 3))[:120], "damaged"),
    "noise": (b64(b"\x89PNG\r\n\x1a\n" + bytes(range(256))), "damaged"),
    "a name and nothing else": (b64(b"GIF89a"), "damaged"),
    "another kind of file": (FILES["pdf"].data, "damaged"),
    "a TIFF of nonsense": (b64(b"II*\0\x08\0\0\0\xff\xff" + bytes(range(200))), "damaged"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_scaled_is_refused_with_its_place(name: str) -> None:
    data, words = BAD[name]
    error = refusal(data)
    assert (error.kind, error.param) == ("invalid_request", AT)
    assert error.message.startswith(f"{AT}: ") and words in error.message


def test_a_bomb_costs_the_gateway_nothing() -> None:
    """It unpacks to the most that is scaled at all, in another process: this one does not grow with it."""
    data = bomb(10_000, MAX_PIXELS // 10_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    through(data, Bounds(edge=100))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * 1024 < MAX_PIXELS // 2


def test_memory_that_is_not_there_is_no_failure() -> None:
    async def work() -> None:
        scaler = Scaler()
        order = Order(100, 0, 0, MAX_PIXELS, 250 * 2**20, 30)
        from dragoman.relay import scaling, workers  # noqa: PLC0415

        body = base64.b64decode(bomb(10_000, 9_000))
        done = await workers.done(scaler._worker, order._asdict(), body, deadline=60, most=10**6)
        with pytest.raises(GatewayError, match=r"more pixels|damaged"):
            scaling._judged(done, order, AT)

    run(work)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(KINDS), st.data())
def test_damaged_pictures_are_scaled_or_refused(kind: str, data: st.DataObject) -> None:
    body = bytearray(base64.b64decode(picture(kind, (40, 30), colour=(9, 200, 70))))
    for _ in range(data.draw(st.integers(1, 6))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    body = body[: data.draw(st.integers(0, len(body)))]
    try:
        answer = picture_worker.scaled(bytes(body), ANY._replace(edge=20, most_pixels=10**6))
    except (RefusedError, MemoryError):
        return
    assert max(opened(answer["data"]).size) <= 20


READ = "import sys, os, time, signal, json; sys.stdin.buffer.read(); "
WORKERS: dict[str, tuple[str, str]] = {
    "hangs": (READ + "time.sleep(600)", "takes too long"),
    "is killed for its time": (READ + "os.kill(os.getpid(), signal.SIGKILL)", "takes too long"),
    "crashes": (READ + "os.kill(os.getpid(), signal.SIGSEGV)", "damaged"),
    "says nothing": (READ, "damaged"),
    "says no JSON": (READ + "print('{')", "damaged"),
    "sends no picture": (READ + "print(json.dumps({'data': 'PHN2Zz4='}))", "damaged"),
    "sends one that is too large": (READ + f"print(json.dumps({{'data': {picture()!r} + 'A' * 9000}}))", "damaged"),
    "has another error": (READ + 'print(\'{"error": "{0.__class__}"}\')', "damaged"),
    "floods": (READ + "\nwhile True: sys.stdout.write('x' * 100000)", "damaged"),
}


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_is_not_believed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, words = WORKERS[name]
    monkeypatch.setattr("dragoman.relay.scaling.MAX_OUTPUT", 1_000_000)
    worker = tmp_path / "worker.py"
    worker.write_text(source)
    deadline = 0.5 if name == "hangs" else 20.0
    error = refusal(picture(), Bounds(image_bytes=4000), Scaler(deadline=deadline, worker=str(worker)))
    assert (error.kind, error.param) == ("invalid_request", AT) and words in error.message


def test_without_pillow_the_gateway_says_so(tmp_path: Path) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text(READ + 'print(\'{"error": "missing"}\')')
    error = refusal(picture(), scaler=Scaler(worker=str(worker)))
    assert error.kind == "internal" and "Pillow" in error.message


# --- kept -------------------------------------------------------------------------------------------------


def test_a_picture_is_scaled_once_and_to_the_same_bytes() -> None:
    now = [0.0]

    async def work() -> None:
        scaler = Scaler(clock=lambda: now[0])
        part, bounds = Media(kind="image", data=picture(size=(300, 200))), Bounds(edge=150, many=2, edge_of_many=60)
        first, again = [await scaler.scaled(part, bounds, 1, AT) for _ in range(2)]
        assert first == again and scaler.done == 1
        few, _ = await scaler.scaled(part, bounds, 3, AT)
        assert pixel_size(few.data) == (60, 40) and scaler.done == 2
        now[0] = 1e6
        assert await scaler.scaled(part, bounds, 1, AT) == first and scaler.done == 3

    run(work)


# --- in a call --------------------------------------------------------------------------------------------

LARGE = picture(size=(8400, 420))


def _shown(data: str) -> dict[str, Part]:
    source = {"type": "base64", "media_type": "image/png", "data": data}
    block: dict[str, Any] = {"type": "image", "source": source}
    return {
        "openai_chat": openai_part({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}),
        "ollama": Part(
            {"model": "m", "messages": [{"role": "user", "content": "a", "images": [data]}]}, "messages[0].images[0]"
        ),
        "anthropic": anthropic_part(block),
        "a result": anthropic_result(block),
    }


def _sent_image(found: Made) -> str:
    """The base64 of the only picture in a body for Claude."""
    data: list[str] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if value.get("type") == "base64":
                data.append(value["data"])
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(found.body)
    assert len(data) == 1
    return data[0]


@pytest.mark.parametrize("way", ["openai_chat", "ollama", "anthropic", "a result"])
def test_too_large_a_picture_is_scaled_for_claude_and_that_is_reported(way: str) -> None:
    part = _shown(LARGE)[way]
    dialect = "anthropic" if way == "a result" else way

    async def work(carrier: Carrier) -> None:
        found = await made(carrier, dialect, part.body, CLAUDE)
        assert found.error is None and found.losses.emulated[part.at] == "scaled from 8400x420 to 8000x400"
        assert pixel_size(_sent_image(found)) == (8000, 400)
        small = _shown(picture())[way]
        assert not (await made(carrier, dialect, small.body, CLAUDE)).losses.emulated
        assert carrier.scaler.done == 1

    within(work, scale_images=True)


def test_without_the_setting_it_is_refused_and_the_setting_is_named() -> None:
    async def work(carrier: Carrier) -> None:
        for way, part in _shown(LARGE).items():
            found = await made(carrier, "anthropic" if way == "a result" else way, part.body, CLAUDE)
            assert found.error is not None and found.error.param == part.at
            assert "8400x420 pixels, and claude takes 8000 on a side" in found.error.message
            assert "scale_images" in found.error.message
        assert carrier.scaler.done == 0

    within(work)


@pytest.mark.parametrize("kind", ["bmp", "tiff"])
def test_kinds_that_a_model_does_not_read_are_converted(kind: str) -> None:
    file = FILES[kind]
    part = openai_part({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{file.data}"}})

    async def work(carrier: Carrier) -> None:
        for name in ("claude", "ollama that sees"):
            found = await made(carrier, "openai_chat", part.body, TARGETS[name])
            assert found.losses.emulated == {AT: f"converted from {file.media_type} to image/png"}
        found = await made(carrier, "openai_chat", part.body, TARGETS["ollama, text"])
        assert found.error is not None and "does not take images" in found.error.message

    within(work, scale_images=True)


def test_a_growing_conversation_keeps_its_beginning() -> None:
    """Byte for byte, and also when the gateway has forgotten everything in between."""
    part = _shown(LARGE)["openai_chat"]
    sent: list[Any] = []

    async def work(carrier: Carrier) -> None:
        messages = part.body["messages"]
        for turn in range(3):
            found = await made(carrier, "openai_chat", {"model": "m", "messages": messages}, CLAUDE)
            sent.append(found.body["messages"][0]["content"][1]["source"])
            messages = [*messages, {"role": "assistant", "content": f"{turn}"}, {"role": "user", "content": "go on"}]
        assert carrier.scaler.done == 1

    for _ in range(2):
        within(work, scale_images=True)
    assert all(source == sent[0] for source in sent)


def test_pictures_of_a_request_with_many_are_smaller() -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture(size=(2400, 1200))}"}}
    small = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture()}"}}

    async def work(carrier: Carrier) -> None:
        for count, told in ((20, {}), (21, {"messages[0].content[0]": "scaled from 2400x1200 to 2000x1000"})):
            content = [image, *[small] * (count - 1), {"type": "text", "text": "Look"}]
            body = {"model": "m", "messages": [{"role": "user", "content": content}]}
            found = await made(carrier, "openai_chat", body, CLAUDE)
            assert found.error is None and found.losses.emulated == told

    within(work, scale_images=True)


def test_thinking_that_is_bound_to_old_pictures_is_not_lost_by_a_new_one() -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture(size=(2400, 1200))}"}}
    small = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture()}"}}

    binding = replace(CLAUDE, thinking_prefix_check=True)

    async def work(carrier: Carrier) -> None:
        for count in (1, 21):
            body = {"model": "m", "messages": [{"role": "user", "content": [image, *[small] * (count - 1)]}]}
            found = await made(carrier, "openai_chat", body, binding)
            assert found.losses.emulated == {"messages[0].content[0]": "scaled from 2400x1200 to 2000x1000"}

    within(work, scale_images=True)


def test_the_pictures_of_one_request_are_scaled_together() -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{LARGE}"}}
    other = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture(size=(8800, 44))}"}}
    bad = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{huge_png(9000, 9000)}"}}

    async def work(carrier: Carrier) -> None:
        body = {"model": "m", "messages": [{"role": "user", "content": [image, other, image]}]}
        found = await made(carrier, "openai_chat", body, CLAUDE)
        said = [
            "scaled from 8400x420 to 8000x400",
            "scaled from 8800x44 to 8000x40",
            "scaled from 8400x420 to 8000x400",
        ]
        assert list(found.losses.emulated.items()) == [(f"messages[0].content[{i}]", said[i]) for i in range(3)]
        assert carrier.scaler.done == 2
        body = {"model": "m", "messages": [{"role": "user", "content": [image, bad, other]}]}
        found = await made(carrier, "openai_chat", body, CLAUDE)
        assert found.error is not None and found.error.param == "messages[0].content[1]"

    within(work, scale_images=True)


def test_strict_mode_takes_a_scaled_picture() -> None:
    """It loses detail that the server would not have looked at, and says so: that is emulated, not dropped."""

    async def work(carrier: Carrier) -> None:
        found = await made(carrier, "openai_chat", _shown(LARGE)["openai_chat"].body, CLAUDE, strict=True)
        assert found.error is None and list(found.losses.emulated) == [AT]

    within(work, scale_images=True)


def test_a_model_with_bounds_of_its_own() -> None:
    card = replace(TARGETS["openai"], media=Bounds(edge=100))
    part = _shown(picture(size=(300, 200)))["anthropic"]

    async def work(carrier: Carrier) -> None:
        found = await made(carrier, "anthropic", part.body, card)
        assert found.losses.emulated[AT] == "scaled from 300x200 to 100x66"

    within(work, scale_images=True)
