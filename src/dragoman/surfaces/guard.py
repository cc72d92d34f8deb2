"""Who may talk, decided before anything else is looked at: by name, address, origin and key.  Wraps the application.

Without keys only this machine and private networks are served, under names that only they use: whoever is far away,
and whoever sits in a browser nearby without knowing it, stays out.  Errors are told in the dialect of the path.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from dragoman.config import Settings
from dragoman.config.secrecy import learn, redactor_of
from dragoman.dialects import anthropic, ollama, openai_chat
from dragoman.dialects.contract import ClientDialect
from dragoman.errors import GatewayError, invalid
from dragoman.surfaces.exchange import REDACTOR, Exchange
from dragoman.surfaces.keys import CREDENTIALS, DIGEST, KEY_NAME, Keys
from dragoman.surfaces.origins import Hosts, Origins, is_same
from dragoman.surfaces.peers import FORWARDING, PEER, Proxies, stranger

# Paths that say nothing and cost nothing: liveness probes have no key.
OPEN_PATHS = frozenset({"/", "/health", "/ready"})
METRICS_PATH = "/metrics"
# What says which models there are; the configuration opens it.
DISCOVERY_PATHS = frozenset({"/api/version", "/api/tags", "/v1/models", "/models"})
_DISCOVERY_BELOW = ("/v1/models/", "/models/")

_ABOUT_SENDER = frozenset({b"host", b"origin", b"sec-fetch-site", b"sec-fetch-mode"})


def dialect_of(path: str) -> ClientDialect:
    """The dialect in which a path's errors are told."""
    if path.startswith(("/v1/messages", "/messages", "/v1/files", "/files", "/v1/v1/")):
        return anthropic
    return openai_chat if path.startswith(_OPENAI) else ollama


_OPENAI = ("/v1", "/chat", "/completions", "/models", "/embeddings", "/responses", "/conversations")


class Guard:
    """ASGI middleware.  Costs one look at the headers per request.  `hide` takes out what the settings keep secret."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._redactor = redactor_of(settings)
        self.hide = self._redactor.hide
        self.admit_by(settings)

    def admit_by(self, settings: Settings) -> None:
        """From now on these settings say who is let in."""
        learn(self._redactor, settings)
        self._keys = Keys(settings.api_keys)
        self._proxies = Proxies(settings.trusted_proxies)
        self._open_discovery = settings.open_discovery
        self._open_metrics = settings.metrics == "open"
        self._origins = Origins(settings.origins)
        self._cors = self._origins.cors(self._admit)  # inside, so that a page can read why it was refused
        self._near_only = not self._keys and not settings.allow_public
        wanted = self._near_only or bool(settings.allowed_hosts)
        self._hosts = Hosts(settings.host, settings.allowed_hosts) if wanted else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        _clean(scope)
        said: dict[bytes, bytes] = {}
        forwarding: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name in _ABOUT_SENDER:
                said[name] = value if name not in said else said[name] + b", " + value
            elif name in FORWARDING:
                forwarding[name] = value if name not in forwarding else forwarding[name] + b", " + value
        client = scope.get("client")
        peer = client[0] if client else ""
        scope[PEER] = self._proxies.client(peer, forwarding) if forwarding and self._proxies else peer
        scope[KEY_NAME] = ""
        scope[REDACTOR] = self._redactor
        host, origin = said.get(b"host", b""), said.get(b"origin")
        if (error := self._barred(scope, host, forwarding)) is not None:
            await _refuse(scope, receive, send, error)
        elif origin is None:
            site, mode = said.get(b"sec-fetch-site", b""), said.get(b"sec-fetch-mode", b"")
            if site and self._origins.refuses_site(site, mode, scope["method"]):
                await _refuse(scope, receive, send, _foreign("another site"))
            else:
                await self._admit(scope, receive, send)
        elif is_same(origin, host):
            await self._admit(scope, receive, send)
        elif self._origins.admits(origin):
            await self._cors(scope, receive, send)
        else:
            await _refuse(scope, receive, send, _foreign(f"the web origin {_shown(origin)}"))

    def _barred(self, scope: Scope, host: bytes, forwarding: dict[bytes, bytes]) -> GatewayError | None:
        """Why nobody like this comes in at all."""
        if b"," in host:
            return invalid("a request has one Host header")
        if self._hosts is not None and not self._hosts.admits(host):
            return GatewayError("permission", _UNKNOWN_NAME.format(_shown(host)))
        if self._near_only and (who := stranger(scope, forwarding)) is not None:
            return GatewayError("permission", _FAR_AWAY.format(repr(who)))
        return None

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Whoever has a key, where one is wanted."""
        if self._keys and scope["method"] != "OPTIONS":
            credentials = [value for name, value in scope["headers"] if name in CREDENTIALS and value]
            key = self._keys.find(credentials)
            if key is not None:
                scope[KEY_NAME], scope[DIGEST] = key.name, key.digest
            elif not self._is_open(scope):
                error = GatewayError("authentication", _BAD_KEY if credentials else _NO_KEY)
                await _refuse(scope, receive, send, error)
                return
        await self._app(scope, receive, send)

    def _is_open(self, scope: Scope) -> bool:
        path = scope["path"]
        if path in OPEN_PATHS or (self._open_metrics and path == METRICS_PATH):
            return True
        reads = self._open_discovery and scope["method"] in ("GET", "HEAD")
        return reads and (path in DISCOVERY_PATHS or path.startswith(_DISCOVERY_BELOW))


_NO_KEY = "this gateway wants a key: send it as `Authorization: Bearer KEY` or `x-api-key: KEY`"
_BAD_KEY = "this gateway does not know the key that was sent"
_FAR_AWAY = (
    "{} is served only with a key: this gateway has none (DRAGOMAN_API_KEYS), so it serves its own machine and private"
    " networks (DRAGOMAN_ALLOW_PUBLIC=true: everybody)"
)
_UNKNOWN_NAME = "this gateway does not go by the name {} (DRAGOMAN_ALLOWED_HOSTS)"


def _foreign(whence: str) -> GatewayError:
    return GatewayError("permission", f"requests from {whence} are not allowed (DRAGOMAN_ORIGINS)")


def _shown(header: bytes) -> str:
    return repr(str(header[:200], "latin-1"))


def _clean(scope: Scope) -> str:
    """The path without doubled or trailing slashes: clients join their base URLs carelessly."""
    path: str = scope["path"]
    if "//" in path or (path.endswith("/") and path != "/"):
        path = "/" + "/".join(piece for piece in path.split("/") if piece)
        scope["path"] = path
        scope["raw_path"] = path.encode()
    return path


async def _refuse(scope: Scope, receive: Receive, send: Send, error: GatewayError) -> None:
    exchange = Exchange(scope, receive, send, dialect_of(scope["path"]))
    if error.kind == "authentication":
        exchange.extra.append((b"www-authenticate", b"Bearer"))
    await exchange.error(error)


async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """Any other path, in JSON: some clients fall over anything else."""
    exchange = Exchange(scope, receive, send, dialect_of(scope["path"]))
    await exchange.error(GatewayError("not_found", f"there is nothing at {scope['method']} {scope['path']}"))
