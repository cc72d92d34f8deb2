"""`/metrics` as a test reads it, and the call that most of them make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from dragoman.conversation import Object
from tests.waiting import until

CLAUDE = "claude-haiku-4-5-20251001"


def chat(text: str = "Hello", *, stream: bool = False, model: str = CLAUDE, **more: Any) -> Object:
    return {"model": model, "stream": stream, "messages": [{"role": "user", "content": text}], **more}


class Scrape:
    """One answer of `/metrics`."""

    def __init__(self, url: str, **headers: str) -> None:
        answer = httpx.get(f"{url}/metrics", headers=headers)
        assert answer.status_code == 200, answer.text
        self.text = answer.text
        self.type = answer.headers["content-type"]
        parse = openmetrics if "openmetrics" in self.type else plain
        self.families = {family.name: family for family in parse(answer.text)}

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels among theirs."""
        return sum(
            sample.value
            for family in self.families.values()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def labels(self, label: str) -> set[str]:
        """Every value that a label has anywhere."""
        samples = (sample for family in self.families.values() for sample in family.samples)
        return {sample.labels[label] for sample in samples if label in sample.labels}


def scraped(url: str, good: Callable[[Scrape], bool]) -> Scrape:
    """A scrape that is `good`: a client has its answer before the call is over."""
    found = Scrape(url)

    def again() -> bool:
        nonlocal found
        found = Scrape(url)
        return good(found)

    until(again, lambda: found.text)
    return found
