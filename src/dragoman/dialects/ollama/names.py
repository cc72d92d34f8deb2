"""Names of models as Ollama writes them: `[host/][namespace/]model[:tag]`.

https://github.com/ollama/ollama/blob/main/types/model/name.go
"""

from __future__ import annotations

import re
from typing import NamedTuple

_HOST, _NAMESPACE, _TAG = "registry.ollama.ai", "library", "latest"

_WORD = "[A-Za-z0-9_]"
_PARTS = (
    re.compile(_WORD + r"[\w.:-]{0,349}", re.ASCII),
    re.compile(_WORD + r"[\w-]{0,79}", re.ASCII),
    re.compile(_WORD + r"[\w.-]{0,79}", re.ASCII),
    re.compile(_WORD + r"[\w.-]{0,79}", re.ASCII),
)
"""What a host, a namespace, a model and a tag may be."""


class Name(NamedTuple):
    """A name in full: what was left out is filled in."""

    host: str
    namespace: str
    model: str
    tag: str

    @property
    def shortest(self) -> str:
        """As lists show it: without the host and namespace that go without saying, always with the tag."""
        if self.host.lower() != _HOST:
            return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"
        namespace = "" if self.namespace.lower() == _NAMESPACE else f"{self.namespace}/"
        return f"{namespace}{self.model}:{self.tag}"


def parse_name(text: str) -> Name | None:
    """The name that `text` spells; None when it can be none."""
    rest, tag = text, _TAG
    if text.rfind(":") > text.rfind("/"):
        rest, _, tag = text.rpartition(":")
    rest, slash, model = rest.rpartition("/")
    host, namespace = _HOST, _NAMESPACE
    if slash:
        rest, slash, namespace = rest.rpartition("/")
        if slash:
            host = rest.partition("://")[2] or rest
    name = Name(host, namespace, model, tag)
    return name if all(part.fullmatch(each) for part, each in zip(_PARTS, name, strict=True)) else None
