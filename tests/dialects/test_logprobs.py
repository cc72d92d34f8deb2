"""Log probabilities of tokens: their shapes, whose they are, and that streams keep them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.conversation import Object, Part, Refusal, Reply, Request, Start, Text, TextDelta, Thinking, ToolCall
from dragoman.dialects import ollama, openai_chat
from dragoman.dialects.contract import Stamp
from dragoman.dialects.logprobs import decode_logprobs, give_out, side_by_side, without_blanks
from dragoman.folding import Fold, unfold

STAMP = Stamp(id="c", model="m", created=0, started=0, clock=lambda: 1)


def token(text: str, *tops: str, score: float = -0.5) -> Object:
    body: Object = {"token": text, "logprob": score, "bytes": list(text.encode())}
    return body | {"top_logprobs": [{**body, "token": top} for top in tops]}


def told(*texts: str) -> list[Object]:
    return [token(text) for text in texts]


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (None, []),
        ({"token": "a"}, []),
        ([None, 1, {"logprob": -1}, {"token": 5}], []),
        ([token("a", "b")], [token("a", "b")]),
        (
            [{"token": "a", "logprob": -1}],
            [{"token": "a", "logprob": -1, "bytes": None, "top_logprobs": []}],
        ),
        (
            [{"token": "a", "logprob": None, "top_logprobs": [{"token": "b", "logprob": -2}, "c"], "id": 7}],
            [
                {
                    "token": "a",
                    "logprob": -9999.0,
                    "bytes": None,
                    "top_logprobs": [{"token": "b", "logprob": -2, "bytes": None}],
                    "id": 7,
                }
            ],
        ),
    ],
)
def test_what_servers_send(sent: Any, read: list[Object]) -> None:
    assert decode_logprobs(sent) == read


def test_ollama_leaves_out_what_says_nothing() -> None:
    assert without_blanks(decode_logprobs([{"token": "a", "logprob": -1}])) == [{"token": "a", "logprob": -1}]
    assert without_blanks([token("a", "b")]) == [token("a", "b")]


def test_lists_side_by_side() -> None:
    assert side_by_side([], 3, tops=True) is None
    assert side_by_side([token("ab", "x", "y"), token("c")], 3, tops=True) == {
        "text_offset": [3, 5],
        "token_logprobs": [-0.5, -0.5],
        "tokens": ["ab", "c"],
        "top_logprobs": [{"x": -0.5, "y": -0.5}, {}],
    }
    assert (side_by_side(told("a"), 0, tops=False) or {})["top_logprobs"] is None


@pytest.mark.parametrize(
    ("parts", "tokens", "thought", "text"),
    [
        ([Text(text="a b")], ["a", " b"], None, ["a", " b"]),
        ([Thinking(text="hm"), Text(text="a b")], ["h", "m", "a", " b"], ["h", "m"], ["a", " b"]),
        ([Thinking(text="hm"), Text(text="a")], ["<think>", "hm", "</think>", "\n", "a"], 4, ["a"]),
        ([Thinking(text="a"), Text(text="a")], ["a", "a"], ["a"], ["a"]),
        ([Thinking(text="hm"), Text(text="é")], ["hm", "�", "�"], [], ["hm", "�", "�"]),
        ([Thinking(text="hm")], ["hm"], ["hm"], None),
    ],
)
def test_whose_they_are(parts: list[Part], tokens: list[str], thought: Any, text: Any) -> None:
    assert give_out(parts, told(*tokens))
    for part in parts:
        wanted = thought if isinstance(part, Thinking) else text
        wanted = tokens[:wanted] if isinstance(wanted, int) else wanted
        assert [entry["token"] for entry in part.logprobs] == wanted  # type: ignore[union-attr]


def test_calls_have_none() -> None:
    assert not give_out([ToolCall(id="c", name="f", arguments="{}")], told("{}"))


parts_with = st.lists(
    st.one_of(
        st.builds(Text, text=st.just("ab"), logprobs=st.sampled_from([[], told("a", "b")])),
        st.builds(Refusal, text=st.just("no"), logprobs=st.sampled_from([[], told("no")])),
        st.builds(Thinking, text=st.just("hm"), logprobs=st.sampled_from([[], told("h", "m")])),
    ),
    max_size=4,
)


@settings(max_examples=50, deadline=None)
@given(parts_with)
def test_a_stream_keeps_them(parts: list[Part]) -> None:
    reply = Reply(origin="x", id="i", model="m", content=parts, tier="batch", skipped=["y"], extra={"z": 1})
    fold = Fold("x")
    fold.feed(unfold(reply))
    assert fold.reply == reply


CHUNK = b'data: {"id":"c","choices":[{"index":0,"delta":%b,"logprobs":%b,"finish_reason":%b}]}\n\n'
SCORED = b'{"content":[{"token":"%b","logprob":-1,"bytes":null,"top_logprobs":[]}],"refusal":null}'


def test_the_first_word_after_a_thought_keeps_its_own() -> None:
    decoder = openai_chat.Decoder()
    data = CHUNK % (b'{"reasoning_content":"hm"}', SCORED % b"hm", b"null")
    data += CHUNK % (b'{"content":"a"}', SCORED % b"a", b"null") + CHUNK % (b'{"content":" b"}', SCORED % b"b", b"null")
    data += CHUNK % (b'{"content":""}', SCORED % b"end", b"null")  # a token without text: half a character, or the end
    data += CHUNK % (b"{}", b"null", b'"stop"') + b"data: [DONE]\n\n"
    fold = Fold("openai_chat")
    fold.feed(decoder.feed(data))
    thought, text = fold.reply.content
    assert isinstance(thought, Thinking)
    assert isinstance(text, Text)
    assert [entry["token"] for entry in thought.logprobs] == ["hm"]
    assert [entry["token"] for entry in text.logprobs] == ["a", "b", "end"]
    assert decoder.skipped == []


def test_the_first_word_after_a_thought_keeps_its_own_in_ollama() -> None:
    decoder = ollama.Decoder()
    line = b'{"model":"m","message":{"role":"assistant",%b},"done":%b,"logprobs":[{"token":"%b","logprob":-1}]}\n'
    data = line % (b'"content":"","thinking":"hm"', b"false", b"hm") + line % (b'"content":"a"', b"false", b"a")
    data += line % (b'"content":"b"', b"false", b"b") + line % (b'"content":""', b"true", b"end")
    fold = Fold("ollama")
    fold.feed(decoder.feed(data))
    thought, text = fold.reply.content
    assert [entry["token"] for entry in thought.logprobs] == ["hm"]  # type: ignore[union-attr]
    assert [entry["token"] for entry in text.logprobs] == ["a", "b", "end"]  # type: ignore[union-attr]


def test_those_of_a_call_alone_are_named() -> None:
    decoder = ollama.Decoder()
    call = b'"content":"","tool_calls":[{"function":{"name":"f","arguments":{}}}]'
    line = b'{"model":"m","message":{"role":"assistant",%b},"done":true,"logprobs":[{"token":"x","logprob":-1}]}\n'
    decoder.feed(line % call)
    assert decoder.skipped == ["logprobs"]


def test_a_thoughts_own_are_named_where_only_words_have_them() -> None:
    request = Request(origin="openai_chat", model="m", messages=[])
    encoder = openai_chat.Encoder(request, STAMP)
    reply = Reply(origin="ollama", id="", model="m", content=[Thinking(text="hm", logprobs=told("hm"))])
    assert b'"logprobs":{' not in encoder.feed(unfold(reply))
    assert encoder.untold.names == ["content[0].logprobs"]
    assert encoder.feed([Start("again", "m"), TextDelta(0, "late")]) == b""


def test_a_spoken_answer_is_its_words_and_keeps_its_sound_at_home() -> None:
    audio = {"id": "audio_1", "data": "UklG", "expires_at": 1, "transcript": "Hello."}
    message = {"role": "assistant", "content": None, "audio": audio}
    body = {"id": "c", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    reply = openai_chat.decode_reply(body)
    assert isinstance(first := reply.content[0], Text)
    assert first.text == "Hello."
    home = openai_chat.encode_reply(reply, Request(origin="openai_chat", model="m", messages=[]), STAMP)
    assert home["choices"][0]["message"]["audio"] == audio
    assert home["choices"][0]["message"]["content"] is None
    away = ollama.encode_reply(reply, Request(origin="ollama", model="m", messages=[]), STAMP)
    assert away["message"]["content"] == "Hello."
