"""Scenarios: how a caller asks the simulator to answer, or to fail, in a certain way.

A scenario is `name` and parameters, `rate_limit times=2 retry_after=1`.  It comes from the header
`x-simulator-scenario: name; param=value`, else from a marker `[[simulate: name param=value]]` in the last user text or
the system prompt (a gateway does not forward a client's headers, but it does forward its text), else from the server.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from dragoman.conversation import Object
from dragoman.simulator.refused import Refused, bad
from dragoman.simulator.rules_messages import blocks

_MARKER = re.compile(r"\[\[\s*simulate:([^\]]*)\]\]")
_PARAM = re.compile(r"([A-Za-z_-]+)=(\"[^\"]*\"|[^\s;]+)")

# Taken by every scenario: seconds before the answer, milliseconds between events, bytes a write, how many calls it
# holds for, and a name that keeps apart the counters of equal scenarios.
COMMON = ("delay", "pace", "chunk", "times", "id")
_AFTER = ("after",)

# The answers, and the parameters each one knows.
ANSWERS: dict[str, tuple[str, ...]] = {
    "auto": (),
    "text": ("text", "tokens"),
    "thinking": ("text", "tokens"),
    "redacted_thinking": (),
    "tools": ("calls",),
    "refusal": ("after", "category", "explanation"),
    "pause_turn": ("rounds",),
    "context_window_exceeded": ("after",),
    "server_tool": (),
    "json": ("form",),
    "unknown_event": (),
    "slow_start": (),
}
# A stream that breaks after that many events; unstreamed calls break in the same spirit.
BREAKS: dict[str, tuple[str, ...]] = {
    "reset": _AFTER,
    "truncation": _AFTER,
    "error_event": ("after", "type", "message"),
    "stall": _AFTER,
}
# Calls that fail before anything is answered: status, type and message unless a parameter says otherwise.
FAILURES: dict[str, tuple[int, str, str]] = {
    "rate_limit": (
        429,
        "rate_limit_error",
        "This request would exceed your organization's rate limit. Try again later.",
    ),
    "overloaded": (529, "overloaded_error", "Overloaded"),
    "error": (500, "api_error", "Internal server error"),
    "invalid_key": (401, "authentication_error", "invalid x-api-key"),
    "billing": (
        400,
        "invalid_request_error",
        "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or "
        "purchase credits.",
    ),
}
_FAILURE_PARAMS = ("status", "type", "message", "retry_after")
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_NUMBERS = ("delay", "pace", "chunk", "times", "tokens", "calls", "after", "status", "retry_after", "rounds")


class Table(NamedTuple):
    """The scenarios of one wire, each with its parameters; `COMMON` ones come on top."""

    answers: Mapping[str, tuple[str, ...]]
    breaks: Mapping[str, tuple[str, ...]]
    failures: Mapping[str, tuple[str, ...]]


ANTHROPIC = Table(ANSWERS, BREAKS, dict.fromkeys(FAILURES, _FAILURE_PARAMS))


class Scenario(NamedTuple):
    """One scenario as asked for.  `spelling` tells counters apart."""

    name: str
    params: dict[str, str]
    spelling: str

    def number(self, name: str, default: float = 0.0) -> float:
        """A parameter that is a number."""
        return float(self.params.get(name, default))

    def count(self, name: str, default: int = 0) -> int:
        """A parameter that is a whole number."""
        return int(float(self.params.get(name, default)))


AUTO = Scenario("auto", {}, "")


def parse(spelling: str, table: Table = ANTHROPIC) -> Scenario:
    """`name param=value ...`, parts separated by spaces or semicolons.  Raises ValueError with what is allowed."""
    head, *_ = re.split(r"[\s;]+", spelling.strip(), maxsplit=1)
    name = head.strip().replace("-", "_") or "auto"
    rest = spelling.strip()[len(head) :]
    params = {key.replace("-", "_"): value.strip('"') for key, value in _PARAM.findall(rest)}
    if stray := _PARAM.sub("", rest).strip("; \t\n"):
        raise ValueError(f"scenario {name}: cannot read {stray!r}; parameters are written name=value")
    allowed = _allowed(name, table)
    for key, value in params.items():
        if key not in allowed:
            raise ValueError(f"scenario {name}: unknown parameter {key!r}; it takes {', '.join(sorted(allowed))}")
        if key in _NUMBERS and not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value):
            raise ValueError(f"scenario {name}: {key} must be a number, not {value!r}")
    return Scenario(name, params, spelling.strip())


def _allowed(name: str, table: Table) -> tuple[str, ...]:
    known = {**table.failures, **table.breaks, **table.answers}
    own = known.get(name)
    if own is None:
        names = ", ".join(sorted(known))
        raise ValueError(f"unknown scenario {name!r}; there are {names}")
    return (*own, *COMMON)


def asked_for(header: str, body: Object, fixed: Scenario, table: Table = ANTHROPIC) -> Scenario:
    """The scenario of a call: its header's, else its text's, else the server's.  Raises `Refused` for nonsense."""
    spelling = header or next(_markers(body), "")
    if not spelling:
        return fixed
    try:
        return parse(spelling, table)
    except ValueError as error:
        raise bad(f"simulator: {error}") from None


def _markers(body: Object) -> Iterator[str]:
    """The markers in a body that may still be anything: the last user text first."""
    messages = body.get("messages")
    users = (
        [m for m in messages if isinstance(m, dict) and m.get("role") == "user"] if isinstance(messages, list) else []
    )
    texts = [_text(message) for message in reversed(users)]
    latest = next((words for words in texts if words.strip()), "")
    for words in (latest, _text({"content": body.get("system")})):
        yield from reversed(_MARKER.findall(words))


def _text(message: Object) -> str:
    content = message.get("content")
    if not isinstance(content, str | list):
        return ""
    parts = [part.get("text") for part in blocks(message) if isinstance(part, dict)]
    return "\n".join(part for part in parts if isinstance(part, str))


def without_marker(words: str) -> str:
    """`words` as the model should see them."""
    return _MARKER.sub("", words)


def failure(scenario: Scenario) -> Refused | None:
    """The error this scenario answers with at once, or None."""
    if scenario.name not in FAILURES:
        return None
    status, kind, message = FAILURES[scenario.name]
    if "status" in scenario.params:
        status = scenario.count("status")
        kind = _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    headers = {}
    if "retry_after" in scenario.params or scenario.name == "rate_limit":
        headers["retry-after"] = scenario.params.get("retry_after", "1")
    return Refused(status, scenario.params.get("type", kind), scenario.params.get("message", message), headers)
