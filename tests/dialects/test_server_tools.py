"""Answers in which Anthropic's servers searched, read and ran code, as the clients of every dialect read them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import msgspec
import ollama
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from dragoman.conversation import (
    Citation,
    Event,
    Foreign,
    Format,
    Message,
    Object,
    Part,
    Reasoning,
    Reply,
    Request,
    Text,
    Thinking,
    ToolCall,
)
from dragoman.dialects import anthropic, openai_chat, openai_completions
from dragoman.dialects import ollama as ollama_wire
from dragoman.dialects.contract import Stamp
from dragoman.dialects.ollama import generate
from dragoman.dialects.sources import link, source_list
from dragoman.dialects.telling import heard, is_lossy
from dragoman.folding import Fold, unfold
from dragoman.framing import NDJSON, SSE
from dragoman.losses import Losses
from tests.dialects.transcripts import HERE, NAMES, message, stream

STAMP = Stamp(id="answer-1", model="claude", created=1_795_327_200_500_000_000, started=0, clock=lambda: 0)


def asking(origin: str, **members: Any) -> Request:
    return Request(origin=origin, model="m", messages=[Message(role="user", content=[Text(text="hi")])], **members)


def events_of(name: str, size: int = 7) -> list[Event]:
    decoder = anthropic.Decoder()
    events = decoder.feed(stream(message(name), size))
    assert decoder.skipped == []
    return events


def reply_of(name: str) -> Reply:
    return anthropic.decode_reply(message(name))


def streamed(encoder: Any, events: list[Event]) -> bytes:
    return b"".join(encoder.feed([event]) for event in events)


# --- in -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_folds_into_the_whole_answer(name: str) -> None:
    fold = Fold("anthropic")
    fold.feed(events_of(name))
    assert fold.reply.content == reply_of(name).content
    assert fold.reply.reason == reply_of(name).reason


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_goes_home_as_it_came(name: str) -> None:
    """Whichever client's turn it is that the gateway goes on with, or has remembered."""
    sent = message(name)["content"]
    for origin in ("anthropic", "openai_chat", "ollama"):
        losses = Losses()
        turns = [
            Message(role="user", content=[Text(text="hi")]),
            Message(role="assistant", content=reply_of(name).content),
        ]
        body = anthropic.encode_request(Request(origin=origin, model="m", messages=turns, max_tokens=9), losses)
        back = body["messages"][1]["content"]
        if origin != "anthropic":  # who called a client's own tool is known to the client alone
            sent = [{k: v for k, v in b.items() if k != "caller" or b["type"] != "tool_use"} for b in sent]
        assert back == sent
        assert [list(block) for block in back if block["type"] != "text"] == [
            list(block) for block in sent if block["type"] != "text"
        ]
        assert not losses.dropped


@pytest.mark.parametrize("name", NAMES)
def test_an_anthropic_client_gets_the_very_same_blocks(name: str) -> None:
    assert anthropic.encode_reply(reply_of(name), asking("anthropic"), STAMP)["content"] == message(name)["content"]


# --- out ------------------------------------------------------------------------------------------


def by_openai(name: str, **members: Any) -> Object:
    """The message an OpenAI client gets, streamed and not: the same."""
    request = asking("openai_chat", **members)
    whole = ChatCompletion.model_validate(openai_chat.encode_reply(reply_of(name), request, STAMP))
    state: ChatCompletionStreamState[Any] = ChatCompletionStreamState()
    for frame in SSE().feed(streamed(openai_chat.Encoder(request, STAMP), events_of(name))):
        if frame != b"[DONE]":
            state.handle_chunk(ChatCompletionChunk.model_validate_json(frame))
    said, added_up = (
        each.choices[0].message.model_dump(exclude_none=True, exclude={"parsed"})
        for each in (whole, state.current_completion_snapshot)
    )
    for call in added_up.get("tool_calls", []):
        call.pop("index", None)
        call["function"].pop("parsed_arguments", None)
    said = {key: value for key, value in said.items() if value not in ("", [])}
    assert {key: value for key, value in added_up.items() if value not in ("", [])} == said
    return said


def by_ollama(name: str, **members: Any) -> Object:
    """The message an Ollama client gets, streamed and not: the same."""
    request = asking("ollama", **members)
    whole = ollama.ChatResponse.model_validate(ollama_wire.encode_reply(reply_of(name), request, STAMP))
    said = whole.message.model_dump(exclude_none=True)
    lines = NDJSON().feed(streamed(ollama_wire.Encoder(request, STAMP), events_of(name)))
    pieces = [ollama.ChatResponse.model_validate_json(line).message for line in lines]
    assert "".join(piece.content or "" for piece in pieces) == said["content"]
    assert "".join(piece.thinking or "" for piece in pieces) == said.get("thinking", "")
    generated = generate.encode_reply(reply_of(name), request, STAMP)
    assert generated["response"] == said["content"]
    return said


def by_completions(name: str) -> str:
    request = asking("openai_completions")
    whole = Completion.model_validate(openai_completions.encode_reply(reply_of(name), request, STAMP))
    frames = SSE().feed(streamed(openai_completions.Encoder(request, STAMP), events_of(name)))
    # The SDK's type of a chunk is that of a whole answer, which always has a reason.
    chunks = [msgspec.json.decode(frame) for frame in frames if frame != b"[DONE]"]
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == whole.choices[0].text
    return whole.choices[0].text


@pytest.mark.parametrize("name", NAMES)
def test_what_clients_read(name: str) -> None:
    """UPDATE_GOLDEN=1 writes the files, for review."""
    read = {"openai": by_openai(name), "ollama": by_ollama(name), "completions": by_completions(name)}
    text = msgspec.json.format(msgspec.json.encode(read), indent=1).decode() + "\n"
    file = HERE / f"{name}.read"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text)
    assert text == file.read_text()


def test_annotations_point_at_the_cited_words() -> None:
    said = by_openai("search")
    places = [annotation["url_citation"] for annotation in said["annotations"]]
    words = [said["content"][place["start_index"] : place["end_index"]] for place in places]
    interpreted = "dragomans interpreted between the Porte and its guests"
    assert words == [interpreted, interpreted, "Venice trained its own"]
    assert "Sources" not in said["content"]


def test_sources_without_an_address_are_listed() -> None:
    said = by_openai("fetch")
    assert said["content"].partition("\n\nSources:\n")[2] == "- document 2"
    assert [each["url_citation"]["url"] for each in said["annotations"]] == ["https://example.com/report.pdf"]


def test_a_page_that_was_read_is_linked_where_it_is_cited() -> None:
    listed = by_ollama("fetch")["content"].partition("\n\nSources:\n")[2]
    assert listed == "- [Annual report, page 3](https://example.com/report.pdf)\n- document 2"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", [Format(kind="json"), Format(kind="schema", schema={"type": "object"})])
def test_an_answer_with_a_form_is_the_models_own_text(name: str, form: Format) -> None:
    own = "".join(part.text for part in reply_of(name).content if isinstance(part, Text))
    assert by_openai(name, format=form).get("content", "") == own
    assert by_ollama(name, format=form)["content"] == own


def test_a_gap_is_filled_with_the_models_own_text() -> None:
    own = "".join(part.text for part in reply_of("search").content if isinstance(part, Text))
    request = asking("openai_completions", extra={"suffix": "x"})
    assert openai_completions.encode_reply(reply_of("search"), request, STAMP)["choices"][0]["text"] == own


def test_who_wants_no_thinking_sees_no_steps() -> None:
    hidden = Reasoning(enabled=False, visible=False)
    assert "reasoning_content" not in by_openai("search", reasoning=hidden)
    said = by_ollama("search", reasoning=hidden)
    assert "thinking" not in said
    assert "Sources:\n- [Dragoman (Ottoman)](https://en.wikipedia.org/wiki/Dragoman_%28Ottoman%29)" in said["content"]


# --- what comes back ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_what_is_heard_is_what_comes_back(name: str) -> None:
    """`heard` and the client's next request say the same: text, calls; thoughts do not matter."""
    request = asking("openai_chat")
    body = {"model": "m", "messages": [by_openai(name)]}
    back = openai_chat.decode_request(body).messages[0].content
    assert words_and_calls(back) == words_and_calls(heard(reply_of(name).content, request))
    request = asking("ollama")
    answer = ollama_wire.encode_reply(reply_of(name), request, STAMP)["message"]
    back = ollama_wire.decode_request({"model": "m", "messages": [answer]}).messages[0].content
    assert words_and_calls(back) == words_and_calls(heard(reply_of(name).content, request))


def words_and_calls(content: list[Part]) -> tuple[str, list[tuple[str, str]]]:
    calls = [(part.name, part.arguments) for part in content if isinstance(part, ToolCall)]
    return "".join(part.text for part in content if isinstance(part, Text)), calls


def test_an_anthropic_client_sends_everything_back() -> None:
    content = reply_of("search").content
    assert heard(content, asking("anthropic")) == content


@pytest.mark.parametrize(
    ("content", "lossy"),
    [
        ([Text(text="a")], False),
        ([Text(text="a", citations=[Citation(url="https://h", extra={"type": "url_citation"})])], False),
        ([Thinking(text="a"), ToolCall(id="1", name="f", arguments="{}")], False),
        ([Foreign(origin="anthropic", extra={"type": "server_tool_use"})], True),
        ([Text(text="a", citations=[Citation(extra={"type": "char_location"})])], True),
    ],
)
def test_what_cannot_come_back(content: list[Part], lossy: bool) -> None:
    assert is_lossy(content) is lossy


# --- any answer -----------------------------------------------------------------------------------

WORDS = st.sampled_from(["", "a", "So. ", "🐉\n", "```", "é"])
CITATIONS = st.sampled_from(
    [
        Citation(url="https://h/x", title="T", extra={"type": "web_search_result_location", "url": "https://h/x"}),
        Citation(title="Annual report", extra={"type": "page_location", "start_page_number": 1, "end_page_number": 3}),
        Citation(url="kb/1", title="K", extra={"type": "search_result_location", "source": "kb/1"}),
    ]
)
SEARCHED_BLOCKS = [
    part for name in NAMES for part in anthropic.decode_reply(message(name)).content if isinstance(part, Foreign)
]
PARTS: st.SearchStrategy[Part] = st.one_of(
    st.sampled_from(SEARCHED_BLOCKS),
    st.builds(lambda text, citations: Text(text=text, citations=citations), WORDS, st.lists(CITATIONS, max_size=2)),
    st.builds(lambda text: Thinking(text=text), WORDS),
    st.just(ToolCall(id="toolu_1", name="f", arguments='{"a":1}')),
)


@settings(max_examples=150, deadline=None)
@given(content=st.lists(PARTS, max_size=7), formed=st.booleans())
def test_a_stream_tells_what_a_whole_answer_tells(content: list[Part], formed: bool) -> None:
    reply = Reply(origin="anthropic", id="x", model="m", content=content)
    form = {"format": Format(kind="json")} if formed else {}
    chat = asking("openai_chat", **form)
    said = openai_chat.encode_reply(reply, chat, STAMP)["choices"][0]["message"]
    data = openai_chat.Encoder(chat, STAMP).feed(unfold(reply))
    deltas = [
        choice["delta"]
        for frame in SSE().feed(data)
        if frame != b"[DONE]"
        for choice in msgspec.json.decode(frame)["choices"]
    ]
    assert "".join(delta.get("content") or "" for delta in deltas) == (said["content"] or "")
    told = "".join(delta.get("reasoning_content", "") for delta in deltas)
    assert told == said.get("reasoning_content", "")
    assert [each for delta in deltas for each in delta.get("annotations", [])] == said["annotations"]
    for annotation in said["annotations"]:
        place = annotation["url_citation"]
        assert 0 <= place["start_index"] <= place["end_index"] <= len(said["content"])
    local = asking("ollama", **form)
    answer = ollama_wire.encode_reply(reply, local, STAMP)["message"]
    lines = [msgspec.json.decode(line) for line in NDJSON().feed(ollama_wire.Encoder(local, STAMP).feed(unfold(reply)))]
    assert "".join(line["message"]["content"] for line in lines) == answer["content"]
    for request, text in ((chat, said["content"] or ""), (local, answer["content"])):
        assert words_and_calls(heard(content, request))[0] == text


# --- sources of other servers ---------------------------------------------------------------------

URL_CITATION: Object = {
    "type": "url_citation",
    "url_citation": {"start_index": 3, "end_index": 6, "title": "T", "url": "https://h/x"},
}
SEARCHED: Object = {
    "id": "chatcmpl-9",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-5-search-api",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "It is so.", "annotations": [URL_CITATION]},
        }
    ],
}


def test_annotations_of_an_openai_server() -> None:
    def reply() -> Reply:
        return openai_chat.decode_reply(msgspec.json.decode(msgspec.json.encode(SEARCHED)))

    mine = openai_chat.encode_reply(reply(), asking("openai_chat"), STAMP)["choices"][0]["message"]
    assert (mine["content"], mine["annotations"]) == ("It is so.", [URL_CITATION])
    data = openai_chat.Encoder(asking("openai_chat"), STAMP).feed(unfold(reply()))
    assert msgspec.json.encode([URL_CITATION]) in data
    local = ollama_wire.encode_reply(reply(), asking("ollama"), STAMP)["message"]["content"]
    assert local == "It is so.\n\nSources:\n- [T](https://h/x)"
    block = anthropic.encode_reply(reply(), asking("anthropic"), STAMP)["content"][0]
    assert block["citations"][0]["url"] == "https://h/x"
    assert block["citations"][0]["encrypted_index"].startswith("dragoman."), "an index of Anthropic's was made up"


def test_an_annotation_that_does_not_fit_the_text_covers_all_of_it() -> None:
    body = msgspec.json.decode(msgspec.json.encode(SEARCHED))
    body["choices"][0]["message"]["content"] = "Short"
    message = openai_chat.encode_reply(openai_chat.decode_reply(body), asking("openai_chat"), STAMP)["choices"][0]
    place = message["message"]["annotations"][0]["url_citation"]
    assert (place["start_index"], place["end_index"]) == (0, 5)


@pytest.mark.parametrize(
    ("url", "title", "shown"),
    [
        ("https://h/x", "A title", "[A title](https://h/x)"),
        ("https://h/x", "", "[https://h/x](https://h/x)"),
        ("https://h/a b(c)", "[A]\n title", "[(A) title](https://h/a%20b%28c%29)"),
        ("HTTPS://h", "T", "[T](HTTPS://h)"),
        ("javascript:alert(1)", "T", "T: javascript:alert(1)"),
        ("kb/12", "", "kb/12"),
        ("", "T", "T"),
        ("", "", ""),
    ],
)
def test_links(url: str, title: str, shown: str) -> None:
    assert link(url, title) == shown


PAGES: list[tuple[Object, str]] = [
    ({"type": "page_location", "start_page_number": 3, "end_page_number": 4}, "- Report, page 3"),
    ({"type": "page_location", "start_page_number": 3, "end_page_number": 6}, "- Report, pages 3–5"),
    ({"type": "page_location", "start_page_number": "3", "end_page_number": None}, "- Report"),
    ({"type": "char_location", "start_char_index": 3, "end_char_index": 6}, "- Report"),
]


@pytest.mark.parametrize(("extra", "line"), PAGES)
def test_places_in_documents(extra: Object, line: str) -> None:
    assert source_list([Citation(title="Report", extra=extra)]) == f"Sources:\n{line}"


def test_each_source_is_listed_once_in_order() -> None:
    cited = [Citation(url="https://b"), Citation(url="https://a"), Citation(url="https://b"), Citation()]
    assert source_list(cited) == "Sources:\n- [https://b](https://b)\n- [https://a](https://a)"
    assert source_list([]) == ""


MALFORMED: list[Object] = [
    {"type": "server_tool_use"},
    {"type": "server_tool_use", "name": 1, "input": []},
    {"type": "web_search_tool_result", "content": "x"},
    {"type": "web_search_tool_result", "content": [1, {"url": None}]},
    {"type": "web_fetch_tool_result", "content": {"content": 1}},
    {"type": "bash_code_execution_tool_result", "content": {"stdout": 1, "return_code": "0", "content": 3}},
    {"type": "text_editor_code_execution_tool_result", "content": {"lines": 4}},
    {"type": "tool_search_tool_result", "content": None},
    {"type": "mcp_tool_result", "content": {}},
    {"type": "advisor_tool_result", "content": {"text": "Be brief."}},
    {"type": "advisor_tool_result", "content": {"error_code": "unavailable"}},
    {"type": "container_upload", "file_id": "file_1"},
    {"type": "novel"},
]


@pytest.mark.parametrize("block", MALFORMED)
@pytest.mark.parametrize(
    "encode", [openai_chat.encode_reply, ollama_wire.encode_reply, openai_completions.encode_reply]
)
def test_no_block_breaks_an_answer(block: Object, encode: Callable[..., Object]) -> None:
    reply = Reply(origin="anthropic", id="x", model="m", content=[Foreign(origin="anthropic", extra=block)])
    assert encode(reply, asking("openai_chat"), STAMP)
