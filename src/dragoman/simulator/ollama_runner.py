"""Which models are loaded, with what context window and until when; and what their prompt caches hold."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from dragoman.conversation import Object
from dragoman.simulator.ollama_models import Model, details
from dragoman.simulator.ollama_options import RUNNER
from dragoman.simulator.ollama_prompt import Tokens, shared

_CENTURIES = timedelta(seconds=9_223_372_036)  # the longest duration Go has: what "forever" means to it


class Loaded(Struct):
    """A model in memory.  `settings`: what it was loaded with; `prompt`: the last one it has read."""

    model: Model
    settings: tuple[object, ...]
    num_ctx: int
    expires: datetime
    prompt: Tokens


class Runners:
    """The models in memory.  `now` tells the time, in UTC."""

    def __init__(self, now: Callable[[], datetime] | None = None) -> None:
        self._now = now or (lambda: datetime.now(UTC))
        self._loaded: dict[str, Loaded] = {}
        self.loads: Counter[str] = Counter()
        """How often each model was loaded."""
        self.reloads: Counter[str] = Counter()
        """How often a model in memory was loaded again because a runner option, `num_ctx` say, was another."""

    def use(self, model: Model, chosen: Object, num_ctx: int, seconds: float) -> tuple[Loaded, bool]:
        """The model in memory, and whether it had to be loaded for that; it stays `seconds` from now."""
        self._expire()
        settings = (num_ctx, *(chosen.get(name) for name in RUNNER[1:]))
        held = self._loaded.get(model.name)
        fresh = held is None or held.settings != settings
        if held is None or fresh:
            self.loads[model.name] += 1
            self.reloads[model.name] += held is not None
            held = self._loaded[model.name] = Loaded(model, settings, num_ctx, self._now(), [])
        held.expires = self._now() + (_CENTURIES if math.isinf(seconds) else timedelta(seconds=min(seconds, 1e9)))
        return held, fresh

    def unload(self, model: Model) -> None:
        """Forget the model."""
        self._loaded.pop(model.name, None)

    def read(self, held: Loaded, prompt: Tokens) -> int:
        """Evaluate a prompt; how many of its first tokens were there already."""
        common = shared(held.prompt, prompt)
        held.prompt = prompt
        return common

    def listed(self) -> Object:
        """`GET /api/ps`: what stays longest comes first."""
        self._expire()
        held = sorted(self._loaded.values(), key=lambda one: one.expires, reverse=True)
        return {
            "models": [
                {
                    "name": one.model.name,
                    "model": one.model.name,
                    "size": one.model.size,
                    "digest": one.model.digest,
                    "details": details(one.model),
                    "expires_at": one.expires.isoformat().replace("+00:00", "Z"),
                    "size_vram": one.model.size,
                    "context_length": one.num_ctx,
                }
                for one in held
            ]
        }

    def _expire(self) -> None:
        now = self._now()
        self._loaded = {name: one for name, one in self._loaded.items() if one.expires > now}
