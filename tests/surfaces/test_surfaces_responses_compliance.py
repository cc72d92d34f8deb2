"""Every compliance test of Open Responses by its name: which test here is it, and those that want a WebSocket by HTTP.

https://www.openresponses.org/compliance.  A gateway without WebSockets answers the upgrade with 426 at once; what those
tests ask for must hold all the same for the client that then goes on over HTTP.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tests.cases import test_cases_responses as phases
from tests.dialects.openai_responses.streams import LAST
from tests.dialects.openai_responses.strict import check_event, check_response
from tests.relay.pdfs import in_base64, pdf, text
from tests.surfaces import test_surfaces_responses as http
from tests.surfaces.responding import MODELS, TRANSLATED, Behind, Object, before_all, events, named, post
from tests.surfaces.test_surfaces_responses import WEATHER, user


@pytest.fixture(scope="module")
def bed() -> Iterator[Behind]:
    with before_all() as running:
        yield running


def ended(bed: Behind, server: str, **members: Any) -> Object:
    """The response at the end of a stream, each event of which fits the schema and the SDK's types."""
    told = events(post(bed.url, {"model": named(server), "stream": True, **members}))
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    assert [event["type"] for event in told if event["type"] in LAST] == ["response.completed"]
    assert told[-1]["type"] == "response.completed"
    # What a server of this API says to who has nothing kept is passed on as it is.
    passed = server not in TRANSLATED and members.get("store") is False
    for event in told:
        if server in TRANSLATED or ("response" in event and not passed):
            check_event(event)
    response: Object = told[-1]["response"]
    assert response["output"] == [event["item"] for event in told if event["type"] == "response.output_item.done"]
    return response


def whole(bed: Behind, server: str, **members: Any) -> Object:
    answer = post(bed.url, {"model": named(server), **members})
    assert answer.status_code == 200, answer.text
    response: Object = answer.json()
    check_response(response)
    assert response["status"] == "completed"
    return response


def said(response: Object) -> str:
    return "".join(part.get("text", "") for item in response["output"] for part in item.get("content") or ())


EVERYWHERE = pytest.mark.parametrize("server", MODELS)


@EVERYWHERE
def test_responses_one_after_the_other(bed: Behind, server: str) -> None:
    first = ended(bed, server, input=[user("Say one.")])
    second = ended(bed, server, input=[user("Say two.")])
    assert ("Say one." in said(first), "Say two." in said(second)) == (True, True)
    assert first["id"] != second["id"]


@EVERYWHERE
def test_a_continuation(bed: Behind, server: str) -> None:
    first = ended(bed, server, input=[user("I am Ann.")])
    second = ended(bed, server, input=[user("My name?")], previous_response_id=first["id"])
    assert second["previous_response_id"] == first["id"]
    assert "I am Ann." in str(bed.sent(server))


@EVERYWHERE
def test_who_has_nothing_kept_sends_all_of_it_again(bed: Behind, server: str) -> None:
    first = ended(bed, server, input=[user("I am Ann.")], store=False)
    refused = post(bed.url, {"model": named(server), "input": "x", "previous_response_id": first["id"]})
    assert refused.json()["error"]["code"] == "previous_response_not_found"
    again = ended(bed, server, input=[user("I am Ann."), *first["output"], user("My name?")], store=False)
    assert "My name?" in said(again)


@pytest.mark.parametrize("stream", [False, True])
@EVERYWHERE
def test_what_is_gone_on_from_is_not_there(bed: Behind, server: str, stream: bool) -> None:
    body = {"model": named(server), "input": "x", "previous_response_id": "resp_of_nobody", "stream": stream}
    answer = post(bed.url, body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == "previous_response_not_found"
    assert error["param"] == "previous_response_id"


@EVERYWHERE
def test_a_continuation_that_fails_is_not_gone_on_from(bed: Behind, server: str) -> None:
    """Over HTTP nothing is forgotten by it: the parent stays what it was."""
    first = whole(bed, server, input=[user("I am Ann.")])
    result = {"type": "function_call_output", "call_id": "call_of_nobody", "output": "12"}
    body = {"model": named(server), "input": [result], "previous_response_id": first["id"]}
    answer = post(bed.url, body)
    assert answer.status_code == 400, answer.text
    assert "call_of_nobody" in answer.json()["error"]["message"]
    assert whole(bed, server, input=[user("My name?")], previous_response_id=first["id"])["status"] == "completed"


@EVERYWHERE
def test_a_chain_that_begins_with_what_was_compacted(bed: Behind, server: str) -> None:
    compacted = post(bed.url, {"model": named(server), "input": [user("I am Ann.")]}, "/v1/responses/compact").json()
    first = ended(bed, server, input=[*compacted["output"], user("My name?")])
    second = ended(bed, server, input=[user("And now?")], previous_response_id=first["id"])
    assert "And now?" in said(second)


@pytest.mark.parametrize("stream", [False, True])
@EVERYWHERE
def test_a_call_and_its_result(bed: Behind, server: str, stream: bool) -> None:
    tell = ended if stream else whole
    first = tell(bed, server, input=[user("What is the weather in Paris?")], tools=[WEATHER])
    (call,) = [item for item in first["output"] if item["type"] == "function_call"]
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "12 degrees"}
    second = tell(bed, server, input=[result], tools=[WEATHER], previous_response_id=first["id"])
    assert "12 degrees" in said(second)


@EVERYWHERE
def test_a_file(bed: Behind, server: str) -> None:
    data = f"data:application/pdf;base64,{in_base64(pdf(text('The secret word is marzipan')))}"
    file = {"type": "input_file", "filename": "a.pdf", "file_data": data}
    content = [file, {"type": "input_text", "text": "What is it?"}]
    whole(bed, server, input=[{"type": "message", "role": "user", "content": content}])
    sent = str(bed.sent(server))
    assert "marzipan" in sent or data.partition(",")[2] in sent


# Those of the specification's main line, then those of a later branch; with the test of this house that is the same.
SAME: Mapping[str, tuple[Callable[..., None], ...]] = {
    "basic-response": (http.test_a_case,),
    "assistant-phase": (http.test_a_case, phases.test_a_message_with_a_phase_goes_round),
    "response-output-phase-schema": (phases.test_the_schema_of_phase,),
    "streaming-response": (http.test_streaming_response,),
    "system-prompt": (http.test_a_case,),
    "tool-calling": (http.test_tool_calling,),
    "image-input": (http.test_image_input,),
    "multi-turn": (http.test_a_case,),
    "compact-response": (http.test_compact_response,),
    "compact-missing-model": (http.test_compact_missing_model,),
    "websocket-response": (http.test_a_websocket_is_answered_at_once, http.test_streaming_response),
    "websocket-sequential-responses": (test_responses_one_after_the_other,),
    "websocket-continuation": (test_a_continuation,),
    "websocket-reconnect-store-false-recovery": (test_who_has_nothing_kept_sends_all_of_it_again,),
    "websocket-previous-response-not-found": (test_what_is_gone_on_from_is_not_there,),
    "websocket-failed-continuation-evicts-cache": (test_a_continuation_that_fails_is_not_gone_on_from,),
    "websocket-compact-new-chain": (test_a_chain_that_begins_with_what_was_compacted,),
    "function-call-roundtrip": (test_a_call_and_its_result,),
    "file-input": (test_a_file,),
    "previous-response-id": (test_a_continuation,),
}
# What needs no server, or asks none.
_ALONE = {"response-output-phase-schema", "compact-missing-model"}


@pytest.mark.parametrize("name", SAME)
def test_each_is_here_over_every_server(name: str) -> None:
    tests = SAME[name]
    assert name in _ALONE or any(_servers(test) >= set(MODELS) for test in tests)
    if http.test_a_case in tests:
        assert name in http.CASES
    for test in tests:
        assert inspect.isfunction(test) and test.__name__.startswith("test_")


def _servers(test: Any) -> set[str]:
    marks = [mark for mark in getattr(test, "pytestmark", ()) if mark.name == "parametrize"]
    return {server for mark in marks if mark.args[0] == "server" for server in mark.args[1]}
