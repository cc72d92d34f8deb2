"""By which name a request calls us, and which page it comes from: no browser is made to call for somebody else."""

from __future__ import annotations

import json
import socket

import httpx
import pytest

from dragoman.config import ConfigError, Secret, Settings, load
from tests.running import run_with_simulator
from tests.surfaces.knocking import knock

LOOPBACK, NETWORK = Settings(host="127.0.0.1"), Settings()

OURS = (
    "localhost",
    "localhost:11434",
    "LOCALHOST:80",
    "localhost.",
    "ollama.localhost:11434",
    "127.0.0.1",
    "127.0.0.1:11434",
    "[::1]",
    "[::1]:11434",
    "192.168.1.5:11434",
    "93.184.216.34",
    "0.0.0.0:11434",
    "box.local",
    "box.local.",
    "host.docker.internal:11434",
    "gateway.lan",
    "gw.home.arpa",
    "box.home",
    "box.corp",
    "box.intranet",
    "box.private",
    "localhost.localdomain:11434",
    "dragoman.models.svc:11434",
    "box.fritz.box",
    "box.tail1234.ts.net:11434",
    "dragoman:11434",
    "my_service:8000",
    socket.gethostname(),
    "",
)
FOREIGN = (
    "evil.example",
    "evil.example:11434",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evil.example.",
    "local.evil.example",
    "xlocal.example",
    "xfritz.box",
    "fritz.box.example",
    "xts.net",
    "home.example",
    "127.1",
    "127.0.0.1.",
    "localhost..",
    ".local",
    "evil.example@localhost",
    "localhost/evil.example",
    "localhost:evil",
    "[::1",
    "[::1]x",
    "[localhost]",
    "::1",
    "local host",
    "a..local",
    "\xe9.local",
    "x" * 300 + ".local",
)


@pytest.mark.parametrize("settings", [LOOPBACK, NETWORK], ids=["loopback", "network"])
@pytest.mark.parametrize("host", OURS)
def test_names_of_this_machine_and_its_network(settings: Settings, host: str) -> None:
    assert knock(settings, "/api/chat", ("host", host)).inside


@pytest.mark.parametrize("settings", [LOOPBACK, NETWORK], ids=["loopback", "network"])
@pytest.mark.parametrize("host", FOREIGN)
@pytest.mark.parametrize(("method", "path"), [("POST", "/api/chat"), ("GET", "/v1/models"), ("OPTIONS", "/api/chat")])
def test_a_name_that_somebody_else_can_lead_here(settings: Settings, host: str, method: str, path: str) -> None:
    let = knock(settings, path, ("host", host), method=method)
    if host == "127.0.0.1.":  # an address with a dot after it is still no name of anybody's
        assert let.status in (200, 403)
        return
    assert let.status == 403
    assert "DRAGOMAN_ALLOWED_HOSTS" in json.dumps(let.document)


def test_the_page_of_such_a_name_is_not_at_home() -> None:
    """What a rebound page sends: its own name in both."""
    headers = (("host", "evil.example:11434"), ("origin", "http://evil.example:11434"))
    assert knock(LOOPBACK, "/api/chat", *headers).status == 403


def test_a_request_without_a_host_and_one_with_two() -> None:
    assert knock(LOOPBACK).inside
    for second in ("localhost", "evil.example"):
        let = knock(LOOPBACK, "/v1/messages", ("host", "localhost"), ("host", second))
        assert let.status == 400
        assert let.document["error"]["type"] == "invalid_request_error"
    assert knock(Settings(api_keys=(Secret("k"),)), "/", ("host", "a"), ("host", "b")).status == 400


def test_names_are_added() -> None:
    chosen = load({"DRAGOMAN_ALLOWED_HOSTS": "GW.example.org., *.corp.example"})
    assert chosen.allowed_hosts == ("gw.example.org", "*.corp.example")
    for host, good in (
        ("gw.example.org", True),
        ("gw.example.org:8443", True),
        ("a.corp.example", True),
        ("corp.example", False),
        ("xgw.example.org", False),
        ("evil.example", False),
        ("localhost", True),
    ):
        assert knock(chosen, "/api/chat", ("host", host)).inside is good
    assert knock(Settings(allowed_hosts=("*",)), "/api/chat", ("host", "any.example")).inside
    for wrong in ("http://gw.example.org", "gw.example.org:80", "a b", "gw/*"):
        with pytest.raises(ConfigError, match="DRAGOMAN_ALLOWED_HOSTS"):
            load({"DRAGOMAN_ALLOWED_HOSTS": wrong})


def test_where_a_key_is_asked_for_a_name_does_not_matter_unless_it_is_configured() -> None:
    locked = Settings(api_keys=(Secret("right"),))
    headers = (("host", "gw.example.org"), ("x-api-key", "right"))
    assert knock(locked, "/api/chat", *headers).inside
    assert knock(Settings(allow_public=True), "/api/chat", ("host", "gw.example.org")).inside
    named = Settings(api_keys=(Secret("right"),), allowed_hosts=("other.example.org",))
    assert knock(named, "/api/chat", *headers).status == 403


def test_the_address_it_is_told_to_listen_on_is_its_name() -> None:
    assert knock(Settings(host="gw.example.org"), "/api/chat", ("host", "gw.example.org:11434")).inside


def test_a_whole_url_in_the_request_line_counts() -> None:
    """It wins over the Host header, so it is what has to be looked at."""
    with run_with_simulator(refresh=0) as gateway:
        where = httpx.URL(gateway.url)
        for target, host, status in (
            ("http://evil.example/api/tags", "localhost", b"403"),
            ("http://localhost@evil.example/api/tags", "localhost", b"403"),
            ("http://localhost/api/tags", "evil.example", b"200"),
            ("http://127.0.0.1:9/api/tags?x=/", "evil.example", b"200"),
        ):
            with socket.create_connection((where.host, where.port or 80), 10) as wire:
                wire.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                assert wire.makefile("rb").readline().split()[1] == status


# --- pages -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "headers", "good"),
    [
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}, False),
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}, False),
        ("POST", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, False),
        ("POST", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, False),  # a form
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, True),  # a link
        ("GET", {"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}, True),
        ("GET", {"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}, True),
        ("POST", {"sec-fetch-mode": "cors"}, True),  # Node
        ("POST", {"sec-fetch-site": "cross-site", "origin": "app://obsidian.md"}, True),
        ("POST", {"sec-fetch-site": "cross-site", "origin": "null"}, False),
        ("POST", {"origin": "https://evil.example", "content-type": "text/plain"}, False),
        ("POST", {"origin": "https://evil.example", "content-type": "application/x-www-form-urlencoded"}, False),
        ("POST", {"origin": "https://evil.example", "content-type": "multipart/form-data; boundary=x"}, False),
        ("POST", {"origin": "", "content-type": "text/plain"}, False),
        ("POST", {"content-type": "text/plain"}, True),  # curl
        ("POST", {"origin": "http://[::1]:3000"}, True),
    ],
    ids=str,
)
@pytest.mark.parametrize("settings", [LOOPBACK, Settings(api_keys=(Secret("k"),))], ids=["open", "locked"])
def test_what_a_page_may_send(settings: Settings, method: str, headers: dict[str, str], good: bool) -> None:
    sent = {"host": "localhost:11434", "x-api-key": "k", **headers}
    let = knock(settings, "/api/generate", *sent.items(), method=method)
    assert let.inside is good
    if not good:
        assert let.status == 403
        assert "DRAGOMAN_ORIGINS" in let.document["error"]


def test_a_gateway_for_every_page_takes_them_too() -> None:
    headers = (("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors"))
    assert knock(Settings(origins=("*",)), "/api/tags", *headers, method="GET").inside


def test_cookies_are_never_asked_for() -> None:
    for origins in ((), ("*",), ("https://chat.example.org",)):
        for origin in ("app://x", "https://chat.example.org"):
            let = knock(Settings(origins=origins), "/", ("origin", origin), method="GET")
            assert "access-control-allow-credentials" not in let.headers
            assert let.headers.get("access-control-allow-origin", origin) in (origin, "*")


@pytest.mark.parametrize("settings", [LOOPBACK, Settings(api_keys=(Secret("k"),))], ids=["open", "locked"])
@pytest.mark.parametrize(("origin", "may"), [("http://localhost:3000", True), ("https://evil.example", False)])
def test_a_browser_asks_whether_a_page_may_call_a_private_network(settings: Settings, origin: str, may: bool) -> None:
    asking = (("access-control-request-method", "POST"), ("access-control-request-private-network", "true"))
    let = knock(settings, "/api/chat", ("origin", origin), *asking, method="OPTIONS")
    assert let.status == (200 if may else 403)
    assert let.headers.get("access-control-allow-private-network") == ("true" if may else None)
    plain = knock(settings, "/api/chat", ("origin", origin), asking[0], method="OPTIONS")
    assert "access-control-allow-private-network" not in plain.headers
