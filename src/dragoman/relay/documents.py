"""Documents as what every model can take: text, and pictures of the pages that have none.

PDFs come from anybody, and readers of PDFs have holes.  So each is read by `pdf_worker`, a process of its own.
The same document stands in every turn of a conversation: it is read once, and kept under a digest of its bytes.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from dragoman import media
from dragoman.conversation import Media, Part, Text
from dragoman.errors import GatewayError, invalid
from dragoman.relay import pdf_worker, workers
from dragoman.relay.kept import Kept
from dragoman.relay.turns import Turns

Pictures = Literal["none", "auto", "all"]

MAX_PAGES = 1000
MAX_PICTURES = 100
EDGE = 1568  # pixels: what Claude looks at, and more than most open models do
MAX_OUTPUT = 64 * 1024 * 1024
MEMORY = 1024 * 1024 * 1024
DEADLINE = 30.0
_AT_ONCE = 2
_KEPT_BYTES = 128 * 1024 * 1024
_KEPT_AGE = 3600.0
_COUNTED = 10_000  # documents of which the number of pages is kept


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
        self._places = Turns(_AT_ONCE, _AT_ONCE)
        self._kept: Kept[tuple[bytes, Pictures], tuple[Page, ...]] = Kept(clock, _KEPT_BYTES, _KEPT_AGE)
        self._counted: Kept[bytes, int] = Kept(clock, _COUNTED, _KEPT_AGE)
        self.read = 0
        """How many documents a worker was asked to read."""

    async def pages(self, data: str, *, pictures: Pictures, at: str) -> tuple[Page, ...]:
        """The pages of a PDF in base64, in order.

        `pictures`: of no page, of those without text, of each.  Raises `GatewayError` ("invalid_request") with `at`,
        the path of the document, for one that is locked, damaged, empty or too large.
        """
        key = (await asyncio.to_thread(workers.digest, data), pictures)
        if (kept := self._kept.get(key)) is not None:
            return kept
        body = await asyncio.to_thread(_opened, data, at)
        async with self._places.one():
            if (kept := self._kept.get(key)) is not None:  # read by another call in the meantime
                return kept
            self.read += 1
            pages = _judged(await self._run(body, pictures, at), at)
        self._kept.put(key, pages, sum(len(page.text) * 2 + len(page.picture) for page in pages))
        return pages

    async def count(self, data: str, *, at: str) -> int:
        """How many pages a PDF in base64 has, for a server that reads it itself; 0 when it cannot be told here.

        Raises `GatewayError` ("invalid_request") for one that is locked: no server reads it.
        """
        key = await asyncio.to_thread(workers.digest, data)
        if (kept := self._counted.get(key)) is not None:
            return kept
        body = await asyncio.to_thread(_opened, data, at)
        async with self._places.one():
            self.read += 1
            try:
                found = _answer(await self._run(body, "count", at), at)
            except GatewayError:
                found = _Answer(error="broken")  # another reader may be more patient, or more able
        if found.error == "encrypted":
            raise invalid(f"{at}: {_REFUSALS['encrypted']}", at)
        pages = 0 if found.error else found.count
        self._counted.put(key, pages, 1)
        return pages

    async def _run(self, body: bytes, pictures: Pictures | Literal["count"], at: str) -> workers.Done:
        order = pdf_worker.Order(
            pictures=pictures,
            edge=EDGE,
            max_pages=MAX_PAGES,
            max_pictures=MAX_PICTURES,
            max_output=MAX_OUTPUT // 2,
            memory=MEMORY,
            seconds=max(1, int(self._deadline)),
        )
        try:
            return await workers.done(self._worker, order._asdict(), body, deadline=self._deadline, most=MAX_OUTPUT)
        except TimeoutError:
            raise _slow(at) from None
        except workers.FloodError:
            raise invalid(f"{at}: {_REFUSALS['broken']}", at) from None


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


def _answer(done: workers.Done, at: str) -> _Answer:
    """What a worker wrote.  Raises for what no honest worker writes."""
    if done.slow:
        raise _slow(at)
    try:
        answer = msgspec.json.decode(done.output, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise invalid(f"{at}: {_REFUSALS['broken']}", at) from None
    if answer.error == "missing":
        raise GatewayError("internal", "this gateway cannot read PDFs: the package pypdfium2 is not installed")
    return answer


def _judged(done: workers.Done, at: str) -> tuple[Page, ...]:
    """The pages a worker found.  Raises when it found none."""
    answer = _answer(done, at)
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
