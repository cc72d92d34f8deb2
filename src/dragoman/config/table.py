"""The one table of settings: the name in `dragoman.toml`, the variables, what is allowed, and what it is for.

Everything else is driven by it: what `load` accepts, what a complaint says, and the table in the README, which a test
compares with `settings_table()`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from dragoman.config import kinds
from dragoman.config.kinds import Kind
from dragoman.config.presets import PRESETS
from dragoman.config.settings import ANTHROPIC_URL, Settings


class Row(NamedTuple):
    """One setting.  `key` is its path in `dragoman.toml` ("" if it has none there), and, unless `default` is given,
    its path in `Settings` too.  Of `variables`, the first that is set counts."""

    key: str
    variables: tuple[str, ...]
    kind: Kind
    purpose: str
    default: str | None = None

    @property
    def name(self) -> str:
        """What it is called where every setting has a name."""
        return self.key or self.variables[0]


def _key_of(name: str, called: str) -> Row:
    """The key of the server that the variables configure."""
    return Row(
        f"{name}.api_key",
        (f"{name.upper()}_API_KEY",),
        kinds.SECRET,
        f"{called}; also found in `/run/secrets/{name}_api_key` and `$CREDENTIALS_DIRECTORY/{name}_api_key`",
        "",
    )


def _key_file_of(name: str, called: str) -> Row:
    variable = f"{name.upper()}_API_KEY_FILE"
    return Row(f"{name}.api_key_file", (variable,), kinds.TEXT, f"file that holds the {called}", "")


def _limit(name: str, kind: Kind, purpose: str) -> Row:
    return Row(f"limits.{name}", (f"DRAGOMAN_LIMIT_{name.upper()}",), kind, purpose)


EFFORTS = kinds.one_of("minimal", "low", "medium", "high", "xhigh", "max")

CONTEXT = kinds.whole(1, 100_000_000)

ROWS: tuple[Row, ...] = (
    Row("host", ("HOST",), kinds.TEXT, "address to listen on; `127.0.0.1` keeps it to this machine"),
    Row("port", ("PORT",), kinds.whole(0, 65535), "port to listen on; 0: any that is free"),
    Row("workers", ("DRAGOMAN_WORKERS",), kinds.whole(1, 256), "processes that serve, all on that port"),
    Row("debug", ("DEBUG",), kinds.FLAG, "debug logging; secrets and message bodies stay out of it"),
    Row("preset", ("DRAGOMAN_PRESET",), kinds.one_of(*PRESETS), "settings for an occasion; all others win over it", ""),
    _key_of("anthropic", "Anthropic API key"),
    _key_file_of("anthropic", "Anthropic key"),
    Row("anthropic.base_url", ("ANTHROPIC_BASE_URL",), kinds.URL, "where the Anthropic API is", ANTHROPIC_URL),
    Row("ollama.base_url", ("OLLAMA_BASE_URL",), kinds.OLLAMA, "an Ollama server, such as `localhost:11434`", ""),
    Row("", ("OLLAMA_HOST",), kinds.OLLAMA, "the same, where nothing else names an Ollama server", ""),
    _key_of("ollama", "key of that server, if it asks for one"),
    _key_file_of("ollama", "Ollama key"),
    Row(
        "openai.base_url",
        ("OPENAI_BASE_URL",),
        kinds.URL,
        "an OpenAI-compatible server, with or without `/v1`; a key alone means OpenAI itself",
        "",
    ),
    _key_of("openai", "key of that server"),
    _key_file_of("openai", "OpenAI key"),
    Row(
        "api_keys", ("DRAGOMAN_API_KEYS",), kinds.SECRETS, "keys that clients must send one of; empty: nobody is asked"
    ),
    Row(
        "api_keys_file",
        ("DRAGOMAN_API_KEYS_FILE",),
        kinds.TEXT,
        "file of such keys, one a line: `KEY` or `NAME: KEY`",
        "",
    ),
    Row(
        "open_discovery",
        ("DRAGOMAN_OPEN_DISCOVERY",),
        kinds.FLAG,
        "the version and the lists of models need no key",
    ),
    Row(
        "allow_public",
        ("DRAGOMAN_ALLOW_PUBLIC",),
        kinds.FLAG,
        "without keys, serve everybody and not only this machine and private networks",
    ),
    Row(
        "trusted_proxies",
        ("DRAGOMAN_TRUSTED_PROXIES",),
        kinds.NETWORKS,
        "proxies whose `X-Forwarded-For` tells who calls: addresses or networks such as `10.0.0.0/8`",
    ),
    Row(
        "allowed_hosts",
        ("DRAGOMAN_ALLOWED_HOSTS",),
        kinds.HOSTS,
        "names by which the gateway may be called, where no key is asked for: `gw.example.org`, `*.example.org`",
    ),
    Row("tls_cert", ("DRAGOMAN_TLS_CERT",), kinds.TEXT, "certificate chain (PEM) to serve HTTPS with", ""),
    Row("tls_key", ("DRAGOMAN_TLS_KEY",), kinds.TEXT, "its private key (PEM), if that is in another file", ""),
    Row(
        "tls_key_password", ("DRAGOMAN_TLS_KEY_PASSWORD",), kinds.SECRET, "the password of that key, if it has one", ""
    ),
    Row("tls_key_password_file", ("DRAGOMAN_TLS_KEY_PASSWORD_FILE",), kinds.TEXT, "file that holds the password", ""),
    Row(
        "default_model",
        ("DRAGOMAN_DEFAULT_MODEL",),
        kinds.TEXT,
        "model that answers for unknown names; `error`: they are refused, as they are by default without Anthropic",
    ),
    Row(
        "retired",
        ("DRAGOMAN_RETIRED",),
        kinds.one_of("substitute", "refuse"),
        "what happens to a call for a retired model: the current one of its line answers, or an error",
    ),
    Row("strict", ("DRAGOMAN_STRICT",), kinds.FLAG, "refuse a request of which something would be dropped"),
    Row(
        "origins",
        ("DRAGOMAN_ORIGINS", "OLLAMA_ORIGINS"),
        kinds.ORIGINS,
        "web origins, beside this machine's own, whose pages may call",
    ),
    Row("timeouts.connect", ("DRAGOMAN_TIMEOUT_CONNECT",), kinds.WAIT, "longest wait for a connection upstream"),
    Row("timeouts.first_byte", ("DRAGOMAN_TIMEOUT_FIRST_BYTE",), kinds.WAIT, "longest wait for an answer to begin"),
    Row("timeouts.idle", ("DRAGOMAN_TIMEOUT_IDLE",), kinds.WAIT, "longest silence within an answer"),
    Row("timeouts.drain", ("DRAGOMAN_TIMEOUT_DRAIN",), kinds.SPAN, "time for running calls to end at shutdown"),
    Row(
        "drain_delay",
        ("DRAGOMAN_DRAIN_DELAY",),
        kinds.SPAN,
        "time before that in which new calls are still taken while `/ready` says 503, for load balancers to notice",
    ),
    Row(
        "timeouts.ping",
        ("DRAGOMAN_TIMEOUT_PING",),
        kinds.WAIT,
        "silence after which a waiting Anthropic client gets a ping",
    ),
    Row(
        "retries",
        ("DRAGOMAN_RETRIES",),
        kinds.whole(0, 10),
        "further attempts at a call that failed before it answered",
    ),
    Row("max_body", ("DRAGOMAN_MAX_BODY",), kinds.SIZE, "largest request body taken, as sent and unpacked"),
    _limit("headers", kinds.whole(1, 10_000), "most headers of a request"),
    _limit("header_bytes", kinds.SIZE, "largest size of them all together"),
    _limit("url", kinds.SIZE, "longest path and query of a request"),
    _limit("inflation", kinds.whole(0, 100_000), "how many times its size a packed body may become; 0: any"),
    _limit("values", kinds.whole(1, 1_000_000_000), "most values in a body of JSON"),
    _limit("calls", kinds.whole(0, 1_000_000), "most calls at a time in a process; 0: any"),
    _limit("calls_per_peer", kinds.whole(0, 1_000_000), "most of them of one client; 0: any"),
    _limit("connections", kinds.whole(0, 1_000_000), "most connections at a time in a process; 0: any"),
    _limit("head", kinds.WAIT, "longest time for the headers of a request to arrive"),
    _limit("stall", kinds.WAIT, "time after which a client that is slower than `limits.rate` is given up"),
    _limit("rate", kinds.whole(1, 1_000_000_000), "bytes a second that a client sends, and reads, at least"),
    _limit("frame", kinds.SIZE, "largest event or line of a server's stream"),
    _limit("answer", kinds.SIZE, "largest unstreamed answer of a server"),
    Row("keep_alive", ("DRAGOMAN_KEEP_ALIVE",), kinds.SPAN, "how long `/api/ps` shows a model after its last call"),
    Row("refresh", ("DRAGOMAN_REFRESH",), kinds.SPAN, "how often the live list of models is read; 0: never"),
    Row(
        "prompt_cache",
        ("DRAGOMAN_PROMPT_CACHE",),
        kinds.one_of("auto", "off"),
        "ask the upstream to cache long prompts of clients that cannot ask",
    ),
    Row(
        "structured_output",
        ("DRAGOMAN_STRUCTURED_OUTPUT",),
        kinds.one_of("repair", "check", "off"),
        "check answers against the schema the client sent: `repair` asks once more for one that fits",
    ),
    Row(
        "num_ctx",
        ("DRAGOMAN_NUM_CTX",),
        CONTEXT,
        "least context, in tokens, that an Ollama server is asked for; more when a prompt needs it",
    ),
    Row(
        "max_num_ctx",
        ("DRAGOMAN_MAX_NUM_CTX",),
        kinds.whole(0, 100_000_000),
        "most context that it is asked for; 0: as much as the model has",
    ),
    Row(
        "stream_default",
        ("DRAGOMAN_STREAM_DEFAULT",),
        kinds.FLAG,
        "an OpenAI chat request that does not say is streamed",
    ),
    Row(
        "model_optional",
        ("DRAGOMAN_MODEL_OPTIONAL",),
        kinds.FLAG,
        "a request that names no model is answered by the default one, not refused",
    ),
    Row(
        "fetch",
        ("DRAGOMAN_FETCH",),
        kinds.FLAG,
        "fetch the images and documents that a request names by URL, for servers that cannot",
    ),
    Row("fetch_private", ("DRAGOMAN_FETCH_PRIVATE",), kinds.FLAG, "fetch them from private addresses too"),
    Row("fetch_max", ("DRAGOMAN_FETCH_MAX",), kinds.SIZE, "largest image or document that is fetched"),
    Row(
        "scale_images",
        ("DRAGOMAN_SCALE_IMAGES",),
        kinds.SCALING,
        "scale an image that is too large for the server asked, and convert one of another kind; needs Pillow",
    ),
    Row(
        "store",
        ("DRAGOMAN_STORE",),
        kinds.STORE,
        "Redis or Valkey server on which several gateways remember together: `redis://`, `rediss://`, `valkey://`",
    ),
    Row(
        "data_dir",
        ("DRAGOMAN_DATA",),
        kinds.TEXT,
        "directory for what is stored; else `$XDG_STATE_HOME/dragoman`, which is `~/.local/state/dragoman`",
        "",
    ),
    Row(
        "database",
        ("DRAGOMAN_DATABASE",),
        kinds.DATABASE,
        "PostgreSQL database for it instead: `postgresql://user:password@host/name`; `memory`: in this process only",
    ),
    Row(
        "response_ttl",
        ("DRAGOMAN_RESPONSE_TTL",),
        kinds.SPAN,
        "how long stored responses are kept after they were used last; 0: none is stored",
    ),
    Row(
        "response_space",
        ("DRAGOMAN_RESPONSE_SPACE",),
        kinds.SIZE,
        "bytes in use in the file in `data_dir` above which the responses used longest ago go",
    ),
    Row(
        "manage_models",
        ("DRAGOMAN_MANAGE_MODELS",),
        kinds.FLAG,
        "let clients pull, push, copy and delete models on the Ollama servers, and create them from files",
    ),
    Row(
        "registries",
        ("DRAGOMAN_REGISTRIES",),
        kinds.TEXTS,
        "hosts that clients may let those servers pull models from, and push them to",
    ),
    Row("log_format", ("DRAGOMAN_LOG_FORMAT",), kinds.one_of("console", "json"), "how log lines look"),
    Row("log_calls", ("DRAGOMAN_LOG_CALLS",), kinds.FLAG, "one line in the log for each call: tokens, cost, times"),
    Row(
        "metrics",
        ("DRAGOMAN_METRICS",),
        kinds.one_of("on", "open", "off"),
        "`/metrics` for Prometheus; `on`: with a key, where keys are set, `open`: without one",
    ),
    Row(
        "traces",
        ("DRAGOMAN_TRACES", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        kinds.URL,
        "OTLP/HTTP receiver that gets OpenTelemetry spans, without `/v1/traces`; needs the extra `otel`",
    ),
    Row("hide", (), kinds.TEXTS, 'models left out of the lists, by name or pattern (`"claude-3*"`)'),
    Row("", ("DRAGOMAN_CONFIG",), kinds.TEXT, "the configuration file to read", ""),
)

OVERRIDES: dict[str, Kind] = {
    "max_tokens": kinds.whole(1, 10_000_000),
    "temperature": kinds.number(0, 2),
    "top_p": kinds.number(0, 1),
    "top_k": kinds.whole(1, 1_000_000),
    "think": kinds.FLAG,
    "effort": EFFORTS,
    "system": kinds.TEXT,
    "context_window": CONTEXT,
    "hidden": kinds.FLAG,
    "capabilities": kinds.words("completion", "tools", "insert", "vision", "audio", "embedding", "thinking"),
    "num_ctx": CONTEXT,
    "prices": kinds.PRICES,
    "server_tools": kinds.words("web_search", "web_fetch", "code_execution"),
}
"""The members of a `[models."name"]` table: those of `Override`."""

DIALECTS = kinds.one_of(
    "anthropic", "ollama", "openai_chat", "openai_responses", openai="openai_chat", responses="openai_responses"
)
"""The dialects of upstreams that can be served; "openai" and "responses" are short for two."""

UPSTREAM: dict[str, Kind] = {
    "name": kinds.NAME,
    "dialect": DIALECTS,
    "base_url": kinds.URL,
    "key": kinds.SECRET,
    "key_file": kinds.TEXT,
    "key_variable": kinds.TEXT,
    "models": kinds.TEXTS,
    "hide": kinds.TEXTS,
    "prefix": kinds.PREFIX,
    "flavor": kinds.NAME,
    "concurrency": kinds.whole(0, 100_000),
    "queue": kinds.whole(0, 1_000_000),
    "verify": kinds.FLAG,
    "ca_file": kinds.TEXT,
    "timeouts.connect": kinds.WAIT,
    "timeouts.first_byte": kinds.WAIT,
    "timeouts.idle": kinds.WAIT,
}
"""The members of an `[[upstream]]` table, besides `headers`."""

TARGET: dict[str, Kind] = {
    "model": kinds.TEXT,
    "order": kinds.whole(0, 1000),
    "weight": kinds.whole(0, 1_000_000),
}
"""The members of one of a route's targets: those of `Target`."""


class Documented(NamedTuple):
    """A row of the README's table."""

    variable: str
    key: str
    default: str
    purpose: str


def settings_table() -> list[Documented]:
    """Every setting as the README shows it: variables, key in `dragoman.toml`, default, purpose."""
    return [
        Documented(
            ", ".join(f"`{name}`" for name in row.variables) or "–",
            f"`{row.key}`" if row.key else "–",
            f"`{shown}`" if (shown := default_of(row)) else "–",
            row.purpose,
        )
        for row in ROWS
    ]


_SIZES = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10), ("", 1))


def default_of(row: Row) -> str:
    """The default of `row` as a person would write it; "" for none."""
    if row.default is not None:
        return row.default
    value: Any = Settings()
    for step in row.key.split("."):
        value = getattr(value, step)
    match value:
        case bool():
            return str(value).lower()
        case int() if row.kind is kinds.SIZE:
            return next(f"{value // size}{unit}" for unit, size in _SIZES if value % size == 0)
        case float() if value and value % 86400 == 0:
            return f"{value / 86400:g}d"
        case int():
            return str(value)
        case float():
            return f"{value:g}"
        case () | None:
            return ""
        case tuple():
            return ",".join(value)
        case _:
            return str(value)
