"""Models of the Ollama simulator fetched, made, copied and removed; blobs, by their digests alone.

https://docs.ollama.com/api/create, https://docs.ollama.com/api/push-model
"""

from __future__ import annotations

import hashlib
import re

from msgspec.structs import replace

from dragoman.conversation import Object
from dragoman.simulator.ollama_models import Model, Name, Shelf
from dragoman.simulator.refused import Refused, bad

Lines = list[Object]

_DIGEST = re.compile(r"sha256[:-][0-9a-f]{64}")
_PARTS = 4
_LAST = ("verifying sha256 digest", "writing manifest", "success")
_NO_MANIFEST = "pull model manifest: file does not exist"


class Library:
    """What happens to the models on `shelf`.  `remote` can be pulled; `pushed` are the names that were pushed."""

    def __init__(self, shelf: Shelf, remote: dict[str, Model]) -> None:
        self._shelf = shelf
        self._remote = remote
        self.blobs: dict[str, int] = {}
        """Digest → size in bytes."""
        self.pushed: list[str] = []

    def pull(self, body: Object) -> Lines:
        """Progress that ends in success; for what nobody has it fails after the first line."""
        name = body.get("model") or body.get("name") or ""
        if (spelled := Name.parse(name)) is None:
            raise bad("invalid model name")
        lines: Lines = [{"status": "pulling manifest"}]
        try:
            model = self._remote.get(spelled.shortest) or self._shelf.find(name)
        except Refused:
            return [*lines, {"error": _NO_MANIFEST}]
        self._shelf.put(model)
        return [*lines, *_moved("pulling", model), *({"status": words} for words in _LAST)]

    def push(self, body: Object) -> Lines:
        """Progress; a model that is not here cannot be pushed."""
        name = body.get("model") or body.get("name")
        if not name:
            raise bad("model is required")
        lines: Lines = [{"status": "retrieving manifest"}]
        try:
            model = self._shelf.find(name)
        except Refused:
            return [*lines, {"error": "couldn't retrieve manifest"}]
        self.pushed.append(model.name)
        return [*lines, *_moved("pushing", model), {"status": "pushing manifest"}, {"status": "success"}]

    def create(self, body: Object) -> Lines:
        """A model of files that were uploaded, or of another one."""
        name = Name.parse(body.get("model") or body.get("name") or "")
        if name is None:
            raise bad("invalid model name")
        files = {**(body.get("files") or {}), **(body.get("adapters") or {})}
        for digest in files.values():
            if not digest:
                raise bad("invalid digest format")
        base = body.get("from")
        if not base and not files:
            raise bad("neither 'from' or 'files' was specified")
        missing = next((digest for digest in files.values() if digest not in self.blobs), None)
        if missing:
            return [{"status": "parsing GGUF"}, {"error": f'blob "{missing}" not found'}]
        if base and (lines := self.pull({"model": base}))[-1].get("error"):
            return lines
        model = self._shelf.find(base) if base else self._shelf.models[-1]
        size = sum(self.blobs[digest] for digest in files.values()) or model.size
        self._shelf.put(replace(model, name=name.shortest, size=size, system=body.get("system") or model.system))
        kept = [f"using existing layer {digest}" for digest in files.values()]
        return [{"status": words} for words in ("parsing GGUF", *kept, "writing manifest", "success")]

    def copy(self, body: Object) -> None:
        """Another name for a model."""
        source, destination = body.get("source") or "", Name.parse(body.get("destination") or "")
        if Name.parse(source) is None:
            raise bad(f'source "{source}" is invalid')
        if destination is None:
            raise bad(f'destination "{body.get("destination") or ""}" is invalid')
        self._shelf.put(replace(self._shelf.find(source, 'model "{asked}" not found'), name=destination.shortest))

    def delete(self, body: Object) -> None:
        """A model, gone."""
        name = body.get("model") or body.get("name") or ""
        if Name.parse(name) is None:
            raise bad(f'name "{name}" is invalid')
        self._shelf.remove(self._shelf.find(name))

    def blob(self, method: str, digest: str, data: bytes) -> int:
        """The status of a question for a blob, or of its upload."""
        if not _DIGEST.fullmatch(digest):
            raise bad("invalid digest format")
        if digest in self.blobs:
            return 200
        if method == "HEAD":
            raise Refused(404, "", f'blob "{digest}" not found')
        got = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if got != digest:
            raise bad(f'digest mismatch, expected "{digest}", got "{got}"')
        self.blobs[digest] = len(data)
        return 201


def _moved(verb: str, model: Model) -> Lines:
    """The layer of a model, under way."""
    layer = {"status": f"{verb} {model.digest[:12]}", "digest": f"sha256:{model.digest}", "total": model.size}
    done = [model.size * part // _PARTS for part in range(1, _PARTS + 1)]
    return [layer, *(layer | {"completed": completed} for completed in done)]
