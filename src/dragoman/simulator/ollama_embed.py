"""Vectors without a model: the same text gives the same vector, and texts that share words are near each other."""

from __future__ import annotations

import hashlib
import math
from collections import Counter

from dragoman.simulator.ollama_prompt import Tokens


def embed(tokens: Tokens, size: int, dimensions: int = 0) -> list[float]:
    """A vector of length one; `dimensions` cuts it down to that many members."""
    kept = min(size, dimensions) if dimensions > 0 else size
    vector = [0.0] * kept
    for token, count in Counter(token.strip().casefold() for token in tokens).items():
        for at, byte in enumerate(hashlib.shake_128(token.encode()).digest(kept)):
            vector[at] += count * (byte - 127.5)
    length = math.sqrt(sum(value * value for value in vector))
    return [value / length for value in vector] if length else [1.0, *vector[1:]]
