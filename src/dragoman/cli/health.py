"""`dragoman health`: whether a gateway is alive, for health checks in places that have no curl."""

from __future__ import annotations

import os
from http.client import HTTPException
from urllib.error import URLError

from dragoman.cli.http import call
from dragoman.cli.output import complain, say

_PATIENCE = 5.0


def run(url: str | None, *, ready: bool) -> int:
    """Ask the gateway at `url` (None: this machine's, at $PORT) how it is.  0: well; 1: not, or nobody answers."""
    address = url or f"http://127.0.0.1:{os.environ.get('PORT') or 11434}"
    try:
        # It is about being there, not about who is: certificates are for the name that clients know.
        answer = call(address.rstrip("/") + ("/ready" if ready else "/health"), {}, patience=_PATIENCE, verify=False)
    except (OSError, HTTPException, ValueError) as error:
        complain(f"{address}: {error.reason if isinstance(error, URLError) else error}")
        return 1
    text = answer.body.decode("utf-8", "replace").strip()
    if answer.status == 200:
        say(text)
        return 0
    complain(f"{address}: status {answer.status}: {text[:2000]}")
    return 1
