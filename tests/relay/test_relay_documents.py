"""PDFs read in a process of their own: good ones, and those that want to crash, stall or flood."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.conversation import Media, Part, Text
from dragoman.errors import GatewayError
from dragoman.models.contents import text_of
from dragoman.relay import documents, pdf_worker
from dragoman.relay.documents import Documents, Page, Pictures, parts_of
from tests.relay import pdfs
from tests.relay.looping import run

AT = "messages[2].content[0]"
WORDS = "A page with enough words on it to be read"


def pages_of(document: bytes, pictures: Pictures = "auto") -> tuple[Page, ...]:
    found: list[Page] = []

    async def work() -> None:
        found.extend(await Documents().pages(pdfs.in_base64(document), pictures=pictures, at=AT))

    run(work)
    return tuple(found)


def refusal(document: str, reader: Documents | None = None, pictures: Pictures = "auto") -> GatewayError:
    errors: list[GatewayError] = []

    async def work() -> None:
        with pytest.raises(GatewayError) as caught:
            await (reader or Documents()).pages(document, pictures=pictures, at=AT)
        errors.append(caught.value)

    run(work)
    return errors[0]


def unfiltered(png: bytes) -> tuple[int, int, int, bytes]:
    """Width, height, channels and pixels of a PNG, by the book: every chunk's sum is checked."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    chunks: dict[bytes, bytes] = {}
    at = 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + data)
        chunks[kind] = data
        at += 12 + length
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, rest) == (8, [0, 0, 0])
    channels = {0: 1, 2: 3}[colour]
    raw, stride = zlib.decompress(chunks[b"IDAT"]), width * channels
    above, out = bytes(stride), b""
    for row in range(height):
        line = raw[row * (stride + 1) : (row + 1) * (stride + 1)]
        assert line[0] == 2
        above = bytes((a + b) % 256 for a, b in zip(line[1:], above, strict=True))
        out += above
    return width, height, channels, out


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]), st.data())
def test_pictures_are_what_was_drawn(width: int, height: int, channels: int, data: st.DataObject) -> None:
    size = width * height * channels
    pixels = data.draw(st.binary(min_size=size, max_size=size))
    assert unfiltered(pdf_worker.png(width, channels, pixels)) == (width, height, channels, pixels)


# --- good documents ----------------------------------------------------------------------------------


def test_text_comes_page_by_page() -> None:
    pages = pages_of(pdfs.pdf(pdfs.text(WORDS), b"", pdfs.text("The last one")))
    assert pages == (Page(WORDS, "", False), Page("", "", True), Page("The last one", "", False))


def test_pages_without_text_are_seen() -> None:
    document = pdfs.pdf(pdfs.text(WORDS), pdfs.DRAWING, pdfs.DRAWING + b" " + pdfs.text("p. 3"))
    read, drawn, stamped = pages_of(document)
    assert read == Page(WORDS, "", False)
    assert not drawn.text and drawn.picture and stamped.text == "p. 3" and stamped.picture
    width, height, channels, pixels = unfiltered(base64.b64decode(drawn.picture))
    assert (max(width, height), channels) == (documents.EDGE, 3)
    middle = 3 * (int(height * (1 - 250 / 792)) * width + int(width * 250 / 612))
    assert pixels[middle : middle + 3] == b"\xff\x00\x00" and pixels[:3] == b"\xff\xff\xff"


def test_grey_pages_are_grey_pictures() -> None:
    (page,) = pages_of(pdfs.pdf(pdfs.GREY_DRAWING, box=b"0 0 60 40"))
    width, height, channels, pixels = unfiltered(base64.b64decode(page.picture))
    assert (width, height, channels) == (240, 160, 1)  # small pages are not blown up without end
    assert len(pixels) == 240 * 160


MODES: dict[Pictures, list[bool]] = {"none": [False, False], "auto": [False, True], "all": [True, True]}


@pytest.mark.parametrize("pictures", MODES)
def test_which_pages_are_pictures(pictures: Pictures) -> None:
    pages = pages_of(pdfs.pdf(pdfs.text(WORDS), pdfs.DRAWING), pictures)
    assert [bool(page.picture) for page in pages] == MODES[pictures]
    assert [page.unseen for page in pages] == [False, pictures == "none"]


def test_what_was_filled_in_is_read() -> None:
    (page,) = pages_of(pdfs.noted("Filled in by hand, twenty letters"))
    assert page.text == "Filled in by hand, twenty letters"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("a\r\nb\rc \n", "a\nb\nc"),
        ("soft\ufffe\nhyphen", "soft-\nhyphen"),
        ("a\x00b\x1fc\x85d\ud800e\tf", "abcde\tf"),
    ],
)
def test_text_is_cleaned(text: str, clean: str) -> None:
    assert pdf_worker.cleaned(text) == clean


def test_letters_that_say_nothing_do_not_count() -> None:
    assert [c for c in "a\ue000\uf8ff\ufffd \n漢\U000f0001" if pdf_worker.readable(c)] == ["a", "漢"]


# --- hostile ones ------------------------------------------------------------------------------------

CATALOGUE = b"<< /Type /Catalog /Pages 2 0 R >>"
LEAF = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 10 10] >>"
BAD: dict[str, tuple[bytes, str]] = {
    "locked": (pdfs.locked(), "locked with a password"),
    "cut off": (pdfs.pdf(pdfs.text(WORDS))[:200], "damaged"),
    "noise": (b"%PDF-1.7\n" + bytes(range(256)) * 40, "damaged"),
    "nothing but a name": (b"%PDF-", "damaged"),
    "no pages": (pdfs.pdf(), "PDF"),
    "too many pages": (pdfs.pdf(*[b""] * 1001), "has 1001 pages, and at most 1000"),
    "pages that are not there": (
        pdfs.assembled([CATALOGUE, b"<< /Type /Pages /Count 900 /Kids [3 0 R] >>", LEAF]),
        "damaged",
    ),
    "a tree that is its own branch": (
        pdfs.assembled([CATALOGUE, b"<< /Type /Pages /Count 5 /Kids [2 0 R 2 0 R] >>"]),
        "damaged",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_documents_are_refused_with_their_place(name: str) -> None:
    document, words = BAD[name]
    error = refusal(pdfs.in_base64(document))
    assert (error.kind, error.param) == ("invalid_request", AT)
    assert error.message.startswith(AT) and words in error.message


@pytest.mark.parametrize("data", ["", "not base64!", "JVBERi0"])
def test_what_is_no_base64_is_refused(data: str) -> None:
    assert refusal(data).param == AT


ODD: dict[str, bytes] = {
    "a page wider than the sea": pdfs.pdf(pdfs.DRAWING, box=b"0 0 100000000 3"),
    "a page without a size": pdfs.pdf(pdfs.DRAWING, box=b"0 0 0 0"),
    "a page that is no number": pdfs.pdf(pdfs.DRAWING, box=b"0 0 -5 1e400"),
    "two thousand million pages, it says": pdfs.assembled(
        [CATALOGUE, b"<< /Type /Pages /Count 2000000000 /Kids [3 0 R] >>", LEAF]
    ),
    "arrays in arrays": pdfs.assembled(
        [CATALOGUE, b"<< /Count 1 /Kids [3 0 R] /X " + b"[" * 200_000 + b"]" * 200_000 + b" >>", LEAF]
    ),
    "graphics states in graphics states": pdfs.pdf(b"q " * 100_000 + pdfs.DRAWING),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_documents_are_read_or_refused(name: str) -> None:
    async def work() -> None:
        try:
            pages = await Documents().pages(pdfs.in_base64(ODD[name]), pictures="auto", at=AT)
        except GatewayError as error:
            assert (error.kind, error.param) == ("invalid_request", AT)
        else:
            assert len(pages) <= documents.MAX_PAGES
            assert all(len(page.picture) < 1_000_000 for page in pages)

    run(work)


def test_pictures_are_counted() -> None:
    error = refusal(pdfs.in_base64(pdfs.pdf(*[b"0 0 1 1 re f"] * (documents.MAX_PICTURES + 1), box=b"0 0 2 2")))
    assert f"of the {documents.MAX_PICTURES + 1} pages of the PDF more than {documents.MAX_PICTURES}" in error.message


# --- a worker that was taken over ------------------------------------------------------------------------

READ = "import sys, os, time, signal; sys.stdin.buffer.read(); "
WORKERS: dict[str, tuple[str, str]] = {
    "hangs": (READ + "time.sleep(600)", "takes too long"),
    "does not even read": ("import time; time.sleep(600)", "takes too long"),
    "is killed for its time": (READ + "os.kill(os.getpid(), signal.SIGKILL)", "takes too long"),
    "crashes": (READ + "os.kill(os.getpid(), signal.SIGSEGV)", "damaged"),
    "leaves at once": ("raise SystemExit(1)", "damaged"),
    "floods": (READ + "\nwhile True: sys.stdout.write('x' * 100000)", "damaged"),
    "floods and reads nothing": ("import sys\nwhile True: sys.stdout.write('x' * 100000)", "takes too long"),
    "says nothing": (READ, "damaged"),
    "says no JSON": (READ + "print('{')", "damaged"),
    "says another thing": (READ + 'print(\'{"pages": [{"text": 1}]}\')', "damaged"),
    "has no pages": (READ + "print('{}')", "damaged"),
    "has another error": (READ + 'print(\'{"error": "{0.__class__}"}\')', "damaged"),
    "sends no picture": (
        READ + 'print(\'{"pages": [{"text": "", "picture": "PHN2Zz4=", "blank": false}]}\')',
        "damaged",
    ),
}


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_is_not_believed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, words = WORKERS[name]
    monkeypatch.setattr(documents, "MAX_OUTPUT", 1_000_000)
    worker = tmp_path / "worker.py"
    worker.write_text(source)
    deadline = 0.5 if words == "takes too long" else 20.0
    error = refusal(pdfs.in_base64(b"%PDF-" + bytes(300_000)), Documents(deadline=deadline, worker=str(worker)))
    assert (error.kind, error.param) == ("invalid_request", AT)
    assert words in error.message


def test_a_worker_has_none_of_our_secrets_and_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it may do and see comes back as the text of a page."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    worker = tmp_path / "worker.py"
    worker.write_text(
        f"import sys, os, json; sys.path.insert(0, {str(Path(pdf_worker.__file__).parent)!r})\n"
        "import pdf_worker as w, resource as r\n"
        "order = w.Order(**json.loads(sys.argv[1])); w.bound(order.memory, order.seconds); w.shut()\n"
        "try: open('/etc/hosts')\nexcept OSError: opened = False\nelse: opened = True\n"
        "told = [r.getrlimit(x)[1] for x in (r.RLIMIT_AS, r.RLIMIT_CPU, r.RLIMIT_FSIZE, r.RLIMIT_CORE)]\n"
        "ours = [m for m in sys.modules if m.startswith('dragoman') or m == 'pypdfium2']\n"
        "text = json.dumps([told, ours, opened, sorted(os.environ)])\n"
        "print(json.dumps({'pages': [{'text': text, 'picture': '', 'blank': False}]}))\n"
    )

    async def work() -> None:
        (page,) = await Documents(deadline=20, worker=str(worker)).pages("JVBERi0=", pictures="none", at=AT)
        assert page.text.startswith(f"[[{documents.MEMORY}, 20, 0, 0], [], false, ")
        assert "KEY" not in page.text and "secret" not in page.text

    run(work)


def test_without_the_package_the_gateway_says_so(tmp_path: Path) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text(READ + 'print(\'{"error": "missing"}\')')
    error = refusal("JVBERi0=", Documents(worker=str(worker)))
    assert error.kind == "internal" and "pypdfium2" in error.message


# --- kept --------------------------------------------------------------------------------------------


def test_a_document_is_read_once() -> None:
    now = [0.0]

    async def work() -> None:
        reader = Documents(clock=lambda: now[0])
        one, other = (pdfs.in_base64(pdfs.pdf(pdfs.text(words))) for words in ("one", "other"))
        first = await reader.pages(one, pictures="auto", at=AT)
        assert await reader.pages(one, pictures="auto", at="elsewhere") is first
        assert reader.read == 1
        assert (await reader.pages(other, pictures="auto", at=AT))[0].text == "other"
        await reader.pages(one, pictures="all", at=AT)
        assert reader.read == 3
        now[0] = 3601
        assert await reader.pages(one, pictures="auto", at=AT) == first
        assert reader.read == 4

    run(work)


# --- as parts ----------------------------------------------------------------------------------------


def flat(parts: Sequence[Part]) -> list[str]:
    return [part.text if isinstance(part, Text) else f"<{getattr(part, 'data', part)}>" for part in parts]


def test_marks_tell_which_page_is_which() -> None:
    pages = [Page("one", "", False), Page("", "P2", False), Page("p. 3", "P3", False), Page("", "", True)]
    assert flat(parts_of(pages, "a.pdf")) == [
        "a.pdf\n\n[page 1]\none\n\n[page 2, as a picture]",
        "<P2>",
        "[page 3, as a picture]\np. 3",
        "<P3>",
        "[page 4: empty]",
    ]
    assert flat(parts_of([Page("", "", False)], "")) == ["[page 1: a picture that is not shown]"]


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


TEXTS: dict[str, tuple[Media, str | None]] = {
    "as text": (Media(kind="document", source="text", data="hi"), "hi"),
    "labelled": (Media(kind="document", data=b64("hü".encode()), media_type="text/csv; charset=utf-8"), "hü"),
    "json": (Media(kind="document", data=b64(b"{}"), media_type="application/json"), "{}"),
    "unlabelled": (Media(kind="document", data=b64(b"\xef\xbb\xbfhi")), "hi"),
    "unlabelled and binary": (Media(kind="document", data=b64(b"PK\x03\x04\x00\x00")), None),
    "another label": (Media(kind="document", data=b64(b"hi"), media_type="application/msword"), "hi"),
    "another label, and binary": (Media(kind="document", data=b64(b"\0hi"), media_type="application/msword"), None),
}


@pytest.mark.parametrize("name", TEXTS)
def test_text_documents(name: str) -> None:
    part, wanted = TEXTS[name]
    assert text_of(part, AT) == wanted


@pytest.mark.parametrize("data", [b"\xff\xfe", b"a\x00b"])
def test_text_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(GatewayError, match="not UTF-8 text"):
        text_of(Media(kind="document", data=b64(data), media_type="text/plain"), AT)
