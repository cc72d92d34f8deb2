"""Environment, file and flags → Settings, or the exact complaint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dragoman.config import ConfigError, Override, Secret, Settings, Timeouts, Upstream, find_file
from tests.config.loading import changed, complaints, loaded, written

ANTHROPIC = Upstream(name="anthropic", key=Secret("k"))


def test_nothing_said_is_all_defaults() -> None:
    assert loaded({}) == Settings()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HOST": "127.0.0.1", "PORT": "8080"}, {"host": "127.0.0.1", "port": 8080}),
        ({"PORT": " 8080 "}, {"port": 8080}),
        ({"PORT": "", "DEBUG": " "}, {}),
        ({"DEBUG": "true"}, {"debug": True}),
        ({"DEBUG": "1"}, {"debug": True}),
        ({"DEBUG": "Yes"}, {"debug": True}),
        ({"DEBUG": "off"}, {}),
        ({"ANTHROPIC_API_KEY": "k"}, {"upstreams": (ANTHROPIC,)}),
        ({"ANTHROPIC_API_KEY": " k\n"}, {"upstreams": (ANTHROPIC,)}),
        ({"ANTHROPIC_BASE_URL": "http://h:1"}, {}),
        (
            {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "http://h:1/"},
            {"upstreams": (Upstream(name="anthropic", base_url="http://h:1", key=Secret("k")),)},
        ),
        (
            {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "https://h/proxy/v1/"},
            {"upstreams": (Upstream(name="anthropic", base_url="https://h/proxy", key=Secret("k")),)},
        ),
        ({"DRAGOMAN_API_KEYS": "a, b,,a "}, {"api_keys": (Secret("a"), Secret("b"))}),
        ({"DRAGOMAN_DEFAULT_MODEL": "claude-haiku"}, {"default_model": "claude-haiku"}),
        ({"DRAGOMAN_DEFAULT_MODEL": "error"}, {"default_model": None}),
        ({"DRAGOMAN_RETIRED": "refuse"}, {"retired": "refuse"}),
        ({"DRAGOMAN_STRICT": "on"}, {"strict": True}),
        ({"DRAGOMAN_ORIGINS": "https://a.example, app://*"}, {"origins": ("https://a.example", "app://*")}),
        ({"OLLAMA_ORIGINS": "*"}, {"origins": ("*",)}),
        ({"OLLAMA_ORIGINS": "*", "DRAGOMAN_ORIGINS": "https://a.example/"}, {"origins": ("https://a.example",)}),
        (
            {
                "DRAGOMAN_TIMEOUT_CONNECT": "2",
                "DRAGOMAN_TIMEOUT_FIRST_BYTE": "1.5",
                "DRAGOMAN_TIMEOUT_IDLE": "2m",
                "DRAGOMAN_TIMEOUT_DRAIN": "0",
            },
            {"timeouts": Timeouts(connect=2, first_byte=1.5, idle=120, drain=0)},
        ),
        ({"DRAGOMAN_RETRIES": "0"}, {"retries": 0}),
        ({"DRAGOMAN_MAX_BODY": "1000"}, {"max_body": 1000}),
        ({"DRAGOMAN_MAX_BODY": "8 MiB"}, {"max_body": 8 * 2**20}),
        ({"DRAGOMAN_MAX_BODY": "5mb"}, {"max_body": 5_000_000}),
        ({"DRAGOMAN_KEEP_ALIVE": "1h"}, {"keep_alive": 3600.0}),
        ({"DRAGOMAN_REFRESH": "0"}, {"refresh": 0.0}),
        ({"DRAGOMAN_PROMPT_CACHE": "off"}, {"prompt_cache": "off"}),
        ({"DRAGOMAN_STRUCTURED_OUTPUT": "check"}, {"structured_output": "check"}),
        ({"DRAGOMAN_LOG_FORMAT": "json"}, {"log_format": "json"}),
        (
            {
                "DRAGOMAN_SERVICE_HOST": "10.0.0.1",
                "DRAGOMAN_PORT": "tcp://10.0.0.1:80",
                "DRAGOMAN_PORT_80_TCP_ADDR": "x",
            },
            {},
        ),
    ],
)
def test_variables(environ: dict[str, str], expected: dict[str, Any]) -> None:
    assert changed(loaded(environ)) == expected


COUNT = "a whole number from 0 to 65535"
WAIT = 'a number of seconds above 0, or a text such as "90s", "5m" or "1h"'


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"PORT": "http"}, [f'PORT is "http", but must be {COUNT}']),
        ({"PORT": "65536"}, [f'PORT is "65536", but must be {COUNT}']),
        ({"PORT": "-1"}, [f'PORT is "-1", but must be {COUNT}']),
        ({"DEBUG": "maybe"}, ['DEBUG is "maybe", but must be true or false']),
        (
            {"ANTHROPIC_BASE_URL": "api.anthropic.com"},
            ['ANTHROPIC_BASE_URL is "api.anthropic.com", but must be an http:// or https:// URL without query'],
        ),
        (
            {"ANTHROPIC_BASE_URL": "http://h:port"},
            ['ANTHROPIC_BASE_URL is "http://h:port", but must be an http:// or https:// URL without query'],
        ),
        (
            {"ANTHROPIC_BASE_URL": "https://me:hush@h"},
            ["ANTHROPIC_BASE_URL holds a user name or password; keys have settings of their own"],
        ),
        (
            {"ANTHROPIC_API_KEY": "hush hush"},
            ["ANTHROPIC_API_KEY must be a key of visible ASCII characters, without spaces"],
        ),
        (
            {"DRAGOMAN_API_KEYS": "hush\nhush"},
            ["DRAGOMAN_API_KEYS must be a list of keys of visible ASCII characters, without spaces"],
        ),
        (
            {"DRAGOMAN_API_KEYS": ","},
            ["DRAGOMAN_API_KEYS must be a list of keys of visible ASCII characters, without spaces"],
        ),
        ({"DRAGOMAN_RETIRED": "no"}, ['DRAGOMAN_RETIRED is "no", but must be "substitute" or "refuse"']),
        (
            {"OLLAMA_ORIGINS": "example.org"},
            [
                'OLLAMA_ORIGINS is "example.org", but must be a list of origins such as'
                ' "https://chat.example.org" or "app://*", or "*"'
            ],
        ),
        ({"DRAGOMAN_TIMEOUT_IDLE": "0"}, [f'DRAGOMAN_TIMEOUT_IDLE is "0", but must be {WAIT}']),
        ({"DRAGOMAN_TIMEOUT_IDLE": "nan"}, [f'DRAGOMAN_TIMEOUT_IDLE is "nan", but must be {WAIT}']),
        ({"DRAGOMAN_RETRIES": "11"}, ['DRAGOMAN_RETRIES is "11", but must be a whole number from 0 to 10']),
        (
            {"DRAGOMAN_MAX_BODY": "0"},
            ['DRAGOMAN_MAX_BODY is "0", but must be a number of bytes, or a text such as "64MiB"'],
        ),
        (
            {"DRAGOMAN_API_KEY": "hush"},
            ["DRAGOMAN_API_KEY is not a variable that dragoman knows; did you mean DRAGOMAN_API_KEYS?"],
        ),
        (
            {"PORT": "x", "DEBUG": "y"},
            [f'PORT is "x", but must be {COUNT}', 'DEBUG is "y", but must be true or false'],
        ),
    ],
)
def test_bad_variables(environ: dict[str, str], expected: list[str]) -> None:
    found = complaints(environ)
    assert found == expected
    assert "hush" not in str(found)


def test_an_unknown_variable_unlike_any_other_gets_the_whole_list() -> None:
    [problem] = complaints({"DRAGOMAN_XYZZY": "1"})
    known = "allowed here: DRAGOMAN_ALLOWED_HOSTS, DRAGOMAN_ALLOW_PUBLIC, DRAGOMAN_API_KEYS, "
    assert problem.startswith(f"DRAGOMAN_XYZZY is not a variable that dragoman knows; {known}")
    assert "DRAGOMAN_TIMEOUT_DRAIN" in problem


FILE = """\
host = "::1"
port = 1
debug = true
api_keys = ["a", "b"]
default_model = "error"
retired = "refuse"
strict = true
origins = ["app://*"]
retries = 3
max_body = "1MiB"
keep_alive = "10m"
refresh = 60
prompt_cache = "off"
log_format = "json"
hide = ["claude-3*"]

[anthropic]
api_key = "k"
base_url = "http://h/v1"

[timeouts]
connect = 1
first_byte = "2s"
idle = 3.5
drain = 4

[aliases]
"gpt-4o" = "claude-sonnet"

[models."claude-opus-4.5"]
max_tokens = 100
temperature = 0.5
top_p = 1
top_k = 5
think = false
effort = "low"
system = "Be kind."
context_window = 1000
hidden = true

[[upstream]]
name = "other"
base_url = "http://other:8000/"
key_variable = "OTHER_KEY"
headers = { x-team = "a" }

[[upstream]]
name = "keyless"
dialect = "anthropic"
base_url = "http://keyless"
"""


def test_the_whole_file(tmp_path: Path) -> None:
    assert loaded({"OTHER_KEY": "o"}, written(tmp_path, FILE)) == Settings(
        host="::1",
        port=1,
        debug=True,
        upstreams=(
            Upstream(name="anthropic", base_url="http://h", key=Secret("k")),
            Upstream(name="other", base_url="http://other:8000", key=Secret("o"), headers={"x-team": "a"}),
            Upstream(name="keyless", base_url="http://keyless"),
        ),
        api_keys=(Secret("a"), Secret("b")),
        default_model=None,
        retired="refuse",
        strict=True,
        origins=("app://*",),
        aliases={"gpt-4o": "claude-sonnet"},
        overrides={
            "claude-opus-4.5": Override(
                max_tokens=100,
                temperature=0.5,
                top_p=1.0,
                top_k=5,
                think=False,
                effort="low",
                system="Be kind.",
                context_window=1000,
                hidden=True,
            )
        },
        hide=("claude-3*",),
        retries=3,
        max_body=2**20,
        keep_alive=600.0,
        refresh=60.0,
        prompt_cache="off",
        log_format="json",
        timeouts=Timeouts(connect=1, first_byte=2, idle=3.5, drain=4),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\nprot = 1\n", ["{file}:2: prot is not a known key; did you mean port?"]),
        ("port = 70000\n", [f"{{file}}:1: port is 70000, but must be {COUNT}"]),
        ('port = "80"\n', [f'{{file}}:1: port is "80", but must be {COUNT}']),
        ("port = true\n", [f"{{file}}:1: port is true, but must be {COUNT}"]),
        ("port = 8.5\n", [f"{{file}}:1: port is 8.5, but must be {COUNT}"]),
        ("debug = 1\n", ["{file}:1: debug is 1, but must be true or false"]),
        ("[timeouts]\n\nidle = -1\n", [f"{{file}}:3: timeouts.idle is -1, but must be {WAIT}"]),
        ("[timeouts]\nidel = 1\n", ["{file}:2: timeouts.idel is not a known key; did you mean idle?"]),
        (
            "[timeouts]\nx = 1\n",
            ["{file}:2: timeouts.x is not a known key; allowed here: connect, drain, first_byte, idle, ping"],
        ),
        ("timeouts = 5\n", ["{file}:1: timeouts must be a table"]),
        ("aliases = []\n", ["{file}:1: aliases must be a table"]),
        ('[aliases]\n"gpt-4o" = 4\n', ["{file}:2: aliases.gpt-4o is 4, but must be a text that is not empty"]),
        (
            '[models."claude-3.5-haiku"]\nmax_token = 5\n',
            ['{file}:2: models."claude-3.5-haiku".max_token is not a known key; did you mean max_tokens?'],
        ),
        ("[models]\nx = 5\n", ["{file}:2: models.x must be a table"]),
        (
            "[models.x]\ntemperature = 3\n",
            ["{file}:2: models.x.temperature is 3, but must be a number from 0 to 2"],
        ),
        (
            'api_keys = "hush"\n',
            ["{file}:1: api_keys must be a list of keys of visible ASCII characters, without spaces"],
        ),
        (
            "[anthropic]\napi_key = 5\n",
            ["{file}:2: anthropic.api_key must be a key of visible ASCII characters, without spaces"],
        ),
        ("upstream = 1\n", ["{file}:1: upstream must be an array of tables, each headed [[upstream]]"]),
        (
            '[[upstream]]\nname = "a"\n\n[[upstream]]\nbase_url = "http://b"\n',
            ["{file}:4: upstream[1].name is required: a name of letters, digits, dots, dashes and underscores"],
        ),
        (
            '[[upstream]]\nname = "a/b"\n',
            [
                '{file}:2: upstream[0].name is "a/b", but must be a name of letters, digits, dots, dashes'
                " and underscores"
            ],
        ),
        (
            '[[upstream]]\nname = "a"\ndialect = "gopher"\n',
            [
                '{file}:3: upstream[0].dialect is "gopher", but must be "anthropic" or "ollama" or "openai"'
                ' or "responses"'
            ],
        ),
        (
            '[[upstream]]\nname = "a"\nkey = "hush"\nkey_variable = "K"\n',
            [
                "{file}:4: upstream[0].key_variable is set beside key; one of key, key_file and key_variable is enough",
                '{file}:4: upstream[0].key_variable is "K", and that variable must be a key of visible ASCII'
                " characters, without spaces",
            ],
        ),
        (
            '[[upstream]]\nname = "a"\nheaders = { x-a = "hush\\r\\n", "x b" = "1" }\n',
            [
                "{file}:3: upstream[0].headers.x-a must be a text of visible ASCII characters",
                '{file}:3: upstream[0].headers has "x b", which is not a header name',
            ],
        ),
        (
            '[anthropic]\napi_key_file = "gone"\n',
            ["{file}:2: anthropic.api_key_file is {dir}/gone, but the file cannot be read: No such file or directory"],
        ),
        (
            "port = 1\nprot = 2\ndebug = 3\n",
            [
                "{file}:3: debug is 3, but must be true or false",
                "{file}:2: prot is not a known key; did you mean port?",
            ],
        ),
    ],
)
def test_bad_files(tmp_path: Path, text: str, expected: list[str]) -> None:
    file = written(tmp_path, text)
    found = complaints({}, file)
    assert found == [line.format(file=file, dir=tmp_path) for line in expected]
    assert "hush" not in str(found)


def test_a_file_that_is_not_toml_and_a_bad_variable_are_told_together(tmp_path: Path) -> None:
    file = written(tmp_path, "port = 1\nport\n")
    first, second = complaints({"DEBUG": "x"}, file)
    assert first.startswith(f"{file}:2: this is not TOML: ")
    assert second == 'DEBUG is "x", but must be true or false'


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    file = tmp_path / "dragoman.toml"
    file.write_bytes(b"# ok\nhost = '\xff'\n")
    assert complaints({}, file) == [f"{file}:2: the file is not UTF-8 text"]


@pytest.mark.parametrize(
    ("flags", "environ", "text", "expected"),
    [
        ({}, {}, "", (11434, "claude-sonnet-4.5")),
        ({}, {}, 'port = 1\ndefault_model = "f"\n', (1, "f")),
        ({}, {"PORT": "2", "DRAGOMAN_DEFAULT_MODEL": "e"}, 'port = 1\ndefault_model = "f"\n', (2, "e")),
        ({"port": 3}, {"PORT": "2"}, "port = 1\n", (3, "claude-sonnet-4.5")),
        ({"port": None, "default_model": "error"}, {"PORT": "2"}, 'default_model = "f"\n', (2, None)),
        ({}, {"PORT": ""}, "port = 1\n", (1, "claude-sonnet-4.5")),
    ],
)
def test_precedence(
    tmp_path: Path, flags: dict[str, Any], environ: dict[str, str], text: str, expected: tuple[int, str | None]
) -> None:
    chosen = loaded(environ, written(tmp_path, text), flags=flags)
    assert (chosen.port, chosen.default_model) == expected


def test_what_is_overruled_is_judged_too(tmp_path: Path) -> None:
    file = written(tmp_path, "port = -1\n")
    assert complaints({"PORT": "x"}, file, flags={"port": 70000}) == [
        f"--port is 70000, but must be {COUNT}",
        f'PORT is "x", but must be {COUNT}',
        f"{file}:1: port is -1, but must be {COUNT}",
    ]


def test_a_demo_calls_nothing_real(tmp_path: Path) -> None:
    chosen = loaded({"ANTHROPIC_API_KEY": "k"}, written(tmp_path, '[[upstream]]\nname = "a"\n'), demo=True)
    assert chosen.demo
    assert chosen.upstreams == ()


def test_names_that_are_hidden() -> None:
    chosen = Settings(hide=("Claude-3*",), overrides={"x": Override(hidden=True), "y": Override(max_tokens=1)})
    assert [name for name in ("claude-3.5-haiku", "claude-haiku", "x", "y") if chosen.hides(name)] == [
        "claude-3.5-haiku",
        "x",
    ]


def test_where_the_file_is_looked_for(tmp_path: Path) -> None:
    cwd, home, system = tmp_path / "cwd", tmp_path / "home", tmp_path / "etc.toml"
    places = [cwd / "dragoman.toml", home / ".config/dragoman/dragoman.toml", system]
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    for place in places:
        assert find_file({"HOME": str(home)}, cwd=cwd, system=system) == place
        place.unlink()
    assert find_file({"HOME": str(home)}, cwd=cwd, system=system) is None
    xdg = tmp_path / "xdg/dragoman/dragoman.toml"
    xdg.parent.mkdir(parents=True)
    xdg.touch()
    environ = {"HOME": str(home), "XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    assert find_file(environ, cwd=cwd, system=system) == xdg
    named, flagged = tmp_path / "named.toml", tmp_path / "flagged.toml"
    environ["DRAGOMAN_CONFIG"] = str(named)
    with pytest.raises(ConfigError, match=r"^DRAGOMAN_CONFIG is .*named\.toml, but there is no such file$"):
        find_file(environ, cwd=cwd, system=system)
    named.touch()
    assert find_file(environ, cwd=cwd, system=system) == named
    with pytest.raises(ConfigError, match=r"^--config is .*flagged\.toml, but there is no such file$"):
        find_file(environ, flagged, cwd=cwd, system=system)
    flagged.touch()
    assert find_file(environ, flagged, cwd=cwd, system=system) == flagged
