"""`/openapi.json`: every path, what it takes and what it gives, in the form of OpenAPI 3.1.

https://spec.openapis.org/oas/v3.1.1.  What is said of each path stands in a table beside its dialect (`api.toml`);
statuses and words of errors come from `errors.TABLE`.  The document is made when somebody asks for it, once.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import msgspec
from starlette.routing import BaseRoute, Route

from dragoman.conversation import Object
from dragoman.dialects import ollama
from dragoman.errors import TABLE, Kind
from dragoman.surfaces.exchange import JSON_TYPE, Endpoint, Exchange
from dragoman.surfaces.shapes import parsed, shape

PATH = "/openapi.json"

_TABLES = (
    ("dragoman.surfaces", "gateway.toml"),
    ("dragoman.dialects.ollama", "api.toml"),
    ("dragoman.dialects.openai_chat", "api.toml"),
    ("dragoman.dialects.openai_responses", "api.toml"),
    ("dragoman.dialects.anthropic", "api.toml"),
)
_ABOUT = (
    "One gateway for programs that speak the Ollama, OpenAI or Anthropic API, whatever serves the model. Members that "
    "are not described here are welcome: they are carried where the model's server knows them, and told in "
    "`x-dragoman-dropped` where it does not. `null` is the same as absent, and so is an empty list, text or object "
    "where a list is wanted. A doubled or a trailing slash in a path is overlooked. Any other method of a path is "
    "answered with 405 and `allow`, any other path with 404, both in the words of their dialect."
)
_STREAMS = {"ollama": "application/x-ndjson", "openai": "text/event-stream", "anthropic": "text/event-stream"}
# Kinds of paths whose answers come from a model.
_CALLS = ("call", "state")
_SCHEMES: Object = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A key of the gateway, where it wants one."},
    "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "basic": {"type": "http", "scheme": "basic", "description": "The key is either half."},
}

_encode = msgspec.json.Encoder().encode


class OpenAPISurface:
    """The document, once it was asked for."""

    def __init__(self) -> None:
        self._made = b""

    def routes(self) -> list[BaseRoute]:
        return [Route(PATH, Endpoint(ollama, self._tell), methods=["GET"])]

    async def _tell(self, exchange: Exchange) -> None:
        self._made = self._made or _encode(document())
        await exchange.reply_bytes(self._made, JSON_TYPE)


def document() -> Object:
    """The whole document, as plain JSON values."""
    tables = [tomllib.loads(files(package).joinpath(name).read_text("utf-8")) for package, name in _TABLES]
    own = tables[0]
    paths: Object = {}
    responses = _Shared()
    for table in tables:
        teller = _Teller(table, own, responses)
        for row in table["operation"]:
            for method, path, operation in teller.operations(row):
                paths.setdefault(path, {})[method] = operation
    schemas = {
        name: shape(members, asked=half == "asks")
        for table in tables
        for half in ("asks", "tells")
        for name, members in table.get(half, {}).items()
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "dragoman", "version": version("dragoman"), "description": _ABOUT},
        "servers": [{"url": "/"}],
        "tags": [{"name": table["tag"], "description": table["about"]} for table in tables],
        "security": [{name: []} for name in _SCHEMES] + [{}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": schemas,
            "headers": {
                name: {"schema": schema, "description": about}
                for half in ("told", "told_of_calls", "told_of_errors")
                for name, schema, about in _described(own[half])
            },
            "responses": responses.named,
            "securitySchemes": _SCHEMES,
        },
    }


class _Shared:
    """Responses that many operations have, each said once."""

    def __init__(self) -> None:
        self.named: Object = {}

    def refer(self, name: str, response: Object) -> Object:
        """A reference to a response, under this name or one like it."""
        free, count = name, 1
        while self.named.setdefault(free, response) != response:
            count += 1
            free = f"{name}.{count}"
        return {"$ref": f"#/components/responses/{free}"}


class _Teller:
    """What one surface's table says, as operations."""

    def __init__(self, table: Mapping[str, Any], own: Mapping[str, Any], shared: _Shared) -> None:
        self._table = table
        self._shared = shared
        self._dialect: str = table["errors"]
        self._own = own
        self._kinds: Mapping[str, list[Kind]] = own["kinds"]

    def operations(self, row: Mapping[str, Any]) -> Iterator[tuple[str, str, Object]]:
        """(method, path, operation) for each method and each path of a row, HEAD too where there is GET."""
        *methods, path = row["does"].split()
        for prefix in row.get("prefixes") or self._table.get("prefixes", [""]):
            for method in (*methods, *(["HEAD"] if "GET" in methods else [])):
                yield method.lower(), prefix + path, self._operation(row, method, prefix + path)

    def _operation(self, row: Mapping[str, Any], method: str, path: str) -> Object:
        operation: Object = {
            "operationId": re.sub(r"\W+", "_", f"{method.lower()}{path}").strip("_"),
            "tags": [self._table["tag"]],
            "summary": row["says"],
            "parameters": [*self._parameters(row, path)],
            "responses": self._responses(row, method),
        }
        if row["kind"] == "open":
            operation["security"] = []
        if row.get("body") and method != "HEAD":
            name = row["body"].removesuffix("?")
            content = {"application/json": {"schema": parsed(name)}}
            operation["requestBody"] = {"required": not row["body"].endswith("?"), "content": content}
        elif row.get("bytes") or (row["kind"] == "passed" and method == "POST"):
            operation["requestBody"] = {"content": {"application/octet-stream": {}}}
        return operation

    def _parameters(self, row: Mapping[str, Any], path: str) -> Iterator[Object]:
        for name in re.findall(r"{(\w+)}", path):
            yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        sent = row.get("headers", {}) | (self._own["asked"] if row["kind"] in _CALLS else {})
        for place, given in (("query", row.get("query", {})), ("header", sent)):
            for name, schema, about in _described(given):
                told = {"description": about} if about else {}
                yield {"name": name, "in": place, "schema": schema} | told

    # --- answers ---------------------------------------------------------------------------------

    def _responses(self, row: Mapping[str, Any], method: str) -> Object:
        responses: Object = {}
        ours = [*self._own["told"], *(self._own["told_of_calls"] if row["kind"] in _CALLS else ())]
        for status in () if row.get("never") else row.get("statuses", [200]):
            content = {} if method == "HEAD" else self._content(row)
            answer = {"description": "The answer.", "headers": _headers(ours)}
            answer |= {"content": content} if content else {}
            responses[str(status)] = self._shared.refer(row.get("gives", "Done").replace(" | ", "."), answer)
        for status, kinds in self._failures(row).items():
            words = ", ".join(kind.replace("_", " ") for kind in kinds)
            failed: Object = {"description": f"{words[0].upper()}{words[1:]}."}
            failed["headers"] = _headers([*self._own["told"], *self._own["told_of_errors"]])
            if method != "HEAD":
                names = [self._table["error"], *row.get("also_errors", ())]
                failed["content"] = {"application/json": {"schema": parsed(" | ".join(names))}}
            responses[str(status)] = self._shared.refer(f"{self._table['error']}.{status}", failed)
        for status, name in row.get("also", {}).items():
            content = {} if method == "HEAD" else {"content": {"application/json": {"schema": parsed(name)}}}
            responses[status] = self._shared.refer(name, {"description": "Not now.", **content})
        if row["kind"] == "passed":
            responses["default"] = {"description": "What Anthropic answers, as it is."}
        return responses

    def _content(self, row: Mapping[str, Any]) -> Object:
        content: Object = {name: {"schema": {"type": "string"}} for name in row.get("types", ())}
        if gives := row.get("gives"):
            content["application/json"] = {"schema": parsed(gives)}
        if streams := row.get("streams"):
            content[_STREAMS[self._dialect]] = {"schema": _streamed(streams, self._dialect)}
        return content

    def _failures(self, row: Mapping[str, Any]) -> dict[int, list[Kind]]:
        """The kinds of errors a path may end with, by their status in this dialect."""
        if row["kind"] == "open":
            return {}
        takes: Sequence[Kind] = self._kinds["body"] if row.get("body") else ()
        found: dict[int, list[Kind]] = {}
        for kind in (*self._kinds["all"], *takes, *self._kinds[row["kind"]], *row.get("more", ())):
            kinds = found.setdefault(getattr(TABLE[kind], self._dialect), [])
            if kind not in kinds:
                kinds.append(kind)
        if row.get("upgrade"):
            found[426] = ["invalid_request"]
        return dict(sorted(found.items()))


def _streamed(name: str, dialect: str) -> Object:
    """One after another, as they come.  This version of OpenAPI has no word for that; what reads it takes the schema of
    an event stream for that of each event."""
    if dialect == "ollama":
        return {"type": "string", "description": f"Lines, each one {name}."}
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": parsed(name)}
    if dialect == "openai":
        data["description"] = "The last one of chats and completions is [DONE]."
    return {
        "type": "object",
        "description": "Each event.",
        "properties": {"event": {"type": "string"}, "data": data},
        "required": ["data"],
    }


def _headers(names: Iterable[str]) -> Object:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _described(given: Mapping[str, str]) -> Iterator[tuple[str, Object, str]]:
    """(name, schema, description) of each."""
    for name, written in given.items():
        text, _, about = written.partition(" -- ")
        yield name, parsed(text), about
