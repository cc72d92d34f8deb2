"""The processes of a benchmark: started and stopped, and what each with its children costs (Linux only)."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TypeVar

_PROC = Path("/proc")
_ROOT = Path(__file__).parent.parent
_Sample = TypeVar("_Sample")


@contextlib.contextmanager
def python(module: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m module`, with pipes to it and from it; it ends with the context."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        stop(process)


def pipe(stream: IO[bytes] | None) -> IO[bytes]:
    """`stdin` or `stdout` of a process that was started with pipes."""
    assert stream is not None
    return stream


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the process to end, and end its whole session when it does not within five seconds."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def sampled(seconds: float, look: Callable[[], _Sample]) -> Iterator[list[_Sample]]:
    """What `look` returns now, and then every so many seconds in a thread of its own until the context ends."""
    samples = [look()]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(seconds):
            samples.append(look())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield samples
    finally:
        over.set()
        thread.join()


def tree(pid: int) -> list[int]:
    """The process and all that descend from it, those alive now."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for stat in _PROC.glob("[0-9]*/stat"):
        # the second member is the command in parentheses and may hold anything; the fourth is the parent
        if fields := _read(stat).rpartition(")")[2].split():
            children[int(fields[1])].append(int(stat.parent.name))
    found = [pid]
    for process in found:
        found += children[process]
    return found


def cpu(pid: int) -> float:
    """Seconds of CPU the live processes of the tree have used, user and system, all threads, to the nanosecond.

    `utime` and `stime` of `/proc/<pid>/stat` count whole ticks of 10 ms, too coarse for a few seconds of nginx.  The
    kernel's CPU clock of a process is the same sum unrounded; its id is made of the pid as in `clock_getcpuclockid(3)`.
    """
    total = 0
    for process in tree(pid):
        try:
            total += time.clock_gettime_ns((~process << 3) | 2)
        except OSError:  # it has ended since
            continue
    return total / 1e9


def resident(pid: int) -> float:
    """MB (2**20 bytes) of memory resident in the tree; a page that two processes share counts twice."""
    lines = (line for process in tree(pid) for line in _read(_PROC / f"{process}/status").splitlines())
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def _read(path: Path) -> str:
    """The text of a file of `/proc`; empty when its process has gone, which is no error here."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
