"""The command line: what each command takes.  What it does is in the module of its name, imported when it is called,
so that `dragoman serve` stays small and starts at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # its frames show local variables, and a key may be among them
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="One gateway: Ollama, OpenAI and Anthropic programs use any model, with nothing lost.",
)

Config = Annotated[
    Path | None,
    typer.Option("--config", help="Configuration file.", show_default="dragoman.toml, found", metavar="FILE"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415

        typer.echo(f"dragoman {version('dragoman')}")
        raise typer.Exit


@app.callback()
def dragoman(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command()
def serve(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="every address")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", show_default="11434")] = None,
    config: Config = None,
    demo: Annotated[bool, typer.Option("--demo", help="Put the built-in simulator behind it; no key needed.")] = False,
    demo_without_key: Annotated[
        bool, typer.Option("--demo-without-key", help="Like --demo when no upstream is configured.")
    ] = False,
    debug: Annotated[bool | None, typer.Option("--debug", help="Log what happens, without keys and messages.")] = None,
    default_model: Annotated[
        str | None, typer.Option(help='Model that answers for unknown names, or "error".', metavar="NAME")
    ] = None,
    strict: Annotated[
        bool | None, typer.Option("--strict", help="Refuse a request of which something would be dropped.")
    ] = None,
) -> None:
    """Start the gateway."""
    from dragoman.cli.serve import run  # noqa: PLC0415

    flags = {"host": host, "port": port, "debug": debug, "default_model": default_model, "strict": strict}
    raise typer.Exit(run(config, demo=demo, demo_without_key=demo_without_key, flags=flags))


@app.command()
def check(config: Config = None) -> None:
    """Judge the configuration, reach each upstream, and say what is wrong."""
    from dragoman.cli.check import run  # noqa: PLC0415

    raise typer.Exit(run(config))


@app.command()
def models(
    config: Config = None,
    as_json: AsJson = False,
    everything: Annotated[bool, typer.Option("--all", help="Also names of retired models, and hidden ones.")] = False,
) -> None:
    """List every name that can be called, and the model behind it."""
    from dragoman.cli.models import run  # noqa: PLC0415

    raise typer.Exit(run(config, as_json=as_json, everything=everything))


@app.command()
def translate(
    source: Annotated[str, typer.Option("--from", help="The dialect the request is in.", metavar="DIALECT")],
    target: Annotated[str, typer.Option("--to", help="The dialect wanted.", metavar="DIALECT")] = "anthropic",
    model: Annotated[str | None, typer.Option(help="Model to use instead of the request's.", metavar="NAME")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print request and report as one JSON object.")] = False,
    file: Annotated[Path, typer.Argument(help="The request; - reads standard input.", metavar="FILE")] = Path("-"),
) -> None:
    """Print a request in another dialect, and on stderr what it lost.  Calls nobody."""
    from dragoman.cli.translate import run  # noqa: PLC0415

    raise typer.Exit(run(file, source=source, target=target, model=model, as_json=as_json))


@app.command()
def simulate(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 8484,
    pace: Annotated[float, typer.Option(help="Pause between two events, in milliseconds.", min=0)] = 0,
    scenario: Annotated[str, typer.Option(help="What happens, whatever is asked.", metavar="NAME")] = "",
) -> None:
    """Serve the Anthropic API without Anthropic: for tests, demonstrations and CI."""
    from dragoman.cli.simulate import run  # noqa: PLC0415

    raise typer.Exit(run(host, port, pace=pace / 1000, scenario=scenario))


@app.command()
def smoke(
    url: Annotated[str, typer.Argument(help="Where the gateway is.")] = "http://localhost:11434",
    key: Annotated[
        str | None, typer.Option(help="Key of the gateway, if it asks for one.", envvar="DRAGOMAN_SMOKE_KEY")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model to call; otherwise one it lists.", metavar="NAME")] = None,
) -> None:
    """Call a running gateway over each surface: models, unstreamed, streamed, tool, image."""
    from dragoman.cli.smoke import run  # noqa: PLC0415

    raise typer.Exit(run(url.rstrip("/"), key=key, model=model))
