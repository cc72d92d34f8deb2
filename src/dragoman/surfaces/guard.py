"""Who may talk: keys, origins, and answers for paths that are not there.  Wraps the whole application.

Keys are kept as digests and compared in constant time.  Cross-origin rules are Ollama's, because programs that know
Ollama rely on them, plus the headers Anthropic's and OpenAI's browser clients send.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable
from fnmatch import translate as glob
from urllib.parse import urlsplit

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from dragoman.config import Secret
from dragoman.dialects import anthropic, ollama, openai_chat
from dragoman.dialects.contract import ClientDialect
from dragoman.errors import GatewayError
from dragoman.surfaces.exchange import Exchange

# Paths that say nothing and cost nothing: liveness probes have no key.
OPEN_PATHS = frozenset({"/", "/health"})

_LOCAL = r"https?://(localhost|127\.0\.0\.1|0\.0\.0\.0)(:\d+)?"
_APPS = r"(app|file|tauri|vscode-webview|vscode-file)://.*"
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
)


def dialect_of(path: str) -> ClientDialect:
    """The dialect in which a path's errors are told."""
    if path.startswith(("/v1/messages", "/v1/files", "/v1/v1/")):
        return anthropic
    return openai_chat if path.startswith(_OPENAI) else ollama


_OPENAI = ("/v1", "/chat", "/completions", "/models", "/embeddings", "/responses", "/conversations")


class Guard:
    """ASGI middleware.  Costs one look at the headers per request."""

    def __init__(self, app: ASGIApp, keys: Iterable[Secret], origins: Iterable[str]) -> None:
        self._app = app
        self.admit_by(keys, origins)

    def admit_by(self, keys: Iterable[Secret], origins: Iterable[str]) -> None:
        """From now on these keys and web origins are let in, and no others."""
        self._keys = [hashlib.sha256(key.reveal().encode()).digest() for key in keys]
        patterns = [_LOCAL, _APPS, _EXTENSIONS, *(glob(origin) for origin in origins)]
        self._origins = re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)
        self._cors = CORSMiddleware(
            self._admit,  # inside, so that a page can read why it was refused
            allow_origin_regex=f"(?i){self._origins.pattern}",
            allow_methods=_METHODS,
            allow_headers=["*"],
            expose_headers=_EXPOSED,
            max_age=12 * 3600,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        _clean(scope)
        origin = host = b""
        for name, value in scope["headers"]:
            if name == b"origin":
                origin = value
            elif name == b"host":
                host = value
        if not origin or _same(origin, host):
            await self._admit(scope, receive, send)
        elif self._origins.fullmatch(str(origin, "latin-1")):
            await self._cors(scope, receive, send)
        else:
            await _refuse(scope, receive, send, "permission", _foreign(origin))

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Whoever has a key, where one is wanted."""
        if self._keys and scope["path"] not in OPEN_PATHS and scope["method"] != "OPTIONS":
            credentials = [value for name, value in scope["headers"] if name in _CREDENTIALS and value]
            if not self._knows(credentials):
                await _refuse(scope, receive, send, "authentication", _BAD_KEY if credentials else _NO_KEY)
                return
        await self._app(scope, receive, send)

    def _knows(self, credentials: Iterable[bytes]) -> bool:
        candidates = [candidate for credential in credentials for candidate in _candidates(credential)]
        digests = [hashlib.sha256(candidate).digest() for candidate in candidates]
        # Every pair is compared, so that the time taken says nothing about which one fitted.
        return sum(hmac.compare_digest(digest, key) for digest in digests for key in self._keys) > 0


def sent_keys(scope: Scope) -> list[bytes]:
    """Every key that a client sent, or what may be one."""
    values = [value for name in _CREDENTIALS for header, value in scope["headers"] if header == name]
    return [key for value in values for key in _candidates(value) if key]


# Some programs send a key of their own in one of them, whatever their user has put into the other.
_CREDENTIALS = (b"x-api-key", b"authorization")

_NO_KEY = "this gateway wants a key: send it as `Authorization: Bearer KEY` or `x-api-key: KEY`"
_BAD_KEY = "this gateway does not know the key that was sent"


def _foreign(origin: bytes) -> str:
    return f"requests from the web origin {str(origin[:200], 'latin-1')!r} are not allowed (DRAGOMAN_ORIGINS)"


def _clean(scope: Scope) -> str:
    """The path without doubled or trailing slashes: clients join their base URLs carelessly."""
    path: str = scope["path"]
    if "//" in path or (path.endswith("/") and path != "/"):
        path = "/" + "/".join(piece for piece in path.split("/") if piece)
        scope["path"] = path
        scope["raw_path"] = path.encode()
    return path


def _same(origin: bytes, host: bytes) -> bool:
    try:
        return urlsplit(str(origin, "latin-1")).netloc == str(host, "latin-1")
    except ValueError:  # it is no URL at all
        return False


def _candidates(credential: bytes) -> list[bytes]:
    """The keys a header may hold: bare, as a bearer token, or as either half of basic credentials."""
    kind, _, rest = credential.partition(b" ")
    match kind.lower():
        case b"bearer":
            return [rest.strip()]
        case b"basic":
            try:
                return base64.b64decode(rest.strip(), validate=True).split(b":", 1)
            except binascii.Error:
                return []
        case _:
            return [credential.strip()] if credential else []


async def _refuse(scope: Scope, receive: Receive, send: Send, kind: str, message: str) -> None:
    exchange = Exchange(scope, receive, send, dialect_of(scope["path"]))
    if kind == "authentication":
        exchange.extra.append((b"www-authenticate", b"Bearer"))
        await exchange.error(GatewayError("authentication", message))
    else:
        await exchange.error(GatewayError("permission", message))


async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """Any other path, in JSON: some clients fall over anything else."""
    exchange = Exchange(scope, receive, send, dialect_of(scope["path"]))
    await exchange.error(GatewayError("not_found", f"there is nothing at {scope['method']} {scope['path']}"))
