"""Deletes calls in the source itself, one at a time, and runs tests without each: what the tables do in memory, proved.

    python -m tests.mutation.by_source                          every call, by the rows of the tables
    python -m tests.mutation.by_source --sample 10              ten of them
    python -m tests.mutation.by_source --only dress tests/models    those whose name says "dress", by other tests

The source is copied to a temporary folder; nothing here is changed.  It ends with a failure when a call could be
deleted and the tests did not mind.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.mutation.sites import SOURCE, Site, find_sites

_ROWS = ["tests/mutation/test_mutation.py", "-k", "tells_just"]


def without(site: Site) -> bytes:
    """The file of `site` with `None` in the place of the call."""
    data = site.file.read_bytes()
    return data[: site.span[0]] + b"None" + data[site.span[1] :]


def outcome(tests: list[str], root: Path) -> int:
    """What pytest ends with, on the source below `root`: 0 when all is well, 1 when a test failed."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode


def notices(site: Site, tests: list[str], root: Path) -> bool:
    """Whether any of `tests` fails without the call; `root` holds a copy of the source."""
    copy = root / SOURCE.name / site.file.relative_to(SOURCE)
    whole = copy.read_bytes()
    copy.write_bytes(without(site))
    try:
        return outcome(tests, root) == 1
    finally:
        copy.write_bytes(whole)


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Delete calls that tell a loss, one at a time, and run tests without each."
    )
    parser.add_argument("tests", nargs="*", default=_ROWS, help="what pytest is given (the rows of the tables)")
    parser.add_argument("--sample", type=int, default=0, help="so many calls, drawn at random (all)")
    parser.add_argument("--only", default="", help="only calls with this in their name")
    asked = parser.parse_args()
    sites = [site for site in find_sites() if asked.only in site.name]
    if asked.sample:
        sites = random.sample(sites, min(asked.sample, len(sites)))
    silent = []
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(SOURCE, Path(folder) / SOURCE.name, ignore=shutil.ignore_patterns("__pycache__"))
        if (before := outcome(asked.tests, Path(folder))) != 0:
            print(f"these tests do not pass as it is (pytest ended with {before})")
            return 1
        for site in sites:
            noticed = notices(site, asked.tests, Path(folder))
            print("noticed" if noticed else "SILENT ", site, flush=True)
            silent += [] if noticed else [site]
    print(f"{len(sites) - len(silent)} of {len(sites)} deletions were noticed")
    return 1 if silent or not sites else 0


if __name__ == "__main__":
    raise SystemExit(main())
