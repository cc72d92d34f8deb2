"""What is in the lock files: whether we may ship it, whether it is known to be broken, and its bill of materials.

    python -m deploy.packages           judge every lock; ends with 1 when one is not well
    python -m deploy.packages --sbom    write requirements/sbom.cdx.json anew

Nothing is asked of the network: licences are those the installed packages name, weaknesses those of
requirements/advisories.toml.  The bill is CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/).
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "requirements"
# All that the image has: what is always needed, and every extra.
IMAGE = REQUIREMENTS / "image.lock"
SBOM = REQUIREMENTS / "sbom.cdx.json"

# Licences under which a package may be shipped with ours, by SPDX.
ALLOWED = frozenset(
    {"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "HPND", "ISC", "LGPL-3.0-only", "MIT", "MIT-CMU", "MPL-2.0"}
    | {"PSF-2.0", "Unlicense", "Zlib"}
)
# What packages without a licence expression call theirs.
_SPELLED = {
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: ISC License (ISCL)": "ISC",
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "License :: OSI Approved :: Python Software Foundation License": "PSF-2.0",
}
# Packages whose metadata says it in words only, or that are not installed where this is checked, and what their
# licence files say.
_READ = {
    "async-timeout": "Apache-2.0",
    "charset-normalizer": "MIT",
    "protobuf": "BSD-3-Clause",
    "psycopg": "LGPL-3.0-only",
    "psycopg-binary": "LGPL-3.0-only",
    "pypdfium2": "BSD-3-Clause AND Apache-2.0",
    "tzdata": "Apache-2.0",
}

_PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==([^ ;\\]+)(?: *; *([^\\]+?))? *\\?$")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


class Pin(NamedTuple):
    """One package of a lock file.  `marker` says where it is wanted ("": everywhere)."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]


def pins(text: str) -> list[Pin]:
    """The packages of a lock file's text, in its order."""
    found: list[Pin] = []
    for line in text.splitlines():
        if (pin := _PIN.match(line)) is not None:
            found.append(Pin(pin[1], pin[2], (pin[3] or "").strip(), ()))
        elif found:
            found[-1] = found[-1]._replace(hashes=(*found[-1].hashes, *_HASH.findall(line)))
    return found


def licence(name: str) -> str:
    """The SPDX expression of a package's licence; "" when it is not installed, or nobody can tell."""
    if name in _READ:
        return _READ[name]
    try:
        about = metadata.distribution(name).metadata.json
    except metadata.PackageNotFoundError:
        return ""
    if expression := about.get("license_expression"):
        return str(expression)
    spelled = [_SPELLED.get(line, "") for line in about.get("classifier", ()) if line.startswith("License")]
    return " OR ".join(filter(None, spelled))


def may_ship(expression: str) -> bool:
    """Whether one of the ways in which a package may be used is among ours."""
    ways = expression.replace("(", " ").replace(")", " ").split(" OR ")
    return any(all(term.strip() in ALLOWED for term in way.split(" AND ")) for way in ways)


def weaknesses(pin: Pin, advisories: list[dict[str, Any]]) -> Iterator[str]:
    """What is known against this version of a package."""
    for advisory in advisories:
        if advisory["package"] != pin.name:
            continue
        old = "below" in advisory and Version(pin.version) < Version(advisory["below"])
        if old or pin.version in advisory.get("only", ()):
            well = f"; {advisory['below']} is well" if old else ""
            yield f"{pin.name} {pin.version}: {advisory['id']}, {advisory['why']}{well}"


def problems(name: str, text: str, advisories: list[dict[str, Any]], *, shipped: bool) -> Iterator[str]:
    """All that is wrong with one lock file.  Of what is `shipped` the licence counts too."""
    for pin in pins(text):
        if not pin.hashes:
            yield f"{name}: {pin.name} has no hash"
        for weakness in weaknesses(pin, advisories):
            yield f"{name}: {weakness}"
        if shipped and not may_ship(expression := licence(pin.name)):
            yield f"{name}: {pin.name} is under {expression or 'no licence that it names'}: not one that may be shipped"


def bill(text: str) -> dict[str, Any]:
    """The bill of materials of a lock file: the same for the same text and the same installed packages."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "dragoman", "bom-ref": "dragoman"}},
        "components": [_component(pin) for pin in pins(text)],
        "dependencies": [{"ref": "dragoman", "dependsOn": [_ref(pin) for pin in pins(text)]}],
    }


def _component(pin: Pin) -> dict[str, Any]:
    expression = licence(pin.name)
    return {
        "type": "library",
        "bom-ref": _ref(pin),
        "name": pin.name,
        "version": pin.version,
        "purl": _ref(pin),
        "licenses": [{"expression": expression}] if expression else [],
        "properties": [{"name": "dragoman:distribution:sha256", "value": digest} for digest in pin.hashes],
    }


def _ref(pin: Pin) -> str:
    return f"pkg:pypi/{pin.name}@{pin.version}"


def write(found: dict[str, Any]) -> str:
    """The bill as it stands in its file."""
    return json.dumps(found, indent=1) + "\n"


def judged() -> list[str]:
    """All that is wrong with the locks of this checkout."""
    advisories = tomllib.loads((REQUIREMENTS / "advisories.toml").read_text("utf-8"))["advisory"]
    found: list[str] = []
    for path in sorted(REQUIREMENTS.glob("*.lock")):
        found += problems(
            path.name, path.read_text("utf-8"), advisories, shipped=path.name in ("run.lock", "image.lock")
        )
    if not SBOM.exists() or SBOM.read_text("utf-8") != write(bill(IMAGE.read_text("utf-8"))):
        found.append(f"{SBOM.name} is not what {IMAGE.name} says; run `make sbom`")
    return found


def main(arguments: list[str]) -> int:
    """The command.  0: all is well; 1: it is not, and each problem is a line on stderr."""
    if arguments == ["--sbom"]:
        SBOM.write_text(write(bill(IMAGE.read_text("utf-8"))), "utf-8")
        return 0
    found = judged()
    for problem in found:
        print(problem, file=sys.stderr)
    count = sum(len(pins(path.read_text("utf-8"))) for path in REQUIREMENTS.glob("*.lock"))
    print(f"{count} locked packages: {len(found) or 'no'} problem{'' if len(found) == 1 else 's'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
