"""Where settings come from, and which of two wins: flag, then variable, then `dragoman.toml`, then the default.

All of it is judged, also what is overruled, and all that is wrong is said at once.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dragoman.config import kinds, table
from dragoman.config.secret_files import SecretFiles
from dragoman.config.section import Section, suggest
from dragoman.config.settings import ANTHROPIC_URL, Override, Secret, Settings, Timeouts, Upstream
from dragoman.config.toml_file import Document, TomlError, read

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
        if not _is_file(named):
            says = "--config" if given else "DRAGOMAN_CONFIG"
            raise ConfigError([f"{says} is {named}, but there is no such file"])
        return named
    home = environ.get("XDG_CONFIG_HOME") or (f"{environ['HOME']}/.config" if environ.get("HOME") else "")
    places = [cwd / "dragoman.toml", *([Path(home) / "dragoman" / "dragoman.toml"] if home else []), system]
    return next((place for place in places if _is_file(place)), None)


def _is_file(place: Path) -> bool:
    """Also False for a place that may not be looked at, such as another user's home."""
    try:
        return place.is_file()
    except OSError:
        return False


def load(
    environ: Mapping[str, str],
    file: Path | None = None,
    *,
    demo: bool = False,
    warn: Callable[[str], None] | None = None,
    run_secrets: Path = RUN_SECRETS,
    flags: Mapping[str, Flag] | None = None,
) -> Settings:
    """The settings that the environment, `file` and the flags add up to.

    `flags` are named as in `dragoman.toml` (`port`); None means that the flag was not given.  `warn` hears of
    secrets that everybody may read; without it they are logged.  Raises ConfigError with every problem, each naming
    its place.
    """
    problems: list[str] = []
    document = _document(file, problems)
    top = Section(document, problems, document.data)
    files = SecretFiles(problems, warn or logging.getLogger(__name__).warning)

    said = {row.key: _said(row, flags or {}, environ, problems) for row in table.ROWS}
    written = {row.key: top.take(row.key, row.kind) for row in table.ROWS if row.key}
    values = {key: value for key, value in (written | _given(said)).items() if value is not None}

    mounts = [run_secrets, *([Path(name)] if (name := environ.get("CREDENTIALS_DIRECTORY", "")) else [])]
    key = _anthropic_key(mounts, said=said, written=written, top=top, files=files)
    further = [_upstream(section, environ, files) for section in top.array("upstream")]
    settings = _plain(values)
    settings["api_keys"] = _api_keys(values, said, top, files)
    settings["aliases"] = top.named("aliases", kinds.TEXT)
    settings["overrides"] = {name: _override(section) for name, section in top.tables("models").items()}
    top.close()
    _unknown_variables(environ, problems)
    if file and _holds_secrets(document.data):
        files.check_mode(file)

    url = values.get("anthropic.base_url", ANTHROPIC_URL)
    upstreams = (*([Upstream(name="anthropic", base_url=url, key=key)] if key else []), *further)
    names = [upstream.name for upstream in upstreams]
    problems += [f'two upstreams are called "{name}"' for name in names if name and names.count(name) > 1]
    if problems:
        raise ConfigError(problems)
    return Settings(**settings, demo=demo, upstreams=() if demo else upstreams)


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
    return settings | {"timeouts": Timeouts(**times)}


def _anthropic_key(
    mounts: Sequence[Path],
    *,
    said: Mapping[str, Any],
    written: Mapping[str, Any],
    top: Section,
    files: SecretFiles,
) -> Secret | None:
    """The key, from the first place that has one: variable, file it names, mounted secret, `dragoman.toml`."""
    found = [said["anthropic.api_key"]]
    if name := said["anthropic.api_key_file"]:
        found.append(files.key(Path(name), "ANTHROPIC_API_KEY_FILE"))
    for mount in mounts:
        if _is_file(mount / "anthropic_api_key"):
            found.append(files.key(mount / "anthropic_api_key", "the mounted secret"))
    found.append(written["anthropic.api_key"])
    if name := written["anthropic.api_key_file"]:
        found.append(files.key(top.beside(name), top.where("anthropic", "api_key_file")))
    return next((key for key in found if key is not None), None)


def _api_keys(
    values: Mapping[str, Any], said: Mapping[str, Any], top: Section, files: SecretFiles
) -> tuple[Secret, ...]:
    """The clients' keys: those that are listed and those in the file, together."""
    keys = tuple(values.get("api_keys", ()))
    if name := said["api_keys_file"]:
        keys += files.keys(Path(name), "DRAGOMAN_API_KEYS_FILE")
    elif name := values.get("api_keys_file"):
        keys += files.keys(top.beside(name), top.where("api_keys_file"))
    return tuple(dict.fromkeys(keys))


def _unknown_variables(environ: Mapping[str, str], problems: list[str]) -> None:
    known = [name for row in table.ROWS for name in row.variables if name.startswith("DRAGOMAN_")]
    for name in sorted(environ):
        if name.startswith("DRAGOMAN_") and name not in known and not _INJECTED.fullmatch(name):
            problems.append(f"{name} is not a variable that dragoman knows; {suggest(name, known, 'DRAGOMAN_')}")


def _override(section: Section) -> Override:
    members = {name: section.take(name, kind) for name, kind in table.OVERRIDES.items()}
    section.close()
    return Override(**_given(members))


def _upstream(section: Section, environ: Mapping[str, str], files: SecretFiles) -> Upstream:
    name = section.need("name", kinds.NAME)
    section.take("dialect", table.DIALECTS)
    base_url = section.take("base_url", kinds.URL)
    key = section.take("key", kinds.SECRET)
    file = section.take("key_file", kinds.TEXT)
    variable = section.take("key_variable", kinds.TEXT)
    headers = section.named("headers", kinds.HEADER)
    section.close()
    ways = [way for way in ("key", "key_file", "key_variable") if way in section.data]
    if len(ways) > 1:
        section.complain(ways[1], f"is set beside {ways[0]}; one of key, key_file and key_variable is enough")
    for header in headers:
        if not kinds.is_header_name(header):
            section.complain("headers", f'has "{header}", which is not a header name')
    if file:
        key = files.key(section.beside(file), section.where("key_file"))
    elif variable:
        key, problem = kinds.read_text(kinds.SECRET, environ.get(variable, ""), variable)
        if problem:
            section.complain("key_variable", f'is "{variable}", and that variable must be {kinds.SECRET.allowed}')
    return Upstream(name=name or "", base_url=base_url or ANTHROPIC_URL, key=key, headers=headers)


def _holds_secrets(data: Mapping[str, Any]) -> bool:
    tables = [data.get("anthropic"), *(data["upstream"] if isinstance(data.get("upstream"), list) else [])]
    return "api_keys" in data or any(isinstance(t, dict) and t.keys() & {"api_key", "key", "headers"} for t in tables)
