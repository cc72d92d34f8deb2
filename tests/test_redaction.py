"""Secrets in texts: found in every form, and ordinary words left alone."""

from __future__ import annotations

import base64
import hashlib
import time
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.config import ClientKey, Secret, Settings, Upstream
from dragoman.config.secrecy import redactor_of
from dragoman.redaction import Redactor, secrets_in_url

SHAPED = (
    ("bad key sk-ant-api03-AbC_d-9 here", "bad key … here"),
    ("Incorrect API key provided: sk-proj-abcdef123456.", "Incorrect API key provided: …."),
    ("sk-0123456789abcdef0123", "…"),
    ("dg-" + "a1" * 20, "…"),
    ("gsk_" + "a1" * 20, "…"),
    ("Authorization: Bearer abcdefgh12", "Authorization: Bearer …"),
    ("authorization: Basic dXNlcjpwYXNzd29yZA==", "authorization: Basic …"),
    ('{"x-api-key": "hunter2hunter2"}', '{"x-api-key": "…"}'),
    (r"{\"password\": \"hunter2hunter2\"}", r"{\"password\": \"…\"}"),
    ("X-API-Key: Token abc12345678", "X-API-Key: Token …"),
    ("https://me:pw@host/x and redis://:pw@host", "https://…@host/x and redis://…@host"),
    ("GET /x?a=1&api_key=abc&b=2", "GET /x?a=1&api_key=…&b=2"),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl", "…"),
)
PLAIN = (
    "send it as `Authorization: Bearer KEY` or `x-api-key: KEY`",
    "prompt is too long: 12345678 tokens > 200000 maximum",
    "max_tokens: 40960000, input_tokens=12345678",
    "the model claude-sonnet-4-5-20250929 is retired",
    "messages[3].content[1] must be a text",
    "Basic authentication is wanted; the bearer of this token waits",
    "https://api.anthropic.com/v1/messages?beta=true",
    "user@example.org asks for task-list-2026-11-22",
    "req_0123456789abcdef01234567 toolu_01AbCdEfGhIjKlMnOpQrSt",
)


@pytest.mark.parametrize(("text", "expected"), SHAPED)
def test_what_looks_like_a_secret_is_one(text: str, expected: str) -> None:
    assert Redactor().hide(text) == expected


@pytest.mark.parametrize("text", PLAIN)
def test_what_does_not_stays(text: str) -> None:
    assert Redactor().hide(text) == text


KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=12, max_size=60)


@settings(max_examples=150, deadline=None)
@given(key=KEYS, before=st.text(max_size=5), after=st.text(max_size=5))
def test_a_value_is_found_in_every_form(key: str, before: str, after: str) -> None:
    redactor = Redactor([key])
    assert key not in redactor.hide(f"a {before} {key} {after} b")
    assert quote(key, safe="") not in redactor.hide(f"x?{quote(key, safe='')}&")
    packed = base64.b64encode(f"{before}:{key}:{after}".encode()).decode()
    at = len(f"{before}:".encode())
    kept = packed[-(-at * 8 // 6) : (at + len(key)) * 8 // 6]
    assert kept in packed
    assert kept not in redactor.hide(f"Credentials {packed}")


def test_both_halves_of_a_long_one() -> None:
    key = "Tm5dLw1BgQx8CrFp3ZvKy6Ne"
    hide = Redactor([key]).hide
    assert hide(f"…{key[:12]}") == "……"
    assert hide(f"cut {key[12:]} off") == "cut … off"


def test_a_short_word_is_no_secret() -> None:
    chosen = Settings(
        upstreams=(
            Upstream(name="ollama", dialect="ollama", key=Secret("ollama")),
            Upstream(name="lm-studio", dialect="openai_chat", key=Secret("lm-studio")),
            Upstream(
                name="x", key=Secret("quite-long-1"), headers={"Anthropic-Beta": "files-api-2025-04-14", "X-A": "any"}
            ),
        )
    )
    text = "ollama and lm-studio have any of files-api-2025-04-14"
    assert redactor_of(chosen).hide(f"{text} quite-long-1") == f"{text} …"


def test_a_key_of_which_there_is_only_a_digest() -> None:
    digest = hashlib.sha256(b"annas-own-key").digest()
    hide = redactor_of(Settings(api_keys=(ClientKey(digest=digest, name="anna"),))).hide
    assert hide("there is nothing at GET /annas-own-key") == "there is nothing at GET /…"
    assert hide("key=annas-own-key, anna") == "key=…, anna"
    assert hide("annas-other-key") == "annas-other-key"


def test_what_was_learnt_once_stays() -> None:
    redactor = Redactor(["the-first-one-1"])
    redactor.learn(["the-second-one-2"])
    assert redactor.hide("the-first-one-1 the-second-one-2") == "… …"


def test_urls() -> None:
    assert set(secrets_in_url("redis://me:pass@word@host/0")) == {
        "redis://me:pass@word@host/0",
        "me:pass@word",
        "pass@word",
    }
    assert not list(secrets_in_url("redis://host/0"))


@pytest.mark.parametrize(
    "piece",
    ["key=", "://", "authorization: ", "bearer ", "sk-", "a_", "?key=", "eyJaaaaaaaa.", "-eyJ", "token: ", "x" * 50],
)
def test_no_text_takes_long(piece: str) -> None:
    """One that somebody made to be slow: a server's error may have a megabyte."""
    begun = time.process_time()
    Redactor(["abcdefghijkl"]).hide(piece * (1_000_000 // len(piece)))
    assert time.process_time() - begun < 3


def test_nothing_of_the_settings_is_in_their_text() -> None:
    server = Upstream(name="x", key=Secret("secret-1"), headers={"x-auth": "secret-2"})
    chosen = Settings(upstreams=(server,), api_keys=(Secret("secret-3"),), tls_key_password=Secret("secret-4"))
    for text in (repr(chosen), str(chosen), f"{server}", repr([server])):
        assert "secret-" not in text
    assert "x-auth" in repr(server)
