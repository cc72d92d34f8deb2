"""What calls cost, by hand from the published prices: https://platform.claude.com/docs/en/about-claude/pricing"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from dragoman.conversation import Usage
from dragoman.models.cards import Prices
from dragoman.models.cost import cost, plain, priced, with_own_prices
from dragoman.models.local import with_override
from dragoman.models.open.card import generic
from tests.models.building import CARDS

OPUS, HAIKU, OLD_HAIKU = "claude-opus-5-5", "claude-haiku-5-5", "claude-haiku-4-5-20251001"


@dataclass
class Row:
    name: str
    model: str
    usage: Usage
    dollars: float


ROWS = [
    Row("input and output", OLD_HAIKU, Usage(input=1_000_000, output=1_000_000), 1 + 5),
    Row("a small call", OLD_HAIKU, Usage(input=12, output=3), 12e-6 + 15e-6),
    Row("thinking is output", OLD_HAIKU, Usage(input=10, output=100, thinking=90), 10e-6 + 500e-6),
    Row("a written cache", OLD_HAIKU, Usage(input=10_000, cache_write=8_000, output=1), 2_000e-6 + 10_000e-6 + 5e-6),
    Row("a cache written for an hour", OLD_HAIKU, Usage(input=8_000, cache_write=8_000, cache_write_1h=8_000), 0.016),
    Row("both", OLD_HAIKU, Usage(input=9_000, cache_write=8_000, cache_write_1h=3_000), 1e-3 + 6.25e-3 + 6e-3),
    Row("a read cache", OLD_HAIKU, Usage(input=10_000, cache_read=9_000), 1e-3 + 0.9e-3),
    Row("a prompt that is just not long", HAIKU, Usage(input=100_000, output=1_000), 0.01 + 0.0005),
    Row("a long prompt", HAIKU, Usage(input=100_001, output=1_000), 100_001 * 0.5e-6 + 0.0025),
    Row(
        "a long prompt, most of it cached",
        HAIKU,
        Usage(input=200_000, cache_read=150_000, cache_write=40_000, cache_write_1h=10_000, output=2_000),
        10_000 * 0.5e-6 + 150_000 * 0.05e-6 + 30_000 * 0.625e-6 + 10_000 * 1e-6 + 2_000 * 2.5e-6,
    ),
    Row("a long prompt where length costs nothing", OLD_HAIKU, Usage(input=150_000), 0.15),
    Row("the server's own bill", OLD_HAIKU, Usage(input=1_000_000, cost=0.25), 0.25),
    Row("more cached than there was", OLD_HAIKU, Usage(input=100, cache_read=200), 20e-6),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_cost(row: Row) -> None:
    dollars = cost(row.usage, CARDS[row.model])
    assert dollars == pytest.approx(row.dollars, rel=1e-12)
    assert priced(row.usage, CARDS[row.model]).cost == dollars


def test_reading_the_cache_of_the_newest_models_is_cheaper_still() -> None:
    card = CARDS[OPUS]
    assert card.prices is not None
    whole, read = (cost(Usage(input=1000, cache_read=n), card) for n in (0, 1000))
    assert whole and read and read / whole == pytest.approx(0.05)


def test_what_is_not_known_costs_none() -> None:
    usage = Usage(input=10, output=10)
    local = generic("qwen3:8b", "ollama", "ollama")
    assert cost(usage, local) is None
    assert priced(usage, local) is usage
    assert cost(Usage(output=5), CARDS[OPUS]) is None, "the server did not count the prompt"
    unpriced = replace(CARDS[OPUS], prices=Prices(input=1, output=1))
    assert cost(Usage(input=10), unpriced) == pytest.approx(10e-6)
    assert cost(Usage(input=10, cache_read=1), unpriced) is None


def test_every_model_that_can_be_called_has_its_prices() -> None:
    usage = Usage(input=10, cache_read=3, cache_write=4, cache_write_1h=2, output=1)
    for name, card in CARDS.items():
        if card.status != "retired" and card.prices is not None:
            assert cost(usage, card) is not None, name


def test_prices_of_ones_own() -> None:
    local = generic("qwen3:8b", "ollama", "ollama")
    card = with_own_prices(local, {"input": 2, "output": 10})
    assert cost(Usage(input=100, cache_read=50, cache_write=20, output=10), card) == pytest.approx(300e-6)
    card = with_own_prices(local, {"input": 2, "output": 10, "cache_read": 0.5})
    assert cost(Usage(input=100, cache_read=50), card) == pytest.approx(125e-6)
    assert with_override(local, None).prices is None


@pytest.mark.parametrize(
    ("dollars", "text"),
    [(0.0, "0.0"), (1e-9, "0.000000001"), (1e-12, "0.0"), (2.7e-05, "0.000027"), (12.5, "12.5"), (1e7, "10000000.0")],
)
def test_money_has_no_exponent(dollars: float, text: str) -> None:
    assert plain(dollars) == text
