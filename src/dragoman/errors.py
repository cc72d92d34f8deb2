"""Our errors, and one table from each kind to every dialect's status and vocabulary.

An error says what was wrong, where (`param`, a path such as `messages[3].content[1]`), and what to do.
Nothing secret is ever put in a message.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal[
    "invalid_request",
    "context_length",
    "unverified_thinking",
    "authentication",
    "billing",
    "permission",
    "not_found",
    "model_not_found",
    "method_not_allowed",
    "conflict",
    "too_large",
    "slow_request",
    "url_too_long",
    "unsupported_encoding",
    "headers_too_large",
    "rate_limit",
    "internal",
    "not_implemented",
    "unreachable",
    "upstream",
    "overloaded",
    "timeout",
    "format_unmet",
]


class Row(NamedTuple):
    """One kind of error as each dialect says it: HTTP status, `type`, and OpenAI's `code`."""

    anthropic: int
    anthropic_type: str
    openai: int
    openai_type: str
    openai_code: str | None
    ollama: int


# https://platform.claude.com/docs/en/api/errors, https://platform.openai.com/docs/guides/error-codes, and what a real
# Ollama server answers (November 2026).
# "unreachable" and "upstream" are failures of the server behind us, "internal" is our own; "format_unmet" is an answer
# that does not fit the format its client asked for.
TABLE: dict[Kind, Row] = {
    "invalid_request": Row(400, "invalid_request_error", 400, "invalid_request_error", None, 400),
    "context_length": Row(400, "invalid_request_error", 400, "invalid_request_error", "context_length_exceeded", 400),
    "unverified_thinking": Row(400, "invalid_request_error", 400, "invalid_request_error", None, 400),
    "authentication": Row(401, "authentication_error", 401, "authentication_error", "invalid_api_key", 401),
    "billing": Row(402, "billing_error", 429, "insufficient_quota", "insufficient_quota", 402),
    "permission": Row(403, "permission_error", 403, "permission_error", None, 403),
    "not_found": Row(404, "not_found_error", 404, "invalid_request_error", None, 404),
    "model_not_found": Row(404, "not_found_error", 404, "invalid_request_error", "model_not_found", 404),
    "method_not_allowed": Row(405, "invalid_request_error", 405, "invalid_request_error", None, 405),
    "conflict": Row(409, "conflict_error", 409, "invalid_request_error", None, 409),
    "too_large": Row(413, "request_too_large", 413, "invalid_request_error", "request_too_large", 413),
    "slow_request": Row(408, "invalid_request_error", 408, "invalid_request_error", None, 408),
    "url_too_long": Row(414, "invalid_request_error", 414, "invalid_request_error", None, 414),
    "unsupported_encoding": Row(415, "invalid_request_error", 415, "invalid_request_error", None, 415),
    "headers_too_large": Row(431, "invalid_request_error", 431, "invalid_request_error", None, 431),
    "rate_limit": Row(429, "rate_limit_error", 429, "rate_limit_error", "rate_limit_exceeded", 429),
    "internal": Row(500, "api_error", 500, "server_error", None, 500),
    "not_implemented": Row(501, "api_error", 501, "server_error", None, 501),
    "unreachable": Row(502, "api_error", 502, "server_error", None, 502),
    "upstream": Row(500, "api_error", 500, "server_error", None, 500),
    "overloaded": Row(529, "overloaded_error", 503, "service_unavailable_error", "server_is_overloaded", 503),
    "timeout": Row(504, "timeout_error", 504, "server_error", None, 504),
    "format_unmet": Row(502, "api_error", 502, "server_error", "format_unmet", 502),
}


class GatewayError(Exception):
    """Anything that ends a call without an answer.

    `retry_after` is in seconds.  `param` is the path of the offending member in the client's own words.
    `code` refines the dialect's own code when the table's is too coarse.  `request_id` is by which the server that
    answered so knows the call; `again` is what it said of another try: "true", "false", or nothing.  `ours`: this
    gateway could not, which says nothing of any server.
    """

    request_id = ""
    again = ""
    ours = False

    def __init__(
        self,
        kind: Kind,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.kind: Kind = kind
        self.message = message
        self.param = param
        self.code = code
        self.retry_after = retry_after

    @property
    def row(self) -> Row:
        """Each dialect's status and word for it."""
        return TABLE[self.kind]


def placed(error: GatewayError) -> str:
    """The message, with the place before it where it does not name it: for wires that have no other room for one."""
    member = (error.param or "").rpartition(".")[2].partition("[")[0]
    hidden = error.kind == "invalid_request" and member and member not in error.message
    return f"{error.param}: {error.message}" if hidden else error.message


def invalid(message: str, param: str | None = None) -> GatewayError:
    """The client's request is wrong at `param`."""
    return GatewayError("invalid_request", message, param=param)


def too_long(tokens: int, maximum: int) -> GatewayError:
    """The prompt of `tokens` tokens does not fit a window of `maximum`, in the words that make programs compact it."""
    return GatewayError("context_length", f"prompt is too long: {tokens} tokens > {maximum} maximum")
