"""Where settings come from, and which of two wins: flag, variable, `dragoman.toml`, preset, default, in this order.

All of it is judged, also what is overruled, and all that is wrong is said at once.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from dragoman.config import kinds, table
from dragoman.config.addresses import calls_itself
from dragoman.config.door import api_keys, certificate, certificate_problems
from dragoman.config.presets import PRESETS
from dragoman.config.routes import routes
from dragoman.config.secret_files import SecretFiles
from dragoman.config.section import Section, suggest
from dragoman.config.settings import Limits, Override, Settings, Timeouts, Upstream
from dragoman.config.toml_file import Document, TomlError, read
from dragoman.config.upstreams import KNOWN, Sources, is_file, upstreams

RUN_SECRETS = Path("/run/secrets")
SYSTEM_FILE = Path("/etc/dragoman/dragoman.toml")

Flag = str | int | bool | None

# Kubernetes puts these into every pod beside a service that is called "dragoman"; they are nobody's settings.
# https://kubernetes.io/docs/tutorials/services/connect-applications-service/#environment-variables
_INJECTED = re.compile(r"DRAGOMAN_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP)(_\w+)?)?)")


class ConfigError(Exception):
    """All that is wrong with the configuration, one problem a line.  Holds no secret."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        super().__init__("\n".join(self.problems))


def find_file(
    environ: Mapping[str, str], given: Path | None = None, *, cwd: Path = Path(), system: Path = SYSTEM_FILE
) -> Path | None:
    """The configuration file: `given` or `$DRAGOMAN_CONFIG`, which must exist, else the first of
    `./dragoman.toml`, `$XDG_CONFIG_HOME/dragoman/dragoman.toml` and `/etc/dragoman/dragoman.toml` that does.

    Raises ConfigError.
    """
    named = given or (Path(text) if (text := environ.get("DRAGOMAN_CONFIG", "").strip()) else None)
    if named:
        if not is_file(named):
            says = "--config" if given else "DRAGOMAN_CONFIG"
            raise ConfigError([f"{says} is {named}, but there is no such file"])
        return named
    home = environ.get("XDG_CONFIG_HOME") or (f"{environ['HOME']}/.config" if environ.get("HOME") else "")
    places = [cwd / "dragoman.toml", *([Path(home) / "dragoman" / "dragoman.toml"] if home else []), system]
    return next((place for place in places if is_file(place)), None)


def load(
    environ: Mapping[str, str],
    file: Path | None = None,
    *,
    demo: bool = False,
    warn: Callable[[str], None] | None = None,
    run_secrets: Path = RUN_SECRETS,
    flags: Mapping[str, Flag] | None = None,
    flavors: Collection[str] = (),
) -> Settings:
    """The settings that the environment, `file`, the flags and a preset add up to.  May be called again, to reload.

    `flags` are named as in `dragoman.toml` (`port`, `preset`); None means that the flag was not given.  `warn` hears of
    secrets that everybody may read; without it they are logged.  `flavors` are the flavors of OpenAI-compatible servers
    there are; without them any is taken.  Raises ConfigError with every problem, each naming its place.
    """
    problems: list[str] = []
    document = _document(file, problems)
    top = Section(document, problems, document.data)
    tell = warn or logging.getLogger(__name__).warning
    files = SecretFiles(problems, tell)

    said = {row.name: _said(row, flags or {}, environ, problems) for row in table.ROWS}
    written = {row.key: top.take(row.key, row.kind) for row in table.ROWS if row.key}
    values = _values(said, written, top, None if demo else tell)
    mounts = [run_secrets, *([Path(name)] if (name := environ.get("CREDENTIALS_DIRECTORY", "")) else [])]

    settings = _plain(values)
    servers = upstreams(
        Sources(environ, mounts, said=said, written=written, values=values, top=top, files=files),
        settings["timeouts"],
        flavors,
    )
    settings["api_keys"] = api_keys(values, said, top, files)
    settings |= certificate(said, written, top, files)
    settings["data_dir"] = _data_dir(environ, said, written, top)
    settings["aliases"] = top.named("aliases", kinds.TEXT)
    settings["overrides"] = {name: _override(section) for name, section in top.tables("models").items()}
    settings["routes"] = routes(top, settings["aliases"], servers, demo=demo)
    top.close()
    _unknown_variables(environ, problems)
    if file and _holds_secrets(document.data):
        files.check_mode(file)
    chosen = _together(settings, servers, problems, demo=demo)
    problems += certificate_problems(chosen, said, top, files)
    if problems:
        raise ConfigError(problems)
    return chosen


def _values(
    said: Mapping[str, Any], written: Mapping[str, Any], top: Section, warn: Callable[[str], None] | None
) -> dict[str, Any]:
    """What wins for each setting that anybody speaks of.  Without `warn` nothing is said of OLLAMA_HOST."""
    chosen = _given(written) | _given(said)
    values = {**PRESETS.get(chosen.get("preset", ""), {}), **chosen}
    if "ollama.base_url" in chosen:
        return values
    tables = top.data.get("upstream")
    if isinstance(tables, list) and any(isinstance(t, dict) and t.get("dialect") == "ollama" for t in tables):
        values.pop("ollama.base_url", None)
        return values
    # People set OLLAMA_HOST for Ollama's own programs, to the gateway too; that must not send it to itself.
    if url := said["OLLAMA_HOST"]:
        if not calls_itself(url, values.get("host", Settings().host), values.get("port", Settings().port)):
            values["ollama.base_url"] = url
        elif warn:
            warn(f"OLLAMA_HOST is {url}, this gateway itself; it is left to other programs, and adds no Ollama server")
    return values


def _together(settings: dict[str, Any], servers: tuple[Upstream, ...], problems: list[str], *, demo: bool) -> Settings:
    """The settings as one value, after the checks that need more than one of them."""
    chosen = Settings(**settings)
    if chosen.max_num_ctx and chosen.num_ctx > chosen.max_num_ctx:
        if "num_ctx" in settings:
            problems.append(f"num_ctx is {chosen.num_ctx}, but max_num_ctx allows only {chosen.max_num_ctx}")
        chosen = replace(chosen, num_ctx=chosen.max_num_ctx)
    if demo:  # nothing real is called, and the routes lead to what is real
        return replace(chosen, demo=True, routes=())
    named = [server for server in servers if server.name]  # one without a name is complained of already
    problems += [_itself(server) for server in named if calls_itself(server.base_url, chosen.host, chosen.port)]
    problems += _apart(chosen, servers)
    if servers and "default_model" not in settings and not any(server.dialect == "anthropic" for server in servers):
        chosen = replace(chosen, default_model=None)  # the one that nobody chose is a Claude
    return replace(chosen, upstreams=servers)


def _apart(chosen: Settings, servers: tuple[Upstream, ...]) -> list[str]:
    """What several processes could not do together."""
    if chosen.workers < 2:
        return []
    wrong = [
        f"workers is {chosen.workers}, but the upstream {server.name} takes only {server.concurrency} calls at once"
        " (concurrency), of which each worker gets its part"
        for server in servers
        if 0 < server.concurrency < chosen.workers
    ]
    if chosen.database.reveal() == "memory" if chosen.database else not chosen.data_dir:
        wrong.append(
            f"workers is {chosen.workers}, but what is stored is only in memory (database, data_dir), where each would"
            " have its own"
        )
    return wrong


def _itself(server: Upstream) -> str:
    return (
        f"the upstream {server.name} is {server.base_url}, which is this gateway itself; give the gateway another port"
        " (--port, PORT), or the upstream its real address"
    )


def _document(file: Path | None, problems: list[str]) -> Document:
    try:
        return read(file) if file else Document("", "")
    except TomlError as error:
        problems.append(str(error))
        return Document(str(file), "")


def _said(row: table.Row, flags: Mapping[str, Flag], environ: Mapping[str, str], problems: list[str]) -> Any:
    """What the flag or a variable of `row` says, or None.  Empty variables are not set."""
    found = []
    if (flag := flags.get(row.key)) is not None:
        found.append(kinds.read_value(row.kind, flag, f"--{row.key.replace('_', '-')}"))
    for name in row.variables:
        if text := environ.get(name, "").strip():
            found.append(kinds.read_text(row.kind, text, name))
    problems += [problem for _, problem in found if problem]
    return next((value for value, _ in found if value is not None), None)


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """The members of `Settings` whose row says everything."""
    own = {row.key for row in table.ROWS if row.default is None}
    settings: dict[str, Any] = {key: value for key, value in values.items() if key in own and "." not in key}
    if settings.get("default_model") == "error":
        settings["default_model"] = None
    times = {key.removeprefix("timeouts."): value for key, value in values.items() if key.startswith("timeouts.")}
    limits = {key.removeprefix("limits."): value for key, value in values.items() if key.startswith("limits.")}
    return settings | {"timeouts": Timeouts(**times), "limits": Limits(**limits)}


def _data_dir(environ: Mapping[str, str], said: Mapping[str, Any], written: Mapping[str, Any], top: Section) -> str:
    """Where things are stored; "" where nobody says so and there is no home.

    https://specifications.freedesktop.org/basedir-spec/latest/
    """
    if name := said["data_dir"]:
        return str(_from_home(name, environ))
    if name := written["data_dir"]:
        return str(top.beside(str(_from_home(name, environ))))
    state = environ.get("XDG_STATE_HOME", "")
    if not Path(state).is_absolute():
        state = f"{environ['HOME']}/.local/state" if environ.get("HOME") else ""
    return str(Path(state) / "dragoman") if state else ""


def _from_home(name: str, environ: Mapping[str, str]) -> Path:
    home = environ.get("HOME")
    return Path(home) / name[2:] if home and name.startswith("~/") else Path(name)


def _unknown_variables(environ: Mapping[str, str], problems: list[str]) -> None:
    known = [name for row in table.ROWS for name in row.variables if name.startswith("DRAGOMAN_")]
    for name in sorted(environ):
        if name.startswith("DRAGOMAN_") and name not in known and not _INJECTED.fullmatch(name):
            problems.append(f"{name} is not a variable that dragoman knows; {suggest(name, known, 'DRAGOMAN_')}")


def _override(section: Section) -> Override:
    members = {name: section.take(name, kind) for name, kind in table.OVERRIDES.items()}
    section.close()
    return Override(**_given(members))


def _holds_secrets(data: Mapping[str, Any]) -> bool:
    further = data.get("upstream")
    tables = [*(data.get(known.name) for known in KNOWN), *(further if isinstance(further, list) else [])]
    return bool(data.keys() & {"api_keys", "tls_key_password"}) or any(
        isinstance(t, dict) and t.keys() & {"api_key", "key", "headers"} for t in tables
    )
