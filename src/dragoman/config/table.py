"""The one table of settings: the name in `dragoman.toml`, the variables, what is allowed, and what it is for.

Everything else is driven by it: what `load` accepts, what a complaint says, and the table in the README, which a test
compares with `settings_table()`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from dragoman.config import kinds
from dragoman.config.kinds import Kind
from dragoman.config.settings import ANTHROPIC_URL, Settings


class Row(NamedTuple):
    """One setting.  `key` is its path in `dragoman.toml` ("" if it has none there), and, unless `default` is given,
    its path in `Settings` too.  Of `variables`, the first that is set counts."""

    key: str
    variables: tuple[str, ...]
    kind: Kind
    purpose: str
    default: str | None = None


EFFORTS = kinds.one_of("minimal", "low", "medium", "high", "xhigh", "max")

ROWS: tuple[Row, ...] = (
    Row("host", ("HOST",), kinds.TEXT, "address to listen on; `127.0.0.1` keeps it to this machine"),
    Row("port", ("PORT",), kinds.whole(0, 65535), "port to listen on; 0: any that is free"),
    Row("debug", ("DEBUG",), kinds.FLAG, "debug logging; secrets and message bodies stay out of it"),
    Row(
        "anthropic.api_key",
        ("ANTHROPIC_API_KEY",),
        kinds.SECRET,
        "Anthropic API key; also found in `/run/secrets/anthropic_api_key` and"
        " `$CREDENTIALS_DIRECTORY/anthropic_api_key`",
        "",
    ),
    Row("anthropic.api_key_file", ("ANTHROPIC_API_KEY_FILE",), kinds.TEXT, "file that holds the Anthropic key", ""),
    Row("anthropic.base_url", ("ANTHROPIC_BASE_URL",), kinds.URL, "where the Anthropic API is", ANTHROPIC_URL),
    Row(
        "api_keys", ("DRAGOMAN_API_KEYS",), kinds.SECRETS, "keys that clients must send one of; empty: nobody is asked"
    ),
    Row("api_keys_file", ("DRAGOMAN_API_KEYS_FILE",), kinds.TEXT, "file of such keys, one a line, `#` comments", ""),
    Row(
        "default_model",
        ("DRAGOMAN_DEFAULT_MODEL",),
        kinds.TEXT,
        "model that answers for unknown names; `error`: they are refused",
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
        "retries",
        ("DRAGOMAN_RETRIES",),
        kinds.whole(0, 10),
        "further attempts at a call that failed before it answered",
    ),
    Row("max_body", ("DRAGOMAN_MAX_BODY",), kinds.SIZE, "largest request body taken"),
    Row("keep_alive", ("DRAGOMAN_KEEP_ALIVE",), kinds.SPAN, "how long `/api/ps` shows a model after its last call"),
    Row("refresh", ("DRAGOMAN_REFRESH",), kinds.SPAN, "how often the live list of models is read; 0: never"),
    Row(
        "prompt_cache",
        ("DRAGOMAN_PROMPT_CACHE",),
        kinds.one_of("auto", "off"),
        "ask the upstream to cache long prompts of clients that cannot ask",
    ),
    Row("log_format", ("DRAGOMAN_LOG_FORMAT",), kinds.one_of("console", "json"), "how log lines look"),
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
    "context_window": kinds.whole(1, 100_000_000),
    "hidden": kinds.FLAG,
}
"""The members of a `[models."name"]` table: those of `Override`."""

DIALECTS = kinds.one_of("anthropic")
"""The dialects of upstreams that can be served."""


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
            return f"{value // 2**20}MiB"
        case float() | int():
            return f"{value:g}"
        case ():
            return ""
        case _:
            return str(value)
