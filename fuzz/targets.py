"""What is fed with hostile bytes, and what must hold of each: called by the fuzzer, by the tests, and for every file of
`fuzz/corpus/<name>/`.

A target takes any bytes at all.  It raises `AssertionError`, or whatever the code raises that it should not.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from dragoman import media
from dragoman.conversation import Event, Fault, Reply, Request
from dragoman.dialects import registry
from dragoman.dialects.contract import Stamp, StreamDecoder
from dragoman.dialects.embeddings import EmbedRequest
from dragoman.dialects.ollama import embedding as ollama_embedding
from dragoman.dialects.ollama import probe
from dragoman.dialects.ollama.context import decode_context
from dragoman.dialects.ollama.creation import decode_create
from dragoman.dialects.openai_chat import embedding as openai_embedding
from dragoman.dialects.openai_completions import prompts
from dragoman.dialects.openai_responses import input_items
from dragoman.errors import GatewayError
from dragoman.folding import Fold
from dragoman.framing import NDJSON, SSE
from dragoman.relay.http1 import Connection
from dragoman.relay.passthrough import peek, with_model
from dragoman.relay.usage_tap import tap_for
from dragoman.surfaces.exchange import parse_object
from dragoman.translation import sources, targets, translate
from fuzz.order import check_order

_encode = msgspec.json.encode
_decode = msgspec.json.decode
STAMP = Stamp(id="x_1", model="m", created=1_795_327_200_500_000_000, started=0, clock=lambda: 1_000_000)

Check = Callable[[bytes], None]

# What a request can be blamed for; the second where it names no model, or one that is nobody's.
_OF_CLIENTS = ("invalid_request", "model_not_found")


def refused(work: Callable[[], Any]) -> GatewayError | None:
    """Do `work`; our error, where it raises one.  One that blames the client says where."""
    try:
        work()
    except GatewayError as error:
        assert error.message
        return error
    return None


# --- requests ------------------------------------------------------------------------------------


def read_object(data: bytes) -> Any:
    """The bytes as a body is read, or None where they are no JSON object."""
    try:
        return parse_object(data)
    except GatewayError as error:
        assert error.kind == "invalid_request"
        return None


def request(dialect: str) -> Check:
    """A request of any JSON is read or refused, with its place; what was read can be said to each kind of server."""
    decode = sources()[dialect].decode_request

    def check(data: bytes) -> None:
        if read_object(data) is None:
            return
        if (error := refused(lambda: decode(read_object(data)))) is not None:
            assert error.kind in _OF_CLIENTS, error.kind
            assert error.param, error.message
            return
        if dialect == "openai_completions":
            prompts(read_object(data))
        if dialect == "openai_responses":
            refused(lambda: input_items(read_object(data), "resp_1"))
        if dialect == "ollama":
            refused(lambda: probe(read_object(data)))
        for target in targets():
            body = read_object(data)
            error = refused(lambda b=body, t=target: _encode(translate(b, source=dialect, target=t).body))  # type: ignore[misc]
            assert error is None or error.kind in (*_OF_CLIENTS, "not_implemented"), error

    return check


def _read_or_refused(decode: Callable[[Any], Any]) -> Check:
    def check(data: bytes) -> None:
        if (body := read_object(data)) is None:
            return
        error = refused(lambda: decode(body))
        assert error is None or (error.kind in _OF_CLIENTS and error.param), error

    return check


# --- streams -------------------------------------------------------------------------------------


def _events(decoder: StreamDecoder, pieces: Iterable[bytes]) -> list[Event]:
    return [event for piece in pieces for event in decoder.feed(piece)] + decoder.close()


def in_pieces(data: bytes) -> list[bytes]:
    """The bytes behind the first two, cut as those say: at every so many bytes, from an offset on."""
    head, data = data[:2], data[2:]
    step, offset = (head + b"\7\3")[:2]
    places = [0, *range(offset % (len(data) + 1), len(data), max(step, 1)), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(places)]


def stream(dialect: str) -> Check:
    """Any bytes are a stream in order, the same in any pieces, and each client can be told of it."""
    upstream = targets()[dialect]

    def check(data: bytes) -> None:
        whole = _events(upstream.Decoder(), [data[2:]])
        check_order(whole)
        assert _events(upstream.Decoder(), in_pieces(data)) == whole, "the pieces matter"
        Fold(dialect).feed([event for event in whole if not isinstance(event, Fault)])
        for name, client in sources().items():
            asked = Request(origin=name, model="m", messages=[], stream=True)
            assert client.Encoder(asked, STAMP).feed(whole), "there is always an end to tell"
            encoder = client.Encoder(asked, STAMP)
            assert b"".join(encoder.feed([event]) for event in whole)

    return check


def reply(dialect: str) -> Check:
    """Any answer is read or is our error, and each client can be told of it."""
    upstream = targets()[dialect]

    def check(data: bytes) -> None:
        assert upstream.decode_error(400 + len(data) % 200, data, None).message
        body = read_object(data)
        if body is None:
            return
        found: list[Reply] = []
        refused(lambda: found.append(upstream.decode_reply(body)))
        for name, client in sources().items():
            for each in found:
                _encode(client.encode_reply(each, Request(origin=name, model="m", messages=[]), STAMP))

    return check


def vectors(data: bytes) -> None:
    """Answers with vectors: as many as there are inputs, or our error."""
    for wire in (ollama_embedding, openai_embedding):
        for packed in (False, True):
            asked = EmbedRequest(origin="openai_chat", model="m", input=["a", "b"], packed=packed)
            error = refused(lambda w=wire, a=asked: _encode(w.encode_reply(w.decode_reply(data, a), a, STAMP)))  # type: ignore[misc]
            assert error is None or error.kind != "internal"


def counts(data: bytes) -> None:
    """Counts read along never raise, are never negative, and do not depend on the pieces."""
    for dialect in registry():
        for streamed in (True, False):
            whole, pieces = tap_for(dialect, streamed), tap_for(dialect, streamed)
            whole.feed(data[2:])
            for piece in in_pieces(data):
                pieces.feed(piece)
            assert whole.usage == pieces.usage, "the pieces matter"
            usage = whole.usage
            assert usage is None or min(usage.input, usage.output, usage.cache_read, usage.cache_write) >= 0


# --- bytes ---------------------------------------------------------------------------------------


def events(data: bytes) -> None:
    """Server-sent events are the same in any pieces, and what the simplest of readers finds."""
    whole, pieces = SSE(), SSE()
    found = whole.feed(data[2:])
    assert [frame for piece in in_pieces(data) for frame in pieces.feed(piece)] == found
    expected: list[bytes] = []
    held: list[bytes] = []
    *lines, _ = data[2:].split(b"\n")
    for line in lines:
        if line.startswith(b"data:"):
            held.append(line[5:].strip())
        elif line in (b"", b"\r") and held:
            expected.append(b"\n".join(held))
            held = []
    assert found == expected


def lines(data: bytes) -> None:
    """Lines are the same in any pieces."""
    whole, pieces = NDJSON(), NDJSON()
    found = [*whole.feed(data[2:]), *whole.close()]
    cut = [line for piece in in_pieces(data) for line in pieces.feed(piece)]
    assert [*cut, *pieces.close()] == found == [line for line in data[2:].split(b"\n") if line.strip()]


class _Taken:
    """What an answer's body goes to."""

    def __init__(self) -> None:
        self.told: list[bytes] = []
        self.ended = False
        self.error: GatewayError | None = None

    def data(self, data: bytes) -> None:
        assert not self.ended and self.error is None
        self.told.append(data)

    def end(self) -> None:
        assert not self.ended and self.error is None
        self.ended = True

    def broken(self, error: GatewayError) -> None:
        assert not self.ended and self.error is None
        self.error = error


class _Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def write(self, data: Any) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


_LOOP = asyncio.new_event_loop()


def http_answer(data: bytes) -> None:
    """An answer over HTTP/1.1 ends or is broken, once, and its body is the same in any pieces."""
    whole, pieces = _heard([data[2:]]), _heard(in_pieces(data))
    assert (whole.ended, b"".join(whole.told)) == (pieces.ended, b"".join(pieces.told)) or not whole.ended, (
        "the pieces matter"
    )


def _heard(pieces: Iterable[bytes]) -> _Taken:
    connection, wire, taken = Connection(_LOOP), _Wire(), _Taken()
    connection.connection_made(wire)
    head = connection._begin(b"", 3600)
    reading = False
    for piece in pieces:
        if wire.closed:
            break
        connection.data_received(piece)
        if head.done() and not head.exception() and not reading:
            reading = True
            connection.read_into(taken, 3600)
    if not wire.closed:
        connection.connection_lost(None)
    if head.done():
        head.exception()
    if reading:
        assert taken.ended != (taken.error is not None), "an answer has one end"
    connection._disarm()
    return taken


def patched(data: bytes) -> None:
    """Another model in a body changes nothing else."""
    if (body := read_object(data)) is None:
        return
    peek(data)
    found: list[bytes] = []
    if refused(lambda: found.append(with_model(data, "other"))) is None:
        assert parse_object(found[0]) == {**body, "model": "other"}


def small_things(data: bytes) -> None:
    """Readers of single members: none raises anything of its own."""
    text = data.decode("utf-8", "replace")
    media.split_data_url(text)
    media.sniff(text)
    refused(lambda: media.clean_base64(text, "x"))
    decode_context(list(data))
    decode_context([0xD7A60A, *(int.from_bytes(data[i : i + 3], "big") for i in range(0, len(data), 3))])


class Target(NamedTuple):
    """`check` is called with bytes.  `seeds` are the files where the search begins; with `cut` the first two bytes say
    into which pieces the rest is cut (`in_pieces`)."""

    check: Check
    seeds: tuple[str, ...]
    cut: bool = False

    def valid(self) -> list[bytes]:
        """What the files have: of JSON lines each is one, a text in them stands for its bytes."""
        found: list[bytes] = []
        for file in (file for pattern in self.seeds for file in sorted(_ROOT.glob(pattern))):
            if file.suffix != ".jsonl":
                found.append(file.read_bytes())
                continue
            for line in file.read_bytes().splitlines():
                value = _decode(line)
                found.append(value.encode() if isinstance(value, str) else line)
        return [b"\x09\x04" + data for data in found] if self.cut else found


_ROOT = Path(__file__).parent.parent
_GOLDEN = "tests/dialects"
TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        **{f"request_{name}": Target(request(name), (f"fuzz/seeds/{name}.jsonl",)) for name in sources()},
        "request_create": Target(_read_or_refused(decode_create), ("fuzz/seeds/create.jsonl",)),
        "request_embed": Target(_read_or_refused(ollama_embedding.decode_request), ("fuzz/seeds/embed.jsonl",)),
        "request_embed_legacy": Target(_read_or_refused(ollama_embedding.decode_legacy), ("fuzz/seeds/embed.jsonl",)),
        "request_embed_openai": Target(_read_or_refused(openai_embedding.decode_request), ("fuzz/seeds/embed.jsonl",)),
        "stream_anthropic": Target(stream("anthropic"), (f"{_GOLDEN}/anthropic/golden/*.sse",), cut=True),
        "stream_ollama": Target(stream("ollama"), (f"{_GOLDEN}/ollama/golden/*.upstream.ndjson",), cut=True),
        "stream_openai_chat": Target(
            stream("openai_chat"), (f"{_GOLDEN}/openai_chat/golden/upstream/*.sse",), cut=True
        ),
        "stream_openai_responses": Target(
            stream("openai_responses"), (f"{_GOLDEN}/openai_responses/golden/upstream/*.sse",), cut=True
        ),
        **{f"reply_{name}": Target(reply(name), (f"fuzz/seeds/reply_{name}.jsonl",)) for name in targets()},
        "vectors": Target(vectors, ("fuzz/seeds/vectors.jsonl",)),
        "counts": Target(counts, (f"{_GOLDEN}/*/golden/**/*.sse",), cut=True),
        "events": Target(events, (f"{_GOLDEN}/anthropic/golden/*.sse",), cut=True),
        "lines": Target(lines, (f"{_GOLDEN}/ollama/golden/*.upstream.ndjson",), cut=True),
        "http_answer": Target(http_answer, ("fuzz/seeds/http.jsonl",), cut=True),
        "patched": Target(patched, ("fuzz/seeds/[aoe]*.jsonl",)),
        "small_things": Target(small_things, ()),
    }
)
