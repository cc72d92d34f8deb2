"""From where in the web a request comes, and by which name it calls us: what a page in somebody's browser may do.

The origins and names are Ollama's, because programs that know Ollama rely on them, plus what is configured.
https://github.com/ollama/ollama/blob/main/server/routes.go
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from fnmatch import fnmatchcase
from fnmatch import translate as glob
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

# What ends in .localhost is this machine's, and of a program that draws with Windows' browser: `http://tauri.localhost`.
_LOCAL = r"https?://(([a-z0-9-]+\.)*localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])(:\d+)?"
_APPS = r"(app|file|tauri|capacitor|ionic|vscode-webview|vscode-file)://.*"
_EXTENSIONS = r"(chrome-extension|moz-extension|safari-extension|safari-web-extension|ms-browser-extension)://.*"
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")
_EXPOSED = (
    "x-request-id",
    "retry-after",
    "x-dragoman-model",
    "x-dragoman-upstream",
    "x-dragoman-dropped",
    "x-dragoman-emulated",
    "x-dragoman-report",
    "x-dragoman-cost",
    "x-dragoman-substituted",
    "x-dragoman-num-ctx",
    "x-dragoman-token-count",
    "x-dragoman-upstream-request-id",
    "x-dragoman-request-id",
    "x-client-request-id",
)


class Origins:
    """The web origins whose pages may call."""

    def __init__(self, origins: Iterable[str]) -> None:
        origins = tuple(origins)
        self._any = "*" in origins
        patterns = [_LOCAL, _APPS, _EXTENSIONS, *(glob(origin) for origin in origins)]
        self._pattern = re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)

    def admits(self, origin: bytes) -> bool:
        return self._pattern.fullmatch(str(origin, "latin-1")) is not None

    def refuses_site(self, site: bytes, mode: bytes, method: str) -> bool:
        """Whether a request without an origin is a foreign page's all the same, as a browser says in
        `Sec-Fetch-Site`: a picture, a script, a form.  A link that a person follows is his own business.
        https://www.w3.org/TR/fetch-metadata/"""
        return site == b"cross-site" and not self._any and not (mode == b"navigate" and method in ("GET", "HEAD"))

    def cors(self, app: ASGIApp) -> CORSMiddleware:
        """`app`, with what a browser wants to be told.  Every request header is allowed, `x-api-key`, `anthropic-*` and
        `x-stainless-*` among them; credentials (cookies) never are.  A page of the internet that may call is told that
        this network may be called, which browsers ask besides: https://wicg.github.io/private-network-access/"""
        return CORSMiddleware(
            app,
            allow_origin_regex=f"(?i){self._pattern.pattern}",
            allow_methods=_METHODS,
            allow_headers=["*"],
            allow_private_network=True,
            expose_headers=_EXPOSED,
            max_age=12 * 3600,
        )


def is_same(origin: bytes, host: bytes) -> bool:
    """Whether a page of ours calls."""
    try:
        return urlsplit(str(origin, "latin-1")).netloc == str(host, "latin-1")
    except ValueError:  # it is no URL at all
        return False


# Names that no public server of names has an answer for, or that stay on this machine.  RFC 6761, 6762 (G), 8375, and
# https://www.icann.org/en/board-activities-and-meetings/materials/approved-resolutions-special-meeting-of-the-icann-board-29-07-2024-en
_RESERVED = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".home", ".corp", ".intranet", ".private")
# The same, as systems and clusters call machines; and two zones in which no stranger can lead a name where he likes:
# that of a Fritz!Box, and that of Tailscale's networks (https://tailscale.com/kb/1217/tailnet-name).
_HOME = (*_RESERVED, ".localdomain", ".svc", ".fritz.box", ".ts.net")
_AUTHORITY = re.compile(rb"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]{1,255}))(?::\d{1,5})?")
_MOST_KNOWN = 1000


class Hosts:
    """The names by which the gateway may be called.

    A page of any site can have its own name lead to this machine, and is then at home here (DNS rebinding); but the
    browser still tells by which name it called.
    """

    def __init__(self, own: str, allowed: Iterable[str]) -> None:
        self._own = {own.lower(), socket.gethostname().lower()}
        self._allowed = tuple(allowed)
        self._known: set[bytes] = set()

    def admits(self, host: bytes) -> bool:
        """Whether `host` is what an honest client has in its `Host`: none at all, an address, a name that only this
        machine or its network knows, or one that is configured."""
        if not host or host in self._known:
            return True
        found = _AUTHORITY.fullmatch(host)
        if found is None:
            return False
        if found[1] is None:
            good = self._is_ours(str(found[2], "ascii").lower().removesuffix("."))
        else:
            good = _is_address(str(found[1], "ascii"), six=True) or "*" in self._allowed
        if good and len(self._known) < _MOST_KNOWN:
            self._known.add(host)
        return good

    def _is_ours(self, name: str) -> bool:
        if not name or ".." in name or name.startswith("."):
            return False
        if "." not in name or name.endswith(_HOME) or name in self._own or _is_address(name):
            return True
        return any(fnmatchcase(name, pattern) for pattern in self._allowed)


def _is_address(text: str, *, six: bool = False) -> bool:
    try:
        return isinstance(ip_address(text), IPv6Address) is six
    except ValueError:
        return False
