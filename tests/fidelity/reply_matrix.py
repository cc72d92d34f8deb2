"""What becomes of every member of an answer, as tables: server, member, client."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tests.fidelity.reply_declared import declared
from tests.fidelity.reply_probing import CLIENTS, verdicts

_COLUMNS = ("anthropic", "openai_chat", "openai_completions", "openai_responses", "ollama", "ollama_generate")
_HEADINGS = ("in", "members", "Anthropic", "OpenAI chat", "completions", "Responses", "Ollama chat", "generate", "why")
_GROUP = re.compile(
    r"((?:content|output)\[\w*\]|choices\[\]\.(?:message\[assistant\]|logprobs)|[a-z_]+(?=[.\[]))\.?(.*)"
)

Fates = tuple[str, ...]


def answers_table(upstream: str) -> str:
    """The table of the answers of `upstream` in Markdown.  Words that fare as their member does are left out."""
    assert set(_COLUMNS) == set(CLIENTS)
    groups: dict[str, dict[Fates, tuple[list[str], dict[str, None]]]] = {}
    for path, fates in _plain(_fates(upstream)).items():
        found = _GROUP.fullmatch(path)
        group, name = (found[1], found[2] or "itself") if found else ("", path)
        names, whys = groups.setdefault(group, {}).setdefault(fates, ([], {}))
        names.append(name)
        for entry in (declared(upstream, path, client) for client in _COLUMNS):
            if entry is not None and "–" in fates:
                whys[entry.why] = None
    lines: list[Sequence[str]] = [_HEADINGS, ["---"] * len(_HEADINGS)]
    for group, kinds in groups.items():
        for fates, (names, whys) in kinds.items():
            lines.append((f"`{group}`" if group else "", _named(names, alone=len(kinds) == 1), *fates, "; ".join(whys)))
    return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |").replace("| --- ", "|---") for line in lines)


def _fates(upstream: str) -> dict[str, Fates]:
    """Path to what becomes of it in each column."""
    columns = [dict(_worst(upstream, client)) for client in _COLUMNS]
    return {path: tuple(column[path] for column in columns) for path in columns[0]}


def _worst(upstream: str, client: str) -> list[tuple[str, str]]:
    shown = {"silent": "–"}
    return [(path, shown.get(verdict, verdict)) for path, verdict in verdicts(upstream, client, streamed=False)]


def _plain(fates: dict[str, Fates]) -> dict[str, Fates]:
    """Members whose every word fares alike, once; where they do not, each word."""
    words: dict[str, set[Fates]] = {}
    for path, each in fates.items():
        words.setdefault(path.partition("=")[0], set()).add(each)
    return {
        path if len(words[bare]) > 1 else bare: each
        for path, each in fates.items()
        for bare in [path.partition("=")[0]]
    }


def _named(names: Sequence[str], *, alone: bool) -> str:
    """The names; variants of one member together, and a place whose members all fare alike as one."""
    if alone and len(names) > 3:
        return "all"
    shown = dict.fromkeys(re.sub(r"\[\w+\]", "[…]", name) if len(names) > 4 else name for name in names)
    return ", ".join(f"`{name}`" for name in shown)
