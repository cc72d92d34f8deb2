"""The models the Ollama simulator serves, read from `ollama_models.toml`, and how a real server lists and shows them.

https://docs.ollama.com/api/tags, https://docs.ollama.com/api-reference/show-model-details
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable
from importlib import resources
from typing import NamedTuple

import msgspec
from msgspec import Struct, field

from dragoman.conversation import Object
from dragoman.models.cards import Card, EffortCard, ThinkingCard
from dragoman.simulator.refused import Refused, bad

_HOST, _NAMESPACE, _TAG = "registry.ollama.ai", "library", "latest"
_SCHEME = re.compile(r"^https?://", re.IGNORECASE)
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")
_HOST_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}")
_NAMESPACE_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}")


class Model(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model: sizes are bytes and tokens, `parameters` and `system` are its Modelfile's."""

    name: str
    family: str
    basename: str
    parameter_size: str
    parameter_count: int
    quantization: str
    size: int
    modified_at: str
    context_length: int
    embedding_length: int
    block_count: int
    capabilities: list[str]
    levels: list[str] = field(default_factory=list)
    license: str = ""
    template: str = "{{ .Prompt }}"
    system: str = ""
    parameters: Object = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """64 hexadecimal characters, without `sha256:`."""
        return hashlib.sha256(self.name.encode()).hexdigest()

    @property
    def full_name(self) -> str:
        """As capability errors spell it."""
        name = Name.parse(self.name)
        return str(name) if name else self.name

    def can(self, capability: str) -> bool:
        return capability in self.capabilities

    @property
    def card(self) -> Card:
        """As much of a card as the brain looks at."""
        return Card(
            id=self.name,
            dialect="ollama",
            upstream="ollama",
            display_name=self.name,
            context_window=self.context_length,
            max_output_tokens=self.context_length,
            image_input=self.can("vision"),
            pdf_input=False,
            structured_outputs=True,
            prefill=True,
            forced_tool_choice=False,
            mid_conversation_system=True,
            sampling="all",
            effort=EffortCard(),
            thinking=ThinkingCard(types=[], default_on=self.can("thinking")),
        )


def default_models() -> tuple[Model, ...]:
    """Read `ollama_models.toml`."""
    table = tomllib.loads(resources.files(__package__).joinpath("ollama_models.toml").read_text("utf-8"))
    return tuple(msgspec.convert(row, Model) for row in table["models"])


DEFAULT_MODELS = default_models()


# --- names ------------------------------------------------------------------------------------------------


class Name(NamedTuple):
    """`[host/][namespace/]model[:tag]`, what is left out filled in."""

    host: str
    namespace: str
    model: str
    tag: str

    @classmethod
    def parse(cls, spelling: str) -> Name | None:
        """None when it cannot be a name."""
        parts = _SCHEME.sub("", spelling).split("/")
        model, colon, tag = parts[-1].partition(":")
        namespace = parts[-2] if len(parts) > 1 else _NAMESPACE
        host = "/".join(parts[:-2]) if len(parts) > 2 else _HOST
        name = cls(host, namespace, model, tag if colon else _TAG)
        patterns = (_HOST_PART, _NAMESPACE_PART, _PART, _PART)
        return name if all(p.fullmatch(part) for p, part in zip(patterns, name, strict=True)) else None

    def __str__(self) -> str:
        return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"

    @property
    def shortest(self) -> str:
        """As lists show it: without what is the default, always with its tag."""
        host = "" if self.host == _HOST else f"{self.host}/"
        namespace = "" if not host and self.namespace == _NAMESPACE else f"{self.namespace}/"
        return f"{host}{namespace}{self.model}:{self.tag}"


class Shelf:
    """The models by name: case does not count, and neither does what may be left out."""

    def __init__(self, models: Iterable[Model]) -> None:
        self.models = sorted(models, key=lambda model: model.modified_at, reverse=True)
        self._by_name = {str(Name.parse(model.name)).casefold(): model for model in self.models}

    def put(self, model: Model) -> None:
        """Have this one, in place of one of its name."""
        key = str(Name.parse(model.name)).casefold()
        if (old := self._by_name.get(key)) is not None:
            self.models.remove(old)
        self.models.insert(0, model)
        self._by_name[key] = model

    def remove(self, model: Model) -> None:
        """Have it no more."""
        self.models.remove(model)
        del self._by_name[str(Name.parse(model.name)).casefold()]

    def find(self, spelling: str, missing: str = "model '{asked}' not found") -> Model:
        """The model of that name.  Raises `Refused`: 400 for what is no name, 404 in the words of `missing`."""
        name = Name.parse(spelling) if spelling else None
        if spelling and name is None:
            raise bad("invalid model name")
        found = self._by_name.get(str(name).casefold())
        if found is None:
            words = missing.format(asked=spelling, shortest=name.shortest if name else "")
            raise Refused(404, "not_found", words)
        return found


# --- how a server shows them ------------------------------------------------------------------------------


def details(model: Model, *, sizes: bool = False) -> Object:
    """The `details` of tags, show and ps; lists add the lengths."""
    out: Object = {
        "parent_model": "",
        "format": "gguf",
        "family": model.family,
        "families": [model.family],
        "parameter_size": model.parameter_size,
        "quantization_level": model.quantization,
    }
    lengths = {"context_length": model.context_length, "embedding_length": model.embedding_length}
    return out | lengths if sizes else out


def tags(shelf: Shelf) -> Object:
    """`GET /api/tags`: newest first."""
    return {
        "models": [
            {
                "name": model.name,
                "model": model.name,
                "modified_at": model.modified_at,
                "size": model.size,
                "digest": model.digest,
                "details": details(model, sizes=True),
                "capabilities": model.capabilities,
            }
            for model in shelf.models
        ]
    }


def show(model: Model, *, verbose: bool) -> Object:
    """`POST /api/show`."""
    arch = model.family
    info: Object = {
        "general.architecture": arch,
        "general.basename": model.basename,
        "general.file_type": 15,
        "general.parameter_count": model.parameter_count,
        "general.quantization_version": 2,
        f"{arch}.block_count": model.block_count,
        f"{arch}.context_length": model.context_length,
        f"{arch}.embedding_length": model.embedding_length,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>"] if verbose else None,
    }
    body: Object = {"license": model.license, "modelfile": _modelfile(model), "parameters": _parameters(model)}
    body |= {"template": model.template, "system": model.system}
    out = {key: value for key, value in body.items() if value}
    out |= {"details": details(model), "model_info": info}
    if verbose:
        out["tensors"] = [{"name": "token_embd.weight", "type": "Q4_K", "shape": [model.embedding_length, 3]}]
    return out | {"capabilities": model.capabilities, "modified_at": model.modified_at}


def _parameters(model: Model) -> str:
    lines = []
    for name, value in model.parameters.items():
        for each in value if isinstance(value, list) else [value]:
            shown = msgspec.json.encode(each).decode() if isinstance(each, str) else f"{each:g}"
            lines.append(f"{name:<30} {shown}")
    return "\n".join(lines)


def _modelfile(model: Model) -> str:
    head = f'# Modelfile generated by "ollama show"\n\nFROM {model.name}\nTEMPLATE """{model.template}"""\n'
    return head + "".join(f"PARAMETER {' '.join(line.split(None, 1))}\n" for line in _parameters(model).splitlines())
