"""What `dragoman serve` says when it listens: what is served, where, and one command that works."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from urllib.parse import urlsplit

from dragoman.cli.gathering import configured
from dragoman.cli.output import paint
from dragoman.cli.settings import SPOKEN
from dragoman.config import Settings
from dragoman.errors import GatewayError
from dragoman.models.catalogue import Catalogue

_EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104  compared, not bound
_HERE = ("localhost", "127.0.0.1", "::1")


def banner(chosen: Settings, address: str) -> str:
    """What is served, where, and one command that works.  `address` is the URL that is listened on."""
    catalogue = configured(chosen)
    port = urlsplit(address).port or chosen.port
    url = f"{'https' if chosen.tls_cert else 'http'}://{_reachable(chosen.host)}:{port}"
    rows = (
        ("Ollama", url),
        ("OpenAI", f"{url}/v1"),
        ("Anthropic", url),
        *zip(("behind it", *[""] * len(chosen.upstreams)), _behind(chosen), strict=False),
        ("models", _models(chosen, catalogue)),
    )
    lines = [paint(f"dragoman {version('dragoman')} listens on {chosen.host}:{port}", "strong")]
    lines += [f"  {name:<11}{text}" for name, text in rows]
    if said := _who_may_call(chosen):
        lines.append(paint(f"  {said}", "bad" if chosen.allow_public else "warn"))
    if model := _model(chosen, catalogue):
        return "\n".join([*lines, "Try it:", "  " + paint(curl(chosen, url, model), "good")])
    return "\n".join([*lines, _CHOOSE.format(url=url)])


_NEAR = (
    "note: no keys are set, so only this machine and private networks are served, and whoever is there uses {};"
    " set DRAGOMAN_API_KEYS, or HOST=127.0.0.1"
)
_PUBLIC = "WARNING: EVERYBODY who reaches this port uses {}, from the internet too (DRAGOMAN_ALLOW_PUBLIC, and no keys)"
_CHOOSE = """\
Choose a model: {url}/v1/models lists them.  --default-model NAME, DRAGOMAN_DEFAULT_MODEL, or
default_model in dragoman.toml says which answers for names that nobody has."""


def _behind(chosen: Settings) -> Iterator[str]:
    """Every upstream, and how it is spoken to."""
    if not chosen.upstreams:
        yield "the built-in simulator: no key, no cost"
    for upstream in chosen.upstreams:
        yield f"{upstream.name} ({upstream.base_url}), spoken to as {SPOKEN[upstream.dialect]}"


def _models(chosen: Settings, catalogue: Catalogue) -> str:
    """How many names are known already, and who is going to list more."""
    count = len(catalogue.entries(datetime.now(UTC).date()))
    asked = [upstream.name for upstream in chosen.upstreams if upstream.dialect != "anthropic"]
    known = f"{count} name{'s' * (count != 1)}" if count or not asked else ""
    listed = f"what {', '.join(asked)} list{'s' * (len(asked) == 1)}" if asked else ""
    names = ", and ".join(filter(None, (known, listed)))
    return f"{names}; default {_default(chosen, catalogue, complete=not asked)}"


def _default(chosen: Settings, catalogue: Catalogue, *, complete: bool) -> str:
    """The model for unknown names.  That nobody has it is known only where no list is still to come."""
    name = chosen.default_model
    if not name:
        return "none; unknown names are an error"
    if complete and catalogue.find(name, datetime.now(UTC).date()) is None:
        return f"{name}, which nobody has: unknown names are an error (`dragoman models` lists what there is)"
    return name


def _who_may_call(chosen: Settings) -> str:
    """Whom a gateway without keys serves, in one line; "" where there is nothing to say."""
    if chosen.api_keys or not chosen.upstreams or (chosen.host in _HERE and not chosen.allow_public):
        return ""
    used = "your key" if any(upstream.key for upstream in chosen.upstreams) else "your models"
    return (_PUBLIC if chosen.allow_public else _NEAR).format(used)


def curl(chosen: Settings, url: str, model: str) -> str:
    """One line for a shell.  A key is never in it: the person puts it into $KEY."""
    key = ' -H "Authorization: Bearer $KEY"' if chosen.api_keys else ""
    body = f'{{"model":"{model}","stream":false,"messages":[{{"role":"user","content":"Say hello."}}]}}'
    return f"curl -s {url}/api/chat{key} -d '{body}'"


def _model(chosen: Settings, catalogue: Catalogue) -> str:
    """A name that will be answered: the default, or else the newest that there is; "" while none is known."""
    today = datetime.now(UTC).date()
    if catalogue.default:
        try:
            catalogue.resolve(catalogue.default, today)
        except GatewayError:
            # The lists of some servers are still to come, and the person knows what is in them.
            if any(upstream.dialect != "anthropic" for upstream in chosen.upstreams):
                return catalogue.default
        else:
            return catalogue.default
    return next((entry.name for entry in catalogue.entries(today)), "")


def _reachable(host: str) -> str:
    """How this machine itself reaches what listens on `host`."""
    if host in _EVERYWHERE:
        return "localhost"
    return f"[{host}]" if ":" in host else host
