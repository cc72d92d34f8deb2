"""More from a server than was asked for: the answer is whole, and what is behind it belongs to nobody."""

from __future__ import annotations

import httpx
import pytest

from tests.relay.scripted import gateway_before, response, scripted

CALL = {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
ANSWER = b'{"id":"msg_1","type":"message","role":"assistant","content":[],"usage":{}}'


@pytest.mark.parametrize("behind", [response(b'{"stolen":1}'), b"garbage", b"\r\n\r\n\x00\xff", b"HTTP/1.1 200 OK\r\n"])
def test_an_answer_ends_where_it_ends(behind: bytes) -> None:
    with scripted() as upstream:
        upstream.play([response(ANSWER) + behind], [response(ANSWER)])
        with gateway_before(upstream) as gateway:
            for _ in range(2):
                answer = httpx.post(f"{gateway.url}/v1/messages", json=CALL, trust_env=False)
                assert answer.status_code == 200 and answer.content == ANSWER
