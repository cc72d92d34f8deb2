"""How many tokens a prompt is, without the model's tokenizer: an estimate that errs high, and learns."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

from msgspec import Struct

from dragoman.arguments import json_text
from dragoman.conversation import (
    Foreign,
    Media,
    Part,
    Refusal,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from dragoman.models.pictures import pixel_size
from dragoman.models.textcount import text_tokens


class Estimate(Struct, frozen=True):
    """Tokens.  `tokens` is hardly ever below the real count, `least` hardly ever above it."""

    tokens: int
    least: int


Count = Callable[[str], tuple[float, float]]
"""Counts a text: see `text_tokens`."""


def estimate_text(text: str) -> Estimate:
    """The tokens of a text on its own."""
    high, least = text_tokens(text)
    return Estimate(math.ceil(high), int(least))


# --- a whole request ----------------------------------------------------------------------------

# What chat templates wrap around things, in tokens.
_BASE = 24
_MESSAGE = 6
_CALL = 16
_RESULT = 10
_TOOLS = 200
_TOOL = 16
_SPREAD = 1.2
"""Templates write tools with spaces and indents; we count them compact."""

_EDGE = 1568
_SQUARE = 28
_PICTURE = 600
_REMOTE_PICTURE = 1600
_PAGE = 2000
_PAGE_BYTES = 30_000
_SOUND_BYTES = 500
_PAGE_MARK = re.compile(rb"/Type\s*/Page(?![s\w])")


class _Sum:
    """The two sums of an estimate as they grow."""

    def __init__(self, base: int = _BASE, count: Count = text_tokens) -> None:
        self.high = float(base)
        self.least = 0.0
        self._count = count

    def text(self, text: str, spread: float = 1.0) -> None:
        high, least = self._count(text)
        self.high += high * spread
        self.least += least

    def maybe(self, text: str) -> None:
        """A text that only some servers put into the prompt."""
        self.high += self._count(text)[0]

    def add(self, high: float, least: float = 0.0) -> None:
        self.high += high
        self.least += least


def estimate(request: Request, count: Count = text_tokens) -> Estimate:
    """The tokens of the whole prompt of `request`: messages, tools and schema, and what templates put around them.

    Earlier reasoning counts in `tokens` and not in `least`: half of the templates leave it out.  `count` counts a text:
    a `TextCounts` knows those it has seen.
    """
    total = _Sum(count=count)
    for message in request.messages:
        total.add(_MESSAGE, 2)
        total.text(message.name)
        _content(message.content, total)
    if request.tools:
        total.add(_TOOLS)
        for tool in request.tools:
            _tool(tool, total)
    if request.format is not None and request.format.schema:
        total.maybe(json_text(request.format.schema))
    return Estimate(math.ceil(total.high), int(total.least))


def _content(parts: Sequence[Part], total: _Sum) -> None:
    for part in parts:
        match part:
            case Text(text=text) | Refusal(text=text):
                total.text(text)
            case Thinking(text=text):
                total.maybe(text)
            case ToolCall(name=name, arguments=arguments):
                total.add(_CALL, 4)
                total.text(name)
                total.text(arguments)
            case ToolResult(name=name, content=content):
                total.add(_RESULT, 2)
                total.text(name)
                _content(content, total)
            case Media():
                _media(part, total)
            case Foreign(extra=extra):
                total.maybe(json_text(extra))


def _tool(tool: Tool, total: _Sum) -> None:
    total.add(_TOOL, 4)
    total.text(tool.name)
    total.text(tool.description, 1.1)
    if shape := tool.extra if tool.hosted or tool.freeform else tool.schema:
        total.text(json_text(shape), _SPREAD)


def _media(part: Media, total: _Sum) -> None:
    match part.kind, part.source:
        case _, "text":
            total.text(part.data)
        case "image", "base64":
            total.add(picture_tokens(pixel_size(part.data)))
        case "image", _:
            total.add(_REMOTE_PICTURE)
        case "audio", _:
            total.add(len(part.data) * 3 // 4 // _SOUND_BYTES)
        case _, "base64":
            total.add(_PAGE * _pages(part.data))
        case _:
            total.add(_PAGE)


def attachments(request: Request) -> int:
    """The part of the estimate that is pictures, sounds and documents: what no tokenizer of text can count."""
    total = _Sum(0)

    def walk(parts: Sequence[Part]) -> None:
        for part in parts:
            if isinstance(part, Media) and part.source != "text":
                _media(part, total)
            elif isinstance(part, ToolResult):
                walk(part.content)

    for message in request.messages:
        walk(message.content)
    return math.ceil(total.high)


def picture_tokens(size: tuple[int, int] | None) -> int:
    """Tokens of a picture of this size in pixels: one for each 28 × 28 square, scaled down to an edge of 1568.

    Models with a fixed grid spend up to 600 on any picture; None is a picture nobody could measure.
    """
    if size is None:
        return _REMOTE_PICTURE
    scale = min(1.0, _EDGE / max(size))
    squares = math.ceil(size[0] * scale / _SQUARE) * math.ceil(size[1] * scale / _SQUARE)
    return max(squares, _PICTURE)


def _pages(data: str) -> int:
    """Pages of a base64 PDF: as many as it marks, or by its size where the marks are compressed."""
    try:
        marked = len(_PAGE_MARK.findall(base64.b64decode(data)))
    except (binascii.Error, ValueError):
        marked = 0
    return marked or max(1, len(data) * 3 // 4 // _PAGE_BYTES)


# --- what real counts teach ---------------------------------------------------------------------


class Calibration:
    """What each model's real counts were, beside the estimates: the last of them, for a bounded number of models.

    A correction stays high: it is the ninth decile of the observed ratios and a little more.  It raises an estimate at
    once, and lowers it only after several observations, never below half.
    """

    _KEPT = 32
    _ENOUGH = 5
    _SMALL = 200
    """Below this, what a template adds outweighs the text, and the ratio says nothing of longer prompts."""
    _FLOOR, _CEILING, _MARGIN = 0.5, 4.0, 1.03

    def __init__(self, most: int = 512) -> None:
        self._most = most
        self._ratios: OrderedDict[str, deque[float]] = OrderedDict()

    def observe(self, key: str, estimate: int, real: int) -> None:
        """`real` tokens were counted upstream where `estimate` (not corrected) was expected.

        Only for prompts that the server read whole: one that it cut to its window teaches a ratio that is too low.
        """
        if estimate < self._SMALL or real <= 0:
            return
        ratios = self._ratios.setdefault(key, deque(maxlen=self._KEPT))
        ratios.append(real / estimate)
        self._ratios.move_to_end(key)
        while len(self._ratios) > self._most:
            self._ratios.popitem(last=False)

    def corrected(self, key: str, estimate: int) -> int:
        """`estimate` as this model would count it."""
        return math.ceil(estimate * self.factor(key))

    def factor(self, key: str) -> float:
        """What an estimate for this model is multiplied with; 1 for a model nobody has seen."""
        ratios = sorted(self._ratios.get(key, ()))
        if not ratios:
            return 1.0
        decile = ratios[min(len(ratios) - 1, math.ceil(len(ratios) * 0.9))] * self._MARGIN
        least = self._FLOOR if len(ratios) >= self._ENOUGH else 1.0
        return min(max(decile, least), self._CEILING)
