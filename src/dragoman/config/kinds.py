"""What a setting's value may be.  A kind says so in words, reads the text of a variable, and checks a value.

`parse` turns a variable's text into the value TOML would have had; `check` accepts or refuses that value, whichever
way it came.  Both raise ValueError, and its text (when it has one) says more than `allowed` could.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable
from importlib.util import find_spec
from ipaddress import ip_network
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from dragoman.config.addresses import ollama_url
from dragoman.config.client_keys import as_client_key
from dragoman.config.settings import Secret


class Kind(NamedTuple):
    """`allowed` completes the sentence "it must be …".  The value of a `secret` kind is never put in a message."""

    allowed: str
    check: Callable[[Any], Any]
    parse: Callable[[str], Any] = str
    secret: bool = False


class UnprintableError(ValueError):
    """The value must not be shown, whatever its kind: it holds something secret."""


class MissingError(UnprintableError):
    """The value would be good if an extra of ours were installed, into the environment of this Python and no other."""

    def __init__(self, package: str, extra: str) -> None:
        pip = f"{sys.executable} -m pip install"
        super().__init__(f"needs the package {package}, which is not installed: {pip} 'dragoman[{extra}]'")


_FLAGS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_SPANS = {"": 1.0, "s": 1.0, "ms": 0.001, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_MEASURE = re.compile(r"(\d+(?:\.\d*)?)\s*([a-z]*)", re.IGNORECASE)
_ORIGIN = re.compile(r"\*|[a-z][a-z0-9+.*-]*://[^\s/?#]+", re.IGNORECASE)
_HOST_PATTERN = re.compile(r"\*|(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[?[0-9a-f:.]*:[0-9a-f:.]*\]?")
_STORES = ("redis", "rediss", "valkey", "valkeys")
_DATABASES = ("postgresql", "postgres")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PREFIX = re.compile(r"[!-~]+")


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _scaling(value: Any) -> bool:
    if _flag(value) and find_spec("PIL") is None:
        raise MissingError("Pillow", "images")
    return bool(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value.strip()


def _token(value: Any) -> Secret:
    text = _text(value)
    if not all("!" <= c <= "~" for c in text):
        raise ValueError
    return Secret(text)


def _client_key(value: Any) -> Secret:
    key = _token(value)
    as_client_key(key)
    return key


def _header(value: Any) -> str:
    if not isinstance(value, str) or not all(" " <= c <= "~" for c in value):
        raise ValueError
    return value.strip()


_ENDPOINTS = ("/chat/completions", "/v1/messages")


def _url(value: Any) -> str:
    text = _text(value).rstrip("/")
    if text.endswith(_ENDPOINTS):  # some write down where the questions go, and not where the API is
        text = text.removesuffix("/chat/completions").removesuffix("/messages").rstrip("/")
    text = text.removesuffix("/v1").rstrip("/")
    parts = urlsplit(text)
    if parts.username is not None or parts.password is not None:
        raise UnprintableError("holds a user name or password; keys have settings of their own")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError
    if any(c.isspace() for c in text) or parts.port == 0:
        raise ValueError
    return text


def _ollama(value: Any) -> str:
    return _url(ollama_url(_text(value)))


def _store(value: Any) -> Secret:
    text = _text(value)
    parts = urlsplit(text)
    if parts.scheme not in _STORES or not parts.hostname or parts.query or parts.fragment or parts.port == 0:
        raise ValueError
    if any(c.isspace() for c in text) or not re.fullmatch(r"/?|/\d+", parts.path):
        raise ValueError
    if find_spec("redis") is None:
        raise MissingError("redis", "redis")
    return Secret(text)


def _database(value: Any) -> Secret:
    text = _text(value)
    parts = urlsplit(text)
    if text == "memory":
        return Secret(text)
    if parts.scheme not in _DATABASES or not parts.hostname or parts.fragment or parts.port == 0:
        raise ValueError
    if any(c.isspace() for c in text) or not re.fullmatch(r"/[^/]+", parts.path):
        raise ValueError
    if find_spec("psycopg") is None:
        raise MissingError("psycopg", "postgres")
    return Secret(text)


def _prefix(value: Any) -> str:
    if not isinstance(value, str) or not _PREFIX.fullmatch(value):
        raise ValueError
    return value


def _origin(value: Any) -> str:
    text = _text(value).rstrip("/")
    if not _ORIGIN.fullmatch(text):
        raise ValueError
    return text


def _network(value: Any) -> str:
    return str(ip_network(_text(value), strict=False))


def _host_name(value: Any) -> str:
    text = _text(value).lower().rstrip(".")
    if not _HOST_PATTERN.fullmatch(text):
        raise ValueError
    return text


def _name(value: Any) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError
    return value


def _measure(text: str, units: dict[str, Any]) -> Any:
    found = _MEASURE.fullmatch(text.strip())
    if not found or found[2].lower() not in units:
        raise ValueError
    return float(found[1]) * units[found[2].lower()]


def _span(value: Any) -> float:
    if isinstance(value, str):
        value = _measure(value, _SPANS)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ValueError
    return float(value)


def _wait(value: Any) -> float:
    if not (span := _span(value)):
        raise ValueError
    return span


def _size(value: Any) -> int:
    if isinstance(value, str):
        value = int(_measure(value, _SIZES))
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError
    return value


def is_header_name(name: str) -> bool:
    """Whether `name` is a token of RFC 9110 §5.6.2."""
    return bool(_HEADER_NAME.fullmatch(name))


def _items(text: str) -> list[str]:
    items = [item.strip() for item in text.split(",") if item.strip()]
    if not items:
        raise ValueError
    return items


def whole(low: int, high: int) -> Kind:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError
        return value

    return Kind(f"a whole number from {low} to {high}", check, int)


def number(low: float, high: float) -> Kind:
    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError
        return float(value)

    return Kind(f"a number from {low:g} to {high:g}", check, float)


def one_of(*words: str, **synonyms: str) -> Kind:
    """One of `words`, or a synonym of one, which is taken for it, and is what a complaint names."""

    def check(value: Any) -> str:
        word = synonyms.get(value, value) if isinstance(value, str) else ""
        if word not in words:
            raise ValueError
        return word

    short = {word: name for name, word in synonyms.items()}
    return Kind(" or ".join(f'"{short.get(word, word)}"' for word in words), check)


def words(*known: str) -> Kind:
    """A list of words, each of them known."""
    return list_of(one_of(*known), f"a list of {', '.join(known)}")


def list_of(kind: Kind, allowed: str) -> Kind:
    """A TOML array, or a variable's text with commas."""

    def check(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise ValueError
        return tuple(kind.check(item) for item in value)

    return Kind(allowed, check, _items, kind.secret)


_PRICES = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")


def _prices(value: Any) -> dict[str, float]:
    if not isinstance(value, dict) or not {"input", "output"} <= value.keys() <= set(_PRICES):
        raise ValueError
    price = number(0, 1_000_000)
    return {name: price.check(each) for name, each in value.items()}


PRICES = Kind(f"a table with input and output, and of {', '.join(_PRICES[2:])} those that differ from input", _prices)
FLAG = Kind("true or false", _flag, lambda text: _FLAGS[text.strip().lower()])
SCALING = Kind("true or false", _scaling, lambda text: _FLAGS[text.strip().lower()])
TEXT = Kind("a text that is not empty", _text)
SECRET = Kind("a key of visible ASCII characters, without spaces", _token, secret=True)
HEADER = Kind("a text of visible ASCII characters", _header, secret=True)
URL = Kind("an http:// or https:// URL without query", _url)
STORE = Kind(
    "a redis://, rediss://, valkey:// or valkeys:// address such as redis://user:password@host:6379/0",
    _store,
    secret=True,
)
DATABASE = Kind(
    'a postgresql:// address such as postgresql://user:password@host:5432/name, or "memory"', _database, secret=True
)
OLLAMA = Kind('an address such as "localhost:11434", or an http:// or https:// URL without query', _ollama)
NAME = Kind("a name of letters, digits, dots, dashes and underscores", _name)
PREFIX = Kind("a text of visible ASCII characters, without spaces", _prefix)
SPAN = Kind('a number of seconds, 0 or more, or a text such as "90s", "5m" or "1h"', _span)
WAIT = Kind('a number of seconds above 0, or a text such as "90s", "5m" or "1h"', _wait)
SIZE = Kind('a number of bytes, or a text such as "64MiB"', _size)
SECRETS = list_of(Kind("", _client_key, secret=True), "a list of keys of visible ASCII characters, without spaces")
NETWORKS = list_of(Kind("", _network), "a list of addresses and networks such as 127.0.0.1, 10.0.0.0/8 or fd00::/8")
HOSTS = list_of(Kind("", _host_name), 'a list of host names without ports, such as "gw.example.org", "*.lan" or "*"')
TEXTS = list_of(TEXT, "a list of texts that are not empty")
ORIGINS = list_of(Kind("", _origin), 'a list of origins such as "https://chat.example.org" or "app://*", or "*"')


def read_text(kind: Kind, text: str, where: str) -> tuple[Any, str]:
    """A variable's or flag's text as (value, ""), or (None, what is wrong with it)."""
    try:
        return kind.check(kind.parse(text)), ""
    except (ValueError, KeyError, OverflowError) as error:
        return None, _complaint(kind, text, where, error)


def read_value(kind: Kind, value: Any, where: str) -> tuple[Any, str]:
    """A TOML value as (value, ""), or (None, what is wrong with it)."""
    try:
        return kind.check(value), ""
    except (ValueError, OverflowError) as error:
        return None, _complaint(kind, value, where, error)


def _complaint(kind: Kind, value: Any, where: str, error: Exception) -> str:
    if isinstance(error, UnprintableError):
        return f"{where} {error}"
    if kind.secret:
        return f"{where} must be {kind.allowed}"
    return f"{where} is {_shown(value)}, but must be {kind.allowed}"


def _shown(value: Any) -> str:
    """A value as TOML has it."""
    match value:
        case str():
            return f'"{value}"'
        case bool():
            return str(value).lower()
        case list():
            return f"[{', '.join(map(_shown, value))}]"
        case _:
            return repr(value)
