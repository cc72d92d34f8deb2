"""What a gateway keeps of responses: for whom, for how long, and what becomes of it when the process dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import openai
import pytest

from dragoman.config import Secret
from dragoman.simulator.server import run_in_thread
from tests.conftest import GatewayMaker
from tests.running import simulate
from tests.surfaces.responding import HAIKU, Object, asked, before_all, code, create, events, get, named, post

# --- chains ----------------------------------------------------------------------------------------------


def test_a_chain_is_read_whole_and_its_instructions_are_not(make_gateway: GatewayMaker) -> None:
    gateway = make_gateway()
    first = create(gateway.url, input="one", instructions="Be brief.")
    assert gateway.simulator.requests[-1].body["system"]
    second = create(gateway.url, input="two", previous_response_id=first["id"])
    third = create(gateway.url, input="three", previous_response_id=second["id"], stream=False)
    assert third["previous_response_id"] == second["id"]
    assert "system" not in gateway.simulator.requests[-1].body
    turns = asked(gateway)
    assert [role for role, _ in turns] == ["user", "assistant"] * 2 + ["user"]
    assert [text for role, text in turns if role == "user"] == ["one", "two", "three"]
    # A chain may branch.
    create(gateway.url, input="other", previous_response_id=first["id"])
    assert [text for role, text in asked(gateway) if role == "user"] == ["one", "other"]


def test_a_streamed_response_can_be_gone_on_from_at_once(make_gateway: GatewayMaker) -> None:
    gateway = make_gateway()
    told = events(post(gateway.url, {"model": HAIKU, "input": "one", "stream": True}))
    again = events(
        post(
            gateway.url,
            {"model": HAIKU, "input": "two", "stream": True, "previous_response_id": told[-1]["response"]["id"]},
        )
    )
    assert [text for role, text in asked(gateway) if role == "user"] == ["one", "two"]
    kept = get(gateway.url, f"/responses/{again[-1]['response']['id']}").json()
    assert kept == again[-1]["response"]


@pytest.mark.parametrize("stream", [False, True])
def test_reasoning_and_calls_come_back_with_their_proofs(make_gateway: GatewayMaker, stream: bool) -> None:
    """The client sends nothing but an id and the result; Claude gets its own thinking, signed."""
    gateway = make_gateway()
    tools = [{"type": "function", "name": "clock", "parameters": {"type": "object", "properties": {}}}]
    body: Object = {"model": HAIKU, "tools": tools, "reasoning": {"effort": "low"}, "stream": stream}
    answer = post(gateway.url, {**body, "input": "What is the time?"})
    first = events(answer)[-1]["response"] if stream else answer.json()
    assert "encrypted_content" not in str(first), "the client did not ask for it"
    (call,) = [item for item in first["output"] if item["type"] == "function_call"]
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "noon"}
    after = post(gateway.url, {**body, "input": [result], "previous_response_id": first["id"]})
    assert after.status_code == 200, after.text
    kinds = [[part["type"] for part in m["content"]] for m in gateway.simulator.requests[-1].body["messages"]]
    assert kinds == [["text"], ["thinking", "tool_use"], ["tool_result"]]
    # Those who ask for the proofs get them.
    kept = get(gateway.url, f"/responses/{first['id']}?include[]=reasoning.encrypted_content").json()
    assert kept["output"][0]["encrypted_content"]
    assert "encrypted_content" not in get(gateway.url, f"/responses/{first['id']}").text


def test_items_are_listed_and_referred_to(make_gateway: GatewayMaker) -> None:
    gateway = make_gateway()
    message = {"role": "user", "content": [{"type": "input_text", "text": f"part {1}"}]}
    first = create(gateway.url, input=[message, {"role": "user", "content": "part 2"}])
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="sk-client", max_retries=0)
    with client:
        listed = list(client.responses.input_items.list(first["id"], order="asc", limit=1))
    assert [item.type for item in listed] == ["message", "message"], "the SDK asks for the second page"
    referred = [{"type": "item_reference", "id": listed[1].id}, {"id": first["output"][0]["id"]}]
    create(gateway.url, input=[*referred, {"role": "user", "content": "so?"}])
    assert [role for role, _ in asked(gateway)] == ["user", "assistant", "user"]
    assert asked(gateway)[0] == ("user", "part 2")


def test_places_are_named_as_the_client_wrote_them(make_gateway: GatewayMaker) -> None:
    gateway = make_gateway()
    first = create(gateway.url, input="one")
    wrong = [{"role": "user", "content": "x"}, {"type": "message", "role": "nobody", "content": "y"}]
    answer = post(gateway.url, {"model": HAIKU, "previous_response_id": first["id"], "input": wrong})
    assert answer.json()["error"]["param"] == "input[1].role"
    strange = [{"role": "user", "content": "x"}, {"type": "mcp_call", "id": "mcp_1"}]
    answer = post(gateway.url, {"model": HAIKU, "previous_response_id": first["id"], "input": strange})
    assert answer.headers["x-dragoman-dropped"] == "input[1]"


# --- what is not there -----------------------------------------------------------------------------------


def test_who_wants_nothing_kept_has_nothing_kept(make_gateway: GatewayMaker, tmp_path: Path) -> None:
    gateway = make_gateway(data_dir=str(tmp_path))
    first = create(gateway.url, input="one", store=False)
    assert first["store"] is False
    assert code(get(gateway.url, f"/responses/{first['id']}")) == (404, None)
    answer = post(gateway.url, {"model": HAIKU, "input": "two", "previous_response_id": first["id"]})
    assert code(answer) == (400, "previous_response_not_found")
    assert answer.json()["error"]["param"] == "previous_response_id"
    assert not list(tmp_path.iterdir()), "not even a file is made"


def test_a_gateway_that_keeps_nothing_says_so(make_gateway: GatewayMaker) -> None:
    gateway = make_gateway(response_ttl=0.0)
    first = create(gateway.url, input="one", store=True)
    assert first["store"] is False
    assert code(get(gateway.url, f"/responses/{first['id']}")) == (404, None)
    answer = post(gateway.url, {"model": HAIKU, "input": "two", "background": True})
    assert answer.json()["error"]["param"] == "background"


def test_a_deleted_response_is_gone_and_so_is_what_follows(make_gateway: GatewayMaker) -> None:
    gateway = make_gateway()
    first = create(gateway.url, input="one")
    second = create(gateway.url, input="two", previous_response_id=first["id"])
    gone = get(gateway.url, f"/responses/{first['id']}", method="DELETE")
    assert gone.json() == {"id": first["id"], "object": "response", "deleted": True}
    assert code(get(gateway.url, f"/responses/{first['id']}")) == (404, None)
    assert code(get(gateway.url, f"/responses/{first['id']}", method="DELETE")) == (404, None)
    answer = post(gateway.url, {"model": HAIKU, "input": "three", "previous_response_id": second["id"]})
    assert code(answer) == (400, "previous_response_not_found")


QUERIES = {"limit=0": "limit", "limit=x": "limit", "order=up": "order", "after=msg_none": "after"}


@pytest.mark.parametrize("query", QUERIES)
def test_queries_that_make_no_sense(make_gateway: GatewayMaker, query: str) -> None:
    gateway = make_gateway()
    first = create(gateway.url, input="one")
    answer = get(gateway.url, f"/responses/{first['id']}/input_items?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == QUERIES[query]


# --- owners ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [(), (Secret("sk-ann"), Secret("sk-bob"))], ids=["open", "keys"])
def test_what_one_key_made_no_other_sees(make_gateway: GatewayMaker, keys: tuple[Secret, ...]) -> None:
    url = make_gateway(api_keys=keys).url
    first = create(url, "sk-ann", input="one")
    conversation = post(url, {}, "/v1/conversations", "sk-ann").json()["id"]
    item = first["output"][0]["id"]
    for path in (
        f"/responses/{first['id']}",
        f"/responses/{first['id']}/input_items",
        f"/conversations/{conversation}",
    ):
        assert get(url, path, "sk-ann").status_code == 200
        assert code(get(url, path, "sk-bob")) == (404, None)
    assert code(get(url, f"/responses/{first['id']}", "sk-bob", "DELETE")) == (404, None)
    assert code(get(url, f"/responses/{first['id']}/cancel", "sk-bob", "POST")) == (404, None)
    body = {"model": HAIKU, "input": "two"}
    tries: list[Object] = [{"previous_response_id": first["id"]}, {"conversation": conversation}]
    tries.append({"input": [{"type": "item_reference", "id": item}]})
    for own in tries:
        assert post(url, {**body, **own}, key="sk-bob").status_code in (400, 404)
        assert post(url, {**body, **own}, key="sk-ann").status_code == 200


def test_the_key_that_opens_the_door_is_the_owner(make_gateway: GatewayMaker) -> None:
    """Some programs send a key of their own in one header, whatever their user has put into the other."""
    url = make_gateway(api_keys=(Secret("sk-ann"),)).url
    first = create(url, "sk-ann", input="one")
    headers = {"authorization": "Bearer sk-of-the-program", "x-api-key": "sk-ann"}
    assert httpx.get(f"{url}/v1/responses/{first['id']}", headers=headers, trust_env=False).status_code == 200


# --- lives -----------------------------------------------------------------------------------------------


def test_it_survives_a_restart(make_gateway: GatewayMaker, tmp_path: Path) -> None:
    first = create(make_gateway(data_dir=str(tmp_path)).url, input="one")
    second = make_gateway(data_dir=str(tmp_path))
    assert get(second.url, f"/responses/{first['id']}").json() == first
    create(second.url, input="two", previous_response_id=first["id"])
    assert [text for role, text in asked(second) if role == "user"] == ["one", "two"]


SERVE = """
import sys
from dragoman.config import Secret, Settings, Upstream
from dragoman.surfaces.server import make_server
settings = Settings(host="127.0.0.1", port=0, retries=0, data_dir=sys.argv[2],
                    upstreams=(Upstream(name="anthropic", base_url=sys.argv[1], key=Secret("sk-test")),))
server, listener = make_server(settings, lambda url: print(url, flush=True))
server.run(sockets=[listener])
"""


@contextmanager
def process(behind: str, directory: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A gateway in a process of its own: its URL, and the process."""
    command = [sys.executable, "-c", SERVE, behind, str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ}) as running:
        try:
            assert running.stdout is not None
            yield running.stdout.readline().strip(), running
        finally:
            running.kill()


def test_what_was_told_survives_a_kill_at_any_moment(tmp_path: Path) -> None:
    """Killed between an answer and the next write; what runs in the background then is not done for ever."""
    with run_in_thread(simulate()) as behind:
        with process(behind.url, tmp_path) as (url, running):
            chain = [create(url, input="one")]
            for number in range(5):
                chain.append(create(url, input=f"more {number}", previous_response_id=chain[-1]["id"]))
            slow = create(url, input="[[simulate: text delay=60]] later", background=True)
            assert slow["status"] == "queued"
            running.send_signal(signal.SIGKILL)
            running.wait(30)
        with process(behind.url, tmp_path) as (url, _):
            for response in chain:
                assert get(url, f"/responses/{response['id']}").json() == response
            create(url, input="after", previous_response_id=chain[-1]["id"])
            said = [m for m in behind.simulator.requests[-1].body["messages"] if m["role"] == "user"]
            assert len(said) == 7
            # Its lease runs out in a minute and a half; until then another process might be making it.
            assert get(url, f"/responses/{slow['id']}").json()["status"] in ("queued", "in_progress")
            stopped = get(url, f"/responses/{slow['id']}/cancel", method="POST")
            assert stopped.json()["status"] == "cancelled"


# --- across servers --------------------------------------------------------------------------------------


def test_a_chain_goes_on_with_any_model() -> None:
    """Claude thinks and calls; OpenAI, Ollama and Claude again go on from an id alone."""
    with before_all() as bed:
        clock = {"type": "function", "name": "clock", "parameters": {"type": "object", "properties": {}}}
        body: Object = {"tools": [clock], "reasoning": {"effort": "low", "summary": "auto"}}
        previous: Object | None = None
        for server in ("anthropic", "openai", "ollama", "responses", "anthropic"):
            told = {"model": named(server), "input": f"What does clock say to {server}?", **body}
            answer = post(bed.url, told | ({"previous_response_id": previous["id"]} if previous else {}))
            assert answer.status_code == 200, answer.text
            first = answer.json()
            assert first["store"] is True
            assert first["previous_response_id"] == (previous["id"] if previous else None)
            calls = [item for item in first["output"] if item["type"] == "function_call"]
            results = [{"type": "function_call_output", "call_id": call["call_id"], "output": "noon"} for call in calls]
            assert results
            answer = post(
                bed.url, {**body, "model": named(server), "input": results, "previous_response_id": first["id"]}
            )
            assert answer.status_code == 200, answer.text
            previous = answer.json()
            sent = json.dumps(bed.sent(server))
            assert "dragoman." not in sent, "what is sealed for one server stays away from the others"
            assert "previous_response_id" not in sent
