"""Where Ollama is, in its own words, and whether that is ourselves."""

from __future__ import annotations

import pytest

from dragoman.config.addresses import calls_itself
from tests.config.loading import complaints, loaded

ANY = "0.0.0.0"  # noqa: S104  compared, not bound


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("localhost", "http://localhost:11434"),
        ("127.0.0.1", "http://127.0.0.1:11434"),
        ("gpu.example", "http://gpu.example:11434"),
        ("gpu:8080", "http://gpu:8080"),
        ("gpu:8080/", "http://gpu:8080"),
        ("gpu/ollama", "http://gpu:11434/ollama"),
        (":8080", "http://localhost:8080"),
        (ANY, "http://localhost:11434"),
        ("0.0.0.0:8080", "http://localhost:8080"),
        ("http://0.0.0.0:8080", "http://localhost:8080"),
        ("::1", "http://[::1]:11434"),
        ("[::1]", "http://[::1]:11434"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("[::]:8080", "http://localhost:8080"),
        ("http://gpu", "http://gpu"),
        ("http://gpu:8080", "http://gpu:8080"),
        ("https://gpu.example", "https://gpu.example"),
        ("https://gpu.example/ollama/", "https://gpu.example/ollama"),
        ("HTTP://gpu:8080", "http://gpu:8080"),
        ("http://gpu:8080/v1", "http://gpu:8080"),
        ("http://gpu:8080/api", "http://gpu:8080"),
        ("ollama.com", "https://ollama.com"),
        (" gpu ", "http://gpu:11434"),
    ],
)
def test_forms_of_ollama(text: str, url: str) -> None:
    for name in ("OLLAMA_BASE_URL", "OLLAMA_HOST"):
        [upstream] = loaded({name: text, "PORT": "1"}).upstreams
        assert (upstream.name, upstream.dialect, upstream.base_url) == ("ollama", "ollama", url)


@pytest.mark.parametrize("text", ["gpu:port", "gpu:99999", "ftp://gpu", "http://", "gpu?x=1", "a b", "[::1", "gpu:0"])
def test_what_is_no_address(text: str) -> None:
    allowed = 'an address such as "localhost:11434", or an http:// or https:// URL without query'
    assert complaints({"OLLAMA_HOST": text}) == [f'OLLAMA_HOST is "{text}", but must be {allowed}']


def test_a_password_in_an_address_is_not_shown() -> None:
    assert complaints({"OLLAMA_HOST": "http://me:hush@gpu"}) == [
        "OLLAMA_HOST holds a user name or password; keys have settings of their own"
    ]


@pytest.mark.parametrize(
    ("url", "host", "port", "ours"),
    [
        ("http://localhost:11434", ANY, 11434, True),
        ("http://LOCALHOST:11434", ANY, 11434, True),
        ("http://127.0.0.1:11434", ANY, 11434, True),
        ("http://127.0.0.9:11434", ANY, 11434, True),
        ("http://[::1]:11434", ANY, 11434, False),
        ("http://[::1]:11434", "::", 11434, True),
        ("http://localhost:11434", "127.0.0.1", 11434, True),
        ("http://localhost:11434", "::1", 11434, True),
        ("http://127.0.0.1:11434", "localhost", 11434, True),
        ("http://127.0.0.1:11434", "127.0.0.2", 11434, False),
        ("http://localhost:11434", "192.168.0.5", 11434, False),
        ("http://192.168.0.5:11434", "192.168.0.5", 11434, True),
        ("http://Gate.example:80/x", "gate.example", 80, True),
        ("http://gate.example", "gate.example", 80, True),
        ("http://localhost:11434", ANY, 8000, False),
        ("https://localhost:11434", ANY, 11434, False),
        ("http://gpu:11434", ANY, 11434, False),
        ("http://localhost:11434", ANY, 0, False),
    ],
)
def test_who_calls_itself(url: str, host: str, port: int, ours: bool) -> None:
    assert calls_itself(url, host, port) is ours
