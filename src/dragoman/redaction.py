"""Secrets taken out of text, before it becomes a log line, an error, a header or a trace.

Two ways find them: by value, for those that are configured, and by shape, for those that nobody told us of, such as
a key that a server quotes in its error.  What is left of a secret is `…`.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import quote

GONE = "…"

# A value that is shorter is a word ("ollama", "any") that stands in many a sentence, and keeps nobody out.
_SHORTEST = 8
_LEAST = min(_SHORTEST, len("://u:p@"))
# From this length on, a half of a value is looked for too: messages are cut.
_HALVED = 24
_LONGEST_TOKEN = 256
_TOKEN = re.compile(rf"[\w.~+/=-]{{{_SHORTEST},{_LONGEST_TOKEN}}}")


class Shape(NamedTuple):
    """What secrets of a kind look like.  Texts without any of the `hints`, in lower case, are not searched."""

    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    left: str = GONE


# What a word of prose is not: long, or of letters and figures.
_OPAQUE = r"(?:(?=[\w.~+/=-]{0,64}\d)[\w.~+/=-]{8,2048}|[\w.~+/=-]{16,2048})"

# "token" alone is in every other line.
_SAID_TOKEN = ("token:", "token=", "token :", "token =", 'token"', "token'", "token\\")

SHAPES = (
    # Keys of Anthropic, OpenAI, OpenRouter and many servers that do as they do; and our own.
    Shape(("sk-",), re.compile(r"\bsk-(?:ant-[\w-]{6,512}|or-[\w-]{6,512}|proj-[\w-]{6,512}|[\w-]{16,512})")),
    Shape(("dg-",), re.compile(r"\bdg-[\w-]{20,512}")),
    Shape(("gsk_", "hf_", "nvapi-", "xai-", "pplx-"), re.compile(r"\b(?:gsk_|hf_|nvapi-|xai-|pplx-)[\w-]{16,512}")),
    Shape(
        ("ghp_", "gho_", "ghs_", "ghu_", "ghr_", "github_pat_"), re.compile(r"\b(?:gh[posur]|github_pat)_\w{20,512}")
    ),
    Shape(("aiza", "akia", "asia"), re.compile(r"\b(?:AIza[\w-]{20,128}|A[KS]IA[A-Z0-9]{16})")),
    Shape(("eyj",), re.compile(r"(?<![\w-])eyJ[\w-]{8,4096}\.[\w-]{8,4096}(?:\.[\w-]{0,4096})?")),
    Shape(("private key-----",), re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^-]{0,20000}(?:-----END)?")),
    # Headers, and members named like them.
    Shape(("bearer ", "basic "), re.compile(rf"(?i)\b(bearer|basic) +{_OPAQUE}"), rf"\1 {GONE}"),
    Shape(
        ("api-key", "api_key", "apikey", "authorization", "cookie", "secret", "passw", "credential", *_SAID_TOKEN),
        re.compile(
            r"(?i)(api[_-]?key|authorization|cookie|secret|password|passwd|token|credentials?)"
            rf"(\\?[\"']? *[:=] *\\?[\"']?(?:(?:bearer|basic|token) +)?){_OPAQUE}"
        ),
        rf"\1\2{GONE}",
    ),
    Shape(
        ("key=", "token=", "secret=", "password=", "sig=", "signature="),
        re.compile(r"(?i)([?&][\w-]{0,40}(?:key|token|secret|password|sig|signature)=)[^&\s\"'<>\\]{1,4096}"),
        rf"\1{GONE}",
    ),
    # The user and password of a URL.
    Shape(("://",), re.compile(r"(://)[^\s/@\"'<>?#]{1,512}@"), rf"\1{GONE}@"),
)


class Redactor:
    """Takes out `values` and what looks like a secret; and words that have one of `digests` (SHA-256), which is all
    that is known of some keys."""

    def __init__(self, values: Iterable[str] = (), digests: Iterable[bytes] = (), *, shortest: int = _SHORTEST) -> None:
        self._shortest = shortest
        self._forms: tuple[str, ...] = ()
        self._digests: frozenset[bytes] = frozenset()
        self.learn(values, digests)

    def learn(self, values: Iterable[str], digests: Iterable[bytes] = ()) -> None:
        """From now on these are taken out too.  The others still are: calls that are under way use them."""
        found = {form for value in values if len(value) >= self._shortest for form in _forms(value)}
        self._forms = tuple(sorted({*self._forms, *found}, key=lambda form: (-len(form), form)))
        self._digests |= frozenset(digests)

    def hide(self, text: str) -> str:
        """`text` without secrets.  The same text, if there is none in it."""
        if len(text) < _LEAST:
            return text
        for form in self._forms:
            if form in text:
                text = text.replace(form, GONE)
        low = text.lower()
        for hints, pattern, left in SHAPES:
            for hint in hints:
                if hint in low:
                    text = pattern.sub(left, text)
                    break
        return _TOKEN.sub(self._unless_known, text) if self._digests else text

    def _unless_known(self, found: re.Match[str]) -> str:
        word = found[0]
        for candidate in (word, *re.split(r"[/=]", word), word.rstrip(".")):
            if hashlib.sha256(candidate.encode("utf-8", "surrogateescape")).digest() in self._digests:
                return word.replace(candidate, GONE)
        return word


def _forms(value: str) -> Iterator[str]:
    """A value as it may stand in a text: as it is, in a URL, in JSON, in base64, cut in two."""
    yield value
    yield quote(value, safe="")
    yield value.replace("\\", "\\\\").replace('"', '\\"')
    data = value.encode()
    if len(data) >= _HALVED // 2:
        for before in range(3):  # where it begins in the text of which this is the base64
            whole = base64.b64encode(b"\0" * before + data)
            inner = whole[-(-before * 8 // 6) : (before + len(data)) * 8 // 6].decode()
            yield inner
            yield inner.replace("+", "-").replace("/", "_")
    if len(value) >= _HALVED:
        yield from (half for half in (value[: len(value) // 2], value[-(len(value) // 2) :]) if _is_random(half))


def _is_random(text: str) -> bool:
    """Whether no name of a model or server is likely to be like it."""
    return any(c.isdigit() for c in text) and any(c.isalpha() for c in text)


def secrets_in_url(url: str) -> Iterator[str]:
    """The whole of a URL with a password, and the password by itself."""
    head, at, _ = url.partition("://")[2].rpartition("@")
    if at:
        yield url
        yield head
        if password := head.partition(":")[2]:
            yield password
