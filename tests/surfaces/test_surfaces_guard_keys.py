"""Every path that is served wants a key, in any of the forms in which clients send one."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.routing import Route

from dragoman.config import ClientKey, Secret, Settings, load
from dragoman.models.catalogue import build
from dragoman.relay.relay import Relay
from dragoman.surfaces.app import all_routes
from dragoman.surfaces.background import Background
from dragoman.surfaces.guard import OPEN_PATHS, dialect_of
from tests.running import Gateway, run_with_simulator
from tests.surfaces.knocking import knock

PLAIN, HASHED = "plain-key-1", "hashed-key-2"
KEYS = (Secret(PLAIN), ClientKey(digest=hashlib.sha256(HASHED.encode()).digest(), name="ann"))


def served() -> list[tuple[str, str]]:
    """Every method and path, with something in place of what varies."""
    relay = Relay(Settings(), build(), {})
    pairs = []
    for route in all_routes(relay, Background(relay.durable)):
        assert isinstance(route, Route)
        path = re.sub(r"\{[^}]+\}", "x", route.path)
        pairs += [(method, path) for method in sorted(route.methods or ())]
    return sorted(set(pairs))


ROUTES = served()


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


FORMS: dict[str, dict[str, str]] = {
    "bearer": {"authorization": f"Bearer {HASHED}"},
    "x-api-key": {"x-api-key": PLAIN},
    "api-key": {"api-key": HASHED},
    "basic-password": {"authorization": basic(f"me:{PLAIN}")},
    "basic-name": {"authorization": basic(f"{HASHED}:")},
    "bare": {"authorization": PLAIN},
}


@pytest.fixture(scope="module")
def locked() -> Iterator[Gateway]:
    with run_with_simulator(api_keys=KEYS, refresh=0, database=Secret("memory")) as it:
        yield it


@pytest.fixture(scope="module")
def http(locked: Gateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=locked.url, timeout=20, trust_env=False) as client:
        yield client


def test_there_are_routes_of_every_dialect() -> None:
    assert {dialect_of(path).NAME for _, path in ROUTES} == {"anthropic", "ollama", "openai_chat"}
    assert len(ROUTES) > 60


def ask(http: httpx.Client, method: str, path: str, headers: dict[str, str]) -> httpx.Response:
    content = b"{}" if method in ("POST", "PUT", "PATCH", "DELETE") else None
    return http.request(method, path, headers=headers, content=content)


@pytest.mark.parametrize(("method", "path"), [each for each in ROUTES if each[1] not in OPEN_PATHS])
def test_without_a_key_nothing(http: httpx.Client, method: str, path: str) -> None:
    for headers in ({}, {"authorization": "Bearer wrong"}, {"x-api-key": PLAIN.upper()}, {"x-api-key": PLAIN[:-1]}):
        answer = ask(http, method, path, headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        if method != "HEAD":
            judge(path, answer.json())


def judge(path: str, document: Any) -> None:
    """That an error is told as the clients of `path` expect."""
    match dialect_of(path).NAME:
        case "anthropic":
            assert document["type"] == "error"
            assert document["error"]["type"] == "authentication_error"
        case "ollama":
            assert "key" in document["error"]
        case _:
            assert document["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize("form", FORMS)
def test_with_a_key_every_path_is_there(http: httpx.Client, form: str) -> None:
    refused = [
        (method, path)
        for method, path in ROUTES
        if ask(http, method, path, FORMS[form]).status_code in (401, 403)
        # An Ollama server says so to whoever is not signed in; models are not managed here.
        and path not in ("/api/me", "/api/signout", "/api/blobs/x", "/api/push")
    ]
    assert refused == []


@pytest.mark.parametrize("path", sorted(OPEN_PATHS))
def test_signs_of_life_need_none(http: httpx.Client, path: str) -> None:
    assert http.get(path).status_code == 200


def test_keys_in_a_url_or_a_cookie_do_not_count(http: httpx.Client) -> None:
    for query in ("key", "api_key", "api-key", "access_token"):
        assert http.get("/api/tags", params={query: PLAIN}).status_code == 401
    assert http.get("/api/tags", headers={"cookie": f"x-api-key={PLAIN}"}).status_code == 401


def test_the_digest_of_a_key_is_no_key(http: httpx.Client) -> None:
    digest = hashlib.sha256(HASHED.encode())
    for sent in (digest.hexdigest(), f"sha256:{digest.hexdigest()}", base64.b64encode(digest.digest()).decode()):
        assert http.get("/api/tags", headers={"x-api-key": sent}).status_code == 401


DISCOVERY = (("GET", "/api/tags"), ("HEAD", "/api/tags"), ("GET", "/api/version"), ("GET", "/v1/models"))


def test_discovery_can_be_opened() -> None:
    opened = load({"DRAGOMAN_API_KEYS": "right", "DRAGOMAN_OPEN_DISCOVERY": "true"})
    for method, path in (*DISCOVERY, ("GET", "/v1/models/x"), ("GET", "/models")):
        assert knock(opened, path, method=method).inside
        assert knock(Settings(api_keys=opened.api_keys), path, method=method).status == 401
    for method, path in (
        ("POST", "/api/tags"),
        ("DELETE", "/v1/models/x"),
        ("POST", "/api/show"),
        ("GET", "/api/ps"),
        ("POST", "/api/chat"),
        ("GET", "/v1/modelsx"),
        ("GET", "/v1/responses/x"),
    ):
        assert knock(opened, path, method=method).status == 401
    # A key that is sent is still looked at, for its name.
    named = Settings(api_keys=KEYS, open_discovery=True)
    scope = knock(named, "/api/tags", ("x-api-key", HASHED), method="GET").scope
    assert scope is not None
    assert scope["dragoman.key"] == "ann"


def test_a_file_of_named_keys(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    digest = hashlib.sha256(b"bobs-key").hexdigest()
    file.write_text(f'anns-key\nbob: sha256:{digest}\n# nobody\ncarl = "carls-key"\n')
    file.chmod(0o600)
    chosen = load({"DRAGOMAN_API_KEYS_FILE": str(file)})
    assert all(isinstance(key, ClientKey) for key in chosen.api_keys)
    for key, name in (("anns-key", ""), ("bobs-key", "bob"), ("carls-key", "carl")):
        scope = knock(chosen, "/api/chat", ("authorization", f"Bearer {key}")).scope
        assert scope is not None
        assert scope["dragoman.key"] == name
        assert key not in str({k: v for k, v in scope.items() if k != "headers"})
    for wrong in ("bob", "carl", '"carls-key"', f"sha256:{digest}", "bob: bobs-key"):
        assert knock(chosen, "/api/chat", ("authorization", f"Bearer {wrong}")).status == 401
