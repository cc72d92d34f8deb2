"""How large a context window (`num_ctx`) an Ollama server is asked for.

Ollama cuts a prompt that is longer than its window from the front and says nothing, and its default window is small.
A window of another size means that the model is loaded anew, so sizes are coarse and never shrink.
https://docs.ollama.com/context-length
"""

from __future__ import annotations

from collections import OrderedDict

from dragoman.conversation import Object, Request, Usage
from dragoman.errors import GatewayError
from dragoman.losses import Losses
from dragoman.models.estimate import Estimate

_SMALLEST = 2048
_ANSWER, _THOUGHTS = 2048, 6144
_LONGEST_ANSWER = 16384
# A server may stop a few tokens before its window is full.
_KEPT_FREE = 8


def answer_room(request: Request, *, thinks: bool) -> int:
    """Tokens kept free for the answer: what the client allows it, but no more than 16,384 (programs ask for the most
    there is, and memory for a window is spent whether it is used or not)."""
    if request.max_tokens:
        return min(request.max_tokens, _LONGEST_ANSWER)
    return _ANSWER + (_THOUGHTS if thinks else 0)


def context_size(needed: int, *, limit: int, least: int, most: int, held: int) -> int:
    """The window for `needed` tokens of prompt and answer.

    The next of 2048, 3072, 4096, 6144, 8192, 12288, ... tokens; at least `least` (configured) and `held` (what the
    model was given before); at most `limit` (the model's own) and `most` (configured), where these are not 0.
    """
    size = max(_step(needed), least, held)
    for bound in (limit, most):
        if bound > 0:
            size = min(size, bound)
    return size


def _step(needed: int) -> int:
    size = _SMALLEST
    while size < needed:
        size = size * 3 // 2 if size & (size - 1) == 0 else size * 4 // 3
    return size


def check_room(prompt: Estimate, size: int, losses: Losses) -> None:
    """Whether the prompt fits into `size` tokens at all.

    Raises `GatewayError` ("context_length") when even a low estimate does not.  The wording is the one that makes
    programs shorten the conversation.  Where only the high estimate does not fit, that is said, and the server decides.
    """
    if prompt.least >= size:
        raise GatewayError(
            "context_length",
            f"prompt is too long: {max(prompt.tokens, size + 1)} tokens > {size} maximum"
            f" (estimated; this model's maximum context length is {size} tokens)",
            param="messages",
        )
    if prompt.tokens >= size:
        losses.emulate("messages", f"the prompt may not fit into the {size} tokens this model holds")


def is_full(usage: Usage, window: int, limit: int | None) -> bool:
    """Whether an answer that ended for its length filled the window, and did not reach its own `limit` (tokens)."""
    if not usage.input or not usage.output or (limit is not None and limit > 0 and usage.output >= limit):
        return False
    return usage.input + usage.output >= window - _KEPT_FREE


class Windows:
    """The largest window each model was given, so that it is not loaded anew for a smaller one.  Bounded."""

    def __init__(self, most: int = 1024) -> None:
        self._most = most
        self._held: OrderedDict[tuple[str, str], int] = OrderedDict()

    def held(self, upstream: str, model: str) -> int:
        """What the model was given; 0 when it was given nothing yet."""
        return self._held.get((upstream, model), 0)

    def hold(self, upstream: str, model: str, size: int) -> None:
        """The model was given a window of `size`, by us or by a client's own `num_ctx`."""
        key = (upstream, model)
        self._held[key] = max(size, self._held.get(key, 0))
        self._held.move_to_end(key)
        while len(self._held) > self._most:
            self._held.popitem(last=False)

    def forget(self, upstream: str, model: str) -> None:
        """The model was unloaded: the next window may be smaller."""
        self._held.pop((upstream, model), None)


def put_num_ctx(body: Object, size: int, *, whole: bool = True) -> int:
    """Put the window into the body of a chat, unless the client chose one itself; the window that counts.

    With `whole` the server refuses a prompt that does not fit and ends an answer that does not, where it would cut the
    oldest messages without a word (`truncate`, `shift`); a client that said either keeps its own.
    """
    options: Object = body.get("options") or {}
    own = options.get("num_ctx")
    if type(own) is int and own > 0:
        return own
    body["options"] = {**options, "num_ctx": size}
    if whole:
        body.setdefault("truncate", False)
        body.setdefault("shift", False)
    return size
