"""Log probabilities of an answer's tokens, which OpenAI's wire and Ollama's write alike.

A token is `{"token", "logprob", "bytes": [...] or null, "top_logprobs": [the same without "top_logprobs"]}`, as in
https://platform.openai.com/docs/api-reference/chat/object; Ollama leaves out the last two where there is nothing in
them.  What else stands in a token stays.  The legacy completions have lists side by side instead.
"""

from __future__ import annotations

from collections.abc import Sequence

from dragoman.conversation import JSON, Object, Part, Text, Thinking

_NO_NUMBER = -9999.0
"""OpenAI's own word for "very unlikely", where a server says `null`."""


def decode_logprobs(value: JSON) -> list[Object]:
    """The tokens in a list, which an upstream sent; what is no token is left out."""
    return [_whole(entry) for entry in value if _is_token(entry)] if isinstance(value, list) else []


def _is_token(entry: JSON) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("token"), str)


def _whole(entry: Object) -> Object:
    tops = entry.get("top_logprobs")
    others = [_scored(top) for top in tops if _is_token(top)] if isinstance(tops, list) else []
    return _scored(entry) | {"top_logprobs": others}


def _scored(entry: Object) -> Object:
    score = entry.get("logprob")
    known = {"token": "", "logprob": score if isinstance(score, int | float) else _NO_NUMBER, "bytes": None}
    return known | {name: value for name, value in entry.items() if name not in _SCORED}


_SCORED = ("logprob", "top_logprobs")


def without_blanks(tokens: Sequence[Object]) -> list[Object]:
    """The tokens as Ollama writes them."""
    out = []
    for token in tokens:
        said = {name: value for name, value in token.items() if value not in (None, [])}
        if tops := said.get("top_logprobs"):
            said["top_logprobs"] = without_blanks(tops)
        out.append(said)
    return out


def side_by_side(tokens: Sequence[Object], offset: int, *, tops: bool) -> Object | None:
    """The `logprobs` of a legacy completion for text that begins at `offset`; None without tokens.

    https://platform.openai.com/docs/api-reference/completions/object
    """
    if not tokens:
        return None
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token["token"])
    return {
        "text_offset": offsets,
        "token_logprobs": [token["logprob"] for token in tokens],
        "tokens": [token["token"] for token in tokens],
        "top_logprobs": list(map(_tops, tokens)) if tops else None,
    }


def _tops(token: Object) -> Object:
    return {top["token"]: top["logprob"] for top in token["top_logprobs"]}


def give_out(content: Sequence[Part], tokens: list[Object]) -> bool:
    """Give the tokens of a whole answer to the thought and the text they are of; False when there is neither.

    They come in one list, and with them those of tags around a thought: the text gets as many of the last ones as it
    takes to write it, the thought the rest.
    """
    text = next((part for part in reversed(content) if isinstance(part, Text)), None)
    thought = next((part for part in content if isinstance(part, Thinking)), None)
    if text is None:
        if thought is not None:
            thought.logprobs = tokens
        return thought is not None
    cut = 0 if thought is None else _beginning(tokens, text.text)
    text.logprobs = tokens[cut:]
    if thought is not None:
        thought.logprobs = tokens[:cut]
    return True


def _beginning(tokens: Sequence[Object], text: str) -> int:
    """Which token the end of an answer begins with that is `text`; 0 when that cannot be told."""
    wanted, said = text.strip(), ""
    for index in range(len(tokens) - 1, -1, -1):
        said = tokens[index]["token"] + said
        if wanted and wanted in said:
            return index
        if len(said) > 2 * len(wanted) + 100:
            break
    return 0
