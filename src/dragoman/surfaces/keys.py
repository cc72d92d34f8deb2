"""Who has a key: the forms in which clients send one, and the keys that are known, of which only digests are kept."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Iterable

from starlette.types import Scope

from dragoman.config import ClientKey, Secret
from dragoman.config.client_keys import as_client_key, digest_of

# Some programs send a key of their own in one of them, whatever their user has put into the other.
# `api-key` is what clients of Azure's kind of OpenAI send.
CREDENTIALS = frozenset({b"authorization", b"x-api-key", b"api-key"})

KEY_NAME = "dragoman.key"
"""Where a scope says by which key a client came in: its name, or "" for one without a name, or for no key."""
DIGEST = "dragoman.digest"
"""Where a scope has that key's digest; absent where no key was asked for."""


class Keys:
    """The keys that open the door."""

    def __init__(self, keys: Iterable[Secret | ClientKey]) -> None:
        # Looked up under a digest that nobody outside can foresee: the time it takes says nothing of the keys.
        self._salt = secrets.token_bytes(32)
        self._known: dict[bytes, ClientKey] = {}
        for key in map(as_client_key, keys):
            self._known.setdefault(self._place(key.digest), key)

    def __bool__(self) -> bool:
        return bool(self._known)

    def _place(self, digest: bytes) -> bytes:
        return hashlib.blake2b(digest, digest_size=16, key=self._salt).digest()

    def find(self, credentials: Iterable[bytes]) -> ClientKey | None:
        """The first of the keys in these header values that is known."""
        for credential in credentials:
            for candidate in candidates(credential):
                digest = digest_of(candidate)
                key = self._known.get(self._place(digest))
                if key is not None and hmac.compare_digest(key.digest, digest):
                    return key
        return None


def candidates(credential: bytes) -> list[bytes]:
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


def sent_keys(scope: Scope) -> list[bytes]:
    """Every key that a client sent, or what may be one: those in `x-api-key` first."""
    values = [value for name in _BY_WORTH for header, value in scope["headers"] if header == name]
    return [key for value in values for key in candidates(value) if key]


_BY_WORTH = (b"x-api-key", b"authorization", b"api-key")
