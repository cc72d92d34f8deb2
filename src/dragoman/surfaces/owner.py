"""Whose it is: what is kept for a client belongs to the key that it came with."""

from __future__ import annotations

from dragoman.config import Settings
from dragoman.config.client_keys import digest_of
from dragoman.store.durable import owner_of
from dragoman.surfaces.exchange import Exchange
from dragoman.surfaces.keys import DIGEST, sent_keys


def owner_in(exchange: Exchange, settings: Settings) -> str:
    """The owner as the store knows them: by the key that let the client in, or the one it sent where none is needed."""
    sent = sent_keys(exchange.scope)
    if settings.api_keys:
        sent = [key for key in sent if digest_of(key) == exchange.scope.get(DIGEST)]
    return owner_of(str(sent[0], "latin-1")) if sent else ""
