"""HTTPS with certificate files: what is refused at the start, that programs get through, and a certificate renewed."""

from __future__ import annotations

import shutil
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anthropic
import httpx
import ollama
import openai
import pytest

from dragoman.config import ConfigError, Limits, Secret, Settings, load
from dragoman.config.tls import TLSError, server_context, show
from tests.running import Gateway, run_with_simulator

HERE = Path(__file__).parent
BOTH = HERE.parent / "relay" / "localhost.pem"
"""A certificate and its key in one file."""
CERT, LOCKED = HERE / "locked.pem", HERE / "locked.key"
"""Another, whose key has a password."""
PASSWORD = "tls-password-9472"


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with run_with_simulator(tls_cert=str(BOTH), refresh=0) as it:
        it.url = it.url.replace("127.0.0.1", "localhost")  # the certificate's name
        yield it


@pytest.fixture
def http(gateway: Gateway) -> Iterator[httpx.Client]:
    with httpx.Client(verify=ssl.create_default_context(cafile=BOTH), timeout=20, trust_env=False) as client:
        yield client


def test_the_sdks_get_through(gateway: Gateway) -> None:
    assert gateway.url.startswith("https://")
    question: Any = [{"role": "user", "content": "Hi"}]
    name = "claude-haiku-4-5"
    web: Any = openai.DefaultHttpxClient(verify=ssl.create_default_context(cafile=BOTH))
    ai = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="any", http_client=web, max_retries=0)
    assert ai.chat.completions.create(model=name, messages=question).choices[0].message.content
    pieces = [
        c.choices[0].delta.content for c in ai.chat.completions.create(model=name, messages=question, stream=True)
    ]
    assert len([piece for piece in pieces if piece]) > 3
    ai.close()
    web = anthropic.DefaultHttpxClient(verify=ssl.create_default_context(cafile=BOTH))
    claude = anthropic.Anthropic(base_url=gateway.url, api_key="any", http_client=web, max_retries=0)
    with claude.messages.stream(model=name, max_tokens=500, messages=question) as stream:
        assert len(list(stream.text_stream)) > 3
    claude.close()
    client = ollama.Client(gateway.url, verify=ssl.create_default_context(cafile=BOTH), trust_env=False)
    said = [line.message.content for line in client.chat(name, question, stream=True)]
    assert len(said) > 3
    client._client.close()


def test_a_long_body_and_a_long_answer(gateway: Gateway, http: httpx.Client) -> None:
    text = "x" * 3_000_000
    body = {
        "model": "claude-sonnet-5",
        "messages": [{"role": "user", "content": text}],
        "max_tokens": 10,
        "stream": False,
    }
    answer = http.post(f"{gateway.url}/v1/chat/completions", json=body)
    assert answer.status_code in (200, 400)
    assert answer.json()


def test_old_protocols_and_plain_http_are_refused(gateway: Gateway) -> None:
    port = httpx.URL(gateway.url).port or 0
    with socket.create_connection(("127.0.0.1", port), 10) as wire:
        wire.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200" not in wire.recv(100)
    context = server_context(Settings(tls_cert=str(BOTH)))
    assert context is not None
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def judged(environ: dict[str, str]) -> str:
    with pytest.raises(ConfigError) as caught:
        load(environ)
    return str(caught.value)


def test_what_is_wrong_with_the_files_is_said_at_the_start(tmp_path: Path) -> None:
    text = tmp_path / "text.pem"
    text.write_text("hello")
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n")
    broken.chmod(0o600)
    cert = "DRAGOMAN_TLS_CERT"
    assert (
        judged({cert: "/nowhere/x.pem"})
        == f"{cert} is /nowhere/x.pem, but the file cannot be read: No such file or directory"
    )
    assert judged({cert: str(text)}) == f"{cert} is {text}, but the file holds no certificate (PEM)"
    assert judged({cert: str(CERT)}) == f"{cert} is {CERT}, but the file holds no private key (PEM)"
    assert judged({cert: str(broken)}).startswith(f"{cert} cannot be used: ")
    both = {cert: str(CERT), "DRAGOMAN_TLS_KEY": str(BOTH)}
    assert judged(both) == f"DRAGOMAN_TLS_KEY is {BOTH}, which is not the key of the certificate"
    other_kind = tmp_path / "ed25519.key"
    ed25519 = "MC4CAQAwBQYDK2VwBCIEIIS4+R9Gol6aWhgaofQqCdajT210KWD7cH/Nb4KcordG"
    other_kind.write_text(f"-----BEGIN PRIVATE KEY-----\n{ed25519}\n-----END PRIVATE KEY-----\n")
    other_kind.chmod(0o600)
    told = judged(both | {"DRAGOMAN_TLS_KEY": str(other_kind)})
    assert told == f"DRAGOMAN_TLS_KEY is {other_kind}, which is not the key of the certificate"
    assert judged({"DRAGOMAN_TLS_KEY": "x"}).startswith("DRAGOMAN_TLS_KEY is set, but not tls_cert")


def test_a_key_with_a_password(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    file.chmod(0o600)
    pair = {"DRAGOMAN_TLS_CERT": str(CERT), "DRAGOMAN_TLS_KEY": str(LOCKED)}
    assert "wants a password: set tls_key_password_file" in judged(pair)
    assert "which the password does not open" in judged({**pair, "DRAGOMAN_TLS_KEY_PASSWORD": "wrong-one"})
    chosen = load({**pair, "DRAGOMAN_TLS_KEY_PASSWORD_FILE": str(file)})
    assert chosen.tls_key_password == Secret(PASSWORD)
    assert server_context(chosen)
    toml = tmp_path / "dragoman.toml"
    for name in ("locked.pem", "locked.key"):
        shutil.copy(HERE / name, tmp_path / name)
    toml.write_text('tls_cert = "locked.pem"\ntls_key = "locked.key"\ntls_key_password_file = "password"\n')
    assert load({}, toml).tls_cert == str(tmp_path / "locked.pem")


def test_a_key_that_everybody_may_read(tmp_path: Path) -> None:
    file = Path(shutil.copy(BOTH, tmp_path / "own.pem"))
    heard: list[str] = []
    file.chmod(0o644)
    load({"DRAGOMAN_TLS_CERT": str(file)}, warn=heard.append)
    assert heard == [f"{file} holds secrets and everybody on this machine may read it; chmod 600 {file}"]


def shown(context: ssl.SSLContext) -> bytes:
    """The certificate a client sees."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    up, down = (ssl.MemoryBIO() for _ in range(2))
    server = context.wrap_bio(up, down, server_side=True)
    client = trusting.wrap_bio(down, up)
    for _ in range(4):
        for side in (client, server):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
    return client.getpeercert(binary_form=True) or b""


def test_a_renewed_certificate_is_shown_and_a_broken_one_is_not() -> None:
    first = Settings(tls_cert=str(BOTH))
    other = Settings(tls_cert=str(CERT), tls_key=str(LOCKED), tls_key_password=Secret(PASSWORD))
    context = server_context(first)
    assert context is not None
    before = shown(context)
    assert before
    with pytest.raises(TLSError):
        show(context, Settings(tls_cert=str(CERT), tls_key=str(BOTH)))
    assert shown(context) == before
    show(context, other)
    assert shown(context) == ssl.PEM_cert_to_DER_cert(CERT.read_text()) != before


def test_who_begins_tls_and_does_not_go_on_is_left() -> None:
    """No connection has been made yet, so no other bound counts it."""
    with run_with_simulator(tls_cert=str(BOTH), limits=Limits(head=0.5), refresh=0) as it:
        port = httpx.URL(it.url).port or 0
        hello = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = ssl.create_default_context(cafile=BOTH).wrap_bio(*hello, server_hostname="localhost")
        with suppress(ssl.SSLWantReadError):
            client.do_handshake()
        for said in (b"", hello[1].read(), b"\x16\x03\x01\x40\x00"):
            with socket.create_connection(("127.0.0.1", port), 20) as wire:
                wire.sendall(said)
                with suppress(ConnectionError):
                    while wire.recv(4096):
                        pass
        with httpx.Client(verify=ssl.create_default_context(cafile=BOTH), trust_env=False) as http:
            assert http.get(f"https://localhost:{port}/health").status_code == 200
