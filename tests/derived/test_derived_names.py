"""Names are those that Ollama takes, and no others."""

from __future__ import annotations

import pytest

from dragoman.dialects.ollama.names import parse_name


@pytest.mark.parametrize(
    ("text", "shortest"),
    [
        ("mario", "mario:latest"),
        ("Mario", "Mario:latest"),
        ("mario:7b", "mario:7b"),
        ("mario:latest", "mario:latest"),
        ("user/mario", "user/mario:latest"),
        ("library/mario", "mario:latest"),
        ("LIBRARY/mario", "mario:latest"),
        ("registry.ollama.ai/library/mario:x", "mario:x"),
        ("Registry.Ollama.AI/user/mario", "user/mario:latest"),
        ("hf.co/org/repo:Q4_K_M", "hf.co/org/repo:Q4_K_M"),
        ("hf.co/library/repo", "hf.co/library/repo:latest"),
        ("localhost:5000/a/b:c", "localhost:5000/a/b:c"),
        ("https://example.org/a/b", "example.org/a/b:latest"),
        ("_x", "_x:latest"),
        ("a.b-c_d:e.f-g_h", "a.b-c_d:e.f-g_h"),
        ("m" * 80, "m" * 80 + ":latest"),
        ("m:" + "t" * 80, "m:" + "t" * 80),
        ("h" * 350 + "/n/m", "h" * 350 + "/n/m:latest"),
    ],
)
def test_a_name(text: str, shortest: str) -> None:
    name = parse_name(text)
    assert name is not None
    assert name.shortest == shortest
    again = parse_name(name.shortest)
    assert again is not None
    assert again.shortest == shortest


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "a b",
        "mario ",
        "mario:",
        ":latest",
        "/mario",
        "user/",
        "user//mario",
        "-mario",
        ".mario",
        "mario:-x",
        "us.er/mario",
        "ma:rio:x/y",
        "mario:a:b",
        "mario@sha256:00",
        "märio",
        "mario\n",
        "mario٣",
        "..",
        "a/../b",
        "a/b/c/d",
        "m" * 81,
        "m:" + "t" * 81,
        "n" * 81 + "/m",
        "h" * 351 + "/n/m",
    ],
)
def test_no_name(text: str) -> None:
    assert parse_name(text) is None
