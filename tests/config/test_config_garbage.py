"""Whatever stands in the file, the answer is settings or complaints, and every complaint names its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.config import ConfigError, Settings
from dragoman.config.table import OVERRIDES, ROWS, TARGET, UPSTREAM
from tests.config.loading import loaded

NAMES = st.sampled_from(["a", "b", "A", "a/b", "anthropic", "openai", "ollama", "http://h/v1", "1", ":1", "[", "", "é"])
VALUES = st.recursive(
    NAMES | st.integers(-2, 9) | st.booleans() | st.floats(0, 2),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["model", "weight", "x"]), inner, max_size=2)
    ),
    max_leaves=4,
)


def tables(*keys: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(keys), VALUES, max_size=4)


def mostly(good: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return good | good | good | VALUES


UPSTREAMS = tables("headers", "timeouts", *(key for key in UPSTREAM if "." not in key))
TARGETS = mostly(st.lists(NAMES | tables(*TARGET), max_size=3))
ROUTES = st.fixed_dictionaries(
    {}, optional={"name": NAMES, "targets": TARGETS, "on_context": VALUES, "on_refusal": NAMES}
)
FILES = st.fixed_dictionaries(
    {},
    optional={
        "upstream": mostly(st.lists(UPSTREAMS, max_size=3)),
        "route": mostly(st.lists(ROUTES, max_size=3)),
        "models": mostly(st.dictionaries(NAMES, tables(*OVERRIDES), max_size=2)),
        "aliases": mostly(st.dictionaries(NAMES, NAMES, max_size=2)),
        "ollama": tables("base_url", "api_key", "api_key_file"),
        "openai": tables("base_url", "api_key", "x"),
        **{row.key: VALUES for row in ROWS if row.key and "." not in row.key},
    },
)


def toml(value: Any) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(toml, value)) + "]"
        case _:
            return json.dumps(value)


@settings(max_examples=100, deadline=None)
@given(document=FILES)
def test_any_file(tmp_path_factory: Any, document: dict[str, Any]) -> None:
    file: Path = tmp_path_factory.getbasetemp() / "garbage.toml"
    file.write_text("".join(f"{key} = {toml(value)}\n" for key, value in document.items()), "utf-8")
    file.chmod(0o600)
    try:
        chosen = loaded({}, file, warn=lambda _: None)
    except ConfigError as error:
        general = ("the upstream ", "num_ctx is ", "workers is ")
        assert all(problem.startswith((f"{file}:", *general)) for problem in error.problems)
    else:
        assert isinstance(chosen, Settings)
