"""Documents as what every model can take: text, and pictures of the pages that have none.

PDFs come from anybody, and readers of PDFs have holes.  So each is read by `pdf_worker`, a process of its own with
bounded time, memory and output and with none of our environment, and what it writes is believed no more than the file.
The same document stands in every turn of a conversation: it is read once, and kept under a digest of its bytes.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

from dragoman import media
from dragoman.conversation import Media, Part, Text
from dragoman.errors import GatewayError, invalid
from dragoman.relay import pdf_worker
from dragoman.relay.kept import Kept

Pictures = Literal["none", "auto", "all"]

MAX_PAGES = 1000
MAX_PICTURES = 100
EDGE = 1568  # pixels: what Claude looks at, and more than most open models do
MAX_OUTPUT = 64 * 1024 * 1024
MEMORY = 1024 * 1024 * 1024
DEADLINE = 30.0
_END = 5.0
_AT_ONCE = 2
_KEPT_BYTES = 128 * 1024 * 1024
_KEPT_AGE = 3600.0

# All of our environment that an interpreter needs to find itself and its packages.  The keys stay here.
_ENVIRONMENT = ("PYTHONHOME", "PYTHONPATH", "HOME", "LD_LIBRARY_PATH", "SYSTEMROOT")
_TEXTUAL = ("application/json", "application/xml", "application/yaml", "application/x-yaml", "application/javascript")


class Page(Struct, frozen=True):
    """`picture` is a PNG in base64, or "".  A `blank` page has nothing on it."""

    text: str
    picture: str
    blank: bool

    @property
    def unseen(self) -> bool:
        """Whether there is something on it that is neither in the text nor in the picture."""
        return not (self.text or self.picture or self.blank)


class _Answer(Struct):
    """What the worker writes."""

    pages: list[Page] = []
    error: str = ""
    count: int = 0


class _Done(NamedTuple):
    """How a worker ended.  `code` is negative for a signal."""

    output: bytes
    code: int | None


class Documents:
    """Reads PDFs, and remembers what it read.  `clock` gives monotonic seconds, `worker` is the worker's file."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        deadline: float = DEADLINE,
        worker: str = pdf_worker.__file__,
    ) -> None:
        self._deadline = deadline
        self._worker = worker
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._kept: Kept[tuple[bytes, Pictures], tuple[Page, ...]] = Kept(clock, _KEPT_BYTES, _KEPT_AGE)
        self.read = 0
        """How many documents a worker was asked to read."""

    async def pages(self, data: str, *, pictures: Pictures, at: str) -> tuple[Page, ...]:
        """The pages of a PDF in base64, in order.

        `pictures`: of no page, of those without text, of each.  Raises `GatewayError` ("invalid_request") with `at`,
        the path of the document, for one that is locked, damaged, empty or too large.
        """
        key = (await asyncio.to_thread(_digest, data), pictures)
        if (kept := self._kept.get(key)) is not None:
            return kept
        body = await asyncio.to_thread(_opened, data, at)
        async with self._places:
            if (kept := self._kept.get(key)) is not None:  # read by another call in the meantime
                return kept
            self.read += 1
            pages = _judged(await self._run(body, pictures, at), at)
        self._kept.put(key, pages, sum(len(page.text) * 2 + len(page.picture) for page in pages))
        return pages

    async def _run(self, body: bytes, pictures: Pictures, at: str) -> _Done:
        order = pdf_worker.Order(
            pictures=pictures,
            edge=EDGE,
            max_pages=MAX_PAGES,
            max_pictures=MAX_PICTURES,
            max_output=MAX_OUTPUT // 2,
            memory=MEMORY,
            seconds=max(1, int(self._deadline)),
        )
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", self._worker, json.dumps(order._asdict())),
            stdin=pipe,
            stdout=pipe,
            stderr=nowhere,
            env=environment,
        )
        try:
            async with asyncio.timeout(self._deadline):
                output = await _exchanged(process, body, at)
                return _Done(output, await process.wait())
        except TimeoutError:
            raise _slow(at) from None
        finally:
            await _ended(process)


async def _exchanged(process: asyncio.subprocess.Process, body: bytes, at: str) -> bytes:
    """Give the worker its file and take what it writes.  Raises when that is more than `MAX_OUTPUT`."""
    if process.stdin is None or process.stdout is None:
        raise ValueError("the worker has no pipes")
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it ended early, and its answer says why
        process.stdin.write(body)
        await process.stdin.drain()
    process.stdin.close()
    chunks: list[bytes] = []
    size = 0
    while chunk := await process.stdout.read(1 << 20):
        size += len(chunk)
        if size > MAX_OUTPUT:
            raise invalid(f"{at}: {_REFUSALS['broken']}", at)
        chunks.append(chunk)
    return b"".join(chunks)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """End the worker, whatever it is doing, and its pipes with it."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END):
                while process.stdout is not None and await process.stdout.read(1 << 20):
                    pass  # a process is not over for the event loop while something is left in its pipe
                await process.wait()


def _digest(data: str) -> bytes:
    return hashlib.blake2b(data.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _opened(data: str, at: str) -> bytes:
    return base64.b64decode(media.clean_base64(data, at))


# --- what the worker says --------------------------------------------------------------------------

_REFUSALS = {
    "encrypted": "the PDF is locked with a password; send it unlocked",
    "broken": "the PDF is damaged or too large, and could not be read",
    "empty": "the PDF has no pages",
    "pages": f"the PDF has {{}} pages, and at most {MAX_PAGES} are read; send a part of it",
    "pictures": f"of the {{}} pages of the PDF more than {MAX_PICTURES} would be sent as pictures; send a part of it",
    "size": "the PDF is too large once it is opened; send a part of it",
}


def _judged(done: _Done, at: str) -> tuple[Page, ...]:
    """The pages a worker found.  Raises when it found none, and for what no honest worker writes."""
    if not done.output and done.code in (-9, -24):  # SIGKILL, SIGXCPU: it ran out of processor time
        raise _slow(at)
    try:
        answer = msgspec.json.decode(done.output, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise invalid(f"{at}: {_REFUSALS['broken']}", at) from None
    if answer.error == "missing":
        raise GatewayError("internal", "this gateway cannot read PDFs: the package pypdfium2 is not installed")
    if answer.error:
        words = _REFUSALS.get(answer.error, _REFUSALS["broken"])
        raise invalid(f"{at}: {words.format(answer.count)}", at)
    if not answer.pages or any(page.picture and media.sniff(page.picture) != "image/png" for page in answer.pages):
        raise invalid(f"{at}: {_REFUSALS['broken']}", at)
    return tuple(answer.pages)


def _slow(at: str) -> GatewayError:
    return invalid(f"{at}: the PDF takes too long to read; send a part of it, or its text", at)


# --- as parts of a conversation --------------------------------------------------------------------


def parts_of(pages: Sequence[Page], name: str) -> list[Part]:
    """Pages as text with a mark before each, and the picture of a page right after its mark."""
    parts: list[Part] = []
    texts = [name] if name else []
    for number, page in enumerate(pages, 1):
        if page.picture:
            mark = f"[page {number}, as a picture]"
        elif page.text:
            mark = f"[page {number}]"
        else:
            mark = f"[page {number}: {'a picture that is not shown' if page.unseen else 'empty'}]"
        texts.append(f"{mark}\n{page.text}" if page.text else mark)
        if page.picture:
            parts.append(Text(text="\n\n".join(texts)))
            parts.append(Media(kind="image", data=page.picture, media_type="image/png"))
            texts = []
    if texts:
        parts.append(Text(text="\n\n".join(texts)))
    return parts


def titled(text: str, name: str) -> str:
    """A text document as text: its name, an empty line, its words."""
    return f"{name}\n\n{text}" if name else text


def text_of(part: Media, at: str) -> str | None:
    """The words of a text document; None when it is another kind of file.  Raises when its label says text, wrongly."""
    if part.source == "text":
        return part.data
    label = part.media_type.partition(";")[0].strip().lower()
    textual = label.startswith("text/") or label in _TEXTUAL
    if label and not textual:
        return None
    body = _opened(part.data, at)
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" not in text:
        return text
    if textual:
        raise invalid(f"{at} says it is {label}, but it is not UTF-8 text", at)
    return None
