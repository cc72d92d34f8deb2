"""`dragoman serve`: read the settings, or refuse in words; say what is served; serve."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

from msgspec.structs import replace

from dragoman.cli.output import complain, paint, say
from dragoman.cli.settings import NO_UPSTREAM, not_listening, settings
from dragoman.config import ConfigError, Settings
from dragoman.config.sources import Flag
from dragoman.errors import GatewayError
from dragoman.models.catalogue import Catalogue, build

_EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104  compared, not bound
_HERE = ("localhost", "127.0.0.1", "::1")


def run(config: Path | None, *, demo: bool, demo_without_key: bool, flags: Mapping[str, Flag]) -> int:
    """Serve until stopped.  The exit code: 2 for a configuration that cannot be served, 1 for a port that is taken."""
    try:
        chosen = settings(config, demo=demo, flags=flags)
    except ConfigError as error:
        complain(str(error))
        return 2
    if not chosen.upstreams and not chosen.demo:
        if not demo_without_key:
            complain(NO_UPSTREAM)
            return 2
        chosen = replace(chosen, demo=True)
    from dragoman.surfaces import server  # noqa: PLC0415  the heaviest import: not before the settings are good

    try:
        server.run(chosen, started=lambda address: say(banner(chosen, address)))
    except OSError as error:
        complain(not_listening(chosen.host, chosen.port, error))
        return 1
    except KeyboardInterrupt:  # how a person stops it; all calls have ended by now
        pass
    return 0


def banner(chosen: Settings, address: str) -> str:
    """What is served, where, and one command that works.  `address` is the URL that is listened on."""
    catalogue = build(chosen.aliases, default=chosen.default_model, retired=chosen.retired)
    today = datetime.now(UTC).date()
    port = urlsplit(address).port or chosen.port
    url = f"http://{_reachable(chosen.host)}:{port}"
    behind = (
        ", ".join(f"{u.name} ({u.base_url})" for u in chosen.upstreams) or "the built-in simulator: no key, no cost"
    )
    default = chosen.default_model or "none; unknown names are an error"
    rows = (
        ("Ollama", url),
        ("OpenAI", f"{url}/v1"),
        ("Anthropic", url),
        ("behind it", behind),
        ("models", f"{len(catalogue.entries(today))} names; default {default}"),
    )
    lines = [paint(f"dragoman {version('dragoman')} listens on {chosen.host}:{port}", "strong")]
    lines += [f"  {name:<11}{text}" for name, text in rows]
    if _open_to_all(chosen):
        lines.append(paint(_OPEN, "warn"))
    lines += ["Try it:", "  " + paint(curl(chosen, url, _model(catalogue)), "good")]
    return "\n".join(lines)


_OPEN = "  note: whoever reaches this port uses your key; set DRAGOMAN_API_KEYS, or HOST=127.0.0.1"


def _open_to_all(chosen: Settings) -> bool:
    return bool(chosen.upstreams) and not chosen.api_keys and chosen.host not in _HERE


def curl(chosen: Settings, url: str, model: str) -> str:
    """One line for a shell.  A key is never in it: the person puts it into $KEY."""
    key = ' -H "Authorization: Bearer $KEY"' if chosen.api_keys else ""
    body = f'{{"model":"{model}","stream":false,"messages":[{{"role":"user","content":"Say hello."}}]}}'
    return f"curl -s {url}/api/chat{key} -d '{body}'"


def _model(catalogue: Catalogue) -> str:
    """A name that will be answered: the default, or else the newest that there is."""
    today = datetime.now(UTC).date()
    if catalogue.default:
        try:
            catalogue.resolve(catalogue.default, today)
        except GatewayError:
            pass
        else:
            return catalogue.default
    return catalogue.entries(today)[0].name


def _reachable(host: str) -> str:
    """How this machine itself reaches what listens on `host`."""
    if host in _EVERYWHERE:
        return "localhost"
    return f"[{host}]" if ":" in host else host
