"""Everything a person can set, as one frozen value.  Where it comes from is `sources`' business.

Times are in seconds and sizes in bytes.  Nothing here reads the environment or a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from hmac import compare_digest
from types import MappingProxyType
from typing import Literal

from msgspec import Struct, field

from dragoman.conversation import Effort

ANTHROPIC_URL = "https://api.anthropic.com"
OLLAMA_URL = "http://localhost:11434"
OPENAI_URL = "https://api.openai.com"


class Secret:
    """A string that is never shown: not by `repr`, not by `str`, not by a formatter, not by an encoder of JSON."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The string itself, for the one place that sends or compares it."""
        return self._value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "…"

    __str__ = __repr__


class ClientKey(Struct, frozen=True):
    """A client's key, of which only its SHA-256 digest is kept, and whose it is ("": nobody said)."""

    digest: bytes
    name: str = ""

    def __repr__(self) -> str:
        return f"ClientKey(name={self.name!r})"


def _nothing() -> Mapping[str, str]:
    return MappingProxyType({})


def _no_overrides() -> Mapping[str, Override]:
    return MappingProxyType({})


class Upstream(Struct, frozen=True, kw_only=True):
    """A server behind us.  `base_url` has no trailing slash and no `/v1`; `key` is None for one that asks for none.

    `models` holds shell patterns: only these models of the server are ours (empty: all it lists), and a name that fits
    one is called there though no list has it.  `hide` holds patterns of names left out of our lists.  `prefix` is put
    before each of its names.  `flavor` is a row of `servers.toml` ("": told by its address and its list).
    `concurrency` is how many calls it gets at once (0: no limit), `queue` how many more may wait for their turn.
    `verify` is False for a server whose certificate is not checked, or the path of the authorities' own file.
    """

    name: str
    dialect: Literal["anthropic", "ollama", "openai_chat", "openai_responses"] = "anthropic"
    base_url: str = ANTHROPIC_URL
    key: Secret | None = None
    headers: Mapping[str, str] = field(default_factory=_nothing)
    models: tuple[str, ...] = ()
    hide: tuple[str, ...] = ()
    prefix: str = ""
    flavor: str = ""
    concurrency: int = 0
    queue: int = 100
    timeouts: Timeouts | None = None
    verify: bool | str = True

    def __repr__(self) -> str:
        """Without what stands in `headers`, which may be a key."""
        told = {name: getattr(self, name) for name in self.__struct_fields__} | {"headers": [*self.headers]}
        return f"Upstream({', '.join(f'{name}={value!r}' for name, value in told.items())})"


class Target(Struct, frozen=True, kw_only=True):
    """One of a route's models: a name of the catalogue, best as `upstream/model`.  Of targets with the same `order`
    one is drawn by `weight`; the others follow, then those of the next order."""

    model: str
    order: int = 0
    weight: int = 1


class Route(Struct, frozen=True, kw_only=True):
    """A name with several models behind it.  `on_context` and `on_refusal` name the models that take over when a
    prompt is too long for the one that was asked, or when it refuses to answer ("": nobody does)."""

    name: str
    targets: tuple[Target, ...]
    on_context: str = ""
    on_refusal: str = ""


class Timeouts(Struct, frozen=True, kw_only=True):
    """How long we wait: for a connection, for the first byte of an answer, between two reads, for calls at shutdown.
    After `ping` seconds of silence an Anthropic client gets a sign of life."""

    connect: float = 10.0
    first_byte: float = 600.0
    idle: float = 300.0
    drain: float = 30.0
    ping: float = 10.0


class Limits(Struct, frozen=True, kw_only=True):
    """How much a client, or a server behind us, may make us hold, and how slow it may be.  0: no limit, where said so.

    `headers` and `header_bytes` are of a request, `url` is the length of its target.  `inflation`: how many times its
    size a packed body may become (0).  `values` are those in a body of JSON.  `calls` run at a time in one process (0),
    `calls_per_peer` of one client (0); `connections` are all that are open (0).  `head` is the time a request's
    headers may take; after `stall` seconds without `rate` bytes a second a client that sends or reads is given up.
    `frame` is one event or line of a server's stream, `answer` a whole answer of one.
    """

    headers: int = 128
    header_bytes: int = 64 * 1024
    url: int = 8 * 1024
    inflation: int = 100
    values: int = 500_000
    calls: int = 4096
    calls_per_peer: int = 0
    connections: int = 16_384
    head: float = 30.0
    stall: float = 60.0
    rate: int = 512
    frame: int = 64 * 1024 * 1024
    answer: int = 256 * 1024 * 1024


class Override(Struct, frozen=True, kw_only=True):
    """What a model is given when the client did not say.  `context_window` is what we tell clients it holds, in
    tokens; a `hidden` model is callable but not listed.  `capabilities`, in Ollama's words, corrects what the server
    says of it.  `num_ctx` is the least context (tokens) an Ollama server gives it.
    `prices` are what its tokens cost, in US dollars a million.  `server_tools` are tools of
    Anthropic's servers that Claude may use though the client did not name them."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    think: bool | None = None
    effort: Effort | None = None
    system: str | None = None
    context_window: int | None = None
    hidden: bool = False
    capabilities: tuple[str, ...] | None = None
    num_ctx: int | None = None
    prices: Mapping[str, float] | None = None
    server_tools: tuple[str, ...] = ()


class Settings(Struct, frozen=True, kw_only=True):
    """One validated configuration.

    With `demo` the built-in simulator answers and `upstreams` is empty, so that nothing real can be called.
    `default_model` takes unknown names; None makes them an error.  `hide` holds shell patterns of model names.
    `refresh` 0 means that the live list of models is never asked for.  `num_ctx` and `max_num_ctx` (tokens) bound the
    context an Ollama server is asked for (`max_num_ctx` 0: the model's own limit).  `stream_default`: an OpenAI chat
    request that does not say is streamed.  `model_optional`: a request without a model is answered by the default.
    `fetch`: remote images and documents are fetched for a server that cannot; `fetch_private` allows that from private
    addresses too.  `scale_images`: pictures that are too large for a server are scaled, and not refused.  `store`
    is the address of a Redis or Valkey server that several gateways share.
    `data_dir` is the directory of what outlives the process ("": there is none, it is kept in memory), `database` where
    it is instead; `response_ttl` is how long responses are kept after they were used last (0: none is),
    and `response_space` the bytes of a file above which the oldest go.
    `metrics`: `/metrics` is served as every path is, without asking for a key ("open"), or not at all; `traces` is the
    OTLP/HTTP receiver of spans ("": there is none).
    `manage_models`: clients may fetch, make and remove models on the Ollama servers, from the hosts in `registries`
    and no others.
    `api_keys` are what clients must send one of.  Without them this machine and private networks are served, and with
    `allow_public` everybody.  `open_discovery`: the lists of models need no key.  `trusted_proxies` (addresses,
    networks) are believed when they say for whom they call.  `allowed_hosts` are names, or patterns of names, by which
    the gateway may be called, beside those that only a local network has.
    `tls_cert` and `tls_key` are files in PEM (`tls_key` "": it is in the same).
    `workers` is how many processes serve.  `drain_delay` is how long (seconds) a process that was asked to end goes on
    taking calls, with `/ready` saying already that it leaves.
    """

    host: str = "0.0.0.0"  # noqa: S104  a gateway serves its network; the README says how to keep it to one machine
    port: int = 11434
    debug: bool = False
    demo: bool = False
    upstreams: tuple[Upstream, ...] = ()
    api_keys: tuple[Secret | ClientKey, ...] = ()
    open_discovery: bool = False
    allow_public: bool = False
    trusted_proxies: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    tls_cert: str = ""
    tls_key: str = ""
    tls_key_password: Secret | None = None
    default_model: str | None = "claude-sonnet-4.5"
    retired: Literal["substitute", "refuse"] = "substitute"
    strict: bool = False
    origins: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=_nothing)
    overrides: Mapping[str, Override] = field(default_factory=_no_overrides)
    routes: tuple[Route, ...] = ()
    hide: tuple[str, ...] = ()
    retries: int = 2
    max_body: int = 64 * 1024 * 1024
    keep_alive: float = 300.0
    refresh: float = 3600.0
    prompt_cache: Literal["auto", "off"] = "auto"
    structured_output: Literal["repair", "check", "off"] = "repair"
    log_format: Literal["console", "json"] = "console"
    log_calls: bool = True
    metrics: Literal["on", "open", "off"] = "on"
    traces: str = ""
    timeouts: Timeouts = field(default_factory=Timeouts)
    limits: Limits = field(default_factory=Limits)
    num_ctx: int = 8192
    max_num_ctx: int = 0
    stream_default: bool = False
    model_optional: bool = False
    fetch: bool = True
    fetch_private: bool = False
    fetch_max: int = 20 * 1024 * 1024
    scale_images: bool = False
    store: Secret | None = None
    data_dir: str = ""
    database: Secret | None = None
    response_ttl: float = 30 * 86400.0
    response_space: int = 8 * 1024**3
    manage_models: bool = False
    registries: tuple[str, ...] = ("registry.ollama.ai", "ollama.com", "hf.co", "huggingface.co")
    workers: int = 1
    drain_delay: float = 0.0

    def hides(self, name: str) -> bool:
        """Whether `name` is left out of the lists.  It can be called all the same."""
        override = self.overrides.get(name)
        return bool(override and override.hidden) or any(fnmatchcase(name.lower(), p.lower()) for p in self.hide)
