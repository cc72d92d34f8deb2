"""A request fitted to a model on an Ollama or OpenAI-compatible server, in small named steps like Claude's."""

from __future__ import annotations

from msgspec.structs import replace

from dragoman.conversation import Request
from dragoman.losses import Losses
from dragoman.models.attachments import check_attachments
from dragoman.models.cards import Card
from dragoman.models.contents import by_content
from dragoman.models.formats import Shape
from dragoman.models.open.formats import fit_format
from dragoman.models.open.system import joined
from dragoman.models.open.thinking import fit_thinking
from dragoman.models.open.tools import fit_tools
from dragoman.models.open.turns import fit_turns
from dragoman.models.open.unseen import without_unseen
from dragoman.models.plain import is_plain
from dragoman.models.restore import Fitted, Restore
from dragoman.models.turns import fit_ending


def fit_open(request: Request, card: Card, losses: Losses) -> Fitted:
    """`request` as the server of `card` and its model accept it.  `request` itself is left alone.

    What a client wrote for this very dialect is not touched: its server knows best.  Raises `GatewayError`
    ("invalid_request") for attachments and tools that the model cannot take.
    """
    plain = is_plain(request)
    if not plain:
        if request.origin != card.dialect:
            request = without_unseen(by_content(request), card, losses)
        check_attachments(request, card)
    request = replace(request, model=card.id)
    if request.origin == card.dialect:
        return Fitted(request, None)
    request = fit_turns(request, card, losses, plain=plain)
    headed = request.messages[0].role == "system"
    request = fit_thinking(request, card, losses)
    request = fit_settings(request, card, losses)
    request, back = fit_tools(request, card, losses)
    shape: Shape = ""
    if back.forced is not None and request.logprobs:
        losses.drop("logprobs", "the answer is a tool call, and calls have none")
        request = replace(request, logprobs=None, top_logprobs=None)
    if back.forced is None:
        request, shape = fit_format(request, card, losses)
    request = fit_ending(request, card, losses)
    # A system message of ours would take the place of the one in an Ollama model's own file.
    spoken = card.dialect == "ollama" and not headed
    request = replace(request, messages=joined(request.messages, spoken=spoken))
    restore = Restore(back.names, back.freeform, shape, back.forced, back.single)
    return Fitted(request, None if restore == Restore({}, frozenset(), "") else restore)


def fit_settings(request: Request, card: Card, losses: Losses) -> Request:
    """Output limit, sampling, and who is asking."""
    if request.max_tokens is not None and request.max_tokens <= 0:
        losses.emulate("max_tokens", "a prompt is only read where something is written: one token")
        request = replace(request, max_tokens=1)
    if card.sampling == "omit":
        for name in ("temperature", "top_p", "top_k"):
            if getattr(request, name) not in (None, 1):
                losses.drop(name, f"{card.id} takes no sampling settings")
        request = replace(request, temperature=None, top_p=None, top_k=None)
    if request.top_logprobs is not None and not request.logprobs:
        losses.drop("top_logprobs", "log probabilities are not asked for")
        request = replace(request, top_logprobs=None)
    if request.user is not None and card.dialect == "ollama":
        return replace(request, user=None)  # it names nobody to a server that has no accounts
    return request
