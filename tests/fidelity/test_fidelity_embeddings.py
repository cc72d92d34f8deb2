"""Every member of the SDKs' requests for vectors, to either wire: the server or the client hears of it."""

from __future__ import annotations

from copy import deepcopy
from types import ModuleType
from typing import Any

import ollama._types as ollama_types
import openai.types.embedding_create_params as openai_embeddings
import pytest

from dragoman.dialects.ollama import embedding as ollama_wire
from dragoman.dialects.openai_chat import embedding as openai_wire
from dragoman.losses import Losses
from tests.fidelity.members import record_of

TYPES: dict[str, tuple[ModuleType, type]] = {
    "openai": (openai_wire, openai_embeddings.EmbeddingCreateParams),
    "ollama": (ollama_wire, ollama_types.EmbedRequest),
}
VALUES: dict[str, Any] = {
    "model": "m",
    "input": ["zq1z"],
    "dimensions": 256,
    "user": "zq2z",
    "encoding_format": "base64",
    "truncate": True,
    "options": {"num_ctx": 4096},
    "keep_alive": "5m",
    "of_tomorrow": "zq3z",
}
IDLE = {
    ("openai", "ollama", "encoding_format"): "vectors are packed here",
    ("ollama", "openai", "options"): "tells a local runner how to use its machine",
    ("ollama", "openai", "keep_alive"): "done here",
}


def told(client: str, server: str, name: str) -> bool:
    """Whether the server or the client hears of the member."""
    (theirs, _), (wire, _) = TYPES[client], TYPES[server]
    losses = Losses()
    body = deepcopy({key: VALUES[key] for key in ("model", "input", name)})
    sent = wire.encode_request(theirs.decode_request(body), losses)
    return sent.get(name) == VALUES[name] or name in losses.dropped


@pytest.mark.parametrize("server", TYPES)
@pytest.mark.parametrize("client", TYPES)
def test_every_member_of_a_wish_for_vectors_is_told(client: str, server: str) -> None:
    names = [*record_of(TYPES[client][1]).fields, "of_tomorrow"]
    assert {name for name in names if not told(client, server, name)} == {
        name for theirs, wire, name in IDLE if (theirs, wire) == (client, server)
    }
