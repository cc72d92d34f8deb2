"""Names, lifecycles and the live list."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from dragoman.conversation import Object
from dragoman.errors import GatewayError
from dragoman.models.catalogue import Catalogue, build

TODAY = date(2026, 11, 22)

# The promised table, to the letter.
ALIASES = {
    "claude-opus": "claude-opus-4-5-20251101",
    "claude-4.5-opus": "claude-opus-4-5-20251101",
    "claude-sonnet": "claude-sonnet-4-5-20250929",
    "claude-4.5-sonnet": "claude-sonnet-4-5-20250929",
    "claude-sonnet-4.5": "claude-sonnet-4-5-20250929",
    "claude-haiku": "claude-haiku-4-5-20251001",
    "claude-4.5-haiku": "claude-haiku-4-5-20251001",
    "claude-4-opus": "claude-opus-4-20250514",
    "claude-4-sonnet": "claude-sonnet-4-20250514",
    "claude-3.5-sonnet": "claude-3-5-sonnet-20241022",
    "claude-3.5-haiku": "claude-3-5-haiku-20241022",
}


@pytest.mark.parametrize(("alias", "id"), ALIASES.items())
def test_an_alias_means_its_model(alias: str, id: str) -> None:
    card = build().find(alias, TODAY)
    assert card is not None
    assert card.id == id


SPELLINGS = ["claude-opus:latest", "Claude-Opus", " claude-opus ", "anthropic/claude-opus", "claude-opus[1m]"]


@pytest.mark.parametrize("name", SPELLINGS)
def test_the_same_name_in_other_spellings(name: str) -> None:
    assert build().resolve(name, TODAY).card.id == "claude-opus-4-5-20251101"


# Name, day, who answers, and whether somebody else was meant.
RESOLUTIONS: list[tuple[str, date, str, bool]] = [
    ("claude-sonnet-4.5", date(2026, 11, 29), "claude-sonnet-4-5-20250929", False),
    ("claude-sonnet-4.5", date(2026, 11, 30), "claude-sonnet-5-5", True),
    ("claude-3.5-sonnet", TODAY, "claude-sonnet-5-5", True),
    ("claude-4-opus", TODAY, "claude-opus-5-5", True),
    ("claude-3-haiku-20240307", TODAY, "claude-haiku-5-5", True),
    ("claude-haiku", date(2027, 1, 1), "claude-haiku-4-5-20251001", False),
    ("claude-opus-latest", TODAY, "claude-opus-5-5", False),
    ("claude-fable-latest", TODAY, "claude-fable-5-2", False),
    ("llama3.2:3b", TODAY, "claude-sonnet-4-5-20250929", True),
    ("gpt-4o", date(2027, 1, 1), "claude-sonnet-5-5", True),
]


@pytest.mark.parametrize(("name", "today", "id", "substituted"), RESOLUTIONS)
def test_who_answers(name: str, today: date, id: str, substituted: bool) -> None:
    resolution = build().resolve(name, today)
    assert (resolution.card.id, bool(resolution.substituted), resolution.asked) == (id, substituted, name)


@pytest.mark.parametrize(("name", "how"), [("claude-3.5-sonnet", {"retired": "refuse"}), ("gpt-4o", {"default": None})])
def test_refusing_instead(name: str, how: dict[str, Any]) -> None:
    with pytest.raises(GatewayError) as caught:
        build(**how).resolve(name, TODAY)
    assert caught.value.kind == "model_not_found"
    assert name in caught.value.message


def test_own_aliases_win_and_may_chain() -> None:
    catalogue = build({"Fast": "claude-haiku", "claude-opus": "fast", "loop": "loop"})
    assert catalogue.resolve("fast", TODAY).card.line == "haiku"
    assert catalogue.resolve("claude-opus", TODAY).card.line == "haiku"
    assert catalogue.find("loop", TODAY) is None


def test_only_what_can_be_called_is_listed() -> None:
    names = {entry.name for entry in build({"mine": "claude-haiku", "old": "claude-3.5-haiku"}).entries(TODAY)}
    assert {"claude-opus-5-5", "claude-sonnet-4.5", "claude-opus-latest", "mine"} <= names
    assert not {"claude-3-5-haiku-20241022", "claude-3.5-haiku", "claude-4-opus", "old"} & names
    assert "claude-sonnet-4.5" not in {entry.name for entry in build().entries(date(2026, 12, 1))}


# --- the live list -------------------------------------------------------------------------------


def live(id: str, **more: Any) -> Object:
    return {"type": "model", "id": id, "display_name": id, "created_at": "2027-01-01T00:00:00Z"} | more


def _supported(*names: str) -> Object:
    return {name: {"supported": True} for name in names}


@pytest.fixture
def listed() -> Catalogue:
    kinds = _supported("adaptive", "disabled")
    capabilities = {
        "effort": {"supported": True} | _supported("low", "high"),
        "thinking": {"supported": True, "types": kinds},
        "image_input": {"supported": False},
    }
    return build().with_live(
        [
            live("claude-sonnet-6", max_input_tokens=2_000_000, max_tokens=256_000, capabilities=capabilities),
            live("claude-opus-5-5", lifecycle="deprecated"),
            live("claude-opus-4-5", lifecycle="active"),
            {"id": 7},
        ]
    )


def test_a_new_model_can_be_called_with_what_it_says_of_itself(listed: Catalogue) -> None:
    card = listed.resolve("claude-sonnet-6", TODAY).card
    assert (card.line, card.context_window, card.max_output_tokens) == ("sonnet", 2_000_000, 256_000)
    assert (card.effort.levels, card.thinking.types, card.image_input) == (
        ["low", "high"],
        ["adaptive", "disabled"],
        False,
    )
    assert listed.resolve("claude-sonnet-latest", TODAY).card.id == "claude-sonnet-6"


def test_a_model_that_is_not_listed_is_gone(listed: Catalogue) -> None:
    resolution = listed.resolve("claude-sonnet-5-5", TODAY)
    assert (resolution.card.id, bool(resolution.substituted)) == ("claude-sonnet-6", True)
    assert {entry.card.id for entry in listed.entries(TODAY)} == {
        "claude-sonnet-6",
        "claude-opus-5-5",
        "claude-opus-4-5-20251101",
    }


def test_an_active_model_comes_before_a_newer_one_on_its_way_out(listed: Catalogue) -> None:
    assert listed.resolve("claude-opus-5", TODAY).card.id == "claude-opus-4-5-20251101"


def test_a_line_nobody_lists_stays_as_it_is(listed: Catalogue) -> None:
    assert listed.resolve("claude-haiku", TODAY).card.id == "claude-haiku-4-5-20251001"
