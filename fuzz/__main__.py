"""`python -m fuzz`: search for input that breaks something, led by what code it reaches.

Each target runs in a process of its own for a while.  What was found stays in `fuzz/corpus/<target>/`, as little of it
as reaches the same code; what broke it as `fuzz/corpus/<target>/crash-*`, which the test suite runs from then on.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
_LONGEST = 6000
# Of each target: enough to show the way, few enough to keep.
_KEPT, _KEPT_BYTES = 40, 30_000


def main() -> int:
    """The number of targets that broke; 0, with a word, where the fuzzer is not installed."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=120, help="for each target (default: 120)")
    parser.add_argument("targets", nargs="*", help="their names; all of them without any")
    given = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print("SKIPPED: atheris is not installed for this Python; there is nothing that leads the search")
        return 0
    from fuzz.targets import TARGETS  # noqa: PLC0415

    broken = [name for name in given.targets or TARGETS if not _search(name, given.seconds)]
    print(f"{len(broken)} broke: {', '.join(broken)}" if broken else "nothing broke")
    return len(broken)


def _search(name: str, seconds: int) -> bool:
    """Search with one target; whether it held."""
    from fuzz.targets import TARGETS  # noqa: PLC0415

    kept = CORPUS / name
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        found, seeds, least = (Path(scratch) / each for each in ("found", "seeds", "least"))
        for folder in (found, seeds, least):
            folder.mkdir()
        valid = TARGETS[name].valid()
        for number, data in enumerate(valid):
            (seeds / f"{number}").write_bytes(data)
        words = Path(scratch) / "words"
        words.write_text(_dictionary(valid))
        started = time.monotonic()
        limits = [f"-max_total_time={seconds}", f"-max_len={_LONGEST}", "-timeout=10", "-rss_limit_mb=1024"]
        done = _one(name, [str(found), str(kept), str(seeds), f"-dict={words}", f"-artifact_prefix={kept}/", *limits])
        runs = re.findall(r"#(\d+)\s", done.stderr)
        print(f"{name}: {runs[-1] if runs else 0} runs in {time.monotonic() - started:.0f} s", flush=True)
        if done.returncode:
            print(done.stdout[-3000:] + done.stderr[-3000:])
        small = Path(scratch) / "small"
        small.mkdir()
        for file in (
            file for folder in (kept, found) for file in folder.iterdir() if not file.name.startswith("crash")
        ):
            shutil.copy(file, small)
        again = Path(scratch) / "again"  # the fuzzer starts itself for each file, by its own name
        again.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m fuzz.one {name} "$@"\n')
        again.chmod(0o700)
        _one(name, ["-merge=1", str(least), str(small), f"-max_len={_LONGEST}"], again)
        _keep(least, kept)
    return done.returncode == 0


def _one(name: str, arguments: list[str], again: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fuzz.one", name, *arguments]
    named = {**os.environ, "FUZZ_AGAIN": str(again)} if again else None
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env=named)


def _keep(least: Path, kept: Path) -> None:
    """The smallest of the files that reach everything, as far as there is room; and what broke something."""
    for file in kept.iterdir():
        if not file.name.startswith(("crash-", "timeout-", "oom-")):
            file.unlink()
    room = _KEPT_BYTES
    for file in sorted(least.iterdir(), key=lambda file: (file.stat().st_size, file.name))[:_KEPT]:
        room -= file.stat().st_size
        if room < 0:
            break
        shutil.copy(file, kept)


def _dictionary(valid: list[bytes]) -> str:
    """The words of the seeds, in the form of the fuzzer's dictionaries."""
    words = {word for data in valid for word in re.findall(rb'"([A-Za-z_.\-]{2,40})"', data)}
    return "".join(f'"\\"{word.decode()}\\""\n' for word in sorted(words)) + '"{}"\n"[]"\n"null"\n"data: "\n'


if __name__ == "__main__":
    sys.exit(main())
