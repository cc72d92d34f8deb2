"""What a failure means for the call it ended: another attempt here, another server, or the end; and how long to wait.

All of it is about the time before the first byte of an answer.  After that nothing is tried again.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from types import MappingProxyType
from typing import Literal, NamedTuple

from dragoman.errors import GatewayError, Kind

# Seconds.  A client that is kept waiting for longer is better told to come back.
MAX_WAIT = 4.0
_FIRST_WAIT = 0.25

Again = Literal["never", "if told when", "yes"]
Blame = Literal["none", "busy", "broken"]


class Meaning(NamedTuple):
    """What one kind of error means.

    `again`: whether the same server may be asked again.  `elsewhere`: whether the next server of the route may serve
    the call.  `blame`: what it says of the server's health; "busy" is one that works and asks us to come later.
    """

    again: Again = "never"
    elsewhere: bool = False
    blame: Blame = "none"


_THEIRS = Meaning()
# Our key, our account, our path, or a model this server does not have: nothing the client could mend.
_OURS = Meaning(elsewhere=True)

MEANING: Mapping[Kind, Meaning] = MappingProxyType(
    {
        "invalid_request": _THEIRS,
        "context_length": _THEIRS,
        "unverified_thinking": _THEIRS,
        "conflict": _THEIRS,
        "too_large": _THEIRS,
        "slow_request": _THEIRS,
        "url_too_long": _THEIRS,
        "unsupported_encoding": _THEIRS,
        "headers_too_large": _THEIRS,
        "internal": _THEIRS,
        "authentication": _OURS,
        "billing": _OURS,
        "permission": _OURS,
        "not_found": _OURS,
        "model_not_found": _OURS,
        "method_not_allowed": _OURS,
        "not_implemented": _OURS,
        "format_unmet": _OURS,
        "rate_limit": Meaning("if told when", elsewhere=True, blame="busy"),
        "unreachable": Meaning("yes", elsewhere=True, blame="broken"),
        "upstream": Meaning("yes", elsewhere=True, blame="broken"),
        "overloaded": Meaning("yes", elsewhere=True, blame="broken"),
        # A server that let us wait as long as we can is not made to work on the same call twice.
        "timeout": Meaning(elsewhere=True, blame="broken"),
    }
)


def delay(attempt: int, error: GatewayError, *, retries: int, rng: Random) -> float | None:
    """Seconds to wait before the same server is asked again; None when it is not.

    `attempt` counts from 0, `retries` is how many attempts may follow the first.  The wait doubles from attempt to
    attempt, with jitter, and is never shorter than what the server asked for.
    """
    again, told = MEANING[error.kind].again, error.retry_after
    if attempt >= retries or again == "never" or (again == "if told when" and told is None):
        return None
    if told is not None and told > MAX_WAIT:
        return None
    wait = _FIRST_WAIT * 2.0 ** min(attempt, 10) * rng.uniform(0.75, 1.25)
    return max(min(wait, MAX_WAIT), (told or 0.0) * rng.uniform(1.0, 1.1))


def falls_over(error: GatewayError) -> bool:
    """Whether the next server of the route may serve the call that this error ended."""
    return MEANING[error.kind].elsewhere
