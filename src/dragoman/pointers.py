"""References into a JSON document.  https://www.rfc-editor.org/rfc/rfc6901"""

from __future__ import annotations

from urllib.parse import unquote

from dragoman.conversation import JSON

_LONGEST = 16_384
"""Characters of a reference.  JSON that is read here nests 256 levels; one that is longer is taken to lead nowhere."""


def pointed(root: JSON, ref: str) -> JSON:
    """What `ref` (`#/$defs/name`) means in `root`; None when it leads nowhere, or out of the document."""
    if not ref.startswith("#") or len(ref) > _LONGEST:
        return None
    head, *steps = unquote(ref[1:]).split("/")
    node = None if head else root
    for step in steps:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(node, list):
            node = node[int(name)] if name.isdecimal() and len(name) < 9 and int(name) < len(node) else None
        else:
            node = node.get(name) if isinstance(node, dict) else None
    return node
