"""The kinds of OpenAI-compatible servers, as data: one `Flavor` a table of `openai_flavors.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from importlib import resources
from typing import Literal

import msgspec
from msgspec import Struct, field

Does = Literal["chat", "completions", "embeddings"]
Form = Literal["", "reasoning", "reasoning_content", "both", "details", "think"]
Usage = Literal["asked", "always", "none", "null", "every", "finish"]


class Model(Struct, frozen=True, forbid_unknown_fields=True):
    """A model that is served.  `context` is tokens; `dimensions` the length of its embeddings.

    `restricted`: no sampling, and `max_completion_tokens` only.  `proof`: what comes with its reasoning, to be sent
    back.  `system_first`: its template takes a system message nowhere but at the start.
    """

    id: str
    does: tuple[Does, ...] = ("chat",)
    context: int = 131_072
    dimensions: int = 0
    vision: bool = True
    audio: bool = False
    files: bool = False
    tools: bool = True
    custom_tools: bool = False
    thinks: bool = False
    restricted: bool = False
    proof: Literal["", "signature", "encrypted"] = ""
    system_first: bool = False


class Flavor(Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of server.

    What it takes: `strict` refuses members it does not know, `ignores` are members it does not look at, `pairs` insists
    on a result for each tool call, `must_replay` on the reasoning of turns with calls, `inline_media` on data URLs;
    `named_choice` is false where a named `tool_choice` counts as "auto"; `any_model` where the name does not matter.

    What it answers: `error`, `stream_error` and `late_error` (unstreamed, after the status was sent) are shapes of
    `openai_refused`; `reasoning` is the member that tells it; `usage` says when it is told in a stream; `overflow`
    what a stream does at the end of the context; `quirks` are those of `openai_quirks`; `responses` is whose way it has
    of the Responses API ("": none); `telling_headers` are OpenAI's rate limits and `x-should-retry`; the rest are
    members of its own.
    """

    name: str
    models: list[Model]
    endpoints: list[str] = field(default_factory=list)
    strict: bool = False
    pairs: bool = False
    needs_key: bool = False
    must_replay: bool = False
    inline_media: bool = False
    named_choice: bool = True
    any_model: bool = False
    empty_messages: str = ""
    ignores: list[str] = field(default_factory=list)
    error: str = "openai"
    stream_error: str = ""
    late_error: str = ""
    responses: Literal["", "openai", "llamacpp"] = ""
    unknown_path: str = ""
    reasoning: Form = ""
    usage: Usage = "asked"
    overflow: Literal["length", "no_finish"] = "length"
    quirks: list[str] = field(default_factory=list)
    owner: str = "system"
    no_models: Literal["empty", "null"] = "empty"
    context_member: str = ""
    modalities: bool = False
    short_ids: bool = False
    system_fingerprint: bool = True
    fingerprint: str | None = None
    telling_headers: bool = False
    obfuscation: bool = False
    service_tier: bool = False
    details: bool = False
    stop_reason: bool = False
    timings: bool = False
    stats: bool = False
    cache_counters: bool = False
    provider: str = ""

    def served(self, wanted: Iterable[str | Model] | None) -> dict[str, Model]:
        """The models by name: those of the table, or `wanted`, where a name the table lacks is like its first."""
        listed = {model.id: model for model in self.models}
        if wanted is None:
            return listed
        named = (w if isinstance(w, Model) else listed.get(w) or _like(self.models[0], w) for w in wanted)
        return {model.id: model for model in named}


def _like(pattern: Model, name: str) -> Model:
    return msgspec.structs.replace(pattern, id=name)


def flavors() -> dict[str, Flavor]:
    """Read `openai_flavors.toml`."""
    table = tomllib.loads(resources.files(__package__).joinpath("openai_flavors.toml").read_text("utf-8"))
    return {name: msgspec.convert({**row, "name": name}, Flavor) for name, row in table.items()}


def flavor(name: str) -> Flavor:
    """One of them.  Raises ValueError with those there are."""
    table = flavors()
    if name not in table:
        raise ValueError(f"unknown flavor {name!r}; there are {', '.join(table)}")
    return table[name]
