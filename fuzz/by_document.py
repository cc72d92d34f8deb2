"""Every path of our own `/openapi.json`, with bodies made from it and bodies that break it, against a running gateway.

What comes back must be what the document says: a status it names, in a type it names, of the shape it names.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation

from fuzz.house import MODELS, house

Operation = APIOperation[Any, Any, Any, Any]

_CHECKS = (
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
_PATIENCE = 20.0
# The same endpoints under another name: what is wrong with one is wrong with all.
_ALIASES = ("/v1/v1/", "/chat/", "/completions", "/embeddings", "/models", "/responses", "/conversations")
# Without some other members a body is one that somebody answers.
_NEEDED = ("messages", "prompt", "input", "max_tokens")
# What says that a fault is ours; other statuses from 500 on are what servers behind us did, or what nobody here does.
_OURS = "internal error"


def operations(url: str) -> Iterator[Operation]:
    """What the gateway at `url` says that it serves, each endpoint once."""
    document = requests.get(f"{url}/openapi.json", timeout=_PATIENCE).json()
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        if not isinstance(found, Ok):
            raise ValueError(found)
        operation = found.ok()
        if operation.method.upper() != "HEAD" and not operation.path.startswith(_ALIASES):
            yield operation


def hunt(url: str, operation: Operation, examples: int, start: int = 0) -> int:
    """So many requests of each kind; the number of those that were answered with 2xx.  Raises on the first answer
    that is not as the document says."""
    answered = 0
    session = requests.Session()
    checks: list[Any] = [CHECKS.get_one(name) for name in _CHECKS]

    def ask(case: Any, model: str | None, less: frozenset[int]) -> None:
        nonlocal answered
        if model is not None and isinstance(case.body, dict) and isinstance(case.body.get("model"), str):
            case.body = {
                name: value
                for number, (name, value) in enumerate(sorted(case.body.items()))
                if number not in less or name in _NEEDED
            } | {"model": model}
        response = case.call(base_url=url, session=session, timeout=_PATIENCE)
        answered += response.status_code < 300
        assert _OURS not in response.text, response.text
        case.validate_response(response, checks=checks)

    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        takes_json = any(body.media_type == "application/json" for body in operation.body)
        if mode is GenerationMode.NEGATIVE and not (takes_json or operation.query):
            continue
        cases = operation.as_strategy(generation_mode=mode)
        models = st.sampled_from((*MODELS, None)) if mode is GenerationMode.POSITIVE else st.sampled_from(MODELS[:2])
        _run(ask, cases, models, examples, start)
    return answered


def _run(ask: Any, cases: Any, models: Any, examples: int, start: int) -> None:
    bounded = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=not start,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    less = st.frozensets(st.integers(0, 30), max_size=30)
    test = given(case=cases, model=models, less=less)(ask)
    bounded(seed(start)(test) if start else test)()


def hunt_all(url: str, examples: int, start: int = 0) -> Sequence[str]:
    """Every operation; a line on each that went wrong."""
    wrong = []
    for operation in operations(url):
        try:
            hunt(url, operation, examples, start)
        except BaseExceptionGroup as error:
            wrong.append(f"{operation.label}: {error.exceptions}")
        except Exception as error:
            wrong.append(f"{operation.label}: {error}")
    return wrong


def main() -> int:
    """How many operations were not as the document says."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.by_document", description=__doc__)
    parser.add_argument("--examples", type=int, default=300, help="of each kind, for each operation (default: 300)")
    parser.add_argument("--start", type=int, default=1, help="where chance begins (default: 1)")
    given = parser.parse_args()
    with house() as gateway:
        wrong = hunt_all(gateway.url, given.examples, given.start)
    print("\n".join(wrong) or "all as the document says")
    return len(wrong)


if __name__ == "__main__":
    sys.exit(main())
