"""Embeddings: every client's request to every server's, and the vectors back, bit for bit."""

from __future__ import annotations

import base64
import struct
from array import array
from collections.abc import Callable
from typing import Any

import httpx
import httpx2
import msgspec
import ollama
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.conversation import Object
from dragoman.dialects.contract import Stamp
from dragoman.dialects.embeddings import EmbedReply, EmbedRequest
from dragoman.dialects.ollama import embedding as native
from dragoman.dialects.openai_chat import embedding as compatible
from dragoman.errors import GatewayError
from dragoman.losses import Losses

encode = msgspec.json.encode

STAMP = Stamp(id="x", model="embed", created=0, started=5, clock=lambda: 1005)

CLIENTS: dict[str, tuple[Callable[[Object], EmbedRequest], Callable[[EmbedReply, EmbedRequest, Stamp], Object]]] = {
    "/api/embed": (native.decode_request, native.encode_reply),
    "/api/embeddings": (native.decode_legacy, native.encode_legacy),
    "/v1/embeddings": (compatible.decode_request, compatible.encode_reply),
}
UPSTREAMS = {"ollama": native, "openai_chat": compatible}
OLLAMA, OPENAI = "ollama", "openai_chat"


def decoded(client: str, **body: Any) -> EmbedRequest:
    return CLIENTS[client][0]({"model": "m", **body})


def packed(*numbers: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def wants(count: int, **members: Any) -> EmbedRequest:
    """A request with so many inputs."""
    return EmbedRequest(origin=OPENAI, model="m", input=["a"] * count, **members)


# --- requests ------------------------------------------------------------------------------------


DECODED: list[tuple[str, Object, Object]] = [
    ("/api/embed", {"input": "a"}, {"input": ["a"]}),
    ("/api/embed", {"input": ["a", ""]}, {"input": ["a", ""]}),
    ("/api/embed", {"input": ""}, {"input": []}),
    ("/api/embed", {"input": None, "truncate": None}, {"input": []}),
    ("/api/embed", {}, {"input": []}),
    ("/api/embed", {"input": "a", "dimensions": 8}, {"input": ["a"], "dimensions": 8}),
    ("/api/embed", {"input": "a", "dimensions": 0}, {"input": ["a"]}),
    ("/api/embed", {"input": "a", "truncate": True}, {"input": ["a"], "extra": {"truncate": True}}),
    ("/api/embed", {"input": "a", "truncate": False}, {"input": ["a"], "hints": {"truncate": False}}),
    (
        "/api/embed",
        {"input": "a", "options": {"num_ctx": 99}, "keep_alive": "5m", "new": 1},
        {"input": ["a"], "hints": {"options": {"num_ctx": 99}, "keep_alive": "5m"}, "extra": {"new": 1}},
    ),
    ("/api/embeddings", {"prompt": "a", "keep_alive": -1}, {"input": ["a"], "hints": {"keep_alive": -1}}),
    ("/api/embeddings", {"prompt": ""}, {"input": []}),
    ("/api/embeddings", {}, {"input": []}),
    ("/v1/embeddings", {"input": "a"}, {"input": ["a"]}),
    ("/v1/embeddings", {"input": ["a", "b"], "encoding_format": "float"}, {"input": ["a", "b"]}),
    ("/v1/embeddings", {"input": "a", "encoding_format": "base64"}, {"input": ["a"], "packed": True}),
    ("/v1/embeddings", {"input": [1, 2]}, {"input": [[1, 2]]}),
    ("/v1/embeddings", {"input": [[1, 2.0], [3]]}, {"input": [[1, 2], [3]]}),
    (
        "/v1/embeddings",
        {"input": "a", "dimensions": 8, "user": "u", "encoding_format": None, "x": None},
        {"input": ["a"], "dimensions": 8, "extra": {"user": "u"}},
    ),
]


@pytest.mark.parametrize(("client", "body", "expected"), DECODED)
def test_requests(client: str, body: Object, expected: Object) -> None:
    origin = OPENAI if client.startswith("/v1") else OLLAMA
    assert decoded(client, **body) == EmbedRequest(origin=origin, model="m", **expected)


@pytest.mark.parametrize(
    ("client", "body", "param"),
    [
        ("/api/embed", {"input": 5}, "input"),
        ("/api/embed", {"input": ["a", 5]}, "input[1]"),
        ("/api/embed", {"input": [[1]]}, "input[0]"),
        ("/api/embed", {"input": "a", "truncate": "yes"}, "truncate"),
        ("/api/embed", {"input": "a", "dimensions": "8"}, "dimensions"),
        ("/api/embed", {"input": "a", "options": []}, "options"),
        ("/api/embed", {"input": "a", "keep_alive": "soon"}, "keep_alive"),
        ("/api/embeddings", {"model": ""}, "model"),
        ("/api/embeddings", {"prompt": ["a"]}, "prompt"),
        ("/v1/embeddings", {"model": 5, "input": "a"}, "model"),
        ("/v1/embeddings", {}, "input"),
        ("/v1/embeddings", {"input": ""}, "input"),
        ("/v1/embeddings", {"input": []}, "input"),
        ("/v1/embeddings", {"input": {}}, "input"),
        ("/v1/embeddings", {"input": ["a", 5]}, "input[1]"),
        ("/v1/embeddings", {"input": [True]}, "input[0]"),
        ("/v1/embeddings", {"input": [[1], []]}, "input[1]"),
        ("/v1/embeddings", {"input": [[1], [2, "a"]]}, "input[1][1]"),
        ("/v1/embeddings", {"input": "a", "dimensions": 0}, "dimensions"),
        ("/v1/embeddings", {"input": "a", "encoding_format": "hex"}, "encoding_format"),
    ],
)
def test_requests_that_are_wrong(client: str, body: Object, param: str) -> None:
    with pytest.raises(GatewayError) as caught:
        decoded(client, **body)
    assert (caught.value.kind, caught.value.param) == ("invalid_request", param)


def test_who_names_no_model_is_told_as_ollama_tells() -> None:
    with pytest.raises(GatewayError) as caught:
        decoded("/api/embed", model="", input="a")
    assert (caught.value.kind, caught.value.message) == ("model_not_found", "model '' not found")


ENCODED: list[tuple[str, Object, str, Object, list[str]]] = [
    # Ollama cuts what is too long unless told not to, OpenAI refuses it.
    ("/v1/embeddings", {"input": "a"}, OLLAMA, {"truncate": False, "input": ["a"]}, []),
    (
        "/v1/embeddings",
        {"input": ["a"], "encoding_format": "base64", "dimensions": 4, "user": "u"},
        OLLAMA,
        {"truncate": False, "dimensions": 4, "input": ["a"]},
        ["user"],
    ),
    (
        "/v1/embeddings",
        {"input": [1], "encoding_format": "base64", "dimensions": 4, "user": "u"},
        OPENAI,
        {"encoding_format": "base64", "dimensions": 4, "user": "u", "input": [[1]]},
        [],
    ),
    (
        "/api/embed",
        {"input": "a", "options": {"num_ctx": 9}, "keep_alive": 5, "truncate": True, "dimensions": 4, "new": 1},
        OPENAI,
        {"dimensions": 4, "input": ["a"]},
        ["truncate", "new"],
    ),
    ("/api/embed", {"input": "a", "truncate": False}, OPENAI, {"input": ["a"]}, []),
    (
        "/api/embed",
        {"input": "a", "options": {"num_ctx": 9}, "keep_alive": 5, "truncate": True, "new": 1},
        OLLAMA,
        {"options": {"num_ctx": 9}, "keep_alive": 5, "new": 1, "truncate": True, "input": ["a"]},
        [],
    ),
    ("/api/embeddings", {"prompt": "a"}, OPENAI, {"input": ["a"]}, []),
    ("/api/embeddings", {"keep_alive": 0}, OLLAMA, {"keep_alive": 0, "input": []}, []),
]


@pytest.mark.parametrize(("client", "body", "upstream", "expected", "dropped"), ENCODED)
def test_what_a_server_is_asked(client: str, body: Object, upstream: str, expected: Object, dropped: list[str]) -> None:
    losses = Losses()
    assert UPSTREAMS[upstream].encode_request(decoded(client, **body), losses) == {"model": "m", **expected}
    assert sorted(losses.dropped) == sorted(dropped)


def test_token_ids_are_refused_where_nobody_can_read_them() -> None:
    with pytest.raises(GatewayError, match="token ids") as caught:
        native.encode_request(decoded("/v1/embeddings", input=[[1, 2]]), Losses())
    assert (caught.value.kind, caught.value.param) == ("invalid_request", "input")


def test_a_model_cannot_be_loaded_with_openai_s_words() -> None:
    with pytest.raises(GatewayError) as caught:
        compatible.encode_request(decoded("/api/embed"), Losses())
    assert (caught.value.kind, caught.value.param) == ("invalid_request", "input")


# --- replies -------------------------------------------------------------------------------------


def vectors(reply: EmbedReply) -> Any:
    return msgspec.json.decode(encode(reply.vectors))


def data(*embeddings: Any, **members: Any) -> bytes:
    items = [{"object": "embedding", "index": i, "embedding": value} for i, value in enumerate(embeddings)]
    return encode({"object": "list", "data": items, **members})


def test_digits_are_not_touched() -> None:
    """What the server wrote reaches the client, where both write numbers."""
    body = b'{"embeddings":[[0.10000000000000000555, -1e-7,3]],"prompt_eval_count":7}'
    reply = native.decode_reply(body, wants(1))
    assert (encode(reply.vectors), reply.tokens) == (b"[[0.10000000000000000555, -1e-7,3]]", 7)


@pytest.mark.parametrize(
    ("sent", "is_packed", "expected"),
    [
        ([0.5, -2, 3.25], False, [0.5, -2, 3.25]),
        ([0.5, -2, 3.25], True, packed(0.5, -2, 3.25)),
        (packed(0.5, -2, 3.25), False, [0.5, -2, 3.25]),
        (packed(0.5, -2, 3.25), True, packed(0.5, -2, 3.25)),
    ],
)
def test_vectors_take_the_form_the_client_reads(sent: Any, is_packed: bool, expected: Any) -> None:
    reply = compatible.decode_reply(data(sent, usage={"prompt_tokens": 3}), wants(1, packed=is_packed))
    assert (vectors(reply), reply.tokens) == ([expected], 3)


@settings(max_examples=100)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=20))
def test_a_float_is_the_same_in_both_forms(numbers: list[float]) -> None:
    there = compatible.decode_reply(data(numbers), wants(1, packed=True))
    back = compatible.decode_reply(data(vectors(there)[0]), wants(1))
    assert vectors(back) == [numbers]


@pytest.mark.parametrize("indexes", [(2, 0, 1), (0, 0, 0), (None, None, None)])
def test_vectors_stand_in_the_order_of_the_inputs(indexes: tuple[int | None, ...]) -> None:
    items = [{"embedding": [place], "index": index} for place, index in enumerate(indexes)]
    reply = compatible.decode_reply(encode({"data": items}), wants(3))
    assert vectors(reply) == ([[1], [2], [0]] if indexes[0] == 2 else [[0], [1], [2]])


BROKEN: list[tuple[str, bytes, str]] = [
    (OLLAMA, b"", "not a JSON object"),
    (OLLAMA, b"[]", "not a JSON object"),
    (OLLAMA, b"{}", "no embeddings"),
    (OLLAMA, b'{"embeddings":null}', "no embeddings"),
    (OLLAMA, b'{"embeddings":[]}', "made 0 vectors of 2 inputs"),
    (OLLAMA, b'{"embeddings":[[1],[2],[3]]}', "made 3 vectors of 2 inputs"),
    (OLLAMA, b'{"embeddings":[[1],[null]]}', "makes no sense"),
    (OLLAMA, b'{"embeddings":[[1],[[2]]]}', "makes no sense"),
    (OLLAMA, b'{"embeddings":[[1],{}]}', "makes no sense"),
    (OLLAMA, b'{"embedding":[1]}', "no embeddings"),
    (OLLAMA, b'{"error":"the runner has gone"}', "the runner has gone"),
    (OPENAI, data([1]), "made 1 vectors of 2 inputs"),
    (OPENAI, data([1], "AAAA"), "no 32-bit floats"),
    (OPENAI, data([1], "AA"), "makes no sense"),
    (OPENAI, data([1], packed(float("nan"))), "not every number is finite"),
    (OPENAI, data([1], None), "makes no sense"),
    (OPENAI, b'{"data":[{"index":0,"embedding":[1]},{"index":0}]}', "no embeddings"),
    (OPENAI, b'{"data":[{"index":1,"embedding":[1]},{"index":1,"embedding":[1]}]}', "makes no sense"),
    (OPENAI, b'{"data":[{"index":1,"embedding":[1]},{"index":2,"embedding":[1]}]}', "makes no sense"),
    (OPENAI, b'{"error":"Unexpected endpoint or method. (POST /v1/embeddings)"}', "Unexpected endpoint"),
    (OPENAI, b'{"error":{"message":"no such route","code":404},"data":[]}', "no such route"),
    (OPENAI, b'{"object":"error","message":"boom"}', "boom"),
]


@pytest.mark.parametrize(("upstream", "body", "words"), BROKEN)
def test_answers_that_are_none(upstream: str, body: bytes, words: str) -> None:
    with pytest.raises(GatewayError, match=words) as caught:
        UPSTREAMS[upstream].decode_reply(body, wants(2))
    assert caught.value.row.openai >= 500 or "route" in words


def test_a_number_too_large_for_the_form() -> None:
    body = b'{"embeddings":[[1e300]]}'
    assert vectors(native.decode_reply(body, wants(1))) == [[1e300]]
    with pytest.raises(GatewayError, match="makes no sense"):
        native.decode_reply(body, wants(1, packed=True))


@pytest.mark.parametrize("sent", [[1, 2, 3], packed(1, 2, 3)])
def test_a_vector_of_another_length_than_asked_for(sent: Any) -> None:
    assert compatible.decode_reply(data(sent), wants(1, dimensions=3)).vectors
    for dimensions in (2, 4):
        with pytest.raises(GatewayError, match=f"of 3 numbers, and cannot make them {dimensions}") as caught:
            compatible.decode_reply(data(sent), wants(1, dimensions=dimensions))
        assert (caught.value.kind, caught.value.param) == ("invalid_request", "dimensions")


@settings(max_examples=100)
@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5) | st.floats(),
        lambda x: (
            st.lists(x, max_size=3)
            | st.dictionaries(
                st.sampled_from(["data", "embeddings", "embedding", "index", "error", "usage"]), x, max_size=3
            )
        ),
    )
)
def test_an_answer_is_read_or_refused(body: Any) -> None:
    for upstream in UPSTREAMS.values():
        try:
            upstream.decode_reply(encode(body), wants(1))
        except GatewayError:
            continue


# --- the official clients ------------------------------------------------------------------------


def vector_of(text: str) -> list[float]:
    return [len(text) / 3, -0.1, *text.encode()[:2]]


def serve(upstream: str, body: Object) -> bytes:
    """What a server of this kind answers."""
    texts, count = body["input"], body.get("dimensions") or 99
    made = [vector_of(text)[:count] for text in texts]
    if upstream == OLLAMA:
        assert body.keys() <= {"model", "input", "truncate", "dimensions", "options", "keep_alive"}
        return encode({"model": "m", "embeddings": made, "total_duration": 5, "prompt_eval_count": 11})
    assert body.keys() <= {"model", "input", "encoding_format", "dimensions", "user"}
    forms = [packed(*vector) if body.get("encoding_format") == "base64" else vector for vector in made]
    items = [{"object": "embedding", "index": i, "embedding": form} for i, form in enumerate(forms)]
    usage = {"prompt_tokens": 11, "total_tokens": 11}
    return encode({"object": "list", "data": items[::-1], "model": "m", "usage": usage})


def through(upstream: str, path: str, body: bytes) -> bytes:
    """A client's request translated, served, and the answer translated back."""
    decode, answer = CLIENTS[path]
    request = decode(msgspec.json.decode(body))
    sent = UPSTREAMS[upstream].encode_request(request, Losses())
    reply = UPSTREAMS[upstream].decode_reply(serve(upstream, msgspec.json.decode(encode(sent))), request)
    return encode(answer(reply, request, STAMP))


def openai_client(upstream: str) -> openai.OpenAI:
    def handle(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=through(upstream, request.url.path, request.content), headers=JSON)

    return openai.OpenAI(
        api_key="k", base_url="http://x/v1", http_client=httpx2.Client(transport=httpx2.MockTransport(handle))
    )


def ollama_client(upstream: str) -> ollama.Client:
    def handle(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=through(upstream, request.url.path, request.content), headers=JSON)

    return ollama.Client(host="http://x", transport=httpx.MockTransport(handle))


JSON = {"content-type": "application/json"}
each_upstream = pytest.mark.parametrize("upstream", UPSTREAMS)
TEXTS = ["Paris", "Rome", "a longer text"]


@each_upstream
@pytest.mark.parametrize("form", [{}, {"encoding_format": "float"}, {"encoding_format": "base64"}], ids=str)
def test_openai_s_client(upstream: str, form: dict[str, Any]) -> None:
    with openai_client(upstream) as client:
        reply = client.embeddings.create(
            model="embed", input=TEXTS, user="u" if upstream == OPENAI else openai.omit, **form
        )
    assert (reply.object, reply.model, reply.usage.prompt_tokens, reply.usage.total_tokens) == ("list", "embed", 11, 11)
    assert [item.index for item in reply.data] == [0, 1, 2]
    for item, text in zip(reply.data, TEXTS, strict=True):
        read: Any = item.embedding
        if form.get("encoding_format") == "base64":  # then the client leaves it to its user
            read = array("f", base64.b64decode(read)).tolist()
        assert read == pytest.approx(vector_of(text), rel=1e-6)


@each_upstream
def test_openai_s_client_with_one_text_and_dimensions(upstream: str) -> None:
    with openai_client(upstream) as client:
        reply = client.embeddings.create(model="embed", input="Paris", dimensions=2)
    assert [item.embedding for item in reply.data] == [pytest.approx(vector_of("Paris")[:2], rel=1e-6)]


@each_upstream
def test_ollama_s_client(upstream: str) -> None:
    client = ollama_client(upstream)
    reply = client.embed("embed", TEXTS, truncate=True, options={"num_ctx": 99}, keep_alive="5m", dimensions=3)
    assert [list(vector) for vector in reply.embeddings] == [vector_of(text)[:3] for text in TEXTS]
    assert (reply.model, reply.prompt_eval_count, reply.total_duration, reply.load_duration) == ("embed", 11, 1000, 1)
    assert [list(vector) for vector in client.embed("embed", "Paris").embeddings] == [vector_of("Paris")]
    legacy = client.embeddings("embed", "Paris", keep_alive=5)
    assert list(legacy.embedding) == vector_of("Paris")


def test_ollama_s_client_loads_a_model() -> None:
    client = ollama_client(OLLAMA)
    assert list(client.embed("embed").embeddings) == []
    assert list(client.embeddings("embed", "").embedding) == []
