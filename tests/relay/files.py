"""Small files of every kind, in base64, and the ways in which clients of each dialect send them."""

from __future__ import annotations

import base64
import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from PIL import Image

from tests.relay import pdfs

Object = dict[str, Any]
WORDS = "Words enough for everybody to read them"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def picture(kind: str = "PNG", size: tuple[int, int] = (3, 2), colour: Any = (200, 30, 40), **how: Any) -> str:
    """A picture as Pillow writes it."""
    file = io.BytesIO()
    Image.new("RGBA" if len(colour) == 4 else "RGB", size, colour).save(file, kind, **how)
    return b64(file.getvalue())


def huge_png(width: int, height: int) -> str:
    """A PNG that says it is so large; there are no pixels in it."""
    honest = base64.b64decode(picture())
    head = honest[12:16] + struct.pack(">II", width, height) + honest[24:29]
    return b64(honest[:12] + head + struct.pack(">I", zlib.crc32(head)) + honest[33:])


def _archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("word/document.xml", WORDS)
    return file.getvalue()


class File(NamedTuple):
    """A file: what it is, and what it is called."""

    data: str
    media_type: str
    wrong: str
    """A label it does not deserve."""


FILES: Mapping[str, File] = {
    "png": File(picture(), "image/png", "image/jpeg"),
    "jpeg": File(picture("JPEG"), "image/jpeg", "application/pdf"),
    "gif": File(picture("GIF"), "image/gif", "image/png"),
    "webp": File(picture("WEBP"), "image/webp", "text/plain"),
    "bmp": File(picture("BMP"), "image/bmp", "image/png"),
    "tiff": File(picture("TIFF"), "image/tiff", "image/png"),
    "heic": File(b64(b"\0\0\0\x18ftypheic" + bytes(40)), "image/heic", "image/jpeg"),
    "pdf": File(pdfs.in_base64(pdfs.pdf(pdfs.text(WORDS))), "application/pdf", "image/png"),
    "locked pdf": File(pdfs.in_base64(pdfs.locked()), "application/pdf", "image/png"),
    "text": File(b64(WORDS.encode()), "text/plain", "application/pdf"),
    "csv": File(b64(f"{WORDS},b\n1,2".encode()), "text/csv", "application/octet-stream"),
    "json": File(b64(f'{{"a": "{WORDS}"}}'.encode()), "application/json", "application/pdf"),
    "html": File(b64(f"<p>{WORDS}".encode()), "text/html", "application/msword"),
    "docx": File(b64(_archive()), "application/vnd.openxmlformats-officedocument", "application/pdf"),
    "wav": File(b64(b"RIFF\x24\0\0\0WAVEfmt " + bytes(28)), "audio/wav", "audio/mpeg"),
    "mp3": File(b64(b"ID3\x04\0\0" + bytes(40)), "audio/mpeg", "audio/wav"),
    "video": File(b64(b"\0\0\0\x18ftypmp42" + bytes(40)), "video/mp4", "image/png"),
}
IMAGES = frozenset({"png", "jpeg", "gif", "webp", "bmp", "tiff", "heic"})


class Part(NamedTuple):
    """One of a client's parts, and where it stands."""

    body: Object
    at: str


def anthropic_part(block: Object) -> Part:
    content = [{"type": "text", "text": "Look"}, block]
    return Part({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": content}]}, AT)


def anthropic_result(block: Object) -> Part:
    """The part is what a tool found."""
    call = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "It:"}, block]}
    body = {
        "model": "m",
        "max_tokens": 9,
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "messages": [
            {"role": "user", "content": "Look"},
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": [result]},
        ],
    }
    return Part(body, "messages[2].content[0].content[1]")


AT = "messages[0].content[1]"


def _block(kind: str) -> str:
    return "image" if kind in IMAGES else "document"


def _labelled(label: Callable[[File], str | None], wrap: Callable[[Object], Part]) -> Callable[[str], Part]:
    def make(kind: str) -> Part:
        file = FILES[kind]
        source = {"type": "base64", "data": file.data}
        if (said := label(file)) is not None:
            source["media_type"] = said
        return wrap({"type": _block(kind), "source": source})

    return make


def _anthropic_data_url(kind: str) -> Part:
    file = FILES[kind]
    source = {"type": "base64", "media_type": "", "data": f"data:{file.media_type};base64,{file.data}"}
    return anthropic_part({"type": _block(kind), "source": source})


def openai_part(part: Object) -> Part:
    content = [{"type": "text", "text": "Look"}, part]
    return Part({"model": "m", "messages": [{"role": "user", "content": content}]}, AT)


def _openai_image(label: Callable[[File], str]) -> Callable[[str], Part]:
    def make(kind: str) -> Part:
        file = FILES[kind]
        return openai_part({"type": "image_url", "image_url": {"url": f"data:{label(file)};base64,{file.data}"}})

    return make


def _openai_file(label: Callable[[File], str] | None) -> Callable[[str], Part]:
    def make(kind: str) -> Part:
        file = FILES[kind]
        data = file.data if label is None else f"data:{label(file)};base64,{file.data}"
        return openai_part({"type": "file", "file": {"file_data": data, "filename": "name.it"}})

    return make


def _openai_audio(kind: str) -> Part:
    form = {"wav": "mp3", "mp3": "wav"}.get(kind, "wav")  # the wrong one
    return openai_part({"type": "input_audio", "input_audio": {"data": FILES[kind].data, "format": form}})


def _ollama_image(kind: str) -> Part:
    body = {"model": "m", "messages": [{"role": "user", "content": "Look", "images": [FILES[kind].data]}]}
    return Part(body, "messages[0].images[0]")


WAYS: Mapping[str, tuple[str, Callable[[str], Part]]] = {
    "anthropic, labelled": ("anthropic", _labelled(lambda file: file.media_type, anthropic_part)),
    "anthropic, mislabelled": ("anthropic", _labelled(lambda file: file.wrong, anthropic_part)),
    "anthropic, unlabelled": ("anthropic", _labelled(lambda file: None, anthropic_part)),
    "anthropic, a data URL": ("anthropic", _anthropic_data_url),
    "anthropic, in a result": ("anthropic", _labelled(lambda file: file.wrong, anthropic_result)),
    "openai, as an image": ("openai_chat", _openai_image(lambda file: file.media_type)),
    "openai, as a mislabelled image": ("openai_chat", _openai_image(lambda file: file.wrong)),
    "openai, as a file": ("openai_chat", _openai_file(lambda file: file.media_type)),
    "openai, as a mislabelled file": ("openai_chat", _openai_file(lambda file: file.wrong)),
    "openai, as a bare file": ("openai_chat", _openai_file(None)),
    "openai, as a sound": ("openai_chat", _openai_audio),
    "ollama": ("ollama", _ollama_image),
}
"""Every way a file can be sent: the client's dialect, and its request."""
