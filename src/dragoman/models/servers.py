"""Servers that speak OpenAI's wire, as data: one `Server` a flavor, read from `servers.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from dragoman.conversation import Effort, Object
from dragoman.models.bounds import Bounds

GENERIC = "generic"


class Server(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row of `servers.toml`; what its members mean stands there."""

    name: str
    hosts: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    stops: int = 0
    takes: frozenset[str] = frozenset()
    refuses: frozenset[str] = frozenset()
    renames: Mapping[str, str] = MappingProxyType({})
    user_length: int = 0
    formats: tuple[str, ...] = ()
    strict: bool = False
    custom_tools: bool = False
    tool_choice: Literal["all", "named", "required", "none"] = "named"
    required: str = "required"
    call_id: int = 0
    reasoning: Literal["effort", "object", "switch", "template", "none"] = "effort"
    efforts: Mapping[str, str] = MappingProxyType({})
    replay: Literal["", "reasoning_content", "reasoning"] = ""
    details: bool = False
    must_replay: bool = False
    developer: bool = False
    names: bool = False
    cache_marks: Literal["", "breakpoint", "control"] = ""
    fetches_images: bool = False
    files: bool = False
    audio: bool = False
    image_types: tuple[str, ...] = ("image/jpeg", "image/png", "image/gif", "image/webp")
    media: Bounds = Bounds()
    late_system: bool = False
    searchers: tuple[str, ...] = ()
    count: Literal["", "vllm", "llamacpp"] = ""
    responses: bool = False
    reads_thoughts: bool = False


class Thinker(Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of model whose thinking has `levels`, and that thinks `always`."""

    levels: tuple[Effort, ...] = ()
    always: bool = False


class Kind(Struct, frozen=True, forbid_unknown_fields=True):
    """Models of one kind: by architecture, and by patterns of names."""

    families: frozenset[str] = frozenset()
    names: tuple[str, ...] = ()

    def named(self, name: str) -> bool:
        """Whether a model's name says that it is of this kind.  The maker's name before a slash does not count."""
        own = name.lower().rpartition("/")[2]
        return any(fnmatchcase(own, pattern) for pattern in self.names)


class Facts(Struct, frozen=True):
    """The whole table: the servers, and what is known of models where their server does not say."""

    servers: Mapping[str, Server]
    thinkers: Mapping[str, Thinker]
    embedders: Kind
    seers: Kind
    hearers: Kind
    others: Kind


_KINDS = ("embedders", "seers", "hearers", "others")


@cache
def facts() -> Facts:
    """Read `servers.toml`, once."""
    table = tomllib.loads(resources.files(__package__).joinpath("servers.toml").read_text("utf-8"))
    thinkers = msgspec.convert(table.pop("thinkers"), dict[str, Thinker])
    kinds = {name: msgspec.convert(table.pop(name), Kind) for name in _KINDS}
    rows = {name: msgspec.convert({**row, "name": name}, Server) for name, row in table.items()}
    return Facts(servers=MappingProxyType(rows), thinkers=MappingProxyType(thinkers), **kinds)


def servers() -> Mapping[str, Server]:
    """Every flavor by its name; "generic" is for servers nobody knows."""
    return facts().servers


def server_of(flavor: str) -> Server:
    """The server of a flavor; of one that is "" or unknown, the generic one."""
    known = servers()
    return known.get(flavor) or known[GENERIC]


def flavor_of(base_url: str, listing: Sequence[Object] | None) -> str:
    """The flavor of the server at `base_url` whose `GET /v1/models` lists these elements (None: not asked, or no list).

    The address says most: a hosted service is known by it whatever it lists.  Then what its own list is signed with.
    """
    host = _host(base_url)
    for name, server in servers().items():
        if any(host == known or host.endswith(f".{known}") for known in server.hosts):
            return name
    for entry in listing or ():
        if isinstance(entry, dict) and (name := _signed(entry)):
            return name
    return GENERIC


def _host(base_url: str) -> str:
    try:
        return (urlsplit(base_url).hostname or "").lower()
    except ValueError:
        return ""


def _signed(entry: Object) -> str:
    owner = entry.get("owned_by")
    for name, server in servers().items():
        if isinstance(owner, str) and owner.lower() in server.owners:
            return name
        if any(entry.get(mark) is not None for mark in server.marks):
            return name
    return ""
