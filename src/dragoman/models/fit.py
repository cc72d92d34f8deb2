"""A request fitted to a model: one pure function, in small named steps.

Every call that is translated passes through here.  A step that cannot keep something says so to `losses`; what a step
changes that the client must not see (a tool's name, a wrapped answer) is undone by `Fitted.restore`.
"""

from __future__ import annotations

from typing import Literal

from msgspec.structs import replace

from dragoman.conversation import Request
from dragoman.losses import Losses
from dragoman.models.attachments import check_attachments
from dragoman.models.caching import fit_cache, settle_marks
from dragoman.models.cards import Card
from dragoman.models.contents import by_content
from dragoman.models.formats import fit_format
from dragoman.models.limits import fit_limit, fit_sampling, fit_stop
from dragoman.models.open.fit import fit_open
from dragoman.models.plain import is_plain
from dragoman.models.restore import Fitted, Restore
from dragoman.models.servertools import fit_server_tools
from dragoman.models.thinking import fit_thinking
from dragoman.models.tools import fit_tools
from dragoman.models.turns import fit_ending, fit_turns

__all__ = ["Fitted", "fit"]


def fit(request: Request, card: Card, losses: Losses, *, prompt_cache: Literal["auto", "off"] = "auto") -> Fitted:
    """`request` as the model of `card` accepts it.  `request` itself is left alone.

    Raises `GatewayError` ("invalid_request") for what no model, or not this one, could answer.
    """
    if card.dialect != "anthropic":
        return fit_open(request, card, losses)
    plain = is_plain(request)
    if not plain:
        request = by_content(request)
        check_attachments(request, card)
        request = settle_marks(request, losses)
    request = replace(request, model=card.id)
    request = fit_turns(request, card, losses, plain=plain)
    request = fit_thinking(request, card, losses)
    request = fit_limit(request, card, losses)
    request = fit_server_tools(request, card, losses)
    request, names, freeform = fit_tools(request, card, losses)
    request = fit_sampling(request, card, losses)
    request = fit_stop(request, card, losses)
    request, shape = fit_format(request, card, losses)
    request = fit_ending(request, card, losses)
    request = fit_cache(request, card, losses, automatic=prompt_cache == "auto")
    restore = Restore(names, freeform, shape) if names or freeform or shape else None
    return Fitted(request, restore)
