"""Who may talk: keys, web origins, body sizes; and that no secret is in any answer or log."""

from __future__ import annotations

import base64
import gzip
import json
import logging
import resource
import zlib
from collections.abc import Callable, Iterator

import httpx
import pytest

from dragoman.config import Secret
from tests.relay.scripted import CHUNKED_HEAD, Scripted, chunk, event, gateway_before, ok_stream, response, scripted
from tests.running import Gateway, run_with_simulator
from tests.surfaces.speaking import SURFACES, Surface

KEY, OTHER = "sk-gateway-one", "sk-gateway-two"
LIMIT = 2000


@pytest.fixture(scope="module")
def locked() -> Iterator[Gateway]:
    """A gateway that wants a key."""
    with run_with_simulator(api_keys=(Secret(KEY), Secret(OTHER)), refresh=0) as it:
        yield it


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=20, trust_env=False) as client:
        yield client


def basic(name: str, word: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{word}".encode()).decode()


# --- keys --------------------------------------------------------------------------------------------

GOOD: tuple[dict[str, str], ...] = (
    {"authorization": f"Bearer {KEY}"},
    {"authorization": f"bearer  {OTHER}"},
    {"x-api-key": KEY},
    {"authorization": KEY},
    {"authorization": basic("anyone", KEY)},
    {"authorization": basic(KEY, "")},
    {"x-api-key": KEY, "authorization": "Bearer something else"},
    {"x-api-key": "something else", "authorization": f"Bearer {KEY}"},
)
BAD: tuple[dict[str, str], ...] = (
    {},
    {"authorization": ""},
    {"authorization": "Bearer"},
    {"authorization": f"Bearer {KEY}x"},
    {"authorization": f"Bearer {KEY[:-1]}"},
    {"authorization": f"Bearer {KEY.upper()}"},
    {"authorization": f"Bearer {KEY} {OTHER}"},
    {"authorization": f"Token {KEY}"},
    {"authorization": "Basic !!!"},
    {"authorization": basic("", "")},
    {"authorization": basic("anyone", "guess")},
    {"x-api-key": ""},
    {"x-api-key": f"Bearer {KEY}x"},
    {"cookie": f"key={KEY}"},
)
# A path of each kind, and whether its errors have OpenAI's shape.
PATHS = (
    ("GET", "/api/tags", False),
    ("POST", "/api/chat", False),
    ("POST", "/api/generate", False),
    ("GET", "/v1/models", True),
    ("GET", "/models", True),
    ("POST", "/v1/chat/completions", True),
    ("POST", "/v1/completions", True),
    ("POST", "/api/pull", False),
    ("GET", "/nowhere", False),
    ("GET", "/v1/nowhere", True),
    ("DELETE", "/api/tags", False),
    ("GET", "//api//tags/", False),
    ("GET", "/%61pi/tags", False),
    ("GET", "/health/%2e%2e/api/tags", False),
)


@pytest.mark.parametrize("headers", GOOD, ids=str)
@pytest.mark.parametrize(("method", "path"), [("GET", "/api/tags"), ("GET", "/v1/models")])
def test_a_good_key_opens(locked: Gateway, http: httpx.Client, method: str, path: str, headers: dict[str, str]) -> None:
    assert http.request(method, locked.url + path, headers=headers).status_code == 200


@pytest.mark.parametrize("headers", BAD, ids=str)
@pytest.mark.parametrize("door", PATHS, ids=str)
def test_without_a_good_key_there_is_a_401_in_the_right_dialect(
    locked: Gateway, http: httpx.Client, door: tuple[str, str, bool], headers: dict[str, str]
) -> None:
    method, path, openai = door
    answer = http.request(method, locked.url + path, headers=headers, content=b"{}" if method == "POST" else None)
    assert answer.status_code == 401
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers["www-authenticate"]
    assert answer.headers["x-request-id"]
    surface = SURFACES[2] if openai else SURFACES[0]
    assert "key" in surface.error_text(answer.json())
    if openai:
        assert answer.json()["error"]["code"] == "invalid_api_key"
    assert KEY not in answer.text and OTHER not in answer.text


@pytest.mark.parametrize("path", ["/", "/health"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_liveness_needs_no_key(locked: Gateway, http: httpx.Client, method: str, path: str) -> None:
    assert http.request(method, locked.url + path).status_code == 200


def test_without_a_key_nobody_is_called(locked: Gateway, http: httpx.Client) -> None:
    before = len(locked.simulator.requests)
    for surface in SURFACES:
        http.post(locked.url + surface.path, json=surface.body(stream=False))
    assert len(locked.simulator.requests) == before


def test_without_keys_any_credential_will_do(gateway: Gateway, http: httpx.Client) -> None:
    for headers in ({}, {"authorization": "Bearer ollama"}, {"authorization": "Basic !!!"}):
        assert http.get(f"{gateway.url}/api/tags", headers=headers).status_code == 200


# --- web origins -------------------------------------------------------------------------------------

AT_HOME = (
    "http://localhost",
    "https://localhost:8443",
    "http://127.0.0.1:3000",
    "https://0.0.0.0",
    "app://obsidian.md",
    "file://",
    "tauri://localhost",
    "http://tauri.localhost",
    "https://chat.my-app.localhost:3000",
    "capacitor://localhost",
    "ionic://localhost",
    "vscode-webview://1a2b3c",
    "vscode-file://vscode-app",
    "chrome-extension://abcdefgh",
    "moz-extension://abcdefgh",
    "safari-web-extension://ABCD",
)
FOREIGN = (
    "https://evil.example",
    "http://localhost.evil.example",
    "http://evil.example.localhost.evil.example",
    "http://xlocalhost",
    "http://.localhost",
    "http://127.0.0.1.evil.example",
    "http://127.0.0.10",
    "http://localhost@evil.example",
    "http://evil.example/?http://localhost",
    "http://localhost:80.evil.example",
    "http://localhost\tx",
    "ftp://localhost",
    "https://evil.example#app://x",
    "null",
)


@pytest.mark.parametrize("origin", AT_HOME)
@pytest.mark.parametrize("path", ["/api/tags", "/v1/models"])
def test_programs_of_this_machine_may_call(gateway: Gateway, http: httpx.Client, path: str, origin: str) -> None:
    answer = http.get(gateway.url + path, headers={"origin": origin})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == origin
    assert "origin" in answer.headers["vary"].lower()
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/api/chat"), ("POST", "/v1/chat/completions"), ("OPTIONS", "/api/chat")]
)
def test_a_foreign_page_may_not(gateway: Gateway, http: httpx.Client, method: str, path: str, origin: str) -> None:
    before = len(gateway.simulator.requests)
    headers = {"origin": origin, "access-control-request-method": "POST"}
    surface = SURFACES[2] if path.startswith("/v1") else SURFACES[0]
    answer = http.request(method, gateway.url + path, headers=headers, json=surface.body(stream=False))
    assert answer.status_code == 403
    assert "DRAGOMAN_ORIGINS" in surface.error_text(answer.json())
    assert "access-control-allow-origin" not in answer.headers
    assert len(gateway.simulator.requests) == before


WANTED = (
    "authorization, content-type, openai-beta, x-requested-with, x-stainless-arch, x-stainless-read-timeout, x-api-key,"
    "anthropic-version, anthropic-beta, anthropic-dangerous-direct-browser-access, x-dragoman-strict"
)


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions", "/api/delete"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "HEAD", "PUT", "PATCH"])
def test_a_preflight_needs_no_key(locked: Gateway, http: httpx.Client, path: str, method: str) -> None:
    headers = {
        "origin": "app://obsidian.md",
        "access-control-request-method": method,
        "access-control-request-headers": WANTED,
    }
    answer = http.options(locked.url + path, headers=headers)
    assert answer.status_code in (200, 204)
    assert answer.headers["access-control-allow-origin"] == "app://obsidian.md"
    assert method in answer.headers["access-control-allow-methods"]
    allowed = {name.strip().lower() for name in answer.headers["access-control-allow-headers"].split(",")}
    assert {name.strip() for name in WANTED.split(",")} <= allowed
    assert int(answer.headers["access-control-max-age"]) == 12 * 3600


def test_a_page_that_may_call_can_read_why_it_was_refused(locked: Gateway, http: httpx.Client) -> None:
    """Without the CORS header a browser shows a network error and hides the 401."""
    answer = http.get(f"{locked.url}/api/tags", headers={"origin": "app://obsidian.md"})
    assert answer.status_code == 401
    assert answer.headers["access-control-allow-origin"] == "app://obsidian.md"


def test_a_page_can_read_what_was_lost(gateway: Gateway, http: httpx.Client) -> None:
    body = SURFACES[2].body(stream=True) | {"model": "gpt-4o", "seed": 1, "logit_bias": {"1": 1}}
    body["response_format"] = {"type": "json_object"}
    answer = http.post(gateway.url + SURFACES[2].path, json=body, headers={"origin": "http://localhost"})
    assert answer.status_code == 200
    exposed = {name.strip().lower() for name in answer.headers["access-control-expose-headers"].split(",")}
    ours = {name for name in answer.headers if name.startswith("x-dragoman-")}
    assert {"x-dragoman-model", "x-dragoman-dropped", "x-dragoman-substituted", "x-dragoman-emulated"} <= ours
    assert ours | {"x-request-id", "retry-after"} <= exposed


def test_origins_are_added() -> None:
    origins = ("https://chat.example.com", "https://*.corp.example")
    with run_with_simulator(origins=origins, refresh=0) as gateway, httpx.Client(trust_env=False) as http:

        def status(origin: str) -> int:
            return http.get(f"{gateway.url}/api/tags", headers={"origin": origin}).status_code

        assert status("https://chat.example.com") == 200
        assert status("https://a.corp.example") == 200
        assert status("http://localhost:3000") == 200
        assert status("http://chat.example.com") == 403
        assert status("https://chat.example.com.evil.example") == 403
        assert status("https://chatXexample.com") == 403
        assert status("https://evil.example") == 403


def test_a_star_opens_to_all() -> None:
    with run_with_simulator(origins=("*",), refresh=0) as gateway:
        answer = httpx.get(f"{gateway.url}/api/tags", headers={"origin": "https://evil.example"}, trust_env=False)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] in ("*", "https://evil.example")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_page_that_the_gateway_serves_is_at_home(gateway: Gateway, http: httpx.Client, scheme: str) -> None:
    headers = {"host": "gateway.lan:11434", "origin": f"{scheme}://gateway.lan:11434"}
    assert http.get(f"{gateway.url}/api/tags", headers=headers).status_code == 200
    headers["origin"] += "1"
    assert http.get(f"{gateway.url}/api/tags", headers=headers).status_code == 403


# --- body sizes --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small() -> Iterator[Gateway]:
    """A gateway that takes little."""
    with run_with_simulator(max_body=LIMIT, refresh=0) as it:
        yield it


def padded(surface: Surface, size: int) -> bytes:
    """A request of exactly so many bytes."""
    body = json.dumps(surface.body(stream=False)).encode()
    return body[:-1] + b" " * (size - len(body)) + b"}"


each_surface = pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)


@each_surface
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [LIMIT, LIMIT + 1, 40 * LIMIT, 5_000_000])
def test_bodies_are_bounded(small: Gateway, http: httpx.Client, surface: Surface, chunked: bool, size: int) -> None:
    status = 200 if size <= LIMIT else 413
    data = padded(surface, size)
    content = iter([data[: size // 2], data[size // 2 :]]) if chunked else data
    answer = http.post(small.url + surface.path, content=content)
    assert answer.status_code == status
    if status == 413:
        assert "DRAGOMAN_MAX_BODY" in surface.error_text(answer.json())
    # The connection, or a new one, is good for the next call.
    assert http.post(small.url + surface.path, content=padded(surface, 500)).status_code == 200


PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "GZip": gzip.compress,
}


@each_surface
@pytest.mark.parametrize("encoding", PACKINGS)
@pytest.mark.parametrize("size", [LIMIT, LIMIT + 1])
def test_bodies_are_bounded_after_unpacking(
    small: Gateway, http: httpx.Client, surface: Surface, encoding: str, size: int
) -> None:
    data = PACKINGS[encoding](padded(surface, size))
    answer = http.post(small.url + surface.path, content=data, headers={"content-encoding": encoding})
    assert answer.status_code == (200 if size <= LIMIT else 413)
    if size > LIMIT:
        assert "DRAGOMAN_MAX_BODY" in surface.error_text(answer.json())


@pytest.mark.parametrize("packing", [gzip.compress, zlib.compress])
def test_a_bomb_is_not_unpacked(packing: Callable[[bytes], bytes]) -> None:
    bomb = packing(b" " * 50_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with run_with_simulator(max_body=1_000_000, refresh=0) as gateway, httpx.Client(trust_env=False) as http:
        headers = {"content-encoding": "gzip" if packing is gzip.compress else "deflate"}
        answer = http.post(f"{gateway.url}/api/chat", content=bomb, headers=headers)
    assert answer.status_code == 413
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 40_000, f"{grown} KiB were used to find out that 1 MB is the limit"


@each_surface
@pytest.mark.parametrize(
    ("headers", "data"),
    [
        ({"content-encoding": "gzip"}, b"not packed"),
        ({"content-encoding": "deflate"}, b"not packed"),
        ({"content-encoding": "gzip"}, gzip.compress(b'{"model":"claude"}', mtime=0)[:-12]),
        ({"content-encoding": "br"}, b"whatever"),
        ({"content-encoding": "gzip, gzip"}, b"whatever"),
        ({"content-encoding": "gzip"}, gzip.compress(b"", mtime=0)),
    ],
    ids=str,
)
def test_a_body_that_cannot_be_unpacked_is_a_bad_request(
    small: Gateway, http: httpx.Client, surface: Surface, headers: dict[str, str], data: bytes
) -> None:
    answer = http.post(small.url + surface.path, content=data, headers=headers)
    assert answer.status_code == (415 if data == b"whatever" else 400)
    assert surface.error_text(answer.json())


# --- secrets -----------------------------------------------------------------------------------------

UPSTREAM_KEY = "sk-secret-upstream"  # what `gateway_before` configures
WORDS = "my most private words"


@pytest.fixture
def upstream() -> Iterator[Scripted]:
    with scripted() as it:
        yield it


def echo(status: str) -> bytes:
    """An upstream so careless that it repeats the key in its error."""
    kind = "authentication_error" if status.startswith("401") else "invalid_request_error"
    told = {"type": "error", "error": {"type": kind, "message": f"bad key {UPSTREAM_KEY}"}}
    return response(json.dumps(told).encode(), status=status)


@each_surface
@pytest.mark.parametrize("stream", [False, True])
def test_the_upstreams_key_is_in_no_answer_and_no_log(
    upstream: Scripted, surface: Surface, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    error = event("error", error={"type": "api_error", "message": f"key {UPSTREAM_KEY} is bad"})
    upstream.play(
        [ok_stream("Hi")],
        [echo("401 Unauthorized")],
        [echo("400 Bad Request")],
        [response(UPSTREAM_KEY.encode(), status="500 Error", kind="text/plain")],
        [CHUNKED_HEAD + chunk(error)],
    )
    keys = (Secret(KEY),)
    answers = []
    with gateway_before(upstream, api_keys=keys, debug=True) as gateway, httpx.Client(trust_env=False) as http:
        for _ in range(5):
            body = surface.body(WORDS, stream=stream)
            answers.append(http.post(gateway.url + surface.path, json=body, headers={"x-api-key": KEY}))
        answers.append(http.get(f"{gateway.url}/{KEY}"))
        answers.append(http.post(f"{gateway.url}/api/show", json={"model": "x"}, headers={"x-api-key": KEY}))
    assert [answer.status_code for answer in answers[:5]] == [200, 401, 400, 500, 500]
    assert upstream.requests[0].headers["x-api-key"] == UPSTREAM_KEY
    for answer in answers:
        assert UPSTREAM_KEY not in answer.text + str(answer.headers)
        assert KEY not in answer.text + str(answer.headers) or answer is answers[5]
    ours = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("dragoman"))
    assert ours, "nothing was logged at all"
    assert UPSTREAM_KEY not in ours
    assert WORDS not in ours


def test_the_clients_key_goes_no_further(upstream: Scripted) -> None:
    upstream.play([ok_stream("Hi")])
    headers = {"authorization": f"Bearer {KEY}", "x-api-key": KEY, "cookie": "session=1", "x-private": "1"}
    with gateway_before(upstream, api_keys=(Secret(KEY),)) as gateway:
        answer = httpx.post(
            f"{gateway.url}/api/chat", json=SURFACES[0].body(stream=False), headers=headers, trust_env=False
        )
    assert answer.status_code == 200
    sent = upstream.requests[0]
    assert KEY not in str(sent)
    assert not {"cookie", "x-private", "authorization"} & sent.headers.keys()
