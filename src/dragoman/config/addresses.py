"""Addresses as people write them for Ollama, and whether an address is this gateway's own."""

from __future__ import annotations

from urllib.parse import urlsplit

_OLLAMA_PORT = 11434
_PLAIN = "http"
_ANY = ("0.0.0.0", "::", "")  # noqa: S104  compared, not bound
_LOOPBACK = ("127.0.0.1", "::1")


def ollama_url(text: str) -> str:
    """The URL that `OLLAMA_HOST` means: `host`, `host:port`, `:port`, `[::1]:port`, `https://host/path`.

    As Ollama reads it: the port is 11434 without a scheme and the scheme's own with one.  An address to listen on
    (`0.0.0.0`) is called as `localhost`.  Raises ValueError.  https://github.com/ollama/ollama/blob/main/docs/faq.mdx
    """
    text = text.strip()
    scheme, given, rest = text.partition("://")
    if not given:
        scheme, rest = ("https", text) if text == "ollama.com" else (_PLAIN, text)
    place, slash, path = rest.partition("/")
    if place.count(":") > 1 and not place.startswith("["):
        place = f"[{place}]"  # a bare IPv6 address
    parts = urlsplit(f"//{place}")
    host, port = parts.hostname or "", parts.port
    if "@" in place or parts.query or parts.fragment or (given and not place):
        return text  # no form of Ollama's; whoever judges URLs says what is wrong with it
    if host in _ANY:
        host = "localhost"
    if port is None and not given and scheme == _PLAIN:
        port = _OLLAMA_PORT
    host = f"[{host}]" if ":" in host else host
    path = f"{slash}{path}".rstrip("/").removesuffix("/api")
    return f"{scheme.lower()}://{host}{'' if port is None else f':{port}'}{path}"


def calls_itself(url: str, host: str, port: int) -> bool:
    """Whether `url` leads to the gateway that listens on `host` and `port`.  Names other than `localhost` are not
    looked up."""
    parts = urlsplit(url)
    if parts.scheme != _PLAIN or not port or (parts.port or 80) != port:
        return False
    called = _addresses(parts.hostname or "")
    if host in _ANY:
        return any(a.startswith("127.") or (a == "::1" and host != _ANY[0]) for a in called)
    return bool(called & _addresses(host))


def _addresses(host: str) -> set[str]:
    return set(_LOOPBACK) if host.lower() == "localhost" or host in _ANY else {host.lower()}
