"""Items of a request, as they are listed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from openai.types.responses import ResponseItem
from pydantic import TypeAdapter

from dragoman.conversation import Object
from dragoman.dialects.openai_responses import decode_request, input_items
from dragoman.errors import GatewayError

_ITEM: TypeAdapter[Any] = TypeAdapter(ResponseItem)

GIVEN: list[Object] = [
    {"role": "user", "content": "hi"},
    {"role": "user", "content": [{"type": "input_image", "image_url": "https://a.b/c.png"}]},
    {"type": "message", "id": "msg_1", "role": "assistant", "content": "ho"},
    {"role": "assistant", "content": [{"type": "output_text", "text": "ho"}]},
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": None},
    {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": {"a": 1}},
    {"type": "function_call_output", "call_id": "call_1", "output": "x"},
    {"type": "custom_tool_call", "call_id": "call_2", "name": "f", "input": "x"},
    {"type": "custom_tool_call_output", "call_id": "call_2", "output": "x"},
]


def test_every_item_is_whole_and_has_an_id() -> None:
    body = {"model": "m", "input": GIVEN}
    before = msgspec.json.encode(body)
    listed = input_items(body, "resp_1")
    assert msgspec.json.encode(body) == before
    for item in listed:
        _ITEM.validate_python(item)
    ids = [item["id"] for item in listed]
    assert len(set(ids)) == len(ids)
    assert (ids[2], ids[4]) == ("msg_1", "rs_1")
    assert [id.split("_")[0] for id in ids] == ["msg", "msg", "msg", "msg", "rs", "fc", "fco", "ctc", "ctco"]
    assert listed[5]["arguments"] == '{"a":1}'


def test_ids_are_the_same_every_time_and_other_ones_for_another_response() -> None:
    ids = [[item["id"] for item in input_items({"input": "hi"}, seed)] for seed in ("resp_1", "resp_1", "resp_2")]
    assert ids[0] == ids[1] != ids[2]


def test_what_is_listed_means_what_was_sent() -> None:
    listed = input_items({"input": GIVEN}, "resp_1")
    sent = decode_request({"model": "m", "input": msgspec.json.decode(msgspec.json.encode(GIVEN))}).messages
    again = decode_request({"model": "m", "input": msgspec.json.decode(msgspec.json.encode(listed))}).messages
    assert [message.content for message in again] == [message.content for message in sent]


def test_a_string_is_one_message() -> None:
    (item,) = input_items({"input": "hi"})
    assert item["content"] == [{"type": "input_text", "text": "hi"}]
    assert (item["role"], item["status"]) == ("user", "completed")


@pytest.mark.parametrize("given", [7, [7]])
def test_what_is_no_list_of_items_is_refused(given: Any) -> None:
    with pytest.raises(GatewayError):
        input_items({"input": given})
