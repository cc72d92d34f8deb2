"""Keys out of files: which one wins, what is wrong with them, and who else can read them."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import pytest

from dragoman.config import ClientKey, ConfigError, Secret, Settings, load


def key_of(chosen: Settings) -> str | None:
    [upstream] = chosen.upstreams or [None]
    return upstream.key.reveal() if upstream and upstream.key else None


def of(key: str | bytes, name: str = "") -> ClientKey:
    """What is kept of a key, or of its digest."""
    return ClientKey(digest=key if isinstance(key, bytes) else hashlib.sha256(key.encode()).digest(), name=name)


def a_file(path: Path, text: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_the_order_of_the_places(tmp_path: Path) -> None:
    environ = {
        "ANTHROPIC_API_KEY": "variable",
        "ANTHROPIC_API_KEY_FILE": str(a_file(tmp_path / "file", "file\n")),
        "CREDENTIALS_DIRECTORY": str(tmp_path / "credentials"),
    }
    mounted = a_file(tmp_path / "secrets/anthropic_api_key", "mounted\n")
    credential = a_file(tmp_path / "credentials/anthropic_api_key", "credential")
    toml = a_file(tmp_path / "dragoman.toml", '[anthropic]\napi_key = "written"\napi_key_file = "beside"\n')
    a_file(tmp_path / "beside", "beside")

    def key() -> str | None:
        return key_of(load(environ, toml, run_secrets=mounted.parent))

    assert key() == "variable"
    environ["ANTHROPIC_API_KEY"] = ""
    assert key() == "file"
    del environ["ANTHROPIC_API_KEY_FILE"]
    assert key() == "mounted"
    mounted.unlink()
    assert key() == "credential"
    credential.unlink()
    assert key() == "written"
    a_file(toml, '[anthropic]\napi_key_file = "beside"\n')
    assert key() == "beside"
    a_file(toml, "")
    assert key() is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "ANTHROPIC_API_KEY_FILE is {path}, but the file cannot be read: No such file or directory"),
        ("", "ANTHROPIC_API_KEY_FILE is {path}, whose text must be a key of visible ASCII characters, without spaces"),
        (
            "hush hush",
            "ANTHROPIC_API_KEY_FILE is {path}, whose text must be a key of visible ASCII characters, without spaces",
        ),
    ],
)
def test_bad_key_files(tmp_path: Path, text: str | None, expected: str) -> None:
    path = tmp_path / "key"
    if text is not None:
        a_file(path, text)
    with pytest.raises(ConfigError) as caught:
        load({"ANTHROPIC_API_KEY_FILE": str(path)}, run_secrets=tmp_path)
    assert str(caught.value) == expected.format(path=path)


def test_client_keys_of_a_file(tmp_path: Path) -> None:
    path = a_file(tmp_path / "keys", "# ours\n\n  one  \n#two\nthree\n")
    chosen = load({"DRAGOMAN_API_KEYS": "zero,one", "DRAGOMAN_API_KEYS_FILE": str(path)}, run_secrets=tmp_path)
    assert chosen.api_keys == (Secret("zero"), Secret("one"), of("three"))
    toml = a_file(tmp_path / "dragoman.toml", 'api_keys_file = "keys"\n')
    assert load({}, toml, run_secrets=tmp_path).api_keys == (of("one"), of("three"))


DIGEST = "ab" * 32


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("plain-key", ("plain-key", "")),
        ("with:colon=and==", ("with:colon=and==", "")),
        ("alice: her-key", ("her-key", "alice")),
        ("alice = her-key", ("her-key", "alice")),
        ("alice :her-key  # a comment", ("her-key", "alice")),
        ('alice = "her#key"', ("her#key", "alice")),
        ("alice.laptop-2: 'her:key'", ("her:key", "alice.laptop-2")),
        (f"sha256:{DIGEST}", (bytes.fromhex(DIGEST), "")),
        (f"alice: sha256:{DIGEST.upper()}", (bytes.fromhex(DIGEST), "alice")),
        (f"alice=sha256:{DIGEST}", (bytes.fromhex(DIGEST), "alice")),
        (f'alice = "sha256:{DIGEST}"', (bytes.fromhex(DIGEST), "alice")),
        ("[keys]", None),
        ("  # nothing", None),
    ],
)
def test_a_line_of_a_file_of_keys(tmp_path: Path, line: str, expected: tuple[str | bytes, str] | None) -> None:
    path = a_file(tmp_path / "keys", f"{line}\nlast\n")
    chosen = load({"DRAGOMAN_API_KEYS_FILE": str(path)}, run_secrets=tmp_path)
    assert chosen.api_keys == ((of(*expected),) if expected else ()) + (of("last"),)


@pytest.mark.parametrize(
    "line", ["two words", "alice: two words", "alice: sha256:abc", "sha256:xyz", 'alice = ""', "ключ"]
)
def test_what_is_no_key_is_not_taken_for_one(tmp_path: Path, line: str) -> None:
    path = a_file(tmp_path / "keys", f"{line}\n")
    with pytest.raises(ConfigError) as caught:
        load({"DRAGOMAN_API_KEYS_FILE": str(path)}, run_secrets=tmp_path)
    assert str(caught.value).startswith(f"{path}:1: the text must be a key of visible ASCII characters")
    assert "words" not in str(caught.value)


def test_a_key_is_not_kept_but_its_digest() -> None:
    key = of("quite-secret-9", "alice")
    assert "quite-secret-9" not in f"{key!r}{key}{key.digest!r}"
    assert Settings(api_keys=(key,)) == Settings(api_keys=(of("quite-secret-9", "alice"),))
    with pytest.raises(ConfigError):
        load({"DRAGOMAN_API_KEYS": "sha256:short"})


def test_a_file_without_keys_does_not_open_the_door(tmp_path: Path) -> None:
    path = a_file(tmp_path / "keys", "# none yet\n")
    with pytest.raises(ConfigError) as caught:
        load({"DRAGOMAN_API_KEYS_FILE": str(path)}, run_secrets=tmp_path)
    assert str(caught.value) == f"DRAGOMAN_API_KEYS_FILE is {path}, but the file holds no keys"


def test_a_bad_key_is_named_by_its_line(tmp_path: Path) -> None:
    path = a_file(tmp_path / "keys", "good\nhush hush\n")
    with pytest.raises(ConfigError) as caught:
        load({"DRAGOMAN_API_KEYS_FILE": str(path)}, run_secrets=tmp_path)
    assert str(caught.value) == (
        f"{path}:2: the text must be a key of visible ASCII characters, without spaces,"
        " or sha256: and 64 hexadecimal figures"
    )


def test_files_that_everybody_may_read(tmp_path: Path) -> None:
    key = a_file(tmp_path / "key", "k", 0o644)
    toml = a_file(tmp_path / "dragoman.toml", 'api_keys = ["a"]\n', 0o604)
    plain = a_file(tmp_path / "plain.toml", "port = 1\n", 0o644)
    heard: list[str] = []
    load({"ANTHROPIC_API_KEY_FILE": str(key)}, toml, run_secrets=tmp_path, warn=heard.append)
    assert heard == [
        f"{path} holds secrets and everybody on this machine may read it; chmod 600 {path}" for path in (key, toml)
    ]
    heard.clear()
    key.chmod(0o640)
    load({"ANTHROPIC_API_KEY_FILE": str(key)}, plain, run_secrets=tmp_path, warn=heard.append)
    assert heard == []


def test_without_a_listener_they_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = a_file(tmp_path / "key", "k", 0o644)
    with caplog.at_level(logging.WARNING):
        load({"ANTHROPIC_API_KEY_FILE": str(key)}, run_secrets=tmp_path)
    assert "everybody on this machine may read it" in caplog.text
