"""One gateway that lets any Ollama, OpenAI or Anthropic program use any model, with nothing lost.

The library face is `translate`; the gateway itself is the command `dragoman serve`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dragoman.errors import GatewayError
    from dragoman.translation import Translation, translate

__all__ = ["GatewayError", "Translation", "translate"]


def __getattr__(name: str) -> object:
    """The names above, imported when they are first used: the command line starts without them."""
    if name not in __all__:  # also how Python asks before it imports a submodule
        raise AttributeError(f"module 'dragoman' has no attribute {name!r}")
    from dragoman import errors, translation  # noqa: PLC0415

    return getattr(errors if name == "GatewayError" else translation, name)
