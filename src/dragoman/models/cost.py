"""What a call cost, by the prices in the model table.  https://platform.claude.com/docs/en/about-claude/pricing

Tokens at the ordinary tariff: searches and other tools of the server, and other tariffs (batch, fast), are not in it.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import convert, to_builtins
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
    if prices.above_100k_prompt is not None and usage.input > _LONG_PROMPT:
        prices = convert(to_builtins(prices) | prices.above_100k_prompt, Prices)
    read, short, long = usage.cache_read, usage.cache_write - usage.cache_write_1h, usage.cache_write_1h
    total = max(usage.input - read - usage.cache_write, 0) * prices.input + usage.output * prices.output
    for tokens, price in ((read, prices.cache_read), (short, prices.cache_write_5m), (long, prices.cache_write_1h)):
        if tokens > 0:
            if price is None:
                return None
            total += tokens * price
    return total / _MILLION


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
