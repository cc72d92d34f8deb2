"""What programs with the official OpenAI SDK share, whichever of its APIs they use."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import openai

from tests.matrix.neutral import Ask, Failure

_PATIENCE = 20.0

# `reasoning_effort` and `reasoning.effort` for a wish that names no level.
EFFORTS = {True: "medium", False: "none"}
CHOICES = {"any": "required", "auto": "auto", "none": "none"}


class OpenAISDK:
    """A client that notes the headers of the last answer.  Who inherits it says with `begun` how it asks."""

    errors: tuple[type[Exception], ...] = (openai.OpenAIError,)

    def __init__(self, url: str, key: str = "any") -> None:
        self.headers: Mapping[str, str] = {}
        http = openai.DefaultHttpxClient(verify=False, event_hooks={"response": [self._note]})
        options: Any = {"base_url": f"{url}/v1", "api_key": key, "max_retries": 0, "timeout": _PATIENCE}
        self.client: Any = openai.OpenAI(**options, http_client=http)

    def _note(self, response: Any) -> None:
        self.headers = response.headers

    def close(self) -> None:
        self.client.close()

    def begun(self, client: Any, model: str, ask: Ask, *, streamed: bool) -> Any:
        """The answer of the SDK, or its stream."""
        raise NotImplementedError

    def leave(self, model: str, ask: Ask, *, streamed: bool, seconds: float) -> None:
        client = self.client.with_options(timeout=_PATIENCE if streamed else seconds)
        with contextlib.suppress(openai.APITimeoutError):
            answer = self.begun(client, model, ask, streamed=streamed)
            next(iter(answer))
            answer.close()

    def knows(self, name: str) -> bool:
        return hasattr(openai, name)

    def failure(self, error: Exception) -> Failure:
        status = error.status_code if isinstance(error, openai.APIStatusError) else None
        wait = self.headers.get("retry-after")
        return Failure(type(error).__name__, status, getattr(error, "message", str(error)), wait, self.headers)
