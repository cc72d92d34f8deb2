"""Which secrets the configuration holds: what must be in no log, error, header or trace."""

from __future__ import annotations

from collections.abc import Iterator

from dragoman.config.settings import ClientKey, Settings, Upstream
from dragoman.redaction import Redactor, secrets_in_url

# Headers that people add and that are no secrets.
_PLAIN = frozenset(
    {
        "accept",
        "accept-language",
        "anthropic-beta",
        "anthropic-version",
        "content-type",
        "http-referer",
        "openai-beta",
        "openai-organization",
        "openai-project",
        "referer",
        "user-agent",
        "x-title",
    }
)


def redactor_of(settings: Settings) -> Redactor:
    """What takes out the secrets of these settings, and all that looks like one."""
    redactor = Redactor()
    learn(redactor, settings)
    return redactor


def learn(redactor: Redactor, settings: Settings) -> None:
    """The same for settings that were read anew."""
    redactor.learn(_values(settings), (key.digest for key in settings.api_keys if isinstance(key, ClientKey)))


def of_upstream(upstream: Upstream) -> Iterator[str]:
    """The secrets of one upstream.  A key that is a name in the configuration ("ollama") keeps nobody out."""
    if upstream.key is not None and upstream.key.reveal() not in (upstream.name, upstream.flavor):
        yield upstream.key.reveal()
    for name, value in upstream.headers.items():
        if name.lower() not in _PLAIN:
            yield value
            yield value.rpartition(" ")[2]  # without the "Bearer" before it


def _values(settings: Settings) -> Iterator[str]:
    names = {upstream.name for upstream in settings.upstreams}
    for upstream in settings.upstreams:
        yield from (value for value in of_upstream(upstream) if value not in names)
    for key in settings.api_keys:
        if not isinstance(key, ClientKey):
            yield key.reveal()
    for address in (settings.store, settings.database):
        if address is not None:
            yield from secrets_in_url(address.reveal())
    if settings.tls_key_password is not None:
        yield settings.tls_key_password.reveal()
