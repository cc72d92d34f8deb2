"""`dragoman smoke` passes a gateway that works and fails one that does not, for each thing that may be wrong."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from dragoman.cli.smoke_checks import at_once, red_square
from tests.cli.loopback import KEY, Answer, Call, Run, Serve, as_json

CITY = {"city": "Paris"}


def gateway(call: Call) -> Answer:
    """A little gateway with every surface, that answers as it should."""
    match call.path:
        case "/api/tags":
            able = {"name": "able", "capabilities": ["completion", "tools", "vision"]}
            return as_json({"models": [{"name": "poor", "capabilities": ["completion"]}, able]})
        case "/v1/models":
            return as_json({"data": [{"id": "able"}]})
        case "/api/chat" | "/api/generate" | "/v1/chat/completions" | "/v1/messages":
            return answer(call) if call.body else as_json({"error": "model is required"}, 400)
        case _:
            return as_json({"error": "not found"}, 404)


def answer(call: Call) -> Answer:
    assert call.body["model"] == "able"
    if call.body["stream"]:
        return Answer(STREAMS[call.path](["one,", " two"]))
    text = json.dumps(call.body)
    if "tools" in call.body and "Sunny" not in text:
        return as_json(CALLS[call.path])
    return as_json(TEXTS[call.path]("Sunny." if "Sunny" in text else "Hello."))


TEXTS: dict[str, Callable[[str], Any]] = {
    "/api/chat": lambda text: {"message": {"role": "assistant", "content": text}, "done": True},
    "/api/generate": lambda text: {"response": text, "done": True},
    "/v1/chat/completions": lambda text: {"choices": [{"message": {"role": "assistant", "content": text}}]},
    "/v1/messages": lambda text: {"content": [{"type": "text", "text": text}]},
}
FUNCTION = {"name": "get_weather", "arguments": CITY}
CALLS: dict[str, Any] = {
    "/api/chat": {"message": {"role": "assistant", "content": "", "tool_calls": [{"function": FUNCTION}]}},
    "/v1/chat/completions": {
        "choices": [
            {
                "message": {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [{"id": "c1", "function": FUNCTION | {"arguments": json.dumps(CITY)}}],
                }
            }
        ]
    },
    "/v1/messages": {"content": [{"type": "tool_use", "id": "c1", "name": "get_weather", "input": CITY}]},
}


def ndjson(*objects: Any) -> list[bytes]:
    return [json.dumps(each).encode() + b"\n" for each in objects]


def sse(*objects: Any) -> list[bytes]:
    return [f"data: {json.dumps(each) if each != '[DONE]' else each}\n\n".encode() for each in objects]


def deltas(texts: list[str]) -> list[Any]:
    return [{"choices": [{"delta": {"content": text}}]} for text in texts]


STREAMS: dict[str, Callable[[list[str]], list[bytes]]] = {
    "/api/chat": lambda texts: ndjson(
        *({"message": {"content": text}, "done": False} for text in texts), {"message": {"content": ""}, "done": True}
    ),
    "/api/generate": lambda texts: ndjson(
        *({"response": text, "done": False} for text in texts), {"response": "", "done": True}
    ),
    "/v1/chat/completions": lambda texts: sse(*deltas(texts), {"choices": []}, "[DONE]"),
    "/v1/messages": lambda texts: sse(
        {"type": "message_start"},
        *({"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}} for text in texts),
        {"type": "message_stop"},
    ),
}


def lines(result: Any) -> dict[tuple[str, str], tuple[str, str]]:
    """(surface, check) → (outcome, excerpt)."""
    return {
        (line[6:22].strip(), line[22:34].strip()): (line[:4], line.split(" s  ", 1)[1])
        for line in result.output.splitlines()[:-1]
    }


def test_a_gateway_that_works(run: Run, serve: Serve) -> None:
    result = run("smoke", serve(gateway))
    found = lines(result)
    assert {surface for surface, _ in found} == {"Ollama chat", "Ollama generate", "OpenAI chat", "Anthropic"}
    assert {outcome for outcome, _ in found.values()} == {"pass"}
    assert len(found) == 19  # /api/generate has no tools
    assert found["OpenAI chat", "models"][1] == "1 models, able first"
    assert found["OpenAI chat", "unstreamed"][1] == "Hello."
    assert found["OpenAI chat", "streamed"][1].startswith("2 pieces, the first after 0.")
    assert found["OpenAI chat", "tool"][1] == "get_weather({'city': 'Paris'}), then Sunny."
    assert result.output.splitlines()[-1].startswith("19 passed, 0 failed, ")
    assert result.exit_code == 0


def test_without_the_anthropic_surface(run: Run, serve: Serve) -> None:
    result = run("smoke", serve(lambda call: as_json({}, 404) if call.path == "/v1/messages" else gateway(call)))
    assert lines(result)["Anthropic", "all"] == ("skip", "this gateway does not serve it")
    assert result.output.splitlines()[-1].startswith("14 passed, 0 failed, ")
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([5.0 + i / 1000 for i in range(20)], True),  # twenty pieces in a fiftieth of a second, after five
        ([5.0] * 40, True),
        ([5.0 + i / 10 for i in range(20)], False),
        ([5.0] * 19, False),  # too few to tell
        ([1.9] * 40, False),  # too soon to tell
        ([5.0] * 39 + [5.1], False),
    ],
)
def test_what_is_no_streaming(times: list[float], expected: bool) -> None:
    assert at_once(times) is expected


def test_a_finished_answer_cut_to_pieces(run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dragoman.cli.smoke_checks._LATE", 0.0)
    monkeypatch.setattr("dragoman.cli.smoke_checks._BURST", 60.0)
    whole = Answer([b"".join(STREAMS["/api/chat"](["word "] * 30))])
    asked: list[Any] = []

    def script(call: Call) -> Answer:
        if call.path == "/api/chat" and call.body["stream"]:
            asked.append(call.body)
            return whole
        return gateway(call)

    outcome, excerpt = lines(run("smoke", serve(script)))["Ollama chat", "streamed"]
    assert outcome == "FAIL"
    assert excerpt.startswith("the stream is a finished answer cut to pieces: all 30 pieces, 0.")
    assert len(asked) == 2


POOR = {"name": "poor", "capabilities": ["completion"]}
EMBEDDER = {"name": "embedder", "capabilities": ["embedding"]}


def only(call: Call) -> Answer:
    """A gateway whose models can do little."""
    match call.path:
        case "/api/tags":
            return as_json({"models": [EMBEDDER, POOR]})
        case "/v1/models":
            return as_json({"data": [{"id": "embedder"}, {"id": "poor"}]})
        case "/api/show" if call.body == {"model": "hidden"}:
            return as_json({"capabilities": ["completion", "tools"]})
        case "/api/show":
            return as_json({"error": "not found"}, 404)
        case _ if call.body:
            reply = gateway(call._replace(body=call.body | {"model": "able"}))
            return reply._replace(headers={"x-dragoman-model": "poor"} if call.body["model"] == "unheard" else {})
        case _:
            return gateway(call)


@pytest.mark.parametrize(
    ("arguments", "skipped"),
    [
        ([], {"tool": "poor is not capable of tools", "image": "poor is not capable of vision"}),
        (["--model", "hidden"], {"image": "hidden is not capable of vision"}),
        (
            ["--model", "unheard"],
            {"tool": "unheard is not capable of tools", "image": "unheard is not capable of vision"},
        ),
        (["--model", "foreign"], {}),
    ],
)
def test_a_model_is_asked_for_what_it_is_capable_of(
    run: Run, serve: Serve, arguments: list[str], skipped: dict[str, str]
) -> None:
    result = run("smoke", serve(only), *arguments)
    found = lines(result)
    assert {check: excerpt for (_, check), (outcome, excerpt) in found.items() if outcome == "skip"} == skipped
    assert {outcome for outcome, _ in found.values()} <= {"pass", "skip"}
    assert result.exit_code == 0


def test_key_and_model(run: Run, serve: Serve) -> None:
    seen: set[tuple[str, str]] = set()

    def script(call: Call) -> Answer:
        seen.add((call.headers.get("authorization", ""), call.headers.get("x-api-key", "")))
        return gateway(call)

    assert run("smoke", serve(script), "--key", KEY, "--model", "able").exit_code == 0
    assert seen == {(f"Bearer {KEY}", KEY)}


def test_a_key_that_is_none(run: Run) -> None:
    result = run("smoke", "--key", f"{KEY}\n{KEY}")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "--key must be a key of visible ASCII characters, without spaces\n"


def broken(path: str, when: Callable[[Any], bool], instead: Answer) -> Callable[[Call], Answer]:
    return lambda call: instead if call.path == path and call.body and when(call.body) else gateway(call)


def streams(body: Any) -> bool:
    return bool(body["stream"])


def is_whole(body: Any) -> bool:
    return not body["stream"]


def has_tools(body: Any) -> bool:
    return "tools" in body


def has_image(body: Any) -> bool:
    return "image" in json.dumps(body)


@pytest.mark.parametrize(
    ("path", "when", "instead", "check", "expected"),
    [
        ("/api/chat", is_whole, as_json({"error": "no"}, 500), "unstreamed", 'status 500: {"error": "no"}'),
        ("/api/chat", is_whole, as_json(TEXTS["/api/chat"](" ")), "unstreamed", "the answer is empty"),
        ("/api/chat", is_whole, as_json({"done": True}), "unstreamed", "not as it should be: KeyError 'message'"),
        ("/api/chat", streams, Answer(STREAMS["/api/chat"](["one"])), "streamed", "the stream is one piece: one"),
        ("/api/chat", streams, Answer(STREAMS["/api/chat"](["a", "b"])[:2]), "streamed", "stops without an end: ab"),
        ("/api/chat", streams, Answer(ndjson({"error": "cut"})), "streamed", "the stream ends in an error: cut"),
        ("/api/chat", has_tools, as_json(TEXTS["/api/chat"]("no")), "tool", "the tool is not called: no"),
        ("/api/chat", has_image, as_json({"error": "no eyes"}, 400), "image", "status 400"),
        (
            "/api/chat",
            has_image,
            as_json(TEXTS["/api/chat"]("red"), headers={"x-dragoman-dropped": "images"}),
            "image",
            "the gateway dropped images",
        ),
        ("/api/generate", streams, Answer(ndjson({"error": "cut"})), "streamed", "the stream ends in an error: cut"),
        ("/api/generate", streams, Answer(STREAMS["/api/generate"](["one"])), "streamed", "the stream is one piece"),
        ("/v1/chat/completions", streams, Answer(sse(*deltas(["a", "b"]))), "streamed", "stops without an end"),
        (
            "/v1/chat/completions",
            streams,
            Answer(sse({"error": {"message": "cut"}})),
            "streamed",
            "the stream ends in an error: cut",
        ),
        (
            "/v1/chat/completions",
            has_tools,
            as_json(json.loads(json.dumps(CALLS["/v1/chat/completions"]).replace('{\\"city', "{city"))),
            "tool",
            "not as it should be: JSONDecodeError",
        ),
        ("/v1/messages", streams, Answer(STREAMS["/v1/messages"](["a", "b"])[:-1]), "streamed", "stops without an end"),
        (
            "/v1/messages",
            streams,
            Answer(sse({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}})),
            "streamed",
            "the stream ends in an error: busy",
        ),
    ],
)
def test_gateways_that_do_not(
    run: Run, serve: Serve, path: str, when: Callable[[Any], bool], *, instead: Answer, check: str, expected: str
) -> None:
    surfaces = {
        "/api/chat": "Ollama chat",
        "/api/generate": "Ollama generate",
        "/v1/chat/completions": "OpenAI chat",
        "/v1/messages": "Anthropic",
    }
    result = run("smoke", serve(broken(path, when, instead)))
    outcome, excerpt = lines(result)[surfaces[path], check]
    assert outcome == "FAIL"
    assert expected in excerpt
    others = [found for (surface, _), (found, _) in lines(result).items() if surface != surfaces[path]]
    assert set(others) == {"pass"}
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (lambda _: as_json({"error": "unauthorized"}, 401), 'status 401: {"error": "unauthorized"}'),
        (lambda _: as_json({"models": []}), "no models are listed; `dragoman check` says why, --model names one"),
        (lambda _: Answer([b"<html>"]), "is no gateway that answers"),
    ],
)
def test_no_gateway_at_all(run: Run, serve: Serve, script: Callable[[Call], Answer], expected: str) -> None:
    result = run("smoke", serve(script))
    assert (result.exit_code, result.stdout) == (1, "")
    assert expected in result.stderr


def test_nobody_there(run: Run) -> None:
    result = run("smoke", "127.0.0.1:9")
    assert result.exit_code == 1
    assert result.stderr == "http://127.0.0.1:9 is no gateway that answers: Connection refused\n"


def test_the_picture_is_a_red_png() -> None:
    png = base64.b64decode(red_square(64))
    assert png.startswith(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x40\x00\x00\x00\x40\x08\x02")
    start = png.index(b"IDAT") + 4
    length = int.from_bytes(png[start - 8 : start - 4], "big")
    assert zlib.decompress(png[start : start + length]) == (b"\x00" + b"\xff\x00\x00" * 64) * 64
    assert int.from_bytes(png[start + length : start + length + 4], "big") == zlib.crc32(
        png[start - 4 : start + length]
    )
