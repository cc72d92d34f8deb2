"""How many tokens a text is, without the model's tokenizer: by what tokenizers split at.

Every character becomes one letter for its class (a small letter, a digit, a Greek letter, ...), and the classes and the
places where they change are counted, each with a weight.  The weights were fitted to the tokenizers of Qwen 3, Gemma 3,
DeepSeek V3, Llama 3, GPT-4o and Mistral (Tekken) on prose in 41 languages, code, JSON, listings, identifiers and
base64, so that 97 of 100 counts stay below the estimate.  English is then about a quarter above, code and JSON up to a
half; vocabularies of 32,000 (Llama 2, Mistral 7B) need more in other scripts, which `Calibration` learns.  All of it is
`bytes.translate` and `bytes.count`: 30 ms a megabyte, and 1 ms for what was counted before.
"""

from __future__ import annotations

from collections import OrderedDict

_CONTINUATION = bytes(range(0x80, 0xC0))

# The class of a character by the first byte of its UTF-8.  Upper bounds, ascending.
_LEADS: tuple[tuple[int, bytes], ...] = (
    (0xBF, b"-"),  # continuation: taken out before
    (0xCD, b"l"),  # accented Latin
    (0xCF, b"g"),  # Greek
    (0xD3, b"c"),  # Cyrillic
    (0xD5, b"y"),  # Armenian
    (0xD7, b"h"),  # Hebrew
    (0xDB, b"r"),  # Arabic
    (0xDF, b"o"),  # Syriac and others
    (0xE0, b"i"),  # India, Thailand
    (0xE1, b"o"),  # Georgia, Ethiopia, Burma, Cambodia; Vietnamese vowels
    (0xE2, b"s"),  # signs, arrows, boxes
    (0xE9, b"j"),  # kana and Han
    (0xED, b"k"),  # Hangul
    (0xEE, b"s"),
    (0xEF, b"f"),  # full width
    (0xFF, b"e"),  # emoji
)


def _class(byte: int) -> int:
    character = chr(byte)
    if byte >= 0x80:
        return next(kind[0] for most, kind in _LEADS if byte <= most)
    if character.isalpha():
        return ord("a" if character.islower() else "A")
    if character.isdigit():
        return ord("0")
    if character in "\r\n":
        return ord("n")
    return ord(" " if character in " \t" else ".")


_CLASSES = bytes(map(_class, range(256)))

# Tokens for each occurrence in the string of classes.
_WEIGHTS: tuple[tuple[bytes, float], ...] = (
    (b"a", 0.14),
    (b"A", 0.45),
    (b"0", 1.25),
    (b".", 0.6),
    (b"n", 0.68),
    (b"n ", 0.64),  # an indent
    (b"    ", 0.5),
    (b"aA", 1.2),  # camelCase
    (b"Aa", 0.5),
    (b"AA", -0.1),
    (b"0a", 0.3),
    (b"0A", 0.3),
    (b"a0", 0.3),
    (b"A0", 0.3),
    (b"..", 0.25),
    (b"....", -1.0),
    (b".a", 0.9),
    (b".A", 0.9),
    (b"na", 0.5),
    (b"nA", 0.5),
)
_FOREIGN: tuple[tuple[bytes, float], ...] = (
    (b"l", 1.6),
    (b"g", 1.04),
    (b"c", 0.64),
    (b"y", 2.09),
    (b"h", 1.14),
    (b"r", 0.67),
    (b"o", 2.11),
    (b"i", 2.0),
    (b"s", 1.0),
    (b"j", 1.05),
    (b"k", 1.06),
    (b"f", 1.3),
    (b"e", 3.8),
)
# By the first two bytes: Thai, Devanagari and Vietnamese are known better than their neighbours.
_BETTER: tuple[tuple[bytes, float], ...] = (
    (b"\xe0\xb8", -1.34),
    (b"\xe0\xb9", -1.34),
    (b"\xe0\xa4", -0.74),
    (b"\xe0\xa5", -0.74),
    (b"\xe1\xba", -1.5),
    (b"\xe1\xbb", -1.5),
)
# English words are whole tokens, those of other languages written in ASCII are not.  Text is as English as it has of
# these: about every eighth word of it.
_ENGLISH = (b" the ", b" of ", b" and ", b" to ", b" is ", b" for ")
_ENGLISH_WORDS = 8
_KNOWN_WORD, _OTHER_WORD = 0.58, 1.17

# No tokenizer was seen to need less on real text: characters a token, ASCII and other.
_LEAST_ASCII, _LEAST_OTHER = 8, 4


def text_tokens(text: str) -> tuple[float, float]:
    """Tokens: hardly ever below the real count, and hardly ever above it."""
    if not text:
        return 0.0, 0.0
    raw = text.encode("utf-8", "surrogatepass")
    ascii_only = text.isascii()
    classes = raw.translate(_CLASSES, b"" if ascii_only else _CONTINUATION)
    count = classes.count
    high = sum(weight * count(pattern) for pattern, weight in _WEIGHTS)
    words = count(b" a") + count(b" A")
    known = min(words, _ENGLISH_WORDS * sum(map(raw.count, _ENGLISH))) if words else 0
    high += known * _KNOWN_WORD + (words - known) * _OTHER_WORD
    other = 0
    if not ascii_only:
        for pattern, weight in _FOREIGN:
            if number := count(pattern):
                other += number
                high += weight * number
        high += sum(weight * raw.count(pattern) for pattern, weight in _BETTER)
    plain = len(classes) - other
    least = plain / _LEAST_ASCII + other / _LEAST_OTHER
    return max(high, 1.15 * least, 1.0), least


# Characters from which on looking up is cheaper than counting, and how many texts are known.
_SHORT = 40
_MOST = 16_384


class TextCounts:
    """`text_tokens` of texts that come again: a conversation is sent anew, whole, for each of its turns."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._known: OrderedDict[tuple[int, int], tuple[float, float]] = OrderedDict()

    def __call__(self, text: str) -> tuple[float, float]:
        size = len(text)
        if size < _SHORT:
            return text_tokens(text)
        key = hash(text), size
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
            return known
        known = self._known[key] = text_tokens(text)
        if len(self._known) > self._most:
            self._known.popitem(last=False)
        return known
