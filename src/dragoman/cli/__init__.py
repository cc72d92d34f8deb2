"""The command line: what each command takes.  What it does is in the module of its name, imported when it is called,
so that `dragoman serve` stays small and starts at once.

This is click and not typer: uvicorn brings click along, while typer brings pydantic, which makes the idle gateway a
fifth larger.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

_SOURCES = "anthropic, openai_chat, openai_responses, openai_completions, ollama, ollama_generate"
_TARGETS = "anthropic, openai_chat, openai_responses, ollama"
_FILE = click.Path(dir_okay=False, path_type=Path)


def _config(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--config", type=_FILE, metavar="FILE", help="Configuration file.  [default: dragoman.toml, found]"
    )(command)


def _version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415

        click.echo(f"dragoman {version('dragoman')}")
        context.exit()


class _AsWritten(click.Group):
    """Its commands are listed as they stand below: what comes first comes first."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


_FIRST = """\b
Begin with one of these, and call what it prints:
  dragoman serve --demo                         nothing real, no key
  ANTHROPIC_API_KEY=sk-ant-… dragoman serve     Claude
  dragoman serve --preset local                 the Ollama of this machine, on port 8000
`dragoman check` says what is wrong with a configuration."""

_OTHERWISE = """\b
Each of these is a variable and a line of dragoman.toml, too (--port: PORT, port), and there are more:
README.md, "Settings".  A flag wins over a variable, a variable over the file."""


@click.group(
    cls=_AsWritten, epilog=_FIRST, context_settings={"help_option_names": ["-h", "--help"], "show_default": True}
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version."
)
def app() -> None:
    """One gateway: Ollama, OpenAI and Anthropic programs use any model, with nothing lost."""
    from dragoman.cli.output import hide_everywhere  # noqa: PLC0415

    hide_everywhere()


@app.command(epilog=_OTHERWISE)
@click.option("--host", metavar="ADDRESS", help="Address to listen on.  [default: every address]")
@click.option("--port", type=int, metavar="PORT", help="Port to listen on; 0: any that is free.  [default: 11434]")
@click.option("--workers", type=int, metavar="N", help="Processes that serve.  [default: 1]")
@_config
@click.option(
    "--preset", metavar="NAME", help='Settings for an occasion: "local" is Ollama on this machine, port 8000.'
)
@click.option("--demo", is_flag=True, help="Put the built-in simulator behind it; no key needed.")
@click.option("--demo-without-key", is_flag=True, help="Like --demo when no upstream is configured.")
@click.option("--debug", is_flag=True, default=None, help="Log what happens, without keys and messages.")
@click.option("--default-model", metavar="NAME", help='Model that answers for unknown names, or "error".')
@click.option("--strict", is_flag=True, default=None, help="Refuse a request of which something would be dropped.")
def serve(config: Path | None, demo: bool, demo_without_key: bool, **flags: str | int | bool | None) -> None:
    """Start the gateway."""
    from dragoman.cli.serve import run  # noqa: PLC0415

    sys.exit(run(config, demo=demo, demo_without_key=demo_without_key, flags=flags))


@app.command(short_help="Say what is wrong with the configuration and the servers.")
@_config
def check(config: Path | None) -> None:
    """Judge the configuration, reach each upstream, and say what is wrong."""
    from dragoman.cli.check import run  # noqa: PLC0415

    sys.exit(run(config))


@app.command()
@_config
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--all", "everything", is_flag=True, help="Also names of retired models, and hidden ones.")
def models(config: Path | None, as_json: bool, everything: bool) -> None:
    """List every name that can be called, and the model behind it."""
    from dragoman.cli.models import run  # noqa: PLC0415

    sys.exit(run(config, as_json=as_json, everything=everything))


@app.command(short_help="Show a request in another dialect, and what it lost.")
@click.option("--from", "source", required=True, metavar="DIALECT", help=f"The dialect the request is in: {_SOURCES}.")
@click.option("--to", "target", default="anthropic", metavar="DIALECT", help=f"The dialect wanted: {_TARGETS}.")
@click.option("--model", metavar="NAME", help="Model to use instead of the request's.")
@click.option("--json", "as_json", is_flag=True, help="Print request and report as one JSON object.")
@click.argument("file", type=_FILE, default="-")
def translate(source: str, target: str, model: str | None, as_json: bool, file: Path) -> None:
    """Print the request in FILE (or on stdin) in another dialect, and on stderr what it lost.  Calls nobody."""
    from dragoman.cli.translate import run  # noqa: PLC0415

    sys.exit(run(file, source=source, target=target, model=model, as_json=as_json))


@app.command(short_help="Serve an API without the service behind it.")
@click.option("--host", default="127.0.0.1", metavar="ADDRESS", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8484, metavar="PORT", help="Port to listen on.")
@click.option(
    "--pace", type=click.FloatRange(0), default=0, metavar="MS", help="Pause between two events, in milliseconds."
)
@click.option("--scenario", default="", metavar="NAME", help="What happens, whatever is asked: rate_limit, reset, …")
@click.option(
    "--dialect",
    type=click.Choice(["anthropic", "ollama", "openai"]),
    default="anthropic",
    help="Whose API it speaks.",
)
@click.option("--flavor", default="", metavar="NAME", help="Which OpenAI-compatible server it is: vllm, llamacpp, …")
@click.option("--key", multiple=True, metavar="KEY", help="A key that it accepts.  [default: any]")
def simulate(*, host: str, port: int, dialect: str, key: tuple[str, ...], **asked: Any) -> None:
    """Serve an API without the service behind it: for tests, demonstrations and CI."""
    from dragoman.cli.simulate import Asked, run  # noqa: PLC0415

    sys.exit(run(dialect, host, port, Asked(**asked, keys=key)))


@app.command(short_help="Make a key for a client.")
@click.argument("name")
@click.option("--file", type=_FILE, metavar="FILE", help="File of keys to add it to; otherwise the line is printed.")
def key(name: str, file: Path | None) -> None:
    """Make a key for the client NAME, print it, and print the line that lets it in, which has only its digest."""
    from dragoman.cli.key import run  # noqa: PLC0415

    sys.exit(run(name, file))


@app.command(short_help="Call a running gateway as programs do.")
@click.argument("url", default="http://localhost:11434")
@click.option(
    "--key", metavar="KEY", help="Key of the gateway, if it asks for one; others see it in the list of processes."
)
@click.option("--key-file", type=_FILE, metavar="FILE", help="File that holds the key.")
@click.option("--model", metavar="NAME", help="Model to call; otherwise one that it lists.")
@click.option("--timeout", type=click.FloatRange(1), default=300, metavar="S", help="Longest silence, in seconds.")
def smoke(url: str, key: str | None, key_file: Path | None, model: str | None, timeout: float) -> None:
    """Call the running gateway at URL over each surface: models, unstreamed, streamed, tool, image."""
    from dragoman.cli.smoke import run  # noqa: PLC0415

    sys.exit(run(url.rstrip("/"), key=key, key_file=key_file, model=model, patience=timeout))


@app.command(short_help="Ask a running gateway how it is.")
@click.argument("url", required=False)
@click.option("--ready", is_flag=True, help="Ask whether it can serve, not only whether it is alive.")
def health(url: str | None, ready: bool) -> None:
    """Ask the gateway at URL how it is; 0 when it is well.  [default: this machine's, at $PORT]"""
    from dragoman.cli.health import run  # noqa: PLC0415

    sys.exit(run(url, ready=ready))
