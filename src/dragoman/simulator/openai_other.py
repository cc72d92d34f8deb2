"""What a server answers beside text: its models, embeddings, token counts, its state.

https://platform.openai.com/docs/api-reference/embeddings, .../models;
https://docs.vllm.ai/en/stable/serving/openai_compatible_server.html;
https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
"""

from __future__ import annotations

import base64
import random
import struct
from collections.abc import Mapping

from dragoman.conversation import Object
from dragoman.simulator.openai_flavors import Flavor, Model
from dragoman.simulator.openai_prompt import decode_prompt, prompt_tokens, template, token_ids
from dragoman.simulator.openai_refused import missing_model, too_long, wrong
from dragoman.simulator.openai_wire import EMBEDDING, MESSAGES

_CREATED = 1_763_000_000  # of every model


# --- models ------------------------------------------------------------------------------------------


def describe_model(model: Model, flavor: Flavor) -> Object:
    """One element of the list, with what this kind of server adds to it."""
    out: Object = {"id": model.id, "object": "model", "created": _CREATED, "owned_by": flavor.owner}
    name, _, inner = flavor.context_member.partition(".")
    if name:
        out[name] = {inner: model.context} if inner else model.context
    if flavor.modalities:
        kinds = {"text": True, "image": model.vision, "audio": model.audio, "file": model.files}
        out["architecture"] = {"input_modalities": [kind for kind, has in kinds.items() if has]}
        out["supported_parameters"] = [*(["tools"] * model.tools), *(["reasoning"] * model.thinks)]
    return out


def list_models(models: Mapping[str, Model], flavor: Flavor) -> Object:
    """`GET /v1/models`."""
    data: list[Object] | None = [describe_model(model, flavor) for model in models.values()]
    return {"object": "list", "data": None if not data and flavor.no_models == "null" else data}


# --- embeddings --------------------------------------------------------------------------------------


def embeddings(body: Object, flavor: Flavor, model: Model) -> Object:
    """`POST /v1/embeddings`: vectors of length 1 that depend on nothing but the text.  Raises `Refused`."""
    texts = decode_prompt(body["input"])
    if not all(texts):
        raise wrong("Invalid 'input': input cannot be an empty string.", "input")
    size = _size(body, model)
    counts = [len(token_ids(words)) for words in texts]
    for count in counts:
        if count > model.context:
            raise too_long(count, model.context)
    packed = body.get("encoding_format") == "base64"
    data: list[Object] = [
        {"object": "embedding", "index": index, "embedding": _vector(words, size, packed=packed)}
        for index, words in enumerate(texts)
    ]
    tokens = {"prompt_tokens": sum(counts), "total_tokens": sum(counts)}
    return {"object": "list", "data": data, "model": model.id, "usage": tokens}


def check_embedding(body: Object, flavor: Flavor, model: Model) -> None:
    """The shape of the request.  Raises `Refused`."""
    EMBEDDING(body, "", flavor.strict)


def _size(body: Object, model: Model) -> int:
    size = int(body.get("dimensions") or model.dimensions)
    if size > model.dimensions:
        raise wrong(f"Invalid 'dimensions': this model has {model.dimensions}.", "dimensions", "invalid_value")
    return size


def _vector(words: str, size: int, *, packed: bool) -> list[float] | str:
    source = random.Random(words)  # a text always has the same vector
    raw = [source.gauss(0, 1) for _ in range(size)]
    length = sum(value * value for value in raw) ** 0.5 or 1.0
    data = struct.pack(f"<{size}f", *(value / length for value in raw))
    return base64.b64encode(data).decode() if packed else list(struct.unpack(f"<{size}f", data))


# --- counting and state ------------------------------------------------------------------------------


def tokenize(body: Object, models: Mapping[str, Model], flavor: Flavor) -> Object:
    """`POST /tokenize`: vLLM's takes `messages` or `prompt` and counts, llama.cpp's takes `content`.

    Raises `Refused`.
    """
    if "/apply-template" in flavor.endpoints:
        content = body.get("content")
        if not isinstance(content, str):
            raise wrong("'content' is required", "content")
        return {"tokens": token_ids(content)}
    name = body.get("model") or next(iter(models), "")
    model = models.get(name) if isinstance(name, str) else None
    if model is None:
        raise missing_model(str(name))
    if isinstance(prompt := body.get("prompt"), str):
        tokens = token_ids(prompt)
        count = len(tokens)
    else:
        _check_messages(body)
        tokens = token_ids(template(body))
        count = prompt_tokens(body)
        tokens += [0] * (count - len(tokens))
    return {"count": count, "max_model_len": model.context, "tokens": tokens, "token_strs": None}


def apply_template(body: Object) -> Object:
    """`POST /apply-template`: the prompt that a chat completion would have.  Raises `Refused`."""
    _check_messages(body)
    return {"prompt": template(body)}


def _check_messages(body: Object) -> None:
    MESSAGES(body.get("messages"), "messages", False)


def props(models: Mapping[str, Model]) -> Object:
    """`GET /props`."""
    model = next(iter(models.values()))
    return {
        "default_generation_settings": {"id": 0, "n_ctx": model.context, "params": {}},
        "total_slots": 1,
        "model_path": model.id,
        "chat_template": "chatml",
        "modalities": {"vision": model.vision, "audio": model.audio},
    }
