"""Would this kind of server take this chat completion?  What the tables of `openai_wire` cannot say.

https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any

from dragoman.conversation import Object
from dragoman.media import split_data_url
from dragoman.simulator.openai_flavors import Flavor, Model
from dragoman.simulator.openai_refused import wrong
from dragoman.simulator.openai_shape import unsupported
from dragoman.simulator.openai_wire import CHAT
from dragoman.simulator.pictures import pages, read_picture
from dragoman.simulator.schemas import well_formed

_RESTRICTED = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
_DEFAULTS = {"temperature": 1, "top_p": 1, "presence_penalty": 0, "frequency_penalty": 0}
_NEEDS_TOOLS = ("tool_choice", "parallel_tool_calls")


def check_chat(body: Object, flavor: Flavor, model: Model) -> None:
    """The shape, then what the model takes, then how the messages hang together.  Raises `Refused`."""
    CHAT(body, "", flavor.strict)
    _options(body)
    if model.restricted:
        _restricted(body)
    _tools(body, flavor, model)
    _response_format(body, flavor)
    for index, message in enumerate(body["messages"]):
        _message(message, f"messages[{index}]", flavor)
        for part, at in parts_of(message, index):
            _media(part, at, flavor, model)
    if model.system_first:
        _system_first(body["messages"])
    if flavor.pairs:
        _pairs(body["messages"])


def check_replay(body: Object) -> None:
    """Turns with tool calls must bring their reasoning back, where the model thinks."""
    for message in body["messages"]:
        if message.get("tool_calls") and not isinstance(message.get("reasoning_content"), str):
            raise wrong("The `reasoning_content` in the thinking mode must be passed back to the API.")


def check_proofs(body: Object, model: Model, proof: str) -> None:
    """`reasoning_details` come back as they were sent: `proof` starts every signature of this model."""
    for index, message in enumerate(body["messages"]):
        listed = message.get("reasoning_details")
        for number, detail in enumerate(listed if isinstance(listed, list) else []):
            if not isinstance(detail, dict):
                raise wrong(f"messages[{index}].reasoning_details[{number}] must be an object")
            at = f"messages[{index}].reasoning_details[{number}]"
            seal = detail.get("signature" if model.proof == "signature" else "data")
            if seal and not str(seal).startswith(proof):
                raise wrong(f"Invalid `signature` in `thinking` block at {at}.", at)
            if seal and model.proof == "signature" and seal != sign(proof, str(detail.get("text") or "")):
                raise wrong(f"The text of {at} is not what was signed.", at)


def sign(proof: str, text: str) -> str:
    """The signature of a reasoning text."""
    return f"{proof}{binascii.crc32(text.encode('utf-8', 'surrogatepass')):08x}"


def parts_of(message: Object, index: int) -> Iterator[tuple[Object, str]]:
    """The content parts of a message, with their paths; none when it is plain text."""
    content = message.get("content")
    for number, part in enumerate(content if isinstance(content, list) else []):
        yield part, f"messages[{index}].content[{number}]"


# --- options -----------------------------------------------------------------------------------------


def _options(body: Object) -> None:
    if body.get("stream_options") is not None and not body.get("stream"):
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise wrong(message, "stream_options")
    if body.get("top_logprobs") is not None and not body.get("logprobs"):
        message = "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled."
        raise wrong(message, "top_logprobs")
    metadata = body.get("metadata") or {}
    if len(metadata) > 16 or any(not isinstance(value, str) or len(value) > 512 for value in metadata.values()):
        raise wrong("Invalid 'metadata': at most 16 pairs of strings of at most 512 characters.", "metadata")


def _restricted(body: Object) -> None:
    if body.get("max_tokens") is not None:
        message = "Unsupported parameter: 'max_tokens' is not supported with this model. "
        raise wrong(message + "Use 'max_completion_tokens' instead.", "max_tokens", "unsupported_parameter")
    for name in _RESTRICTED:
        given = body.get(name)
        if given is not None and given != _DEFAULTS[name]:
            message = f"Unsupported value: '{name}' does not support {given} with this model. "
            message += f"Only the default ({_DEFAULTS[name]}) value is supported."
            raise wrong(message, name, "unsupported_value")


# --- tools and formats -------------------------------------------------------------------------------


def _tools(body: Object, flavor: Flavor, model: Model) -> None:
    tools: list[Object] = body.get("tools") or []
    if (tools or body.get("functions")) and not model.tools:
        raise wrong(f"{model.id} does not support tools")
    for index, function in enumerate(body.get("functions") or []):
        _schema(function.get("parameters"), f"functions[{index}].parameters", f"function '{function['name']}'")
    if not tools:
        for name in _NEEDS_TOOLS:
            given = body.get(name)
            if given is not None and flavor.strict:
                raise wrong(f"'{name}' is only allowed when 'tools' are specified.", name)
        return
    for index, tool in enumerate(tools):
        if tool["type"] == "custom" and not model.custom_tools:
            raise unsupported("custom", f"tools[{index}].type", ("function",))
        function = tool.get("function") or {}
        _schema(function.get("parameters"), f"tools[{index}].function.parameters", f"function '{function.get('name')}'")
        if function.get("strict"):
            at = f"tools[{index}].function.parameters"
            _strict_schema(function.get("parameters") or {}, at, f"function '{function['name']}'")
    names = {tool[tool["type"]]["name"] for tool in tools}
    choice = body.get("tool_choice")
    if not isinstance(choice, dict):
        return
    if choice["type"] == "allowed_tools":
        wanted = {tool[tool["type"]]["name"] for tool in choice["allowed_tools"]["tools"]}
    else:
        wanted = {choice[choice["type"]]["name"]}
    if not wanted <= names:
        missing = sorted(wanted - names)[0]
        raise wrong(f"Tool choice '{missing}' not found in 'tools' parameter.", "tool_choice")


def _response_format(body: Object, flavor: Flavor) -> None:
    wanted = body.get("response_format") or {"type": "text"}
    if wanted["type"] == "json_object" and flavor.strict and not _says_json(body["messages"]):
        message = (
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        )
        raise wrong(message, "messages")
    inner = wanted.get("json_schema") or {}
    at = "response_format.json_schema.schema"
    _schema(inner.get("schema", wanted.get("schema")), at, "response_format")
    if inner.get("strict"):
        _strict_schema(inner.get("schema") or {}, at, f"response_format '{inner['name']}'")


def _says_json(messages: list[Object]) -> bool:
    return any(re.search("(?i)json", words) for message in messages for words in texts(message))


def texts(message: Object) -> Iterator[str]:
    """The text of a message, part by part."""
    content = message.get("content")
    if isinstance(content, str):
        yield content
    for part in content if isinstance(content, list) else []:
        if isinstance(words := part.get("text"), str):
            yield words


def _schema(schema: Any, at: str, what: str) -> None:
    if schema is not None and not (isinstance(schema, dict) and well_formed(schema)):
        raise wrong(f"Invalid schema for {what}: it is not a valid JSON Schema.", at, "invalid_json_schema")


def _strict_schema(schema: Any, at: str, what: str, context: tuple[str, ...] = ()) -> None:
    """`strict` wants every object closed and every property required."""
    if not isinstance(schema, dict):
        return
    properties = schema.get("properties")
    where = f"Invalid schema for {what}: In context={context!r},"
    if schema.get("type") == "object" or isinstance(properties, dict):
        if schema.get("additionalProperties") is not False:
            message = f"{where} 'additionalProperties' is required to be supplied and to be false."
            raise wrong(message, at, "invalid_json_schema")
        missing = [name for name in properties or {} if name not in (schema.get("required") or [])]
        if missing:
            message = f"{where} 'required' is required to be supplied and to be an array including every key in "
            raise wrong(f"{message}properties. Missing '{missing[0]}'.", at, "invalid_json_schema")
    for group in ("properties", "$defs", "definitions"):
        for name, inner in (schema.get(group) or {}).items():
            _strict_schema(inner, at, what, (*context, group, name))
    for inner in [schema.get("items"), *(schema.get("anyOf") or [])]:
        _strict_schema(inner, at, what, (*context, "items"))


# --- messages ----------------------------------------------------------------------------------------


def _message(message: Object, at: str, flavor: Flavor) -> None:
    if message["role"] != "assistant":
        return
    said = message.get("content") is not None or message.get("refusal") or message.get("audio")
    if not (said or message.get("tool_calls") or message.get("function_call")):
        text = f"Invalid value for 'content': expected a string, got null. ({at}.content)"
        raise wrong(text, f"{at}.content", "invalid_value")


def _system_first(messages: list[Object]) -> None:
    later = [message["role"] for message in messages[1:]]
    if "system" in later or "developer" in later:
        raise wrong("System message must be at the beginning.")


def _pairs(messages: list[Object]) -> None:
    """Every call has its result right after it, and every result its call."""
    open_calls: list[str] = []
    calls_at = 0
    for index, message in enumerate([*messages, {"role": "end"}]):
        if message["role"] == "tool":
            if message["tool_call_id"] not in open_calls:
                text = "Invalid parameter: messages with role 'tool' must be a response to a preceeding message "
                raise wrong(f"{text}with 'tool_calls'.", f"messages.[{index}].role")
            open_calls.remove(message["tool_call_id"])
            continue
        if open_calls:
            text = "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            text += (
                f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(open_calls)}"
            )
            raise wrong(text, f"messages.[{calls_at}].role")
        open_calls, calls_at = [call["id"] for call in message.get("tool_calls") or []], index


# --- media -------------------------------------------------------------------------------------------


def _media(part: Object, at: str, flavor: Flavor, model: Model) -> None:
    match part["type"]:
        case "image_url":
            _image(part["image_url"]["url"], f"{at}.image_url.url", flavor, model)
        case "input_audio":
            if flavor.inline_media:
                raise wrong("invalid message format")
            if not model.audio:
                raise wrong(f"{model.id} does not support audio input.", at, "invalid_value")
            _decoded(part["input_audio"]["data"], f"{at}.input_audio.data")
        case "file":
            if flavor.inline_media:
                raise wrong("invalid message format")
            _file(part["file"], f"{at}.file", model)


def _image(url: str, at: str, flavor: Flavor, model: Model) -> None:
    if not model.vision:
        raise wrong(f"{model.id} does not support image input.", at.removesuffix(".image_url.url"), "invalid_value")
    if flavor.inline_media and not url.startswith("data:"):
        raise wrong("invalid image input")
    if url.startswith(("https://", "http://")):
        return
    media_type, data = _data_url(url, at)
    _decoded(data, at)
    if read_picture(data) is None or not media_type.startswith("image/"):
        message = "You uploaded an unsupported image. Please make sure your image has of one the following formats: "
        raise wrong(f"{message}['png', 'jpeg', 'gif', 'webp'].", at, "invalid_image_format")


def _file(file: Object, at: str, model: Model) -> None:
    if not model.files:
        raise wrong(f"{model.id} does not support file input.", at.removesuffix(".file"), "invalid_value")
    data = file.get("file_data")
    if data is None:
        if not file.get("file_id"):
            raise wrong(f"Missing required parameter: '{at}.file_id'.", f"{at}.file_id", "missing_required_parameter")
        raise wrong(f"No file found with id '{file['file_id']}'.", f"{at}.file_id")
    if not file.get("filename"):
        raise wrong(f"Missing required parameter: '{at}.filename'.", f"{at}.filename", "missing_required_parameter")
    media_type, inner = _data_url(data, f"{at}.file_data")
    _decoded(inner, f"{at}.file_data")
    if media_type != "application/pdf" or not pages(inner):
        raise wrong(f"Invalid file data: '{at}.file_data'. Expected a PDF.", f"{at}.file_data", "invalid_value")


def _data_url(url: str, at: str) -> tuple[str, str]:
    """(media type, base64) of a data URL.  Raises `Refused`."""
    if not url.startswith("data:") or ";base64," not in url[:200]:
        message = f"Invalid '{at}': expected a base64-encoded data URL with a MIME type (e.g. "
        raise wrong(
            f"{message}'data:image/png;base64,aW1nIGJ5dGVzIGhlcmU='), but got a value without it.", at, "invalid_value"
        )
    return split_data_url(url)


def _decoded(data: str, at: str) -> None:
    try:
        base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise wrong(f"Invalid '{at}': expected base64 data.", at, "invalid_base64") from None
