"""Rules about tools, the choice among them, and the schemas whose output is guaranteed."""

from __future__ import annotations

from dragoman.conversation import Object
from dragoman.models.cards import Card
from dragoman.simulator import wire
from dragoman.simulator.refused import bad
from dragoman.simulator.rules_messages import blocks
from dragoman.simulator.schemas import Tally, check_input_schema, check_strict, fits

_MOST_STRICT_TOOLS = 20


def tool_name(tool: Object) -> str:
    """The name calls will carry; a toolset goes by its type."""
    name: str = tool.get("name") or tool["type"]
    return name


def client_tools(body: Object) -> list[Object]:
    """The tools the client runs itself and that can be called now."""
    return [
        tool
        for tool in body.get("tools") or []
        if not (tool.get("type") or "custom").startswith((*wire.HOSTED_PREFIXES, "computer_", "browser_"))
    ]


def check_tools(body: Object) -> None:
    """Names, schemas, deferral, and a `tool_choice` that can be followed."""
    tools: list[Object] = body.get("tools") or []
    for index, tool in enumerate(tools):
        if (tool.get("type") or "custom") == "custom":
            check_input_schema(tool["input_schema"], f"tools.{index}.custom.input_schema")
        for number, sample in enumerate(tool.get("input_examples") or []):
            if not fits(sample, tool.get("input_schema", True)):
                raise bad(f"tools.{index}.custom.input_examples.{number}: does not match the tool's input_schema")
        if tool.get("allowed_domains") and tool.get("blocked_domains"):
            raise bad(f"tools.{index}: only one of `allowed_domains` and `blocked_domains` can be specified")
    names = [tool_name(tool) for tool in tools]
    if len(set(names)) < len(names):
        raise bad("tools: Tool names must be unique.")
    if tools and all(tool.get("defer_loading") for tool in tools):
        raise bad("At least one tool must have defer_loading=false. All tools cannot be deferred.")
    _choice(body.get("tool_choice"), names)
    _references(body["messages"], names)


def _choice(choice: Object | None, names: list[str]) -> None:
    if choice is None:
        return
    if not names:
        raise bad("tool_choice: Tool choice may only be specified while providing tools.")
    if choice["type"] == "tool" and choice["name"] not in names:
        raise bad(f"Tool '{choice['name']}' not found in provided tools")


def _references(messages: list[Object], names: list[str]) -> None:
    for message in messages:
        for block in blocks(message):
            content = block.get("content") if block["type"] == "tool_result" else None
            for part in content if isinstance(content, list) else []:
                if part["type"] == "tool_reference" and part["tool_name"] not in names:
                    raise bad(f"Tool reference '{part['tool_name']}' not found in available tools")


def check_strict_schemas(body: Object, card: Card) -> None:
    """`output_config.format` and `strict` tools: the model must offer them and the schemas must compile."""
    wanted = (body.get("output_config") or {}).get("format") or body.get("output_format")
    strict = [(index, tool) for index, tool in enumerate(body.get("tools") or []) if tool.get("strict")]
    if not wanted and not strict:
        return
    if not card.structured_outputs:
        raise bad(f"'{card.id}' does not support structured outputs: `output_config.format` and `strict` tools.")
    if len(strict) > _MOST_STRICT_TOOLS:
        raise bad(f"Too many strict tools ({len(strict)}). The limit is {_MOST_STRICT_TOOLS}.")
    tally = Tally()
    for index, tool in strict:
        if "input_schema" in tool:
            check_strict(tool["input_schema"], f"tools.{index}.custom.input_schema", tally)
    if not wanted:
        return
    schema = wanted.get("schema")
    if wanted.get("type") != "json_schema" or not isinstance(schema, dict):
        raise bad("output_format.type: Input should be 'json_schema'")
    check_strict(schema, "output_config.format.schema", tally)
    if any(_cites(block) for message in body["messages"] for block in blocks(message)):
        raise bad("output_config.format is not supported when citations are enabled")


def _cites(block: Object) -> bool:
    citations = block.get("citations")
    return isinstance(citations, dict) and bool(citations.get("enabled"))
