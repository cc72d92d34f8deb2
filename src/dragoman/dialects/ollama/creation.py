"""/api/create, as far as it makes a model of another one, and what such a model puts into a request.

https://docs.ollama.com/api/create
"""

from __future__ import annotations

import json

import msgspec
from msgspec import Struct, field

from dragoman.conversation import JSON, Object, Request
from dragoman.dialects.ollama.messages import decode_messages
from dragoman.dialects.ollama.options import decode_options
from dragoman.dialects.ollama.vocabulary import NAME
from dragoman.dialects.reading import objects, strings, take
from dragoman.errors import GatewayError, invalid

ON_A_SERVER = ("files", "adapters", "draft_files", "quantize", "quantization", "draft_quantize")
"""What only a server that has the weights can do."""
KEPT = ("renderer", "parser", "requires")
"""What is about how a server writes the prompt, besides the template: kept and shown."""
_HELD = ("system", "template", "license", "parameters", "messages")

_encode = msgspec.json.Encoder().encode


class Creation(Struct, kw_only=True):
    """What a client wants made.  `base` is the model it is made from, `server` the first of `ON_A_SERVER` that is asked
    for, `rest` what nobody here understands."""

    model: str
    base: str
    stream: bool
    system: str = ""
    template: str = ""
    license: list[str] = field(default_factory=list)
    parameters: Object = field(default_factory=dict)
    messages: list[Object] = field(default_factory=list)
    kept: Object = field(default_factory=dict)
    server: str = ""
    rest: Object = field(default_factory=dict)


def decode_create(body: Object, most: int | None = None) -> Creation:
    """Take a create request apart.  Raises "invalid_request" with the member that is wrong, and "too_large" when what
    is to be kept is more than `most` bytes as JSON: that much of it is not looked into.

    What a server is to make of its own files is its business.
    """
    stream = take(body, "stream", bool)
    model, name = take(body, "model", str), take(body, "name", str)
    creation = Creation(model=model or name or "", base=take(body, "from", str) or "", stream=stream is not False)
    creation.server = next((name for name in ON_A_SERVER if body.pop(name, None)), "")
    creation.system = take(body, "system", str) or ""
    creation.template = take(body, "template", str) or ""
    creation.license = [text for text in strings(body.pop("license", None) or [], "license") if text]
    creation.parameters = {k: v for k, v in (take(body, "parameters", dict) or {}).items() if v is not None}
    creation.messages = [message for message, _ in objects(body.pop("messages", None) or [], "messages")]
    creation.kept = {name: text for name in KEPT if (text := take(body, name, str))}
    creation.rest = {name: value for name, value in body.items() if value not in _NOTHING}
    if not creation.server:
        if most is not None and json_size([getattr(creation, name) for name in _HELD]) > most:
            raise GatewayError("too_large", f"a derived model may be {most} bytes, and this one is more")
        decode_given(creation.parameters, creation.messages)
    return creation


def json_size(value: JSON) -> int:
    """How many bytes it is as JSON."""
    try:
        return len(_encode(value))
    except UnicodeEncodeError:  # half a character, which the store keeps escaped
        return len(json.dumps(value))


def decode_given(parameters: Object, messages: list[Object]) -> Request:
    """What a model made so puts into a request: messages, members, and under "options" in `extra` the rest.

    Raises "invalid_request" with the member that is wrong.
    """
    for number, message in enumerate(messages):
        if message.get("role") not in ("system", "user", "assistant", "tool"):
            where = f"messages[{number}].role"
            raise invalid(f"{where} must be system, user, assistant or tool", where)
    given = Request(origin=NAME, model="", messages=decode_messages([dict(message) for message in messages]))
    decode_options({"options": dict(parameters)}, given)
    return given


_NOTHING: tuple[JSON, ...] = (None, "", [], {}, False)
