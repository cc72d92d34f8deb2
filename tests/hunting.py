"""What a hunt for secrets needs: planted values, every form in which one may come out, and a search."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote

# Each is unlike all others, and like nothing that has another meaning.
PLANTED: dict[str, str] = {
    "client key in the environment": "Kq7wPzM2vRt9XbLd4NsHg6Yc",
    "client key in a file": "Jf3nTy8QeWs5ZaUv1MkRx7Bo",
    "anthropic key": "sk-ant-api03-Vb6mDh2CpLr8SgEw4TzQ-aa",
    "ollama key": "Gx9kNf5YtBq3WjHs7PdZm2Lv",
    "openai key": "sk-proj-Rz4cXe8HuVn6KyTa1QoJ",
    "header of an upstream": "Tm5dLw1BgQx8CrFp3ZvKy6Ne",
    "password of the store": "Hs2vJb7PkXd9GmRw4YtLc8Zf",
    "password of the database": "Wd8qFn3MzCk6TvHx1RbPg5Sj",
    "password of the TLS key": "Bn4xSk9VjLf2QwDt7HcMz6Ry",
    "password of a proxy": "Yp6zRc1KhTm8XgNb3VsFw5Qd",
    "somebody else's key": "sk-ant-api03-Zx3cVb9nMq5wErTy7UoP-bb",
    "somebody else's token": "Lk8jHg5fDs2aPo9iUy6tRe3w",
    "somebody else's password": "Qw3eRt6yUi9oPa2sDf5gHj8k",
}
# Shape alone tells what they are: nobody told the gateway of them.
UNKNOWN = tuple(name for name in PLANTED if name.startswith("somebody"))

_SHORTEST_HALF = 12


def told(who: str, names: Iterable[str]) -> str:
    """A careless server's words: the secrets of these names, and some that nobody told the gateway of, each as servers
    and libraries have been seen to write them."""
    plain = ". ".join(f"{name} is {PLANTED[name]}" for name in names)
    odd = [PLANTED[name] for name in names][-1:]
    packed = [quote(each) + base64.b64encode(f"me:{each}".encode()).decode() for each in odd]
    key, token, password = (PLANTED[name] for name in UNKNOWN)
    shaped = f"{key} authorization: Bearer {token} http://me:{password}@host/ and {packed}"
    return f"{who} says: {plain}. Refused: {shaped}; cut: {PLANTED['anthropic key'][:20]}"


def forms(value: str) -> Iterator[str]:
    """Every form in which a value, or one half of it, may be found."""
    half = len(value) // 2
    for piece in (value, value[:half], value[half:]):
        if len(piece) < _SHORTEST_HALF:
            continue
        yield piece
        if not piece.isalnum():
            yield quote(piece, safe="")
    for before in range(3):
        text = base64.b64encode(b"\0" * before + value.encode()).decode()
        yield text[-(-before * 8 // 6) : (before + len(value)) * 8 // 6]


def found(outputs: Mapping[str, str], planted: Iterable[str] = PLANTED) -> dict[str, list[str]]:
    """Which of the planted secrets are where: name of the output → names of the secrets."""
    leaks = {
        where: [name for name in planted if any(form in text for form in forms(PLANTED[name]))]
        for where, text in outputs.items()
    }
    return {where: names for where, names in leaks.items() if names}
