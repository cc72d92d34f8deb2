"""`dragoman smoke`: a running gateway called as programs call it, over each surface, with a verdict a check."""

from __future__ import annotations

import http.client
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.error import URLError

from dragoman.cli.output import Look, complain, paint, redactor, say, watched
from dragoman.cli.smoke_checks import CHECKS, NEEDS, PATIENCE, FailedError, Visit, choose
from dragoman.cli.smoke_wires import AnthropicMessages, wires
from dragoman.config.kinds import SECRET, read_text
from dragoman.config.secret_files import SecretFiles


class Verdict(NamedTuple):
    """What came of one check.  `seconds` is the time of the whole check."""

    surface: str
    check: str
    outcome: Literal["pass", "FAIL", "skip"]
    seconds: float
    excerpt: str


def _judge(surface: str, check: str, work: Callable[[], str], patience: float) -> Verdict:
    begun = time.perf_counter()
    outcome: Literal["pass", "FAIL"] = "FAIL"
    try:
        excerpt = work()
        outcome = "pass"
    except FailedError as error:
        excerpt = str(error)
    except TimeoutError:
        excerpt = f"no answer within {patience:g} s"
    except (http.client.HTTPException, OSError) as error:
        excerpt = f"the connection fails: {_why(error)}"
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        excerpt = f"the answer is not as it should be: {type(error).__name__} {error}"
    return Verdict(surface, check, outcome, time.perf_counter() - begun, excerpt)


def visit_all(visit: Visit, model: str | None, tell: Callable[[str], None]) -> list[Verdict]:
    """Every check of every surface, one after the other; `tell` hears what comes next."""
    verdicts: list[Verdict] = []
    chosen = choose(visit, model)
    for wire in wires():
        if isinstance(wire, AnthropicMessages) and not visit.serves(wire.path):
            verdicts.append(Verdict(wire.name, "all", "skip", 0, "this gateway does not serve it"))
            continue
        for name, check in CHECKS.items():
            if name == "tool" and not wire.tools:
                continue
            if (need := NEEDS.get(name)) and not chosen.can(need):
                verdicts.append(Verdict(wire.name, name, "skip", 0, f"{chosen.name} is not capable of {need}"))
                continue
            tell(f"{wire.name}: {name}")
            verdicts.append(_judge(wire.name, name, partial(check, visit, wire, chosen.name), visit.patience))
    return verdicts


def run(
    url: str, *, key: str | None, model: str | None, key_file: Path | None = None, patience: float = PATIENCE
) -> int:
    """0 when every check passes, else 1; 2 for a key that is none."""
    url = url if "://" in url else f"http://{url}"
    problems: list[str] = []
    if key is not None:
        problems += filter(None, [read_text(SECRET, key, "--key")[1]])
    elif key_file is not None:
        secret = SecretFiles(problems, lambda text: complain(f"warning: {text}", "warn")).key(key_file, "--key-file")
        key = secret.reveal() if secret else None
    if problems:
        complain("\n".join(problems))
        return 2
    redactor().learn([key] if key else [])
    begun = time.perf_counter()
    try:
        verdicts = _visit_watched(Visit(url, key, patience), url, model)
    except FailedError as error:
        complain(f"{url}: {error}")
        return 1
    except TimeoutError:
        complain(f"{url} does not answer within {patience:g} s")
        return 1
    except (http.client.HTTPException, OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        complain(f"{url} is no gateway that answers: {_why(error)}")
        return 1
    for line in report(verdicts):
        say(line)
    failed = sum(verdict.outcome == "FAIL" for verdict in verdicts)
    passed = sum(verdict.outcome == "pass" for verdict in verdicts)
    end = f"{passed} passed, {failed} failed, {time.perf_counter() - begun:.1f} s"
    say(paint(end, "bad" if failed else "good"))
    return int(failed > 0)


def _visit_watched(visit: Visit, url: str, model: str | None) -> list[Verdict]:
    if not watched(sys.stderr):
        return visit_all(visit, model, lambda _: None)
    from rich.console import Console  # noqa: PLC0415  only where somebody looks

    with Console(stderr=True).status(url) as status:
        return visit_all(visit, model, status.update)


_LOOKS: dict[str, Look] = {"pass": "good", "FAIL": "bad", "skip": "faint"}


def report(verdicts: Iterable[Verdict]) -> list[str]:
    """The verdicts as lines of a table."""
    return [
        f"{paint(v.outcome, _LOOKS[v.outcome])}  {v.surface:<16}{v.check:<12}{v.seconds:6.2f} s  {v.excerpt}"
        for v in verdicts
    ]


def _why(error: Exception) -> str:
    cause = error.reason if isinstance(error, URLError) else error
    return str(getattr(cause, "strerror", None) or cause or type(cause).__name__)
