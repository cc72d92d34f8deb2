"""`dragoman serve`: read the settings, or refuse in words; say what is served; serve."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from dragoman.cli.output import complain, open_all, paint, say
from dragoman.cli.settings import NO_UPSTREAM, not_listening, settings
from dragoman.config import ConfigError, Settings
from dragoman.config.sources import Flag


def run(config: Path | None, *, demo: bool, demo_without_key: bool, flags: Mapping[str, Flag]) -> int:
    """Serve until stopped.  The exit code: 2 for a configuration that cannot be served, 1 for a port that is taken."""

    open_all()

    def read() -> Settings:
        """The settings of this moment; the server asks again when it is told to reload.  Raises ConfigError."""
        chosen = settings(config, demo=demo, flags=flags)
        if not chosen.upstreams and not chosen.demo:
            if not demo_without_key:
                raise ConfigError([NO_UPSTREAM])
            chosen = replace(chosen, demo=True, routes=())
        if chosen.demo and chosen.workers > 1:
            raise ConfigError([_ONE_SIMULATOR.format(chosen.workers)])
        return chosen

    try:
        chosen = read()
    except ConfigError as error:
        complain(str(error))
        return 2
    from dragoman.surfaces import server  # noqa: PLC0415  the heaviest import: not before the settings are good

    try:
        server.run(chosen, started=lambda address: _announce(chosen, address), reload=read)
    except OSError as error:
        complain(not_listening(chosen.host, chosen.port, error, "--port or PORT"))
        return 1
    except KeyboardInterrupt:  # how a person stops it; all calls have ended by now
        pass
    return 0


_ONE_SIMULATOR = "workers is {}, but the simulator of a demo lives in one process: --workers 1, or an upstream"


def _announce(chosen: Settings, address: str) -> None:
    from dragoman.cli.absent import look  # noqa: PLC0415  like the server itself
    from dragoman.cli.banner import banner  # noqa: PLC0415

    with suppress(OSError):  # a disk that is full, or nobody who reads it any more, is no reason not to serve
        say(banner(chosen, address))
    look(chosen.upstreams, _warn)


def _warn(line: str) -> None:
    with suppress(OSError):
        say(paint(line, "warn"))
