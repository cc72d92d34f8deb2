"""Output limit, sampling and stop sequences, each as this model takes it."""

from __future__ import annotations

from msgspec.structs import replace

from dragoman.conversation import Object, Request
from dragoman.losses import Losses
from dragoman.models.cards import Card


def fit_limit(request: Request, card: Card, losses: Losses) -> Request:
    """`max_tokens` is required upstream: absent means all the model can write, and no more than that is asked for."""
    limit, most = request.max_tokens, card.max_output_tokens
    if limit is None or limit <= 0:
        return replace(request, max_tokens=most)
    if limit > most:
        losses.emulate("max_tokens", f"{card.id} writes at most {most} tokens")
        return replace(request, max_tokens=most)
    return request


def fit_sampling(request: Request, card: Card, losses: Losses) -> Request:
    """Temperature, top_p and top_k.  1 is every model's default and says nothing."""
    temperature, top_p, top_k = request.temperature, request.top_p, request.top_k
    if temperature is None and top_p is None and top_k is None:
        return request
    keep: Object = {"temperature": temperature, "top_p": top_p, "top_k": top_k}
    thinks = request.reasoning is not None and request.reasoning.mode in ("adaptive", "enabled")
    if card.sampling == "omit":
        _drop(keep, ("temperature", "top_p", "top_k"), f"{card.id} takes no sampling settings", losses)
    elif thinks:
        narrow = top_p is not None and not 0.95 <= top_p <= 1
        _drop(keep, ("temperature", "top_k", *(["top_p"] if narrow else [])), "not while the model thinks", losses)
    if card.sampling == "one" and keep["temperature"] is not None and keep["top_p"] is not None:
        _drop(keep, ("top_p",), f"{card.id} takes temperature or top_p, not both", losses)
    if (value := keep["temperature"]) is not None and not 0 <= value <= 1:
        keep["temperature"] = min(max(value, 0.0), 1.0)
        losses.emulate("temperature", "Claude's scale ends at 1")
    if (value := keep["top_p"]) is not None and not 0 <= value <= 1:
        keep["top_p"] = min(max(value, 0.0), 1.0)
        losses.emulate("top_p", "Claude's scale goes from 0 to 1")
    if keep["temperature"] is temperature and keep["top_p"] is top_p and keep["top_k"] is top_k:
        return request
    return replace(request, **keep)


def _drop(keep: Object, names: tuple[str, ...], why: str, losses: Losses) -> None:
    for name in names:
        if keep[name] is not None and not (keep[name] == 1 and name != "top_k"):
            losses.drop(name, why)
        keep[name] = None


def fit_stop(request: Request, card: Card, losses: Losses) -> Request:
    """A stop sequence of nothing but white space is refused upstream."""
    if not request.stop or all(text.strip() for text in request.stop):
        return request
    losses.drop("stop", "Claude does not stop at white space")
    return replace(request, stop=[text for text in request.stop if text.strip()])
