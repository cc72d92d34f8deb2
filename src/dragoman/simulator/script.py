"""What the scripted scenarios answer."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from dragoman.conversation import Object
from dragoman.simulator import brain
from dragoman.simulator.answer import Answer, text, thought, whole
from dragoman.simulator.pausing import pause
from dragoman.simulator.rules import Approved
from dragoman.simulator.rules_messages import answers_calls
from dragoman.simulator.rules_tools import client_tools
from dragoman.simulator.scenario import Scenario


def perform(approved: Approved, scenario: Scenario) -> Answer:
    """The answer of `scenario`; of the brain when it only says how to send it."""
    act = _ACTS.get(scenario.name)
    return act(approved, scenario) if act else brain.respond(approved)


def _words(scenario: Scenario, default: str) -> str:
    if "tokens" in scenario.params:
        return " ".join(f"token{number}" for number in range(1, scenario.count("tokens") + 1))
    return scenario.params.get("text", default)


def _text(approved: Approved, scenario: Scenario) -> Answer:
    words = _words(scenario, "")
    if words:
        return Answer([text(words)])
    body = {key: value for key, value in approved.body.items() if key not in ("tools", "tool_choice")}
    return brain.respond(approved._replace(body=body))


def _thinking(approved: Approved, scenario: Scenario) -> Answer:
    """Visible, signed thinking, whatever the request said, and then text."""
    thinking = thought(_words(scenario, "First I think about it, then I answer."), "summarized")
    return Answer([thinking, text("That was the thinking; this is the answer.")])


def _redacted(approved: Approved, scenario: Scenario) -> Answer:
    hidden = whole({"type": "redacted_thinking", "data": ""}, tokens=20)
    return Answer([hidden, text("The thinking before this answer was redacted.")])


def _tools(approved: Approved, scenario: Scenario) -> Answer:
    """Calls of the tools in turn, whatever the text says: two unless `calls` says otherwise."""
    body = approved.body
    tools = client_tools(body)
    if not tools or answers_calls(body["messages"]):
        return brain.respond(approved)
    count = max(1, scenario.count("calls", 2))
    subject = brain.question(body)[:80]
    calls = brain.make_calls(body, [(tools[number % len(tools)], subject) for number in range(count)])
    return Answer([*brain.think(approved), text("I will call the tools."), *calls], "tool_use")


def _refusal(approved: Approved, scenario: Scenario) -> Answer:
    """After `after` tokens of text; after none the content is empty."""
    details = {
        "type": "refusal",
        "category": scenario.params.get("category", "cyber"),
        "explanation": scenario.params.get("explanation", "The simulator was asked to refuse."),
    }
    kept = scenario.count("after")
    words = "".join(text("I could begin to answer this, but then I would have to stop in the middle.").pieces[:kept])
    return Answer([text(words)] if words else [], "refusal", stop_details=details)


def _window(approved: Approved, scenario: Scenario) -> Answer:
    kept = scenario.count("after", 5)
    words = "".join(text("There was not enough room left in the context window for the rest.").pieces[:kept])
    return Answer([text(words)] if words else [], "model_context_window_exceeded")


def _search(approved: Approved, scenario: Scenario) -> Answer:
    return brain.search(approved)


def _json(approved: Approved, scenario: Scenario) -> Answer:
    """The JSON that was asked for, as models say it that nothing holds to it; `form` is a name in `_FORMS`."""
    said = _text(approved, scenario)
    right = "".join(piece for part in said.parts if part.body["type"] == "text" for piece in part.pieces)
    words = _FORMS.get(scenario.params.get("form", ""), "{0}").format(right)
    return Answer([*(part for part in said.parts if part.body["type"] != "text"), text(words)])


_FORMS = {
    "fence": "```json\n{0}\n```",
    "prose": "As in [1] and {{this}}, the answer is:\n\n```json\n{0}\n```\n\nI hope {{that}} helps.",
    "two": '{0}\n{{"second": true}}',
    "misfit": '{{"misfit": -1}}',
    "none": "I would rather say it in words.",
}

_ACTS: dict[str, Callable[[Approved, Scenario], Answer]] = {
    "text": _text,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
    "tools": _tools,
    "refusal": _refusal,
    "pause_turn": pause,
    "context_window_exceeded": _window,
    "server_tool": _search,
    "json": _json,
}


def with_unknowns(events: list[Object]) -> list[Object]:
    """The stream as a later version of the API might send it: with events, deltas and blocks nobody knows yet."""
    out: list[Object] = []
    last = 0
    for event in events:
        match event["type"]:
            case "message_start":
                out += [event, {"type": "future_event", "detail": {"n": 1}}]
            case "content_block_stop":
                strange = {"type": "future_delta", "glow": 0.5}
                out += [{"type": "content_block_delta", "index": event["index"], "delta": strange}, event]
                last = event["index"] + 1
            case "message_delta":
                block = {"type": "future_block", "content": {"a": 1}}
                out += [
                    {"type": "content_block_start", "index": last, "content_block": block},
                    {"type": "content_block_stop", "index": last},
                    event,
                ]
            case _:
                out.append(event)
    return out


def with_unknown_block(body: Object) -> Object:
    """The unstreamed twin of `with_unknowns`."""
    out: Object = msgspec.json.decode(msgspec.json.encode(body))
    out["future_member"] = True
    out["content"].append({"type": "future_block", "content": {"a": 1}})
    return out
