"""The one way a call to the simulator fails: a status, an error type and a message, as the real API words them."""

from __future__ import annotations

from collections.abc import Mapping

from dragoman.conversation import Object


class Refused(Exception):  # noqa: N818  # not a failure of ours
    """A request that the real API would answer with an error."""

    def __init__(
        self, status: int, kind: str, message: str, headers: Mapping[str, str] | None = None, *, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.headers = dict(headers or {})
        self.code = code


def bad(message: str) -> Refused:
    """400 `invalid_request_error`: what nearly every refusal is."""
    return Refused(400, "invalid_request_error", message)


def envelope(kind: str, message: str, request_id: str, code: str | None = None) -> Object:
    """The body of an error answer, and the data of an `error` event."""
    error: Object = {"type": kind, "message": message}
    if code is not None:
        error["details"] = {"error_code": code}
    return {"type": "error", "error": error, "request_id": request_id}
