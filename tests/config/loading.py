"""Loading settings where nothing else is configured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import asdict

from dragoman.config import ConfigError, Settings, load

NOWHERE = Path("/nowhere")


def loaded(environ: Mapping[str, str], file: Path | None = None, **more: Any) -> Settings:
    return load(environ, file, **({"run_secrets": NOWHERE} | more))


def complaints(environ: Mapping[str, str], file: Path | None = None, **more: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(environ, file, **more)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return list(caught.value.problems)


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "dragoman.toml"
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)
    return file


def changed(chosen: Settings) -> dict[str, Any]:
    """The members that are not at their default."""
    default = asdict(Settings())
    return {name: value for name, value in asdict(chosen).items() if value != default[name]}
