"""What the image, the stack and the unit are made of: settings that exist, files that are there, bounds that fit."""

from __future__ import annotations

import re
import shutil
import subprocess
from fnmatch import fnmatch
from typing import Any

import pytest
import yaml

from dragoman.config import Settings
from dragoman.config.table import ROWS
from tests.docs.pages import ROOT

VARIABLES = {name for row in ROWS for name in row.variables}
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
STACK = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICE: Any = STACK["services"]["dragoman"]
UNIT = (ROOT / "deploy" / "dragoman.service").read_text("utf-8")
# Variables that are Python's, the shell's or systemd's.
FOREIGN = {"PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PIP_DISABLE_PIP_VERSION_CHECK", "PIP_NO_CACHE_DIR"}
FOREIGN |= {"PIP_NO_COMPILE"}


def test_every_variable_is_one_of_ours() -> None:
    image = {name for line in re.findall(r"^ENV ((?:.*\\\n)*.*)", DOCKERFILE, re.MULTILINE) for name in names(line)}
    unit = {name for line in re.findall(r"^Environment=(.*)$", UNIT, re.MULTILINE) for name in names(line)}
    stack = set(SERVICE["environment"])
    assert "DRAGOMAN_DATA" in image
    assert "DRAGOMAN_CONFIG" in unit
    assert (image | unit | stack) - FOREIGN - VARIABLES == set()


def names(line: str) -> list[str]:
    return re.findall(r"(?:^|\s)([A-Z_]+)=", line)


def test_every_copied_file_is_there_and_is_sent_to_the_builder() -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [
        name for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE) for name in line.split()[:-1]
    ]
    assert len(copied) > 4
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert [name for name in copied if not any(fnmatch(name, pattern) for pattern in allowed)] == []


def test_the_image_runs_as_nobody_special_and_says_how_it_is() -> None:
    last = DOCKERFILE.rsplit("\nFROM ", 1)[1]
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert re.search(r'^HEALTHCHECK .*CMD \["dragoman", "health"\]$', last, re.MULTILINE)
    assert re.search(r"^VOLUME /data$", last, re.MULTILINE)
    assert "DRAGOMAN_DATA=/data" in last
    assert f"EXPOSE {Settings().port}" in last


def test_what_is_not_needed_to_run_is_taken_out_of_the_image() -> None:
    """Whatever is in build.in, and what only it needs, is named where it is taken out."""
    gone = re.search(r"pip uninstall .*? (hatchling .*)$", DOCKERFILE, re.MULTILINE)
    assert gone is not None
    assert set((ROOT / "requirements" / "build.in").read_text().split()) <= set(gone[1].split())


def test_the_stack_is_small_and_read_only() -> None:
    assert SERVICE["read_only"] is True
    assert SERVICE["cap_drop"] == ["ALL"]
    assert SERVICE["deploy"]["resources"]["limits"]["memory"] == "128M"
    assert set(SERVICE["deploy"]) >= {"replicas", "update_config", "restart_policy"}
    assert SERVICE["deploy"]["update_config"]["order"] == "start-first"


def test_the_stacks_secrets_are_found() -> None:
    assert set(SERVICE["secrets"]) == set(STACK["secrets"]) == {"anthropic_api_key", "dragoman_api_keys"}
    # This one is named by its variable, the other is looked for under its name.
    assert SERVICE["environment"]["DRAGOMAN_API_KEYS_FILE"] == "/run/secrets/dragoman_api_keys"
    assert re.search(r"ANTHROPIC_API_KEY|anthropic_api_key", str(SERVICE["environment"])) is None


def test_who_stops_it_waits_longer_than_its_streams_may_take() -> None:
    drain = Settings().timeouts.drain
    assert SERVICE["environment"]["DRAGOMAN_TIMEOUT_DRAIN"] == f"{drain:g}s"
    assert int(SERVICE["stop_grace_period"].removesuffix("s")) > drain
    stop = re.search(r"^TimeoutStopSec=(\d+)$", UNIT, re.MULTILINE)
    assert stop is not None
    assert int(stop[1]) > drain


def test_the_unit_gives_the_key_as_a_credential() -> None:
    assert "LoadCredential=anthropic_api_key:" in UNIT
    assert "DynamicUser=yes" in UNIT


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine")
def test_the_unit_is_locked_down() -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=15"]
    done = subprocess.run([*command, ROOT / "deploy" / "dragoman.service"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
