"""The servers behind us: those that variables alone can add, and the `[[upstream]]` tables."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from msgspec.structs import asdict

from dragoman.config import kinds, table
from dragoman.config.secret_files import SecretFiles
from dragoman.config.section import Section, suggest
from dragoman.config.settings import ANTHROPIC_URL, OLLAMA_URL, OPENAI_URL, Secret, Timeouts, Upstream

_Dialect = Literal["anthropic", "ollama", "openai_chat", "openai_responses"]

HOMES: Mapping[_Dialect, str] = {
    "anthropic": ANTHROPIC_URL,
    "ollama": OLLAMA_URL,
    "openai_chat": OPENAI_URL,
    "openai_responses": OPENAI_URL,
}
"""Where a server of a dialect is when nobody says."""


class Known(NamedTuple):
    """A server that variables and a table of its own name can add.  It is there when one of `signs` is."""

    name: str
    dialect: _Dialect
    signs: tuple[str, ...]


KNOWN = (
    Known("anthropic", "anthropic", ("key",)),
    Known("ollama", "ollama", ("base_url",)),
    Known("openai", "openai_chat", ("key", "base_url")),
)


class Sources(NamedTuple):
    """Where members come from: `said` by flags and variables, `written` in `dragoman.toml`, both by the names of the
    settings; `values` is what wins.  `mounts` are folders of mounted secrets."""

    environ: Mapping[str, str]
    mounts: Sequence[Path]
    said: Mapping[str, Any]
    written: Mapping[str, Any]
    values: Mapping[str, Any]
    top: Section
    files: SecretFiles


class Made(NamedTuple):
    """An upstream, and how to complain of one of its members."""

    upstream: Upstream
    complain: Callable[[str, str], None] | None = None


def upstreams(sources: Sources, times: Timeouts, flavors: Collection[str]) -> tuple[Upstream, ...]:
    """Every server, the known ones first.  `times` are the settings for all, which a table may change for its own.

    `flavors` are the flavors there are (empty: any text is taken).
    """
    sections = sources.top.array("upstream")
    lent = {name for section in sections if isinstance(name := section.data.get("key_variable"), str)}
    made = [Made(upstream) for known in KNOWN if (upstream := _known(known, sources, lent))]
    for section in sections:
        upstream = _written(section, sources, times, flavors)
        made.append(Made(upstream, section.complain))
    _names(made)
    return tuple(each.upstream for each in made)


def _known(known: Known, sources: Sources, lent: Collection[str]) -> Upstream | None:
    """The server that the variables and the table of its name make, if they do.

    A variable that an `[[upstream]]` table takes its key from belongs to that table, and makes no server of its own.
    """
    key: Secret | None = _key(known.name, sources)
    url: str | None = sources.values.get(f"{known.name}.base_url")
    if not any({"key": key, "base_url": url}[sign] for sign in known.signs):
        return None
    if f"{known.name.upper()}_API_KEY" in lent and known.name not in sources.top.data:
        return None
    return Upstream(name=known.name, dialect=known.dialect, base_url=url or HOMES[known.dialect], key=key)


def _key(name: str, sources: Sources) -> Secret | None:
    """The key, from the first place that has one: variable, file it names, mounted secret, `dragoman.toml`."""
    said, written, files = sources.said, sources.written, sources.files
    found = [said[f"{name}.api_key"]]
    if file := said[f"{name}.api_key_file"]:
        found.append(files.key(Path(file), f"{name.upper()}_API_KEY_FILE"))
    for mount in sources.mounts:
        if is_file(mount / f"{name}_api_key"):
            found.append(files.key(mount / f"{name}_api_key", "the mounted secret"))
    found.append(written[f"{name}.api_key"])
    if file := written[f"{name}.api_key_file"]:
        found.append(files.key(sources.top.beside(file), sources.top.where(name, "api_key_file")))
    return next((key for key in found if key is not None), None)


def _written(section: Section, sources: Sources, times: Timeouts, flavors: Collection[str]) -> Upstream:
    """An `[[upstream]]` table."""
    section.need("name", kinds.NAME)
    dialect: _Dialect = section.take("dialect", table.DIALECTS) or "anthropic"
    shapes = {**table.UPSTREAM, "base_url": kinds.OLLAMA if dialect == "ollama" else kinds.URL}
    members = {key: value for key, kind in shapes.items() if (value := section.take(key, kind)) is not None}
    headers = section.named("headers", kinds.HEADER)
    section.close()
    for header in headers:
        if not kinds.is_header_name(header):
            section.complain("headers", f'has "{header}", which is not a header name')
    flavor = members.get("flavor", "")
    if flavor and not dialect.startswith("openai"):
        section.complain("flavor", f'is "{flavor}", but only servers of dialect "openai" come in flavors')
    elif flavors and flavor not in {"", *flavors}:
        section.complain("flavor", f'is "{flavor}", and no flavor is called that; {suggest(flavor, flavors)}')
    own = {key.removeprefix("timeouts."): members.pop(key) for key in [*members] if key.startswith("timeouts.")}
    verify = _verify(section, members.pop("verify", True), members.pop("ca_file", None))
    key = _key_written(section, members, sources)
    for way in ("key", "key_file", "key_variable"):
        members.pop(way, None)
    return Upstream(
        **{"name": "", "base_url": HOMES[dialect], **members, "dialect": dialect},
        key=key,
        headers=headers,
        timeouts=Timeouts(**{**asdict(times), **own}) if own else None,
        verify=verify,
    )


def _key_written(section: Section, members: Mapping[str, Any], sources: Sources) -> Secret | None:
    """The key of a table: itself, in a file, or in a variable."""
    ways = [way for way in ("key", "key_file", "key_variable") if way in section.data]
    if len(ways) > 1:
        section.complain(ways[1], f"is set beside {ways[0]}; one of key, key_file and key_variable is enough")
    key: Secret | None = members.get("key")
    if file := members.get("key_file"):
        key = sources.files.key(section.beside(file), section.where("key_file"))
    elif variable := members.get("key_variable"):
        key, problem = kinds.read_text(kinds.SECRET, sources.environ.get(variable, ""), variable)
        if problem:
            section.complain("key_variable", f'is "{variable}", and that variable must be {kinds.SECRET.allowed}')
    return key


def _verify(section: Section, wanted: bool, file: str | None) -> bool | str:
    """Whether the server's certificate is checked, or the file of the authorities that may vouch for it."""
    if file is None:
        return wanted
    if not wanted:
        section.complain("ca_file", "is set beside verify = false, which checks nothing")
    path = section.beside(file)
    import ssl  # noqa: PLC0415  only who names a file pays for it

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        section.complain("ca_file", f"is {path}, but the file holds no certificates (PEM)")
    except OSError as error:
        section.complain("ca_file", f"is {path}, but the file cannot be read: {error.strerror or error}")
    return str(path)


def _names(made: Sequence[Made]) -> None:
    """Complain of names that two servers have, and of those that are a prefix of another's models."""
    for i, (upstream, complain) in enumerate(made):
        if complain is None or not upstream.name:
            continue
        earlier = next((each for each in made[:i] if each.upstream.name.lower() == upstream.name.lower()), None)
        if earlier and earlier.complain is None:
            makers = f"{upstream.name.upper()}_* variables or the [{upstream.name}] table"
            complain("name", f'is "{upstream.name}", but the {makers} make an upstream of that name already')
        elif earlier:
            complain("name", f'is "{upstream.name}", but another upstream is called that')
        for other, of_other in made:
            if of_other and other is not upstream and other.prefix.rstrip("/").lower() == upstream.name.lower():
                of_other("prefix", f'is "{other.prefix}", but an upstream is called "{upstream.name}"')


def is_file(place: Path) -> bool:
    """Whether there is a file; also False for a place that may not be looked at, such as another user's home."""
    try:
        return place.is_file()
    except OSError:
        return False
