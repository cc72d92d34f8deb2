"""The servers behind us: what variables add, and what an `[[upstream]]` table may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from dragoman.config import Secret, Timeouts, Upstream
from tests.config.loading import complaints, loaded, written

CERTIFICATE = Path(__file__).parents[1] / "relay" / "localhost.pem"
ANTHROPIC = Upstream(name="anthropic", key=Secret("k"))
OPENAI = Upstream(name="openai", dialect="openai_chat", base_url="https://api.openai.com", key=Secret("o"))


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"OPENAI_API_KEY": "o"}, [OPENAI]),
        ({"OPENAI_BASE_URL": "http://h:1/v1"}, [Upstream(name="openai", dialect="openai_chat", base_url="http://h:1")]),
        (
            {"OPENAI_BASE_URL": "https://openrouter.ai/api/v1/", "OPENAI_API_KEY": "o"},
            [Upstream(name="openai", dialect="openai_chat", base_url="https://openrouter.ai/api", key=Secret("o"))],
        ),
        (
            {"OPENAI_BASE_URL": "https://api.groq.com/openai", "OPENAI_API_KEY": "o"},
            [Upstream(name="openai", dialect="openai_chat", base_url="https://api.groq.com/openai", key=Secret("o"))],
        ),
        (
            {"OPENAI_BASE_URL": "https://api.z.ai/api/paas/v4"},
            [Upstream(name="openai", dialect="openai_chat", base_url="https://api.z.ai/api/paas/v4")],
        ),
        (
            {"OPENAI_BASE_URL": "https://api.z.ai/api/paas/v4/chat/completions/"},
            [Upstream(name="openai", dialect="openai_chat", base_url="https://api.z.ai/api/paas/v4")],
        ),
        (
            {"OPENAI_BASE_URL": "http://h:1/v1/chat/completions"},
            [Upstream(name="openai", dialect="openai_chat", base_url="http://h:1")],
        ),
        (
            {"ANTHROPIC_BASE_URL": "http://h:1/v1/messages", "ANTHROPIC_API_KEY": "k"},
            [Upstream(name="anthropic", key=Secret("k"), base_url="http://h:1")],
        ),
        (
            {"OLLAMA_BASE_URL": "https://ollama.com/v1", "OLLAMA_API_KEY": "o"},
            [Upstream(name="ollama", dialect="ollama", base_url="https://ollama.com", key=Secret("o"))],
        ),
        (
            {"OPENAI_API_KEY": "o", "OLLAMA_HOST": "gpu", "ANTHROPIC_API_KEY": "k"},
            [ANTHROPIC, Upstream(name="ollama", dialect="ollama", base_url="http://gpu:11434"), OPENAI],
        ),
    ],
)
def test_variables(environ: dict[str, str], expected: list[Upstream]) -> None:
    assert list(loaded(environ).upstreams) == expected


def test_keys_in_files_and_mounts(tmp_path: Path) -> None:
    for name in ("openai_api_key", "ollama_api_key", "mine"):
        (tmp_path / name).write_text(f"{name}\n")
        (tmp_path / name).chmod(0o600)
    environ = {"OLLAMA_HOST": "gpu", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    ollama, openai = loaded(environ).upstreams
    assert (ollama.key, openai.key) == (Secret("ollama_api_key"), Secret("openai_api_key"))
    [openai] = loaded({}, run_secrets=tmp_path).upstreams
    assert openai.key == Secret("openai_api_key")
    [_, openai] = loaded(environ | {"OPENAI_API_KEY_FILE": str(tmp_path / "mine")}).upstreams
    assert openai.key == Secret("mine")
    [openai] = loaded({}, written(tmp_path, '[openai]\napi_key_file = "mine"\n')).upstreams
    assert openai.key == Secret("mine")


def test_without_anthropic_nobody_is_called_for_unknown_names_unless_a_person_says_so() -> None:
    assert loaded({"OLLAMA_HOST": "gpu"}).default_model is None
    assert loaded({"OLLAMA_HOST": "gpu", "DRAGOMAN_DEFAULT_MODEL": "phi4"}).default_model == "phi4"
    assert loaded({"OLLAMA_HOST": "gpu", "ANTHROPIC_API_KEY": "k"}).default_model == "claude-sonnet-4.5"
    assert loaded({"OLLAMA_HOST": "gpu"}, demo=True).default_model == "claude-sonnet-4.5"


FILE = """\
port = 1

[timeouts]
connect = 1
idle = 7

[[upstream]]
name = "gpu"
dialect = "ollama"
base_url = "gpu:1/v1/"
models = ["llama*", "phi4"]
hide = ["*-base"]
prefix = "gpu/"
concurrency = 2
queue = 5
verify = false

[upstream.timeouts]
first_byte = "20m"
idle = 9

[[upstream]]
name = "router"
dialect = "openai"
base_url = "https://openrouter.ai/api/v1"
flavor = "openrouter"
key_variable = "ROUTER_KEY"
headers = { "HTTP-Referer" = "https://example.org" }
ca_file = "ca.pem"

[[upstream]]
name = "home"
dialect = "ollama"

[[upstream]]
name = "cloud"
dialect = "openai_chat"
key = "c"
"""


def test_the_whole_table(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(CERTIFICATE.read_text())
    gpu, router, home, cloud = loaded({"ROUTER_KEY": "r"}, written(tmp_path, FILE), flavors=["openrouter"]).upstreams
    assert gpu == Upstream(
        name="gpu",
        dialect="ollama",
        base_url="http://gpu:1",
        models=("llama*", "phi4"),
        hide=("*-base",),
        prefix="gpu/",
        concurrency=2,
        queue=5,
        timeouts=Timeouts(connect=1, first_byte=1200, idle=9),
        verify=False,
    )
    assert router == Upstream(
        name="router",
        dialect="openai_chat",
        base_url="https://openrouter.ai/api",
        flavor="openrouter",
        key=Secret("r"),
        headers={"HTTP-Referer": "https://example.org"},
        verify=str(tmp_path / "ca.pem"),
    )
    assert home == Upstream(name="home", dialect="ollama", base_url="http://localhost:11434")
    assert cloud == Upstream(name="cloud", dialect="openai_chat", base_url="https://api.openai.com", key=Secret("c"))


def test_a_variable_that_a_table_takes_its_key_from_makes_no_upstream_of_its_own(tmp_path: Path) -> None:
    file = written(tmp_path, '[[upstream]]\nname = "openai"\ndialect = "openai"\nkey_variable = "OPENAI_API_KEY"\n')
    assert loaded({"OPENAI_API_KEY": "o"}, file).upstreams == (OPENAI,)
    file = written(tmp_path, '[[upstream]]\nname = "proxy"\nkey_variable = "ANTHROPIC_API_KEY"\n')
    [proxy] = loaded({"ANTHROPIC_API_KEY": "k"}, file).upstreams
    assert proxy.name == "proxy"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '[[upstream]]\nname = "a"\n[[upstream]]\nname = "A"\n',
            ['{file}:4: upstream[1].name is "A", but another upstream is called that'],
        ),
        (
            '[anthropic]\napi_key = "hush"\n[[upstream]]\nname = "anthropic"\n',
            [
                '{file}:4: upstream[0].name is "anthropic", but the ANTHROPIC_* variables or the [anthropic] table make'
                " an upstream of that name already"
            ],
        ),
        (
            '[[upstream]]\nname = "a"\nprefix = "B/"\n[[upstream]]\nname = "b"\n',
            ['{file}:3: upstream[0].prefix is "B/", but an upstream is called "b"'],
        ),
        (
            '[[upstream]]\nname = "a"\nprefix = "a b"\n',
            ['{file}:3: upstream[0].prefix is "a b", but must be a text of visible ASCII characters, without spaces'],
        ),
        (
            '[[upstream]]\nname = "a"\ndialect = "openai"\nflavor = "vlm"\n',
            ['{file}:4: upstream[0].flavor is "vlm", and no flavor is called that; did you mean vllm?'],
        ),
        (
            '[[upstream]]\nname = "a"\nflavor = "gopher"\ndialect = "openai"\n',
            ['{file}:3: upstream[0].flavor is "gopher", and no flavor is called that; allowed here: groq, vllm'],
        ),
        (
            '[[upstream]]\nname = "a"\nflavor = "vllm"\n',
            ['{file}:3: upstream[0].flavor is "vllm", but only servers of dialect "openai" come in flavors'],
        ),
        (
            '[[upstream]]\nname = "a"\ndialect = "ollama"\nbase_url = "ftp://x"\n',
            [
                '{file}:4: upstream[0].base_url is "ftp://x", but must be an address such as "localhost:11434", or an'
                " http:// or https:// URL without query"
            ],
        ),
        (
            '[[upstream]]\nname = "a"\nbase_url = "localhost:1"\n',
            ['{file}:3: upstream[0].base_url is "localhost:1", but must be an http:// or https:// URL without query'],
        ),
        (
            '[[upstream]]\nname = "a"\nca_file = "gone.pem"\n',
            ["{file}:3: upstream[0].ca_file is {dir}/gone.pem, but the file cannot be read: No such file or directory"],
        ),
        (
            '[[upstream]]\nname = "a"\nca_file = "dragoman.toml"\n',
            ["{file}:3: upstream[0].ca_file is {dir}/dragoman.toml, but the file holds no certificates (PEM)"],
        ),
        (
            '[[upstream]]\nname = "a"\nverify = "no"\nconcurrency = -1\nqueue = 1.5\n',
            [
                "{file}:4: upstream[0].concurrency is -1, but must be a whole number from 0 to 100000",
                "{file}:5: upstream[0].queue is 1.5, but must be a whole number from 0 to 1000000",
                '{file}:3: upstream[0].verify is "no", but must be true or false',
            ],
        ),
        (
            '[[upstream]]\nname = "a"\nmodels = "x"\nhide = [""]\n',
            [
                '{file}:3: upstream[0].models is "x", but must be a list of texts that are not empty',
                '{file}:4: upstream[0].hide is [""], but must be a list of texts that are not empty',
            ],
        ),
        (
            '[[upstream]]\nname = "a"\n[upstream.timeouts]\nidle = 0\ndrain = 3\n',
            [
                "{file}:4: upstream[0].timeouts.idle is 0, but must be a number of seconds above 0, or a text such as"
                ' "90s", "5m" or "1h"',
                "{file}:5: upstream[0].timeouts.drain is not a known key; allowed here: connect, first_byte, idle",
            ],
        ),
        (
            '[models.x]\ncapabilities = ["tool"]\nnum_ctx = 0\n',
            [
                '{file}:2: models.x.capabilities is ["tool"], but must be a list of completion, tools, insert, vision,'
                " audio, embedding, thinking",
                "{file}:3: models.x.num_ctx is 0, but must be a whole number from 1 to 100000000",
            ],
        ),
        (
            '[models.x]\nserver_tools = ["bash"]\n',
            [
                '{file}:2: models.x.server_tools is ["bash"], but must be a list of web_search, web_fetch,'
                " code_execution"
            ],
        ),
        ("num_ctx = 9000\nmax_num_ctx = 8000\n", ["num_ctx is 9000, but max_num_ctx allows only 8000"]),
    ],
)
def test_bad_tables(tmp_path: Path, text: str, expected: list[str]) -> None:
    file = written(tmp_path, text)
    found = complaints({"PORT": "1"}, file, flavors=["groq", "vllm"])
    assert found == [line.format(file=file, dir=tmp_path) for line in expected]
    assert "hush" not in str(found)


def test_verification_cannot_be_both_off_and_with_an_authority(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(CERTIFICATE.read_text())
    file = written(tmp_path, '[[upstream]]\nname = "a"\nverify = false\nca_file = "ca.pem"\n')
    assert complaints({}, file) == [f"{file}:4: upstream[0].ca_file is set beside verify = false, which checks nothing"]


def test_without_a_list_of_flavors_any_is_taken(tmp_path: Path) -> None:
    file = written(tmp_path, '[[upstream]]\nname = "a"\ndialect = "openai"\nflavor = "gopher"\n')
    assert loaded({}, file).upstreams[0].flavor == "gopher"


def test_the_least_context_gives_way_to_the_most_when_nobody_chose_it() -> None:
    assert loaded({"DRAGOMAN_MAX_NUM_CTX": "4096"}).num_ctx == 4096
    assert loaded({"DRAGOMAN_MAX_NUM_CTX": "32768"}).num_ctx == 8192


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"DRAGOMAN_NUM_CTX": "16384"}, ("num_ctx", 16384)),
        ({"DRAGOMAN_STREAM_DEFAULT": "1"}, ("stream_default", True)),
        ({"DRAGOMAN_FETCH": "off"}, ("fetch", False)),
        ({"DRAGOMAN_FETCH_PRIVATE": "on"}, ("fetch_private", True)),
        ({"DRAGOMAN_FETCH_MAX": "5MiB"}, ("fetch_max", 5 * 2**20)),
    ],
)
def test_settings_for_local_models(environ: dict[str, str], expected: tuple[str, int]) -> None:
    name, value = expected
    assert getattr(loaded(environ), name) == value
