"""What a call cost, by the prices in the model table.  https://platform.claude.com/docs/en/about-claude/pricing

Tokens at the ordinary tariff: searches and other tools of the server, and other tariffs (batch, fast), are not in it.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from dragoman.conversation import Usage
from dragoman.models.cards import Card, Prices

_MILLION = 1_000_000
_LONG_PROMPT = 100_000


def cost(usage: Usage, card: Card) -> float | None:
    """US dollars; None where a price that is needed is not known, as for models on a machine of one's own, and where
    the server did not count the prompt.

    A server that says itself what it charged (OpenRouter does) is believed.
    """
    if usage.cost is not None:
        return usage.cost
    if (prices := card.prices) is None or not usage.input:
        return None
    dearer: Mapping[str, float] = {}
    if prices.above_100k_prompt is not None and usage.input > _LONG_PROMPT:
        dearer = prices.above_100k_prompt
    total = 0.0
    for name, tokens in _tokens(usage):
        price = dearer.get(name, getattr(prices, name))
        if tokens and price is None:
            return None
        total += tokens * (price or 0.0)
    return total / _MILLION


def _tokens(usage: Usage) -> tuple[tuple[str, int], ...]:
    """The tokens of each price in `Prices`."""
    return (
        ("input", max(usage.input - usage.cache_read - usage.cache_write, 0)),
        ("output", usage.output),
        ("cache_read", usage.cache_read),
        ("cache_write_5m", max(usage.cache_write - usage.cache_write_1h, 0)),
        ("cache_write_1h", usage.cache_write_1h),
    )


def priced(usage: Usage, card: Card) -> Usage:
    """`usage` with what it cost, where that is known."""
    if usage.cost is not None or (spent := cost(usage, card)) is None:
        return usage
    return replace(usage, cost=spent)


def with_own_prices(card: Card, prices: Mapping[str, float]) -> Card:
    """`card` at the prices somebody has with its server, US dollars per million tokens.

    Without prices of their own, cached tokens cost what others do.
    """
    usual = prices["input"]
    own = Prices(
        input=usual,
        output=prices["output"],
        cache_write_5m=prices.get("cache_write_5m", usual),
        cache_write_1h=prices.get("cache_write_1h", usual),
        cache_read=prices.get("cache_read", usual),
    )
    return replace(card, prices=own)


def plain(dollars: float) -> str:
    """A decimal without an exponent, to the billionth."""
    text = f"{dollars:.9f}".rstrip("0")
    return text + "0" if text.endswith(".") else text
