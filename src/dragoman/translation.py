"""The library face: one request, from one dialect to another, and what it lost on the way.  Calls nobody."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import TypeVar

from msgspec import Struct

from dragoman.conversation import Object
from dragoman.dialects.contract import ClientDialect, UpstreamDialect
from dragoman.losses import Losses

D = TypeVar("D")


class Translation(Struct, frozen=True):
    """`body` is the request in the target's words, for the model `model`.

    `dropped` (member → why) could not be said; `emulated` (member → how) is honoured by other means; both name members
    in the source's words.  `substituted` says why `model` is not the model that was asked for, or is empty.
    """

    body: Object
    model: str
    dropped: Mapping[str, str]
    emulated: Mapping[str, str]
    substituted: str = ""


def sources() -> dict[str, ClientDialect]:
    """Every dialect a request can come in, by name."""
    from dragoman.dialects import ollama, openai_completions, registry  # noqa: PLC0415

    return {**registry(), "ollama_generate": ollama.generate, "openai_completions": openai_completions}


def targets() -> dict[str, UpstreamDialect]:
    """Every dialect a request can be put into, by name."""
    from dragoman.dialects import registry  # noqa: PLC0415

    return {**registry()}


def translate(
    body: Mapping[str, object],
    *,
    source: str,
    target: str = "anthropic",
    model: str | None = None,
    today: date | None = None,
) -> Translation:
    """`body`, a request of the dialect `source`, as a request of the dialect `target`.  `body` is left as it is.

    With an Anthropic target the name of the model is looked up in the bundled catalogue on the day `today` (UTC's) and
    the request is fitted to it; other servers have models of their own, and the name stays.  `model` is used instead of
    the request's.  Raises GatewayError, with the path of the offending member, and ValueError for an unknown dialect.
    """
    client, upstream = _pick(sources(), source, "source"), _pick(targets(), target, "target")
    losses = Losses(client.SPELLING)
    request = client.decode_request(copy.deepcopy(dict(body)))
    request.model = model or request.model
    substituted = ""
    if target == "anthropic":
        from dragoman.models import catalogue, fit  # noqa: PLC0415

        resolution = catalogue.build().resolve(request.model, today or datetime.now(UTC).date())
        substituted = resolution.substituted
        request.model = resolution.card.id
        request = fit.fit(request, resolution.card, losses).request
    translated = upstream.encode_request(request, losses)
    return Translation(translated, request.model, losses.dropped, losses.emulated, substituted)


def _pick(known: Mapping[str, D], name: str, what: str) -> D:
    if name not in known:
        raise ValueError(f"{what} {name!r} is not a dialect; there are {', '.join(known)}")
    return known[name]
