"""References into a JSON document.  https://www.rfc-editor.org/rfc/rfc6901"""

from __future__ import annotations

from dragoman.conversation import JSON


def pointed(root: JSON, ref: str) -> JSON:
    """What `ref` (`#/$defs/name`) means in `root`; None when it leads nowhere, or out of the document."""
    if not ref.startswith("#"):
        return None
    node = root
    for step in ref[1:].split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(node, dict) or name not in node:
            return None
        node = node[name]
    return node
