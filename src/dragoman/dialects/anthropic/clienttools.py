"""The tools whose schema Claude knows by heart, and the client runs: for other models their schema is written out.

https://platform.claude.com/docs/en/agents-and-tools/tool-use/bash-tool, .../text-editor-tool, .../memory-tool
"""

from __future__ import annotations

from dragoman.conversation import Object, Tool

_TEXT: Object = {"type": "string"}
_LINES: Object = {
    "type": "array",
    "items": {"type": "integer"},
    "description": "First and last line, from 1; -1: the end",
}


def written_out(tool: Tool) -> Tool | None:
    """`tool` as a function any model can call, or None when the client does not run it or its schema is not settled."""
    kind = str(tool.extra.get("type") or "")
    for prefix, description, schema in _TOOLS:
        if kind.startswith(prefix):
            rest = {k: v for k, v in tool.extra.items() if k not in ("type", "name", "strict")}
            strict = tool.extra.get("strict")
            return Tool(
                name=tool.name,
                description=description,
                schema=_editor(schema, kind) if prefix == _EDITOR else schema,
                strict=strict if isinstance(strict, bool) else None,
                extra=rest,
            )
    return None


def _schema(required: list[str], **properties: Object) -> Object:
    return {"type": "object", "properties": properties, "required": required}


def _choice(*words: str) -> Object:
    return {"type": "string", "enum": list(words)}


def _editor(schema: Object, kind: str) -> Object:
    """The first of the text editors could take an edit back, and had another name for the text it inserts."""
    if kind != "text_editor_20250124":
        return schema
    members = {k: v for k, v in schema["properties"].items() if k != "insert_text"}
    members["command"] = _choice(*members["command"]["enum"], "undo_edit")
    return schema | {"properties": members}


_EDITOR = "text_editor_"
_FILE_MEMBERS: Object = {
    "path": {"type": "string", "description": "Path of a file or directory"},
    "file_text": {"type": "string", "description": "create: the whole text of the file"},
    "old_str": {"type": "string", "description": "str_replace: the text to replace; it must stand in the file once"},
    "new_str": {"type": "string", "description": "str_replace: the text to put in its place"},
    "insert_line": {"type": "integer", "description": "insert: the line after which to insert; 0: at the beginning"},
    "insert_text": {"type": "string", "description": "insert: the text to insert"},
    "view_range": _LINES,
}
_TOOLS: tuple[tuple[str, str, Object], ...] = (
    (
        "bash_",
        "Run a command in a bash session that stays open between calls; `restart` starts the session anew.",
        _schema([], command=_TEXT, restart={"type": "boolean"}),
    ),
    (
        _EDITOR,
        "View, create and edit text files.",
        _schema(
            ["command", "path"],
            command=_choice("view", "create", "str_replace", "insert"),
            **_FILE_MEMBERS,
        ),
    ),
    (
        "memory_",
        "Keep notes for later conversations in files below /memories.  Look there before you begin a task.",
        _schema(
            ["command"],
            command=_choice("view", "create", "str_replace", "insert", "delete", "rename"),
            **_FILE_MEMBERS,
            old_path={"type": "string", "description": "rename: the path as it is"},
            new_path={"type": "string", "description": "rename: the path as it shall be"},
        ),
    ),
)
