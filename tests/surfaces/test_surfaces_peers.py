"""Without keys whoever is far away stays out, and nothing that he writes into a header lets him in."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.config import ClientKey, ConfigError, Secret, Settings, load
from dragoman.surfaces.peers import FORWARDING, PEER, Proxies, is_near
from tests.surfaces.knocking import PUBLIC, PUBLIC6, knock

OPEN = Settings()
NEAR = (
    "127.0.0.1",
    "127.8.9.10",
    "::1",
    "10.1.2.3",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.7",
    "169.254.3.4",
    "100.64.0.1",
    "100.127.255.255",
    "fe80::1",
    "fe80::1%eth0",
    "fd7a:115c:a1e0::1",
    "fc00::1",
    "::ffff:192.168.1.7",
    "::ffff:127.0.0.1",
)
FAR = (
    PUBLIC,
    PUBLIC6,
    "172.32.0.1",
    "172.15.255.255",
    "192.169.0.1",
    "100.63.255.255",
    "100.128.0.0",
    "11.0.0.1",
    "0.0.0.0",  # noqa: S104  an address like any other
    "::",
    "::ffff:93.184.216.34",
    "64:ff9b::10.0.0.1",
    "64:ff9b::5db8:d822",
    "2002:0a00:0001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "::10.0.0.1",
    "198.18.0.1",
    "192.0.2.1",
    "240.0.0.1",
    "255.255.255.255",
    "fec0::1",
    "testclient",
    "",
)


@pytest.mark.parametrize("peer", NEAR)
def test_near_is_served(peer: str) -> None:
    assert is_near(peer)
    assert knock(OPEN, peer=peer).inside


@pytest.mark.parametrize("peer", FAR)
@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions", "/v1/messages", "/", "/health", "/nowhere"])
def test_far_is_refused_in_the_dialect_of_the_path(peer: str, path: str) -> None:
    let = knock(OPEN, path, peer=peer)
    assert let.status == 403
    assert let.scope is None
    error = let.document["error"]
    text = error if isinstance(error, str) else error["message"]
    assert "DRAGOMAN_API_KEYS" in text
    assert "DRAGOMAN_ALLOW_PUBLIC" in text
    assert (let.document.get("type") == "error") is path.startswith("/v1/messages")
    assert isinstance(error, str) is not path.startswith("/v1")


def test_over_a_socket_of_this_machine_there_is_no_address() -> None:
    assert knock(OPEN, peer=None).inside


@pytest.mark.parametrize("settings", [Settings(allow_public=True), Settings(host="127.0.0.1", allow_public=True)])
def test_it_can_be_opened_on_purpose(settings: Settings) -> None:
    assert knock(settings, "/api/chat", ("host", "gw.example.org"), peer=PUBLIC).inside


def test_with_keys_an_address_does_not_matter() -> None:
    locked = Settings(api_keys=(Secret("right"),))
    assert knock(locked, "/api/chat", ("x-api-key", "right"), ("x-forwarded-for", PUBLIC), peer=PUBLIC).inside
    assert knock(locked, peer=PUBLIC).status == 401


# --- forwarding --------------------------------------------------------------------------------------

NAMES_A_STRANGER = (
    ("X-Forwarded-For", PUBLIC),
    ("X-Forwarded-For", f"{PUBLIC}:4711"),
    ("X-Forwarded-For", f"10.0.0.1, {PUBLIC}"),
    ("X-Forwarded-For", f"{PUBLIC}, 10.0.0.1, 127.0.0.1"),
    ("X-Forwarded-For", PUBLIC6),
    ("X-Forwarded-For", f"[{PUBLIC6}]:443"),
    ("X-Forwarded-For", "unknown"),
    ("X-Forwarded-For", "evil.example"),
    ("X-Forwarded-For", "1" * 5000),
    ("X-Forwarded-For", ", ".join(["10.0.0.1"] * 5000)),
    ("X-Real-IP", PUBLIC),
    ("CF-Connecting-IP", PUBLIC),
    ("True-Client-IP", PUBLIC),
    ("Forwarded", f"for={PUBLIC}"),
    ("Forwarded", f'For="[{PUBLIC6}]:4711"'),
    ("Forwarded", f"for=10.0.0.1;proto=http, by=10.0.0.2; FOR = {PUBLIC}"),
    ("Forwarded", "for=_hidden"),
    ("Forwarded", "for=unknown;by=127.0.0.1"),
    ("X-Forwarded-For", ""),
    ("X-Forwarded-For", " , ,"),
    ("X-Real-IP", '""'),
    ("Forwarded", ""),
    ("Forwarded", "for="),
    ("Forwarded", "proto=https;host=127.0.0.1;by=127.0.0.1"),
)


@pytest.mark.parametrize("header", NAMES_A_STRANGER, ids=lambda header: f"{header[0]}: {header[1][:40]}")
@pytest.mark.parametrize("proxy", ["127.0.0.1", "10.0.0.9", "::1"])
def test_a_proxy_nearby_does_not_make_a_stranger_a_neighbour(header: tuple[str, str], proxy: str) -> None:
    assert knock(OPEN, "/api/chat", header, peer=proxy).status == 403


@pytest.mark.parametrize(
    "header",
    [
        ("X-Forwarded-For", "192.168.1.20"),
        ("X-Forwarded-For", "10.0.0.1, [::1]:80 , fd00::1,"),
        ("Forwarded", 'for="[fd00::1]:80";proto=https'),
        ("Forwarded", f"for=10.0.0.1;proto=https;host={PUBLIC}"),
        ("X-Real-IP", "127.0.0.1"),
    ],
    ids=str,
)
def test_a_neighbour_behind_a_proxy_is_served(header: tuple[str, str]) -> None:
    assert knock(OPEN, "/api/chat", header, peer="10.0.0.9").inside


def test_who_forwards_for_nobody_in_particular_is_told_so() -> None:
    let = knock(OPEN, "/api/chat", ("x-forwarded-for", ""), ("x-real-ip", "10.0.0.1"), peer="10.0.0.9")
    assert let.status == 403
    assert "the proxy does not name" in let.document["error"]
    locked = Settings(api_keys=(Secret("right"),))
    assert knock(locked, "/api/chat", ("x-forwarded-for", ""), ("x-api-key", "right")).inside


def test_two_headers_count_both() -> None:
    for one, other in ((PUBLIC, "10.0.0.1"), ("10.0.0.1", PUBLIC)):
        headers = (("x-forwarded-for", one), ("x-forwarded-for", other))
        assert knock(OPEN, "/api/chat", *headers, peer="10.0.0.9").status == 403


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(str(name, "ascii") for name in FORWARDING)),
            st.one_of(
                st.sampled_from(NEAR),
                st.sampled_from(["for=127.0.0.1", 'for="[::1]"', "localhost", ""]),
                st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40),
            ),
        ),
        max_size=4,
    ),
    st.sampled_from([(), ("93.184.0.0/16",), ("0.0.0.0/0", "::/0")]),
)
def test_no_header_lets_a_stranger_in(headers: list[tuple[str, str]], trusted: tuple[str, ...]) -> None:
    assert knock(Settings(trusted_proxies=trusted), "/api/chat", *headers, peer=PUBLIC).status == 403


# --- whom a trusted proxy names ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "header", "expected"),
    [
        ("10.0.0.9", ("x-forwarded-for", f"1.2.3.4, {PUBLIC}"), PUBLIC),  # what the client wrote is not believed
        ("10.0.0.9", ("x-forwarded-for", f"{PUBLIC}, 10.0.0.8"), PUBLIC),  # a chain of trusted ones
        ("10.0.0.9", ("x-forwarded-for", "10.0.0.7, 10.0.0.8"), "10.0.0.7"),
        ("10.0.0.9", ("x-forwarded-for", "garbage, 10.0.0.8"), "10.0.0.8"),
        ("10.0.0.9", ("forwarded", f'for="[{PUBLIC6}]:1"'), PUBLIC6),
        ("10.0.0.9", ("x-real-ip", PUBLIC), PUBLIC),
        ("::ffff:10.0.0.9", ("x-real-ip", PUBLIC), PUBLIC),
        ("10.0.0.9", ("x-client-ip", PUBLIC), "10.0.0.9"),
        ("192.168.0.1", ("x-forwarded-for", PUBLIC), "192.168.0.1"),  # nobody trusts this one
    ],
)
def test_who_calls(peer: str, header: tuple[str, str], expected: str) -> None:
    chosen = Settings(trusted_proxies=("10.0.0.0/8",), api_keys=(Secret("k"),))
    scope = knock(chosen, "/api/chat", header, ("x-api-key", "k"), peer=peer).scope
    assert scope is not None
    assert scope[PEER] == expected


def test_without_trusted_proxies_it_is_who_is_connected() -> None:
    assert not Proxies(())
    scope = knock(Settings(allow_public=True), "/", ("x-forwarded-for", "1.2.3.4"), peer=PUBLIC).scope
    assert scope is not None
    assert scope[PEER] == PUBLIC


def test_how_it_is_configured() -> None:
    chosen = load({"DRAGOMAN_TRUSTED_PROXIES": "127.0.0.1, 10.1.2.3/8,fd00::/8", "DRAGOMAN_ALLOW_PUBLIC": "yes"})
    assert chosen.trusted_proxies == ("127.0.0.1/32", "10.0.0.0/8", "fd00::/8")
    assert chosen.allow_public
    for wrong in ("localhost", "10.0.0.0/33", "1.2.3", "*"):
        with pytest.raises(ConfigError, match="DRAGOMAN_TRUSTED_PROXIES"):
            load({"DRAGOMAN_TRUSTED_PROXIES": wrong})


def test_a_key_has_a_name_inside() -> None:
    key = ClientKey(
        digest=bytes.fromhex("2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"), name="ann"
    )
    scope = knock(Settings(api_keys=(key, Secret("other"))), "/api/chat", ("authorization", "Bearer key")).scope
    assert scope is not None
    assert scope["dragoman.key"] == "ann"
    scope = knock(Settings(api_keys=(key, Secret("other"))), "/api/chat", ("authorization", "Bearer other")).scope
    assert scope is not None
    assert scope["dragoman.key"] == ""
