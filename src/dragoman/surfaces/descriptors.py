"""What the system lets a process have: file descriptors, and no image of its memory on the disk.

There are as many descriptors as the system gives, and no more connections than they are enough for.

A call takes two, one to the client and one upstream.  Whoever comes beyond the bound is told so (503); a process that
had none left at all could only hang up.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from types import ModuleType

from msgspec.structs import replace

from dragoman.config import Settings

log = logging.getLogger("dragoman.server")

# What else is open: files, the database, sockets of our own.
_RESERVE = 64


def with_room(settings: Settings) -> Settings:
    """The settings with so many connections at most as there can be descriptors for; the soft limit is raised first."""
    resource = _resource()
    if resource is None:
        return settings
    wanted = settings.limits.connections or settings.limits.calls or 1 << 15
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = 2 * wanted + _RESERVE
    if soft != resource.RLIM_INFINITY and soft < enough:
        most = enough if hard == resource.RLIM_INFINITY else min(enough, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    fitting = max((soft - _RESERVE) // 2, 1) if soft != resource.RLIM_INFINITY else wanted
    if fitting >= wanted:
        return settings
    level = logging.WARNING if fitting < settings.limits.calls else logging.DEBUG
    log.log(level, "there are %d file descriptors: at most %d connections are taken (ulimit -n)", soft, fitting)
    return replace(settings, limits=replace(settings.limits, connections=fitting))


def without_dumps() -> None:
    """No core file is written if this process, or one that it starts, crashes: keys and conversations are in it."""
    resource = _resource()
    if resource is not None:
        with suppress(OSError, ValueError):  # a sandbox may forbid it, and has its own rule then
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _resource() -> ModuleType | None:
    """Limits of processes; not everywhere are there any."""
    try:
        import resource  # noqa: PLC0415
    except ImportError:
        return None
    return resource
