"""What a piece of media is: by its bytes, whatever they are, and never by its label alone."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman import media
from dragoman.conversation import Media, ToolResult
from dragoman.errors import GatewayError
from dragoman.models.contents import by_content
from dragoman.models.pictures import pixel_size
from tests.models.building import request, user
from tests.relay.files import FILES, b64, huge_png, picture

KINDS = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "bmp": "image/bmp",
    "tiff": "image/tiff",
    "heic": "image/heic",
    "pdf": "application/pdf",
    "locked pdf": "application/pdf",
    "docx": "application/zip",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "video": "video/mp4",
}


@pytest.mark.parametrize("name", FILES)
def test_files_are_told_by_their_bytes(name: str) -> None:
    assert media.sniff(FILES[name].data) == KINDS.get(name, "")


MORE: dict[str, tuple[bytes, str]] = {
    "a sound without a tag": (b"\xff\xf3\x44\xc4" + bytes(20), "audio/mpeg"),
    "aac": (b"\xff\xf1\x50\x80" + bytes(20), "audio/aac"),
    "m4a": (b"\0\0\0\x1cftypM4A " + bytes(20), "audio/mp4"),
    "avif": (b"\0\0\0\x1cftypavif" + bytes(20), "image/avif"),
    "webm": (b"\x1aE\xdf\xa3" + bytes(20), "video/webm"),
    "avi": (b"RIFF\0\0\0\0AVI LIST", "video/x-msvideo"),
    "a line before a PDF": (b"\n%PDF-1.4" + bytes(20), "application/pdf"),
    "an old office document": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(20), "application/x-ole-storage"),
    # words that begin like a file
    "BMW": (b"BMW sold more cars", ""),
    "ID3": (b"ID3 tags are explained here", ""),
    "FORM": (b"FORM 27B/6", ""),
    "WEBP": (b"The new WEBP format", ""),
    "nothing": (b"", ""),
}


@pytest.mark.parametrize("name", MORE)
def test_rare_files_and_words_that_look_like_some(name: str) -> None:
    body, kind = MORE[name]
    assert media.sniff(b64(body)) == kind


@settings(deadline=None)
@given(st.one_of(st.text(max_size=80), st.binary(max_size=80).map(b64)))
def test_anything_is_sniffed_measured_and_read(data: str) -> None:
    assert isinstance(media.sniff(data), str)
    size = pixel_size(data)
    assert size is None or min(size) > 0
    text = media.text_in(data)
    assert text is None or "\0" not in text


@settings(deadline=None)
@given(st.sampled_from(["png", "jpeg", "gif", "webp", "bmp"]), st.data())
def test_a_damaged_picture_is_measured_or_not(name: str, data: st.DataObject) -> None:
    """Bytes are changed, cut or doubled anywhere after the first twelve."""
    body = bytearray(base64.b64decode(FILES[name].data))
    for _ in range(data.draw(st.integers(0, 8))):
        body[data.draw(st.integers(12, len(body) - 1))] = data.draw(st.integers(0, 255))
    body = body[: data.draw(st.integers(12, len(body)))] * data.draw(st.integers(1, 3))
    size = pixel_size(b64(bytes(body)))
    assert size is None or min(size) > 0


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_pictures_are_measured(kind: str) -> None:
    assert pixel_size(picture(kind, (300, 20))) == (300, 20)
    assert pixel_size(huge_png(65000, 65000)) == (65000, 65000)


def test_a_jpeg_says_its_size_after_what_its_camera_says() -> None:
    whole = base64.b64decode(picture("JPEG", (300, 20)))
    profile = b"\xff\xe2\xff\xff" + bytes(65533)
    assert pixel_size(b64(whole[:2] + profile * 3 + whole[2:])) == (300, 20)
    endless = b"\xff\xd8" + b"\xff\xe2\x00\x02" * 200_000
    assert pixel_size(b64(endless)) is None
    assert pixel_size(b64(b"\xff\xd8" + b"\xff" * 500_000)) is None


WRITTEN: dict[str, tuple[str, str, str]] = {
    "base64": ("data:image/png;base64,AAAA", "image/png", "AAAA"),
    "parameters": ("data:text/plain;charset=utf-8;base64,AAAA", "text/plain", "AAAA"),
    "written out": ("data:text/plain,a%20b", "text/plain", b64(b"a b")),
    "base64 that does not say so": (f"data:image/png,{picture()}", "image/png", picture()),
    "no data URL": ("AAAA", "", "AAAA"),
    "nothing in it": ("data:,", "", ""),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_data_urls(name: str) -> None:
    url, label, data = WRITTEN[name]
    assert media.split_data_url(url) == (label, data)


def test_only_what_is_wrongly_called_is_changed() -> None:
    right = Media(kind="image", data=picture(), media_type="image/png")
    asked = request(user("a", right, Media(kind="document", source="text", data="b")))
    assert by_content(asked) is asked
    wrong = Media(kind="document", data=picture(), media_type="application/pdf", name="a.pdf")
    inside = ToolResult(id="c", content=[wrong])
    told = by_content(request(user("x"), user(inside, wrong)))
    assert told.messages[0] == user("x")
    image = Media(kind="image", data=picture(), media_type="image/png", name="a.pdf")
    assert told.messages[1].content == [ToolResult(id="c", content=[image]), image]


@pytest.mark.parametrize("label", ["", "application/pdf", "text/csv"])
def test_a_document_that_reads_as_text_is_one(label: str) -> None:
    (message,) = by_content(request(user(Media(kind="document", data=b64("ü".encode()), media_type=label)))).messages
    wanted = label if label == "text/csv" else "text/plain"
    assert message.content == [Media(kind="document", source="text", data="ü", media_type=wanted)]


def test_base64_is_cleaned_or_refused() -> None:
    assert media.clean_base64("-_8 \n", "p") == "+/8="
    for bad in ("", "%", "AAAA="):
        if bad == "AAAA=":
            assert media.clean_base64(bad, "p") == "AAAA"
        else:
            with pytest.raises(GatewayError) as caught:
                media.clean_base64(bad, "p")
            assert caught.value.param == "p"
