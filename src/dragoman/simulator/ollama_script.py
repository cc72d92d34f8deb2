"""The scenarios of the Ollama simulator: those of the Anthropic one that make sense here, and Ollama's own quirks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dragoman.simulator import brain, script
from dragoman.simulator.answer import Answer, text, thought
from dragoman.simulator.refused import Refused
from dragoman.simulator.rules import Approved
from dragoman.simulator.scenario import Scenario, Table

_FAILURE = ("status", "type", "message", "retry_after")  # `type` has no place in an error that is a string
_AFTER = ("after",)
_CALLS = ("calls",)

# Status and text of calls that fail before anything is answered, unless a parameter says otherwise.
_FAILURES: Mapping[str, tuple[int, str]] = {
    "rate_limit": (429, "you've reached your usage limit, please try again later"),
    "overloaded": (503, "server busy, please try again.  maximum pending requests exceeded"),
    "error": (
        500,
        "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, check "
        "ollama server logs for details",
    ),
    "invalid_key": (401, "unauthorized"),
    "billing": (403, "this model requires a subscription, upgrade for access: https://ollama.com/upgrade"),
}
_BROKEN = "an error was encountered while running the model: unexpected EOF"

OLLAMA = Table(
    answers={
        "auto": (),
        "text": ("text", "tokens"),
        "thinking": ("text", "tokens"),
        "tools": _CALLS,
        "refusal": (),
        "json": ("form",),
        "length": _AFTER,
        "context_window_exceeded": _AFTER,
        "unknown_event": (),
        "slow_start": (),
        # quirks
        "load": (),  # a real question is answered as a load is
        "missing_usage": (),  # no counts and no durations
        "cached_prompt": (),  # no `prompt_eval_count`, as when all of the prompt was cached
        "empty": (),  # nothing at all
        "only_thinking": (),  # all of the answer is in `thinking`
        "think_tags": (),  # thinking that the server did not take out of the text
        "text_in_last_line": (),  # the line with `done` holds the last characters
        "tools_in_one_line": _CALLS,  # several calls in one line of a stream
        "tools_same_index": _CALLS,  # index 0 for all
        "tools_without_ids": _CALLS,  # as before 0.12.10
    },
    breaks={"reset": _AFTER, "truncation": _AFTER, "error_event": ("after", "type", "message"), "stall": _AFTER},
    failures=dict.fromkeys(_FAILURES, _FAILURE),
)


def failure(scenario: Scenario) -> Refused | None:
    """The error this scenario answers with at once, or None."""
    if scenario.name not in _FAILURES:
        return None
    status, words = _FAILURES[scenario.name]
    headers = {}
    if "retry_after" in scenario.params or scenario.name == "rate_limit":
        headers["retry-after"] = scenario.params.get("retry_after", "1")
    return Refused(scenario.count("status", status), "", scenario.params.get("message", words), headers)


def broken(scenario: Scenario) -> Refused:
    """What `error_event` ends in."""
    return Refused(500, "", scenario.params.get("message", _BROKEN))


def perform(approved: Approved, scenario: Scenario) -> Answer:
    """The answer of `scenario`; of the brain when it only says how to send it."""
    return _ACTS.get(scenario.name, script.perform)(approved, scenario)


def _tools(approved: Approved, scenario: Scenario) -> Answer:
    return script.perform(approved, scenario._replace(name="tools"))


def _refusal(approved: Approved, scenario: Scenario) -> Answer:
    """An open model has no word of its own for it."""
    return Answer([*brain.think(approved), text("I'm sorry, but I can't help with that.")])


def _length(approved: Approved, scenario: Scenario) -> Answer:
    return script.perform(approved, scenario._replace(name="context_window_exceeded"))


def _empty(approved: Approved, scenario: Scenario) -> Answer:
    return Answer([])


def _only_thinking(approved: Approved, scenario: Scenario) -> Answer:
    words = "".join(part.body.get("text", "") for part in brain.respond(approved).parts)
    return Answer([thought(f"The answer is this. {words}", "summarized")])


def _think_tags(approved: Approved, scenario: Scenario) -> Answer:
    said = brain.respond(approved._replace(thinks=False))
    return Answer([text("<think>\nFirst I think about it.\n</think>\n\n"), *said.parts], said.stop_reason)


_ACTS: Mapping[str, Callable[[Approved, Scenario], Answer]] = {
    "refusal": _refusal,
    "length": _length,
    "empty": _empty,
    "load": _empty,
    "only_thinking": _only_thinking,
    "think_tags": _think_tags,
    "tools_in_one_line": _tools,
    "tools_same_index": _tools,
    "tools_without_ids": _tools,
}
