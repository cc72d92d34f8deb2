"""A program that uses the official OpenAI SDK for the Responses API, and keeps its conversation itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import openai
from openai.types.responses import Response

from dragoman.conversation import Media, Message, Part, Text
from tests.matrix.neutral import Answer, Ask, Call, Object, Results, Turn, decoded
from tests.matrix.openai_sdk import CHOICES, EFFORTS, OpenAISDK

_LAST = ("response.completed", "response.incomplete", "response.failed")


class Responses(OpenAISDK):
    """`client.responses`."""

    name = "openai responses"
    can = frozenset(
        {
            *("turns", "developer", "tools", "choice", "single", "images", "documents", "result images", "think"),
            *("levels", "thoughts", "schema", "json", "parse", "refusal"),
        }
    )
    finishes: Mapping[str, str] = {
        "stop": "completed",
        "length": "max_output_tokens",
        "context": "max_output_tokens",
        "tools": "completed",
        "stop_sequence": "completed",
        "refusal": "completed",
    }

    # --- asking ------------------------------------------------------------------------------------

    def ask(self, model: str, ask: Ask, *, streamed: bool) -> Answer:
        body = _body(model, ask)
        responses = self.client.responses
        if ask.parse is not None:
            return self._parsed(body, ask.parse, streamed=streamed)
        if not streamed:
            return self._told(responses.create(**body), 1)
        with responses.create(**body, stream=True) as stream:
            events = list(stream)
        return self._told(_summed(events), sum(event.type == "response.output_text.delta" for event in events))

    def _parsed(self, body: Object, kind: type[Any], *, streamed: bool) -> Answer:
        """The SDK's own way to have an answer in the shape of a class."""
        responses = self.client.responses
        if not streamed:
            response = responses.parse(**body, text_format=kind)
        else:
            with responses.stream(**body, text_format=kind) as stream:
                response = stream.until_done().get_final_response()
        answer = self._told(response, 1)
        answer.parsed = response.output_parsed
        return answer

    def begun(self, client: Any, model: str, ask: Ask, *, streamed: bool) -> Any:
        return client.responses.create(**_body(model, ask), stream=streamed)

    # --- reading -----------------------------------------------------------------------------------

    def _told(self, response: Response, pieces: int) -> Answer:
        if response.error is not None:
            raise openai.OpenAIError(response.error.message)
        assert response.usage is not None
        answer = Answer(pieces=pieces, headers=self.headers, turn=_sent_back(response))
        answer.finish = (response.incomplete_details and response.incomplete_details.reason) or response.status or ""
        assert (response.status == "incomplete") == (response.incomplete_details is not None)
        answer.prompt, answer.output = response.usage.input_tokens, response.usage.output_tokens
        assert response.usage.total_tokens == answer.prompt + answer.output
        for item in response.output:
            match item.type:
                case "message":
                    answer.text += "".join(part.text for part in item.content if part.type == "output_text")
                    answer.refusal += "".join(part.refusal for part in item.content if part.type == "refusal")
                case "reasoning":
                    answer.thinking += "".join(part.text for part in item.summary)
                    answer.seals += [item.encrypted_content] if item.encrypted_content else []
                case "function_call":
                    answer.calls.append(Call(item.name, decoded(item.arguments), item.call_id))
                case kind:
                    raise AssertionError(kind)
        return answer


def _summed(events: list[Any]) -> Response:
    """The answer of a stream, which is what its items and its deltas add up to.  One that failed is an exception."""
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created"
    ending = events[-1]
    if ending.type == "response.failed":
        failed: Response = ending.response
        return failed
    if ending.type not in _LAST:
        raise openai.OpenAIError("the stream has no end")
    done = [event.item for event in events if event.type == "response.output_item.done"]
    assert done == ending.response.output
    deltas = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert deltas == ending.response.output_text
    response: Response = ending.response
    return response


def _sent_back(response: Response) -> list[Object]:
    """The items as agents send them: the thoughts whole, and what only answers have left out."""
    return [item.to_dict() for item in response.output]


def _body(model: str, ask: Ask) -> Object:
    body: Object = {"model": model, "input": [item for turn in ask.turns for item in _items(turn)]}
    body |= {"max_output_tokens": ask.limit, "store": False}
    if ask.tools:
        body["tools"] = [
            {"type": "function", "name": t.name, "description": t.description, "parameters": t.schema, "strict": False}
            for t in ask.tools
        ]
    if ask.choice:
        body["tool_choice"] = CHOICES.get(ask.choice, {"type": "function", "name": ask.choice})
    if ask.single:
        body["parallel_tool_calls"] = False
    if ask.think is not None:
        effort = ask.think if isinstance(ask.think, str) else EFFORTS[ask.think]
        body["reasoning"] = {"effort": effort} | ({"summary": "auto"} if ask.think else {})
        body["include"] = ["reasoning.encrypted_content"]
    if ask.schema is not None:
        body["text"] = {"format": {"type": "json_schema", "name": "answer", "schema": ask.schema}}
    if ask.json:
        body["text"] = {"format": {"type": "json_object"}}
    return body


def _items(turn: Turn) -> Iterator[Object]:
    match turn:
        case Answer():
            yield from turn.turn
        case Results(items=items):
            for item in items:
                yield {"type": "function_call_output", "call_id": item.call.id, "output": _output(item.content)}
        case Message(content=[Text(text=text)]):
            yield {"role": turn.role, "content": text}
        case Message():
            yield {"role": turn.role, "content": [_part(part) for part in turn.content]}


def _output(content: list[Part]) -> Any:
    match content:
        case []:
            return ""
        case [Text(text=text)]:
            return text
        case _:
            return [_part(part) for part in content]


def _part(part: Part) -> Object:
    match part:
        case Text():
            return {"type": "input_text", "text": part.text}
        case Media(kind="image"):
            url = f"data:{part.media_type};base64,{part.data}"
            return {"type": "input_image", "image_url": url, "detail": "auto"}
        case Media():
            url = f"data:{part.media_type};base64,{part.data}"
            return {"type": "input_file", "filename": part.name, "file_data": url}
        case _:
            raise AssertionError(part)
