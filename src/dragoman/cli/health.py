"""`dragoman health`: whether a gateway is alive, for health checks in places that have no curl."""

from __future__ import annotations

import os
from http.client import HTTPException
from urllib.error import URLError

from dragoman.cli.http import call
from dragoman.cli.output import complain, say

_PATIENCE = 5.0
_ELSEWHERE = "; a URL, or PORT, says where else"


def run(url: str | None, *, ready: bool) -> int:
    """Ask the gateway at `url` (None: this machine's, at $PORT) how it is.  0: well; 1: not, or nobody answers."""
    address = url or f"127.0.0.1:{os.environ.get('PORT') or 11434}"
    # Whoever does not say may have a certificate or none: what hangs up on plain HTTP is asked once more.
    places = [address] if "://" in address else [f"http://{address}", f"https://{address}"]
    problem = ""
    for place in places:
        try:
            # It is about being there, not about who is: certificates are for the name that clients know.
            answer = call(place.rstrip("/") + ("/ready" if ready else "/health"), {}, patience=_PATIENCE, verify=False)
        except (OSError, HTTPException, ValueError) as error:
            problem = problem or f"{place}: {_why(error)}{'' if url else _ELSEWHERE}"
            if _hung_up(error):
                continue
            break
        text = answer.body.decode("utf-8", "replace").strip()
        if answer.status == 200:
            say(text)
            return 0
        problem = f"{place}: status {answer.status}: {text[:2000]}"
        break
    complain(problem)
    return 1


def _hung_up(error: Exception) -> bool:
    """Whether somebody listens there, and makes nothing of a request without TLS."""
    cause = error.reason if isinstance(error, URLError) else error
    return isinstance(cause, HTTPException | ConnectionResetError | BrokenPipeError)


def _why(error: Exception) -> str:
    cause = error.reason if isinstance(error, URLError) else error
    match cause:
        case ConnectionRefusedError():
            return "nothing listens there"
        case TimeoutError():
            return f"no answer within {_PATIENCE:g} s"
        case OSError() if cause.strerror:
            return cause.strerror
        case _:
            return str(cause)
