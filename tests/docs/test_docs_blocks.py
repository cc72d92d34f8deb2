"""Every command and snippet of the documentation runs, and answers as it is shown to."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from dragoman.cli.http import call
from dragoman.config import load
from dragoman.config.table import OVERRIDES, ROWS
from dragoman.models.servers import servers
from tests.docs.pages import ROOT, Block, blocks, pages
from tests.docs.world import DOCUMENTED, LOCAL, World

RUN = ("sh", "python", "toml", "json")
"""Languages of blocks that are run."""
SHOWN = ("text", "yaml", "mermaid")
"""Languages of blocks that are not: output (which is compared), settings of other programs, pictures."""

ALL = list(blocks())

_CURL_REFUSED = 22
"""How curl ends when the answer has an error status."""


def of(language: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("block", [b for b in ALL if b.language == language], ids=str)


def after(block: Block) -> Block | None:
    """The block that shows what this one says."""
    return next((b for b in ALL if b.before == block and b.language in ("json", "text")), None)


def test_every_block_has_a_language_that_says_what_becomes_of_it() -> None:
    assert {str(b): b.language for b in ALL if b.language not in RUN + SHOWN} == {}


def test_there_are_blocks_of_every_kind() -> None:
    assert {b.language for b in ALL} == {*RUN, *SHOWN}
    assert all(b.text.strip() for b in ALL)


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_no_fence_is_lost(page: Any) -> None:
    fences = re.findall(r"^\s*```", page.read_text("utf-8"), re.MULTILINE)
    assert len(fences) == 2 * sum(1 for b in ALL if b.page == str(page.relative_to(ROOT)))


# --- commands ------------------------------------------------------------------------------------


@of("sh")
def test_commands(block: Block, world: World) -> None:
    if "--config dragoman.toml" in block.text:
        whole = next(b for b in ALL if b.language == "toml" and b.page == block.page)
        (world.place / "dragoman.toml").write_text(world.here(whole.text))
    shown = after(block)
    if world.serves(block.text):
        url, output = world.serve(block.text)
        port = "8484" if "simulate" in block.text else "11434"
        output = output.replace(url.rpartition(":")[2], port)
        stdout = ""
    else:
        done = world.shell(block.text)
        refused = shown is not None and re.match(r"HTTP/1.1 [45]", shown.text) is not None
        assert done.status == (_CURL_REFUSED if refused else 0), done.output
        assert refused or '"error":' not in done.stdout
        stdout, output = done.stdout, done.output
    if shown is None:
        return
    if shown.language == "text":
        compare_lines(shown.text, output)
    else:
        answer, expected = json.loads(stdout), json.loads(shown.text)
        if "dragoman translate" in block.text:
            assert answer == expected
        else:
            assert shape(answer) == shape(expected)


@of("sh")
def test_gateways_that_are_started_do_not_call_themselves(block: Block) -> None:
    """As they are shown: a server at the gateway's own address is a mistake that the substituted addresses hide."""
    for line in re.findall(r"^.*\bdragoman serve\b.*$", block.text, re.MULTILINE):
        words = shlex.split(line)
        given = dict(word.split("=", 1) for word in words[: words.index("dragoman")])
        flags = {k: v for k, v in pairwise(words) if k in ("--port", "--host", "--preset")}
        environ = {name: re.sub(r"…", "x", value) for name, value in given.items()}
        load(environ, flags={k[2:]: int(v) if v.isdigit() else v for k, v in flags.items()})


def shape(value: Any) -> Any:
    """The members and their types, without the values."""
    match value:
        case dict():
            return {key: shape(item) for key, item in value.items()}
        case list():
            return [shape(item) for item in value[:1]]
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case _:
            return type(value).__name__


def compare_lines(shown: str, output: str) -> None:
    """Each line that is shown appears, in this order.  `…` stands for anything, numbers for any number."""
    left = iter(line.rstrip() for line in output.splitlines())
    for line in shown.splitlines():
        assert any(like(line, candidate) for candidate in left), f"{line!r} is not, or not there, in\n{output}"


def like(shown: str, line: str) -> bool:
    pattern = re.sub(r"\d+", "0", shown)
    pattern = ".*".join(re.escape(piece) for piece in pattern.split("…"))
    pattern = re.sub(r"(\\ )+", r"\\s+", pattern)
    return re.fullmatch(pattern, re.sub(r"\d+", "0", line)) is not None


@pytest.mark.parametrize(
    ("shown", "line", "same"),
    [
        ("took 1.5 s", "took 0.02 s", True),
        ("x-model: claude-…", "x-model: claude-haiku-4-5", True),
        ("dropped      seed: no", "dropped  seed: no", True),
        ("dropped: seed", "dropped: seed, logprobs", False),
        ("status 200", "status two", False),
    ],
)
def test_the_comparison_can_fail(shown: str, line: str, same: bool) -> None:
    assert like(shown, line) is same


# --- snippets ------------------------------------------------------------------------------------


@of("python")
def test_python(block: Block, world: World) -> None:
    script = world.place / "snippet.py"
    script.write_text(world.here(block.text))
    done = world.run("python", "-W", "error", str(script))
    assert done.status == 0, done.output
    assert done.stdout.strip()
    promised = re.findall(r"^print\(.*\)\s+# (.+)$", block.text, re.MULTILINE)
    assert set(promised) <= set(done.stdout.splitlines())


@of("toml")
def test_toml(block: Block, world: World) -> None:
    file = world.place / "dragoman.toml"
    file.write_text(block.text)
    file.chmod(0o600)
    load({"PROXY_KEY": "sk-test"}, file, flavors=servers())
    file.write_text(world.here(block.text))
    done = world.run("dragoman", "check", "--config", "dragoman.toml")
    assert done.status == 0, done.output
    assert "ok       every setting is allowed" in done.output
    assert "holds secrets" not in done.output


def test_the_whole_file_has_every_setting() -> None:
    whole = next(b for b in ALL if b.language == "toml" and b.page == "docs/configuration.md")
    document = tomllib.loads(whole.text)
    # A key itself does not belong into an example, nor an address with a password in it.
    wanted = {row.key for row in ROWS if row.key and not row.kind.secret}
    assert wanted - set(_paths(document)) == set()
    assert {member for override in document["models"].values() for member in override} == set(OVERRIDES)
    assert document.keys() >= {"aliases", "upstream", "route"}


def _paths(document: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in document.items():
        if isinstance(value, dict):
            yield from _paths(value, f"{prefix}{key}.")
        yield prefix + key


# --- settings of other programs ------------------------------------------------------------------


@of("json")
def test_json(block: Block, world: World) -> None:
    """A JSON block is the answer to the command before it (see `test_commands`), or a program's settings."""
    document = json.loads(block.text)
    if block.before is not None and block.before.language == "sh":
        return
    urls = [text for text in _texts(document) if text.startswith((DOCUMENTED, LOCAL))]
    assert urls, "neither an answer nor settings that lead to the gateway"
    for url in urls:
        assert _answers(world.here(url)), url


def _texts(value: Any) -> Iterable[str]:
    match value:
        case dict():
            for item in value.values():
                yield from _texts(item)
        case list():
            for item in value:
                yield from _texts(item)
        case str():
            yield value


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_addresses_lead_somewhere(page: Any, world: World) -> None:
    """Every address of a gateway, in prose and in settings: a base URL, or a path that is served."""
    found = re.findall(r"http://[\w.]+:(11434|8000)(/[\w/.]*)?", page.read_text("utf-8"))
    for port, path in set(found):
        base = world.gateway if port == "11434" else world.local
        assert path.rstrip("/") == "/v1" or _answers(base + path), path


def _answers(url: str) -> bool:
    """405: it is there, but not for GET."""
    return call(url, {}, patience=10).status in (200, 405)
