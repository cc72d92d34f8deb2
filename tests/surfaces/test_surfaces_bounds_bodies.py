"""Bodies that become more than they are: packed, deep, and full of small things; and values that JSON allows.

Each is refused with the status of its kind, in the words of the API that was asked, or answered; never our fault.
"""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from dragoman.config import Limits
from dragoman.errors import GatewayError
from dragoman.surfaces.unpacking import MAX_DEPTH, Unpacking, check_depth, zstd_module
from tests.running import Gateway, run_with_simulator
from tests.surfaces.plain import PATHS, Answer
from tests.surfaces.speaking import MODEL

MAX = 8 * 2**20
LIMITS = Limits(values=50_000)
HI = [{"role": "user", "content": "Hi"}]
each_dialect = pytest.mark.parametrize("dialect", PATHS)


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with run_with_simulator(refresh=0, limits=LIMITS, max_body=MAX) as it:
        yield it


@pytest.fixture(scope="module")
def http(gateway: Gateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, timeout=60, trust_env=False) as client:
        yield client


def asking(dialect: str, **members: Any) -> dict[str, Any]:
    own: dict[str, Any] = {"input": "Hi"} if dialect == "responses" else {"messages": HI}
    if dialect == "anthropic":
        own["max_tokens"] = 9
    return {"model": MODEL, "stream": False, **own, **members}


def post(http: httpx.Client, dialect: str, content: bytes, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = http.post(PATHS[dialect], content=content, headers={"content-type": "application/json", **named})
    return Answer(answer.status_code, dict(answer.headers), answer.content)


# --- packed ------------------------------------------------------------------------------------------


PACK: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress, "x-gzip": gzip.compress}
if (zstd := zstd_module()) is not None:
    PACK["zstd"] = zstd.compress
each_packing = pytest.mark.parametrize("packing", PACK)


@each_packing
@each_dialect
def test_a_packed_body_is_read(http: httpx.Client, dialect: str, packing: str) -> None:
    body = json.dumps(asking(dialect, metadata={"user_id": "x" * 3000})).encode()
    assert post(http, dialect, PACK[packing](body), content_encoding=packing.upper()).status == 200


@each_packing
@each_dialect
def test_a_bomb_is_not_set_off(http: httpx.Client, dialect: str, packing: str) -> None:
    """Within the limit packed, and beyond it when it is not; and within both, but grown beyond measure."""
    ask = json.dumps(asking(dialect)).encode()
    answer = post(http, dialect, PACK[packing](ask + b" " * 7_900_000), content_encoding=packing)
    assert answer.status == 413 and "DRAGOMAN_LIMIT_INFLATION" in answer.words
    noise = bytes(range(256)) * 400
    mixed = PACK[packing](b"".join(bytes([n]) + noise for n in range(90)) + b" " * MAX)
    assert post(http, dialect, mixed, content_encoding=packing).status == 413


@each_packing
def test_no_more_is_unpacked_than_may_be_kept(packing: str) -> None:
    bomb = PACK[packing](b" " * 200_000_000)
    unpacking = Unpacking(packing, "", MAX, Limits(inflation=0))
    unpacking.feed(bomb)
    tracemalloc.start()
    try:
        with pytest.raises(GatewayError, match="DRAGOMAN_MAX_BODY"):
            unpacking.whole()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MAX + 2**20


@each_packing
@pytest.mark.parametrize("spoil", [lambda data: data[:-6], lambda data: data + data, lambda _: b"junk", lambda _: b""])
def test_a_packed_body_is_whole(http: httpx.Client, packing: str, spoil: Callable[[bytes], bytes]) -> None:
    data = spoil(PACK[packing](json.dumps(asking("openai")).encode()))
    answer = post(http, "openai", data, content_encoding=packing)
    assert answer.status == 400
    assert packing in answer.words


def test_a_packed_body_may_be_of_any_length_that_fits(http: httpx.Client) -> None:
    """Longer than what is unpacked at a time, in slices that end anywhere."""
    words = "".join(f"{n * n:x} " for n in range(100_000))
    body = json.dumps(asking("openai", user=words)).encode()
    for packing, pack in PACK.items():
        unpacking = Unpacking(packing, "", MAX, LIMITS)
        packed = pack(body)
        for at in range(0, len(packed), 10_007):
            unpacking.feed(packed[at : at + 10_007])
        assert unpacking.whole() == body


@pytest.mark.parametrize("packing", ["br", "compress", "gzip, gzip", "gzip,deflate", "snappy", "x" * 500, "\xff"])
@each_dialect
def test_other_packings_are_named(http: httpx.Client, dialect: str, packing: str) -> None:
    headers = [(b"content-encoding", packing.encode("latin-1"))]
    answer = http.post(PATHS[dialect], content=b"{}", headers=headers)
    assert answer.status_code == 415
    assert "gzip" in Answer(415, {}, answer.content).words


def test_two_packings_in_two_headers_are_two(http: httpx.Client) -> None:
    headers = [(b"content-encoding", b"gzip"), (b"content-encoding", b"identity")]
    assert http.post(PATHS["openai"], content=b"{}", headers=headers).status_code == 415


# --- deep --------------------------------------------------------------------------------------------


def nested(levels: int, shape: str) -> Any:
    """So many levels of JSON, `shape` being one of them around `0`."""
    text = "0"
    before, _, after = shape.partition("0")
    return json.loads(text) if not levels else Raw(before * levels + text + after * levels)


class Raw(str):
    """JSON as it is to be written."""


def written(document: Any) -> bytes:
    """JSON with `Raw` in it, which may nest deeper than an encoder goes."""
    raws: list[str] = []

    def mark(value: Any) -> Any:
        if isinstance(value, Raw):
            raws.append(value)
            return f"@{len(raws) - 1}@"
        if isinstance(value, dict):
            return {name: mark(each) for name, each in value.items()}
        return [mark(each) for each in value] if isinstance(value, list) else value

    text = json.dumps(mark(document))
    for number, raw in enumerate(raws):
        text = text.replace(f'"@{number}@"', raw)
    return text.encode()


SCHEMAS = (
    '{"properties":{"a":0},"required":["a"],"type":"object"}',
    '{"items":0}',
    '{"anyOf":[0,{"type":"null"}]}',
    '{"allOf":[0]}',
    '{"not":0}',
    '{"$defs":{"x":0},"$ref":"#/$defs/x"}',
)


def deep_places(dialect: str, levels: int) -> Iterator[dict[str, Any]]:
    """Requests with something deep at every place where a client may put it."""
    arrays, objects = nested(levels, "[0]"), nested(levels, '{"a":0}')
    yield from (asking(dialect, **{name: arrays}) for name in ("metadata", "unknown", "stop", "tools", "temperature"))
    yield asking(dialect, metadata=objects)
    messages = "input" if dialect == "responses" else "messages"
    called = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": objects}}
    for content in (
        arrays,
        [objects],
        [{"type": "text", "text": objects}],
        [{"type": "tool_result", "content": arrays}],
    ):
        yield asking(dialect, **{messages: [{"role": "user", "content": content}]})
    yield asking(dialect, **{messages: [*HI, {"role": "assistant", "content": "", "tool_calls": [called]}]})
    used = [{"type": "tool_use", "id": "toolu_1", "name": "f", "input": objects}]
    told = [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "x"}]
    yield asking(
        dialect, **{messages: [*HI, {"role": "assistant", "content": used}, {"role": "user", "content": told}]}
    )
    for shape in SCHEMAS:
        schema = nested(levels, shape.replace("0", "0"))
        yield asking(dialect, format=schema)
        yield asking(dialect, response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})
        for strict in (True, False):
            function = {"name": "f", "strict": strict, "parameters": schema}
            yield asking(dialect, tools=[{"type": "function", "function": function}])
            yield asking(dialect, tools=[{"type": "function", **function}])
        yield asking(dialect, tools=[{"name": "f", "input_schema": schema}])
        yield asking(dialect, text={"format": {"type": "json_schema", "name": "x", "schema": schema}})


@each_dialect
@pytest.mark.parametrize("levels", [20, 100, MAX_DEPTH - 12])
def test_what_nests_is_read(http: httpx.Client, dialect: str, levels: int) -> None:
    """Up to the bound, whatever it costs whoever reads it: schemas have two levels, or three, for each of theirs."""
    for document in deep_places(dialect, levels // 2):
        answer = post(http, dialect, written(document))
        assert answer.status in (200, 400), (answer, document)
        assert answer.status == 200 or answer.words


@each_dialect
@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 2000, 100_000])
def test_what_nests_too_deeply_is_told_so(http: httpx.Client, dialect: str, levels: int) -> None:
    for document in deep_places(dialect, levels):
        body = written(document)
        if len(body) > 2 * LIMITS.values:
            continue
        answer = post(http, dialect, body)
        if dialect == "anthropic" and levels < 100_000:  # its server reads it, and we do not
            assert answer.status in (200, 400)
            continue
        assert answer.status == 400, document
        assert f"deeper than {MAX_DEPTH} levels" in answer.words, answer.words


def test_depth_is_counted_to_the_level() -> None:
    def deep(levels: int) -> Any:
        value: Any = 0
        for number in range(levels):
            value = [1, value, "x"] if number % 2 else {"a": value, "b": []}
        return value

    check_depth(deep(MAX_DEPTH))
    with pytest.raises(GatewayError, match=f"deeper than {MAX_DEPTH}"):
        check_depth(deep(MAX_DEPTH + 1))
    shallow: list[Any] = [0, "x", None, [], {}, [[], []], list(range(1000)), {str(n): [] for n in range(1000)}]
    for flat in shallow:
        check_depth(flat)


CYCLES = [
    {"$ref": "#"},
    {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
    {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
    {"type": "object", "properties": {"child": {"$ref": "#"}, "children": {"type": "array", "items": {"$ref": "#"}}}},
    {"allOf": [{"$ref": "#"}]},
    {"anyOf": [{"$ref": "#"}, {"$ref": "#/anyOf/0"}]},
    {
        "$defs": {"a": {"properties": {"b": {"$ref": "#/$defs/a"}}}},
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/a"}},
    },
]


@each_dialect
@pytest.mark.parametrize("schema", CYCLES, ids=range(len(CYCLES)))
def test_a_schema_may_lead_back_to_itself(http: httpx.Client, dialect: str, schema: Any) -> None:
    wanted = {"name": "x", "schema": schema, "strict": True}
    for members in (
        {"format": schema},
        {"response_format": {"type": "json_schema", "json_schema": wanted}},
        {"text": {"format": {"type": "json_schema", **wanted}}},
        {"tools": [{"type": "function", "function": {"name": "f", "strict": True, "parameters": schema}}]},
        {"tools": [{"type": "function", "name": "f", "strict": True, "parameters": schema}]},
        {"tools": [{"name": "f", "input_schema": schema}]},
    ):
        assert post(http, dialect, written(asking(dialect, **members))).status in (200, 400)


# --- full of small things --------------------------------------------------------------------------------

SMALL = ["0", "[]", "{}", '""', "null", "1.5", '{"a":1}', '"a"']


@each_dialect
@pytest.mark.parametrize("value", SMALL)
def test_there_are_only_so_many_values(http: httpx.Client, dialect: str, value: str) -> None:
    many = Raw("[" + ",".join([value] * (LIMITS.values + 1)) + "]")
    answer = post(http, dialect, written(asking(dialect, metadata=many)))
    assert answer.status == 413
    assert "DRAGOMAN_LIMIT_VALUES" in answer.words


@pytest.mark.parametrize("text", [",[{" * 60_000, '\\",[' * 60_000, "\\\\,[" * 60_000, '\\\\\\",' * 60_000])
def test_what_stands_in_texts_are_no_values(http: httpx.Client, text: str) -> None:
    assert post(http, "openai", written(asking("openai", user=Raw(f'"{text}"')))).status == 200
    full = Raw(f'["{text}",' + ",".join(["0"] * (LIMITS.values + 1)) + "]")
    assert post(http, "openai", written(asking("openai", user=full))).status == 413


# --- values --------------------------------------------------------------------------------------------

ODD = [
    ("1e999", None),
    ("-1e999", None),
    ("9" * 400, None),
    ("1" + "0" * 5000, None),
    ("-0", None),
    ("0.1e-999", None),
    ("NaN", 400),
    ("Infinity", 400),
    ("01", 400),
    ("+1", 400),
    (".5", 400),
    ("0x10", 400),
    ('"\\ud800"', None),
    ('"\\udc00\\ud800"', None),
    ('"\\u0000"', None),
    ('"\x00"', 400),
    ('"\n"', 400),
    ('"\\x41"', 400),
    ("'a'", 400),
    ("tru", 400),
    ("[1,]", 400),
    ('{"a":1,}', 400),
    ("/* */ 1", 400),
    ('{"a":1,"a":[2]}', None),
]
PLACES = [
    "model",
    "temperature",
    "max_tokens",
    "seed",
    "stop",
    "user",
    "metadata",
    "stream",
    "tools",
    "messages",
    "input",
]


@each_dialect
@pytest.mark.parametrize(("value", "status"), ODD, ids=range(len(ODD)))
def test_values_that_are_odd(http: httpx.Client, dialect: str, value: str, status: int | None) -> None:
    for place in PLACES:
        answer = post(http, dialect, written(asking(dialect, **{place: Raw(value)})))
        assert answer.status in ((status,) if status else (200, 400, 404)), (place, answer)
        assert answer.status == 200 or answer.words


BYTES = [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\x80"]


@each_dialect
@pytest.mark.parametrize("raw", BYTES)
def test_bytes_that_are_no_text(http: httpx.Client, dialect: str, raw: bytes) -> None:
    for place in ("user", "model", "role"):
        document = asking(dialect, **{place: "@"}) if place != "role" else asking(dialect, messages=[{"role": "@"}])
        answer = post(http, dialect, json.dumps(document).encode().replace(b"@", raw))
        assert answer.status == 400
        assert answer.words


@each_dialect
@pytest.mark.parametrize(
    "body", [b"", b" ", b"[]", b"0", b'"x"', b"null", b"{}{}", b"{", b"\xef\xbb\xbf{}", b"\xff\xfe{\x00}\x00"]
)
def test_bodies_that_are_no_object(http: httpx.Client, dialect: str, body: bytes) -> None:
    answer = post(http, dialect, body)
    assert answer.status == 400
    assert answer.words


@each_dialect
def test_the_last_of_two_members_of_one_name_counts_for_all(gateway: Gateway, http: httpx.Client, dialect: str) -> None:
    """For whoever chooses the model, and for whoever answers."""
    body = written(asking(dialect)).replace(b'"model": ', b'"model": "no-such-model", "model": ', 1)
    assert post(http, dialect, body).status == 200
    assert gateway.simulator.requests[-1].body["model"].startswith(MODEL)
