"""What the model says over the OpenAI wire: the brain's answer, or what a scenario wants."""

from __future__ import annotations

from dragoman.models.cards import Card
from dragoman.simulator import script
from dragoman.simulator.answer import Answer, text
from dragoman.simulator.openai_prompt import View
from dragoman.simulator.rules import Approved
from dragoman.simulator.scenario import Scenario


def perform(seen: View, scenario: Scenario, card: Card, *, shown: bool) -> Answer:
    """The answer to a chat completion; thinking is billed but has no words unless it is `shown`."""
    if scenario.name == "content_filter":
        kept = scenario.count("after")
        words = "".join(
            text("I could begin to answer this, but then I would have to stop in the middle.").pieces[:kept]
        )
        return Answer([text(words)] if words else [], "content_filter")
    return script.perform(_approved(seen, card, shown=shown), scenario)


def answer_prompt(prompt: str, scenario: Scenario, card: Card) -> Answer:
    """The answer to a legacy completion: text only."""
    body = {"messages": [{"role": "user", "content": [{"type": "text", "text": prompt}]}], "system": []}
    return perform(View(body, frozenset(), thinks=False, effort="low"), scenario, card, shown=False)


def _approved(seen: View, card: Card, *, shown: bool) -> Approved:
    return Approved(
        card=card,
        sent=seen.body,
        body=seen.body,
        thinks=seen.thinks,
        display="summarized" if shown else "omitted",
        interleaved=True,
        effort=seen.effort,
        prompt_tokens=0,
        dropped=[],
    )
