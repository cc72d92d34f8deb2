"""How answers of local servers end and fail, as each client must be told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cases.bed import Bed, Object, Pair, Told, bed, case, read
from tests.cases.test_cases_streaming import STREAMED

_BROKEN = ("error_event after=4", "truncation after=4", "reset after=4")
_INSIDE = ("choices", "choice", "openrouter", "openai", "vllm", "object", "llamacpp", "ollama", "string", "detail")


def words_of(error: Object) -> str:
    """The message in an error of any dialect, which must have exactly that dialect's shape."""
    match error:
        case {"type": "error", "error": {"type": str(), "message": str(words), **rest}} if not rest:
            return words
        case {"error": {"message": str(words), "type": str(), "param": _, "code": _, **rest}} if not rest:
            return words
        case {"error": str(words), **rest} if not rest:
            return words
        case _:
            raise AssertionError(f"not an error: {error}")


def finished(told: Told) -> bool:
    """Whether any frame would be taken for the end of a complete answer."""
    text = told.answer.text
    return any(sign in text for sign in ('"message_stop"', "[DONE]", '"done":true', '"finish_reason":"stop"'))


# --- failures in mid-answer ------------------------------------------------------------------------------------


@case(60, "A-C", "A-O", "A-A")
@pytest.mark.parametrize("scenario", _BROKEN)
def test_a_stream_that_breaks_ends_in_an_error_event_and_not_in_a_message_stop(pair: Pair, scenario: str) -> None:
    told = pair.ask(f"[[simulate: {scenario}]] Hi", stream=True)
    assert told.events[0]["type"] == "message_start"
    assert words_of(told.events[-1])
    assert told.answer.text.count("event: error\n") == 1
    assert not finished(told)


@case(61, "C-O", "C-A")
@pytest.mark.parametrize("scenario", _BROKEN)
def test_a_chat_stream_that_stops_ends_in_an_error_and_without_done(pair: Pair, scenario: str) -> None:
    told = pair.ask(f"[[simulate: {scenario}]] Hi", stream=True)
    assert told.events[0]["object"] == "chat.completion.chunk"
    assert words_of(told.events[-1])
    assert not finished(told)


@case(61, "C-C")
@pytest.mark.parametrize("scenario", _BROKEN)
def test_a_chat_stream_of_a_chat_server_that_breaks_ends_in_an_error(pair: Pair, scenario: str) -> None:
    told = pair.ask(f"[[simulate: {scenario}]] Hi", stream=True)
    assert told.events[0]["object"] == "chat.completion.chunk"
    assert told.events[-1]["error"]["message"]
    assert not finished(told)


@case(63, "O-A", "O-C", "O-O")
@pytest.mark.parametrize("scenario", _BROKEN)
def test_an_ollama_program_gets_a_failure_as_a_line_with_a_string(pair: Pair, scenario: str) -> None:
    told = pair.ask(f"[[simulate: {scenario}]] Hi", stream=True)
    assert "message" in told.events[0]
    assert isinstance(told.events[-1]["error"], str)
    assert words_of(told.events[-1])
    assert not finished(told)


@case(63, "O-A", "O-C", "O-O")
def test_an_ollama_program_gets_a_refusal_as_a_string(pair: Pair) -> None:
    answer = pair.ask("[[simulate: rate_limit retry_after=7]] Hi").answer
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "7"
    assert words_of(answer.json())


@case(60, "A-C", "A-O")
@case(62, "A-C", "O-C")
@STREAMED
def test_a_failure_before_the_first_word_has_a_status_of_its_own(pair: Pair, stream: bool) -> None:
    answer = pair.ask("[[simulate: error_event after=0]] Hi", stream=stream).answer
    assert answer.status_code >= 500
    assert answer.headers["content-type"].startswith("application/json")
    assert words_of({k: v for k, v in answer.json().items() if k != "request_id"})


@case(62, "A-C", "O-C")
@pytest.mark.parametrize("shape", _INSIDE)
@STREAMED
def test_an_error_inside_an_answer_with_status_200_is_known_in_every_shape(
    pair: Pair, shape: str, stream: bool
) -> None:
    words = f'[[simulate: error_event after=4 shape={shape} message="out of memory"]] Hi'
    told = pair.ask(words, stream=stream)
    if stream:
        assert "out of memory" in words_of(told.events[-1])
    else:
        assert told.answer.status_code >= 500
        assert "out of memory" in told.answer.text
    assert not finished(told)


@case(62, "A-C", "O-C")
@STREAMED
def test_an_answer_that_says_neither_an_error_nor_an_end_is_a_failure(pair: Pair, stream: bool) -> None:
    told = pair.ask("[[simulate: error_event after=4 shape=swallowed quirk=no_done]] Hi", stream=stream)
    assert told.answer.status_code >= 500 or words_of(told.events[-1])
    assert not finished(told)


@pytest.fixture(scope="module")
def persistent() -> Iterator[Bed]:
    with bed({"retries": 1}, flavors=("vllm", "llamacpp")) as running:
        yield running


@case(62, "A-C", "C-C", "O-C")
@case(69, "A-O", "C-O")
def test_what_fails_before_the_first_word_is_tried_again(pair: Pair, persistent: Bed) -> None:
    failure = "load" if pair.kind == "O" else "error_event after=0 shape=object"
    again = Pair(pair.client, pair.server, persistent)
    told = again.ask(f"[[simulate: {failure} times=1 id={pair.client}]] Hi", stream=True)
    if pair.client == pair.kind:  # a program has its own way of trying again with its own kind of server
        assert len(told.sent) == 1
        assert "error" in told.answer.text
        return
    assert "You said: Hi" in read(told, pair.client).text
    assert len(told.sent) == 2


# --- how answers end -------------------------------------------------------------------------------------------


@case(67, "A-C", "O-C")
@STREAMED
def test_a_refusal_is_a_refusal_with_its_words(pair: Pair, stream: bool) -> None:
    told = pair.ask("[[simulate: refusal]] Hi", stream=stream)
    said = read(told, pair.client)
    assert said.reason == {"A": "refusal", "O": "stop"}[pair.client]
    assert said.text == "The simulator was asked to refuse."
    if pair.client == "A":
        details = told.events[-2]["delta"] if stream else told.body
        assert details["stop_details"]["explanation"] == said.text


@case(67, "A-C", "O-C")
@STREAMED
def test_a_filtered_answer_is_a_refusal(pair: Pair, stream: bool) -> None:
    said = read(pair.ask("[[simulate: content_filter]] Hi", stream=stream), pair.client)
    assert said.reason == {"A": "refusal", "O": "stop"}[pair.client]
    assert bool(said.text) == (pair.client == "O")


@case(67, "C-A", "O-A")
@STREAMED
def test_claudes_refusal_is_told_to_other_programs(pair: Pair, stream: bool) -> None:
    told = pair.ask("[[simulate: refusal]] Hi", stream=stream)
    said = read(told, pair.client)
    assert said.reason == {"C": "content_filter", "O": "stop"}[pair.client]
    if pair.client == "O":
        assert "asked to refuse" in said.text
    else:
        assert '"refusal":' in told.answer.text


@case(68, "C-A", "O-A", "A-C", "A-O", "C-O")
@STREAMED
def test_a_full_context_ends_an_answer_as_a_length_does(pair: Pair, stream: bool) -> None:
    said = read(pair.ask("[[simulate: context_window_exceeded]] Hi", stream=stream), pair.client)
    assert said.text == "There was not enough room"
    assert (
        said.reason
        in {"A": ("max_tokens", "model_context_window_exceeded"), "C": ("length",), "O": ("length",)}[pair.client]
    )


@case(68, "A-C", "O-C", "C-C")
@STREAMED
def test_an_unknown_reason_drops_no_call(pair: Pair, stream: bool) -> None:
    told = pair.ask("[[simulate: tools calls=1 finish=future_reason]] Paris", tools=[pair.tool()], stream=stream)
    assert [call[2] for call in read(told, pair.client).calls] == [{"city": "Paris"}]


@case(69, "A-O", "C-O")
@STREAMED
def test_a_load_is_no_answer(pair: Pair, stream: bool) -> None:
    answer = pair.ask("[[simulate: load]] Hi", stream=stream).answer
    assert answer.status_code == 500
    assert "loaded the model and did not answer" in answer.text


@case(69, "A-O", "C-O")
def test_a_conversation_without_a_question_does_not_only_load_the_model(pair: Pair) -> None:
    members: Object = {"system": "Be brief."} if pair.client == "A" else {}
    messages = [{"role": "assistant", "content": "Hello"}]
    if pair.client == "C":
        messages.insert(0, {"role": "system", "content": "Be brief."})
    told = pair.ask(messages, **members)
    assert any(message["role"] == "user" for message in told.only["messages"])
    assert read(told, pair.client).text


@case(59, "A-O", "C-O")
@STREAMED
def test_a_model_without_tools_says_so_by_its_name(pair: Pair, stream: bool) -> None:
    told = pair.ask("Hi", model="ollama/phi4:latest", tools=[pair.tool()], stream=stream)
    assert told.answer.status_code == 400
    assert "phi4:latest" in told.answer.text
    assert "tools" in told.answer.text


@case(59, "O-O")
def test_a_model_without_tools_does_not_say_that_it_has_them(pair: Pair) -> None:
    shown = pair.bed.ask("O", {"model": "ollama/phi4:latest"}, "/api/show").body
    assert shown["capabilities"] == ["completion"]
    told = pair.ask("Hi", model="ollama/phi4:latest", tools=[pair.tool()])
    assert told.answer.status_code == 400
    assert "does not support tools" in words_of(told.answer.json())
