"""`dragoman translate`: the request on stdout, what it lost on stderr."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from dragoman.cli.output import complain, say
from dragoman.errors import GatewayError
from dragoman.translation import Translation, translate


def run(file: Path, *, source: str, target: str, model: str | None, as_json: bool) -> int:
    """0, or 1 for a request that the target would never see, or 2 for one that cannot be read."""
    try:
        body = _read(file)
        translation = translate(body, source=source, target=target, model=model)
    except GatewayError as error:
        complain(error.message)
        return 1
    except OSError as error:
        complain(f"{file} cannot be read: {error.strerror or error}")
        return 2
    except ValueError as error:
        complain(str(error))
        return 2
    if as_json:
        say(_pretty(msgspec.to_builtins(translation)), given=True)
        return 0
    say(_pretty(translation.body), given=True)
    for line in report(translation):
        complain(line, "warn")
    return 0


def report(translation: Translation) -> list[str]:
    """The losses, one a line."""
    lines = [f"substituted  {translation.model}: {translation.substituted}"] if translation.substituted else []
    lines += [f"emulated     {name}: {how}" for name, how in translation.emulated.items()]
    lines += [f"dropped      {name}: {why}" for name, why in translation.dropped.items()]
    return lines or ["nothing lost"]


def _read(file: Path) -> dict[str, object]:
    text = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    try:
        body = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise ValueError(f"{'standard input' if str(file) == '-' else file} is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise ValueError("a request is a JSON object")
    return body


def _pretty(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
